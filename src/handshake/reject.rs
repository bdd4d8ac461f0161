//! The answer of a server that does not switch protocols.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::VERSION;
use super::error::{HeadError, InvalidArgument};
use super::headers::{Headers, write_line};

/// A request that is refused: why, and the HTTP response that says so (RFC 6455 §4.2.2).
///
/// [`write`](Self::write) gives the response as bytes. The connection is to be closed after it. Made by the handshake
/// for requests that are not in order, and with [`Request::reject`](super::server::Request::reject) for all others.
#[derive(Clone, PartialEq, Eq)]
pub struct Reject(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    reason: RejectReason,
    status: u16,
    headers: Headers,
    body: Vec<u8>,
    is_http1: bool,
}

/// Why a server refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// The request is not HTTP/1.1 (400), or too large (414, 431).
    #[error("the client's request cannot be read: {0}")]
    Head(#[from] HeadError),
    /// Another version than HTTP/1.1 (505).
    #[error("the client does not speak HTTP/1.1, which a WebSocket handshake needs; a proxy may need `HTTP/1.1` too")]
    HttpVersion,
    /// Another method than GET (405); for an extended CONNECT, another than CONNECT.
    #[error("the client's request has another method than a WebSocket handshake")]
    Method,
    /// An extended CONNECT to another protocol than `websocket` (501, RFC 9220 §3).
    #[error("the client asked for another protocol than `websocket`")]
    Protocol,
    /// A target that is neither a path nor an absolute http(s) URI (400, RFC 6455 §4.2.1).
    #[error("the client's request target is neither a path nor an http URI")]
    Target,
    /// A `Host` that is missing, repeated or malformed (400, RFC 9112 §3.2).
    #[error("the client's request does not have exactly one valid `Host` header")]
    Host,
    /// A request with a body (400).
    #[error("the client's request has a body, which a WebSocket handshake must not have")]
    Body,
    /// No `Upgrade: websocket` (426, RFC 6455 §4.2.1).
    #[error(
        "the client's request is no WebSocket handshake, for it lacks `Upgrade: websocket`; use a WebSocket client, and \
         let proxies hand the header on"
    )]
    Upgrade,
    /// No `Connection: upgrade` (426, RFC 6455 §4.2.1).
    #[error("the client's request lacks `Connection: Upgrade`; proxies must hand it on")]
    Connection,
    /// A `Sec-WebSocket-Key` that is missing, repeated or not 16 bytes in base64 (400, RFC 6455 §4.2.1).
    #[error("the client's request does not have exactly one valid `Sec-WebSocket-Key` header")]
    Key,
    /// Another version of the protocol than 13 (426, RFC 6455 §4.4).
    #[error("the client speaks another version of the WebSocket protocol than 13")]
    Version,
    /// A header that is missing, repeated or does not follow its grammar (400, RFC 6455 §4.3, §11.3).
    #[error("the client's `{0}` header is missing, repeated or malformed")]
    InvalidHeader(&'static str),
    /// A page from another site (403, RFC 6455 §10.2).
    #[error(
        "the page's origin {origin} is not allowed to connect to host {host}; if it should be, list it in \
         `Origins::List`, let a proxy hand the `Host` header on, or accept `Origins::Any`"
    )]
    Origin {
        /// The value of `Origin`, or `(malformed)`.
        origin: Box<str>,
        /// The host and port that were asked for.
        host: Box<str>,
    },
    /// The application refused (the status it chose).
    #[error("the application refused the request")]
    Refused,
    /// The application gave something for the response that cannot be sent (500).
    #[error("the application's answer cannot be sent: {0}")]
    InvalidArgument(#[from] InvalidArgument),
}

impl RejectReason {
    fn status(&self) -> u16 {
        match self {
            Self::Head(HeadError::TargetTooLong { .. }) => 414,
            Self::Head(HeadError::TooLarge { .. } | HeadError::TooManyHeaders { .. }) => 431,
            Self::HttpVersion => 505,
            Self::Method => 405,
            Self::Protocol => 501,
            Self::Upgrade | Self::Connection | Self::Version => 426,
            Self::Origin { .. } => 403,
            Self::InvalidArgument(_) => 500,
            _ => 400,
        }
    }

    /// The headers that the status asks for.
    fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        match self {
            Self::Method => headers.push("Allow", b"GET"), // RFC 9110 §15.5.6
            Self::Upgrade | Self::Connection | Self::Version => {
                headers.push("Upgrade", b"websocket"); // RFC 9110 §15.5.22
                headers.push("Sec-WebSocket-Version", VERSION.as_bytes()); // §4.4
            }
            _ => {}
        }
        headers
    }

    fn body(&self) -> Vec<u8> {
        match self {
            Self::Refused => Vec::new(),
            // What the application did wrong is not the client's business.
            Self::InvalidArgument(_) => b"internal server error\n".to_vec(),
            _ => format!("{self}\n").into_bytes(),
        }
    }
}

