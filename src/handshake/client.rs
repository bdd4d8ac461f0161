//! The client's side of the opening handshake (RFC 6455 §4.1).
//!
//! ```
//! use sockeye::{Config, HandshakeError, client, handshake};
//!
//! let config = Config::DEFAULT;
//! let mut out = Vec::new(); // goes to the server
//! let mut pending = client::Request::get("ws://example.com/chat?room=1")?
//!     .protocol("chat")
//!     .header("Authorization", "Bearer abc")
//!     .write(handshake::nonce(), &config, &mut out)?;
//!
//! let mut input = &b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno room 1"[..]; // comes back
//! let Err(HandshakeError::Refused(refusal)) = pending.receive(&mut input) else { panic!() };
//! assert_eq!((refusal.status(), refusal.body()), (404, &b"no room 1"[..]));
//! # Ok::<_, HandshakeError>(())
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, mem};

use super::body::Body;
use super::error::{HandshakeError, HeadError, InvalidArgument, Refusal, shown};
use super::head::{Head, HeadBuffer, HeadKind};
use super::headers::{Found, Headers};
#[cfg(feature = "deflate")]
use super::lists::Extensions;
use super::lists::{contains_word, is_extension_list, is_token};
use super::url::Url;
use super::{VERSION, accept_key, key};
use crate::config::Config;
use crate::connection::{Agreed, Connection};
#[cfg(feature = "deflate")]
use crate::deflate::{Parameters, negotiation};
use crate::frame::Role;

/// A handshake to send.
///
/// A header or subprotocol that cannot be sent is an error at the end, of [`write`](Self::write) or of `into_http`.
/// `Debug` shows neither the query, nor subprotocols, nor the values of headers, for they may be secret.
#[derive(Clone)]
#[must_use = "nothing is sent before `write`"]
pub struct Request {
    url: Url,
    subprotocols: Vec<Box<str>>,
    headers: Headers,
    /// The first thing the caller did wrong.
    invalid: Option<InvalidArgument>,
}

impl Request {
    /// A handshake for this URL (RFC 6455 §3). What a URI may not contain is percent-encoded in its path and query.
    ///
    /// # Errors
    /// The URL does not name a WebSocket server: another scheme than ws and wss, no valid ASCII host, user info, a
    /// fragment, a space or control character.
    pub fn get(url: &str) -> Result<Self, HandshakeError> {
        let url = Url::parse(url).map_err(InvalidArgument::Url)?;
        Ok(Self { url, subprotocols: Vec::new(), headers: Headers::default(), invalid: None })
    }

    /// Offers a subprotocol, a token, each once, the most wanted first (RFC 6455 §4.1).
    pub fn protocol(mut self, subprotocol: &str) -> Self {
        let subprotocol: Box<str> = subprotocol.into();
        if !is_token(&subprotocol) {
            self.invalid.get_or_insert(InvalidArgument::Subprotocol(subprotocol));
        } else if self.subprotocols.contains(&subprotocol) {
            self.invalid.get_or_insert(InvalidArgument::RepeatedSubprotocol(subprotocol));
        } else {
            self.subprotocols.push(subprotocol);
        }
        self
    }

