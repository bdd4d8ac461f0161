//! What goes wrong in a handshake: [`HandshakeError`] is what a client sees, [`InvalidArgument`] is the caller's doing,
//! [`HeadError`] is a head that is not HTTP/1.1 or too large. What a server sees is a [`Reject`](super::Reject).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::headers::Headers;
use super::lists::Tokens;

/// Why a client's handshake failed. Nothing of the connection may be used as frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The caller asked for something that cannot be sent. Nothing was written.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidArgument),
    /// The response is not HTTP/1.1, or too large.
    #[error("the server's response cannot be read: {0}")]
    Head(#[from] HeadError),
    /// The server answered with something other than 101 (RFC 6455 §4.1).
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The server sent too many interim responses before its answer (RFC 9110 §15.2).
    #[error("the server sent more than {limit} interim responses and no answer; it is broken")]
    TooManyInterim {
        /// The limit in responses.
        limit: usize,
    },
    /// A 101 whose `Upgrade` is missing, repeated, or not `websocket` (RFC 6455 §4.1).
    #[error(
        "the server switched protocols, but its `Upgrade` header is not `websocket`; check that the URL leads to a \
         WebSocket server"
    )]
    Upgrade,
    /// A 101 whose `Connection` does not contain `upgrade` (RFC 6455 §4.1).
    #[error(
        "the server switched protocols, but its `Connection` header does not say `upgrade`; a proxy may have removed it"
    )]
    Connection,
    /// A 101 whose `Sec-WebSocket-Accept` is missing, repeated, or does not answer our key (RFC 6455 §4.1).
    #[error(
        "the server's `Sec-WebSocket-Accept` does not answer our key; the response may come from a cache, or from \
         something that is no WebSocket server"
    )]
    Accept,
    /// A 101 with an extension that was not offered (RFC 6455 §4.1).
    #[error("the server agreed to an extension that was not offered; it is broken")]
    UnofferedExtension,
    /// A 101 that agrees to permessage-deflate otherwise than it was offered (RFC 7692 §5.1, §7.1).
    #[cfg(feature = "deflate")]
    #[error("the server's answer to the offer of permessage-deflate is wrong: {0}; fix the server, or offer none")]
    ExtensionParameters(#[from] ParametersError),
    /// A 101 with a subprotocol that was not offered (RFC 6455 §4.1).
    #[error("the server chose the subprotocol \"{0}\", which was not offered; offer it, or fix the server")]
    UnofferedSubprotocol(Box<str>),
    /// A 101 without a subprotocol, although `Config::require_subprotocol` asks for one.
    #[error(
        "the server chose none of the subprotocols that were offered; `Config::require_subprotocol(false)` would go on \
         without one"
    )]
    NoSubprotocol,
    /// A header of a 101 that is repeated or does not follow its grammar (RFC 6455 §4.3, §11.3).
    #[error("the server's `{0}` header is repeated or malformed; the server is broken")]
    InvalidHeader(&'static str),
    /// The stream ended within the handshake.
    #[error(
        "the server closed the connection before it had answered the handshake; check the address, and whether it \
         wants TLS"
    )]
    Closed,
    /// This handshake had failed before.
    #[error("this handshake has failed already; start another on a new connection")]
    Ended,
}

impl HandshakeError {
    /// The same if it is a refusal.
    #[cfg(feature = "std")]
    pub(crate) fn refused(self) -> Option<Self> {
        matches!(self, Self::Refused(_)).then_some(self)
    }

    /// The status code of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status()),
            _ => None,
        }
    }
}

/// The answer of a server that did not switch protocols (RFC 6455 §4.1): its status, headers and the start of its body.
///
/// `Display` and `Debug` show the status alone, for the rest may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Refusal {
    /// The status code, for instance 401 or 503.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, for instance `Location` or `WWW-Authenticate`.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body, at most `Config::max_body_size` bytes of it; empty if the response came from an `http` type.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The versions of the protocol that the server would have accepted (RFC 6455 §4.4).
    pub fn versions(&self) -> impl Iterator<Item = u8> {
        let lists = self.headers.get_all("Sec-WebSocket-Version").filter_map(|list| str::from_utf8(list).ok());
        lists.flat_map(Tokens::new).filter_map(|version| version.parse().ok())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.status {
            300..=399 => "; it redirects to its `Location`",
            401 | 407 => "; it wants credentials",
            403 => "; it may refuse the `Origin`",
            404 => "; check the path",
            426 => "; it wants another protocol or version",
            500..=599 => "; try again later",
            _ => "",
        };
        write!(f, "the server refused the WebSocket with status {}{advice}", self.status)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut refusal = f.debug_struct("Refusal");
        refusal.field("status", &self.status).field("headers", &self.headers);
        refusal.field("body", &format_args!("{} bytes", self.body.len())).finish()
    }
}

