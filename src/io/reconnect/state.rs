//! What a client that reconnects is doing, and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::close::CloseCode;
use crate::connection::Closure;
use crate::handshake::HandshakeError;
use crate::io::Error;

/// What a [`Reconnect`](super::Reconnect) is doing.
///
/// ```text
///                       connected
///    Connecting ──────────────────▶ Open
///     ▲      │ failed                │ lost
///     │      └─────▶  Waiting  ◀─────┘
///     └─ delay over ─────┘
///
///    each ──▶ Closed   by `close`, or where trying again is of no use
/// ```
#[derive(Clone, Debug)]
pub enum State {
    /// The connector is at work, or will be as soon as somebody waits for a message.
    Connecting(Attempt),
    /// Messages can be sent.
    Open,
    /// The connector is asked again later.
    Waiting {
        /// When.
        until: Instant,
        /// Why there is no connection.
        why: Arc<Cause>,
    },
    /// It is closed for good. Why, the receiver was told.
    Closed,
}

/// What a connector is told of the attempt it is to make.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Attempt {
    /// How many attempts have failed, or connections were lost, before this one, since one was
    /// [stable](crate::Backoff::stable_after). 0 for the first attempt of all.
    pub failures: u32,
    /// Why there is no connection. `None` for the first attempt of all.
    pub why: Option<Arc<Cause>>,
}

/// Why there is no connection. `Debug` is `Display`: a close reason may quote what a user typed.
#[derive(thiserror::Error)]
pub enum Cause {
    /// The connector failed, or the connection did.
    #[error(transparent)]
    Failed(#[from] Error),
    /// The connection was closed by the peer.
    #[error(
        "the peer closed the connection with the code {}; `Reconnect::retry_if` decides whether it is made again", .0.code
    )]
    Closed(Closure),
}

impl Cause {
    /// Whether to try again, unless [`Reconnect::retry_if`](super::Reconnect::retry_if) decides otherwise: after errors
    /// that are [transient](Error::is_transient), and after Close with one of these codes:
    ///
    /// | code | |
    /// |---|---|
    /// | 1001, 1012, 1013 | the server goes down, restarts, or is overloaded |
    /// | 1011, 1014 | it, or the one behind it, has failed |
    /// | 1005 | none: many servers close so whenever they end |
    ///
    /// Not after 1000: "the purpose for which the connection was established has been fulfilled" (RFC 6455 §7.4.1), and
    /// who reconnects then will not notice that it was. Nor after the codes that say what this end did wrong, nor after
    /// those from 3000 on, whose meaning the application alone knows.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::Closed(closure) => matches!(closure.code.0, 1001 | 1005 | 1011..=1014),
        }
    }

    /// The code of the peer's Close, if it closed the connection.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Failed(_) => None,
            Self::Closed(closure) => Some(closure.code),
        }
    }

    /// How long the server asks to wait, if it refused with `Retry-After`.
    pub(super) fn retry_after(&self) -> Duration {
        match self {
            Self::Failed(Error::Handshake(HandshakeError::Refused(refusal))) => refusal.retry_after(),
            _ => None,
        }
        .unwrap_or_default()
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
