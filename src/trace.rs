//! All that is ever told to `tracing`, in one place; nothing where the feature is off.
//!
//! Nothing here is about a message, and nothing shows payloads, reasons of closing, headers, queries or credentials, but
//! for the subprotocol or extension for which a handshake failed. What goes well is `DEBUG`. What a peer can bring about
//! at will is no more than `INFO`, so that nobody outside can fill the log of warnings.

#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

#[cfg(any(feature = "tokio", feature = "futures"))]
use core::future::poll_fn;
#[cfg(any(feature = "tokio", feature = "futures"))]
use core::pin::Pin;

use crate::connection::Closure;
use crate::frame::Role;
use crate::io::Error;

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $($what:tt)+) => { ::tracing::event!(target: "sockeye", ::tracing::Level::$level, $($what)+) };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($($what:tt)+) => {{}};
}

/// The connection has failed.
#[cold]
pub(crate) fn failed(role: Role, error: &Error) {
    event!(INFO, role = name(role), %error, "the connection has failed");
}

/// The connection has ended. The reason is not shown: it may quote what a user typed.
pub(crate) fn closed(role: Role, closure: &Closure) {
    let Closure { code, by_peer, was_clean, .. } = closure;
    event!(DEBUG, role = name(role), code = code.0, by_peer, was_clean, "the connection has ended");
}

/// A client is about to open a socket, to a server or a proxy.
#[cfg(feature = "connect")]
pub(crate) fn dialing(host: &str, port: u16) {
    event!(DEBUG, host, port, "connecting");
}

/// It did not come as far as the opening handshake.
#[cfg(feature = "connect")]
pub(crate) fn unreachable(error: &Error) {
    event!(INFO, %error, "not connected");
}

/// A client that stays connected makes an attempt.
#[cfg(feature = "tokio")]
pub(crate) fn attempting(failures: u32) {
    event!(DEBUG, failures, "making an attempt to connect");
}

/// A client that stays connected waits before its next attempt.
#[cfg(feature = "tokio")]
pub(crate) fn waiting(delay: core::time::Duration, why: &impl core::fmt::Display) {
    event!(INFO, ?delay, %why, "waiting before the next attempt to connect");
}

/// The span of an opening handshake, with one event at its end.
#[cfg(feature = "handshake")]
pub(crate) struct Opening {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "handshake")]
impl Opening {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: "sockeye", "handshake", role = name(role)),
        }
    }

    /// The whole of it.
    pub(crate) fn run<T>(self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.within(|| told(work()))
    }

    /// The same, a poll at a time.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) async fn drive<T>(
        self,
        mut opening: impl Future<Output = Result<T, Error>> + Unpin,
    ) -> Result<T, Error> {
        poll_fn(|cx| self.within(|| Pin::new(&mut opening).poll(cx).map(told))).await
    }

    fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tracing")]
        return self.span.in_scope(work);
        #[cfg(not(feature = "tracing"))]
        work()
    }
}

/// How an opening handshake has ended.
#[cfg(feature = "handshake")]
fn told<T>(result: Result<T, Error>) -> Result<T, Error> {
    match &result {
        Ok(_) => event!(DEBUG, "the connection is open"),
        Err(Error::Rejected(reject)) => event!(INFO, status = reject.status(), "refused the handshake"),
        Err(error) => event!(INFO, status = error.status(), %error, "the handshake has failed"),
    }
    result
}

#[cfg(feature = "tracing")]
fn name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}