/// A head that is not HTTP/1.1, or larger than the configuration allows (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A line feed without a carriage return before it (RFC 9112 §2.2).
    #[error("a line of the head ends in a bare LF; the peer must end lines with CR LF")]
    BareLineFeed,
    /// A carriage return without a line feed behind it (RFC 9112 §2.2).
    #[error("the head contains a bare CR; the peer must send it before LF only")]
    BareCarriageReturn,
    /// A control character (RFC 9110 §5.5).
    #[error("the head contains a control character; the peer may be speaking TLS or another protocol")]
    ControlCharacter,
    /// A header line that continues the one before (RFC 9112 §5.2).
    #[error("a header of the peer is folded over two lines, which is obsolete and not accepted")]
    FoldedLine,
    /// A request line or status line that does not follow its grammar (RFC 9112 §3, §4).
    #[error("the first line of the head is not HTTP/1.1; the peer may be speaking another protocol")]
    StartLine,
    /// A header line that does not follow its grammar (RFC 9112 §5).
    #[error("a header line of the peer is malformed; it needs a name, a colon right behind it, and a value")]
    HeaderLine,
    /// The head is over the limit.
    #[error("the head has more than {limit} bytes; send fewer headers or raise `Config::max_head_size`")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header lines than the limit.
    #[error("the head has more than {limit} header lines; send fewer or raise `Config::max_headers`")]
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },
    /// A request target over the limit.
    #[error("the request target has more than {limit} bytes; send a shorter one or raise `Config::max_target_size`")]
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// What is wrong with an element of `Sec-WebSocket-Extensions` that stands for permessage-deflate (RFC 7692 §7.1).
#[cfg(feature = "deflate")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// A server may agree to one offer only (§5).
    #[error("it agrees to more than one offer")]
    RepeatedExtension,
    /// A parameter that permessage-deflate does not have (§7.1).
    #[error("there is no parameter \"{0}\"")]
    Unknown(Box<str>),
    /// A parameter that comes twice (§7.1).
    #[error("`{0}` is repeated")]
    Repeated(&'static str),
    /// A parameter whose value is missing, is none of 8 to 15, or must not be there (§7.1.1, §7.1.2).
    #[error("the value of `{0}` is missing, superfluous or none of 8 to 15")]
    InvalidValue(&'static str),
    /// A parameter that was asked for, so that who agrees must answer it (§7.1.1.1, §7.1.2.1).
    #[error("`{0}` was asked for and is missing")]
    Missing(&'static str),
    /// A window that is larger than the offer allows (§7.1.2.1, §7.1.2.2).
    #[error("`{0}` is larger than what was offered")]
    TooLarge(&'static str),
}

/// The caller passed something that must not or cannot be sent. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgument {
    /// A URL that names no WebSocket server (RFC 6455 §3).
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A header name that is not a token (RFC 9110 §5.1); kept is its valid start.
    #[error("the header name that begins with {0:?} is none; use letters, digits and hyphens")]
    HeaderName(Box<str>),
    /// A header value with CR, LF, NUL or another control character, which could smuggle further headers in.
    #[error("the value for the header `{0}` contains a control character; remove it or encode it")]
    HeaderValue(Box<str>),
    /// A header that the handshake sets itself.
    #[error("the header `{0}` belongs to the handshake and cannot be set; look for a method that does what you want")]
    ReservedHeader(Box<str>),
    /// A subprotocol that is not a token (RFC 6455 §4.1).
    #[error("{0:?} is not a subprotocol; it needs one or more characters, without spaces and separators")]
    Subprotocol(Box<str>),
    /// A subprotocol offered twice (RFC 6455 §4.1).
    #[error("the subprotocol {0:?} is offered twice; offer each once, the most wanted first")]
    RepeatedSubprotocol(Box<str>),
    /// A server's choice that the client did not offer (RFC 6455 §4.2.2).
    #[error("the client did not offer the subprotocol {0:?}; choose one that it offered, or none")]
    UnofferedSubprotocol(Box<str>),
}

/// Why a URL names no WebSocket server (RFC 6455 §3). The URL is not shown, for it may contain secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// A scheme other than ws and wss.
    #[error("the URL does not begin with ws:// or wss://; write ws:// for http://, and wss:// for https://")]
    Scheme,
    /// User info before the host.
    #[error("the URL contains user info (`user:password@`); remove it and send an `Authorization` header")]
    UserInfo,
    /// A host that is not ASCII.
    #[error("the host in the URL is not ASCII; convert it to its `xn--` form")]
    NonAsciiHost,
    /// No host, or something that is none, or an impossible port.
    #[error("the URL has no valid host and port; an IPv6 address needs brackets")]
    Host,
    /// A fragment, which RFC 6455 §3 forbids.
    #[error("the URL contains a fragment; remove it, or write `%23` for a literal `#`")]
    Fragment,
    /// A space or control character.
    #[error("the URL contains a space or control character; percent-encode it")]
    Character,
    /// An absurd length.
    #[error("the URL has more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// A value of the peer's for people to read: bounded, and without anything that could forge a line.
pub(crate) fn shown(value: &[u8]) -> Box<str> {
    match value.split_at_checked(MAX_SHOWN) {
        Some((start, [_, ..])) => format!("{}...", start.escape_ascii()).into(),
        _ => format!("{}", value.escape_ascii()).into(),
    }
}

const MAX_SHOWN: usize = 200;
