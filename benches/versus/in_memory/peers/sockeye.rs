//! This crate: its core, which does no IO, and its drivers. Messages are lent, or they are owned: then each is received
//! as what stays valid, by `Stream` or `Iterator` where there is one, and sent as `Bytes`, by `Sink`.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes};
use futures_util::{SinkExt, StreamExt};
use sockeye::asynchronous::{Transport, WebSocket};
use sockeye::futures::FuturesIo;
use sockeye::tokio::TokioIo;
use sockeye::{Agreed, Config, Connection, Event, Message, Role, blocking};
use versus::own;

use super::Peer;
use crate::Outcome;
use crate::wire::{READ, Wire, now};

/// A payload is lent; only where it is large and need not be masked, it is better sent by reference.
fn by_reference(role: Role, payload: &Bytes) -> bool {
    role == Role::Server && payload.len() > 4 << 10
}

/// The loop of the documentation. What is left of a large payload is read straight into its place.
pub struct Core<const OWNED: bool> {
    connection: Connection,
    role: Role,
    wire: Wire,
    scratch: Vec<u8>,
}

impl<const OWNED: bool> Core<OWNED> {
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
            if OWNED {
                seen(message.into_owned().as_bytes());
            } else {
                seen(message.as_bytes());
            }
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

impl<const OWNED: bool> Peer for Core<OWNED> {
    const NAME: &'static str = own::CORE[OWNED as usize];

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
        if OWNED {
            self.send_each(count, || payload.clone())
        } else if by_reference(self.role, payload) {
            self.send_each(count, || payload)
        } else {
            self.send_each(count, || &payload[..])
        }
    }
}

/// A driver over async streams, which has the same methods over each sort of them.
pub struct Async<T: Transport, const OWNED: bool> {
    socket: WebSocket<T>,
    role: Role,
}

/// A driver's names.
trait Named {
    const NAMES: [&str; 2];
}

impl Named for TokioIo<Wire> {
    const NAMES: [&str; 2] = own::TOKIO;
}

impl Named for FuturesIo<Wire> {
    const NAMES: [&str; 2] = own::FUTURES;
}

impl<T: Transport, const OWNED: bool> Async<T, OWNED> {
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

impl<T: Transport<Stream = Wire> + Named + 'static, const OWNED: bool> Peer for Async<T, OWNED> {
    const NAME: &'static str = T::NAMES[OWNED as usize];

    fn open(wire: Wire, role: Role) -> Self {
        Self { socket: WebSocket::open(wire, role, Agreed::default(), &Config::DEFAULT, &[]), role }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                if OWNED {
                    seen(self.socket.next().await.ok_or("closed")??.as_bytes());
                } else {
                    seen(self.socket.recv().await?.ok_or("closed")?.as_bytes());
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        if OWNED {
            now(async {
                for _ in 0..count {
                    SinkExt::send(&mut self.socket, payload.clone().into()).await?;
                }
                Ok(())
            })
        } else if by_reference(self.role, payload) {
            self.send_each(count, || payload)
        } else {
            self.send_each(count, || &payload[..])
        }
    }
}

/// The blocking driver. Its stream has timeouts, as sockets have.
pub struct Blocking<const OWNED: bool> {
    socket: blocking::WebSocket<Wire>,
    role: Role,
}

impl<const OWNED: bool> Blocking<OWNED> {
    #[inline]
    fn send_each<'m, M: Into<Message<'m>>>(&mut self, count: usize, payload: impl Fn() -> M) -> Outcome {
        for _ in 0..count {
            self.socket.send(payload())?;
        }
        Ok(())
    }
}

impl<const OWNED: bool> Peer for Blocking<OWNED> {
    const NAME: &'static str = own::BLOCKING[OWNED as usize];

    fn open(wire: Wire, role: Role) -> Self {
        Self { socket: blocking::WebSocket::open(wire, role, Agreed::default(), &Config::DEFAULT, &[]), role }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        for _ in 0..count {
            if OWNED {
                seen(self.socket.next().ok_or("closed")??.as_bytes());
            } else {
                seen(self.socket.recv()?.ok_or("closed")?.as_bytes());
            }
        }
        Ok(())
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        if OWNED {
            self.send_each(count, || payload.clone())
        } else if by_reference(self.role, payload) {
            self.send_each(count, || payload)
        } else {
            self.send_each(count, || &payload[..])
        }
    }
}
