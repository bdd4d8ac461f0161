//! sockudo-ws: its stream over tokio's traits, and its protocol, which needs no stream. Texts are seen as bytes:
//! `as_text` would validate them a second time.

use std::hint::black_box;
use std::io::Write;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use sockeye::Role;
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{Config, Message, WebSocketStream};

use super::Peer;
use crate::Outcome;
use crate::wire::{READ, Wire, now};

fn theirs(role: Role) -> sockudo_ws::Role {
    match role {
        Role::Client => sockudo_ws::Role::Client,
        Role::Server => sockudo_ws::Role::Server,
    }
}

pub struct Stream(WebSocketStream<Wire>);

impl Peer for Stream {
    const NAME: &'static str = "sockudo-ws";

    fn open(wire: Wire, role: Role) -> Self {
        Self(WebSocketStream::from_raw(wire, theirs(role), Config::default()))
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                seen(self.0.next().await.ok_or("closed")??.as_bytes());
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        now(async {
            for _ in 0..count {
                self.0.send(Message::Binary(payload.clone())).await?;
            }
            Ok(())
        })
    }
}

pub struct Core {
    protocol: Protocol,
    wire: Wire,
    buffer: BytesMut,
    received: Vec<Message>,
}

impl Peer for Core {
    const NAME: &'static str = "sockudo-ws core";

    fn open(wire: Wire, role: Role) -> Self {
        let Config { max_frame_size, max_message_size, .. } = Config::default();
        let protocol = Protocol::new(theirs(role), max_frame_size, max_message_size);
        Self { protocol, wire, buffer: BytesMut::with_capacity(READ), received: Vec::new() }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        let mut received = 0;
        while received < count {
            self.buffer.extend_from_slice(self.wire.next(READ));
            self.protocol.process_into(&mut self.buffer, &mut self.received)?;
            self.received.iter().for_each(|message| seen(message.as_bytes()));
            received += self.received.len();
            // What is kept would keep the buffer from being used again.
            self.received.clear();
        }
        Ok(())
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        let message = Message::Binary(payload.clone());
        for _ in 0..count {
            self.protocol.encode_message(black_box(&message), &mut self.buffer)?;
            self.wire.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}
