//! The server's side of the opening handshake (RFC 6455 §4.2).
//!
//! ```
//! use sockeye::{Config, Origins, Reject, server};
//!
//! fn answer(request: &server::Request, config: &Config) -> Result<sockeye::Connection, Reject> {
//!     if request.path() != "/chat" {
//!         return Err(request.reject(404));
//!     }
//!     if request.headers().get("Authorization").is_none() {
//!         return Err(request.reject(401).header("WWW-Authenticate", "Basic realm=\"chat\""));
//!     }
//!     request.accept(Origins::Same)?.select(&["chat"]).header("Set-Cookie", "seen=1").connect(config)
//! }
//!
//! let request = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Basic YTpi\r\n\r\n";
//! let config = Config::DEFAULT;
//! let mut input = &request[..];
//! let request = server::Handshake::new(&config).receive(&mut input)?.expect("the whole request");
//! let mut connection = answer(&request, &config)?;
//! assert!(connection.writer().outbox().queued() > 0); // the 101
//! # Ok::<_, Reject>(())
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::authority::Authority;
use super::error::{HeadError, InvalidArgument};
use super::head::{Head, HeadBuffer, HeadKind};
use super::headers::{Found, Headers};
use super::lists::{Extensions, Tokens, contains_word, is_extension_list, is_token, is_token_list};
use super::origin::Origins;
use super::reject::{Reject, RejectReason};
use super::{VERSION, accept_key, is_key};
use crate::config::Config;
use crate::connection::{Agreed, Connection};
#[cfg(feature = "deflate")]
use crate::deflate::negotiation;
use crate::frame::Role;

/// A request under way, from bytes that come in any pieces.
///
/// It owns the bytes received so far, within `Config::max_head_size`, and nothing else.
pub struct Handshake {
    state: State,
}

enum State {
    Head(HeadBuffer),
    Received,
    Rejected(RejectReason),
}

impl Handshake {
    /// A handshake that waits for its first byte. The limits are those of `config`.
    pub fn new(config: &Config) -> Self {
        Self { state: State::Head(HeadBuffer::new(HeadKind::Request, config)) }
    }

    /// Takes bytes up to the end of the request and leaves the rest, which are frames, in `input`. `None` means that
    /// the request goes on: read more. After the request nothing more is taken.
    ///
    /// A caller whose buffer is `&mut [u8]` passes a shared view of it, and finds its frames in as many bytes at the
    /// buffer's end as are left in `input`.
    ///
    /// The request is checked as HTTP/1.1 (RFC 9112) here, and as a WebSocket handshake by
    /// [`accept`](Request::accept), so that an application can answer other requests itself.
    ///
    /// # Errors
    /// The request is malformed, too large, or one that no WebSocket server can answer otherwise. Send the [`Reject`]
    /// and close. Repeated calls discard the input and repeat the error.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Request>, Reject> {
        let received = match &mut self.state {
            State::Head(buffer) => buffer.receive(input),
            State::Received => return Ok(None),
            State::Rejected(reason) => {
                *input = &[];
                return Err(reason.clone().into());
            }
        };
        let request = match received {
            Ok(None) => return Ok(None),
            Ok(Some(head)) => Request::from_head(head),
            Err(error) => Err(error.into()),
        };
        self.state = match &request {
            Ok(_) => State::Received,
            Err(reject) => State::Rejected(reject.reason().clone()),
        };
        if request.is_err() {
            *input = &[];
        }
        request.map(Some)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head(_) => "waiting",
            State::Received => "received",
            State::Rejected(_) => "rejected",
        };
        write!(f, "Handshake({state})")
    }
}

/// A valid HTTP request that may be a WebSocket handshake.
///
/// `Debug` shows neither the query nor the values of headers, for they may be secret.
#[derive(Clone)]
pub struct Request {
    /// The path and query.
    resource: Box<str>,
    host: Box<str>,
    headers: Headers,
    kind: Kind,
}

/// How the WebSocket is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Upgrade` in HTTP/1.1.
    Upgrade,
    /// The extended CONNECT of RFC 8441 and RFC 9220.
    #[cfg_attr(not(feature = "http"), allow(dead_code))]
    Connect,
}

impl Request {
    fn from_head(head: Head) -> Result<Self, Reject> {
        let line = RequestLine::parse(&head.start_line)?;
        Self::upgrade(line.method, line.target, head.headers)
    }

