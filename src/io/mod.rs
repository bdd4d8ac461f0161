//! The drivers: the sans-IO core over real streams.
//!
//! ```text
//!  tokio.rs, futures.rs      AsyncRead + AsyncWrite as a `Transport`
//!        │
//!  websocket.rs, split.rs    the verbs: recv, send, feed, flush, close …
//!  bytes/                    the same connection as a stream of bytes
//!        │
//!  driver.rs                 the life cycle, against `poll`
//!        │
//!  wakers.rs, clock.rs       who is woken, and when
//!  opening.rs                the opening handshake, before all that
//!  shutdown.rs               the end of many connections at once
//!
//!  reconnect/                a client over tokio that stays connected
//!
//!  blocking/                 the same verbs and life cycle over `Read + Write`
//!
//!  input.rs, life.rs         what both judge alike
//!  statistics.rs             what both tell of it
//!  lent.rs                   the writer as both lend it
//!  pieces.rs                 messages as both read them for a stream of bytes
//!  pipe.rs                   streams in memory, for tests over either
//! ```

pub mod blocking;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod bytes;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod clock;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod driver;
mod error;
#[cfg(feature = "futures")]
pub mod futures;
mod input;
mod lent;
mod life;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod opening;
mod pieces;
mod pipe;
#[cfg(feature = "tokio")]
pub mod reconnect;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod shutdown;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod split;
mod statistics;
#[cfg(feature = "tokio")]
pub mod tokio;
mod vectored;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod wakers;
#[cfg(any(feature = "tokio", feature = "futures"))]
mod websocket;

/// The asynchronous driver, written once: what [`tokio`](crate::tokio) and [`futures`](crate::futures) name for their
/// streams.
#[cfg(any(feature = "tokio", feature = "futures"))]
pub mod asynchronous {
    pub use super::bytes::ByteStream;
    pub use super::driver::Transport;
    pub use super::shutdown::{Gone, Shutdown};
    pub use super::split::{Receiver, Sender, SenderFragments};
    pub use super::websocket::{Fragments, WebSocket};
}

/// Connections for tests: `WebSocket::pair` of each driver makes a client and a server that are connected in memory.
pub mod testing {
    pub use super::pipe::Pipe;
}

pub use error::{Error, Timeout};
#[cfg(feature = "proxy")]
pub(crate) use error::{is_for_the_time_being, is_transient};
pub use lent::LentWriter;
pub use statistics::Statistics;
