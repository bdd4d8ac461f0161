//! What many are to receive.

use sockeye::{Connection, Event};

use crate::peers::client;

/// A text, and how it is to travel.
pub struct Work {
    pub name: String,
    pub text: String,
    pub compress: bool,
}

pub fn works() -> Vec<Work> {
    let mut works = Vec::new();
    for (size, len) in [("64 B", 64), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10)] {
        for (how, compress) in [("", false), (", compressed", true)] {
            works.push(Work { name: format!("{size}{how}"), text: feed(len), compress });
        }
    }
    works
}

/// JSON of a market, so long.
fn feed(len: usize) -> String {
    let (mut text, mut random) = (String::with_capacity(len + 64), 1_u64);
    while text.len() < len {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (price, size) = (random >> 45, random >> 33 & 0xfff);
        text.push_str(&format!("{{\"pair\":\"EURUSD\",\"price\":{price},\"size\":{size},\"side\":\"bid\"}},"));
    }
    text.truncate(len);
    text
}

/// Whether a client takes the bytes for the text.
pub fn is_text(mut bytes: &mut [u8], work: &Work) -> bool {
    let mut client: Connection = client(work.compress);
    let right = matches!(client.next(&mut bytes), Ok(Some(Event::Message(message))) if message.as_bytes() == work.text.as_bytes());
    right && bytes.is_empty()
}