    /// A request in HTTP/1.1, whoever parsed it.
    pub(crate) fn upgrade(method: &str, target: &str, headers: Headers) -> Result<Self, Reject> {
        if method != "GET" {
            return Err(RejectReason::Method.into());
        }
        // RFC 9112 §3.2: every request in HTTP/1.1 has one Host, even if its target makes it void.
        let Found::Once(host) = headers.only("Host") else { return Err(RejectReason::Host.into()) };
        let host = str::from_utf8(host).ok().filter(|host| Authority::parse(host).is_some());
        let host = host.ok_or(RejectReason::Host)?;
        let (authority, resource) = split_target(target).ok_or(RejectReason::Target)?;
        if has_body(&headers) {
            return Err(RejectReason::Body.into());
        }
        let host = authority.unwrap_or(host).into();
        Ok(Self { resource, host, headers, kind: Kind::Upgrade })
    }

    /// An extended CONNECT.
    #[cfg(feature = "http")]
    pub(crate) fn connect(authority: &str, resource: &str, headers: Headers) -> Result<Self, Reject> {
        Authority::parse(authority).ok_or(RejectReason::Host)?;
        Ok(Self { resource: resource.into(), host: authority.into(), headers, kind: Kind::Connect })
    }

    /// The path of the target, as it was sent: percent-encoded, and with its leading slash.
    pub fn path(&self) -> &str {
        self.resource.split_once('?').map_or(&*self.resource, |(path, _)| path)
    }

    /// The query of the target, as it was sent, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.resource.split_once('?').map(|(_, query)| query)
    }

    /// The path and query, which RFC 6455 §3 calls the resource name.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The host, and the port if it was sent: from `Host`, or from the target if that is a whole URI, or from
    /// `:authority`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the page comes from whose script connects, as the browser says; nothing if it is not a browser.
    /// [`accept`](Self::accept) judges it.
    pub fn origin(&self) -> Option<&[u8]> {
        self.headers.get("Origin")
    }

    /// All headers in their order.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The subprotocols that the client offers, the most wanted first (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.lists("Sec-WebSocket-Protocol").flat_map(Tokens::new)
    }

    /// The extensions that the client offers, the most wanted first (RFC 6455 §9.1). Offers behind a malformed one are
    /// not shown; [`accept`](Self::accept) refuses them all.
    pub fn extensions(&self) -> impl Iterator<Item = super::Extension<'_>> {
        self.lists("Sec-WebSocket-Extensions").flat_map(Extensions::new)
    }

    fn lists(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).filter_map(|list| str::from_utf8(list).ok())
    }

    /// Judges the request as a WebSocket handshake (RFC 6455 §4.2.1), from a page that `origins` allows.
    ///
    /// # Errors
    /// It is none, or not in order, or the page is not allowed. Send the [`Reject`] and close.
    pub fn accept(&self, origins: Origins<'_>) -> Result<Accept, Reject> {
        self.check(origins).map_err(|reject| self.over_its_protocol(reject))
    }

    fn check(&self, origins: Origins<'_>) -> Result<Accept, Reject> {
        let key = match self.kind {
            Kind::Upgrade => Some(self.check_upgrade()?),
            Kind::Connect => None, // RFC 8441 §5: the key is not used
        };
        self.check_version()?;
        let subprotocols = self.joined("Sec-WebSocket-Protocol", is_token_list)?;
        let extensions = self.joined("Sec-WebSocket-Extensions", is_extension_list)?;
        let origin = match self.headers.only("Origin") {
            Found::Nothing => None,
            Found::Once(origin) => Some(origin),
            Found::Repeated => return Err(RejectReason::InvalidHeader("Origin").into()),
        };
        origins.check(origin, &self.host)?;
        Ok(Accept {
            key: key.map(accept_key),
            subprotocols,
            extensions,
            agreed: Agreed::default(),
            answer: None,
            headers: Headers::default(),
            invalid: None,
        })
    }

    fn check_upgrade(&self) -> Result<&[u8], Reject> {
        if !self.headers.get_all("Upgrade").any(|list| contains_word(list, "websocket")) {
            return Err(RejectReason::Upgrade.into());
        }
        if !self.headers.get_all("Connection").any(|list| contains_word(list, "upgrade")) {
            return Err(RejectReason::Connection.into());
        }
        match self.headers.only("Sec-WebSocket-Key") {
            Found::Once(key) if is_key(key) => Ok(key),
            _ => Err(RejectReason::Key.into()),
        }
    }

    fn check_version(&self) -> Result<(), Reject> {
        match self.headers.only("Sec-WebSocket-Version") {
            Found::Once(version) if version == VERSION.as_bytes() => Ok(()),
            Found::Once(_) => Err(RejectReason::Version.into()), // §4.4
            Found::Nothing | Found::Repeated => Err(RejectReason::InvalidHeader("Sec-WebSocket-Version").into()),
        }
    }

    /// §9.1, §11.3.4: several lines are one list.
    fn joined(&self, name: &'static str, is_valid: fn(&str) -> bool) -> Result<Box<str>, Reject> {
        let mut joined = String::new();
        for line in self.headers.get_all(name) {
            let list = str::from_utf8(line).ok().filter(|list| is_valid(list));
            let list = list.ok_or(RejectReason::InvalidHeader(name))?;
            if !joined.is_empty() {
                joined.push_str(", ");
            }
            joined.push_str(list);
        }
        Ok(joined.into())
    }

    /// Refuses the request with any status, headers and body: 401 with `WWW-Authenticate`, 302 with `Location`, 404.
    /// Plain requests can be answered this way too, with 200. A status outside of 200 to 599 becomes 500.
    pub fn reject(&self, status: u16) -> Reject {
        self.over_its_protocol(Reject::refused(status))
    }

    fn over_its_protocol(&self, reject: Reject) -> Reject {
        if self.kind == Kind::Connect { reject.over_stream() } else { reject }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut request = f.debug_struct("Request");
        request.field("path", &self.path()).field("host", &self.host).field("headers", &self.headers).finish()
    }
}

