//! Who takes part.

mod fastwebsockets;
mod floors;
mod sockeye;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod wtx;
mod yawc;

pub use self::fastwebsockets::Fastwebsockets;
pub use self::floors::{RawEpoll, RawTokio};
pub use self::sockeye::{Core, Driver, client};
pub use self::sockudo::Sockudo;
pub use self::soketto::Soketto;
pub use self::tokio_websockets::TokioWebsockets;
pub use self::tungstenite::Tungstenite;
pub use self::wtx::Wtx;
pub use self::yawc::Yawc;

use bytes::Bytes;

use crate::Outcome;
use crate::sink::Stream;

/// A server's connection over a stream of tokio's.
#[allow(async_fn_in_trait, reason = "all futures stay in this program's one thread")]
pub trait Peer<S: Stream>: Sized + 'static {
    const NAME: &'static str;

    /// Whether it has permessage-deflate.
    const COMPRESSES: bool;

    /// A text that many receivers are to have.
    type Text: 'static;

    /// The connection after its handshake; with permessage-deflate, neither end keeps its window.
    async fn open(stream: S, compress: bool) -> Self;

    fn text(text: &str, compress: bool) -> Self::Text;

    /// Hands a text for many to the kernel.
    async fn deliver(&mut self, text: &Self::Text) -> Outcome;

    /// Hands a large message to the kernel, however long that takes.
    async fn send(&mut self, payload: Bytes) -> Outcome;
}

/// A server's connection over a stream of the standard library's kind, which may refuse to block.
pub trait Blocking<S: std::io::Write>: Sized + 'static {
    const NAME: &'static str;

    type Text: 'static;

    fn open(stream: S, compress: bool) -> Self;

    fn text(text: &str, compress: bool) -> Self::Text;

    fn deliver(&mut self, text: &Self::Text) -> Outcome;

    /// Hands a large message to the kernel; `wait` returns when it may take more.
    fn send(&mut self, payload: Bytes, wait: impl FnMut(&S) -> Outcome) -> Outcome;
}