impl Reject {
    /// A refusal of the application's. A status outside of 200 to 599 becomes 500.
    pub(crate) fn refused(status: u16) -> Self {
        let mut reject = Self::from(RejectReason::Refused);
        reject.0.status = if (200..=599).contains(&status) { status } else { 500 };
        reject
    }

    /// For a request that came over HTTP/2 or 3, where nothing is said about the connection, and nothing is upgraded.
    pub(crate) fn over_stream(mut self) -> Self {
        self.0.is_http1 = false;
        match self.0.reason {
            RejectReason::Method => self.0.headers = Headers::default(),
            RejectReason::Version => {
                self.0.status = 400;
                self.0.headers = Headers::default();
                self.0.headers.push("Sec-WebSocket-Version", VERSION.as_bytes());
            }
            _ => {}
        }
        self
    }

    /// Adds a header line; repeated ones stay repeated. A header that cannot be sent, or that the response has of
    /// itself (`Connection`, `Content-Length`, `Transfer-Encoding`), makes the whole refusal a 500 that says so to the
    /// [`reason`](Self::reason), so that nothing unintended is sent.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.0.headers.push_checked(name, value.as_ref(), RESERVED) {
            let is_http1 = self.0.is_http1;
            self = error.into();
            self.0.is_http1 = is_http1;
        }
        self
    }

    /// The body, instead of the one that states the reason; plain text in UTF-8, unless a `Content-Type` header says
    /// otherwise.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if !matches!(self.0.reason, RejectReason::InvalidArgument(_)) {
            self.0.body = body.into();
        }
        self
    }

    /// Why the request was refused.
    pub fn reason(&self) -> &RejectReason {
        &self.0.reason
    }

    /// The status code of the response.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Appends the response to `out` as HTTP/1.1. Close the connection after it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let status = self.0.status;
        out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", phrase(status)).as_bytes());
        for (name, value) in self.headers() {
            write_line(out, name, &value);
        }
        out.extend_from_slice(b"\r\n");
        if self.has_body() {
            out.extend_from_slice(&self.0.body);
        }
    }

    /// The response as HTTP/1.1.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut response = Vec::new();
        self.write(&mut response);
        response
    }

    /// All headers of the response.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
        let own = self.0.headers.iter().map(|(name, value)| (name, Cow::Borrowed(value)));
        let is_upgrade = self.0.headers.get("Upgrade").is_some();
        // RFC 9110 §7.8: who sends Upgrade also sends it as a connection option.
        let connection: &[u8] = if is_upgrade { b"Upgrade, close" } else { b"close" };
        let connection = self.0.is_http1.then_some(("Connection", Cow::Borrowed(connection)));
        let is_text = !self.0.body.is_empty() && self.0.headers.get("Content-Type").is_none();
        let content_type = is_text.then_some(("Content-Type", Cow::Borrowed(&b"text/plain; charset=utf-8"[..])));
        let length = self.has_body().then(|| Cow::Owned(format!("{}", self.0.body.len()).into_bytes()));
        let length = length.map(|length| ("Content-Length", length));
        own.chain(connection).chain(content_type).chain(length)
    }

    #[cfg(feature = "http")]
    pub(crate) fn into_body(self) -> Vec<u8> {
        if self.has_body() { self.0.body } else { Vec::new() }
    }

    /// RFC 9110 §15.3.5, §15.4.5: these have none, not even an empty one.
    fn has_body(&self) -> bool {
        !matches!(self.0.status, 204 | 304)
    }
}

impl From<RejectReason> for Reject {
    fn from(reason: RejectReason) -> Self {
        let (status, headers, body) = (reason.status(), reason.headers(), reason.body());
        Self(Box::new(Inner { reason, status, headers, body, is_http1: true }))
    }
}

impl From<HeadError> for Reject {
    fn from(error: HeadError) -> Self {
        RejectReason::Head(error).into()
    }
}

impl From<InvalidArgument> for Reject {
    fn from(error: InvalidArgument) -> Self {
        RejectReason::InvalidArgument(error).into()
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (status {})", self.0.reason, self.0.status)
    }
}

impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reject = f.debug_struct("Reject");
        reject.field("reason", &self.0.reason).field("status", &self.0.status).field("headers", &self.0.headers);
        reject.field("body", &format_args!("{} bytes", self.0.body.len())).finish()
    }
}

impl core::error::Error for Reject {}

/// What the response says of itself.
const RESERVED: &[&str] = &["Connection", "Content-Length", "Transfer-Encoding"];

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