/// A WebSocket handshake that is in order: choose what to agree on, then connect.
///
/// A choice or header that cannot be sent is an error at the end, of [`connect`](Self::connect) or of `into_http`.
#[must_use = "the client waits for the response that `connect` makes"]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`, in HTTP/1.1.
    pub(crate) key: Option<[u8; 28]>,
    subprotocols: Box<str>,
    extensions: Box<str>,
    agreed: Agreed,
    /// The answer to the extensions, once it is decided: the value of `Sec-WebSocket-Extensions`, or empty for none.
    answer: Option<Box<str>>,
    headers: Headers,
    /// The first thing the caller did wrong.
    invalid: Option<InvalidArgument>,
}

impl Accept {
    /// The subprotocols that the client offers, the most wanted first (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> Tokens<'_> {
        Tokens::new(&self.subprotocols)
    }

    /// The extensions that the client offers, the most wanted first (RFC 6455 §9.1).
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions::new(&self.extensions)
    }

    /// What was agreed on so far.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Chooses the first of the client's subprotocols that is among `supported`, or none. Names are compared with
    /// their case (RFC 6455 §4.2.2).
    pub fn select(mut self, supported: &[&str]) -> Self {
        let chosen = self.subprotocols().find(|offered| supported.contains(offered)).map(Box::from);
        self.agreed.set_subprotocol(chosen);
        self
    }

    /// Chooses this subprotocol, which the client must have offered (RFC 6455 §4.2.2).
    pub fn subprotocol(mut self, chosen: &str) -> Self {
        if self.subprotocols().any(|offered| offered == chosen) {
            self.agreed.set_subprotocol(Some(chosen.into()));
        } else {
            self.invalid.get_or_insert(InvalidArgument::UnofferedSubprotocol(chosen.into()));
        }
        self
    }

    /// Agrees to permessage-deflate as `config` says (RFC 7692 §5): to the first of the client's offers that is in order.
    /// The connection goes on without compression if there is none, or if the configuration does not ask for it.
    ///
    /// [`connect`](Self::connect) does so by itself, unless this was called before. [`write`](Self::write) and `into_http`
    /// have no configuration, and do not. Open the connection with the same one.
    ///
    /// ```
    /// # use sockeye::{Config, Connection, Deflate, Origins, Reject, Role, server};
    /// # fn answer(request: &server::Request, out: &mut Vec<u8>) -> Result<Connection, Reject> {
    /// let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT));
    /// let agreed = request.accept(Origins::Same)?.deflate(&config).write(out)?;
    /// Ok(Connection::open(Role::Server, agreed, &config))
    /// # }
    /// ```
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, config: &Config) -> Self {
        let answer = config.deflate.and_then(|deflate| negotiation::answer(&deflate.parameters, self.extensions()));
        let (answer, agreed) = answer.unzip();
        self.answer = Some(answer.unwrap_or_default().into());
        self.agreed.set_deflate(agreed);
        self
    }

    /// Adds a header line to the response, for instance `Set-Cookie`; repeated ones stay repeated.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.headers.push_checked(name, value.as_ref(), RESERVED) {
            self.invalid.get_or_insert(error);
        }
        self
    }

    /// Opens the connection. The 101 is the first thing in its outbox, what is sent comes behind it, and what is left
    /// of the input is the first input of the connection. For a request that came from another HTTP stack, which sends
    /// the response itself, use `into_http` instead.
    ///
    /// Permessage-deflate is agreed to as the configuration says, unless that is decided already. For an extended
    /// CONNECT nothing is agreed to by itself, for nothing here would tell the client.
    ///
    /// # Errors
    /// A header or subprotocol given here cannot be sent. The [`Reject`] is a 500.
    pub fn connect(self, config: &Config) -> Result<Connection, Reject> {
        #[cfg(feature = "deflate")]
        let accept = if self.answer.is_none() && self.key.is_some() { self.deflate(config) } else { self };
        #[cfg(not(feature = "deflate"))]
        let accept = self;
        let mut response = Vec::new();
        let agreed = accept.write(&mut response)?;
        let mut connection = Connection::open(Role::Server, agreed, config);
        connection.writer().push_head(&response);
        Ok(connection)
    }

    /// Appends the 101 to `out`, for those who put a [`Connection`] together themselves. An extended CONNECT is answered
    /// by the stack that it came from, so nothing is appended for it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn write(self, out: &mut Vec<u8>) -> Result<Agreed, Reject> {
        let is_upgrade = self.key.is_some();
        let (headers, agreed) = self.into_response()?;
        if is_upgrade {
            out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
            headers.write(out);
            out.extend_from_slice(b"\r\n");
        }
        Ok(agreed)
    }

    /// The headers of the response (RFC 6455 §4.2.2).
    pub(crate) fn into_response(self) -> Result<(Headers, Agreed), Reject> {
        if let Some(error) = self.invalid {
            return Err(error.into());
        }
        let mut headers = Headers::default();
        if let Some(key) = self.key {
            headers.push("Upgrade", b"websocket");
            headers.push("Connection", b"Upgrade");
            headers.push("Sec-WebSocket-Accept", &key);
        }
        if let Some(subprotocol) = self.agreed.subprotocol() {
            headers.push("Sec-WebSocket-Protocol", subprotocol.as_bytes());
        }
        if let Some(answer) = self.answer.filter(|answer| !answer.is_empty()) {
            headers.push("Sec-WebSocket-Extensions", answer.as_bytes());
        }
        self.headers.iter().for_each(|(name, value)| headers.push(name, value));
        Ok((headers, self.agreed))
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").field("agreed", &self.agreed).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// `method SP target SP HTTP-version` (RFC 9112 §3).
struct RequestLine<'a> {
    method: &'a str,
    target: &'a str,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Reject> {
        let line = str::from_utf8(line).map_err(|_| HeadError::StartLine)?;
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadError::StartLine.into());
        };
        if !is_token(method) || target.is_empty() {
            return Err(HeadError::StartLine.into());
        }
        match version.strip_prefix("HTTP/").map(str::as_bytes) {
            Some(b"1.1") => Ok(Self { method, target }),
            Some([b'0'..=b'9', b'.', b'0'..=b'9']) => Err(RejectReason::HttpVersion.into()),
            _ => Err(HeadError::StartLine.into()),
        }
    }
}

/// The authority of a target, if it has one, and its path and query (RFC 6455 §4.2.1, RFC 9112 §3.2).
fn split_target(target: &str) -> Option<(Option<&str>, Box<str>)> {
    if target.contains('#') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    if target.starts_with('/') {
        return Some((None, target.into()));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let (authority, resource) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    Authority::parse(authority)?;
    let slash = if resource.starts_with('/') { "" } else { "/" };
    Some((Some(authority), [slash, resource].concat().into()))
}

/// Whether a body follows, which could be taken for frames, or for the next request.
fn has_body(headers: &Headers) -> bool {
    let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|&digit| digit == b'0');
    headers.get("Transfer-Encoding").is_some() || !headers.get_all("Content-Length").all(is_zero)
}

/// What the response says of itself, or must not say.
const RESERVED: &[&str] = &[
    "Connection",
    "Content-Length",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Transfer-Encoding",
    "Upgrade",
];
