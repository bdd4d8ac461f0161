//! Connections over a simulated wire: one under test against hand-made frames, or two against each other.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use bytes::Buf;
use sockeye::{Agreed, CloseCode, Config, Connection, Event, ProtocolError, Role};

use crate::naive::{self, CLOSE, FIN};

pub const BOTH: [Role; 2] = [Role::Client, Role::Server];

/// The key with which hand-made frames of a client are masked.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A connection under test, what it has received, and how it failed.
pub struct End {
    pub connection: Connection,
    pub events: Vec<Event<'static>>,
    pub error: Option<ProtocolError>,
}

impl End {
    pub fn open(role: Role) -> Self {
        Self::open_with(role, &Config::DEFAULT)
    }

    pub fn open_with(role: Role, config: &Config) -> Self {
        let connection = Connection::open(role, Agreed::default(), config);
        Self { connection, events: Vec::new(), error: None }
    }

    /// The key the peer of this end must use.
    pub fn peer_key(&self) -> Option<[u8; 4]> {
        peer_key(self.connection.role())
    }

    /// Takes bytes as they come from the wire.
    pub fn receive(&mut self, bytes: &[u8]) -> &mut Self {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        loop {
            match self.connection.next(&mut input) {
                Ok(Some(event)) => self.events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        assert!(input.is_empty(), "the input is always used up");
        self
    }

    /// Takes one frame of the peer, masked if the peer is a client.
    pub fn receive_frame(&mut self, first: u8, payload: &[u8]) -> &mut Self {
        let frame = naive::frame(first, self.peer_key(), payload);
        self.receive(&frame)
    }

    /// Takes a header of the peer that announces `len` bytes.
    pub fn receive_header(&mut self, first: u8, len: u64) -> &mut Self {
        let header = naive::header(first, self.peer_key(), len);
        self.receive(&header)
    }

    /// Takes everything that waits to leave, and what that makes room for.
    pub fn drain(&mut self) -> Vec<u8> {
        let outbox = self.connection.writer().outbox();
        let mut bytes = Vec::new();
        while outbox.has_remaining() {
            bytes.extend(outbox.copy_to_bytes(outbox.remaining()));
        }
        bytes
    }

    /// Just these frames wait to leave, masked if and only if this end is a client.
    #[track_caller]
    pub fn assert_sent(&mut self, expected: &[(u8, &[u8])]) -> &mut Self {
        let frames = naive::frames(&self.drain());
        for frame in &frames {
            assert_eq!(frame.key.is_some(), self.connection.role() == Role::Client, "who masks (§5.1)");
        }
        let sent: Vec<(u8, &[u8])> = frames.iter().map(|frame| (frame.first, &*frame.payload)).collect();
        assert_eq!(sent, expected);
        self
    }

    /// Takes what was received since the last call.
    #[track_caller]
    pub fn assert_received(&mut self, expected: &[Event<'static>]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.events), expected);
        self
    }

    /// Nothing went wrong so far.
    #[track_caller]
    pub fn assert_open(&mut self) -> &mut Self {
        assert_eq!(self.error, None);
        assert_eq!(self.connection.closure(), None);
        self
    }

    /// The connection has failed with this code: it says so in a Close, last, and hears nothing more (§7.1.7).
    #[track_caller]
    pub fn assert_failing(&mut self, code: CloseCode) -> &mut Self {
        let error = self.error.expect("the connection failed");
        assert_eq!(error.close_code(), code, "{error}");
        let frames = naive::frames(&self.drain());
        let last = frames.last().expect("a Close waits to leave");
        assert_eq!((last.first, &last.payload[..]), (FIN | CLOSE, &code.0.to_be_bytes()[..]));
        let events = self.events.len();
        self.receive_frame(FIN | naive::TEXT, b"too late");
        assert_eq!((self.error, self.events.len()), (Some(error), events), "the same error again, and no event");
        self.assert_sent(&[])
    }
}

/// The key that the peer of `role` masks with, if it masks.
pub fn peer_key(role: Role) -> Option<[u8; 4]> {
    match role {
        Role::Server => Some(KEY),
        Role::Client => None,
    }
}

/// A client and a server.
pub struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn open() -> Self {
        Self { client: End::open(Role::Client), server: End::open(Role::Server) }
    }

    /// Carries bytes both ways until none wait.
    pub fn settle(&mut self) {
        self.settle_through(usize::MAX);
    }

    /// The same over a wire that carries `pipe` bytes at a time each way.
    pub fn settle_through(&mut self, pipe: usize) {
        while carry(&mut self.client, &mut self.server, pipe) | carry(&mut self.server, &mut self.client, pipe) {}
    }

    /// The end of this role, and the other.
    pub fn ends(&mut self, role: Role) -> (&mut End, &mut End) {
        match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        }
    }
}

/// Carries up to `pipe` bytes, and tells whether there were any.
pub fn carry(from: &mut End, to: &mut End, pipe: usize) -> bool {
    let outbox = from.connection.writer().outbox();
    let count = outbox.remaining().min(pipe);
    let bytes = outbox.copy_to_bytes(count);
    to.receive(&bytes);
    count > 0
}
