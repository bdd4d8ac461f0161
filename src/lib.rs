//! WebSockets (RFC 6455).
#![no_std]
#![warn(unreachable_pub)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod close;
mod config;
mod connection;
mod error;
pub mod frame;
#[cfg(feature = "handshake")]
pub mod handshake;
#[cfg(feature = "std")]
mod io;
mod mask;
mod message;
mod outbox;
mod payload_buf;
mod pool;
#[cfg(feature = "std")]
mod random;
mod reader;
mod timers;
mod utf8;
mod writer;

pub use close::{CloseCode, CloseFrame};
pub use config::{Config, MaskingKey};
pub use connection::{Agreed, Closure, Connection, Wants};
pub use error::{ProtocolError, SendError, SendErrorKind};
pub use frame::Role;
#[cfg(feature = "handshake")]
pub use handshake::{HandshakeError, Origins, Reject, accept_key, client, server};
#[cfg(feature = "futures")]
pub use io::futures;
#[cfg(feature = "tokio")]
pub use io::tokio;
#[cfg(feature = "std")]
pub use io::{Error, LentWriter, Timeout, blocking};
pub use message::{Event, Kind, Message, Part, Payload, Reply, Text};
pub use outbox::Outbox;
pub use payload_buf::PayloadBuf;
pub use reader::{Reader, Ready, Step};
pub use timers::{Expired, Time, Timers};
pub use writer::{Fragments, Prepared, Writer};
