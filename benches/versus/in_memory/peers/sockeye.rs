//! This crate: its core, which does no IO, and its driver over tokio's traits.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes};
use sockeye::tokio::WebSocket;
use sockeye::{Agreed, Config, Connection, Event, Message, Role};

use super::Peer;
use crate::Outcome;
use crate::wire::{READ, Wire, now};

/// A payload is lent; only where it is large and need not be masked, it is better sent by reference.
fn by_reference(role: Role, payload: &Bytes) -> bool {
    role == Role::Server && payload.len() > 4 << 10
}

/// The loop of the documentation. What is left of a large payload is read straight into its place.
pub struct Core {
    connection: Connection,
    role: Role,
    wire: Wire,
    scratch: Vec<u8>,
}

impl Core {
    /// Reads once.
    #[inline]
    fn read(&mut self, seen: &mut impl FnMut(&[u8])) -> Result<usize, Box<dyn std::error::Error>> {
        let mut input = match self.connection.payload_buf() {
            Some(mut room) => {
                let bytes = self.wire.next(room.remaining_mut());
                room.put_slice(bytes);
                &mut [][..]
            }
            None => {
                let count = self.wire.read(&mut self.scratch)?;
                &mut self.scratch[..count]
            }
        };
        let mut messages = 0;
        while let Some(event) = self.connection.next(&mut input)? {
            let Event::Message(message) = event else { return Err("no message".into()) };
            seen(message.as_bytes());
            messages += 1;
        }
        Ok(messages)
    }

    #[inline]
    fn send_each<'m, M: Into<Message<'m>>>(&mut self, count: usize, payload: impl Fn() -> M) -> Outcome {
        let writer = self.connection.writer();
        for _ in 0..count {
            writer.send(payload()).map_err(|error| error.to_string())?;
            let outbox = writer.outbox();
            while outbox.has_remaining() {
                let written = self.wire.write(outbox.chunk())?;
                outbox.advance(written);
            }
        }
        Ok(())
    }
}

impl Peer for Core {
    const NAME: &'static str = "sockeye core";

    fn open(wire: Wire, role: Role) -> Self {
        let connection = Connection::open(role, Agreed::default(), &Config::DEFAULT);
        Self { connection, role, wire, scratch: vec![0; READ] }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        let mut received = 0;
        while received < count {
            received += self.read(&mut seen)?;
        }
        Ok(())
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        if by_reference(self.role, payload) {
            self.send_each(count, || payload)
        } else {
            self.send_each(count, || &payload[..])
        }
    }
}

pub struct Driver {
    socket: WebSocket<Wire>,
    role: Role,
}

impl Driver {
    #[inline]
    fn send_each<'m, M: Into<Message<'m>>>(&mut self, count: usize, payload: impl Fn() -> M) -> Outcome {
        now(async {
            for _ in 0..count {
                self.socket.send(payload()).await?;
            }
            Ok(())
        })
    }
}

impl Peer for Driver {
    const NAME: &'static str = "sockeye::tokio";

    fn open(wire: Wire, role: Role) -> Self {
        Self { socket: WebSocket::open(wire, role, Agreed::default(), &Config::DEFAULT, &[]), role }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                seen(self.socket.recv().await?.ok_or("closed")?.as_bytes());
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        if by_reference(self.role, payload) {
            self.send_each(count, || payload)
        } else {
            self.send_each(count, || &payload[..])
        }
    }
}
