//! fastwebsockets with its `FragmentCollector`, without which it gives frames, not messages.

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, Payload, WebSocket};
use sockeye::Role;

use super::Peer;
use crate::Outcome;
use crate::wire::{Wire, now};

pub struct Collector(FragmentCollector<Wire>);

impl Peer for Collector {
    const NAME: &'static str = "fastwebsockets";

    fn open(wire: Wire, role: Role) -> Self {
        let role = match role {
            Role::Client => fastwebsockets::Role::Client,
            Role::Server => fastwebsockets::Role::Server,
        };
        Self(FragmentCollector::new(WebSocket::after_handshake(wire, role)))
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                seen(&self.0.read_frame().await?.payload);
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        now(async {
            for _ in 0..count {
                self.0.write_frame(Frame::binary(Payload::Borrowed(payload))).await?;
            }
            Ok(())
        })
    }
}
