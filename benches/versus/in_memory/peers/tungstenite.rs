//! tungstenite over blocking reads and writes, with its buffers of 128 KiB, which it recommends for much traffic.

use bytes::Bytes;
use sockeye::Role;
use tungstenite::{Message, WebSocket, protocol};

use super::Peer;
use crate::Outcome;
use crate::wire::Wire;

pub struct Blocking(WebSocket<Wire>);

impl Peer for Blocking {
    const NAME: &'static str = "tungstenite";

    fn open(wire: Wire, role: Role) -> Self {
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        Self(WebSocket::from_raw_socket(wire, role, None))
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        for _ in 0..count {
            match self.0.read()? {
                Message::Text(text) => seen(text.as_bytes()),
                Message::Binary(bytes) => seen(&bytes),
                _ => return Err("no message".into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        for _ in 0..count {
            self.0.send(Message::Binary(payload.clone()))?;
        }
        Ok(())
    }
}