    /// Adds a header line; repeated ones stay repeated. Those of the handshake itself cannot be set.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.push(name, value.as_ref(), RESERVED)
    }

    /// Says which page connects, as browsers do (RFC 6454). Others need not.
    pub fn origin(self, origin: &str) -> Self {
        if self.headers.get("Origin").is_some() {
            return self.push("Origin", origin.as_bytes(), &["Origin"]);
        }
        self.push("Origin", origin.as_bytes(), &[])
    }

    fn push(mut self, name: &str, value: &[u8], reserved: &[&str]) -> Self {
        if let Err(error) = self.headers.push_checked(name, value, reserved) {
            self.invalid.get_or_insert(error);
        }
        self
    }

    /// The host to connect to. An IPv6 address is in its brackets.
    pub fn host(&self) -> &str {
        &self.url.host
    }

    /// The port to connect to: 80 for ws and 443 for wss, unless the URL has one.
    pub fn port(&self) -> u16 {
        self.url.port
    }

    /// The host and port to connect to, as `host:port`.
    ///
    /// ```
    /// # use sockeye::client::Request;
    /// assert_eq!(Request::get("ws://[::1]/chat")?.address(), "[::1]:80");
    /// # Ok::<_, sockeye::HandshakeError>(())
    /// ```
    pub fn address(&self) -> alloc::string::String {
        alloc::format!("{}:{}", self.url.host, self.url.port)
    }

    /// Whether the URL is wss, so that TLS must come first.
    pub fn is_secure(&self) -> bool {
        self.url.is_secure
    }

    /// The path and query, which RFC 6455 §3 calls the resource name.
    pub fn resource(&self) -> &str {
        &self.url.resource
    }

    /// Whether it can be sent: the error that [`write`](Self::write) would have, before there is anything to write to.
    #[cfg(feature = "connect")]
    pub(crate) fn check(&self) -> Result<(), HandshakeError> {
        self.invalid.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Appends the request to `out`, and waits for the response.
    ///
    /// The nonce must be new and unpredictable for each handshake (RFC 6455 §4.1); with `std`,
    /// [`nonce`](super::nonce) makes one. The limits on the response are those of `config`, and so are the extensions
    /// that are offered.
    ///
    /// # Errors
    /// A header or subprotocol given before cannot be sent. Nothing was written.
    pub fn write(self, nonce: [u8; 16], config: &Config, out: &mut Vec<u8>) -> Result<Pending, HandshakeError> {
        let headers = self.to_headers(nonce, config)?;
        for part in ["GET ", &self.url.resource, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        headers.write(out);
        out.extend_from_slice(b"\r\n");
        Ok(self.into_pending(nonce, config))
    }

    /// All headers of the request (RFC 6455 §4.1).
    pub(crate) fn to_headers(
        &self,
        nonce: [u8; 16],
        #[cfg_attr(not(feature = "deflate"), allow(unused_variables))] config: &Config,
    ) -> Result<Headers, HandshakeError> {
        if let Some(error) = &self.invalid {
            return Err(error.clone().into());
        }
        let mut headers = Headers::default();
        headers.push("Host", self.url.authority().as_bytes());
        headers.push("Upgrade", b"websocket");
        headers.push("Connection", b"Upgrade");
        headers.push("Sec-WebSocket-Key", &key(nonce));
        headers.push("Sec-WebSocket-Version", VERSION.as_bytes());
        if !self.subprotocols.is_empty() {
            headers.push("Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &config.deflate {
            headers.push("Sec-WebSocket-Extensions", negotiation::offer(&deflate.parameters).as_bytes());
        }
        self.headers.iter().for_each(|(name, value)| headers.push(name, value));
        Ok(headers)
    }

    pub(crate) fn into_pending(self, nonce: [u8; 16], config: &Config) -> Pending {
        Pending {
            state: State::Head(HeadBuffer::new(HeadKind::Response, config)),
            interim: 0,
            max_body_size: config.max_body_size,
            offer: Offer {
                accept: accept_key(&key(nonce)),
                subprotocols: self.subprotocols.into(),
                require_subprotocol: config.require_subprotocol,
                #[cfg(feature = "deflate")]
                deflate: config.deflate.map(|deflate| deflate.parameters),
            },
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.url.resource.split('?').next().unwrap_or_default();
        let mut request = f.debug_struct("Request");
        request.field("host", &self.url.host).field("port", &self.url.port).field("path", &path);
        request.field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// A handshake that was sent, and waits for its response.
#[must_use = "the handshake is complete when the response has come"]
pub struct Pending {
    state: State,
    /// How many interim responses have come.
    interim: usize,
    max_body_size: usize,
    offer: Offer,
}

enum State {
    Head(HeadBuffer),
    /// A refusal whose body is on its way.
    Body(Refusal, Body),
    Ended {
        failed: bool,
    },
}

/// What the response must fit.
struct Offer {
    accept: [u8; 28],
    subprotocols: Box<[Box<str>]>,
    require_subprotocol: bool,
    #[cfg(feature = "deflate")]
    deflate: Option<Parameters>,
}

impl Pending {
    /// Takes bytes up to the end of the response and leaves the rest, which are frames, in `input`. `None` means that
    /// the response goes on: read more. After the response nothing more is taken.
    ///
    /// Up to eight interim responses are skipped (RFC 9110 §15.2). The body of a refusal is waited for, up to
    /// `Config::max_body_size`, to its length, its last chunk or [`eof`](Self::eof).
    ///
    /// # Errors
    /// The server refused or broke the protocol: close. Repeated calls discard the input and say
    /// [`Ended`](HandshakeError::Ended).
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Response>, HandshakeError> {
        let received = self.advance(input);
        if received.is_err() {
            *input = &[];
            self.state = State::Ended { failed: true };
        }
        received
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Response>, HandshakeError> {
        loop {
            match &mut self.state {
                State::Head(buffer) => {
                    let Some(head) = buffer.receive(input)? else { return Ok(None) };
                    if let Some(response) = self.judge(head)? {
                        self.state = State::Ended { failed: false };
                        return Ok(Some(response));
                    }
                }
                State::Body(_, body) => {
                    return if body.receive(mem::take(input)) { Err(self.eof()) } else { Ok(None) };
                }
                State::Ended { failed: true } => return Err(HandshakeError::Ended),
                State::Ended { failed: false } => return Ok(None),
            }
        }
    }

    /// The response of this head, or nothing if it is an interim one or has a body to wait for.
    fn judge(&mut self, head: Head) -> Result<Option<Response>, HandshakeError> {
        let headers = head.headers;
        match parse_status(&head.start_line)? {
            101 => {
                let agreed = self.offer.verify(&headers)?;
                return Ok(Some(Response { headers, agreed }));
            }
            100..=199 => {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(HandshakeError::TooManyInterim { limit: MAX_INTERIM });
                }
            }
            status => {
                let body = Body::new(status, &headers, self.max_body_size);
                self.state = State::Body(Refusal { status, headers, body: Vec::new() }, body);
            }
        }
        Ok(None)
    }

    /// Tells that the stream has ended, or that no more is waited for: why the handshake failed, with what came of a
    /// refusal's body.
    pub fn eof(&mut self) -> HandshakeError {
        match mem::replace(&mut self.state, State::Ended { failed: true }) {
            State::Head(_) => HandshakeError::Closed,
            State::Body(refusal, body) => {
                HandshakeError::Refused(Box::new(Refusal { body: body.into_kept(), ..refusal }))
            }
            State::Ended { .. } => HandshakeError::Ended,
        }
    }

    /// Judges the head of a response that another HTTP stack has received.
    #[cfg(feature = "http")]
    pub(crate) fn verify_head(&self, status: u16, headers: Headers) -> Result<Agreed, HandshakeError> {
        if status == 101 {
            return self.offer.verify(&headers);
        }
        Err(HandshakeError::Refused(Box::new(Refusal { status, headers, body: Vec::new() })))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head(buffer) if buffer.is_empty() => "waiting",
            State::Head(_) => "receiving",
            State::Body(..) => "refused",
            State::Ended { failed: true } => "failed",
            State::Ended { failed: false } => "done",
        };
        write!(f, "Pending({state})")
    }
}

impl Offer {
    /// The checks of RFC 6455 §4.1 on a 101.
    fn verify(&self, headers: &Headers) -> Result<Agreed, HandshakeError> {
        match headers.only("Upgrade") {
            Found::Once(upgrade) if upgrade.eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(HandshakeError::Upgrade),
        }
        if !headers.get_all("Connection").any(|list| contains_word(list, "upgrade")) {
            return Err(HandshakeError::Connection);
        }
        match headers.only("Sec-WebSocket-Accept") {
            Found::Once(accept) if accept == self.accept => {}
            _ => return Err(HandshakeError::Accept),
        }
        let agreed = self.verify_extensions(headers)?;
        self.verify_subprotocol(headers, agreed)
    }

    /// No extension may be agreed to that was not offered.
    fn verify_extensions(&self, headers: &Headers) -> Result<Agreed, HandshakeError> {
        let list = match headers.only("Sec-WebSocket-Extensions") {
            Found::Nothing => return Ok(Agreed::default()),
            Found::Once(list) => str::from_utf8(list).ok().filter(|list| is_extension_list(list)),
            Found::Repeated => None,
        };
        match list {
            #[cfg(feature = "deflate")]
            Some(list) => {
                let parameters = negotiation::verify(self.deflate.as_ref(), Extensions::new(list))?;
                Ok(Agreed::default().with_deflate(parameters))
            }
            #[cfg(not(feature = "deflate"))]
            Some(_) => Err(HandshakeError::UnofferedExtension),
            None => Err(HandshakeError::InvalidHeader("Sec-WebSocket-Extensions")),
        }
    }

    fn verify_subprotocol(&self, headers: &Headers, agreed: Agreed) -> Result<Agreed, HandshakeError> {
        match headers.only("Sec-WebSocket-Protocol") {
            Found::Nothing if self.require_subprotocol && !self.subprotocols.is_empty() => {
                Err(HandshakeError::NoSubprotocol)
            }
            Found::Nothing => Ok(agreed),
            Found::Once(chosen) => match self.subprotocols.iter().find(|offered| offered.as_bytes() == chosen) {
                Some(chosen) => Ok(agreed.with_subprotocol(chosen)),
                None => Err(HandshakeError::UnofferedSubprotocol(shown(chosen))),
            },
            Found::Repeated => Err(HandshakeError::InvalidHeader("Sec-WebSocket-Protocol")),
        }
    }
}

/// A server's agreement, checked. Frames may be sent from now on, and what was left of the input is frames.
#[derive(Debug)]
pub struct Response {
    headers: Headers,
    agreed: Agreed,
}

impl Response {
    /// The status code, always 101.
    pub fn status(&self) -> u16 {
        101
    }

    /// The headers, for instance `Set-Cookie`.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// What was agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The open connection. What was left of the input is its first input.
    pub fn connect(&self, config: &Config) -> Connection {
        Connection::open(Role::Client, self.agreed.clone(), config)
    }
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The space behind the code may be missing, as it is
/// with some servers.
pub(crate) fn parse_status(line: &[u8]) -> Result<u16, HeadError> {
    let status = line.strip_prefix(b"HTTP/1.1 ").or(line.strip_prefix(b"HTTP/1.0 ")).ok_or(HeadError::StartLine)?;
    let (code, reason) = status.split_first_chunk::<3>().ok_or(HeadError::StartLine)?;
    let code = str::from_utf8(code).ok().filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
    let code: u16 = code.and_then(|code| code.parse().ok()).ok_or(HeadError::StartLine)?;
    // Only HTTP/1.1 can switch protocols; an older server can still refuse.
    let is_valid = code >= 100 && matches!(reason, [] | [b' ', ..]);
    if is_valid && (code != 101 || line.starts_with(b"HTTP/1.1")) { Ok(code) } else { Err(HeadError::StartLine) }
}

/// More interim responses than this are no sign of a working server.
pub(crate) const MAX_INTERIM: usize = 8;

/// What the request says of itself, or must not say.
const RESERVED: &[&str] = &[
    "Connection",
    "Content-Length",
    "Host",
    "Origin",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Transfer-Encoding",
    "Upgrade",
];
