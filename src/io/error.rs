//! The one error of the drivers.

use std::io;

use crate::close::CloseCode;
#[cfg(feature = "connect")]
use crate::connect::ConnectError;
use crate::error::{ProtocolError, SendError, SendErrorKind};
#[cfg(feature = "handshake")]
use crate::handshake::{HandshakeError, Reject};
use crate::timers::Expired;

/// Why a driver could not go on, by whose fault it is.
///
/// A connection reports its failure once; after that it has ended, and `recv` says `Ok(None)`. A closing handshake that
/// went well is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol or a limit. It was told why.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The caller asked for something that cannot be sent now. The connection is as it was.
    #[error(transparent)]
    Send(#[from] SendErrorKind),
    /// This client did not come as far as the opening handshake.
    #[cfg(feature = "connect")]
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// This client's opening handshake failed.
    #[cfg(feature = "handshake")]
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// This server refused the opening handshake. The client was told why, if it still listened.
    #[cfg(feature = "handshake")]
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The peer let a deadline pass.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The peer ended the stream without a Close frame (1006), in or between messages.
    #[error("the peer ended the stream without closing the connection; it crashed, or something between us cut it")]
    UnexpectedEof,
    /// The peer sent a text message where this end takes a stream of bytes. It was told so (1003).
    #[error("the peer sent a text message, and this end takes bytes only; it is to send them in binary messages")]
    UnexpectedText,
    /// A stream of bytes ended, and the peer did not say that it was complete, by closing normally.
    #[error(
        "the stream of bytes may be incomplete: the connection ended with {0}, where the peer closes a complete one with 1000"
    )]
    Incomplete(CloseCode),
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Io(#[from] io::Error),
}

/// A deadline that the peer let pass. Each is a setting of [`Config`](crate::Config), those before the opening handshake
/// of `Connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Timeout {
    /// The name of the server was not resolved in time.
    #[cfg(feature = "connect")]
    #[error(
        "the name service did not answer in time; `Connect::connect_timeout` sets how long it may take to reach a server"
    )]
    Resolve,
    /// No address of the server took the connection in time.
    #[cfg(feature = "connect")]
    #[error(
        "the server did not take the connection in time; `Connect::connect_timeout` sets how long it may take to reach it"
    )]
    Connect,
    /// The proxy did not make the tunnel in time.
    #[cfg(feature = "proxy")]
    #[error(
        "the proxy did not connect to the server in time; `Connect::connect_timeout` sets how long it may take to reach it"
    )]
    Proxy,
    /// The server, or a proxy, did not complete the handshake of TLS in time.
    #[cfg(feature = "rustls")]
    #[error(
        "the server did not complete the TLS handshake in time; `Connect::connect_timeout` sets how long it may take to \
         reach it"
    )]
    Tls,
    /// The opening handshake took too long.
    #[error(
        "the peer did not complete the opening handshake in time; `Config::handshake_timeout` sets how long it may take"
    )]
    Handshake,
    /// Nothing came for the whole timeout after a ping.
    #[error("the peer did not show a sign of life after a ping; `Config::pong_timeout` sets how long it may take")]
    Pong,
    /// The peer took no bytes for too long.
    #[error("the peer stopped reading; `Config::write_timeout` sets how long a write may make no progress")]
    Write,
    /// The peer did not answer Close, or did not end its stream after it.
    #[error(
        "the peer did not complete the closing handshake in time; `Config::close_timeout` sets how long it may take"
    )]
    Close,
    /// An attempt of a client that reconnects took too long, in whatever its connector waited for.
    #[error("the attempt to connect did not come to an end; `Reconnect::attempt_timeout` sets how long it may take")]
    Attempt,
}

impl Error {
    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether the same may succeed if it is tried again later, on a new connection: the network failed, a deadline
    /// passed, the stream ended, or a server refused for the time being, with 408, 425, 429 or a 5xx other than 501 and
    /// 505.
    ///
    /// Not so where the cause is the request, credentials, the certificate, the caller or a peer that breaks the protocol.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::UnexpectedEof => true,
            Self::Io(error) => is_transient(error.kind()),
            #[cfg(feature = "connect")]
            Self::Connect(error) => error.is_transient(),
            #[cfg(feature = "handshake")]
            Self::Handshake(HandshakeError::Closed) => true,
            #[cfg(feature = "handshake")]
            Self::Handshake(error) => error.status().is_some_and(is_for_the_time_being),
            #[cfg(feature = "handshake")]
            Self::Rejected(_) => false,
            Self::Protocol(_) | Self::Send(_) | Self::UnexpectedText | Self::Incomplete(_) => false,
        }
    }

    /// Whether a non-blocking stream just has nothing to give or no room now. Nothing has failed; call again later.
    pub fn is_would_block(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The close code that the peer was told.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::UnexpectedText => Some(CloseCode::UNSUPPORTED_DATA),
            _ => None,
        }
    }

    /// The HTTP status of a refused handshake.
    #[cfg(feature = "handshake")]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Handshake(error) => error.status(),
            Self::Rejected(reject) => Some(reject.status()),
            _ => None,
        }
    }
}

impl From<SendError<'_>> for Error {
    fn from(error: SendError<'_>) -> Self {
        Self::Send(error.kind())
    }
}

/// The transport's error as it was, any other inside of one of the kind that fits it best.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Io(error) => return error,
            Error::Protocol(_) | Error::UnexpectedText => io::ErrorKind::InvalidData,
            Error::Send(SendErrorKind::Closed | SendErrorKind::Ended) => io::ErrorKind::BrokenPipe,
            Error::Send(SendErrorKind::Full) => io::ErrorKind::WouldBlock,
            Error::Send(_) => io::ErrorKind::InvalidInput,
            #[cfg(feature = "connect")]
            Error::Connect(_) => io::ErrorKind::NotConnected,
            #[cfg(feature = "handshake")]
            Error::Handshake(_) | Error::Rejected(_) => io::ErrorKind::InvalidData,
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::UnexpectedEof => io::ErrorKind::UnexpectedEof,
            Error::Incomplete(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

impl Timeout {
    /// The deadline that expired, if it was one.
    pub(crate) fn from_expired(expired: Expired) -> Option<Self> {
        match expired {
            Expired::SendPing(_) | Expired::Idle => None,
            Expired::Unresponsive => Some(Self::Pong),
            Expired::CloseTimedOut => Some(Self::Close),
            Expired::HandshakeTimedOut => Some(Self::Handshake),
            Expired::WriteStalled => Some(Self::Write),
        }
    }
}

/// Whether the network may be better later. A name that cannot be resolved has no kind of its own, and neither have many
/// other failures of a network; TLS reports what it does not accept, such as a certificate, as invalid data.
pub(crate) fn is_transient(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    !matches!(kind, InvalidInput | InvalidData | PermissionDenied | Unsupported | OutOfMemory | WouldBlock)
}

/// Whether a refusal with this status says nothing of the next attempt.
#[cfg(feature = "handshake")]
pub(crate) fn is_for_the_time_being(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=599)
}
