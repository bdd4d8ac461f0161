//! Errors, by whose fault they are: [`ProtocolError`] is the peer's, [`SendError`] the caller's.

use core::fmt;

use crate::close::CloseCode;
use crate::message::{Message, Reply};

/// The peer broke the protocol or a limit. The connection has failed: the Close that says so waits in the outbox, and
/// further input is discarded (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An RSV bit is set that no extension gave a meaning (§5.2).
    #[error(
        "the peer set a reserved bit that no agreed extension uses; check which extensions it believes were agreed"
    )]
    ReservedBits,
    /// An opcode of 3–7 or 11–15 (§5.2).
    #[error("the peer sent a frame with the reserved opcode {0:#x}; it may not be speaking WebSocket")]
    ReservedOpcode(u8),
    /// A client's frame without a masking key (§5.1).
    #[error("the client sent a frame that is not masked; it must mask every frame, over TLS too")]
    UnmaskedFrame,
    /// A server's frame with a masking key (§5.1).
    #[error("the server sent a masked frame; only clients may mask")]
    MaskedFrame,
    /// A payload length in a longer form than it needs (§5.2).
    #[error(
        "the peer encoded a payload length in more bytes than needed; `Config::accept_long_lengths` tolerates that"
    )]
    NonMinimalLength,
    /// A 64-bit payload length with its highest bit set (§5.2).
    #[error("the peer announced a payload of 2^63 bytes or more, which RFC 6455 does not allow")]
    LengthOverflow,
    /// A control frame of more than 125 bytes (§5.5).
    #[error("the peer sent a control frame of more than 125 bytes; larger data belongs into a message")]
    ControlFrameTooLong,
    /// A control frame that is not final (§5.5).
    #[error("the peer fragmented a control frame, which RFC 6455 does not allow")]
    FragmentedControlFrame,
    /// A continuation frame with no message to continue (§5.4).
    #[error("the peer continued a message that it had not started")]
    UnexpectedContinuation,
    /// A text or binary frame inside an unfinished message (§5.4).
    #[error("the peer started a message before it had finished the one before")]
    ExpectedContinuation,
    /// A text message that is not UTF-8 (§8.1).
    #[error("the peer sent a text message that is not UTF-8; bytes of any kind belong into a binary message")]
    InvalidUtf8,
    /// A compressed message that is not valid DEFLATE, or does not end where a block ends (RFC 7692 §7.2.2).
    #[error(
        "the peer sent a compressed message that cannot be inflated; its compressor may be out of step with its frames"
    )]
    InvalidDeflate,
    /// A Close frame with a payload of one byte (§5.5.1).
    #[error("the peer sent a Close frame with half a close code")]
    TruncatedCloseCode,
    /// A close code that may not travel (§7.4).
    #[error("the peer closed with the code {0}, which must not be sent")]
    InvalidCloseCode(CloseCode),
    /// A close reason that is not UTF-8 (§8.1).
    #[error("the peer sent a close reason that is not UTF-8")]
    InvalidCloseReason,
    /// A message over the limit (§10.4).
    #[error(
        "the peer sent a message of more than {limit} bytes; raise `Config::max_message_size`, or `max_streamed_size` if it comes in parts"
    )]
    MessageTooBig {
        /// The limit in bytes.
        limit: u64,
    },
    /// A message in more frames, or in more final DEFLATE blocks, than the limit (§10.4).
    #[error("the peer cut a message into more than {limit} frames; raise `Config::max_fragments` if it must")]
    TooManyFragments {
        /// The limit in frames.
        limit: u32,
    },
}

impl ProtocolError {
    /// The close code that tells the peer (RFC 6455 §7.4.1).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => CloseCode::MESSAGE_TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The Close frame that tells the peer, for [`Writer::reply`](crate::Writer::reply).
    #[must_use = "a reply is to be sent"]
    pub fn reply(&self) -> Reply {
        Reply::close(self.close_code())
    }
}

/// The caller asked for something this connection cannot send now. Nothing was sent; the message comes back.
#[derive(Clone, PartialEq)]
pub struct SendError<'m> {
    pub(crate) kind: SendErrorKind,
    pub(crate) message: Option<Message<'m>>,
}

/// What the caller did, see [`SendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// This end sent Close already; "the application MUST NOT send any more data frames" (RFC 6455 §5.5.1).
    #[error("this end has closed the connection already; stop sending after `close`")]
    Closed,
    /// The connection has ended, by the peer's doing or the transport's.
    #[error("the connection has ended; `closure`, or the error that the receiver was given, says why")]
    Ended,
    /// A client that reconnects is not connected at present, or lost its connection before it took the message. It
    /// keeps nothing to send later.
    #[error("there is no connection at present; send again once it is open, if the message is of use by then")]
    Disconnected,
    /// The outbox holds its capacity or more.
    #[error("the outbox is full, because the peer reads too slowly; flush it before sending, or drop the message")]
    Full,
    /// A message started with `start` is unfinished; no other may begin before its end (RFC 6455 §5.4).
    #[error("a streamed message is unfinished; `resume` and `finish` it before sending another")]
    Unfinished,
    /// A piece of text in a binary message, or the other way round.
    #[error("a streamed message keeps the type it was started with; write pieces of that type")]
    WrongKind,
    /// A ping, pong or close payload of more than 125 bytes (RFC 6455 §5.5).
    #[error("a control frame carries at most 125 bytes; shorten the payload or the close reason")]
    ControlFrameTooLong,
    /// A close code that must not travel (RFC 6455 §7.4).
    #[error("the close code {0} must not be sent; use 1000, or a code of your own from 4000 to 4999")]
    InvalidCloseCode(CloseCode),
}

impl<'m> SendError<'m> {
    /// What the caller did.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// The message that was not sent, if it was one.
    pub fn into_message(self) -> Option<Message<'m>> {
        self.message
    }
}

impl From<SendErrorKind> for SendError<'_> {
    fn from(kind: SendErrorKind) -> Self {
        Self { kind, message: None }
    }
}

impl From<SendError<'_>> for SendErrorKind {
    fn from(error: SendError<'_>) -> Self {
        error.kind
    }
}

impl fmt::Display for SendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Debug for SendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.kind).finish()
    }
}

impl core::error::Error for SendError<'_> {}
