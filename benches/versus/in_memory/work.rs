//! What is to be done.

use bytes::Bytes;
use sockeye::Role;
use versus::naive::{self, BINARY, DEFAULT_LIMITS, FIN, TEXT};
use versus::payloads::{ascii, key, multibyte};

use crate::Outcome;
use crate::wire::Wire;

/// About as much as a pass moves.
const PASS: usize = 64 << 10;

pub struct Work {
    pub name: String,
    pub role: Role,
    pub direction: Direction,
    pub is_text: bool,
    pub payload: Bytes,
    /// How many messages a pass has.
    pub count: usize,
    /// The frames of a pass, where they are received.
    pub frames: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Receive,
    Send,
}

impl Work {
    fn receive(role: Role, name: &str, opcode: u8, payload: Vec<u8>) -> Self {
        let count = (PASS / (payload.len() + 8)).max(1);
        let frame = |number: u32| naive::frame(FIN | opcode, mask(role, number), &payload);
        let frames = (0..count as u32).flat_map(frame).collect();
        Self {
            name: format!("{} receives {name}", who(role)),
            role,
            direction: Direction::Receive,
            is_text: opcode == TEXT,
            payload: payload.into(),
            count,
            frames,
        }
    }

    fn send(name: &str, role: Role, len: usize) -> Self {
        Self {
            name: format!("{} sends {name}", who(role)),
            role,
            direction: Direction::Send,
            is_text: false,
            payload: ascii(len).into(),
            count: (PASS / (len + 8)).max(1),
            frames: Bytes::new(),
        }
    }

    /// The stream to work over.
    pub fn wire(&self) -> Wire {
        Wire::new(self.frames.clone())
    }

    /// A stream of texts that are none, if text is received.
    pub fn invalid_wire(&self) -> Option<Wire> {
        if !self.is_text || self.payload.is_empty() {
            return None;
        }
        let mut payload = self.payload.to_vec();
        *payload.last_mut()? = 0xff;
        Some(Wire::once(naive::frame(FIN | TEXT, mask(self.role, 1), &payload).into()))
    }

    /// Whether the bytes are the messages of a pass.
    pub fn check_sent(&self, sent: &[u8]) -> Outcome {
        let receiver = if self.role == Role::Server { Role::Client } else { Role::Server };
        let (events, error) = naive::decode(receiver, DEFAULT_LIMITS, sent);
        let expected = sockeye::Event::Message((&self.payload).into());
        if error.is_some() || events.len() != self.count || events.iter().any(|event| *event != expected) {
            return Err("what was sent is not what was to be sent".into());
        }
        Ok(())
    }
}

fn who(role: Role) -> &'static str {
    if role == Role::Server { "server" } else { "client" }
}

/// Only servers receive masked frames.
fn mask(receiver: Role, number: u32) -> Option<[u8; 4]> {
    (receiver == Role::Server).then(|| key(number))
}

/// The sizes, with their names.
const SIZES: [(&str, usize); 6] =
    [("0 B", 0), ("16 B", 16), ("125 B", 125), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)];

pub fn all() -> Vec<Work> {
    let mut all = Vec::new();
    for role in [Role::Server, Role::Client] {
        for (name, len) in SIZES {
            all.push(Work::receive(role, &format!("text, {name}"), TEXT, ascii(len)));
            if len >= 1 << 10 {
                all.push(Work::receive(role, &format!("multibyte text, {name}"), TEXT, multibyte(len)));
            }
            all.push(Work::receive(role, &format!("binary, {name}"), BINARY, ascii(len)));
        }
    }
    for role in [Role::Server, Role::Client] {
        all.extend(SIZES.map(|(name, len)| Work::send(name, role, len)));
    }
    all
}
