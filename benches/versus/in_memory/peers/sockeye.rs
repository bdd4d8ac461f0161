//! This crate: its core, which does no IO, and its driver over tokio's traits.

use std::io::{Read, Write};

use bytes::{Buf, Bytes};
use sockeye::tokio::WebSocket;
use sockeye::{Agreed, Config, Connection, Event, Role};

use super::Peer;
use crate::Outcome;
use crate::wire::{READ, Wire, now};

/// The loop of the documentation. What is left of a large payload is read straight into its place.
pub struct Core {
    connection: Connection,
    wire: Wire,
    scratch: Vec<u8>,
}

impl Core {
    /// Reads once.
    #[inline]
    fn read(&mut self, seen: &mut impl FnMut(&[u8])) -> Result<usize, Box<dyn std::error::Error>> {
        let mut input = match self.connection.payload_buf() {
            Some(mut room) => {
                let count = self.wire.read(room.spare())?;
                room.advance(count);
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
}

impl Peer for Core {
    const NAME: &'static str = "sockeye core";

    fn open(wire: Wire, role: Role) -> Self {
        let connection = Connection::open(role, Agreed::default(), &Config::DEFAULT);
        Self { connection, wire, scratch: vec![0; READ] }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        let mut received = 0;
        while received < count {
            received += self.read(&mut seen)?;
        }
        Ok(())
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        let writer = self.connection.writer();
        for _ in 0..count {
            writer.send(payload).map_err(|error| error.to_string())?;
            let outbox = writer.outbox();
            while outbox.has_remaining() {
                let written = self.wire.write(outbox.chunk())?;
                outbox.advance(written);
            }
        }
        Ok(())
    }
}

pub struct Driver(WebSocket<Wire>);

impl Peer for Driver {
    const NAME: &'static str = "sockeye::tokio";

    fn open(wire: Wire, role: Role) -> Self {
        Self(WebSocket::open(wire, role, Agreed::default(), &Config::DEFAULT, &[]))
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                seen(self.0.recv().await?.ok_or("closed")?.as_bytes());
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        now(async {
            for _ in 0..count {
                self.0.send(payload).await?;
            }
            Ok(())
        })
    }
}
