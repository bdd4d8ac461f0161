//! WebSockets (RFC 6455): a sans-IO core that does no IO, reads no clock and needs no `std`, and thin drivers that run
//! it over blocking streams, tokio and futures-io.
//!
//! ```text
//!             bytes in                                   events out (lent)
//!  socket ───────────────▶  Reader ──────────────────────────────▶  application
//!                             │  Reply (Pong or Close)                    │
//!                             ▼                                           │ messages in
//!  socket ◀─── Outbox ◀──── Writer ◀──────────────────────────────────────┘
//!             bytes out (bytes::Buf)         time: only as an argument, out as one deadline (Timers)
//! ```
//!
//! # With a socket
//!
//! Three names are enough: `WebSocket`, [`Message`], [`Error`]. `WebSocket` is in [`tokio`], [`futures`] and
//! [`blocking`], with the same verbs in each, as far as threads need them.
//!
#![cfg_attr(feature = "tokio", doc = "```no_run")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use sockeye::{Error, tokio::WebSocket};
//!
//! async fn echo(stream: tokio::net::TcpStream) -> Result<(), Error> {
//!     let mut ws = WebSocket::accept(stream).await?;
//!     while let Some((message, writer)) = ws.recv_with_writer().await? {
//!         writer.send(message)?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Messages are *lent*: they lie in the connection's own memory, and are gone at the next call. That is why the most
//! natural echo does not compile; `recv_with_writer`, which lends the writer as well, does. So does an owned message,
//! from `into_owned` or through `Stream`.
//!
#![cfg_attr(feature = "tokio", doc = "```compile_fail,E0499")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! # async fn echo(mut ws: sockeye::tokio::WebSocket<tokio::net::TcpStream>) -> Result<(), sockeye::Error> {
//! while let Some(message) = ws.recv().await? {
//!     ws.send(message).await?; // cannot borrow `ws` as mutable more than once at a time
//! }
//! # Ok(()) }
//! ```
//!
//! Where another protocol wants a stream of bytes, as yamux, MQTT and SSH do, `into_bytes` makes one of the connection.
//! `WebSocket::pair` connects a client and a server in memory, for tests; see [`testing`].
//!
//! A client that is to stay connected is a `tokio::Reconnect`; [`Backoff`] has its delays, for clients of any kind.
//!
//! # Without one
//!
//! [`Connection`] is the protocol alone. **Its reader always uses up its input**, so that nobody has to keep, move or
//! grow a receive buffer, and one scratch buffer serves any number of sockets. The canonical loop:
//!
//! ```
//! use sockeye::{Connection, Event, SendErrorKind};
//!
//! fn on_readable(connection: &mut Connection, mut input: &mut [u8]) -> Result<(), SendErrorKind> {
//!     // An error has already queued the Close that tells the peer; `wants` says what is left to do.
//!     while let Ok(Some((event, writer))) = connection.next_with_writer(&mut input) {
//!         if let Event::Message(message) = event {
//!             writer.send(message)?;
//!         }
//!     }
//!     let _to_write: &[u8] = connection.writer().outbox().chunk(); // then `advance` by what was written
//!     let _then = connection.wants(); // read, write, shut down, drop
//!     Ok(())
//! }
//! ```
//!
//! A connection comes from a handshake of [`server`] or [`client`], or, where another HTTP stack has made it, from
//! [`Connection::open`]. [`Reader`] and [`Writer`] can also be had apart; they share nothing, so that a split needs no
//! lock. [`Timers`] keeps the deadlines, on a clock of yours.
//!
//! # What holds everywhere
//!
//! - Events before an error are delivered, and answered, before the error; the Close that it calls for has then been
//!   queued. Any cuts of the byte stream give the same events and the same error.
//! - Memory follows the bytes that were received, never a length that was announced. Every limit is on by default, see
//!   [`Config`].
//! - No input makes a call panic, in any order of calls.
//! - An error's type says whose fault it is: [`ProtocolError`] is the peer's, [`SendError`] the caller's,
//!   [`HandshakeError`] and [`Reject`] one handshake's. Neither errors nor `Debug` show payloads or credentials.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `std` | strong masking keys, SIMD validation, the buffer pool, [`blocking`] | yes |
//! | `handshake` | [`handshake`], [`server`], [`client`] from and to bytes; needs no `std` | yes |
//! | `http` | the same from and to the types of the `http` crate, and extended CONNECT (RFC 8441, 9220) | |
//! | `tokio` | [`tokio`] | |
//! | `futures` | [`futures`], for any executor | |
//! | `serde_json` | messages as JSON: `Message::json`, `parse_json`; needs no `std` | |
//! | `deflate` | permessage-deflate (RFC 7692), where [`Config`] asks for it | |
//! | `connect` | [`Connect`], and `connect` in [`blocking`] and, with `tokio`, in [`tokio`]: clients from a URL | |
//! | `rustls` | [`Tls`] for them, so that they reach `wss` | |
//! | `proxy` | [`Proxy`] for them: HTTP's CONNECT and SOCKS5 | |
//! | `tracing` | spans and events for `tracing`: handshakes, ends, failures, attempts; never payloads, headers or queries | |
//! | `full` | all of them | |
//!
//! Features only add. `default-features = false` is the `no_std + alloc` core.
#![no_std]
#![warn(unreachable_pub)]
// No input may make this crate panic: slices are taken with `get`.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod backoff;
mod close;
mod config;
#[cfg(feature = "connect")]
mod connect;
mod connection;
mod counts;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "deflate/absent.rs"]
mod deflate;
mod error;
pub mod frame;
#[cfg(feature = "handshake")]
pub mod handshake;
#[cfg(feature = "std")]
mod io;
#[cfg(feature = "serde_json")]
mod json;
mod mask;
mod message;
mod outbox;
mod pool;
#[cfg(feature = "std")]
mod random;
mod reader;
mod timers;
#[cfg(feature = "std")]
mod trace;
mod utf8;
mod writer;

pub use backoff::Backoff;
pub use close::{CloseCode, CloseFrame};
pub use config::{Config, MaskingKey};
#[cfg(feature = "connect")]
pub use connect::{Connect, ConnectError, RedirectError};
#[cfg(feature = "proxy")]
pub use connect::{Proxy, ProxyError, ProxyUrlError, SocksReply};
#[cfg(feature = "rustls")]
pub use connect::{Tls, TlsError};
pub use connection::{Agreed, Closure, Connection, Wants};
pub use counts::Counts;
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
pub use error::{ProtocolError, SendError, SendErrorKind};
pub use frame::Role;
#[cfg(feature = "handshake")]
pub use handshake::{HandshakeError, Origins, Reject, accept_key, client, server};
#[cfg(any(feature = "tokio", feature = "futures"))]
pub use io::asynchronous;
#[cfg(feature = "futures")]
pub use io::futures;
#[cfg(feature = "tokio")]
pub use io::tokio;
#[cfg(feature = "std")]
pub use io::{Error, LentWriter, Statistics, Timeout, blocking, testing};
#[cfg(feature = "serde_json")]
pub use json::JsonError;
pub use message::{Event, Kind, Message, Part, Payload, Reply, Text};
pub use outbox::Outbox;
pub use reader::{PayloadBuf, Reader, Ready, Step};
#[cfg(feature = "rustls")]
pub use rustls;
pub use timers::{Expired, Time, Timers};
pub use writer::{Fragments, Prepared, Writer};

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/coming-from.md")]
pub mod coming_from {}

/// The programs of the README compile.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
