//! From a URL to an open connection: name, socket, TLS, opening handshake, redirects.
//!
//! ```text
//!  Connect         what is wanted, the same for every driver; everything that can be wrong with it is found first
//!     │ plan
//!  tokio, blocking   dial: resolve, open the socket           ─┐
//!     │              through a proxy: TLS to it, a tunnel      │
//!     │              secure: TLS                               ├─ connect_timeout
//!     │              the opening handshake of `WebSocket`     ─── Config::handshake_timeout
//!     │ follow
//!  Connect         of the next server, where one redirects
//! ```

mod addresses;
pub(crate) mod blocking;
mod credentials;
mod error;
#[cfg(feature = "proxy")]
mod proxy;
mod redirect;
mod target;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(not(feature = "rustls"))]
#[path = "tls/absent.rs"]
mod tls;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

pub use error::{ConnectError, RedirectError};
#[cfg(feature = "proxy")]
pub use proxy::{Proxy, ProxyError, ProxyUrlError, SocksReply};
#[cfg(feature = "rustls")]
pub use tls::{Tls, TlsError};

use std::boxed::Box;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
#[cfg(feature = "proxy")]
use std::sync::Arc;
use std::time::Duration;
use std::vec::Vec;

use credentials::{Authorization, is_secret};
#[cfg(feature = "proxy")]
use proxy::ProxyServer;
use redirect::MAX_REDIRECTS;
use target::Target;
#[cfg(not(feature = "rustls"))]
use tls::Tls;

use crate::config::Config;
use crate::handshake::{HandshakeError, InvalidArgument, UrlError, client};
use crate::io::Error;

/// A connection to open as a client: a URL, and what else is wanted. It names no driver; `sockeye::tokio::connect` and
/// [`sockeye::blocking::connect`](crate::blocking::connect) take it, and a bare URL too.
///
/// What is wrong with it is told when it is opened, before anything else is done.
///
/// | setting | default |
/// |---|---|
/// | `user_agent` | `sockeye/` and the version |
/// | `config` | [`Config::DEFAULT`] |
/// | `connect_timeout` | 10s |
/// | `nodelay` | true |
/// | `redirects` | 0 |
///
/// **Credentials never travel over `ws://`** unless [that is allowed](Self::allow_plaintext_credentials). `Debug` shows
/// neither them nor the query, nor the values of headers.
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye::{CloseCode, Connect, Config, blocking};
///
/// let chat = Connect::to("wss://example.com/chat?room=1")
///     .protocol("chat.v2")
///     .bearer("abc123")
///     .config(Config::DEFAULT.max_message_size(64 << 20))
///     .connect_timeout(Some(Duration::from_secs(3)));
/// let (mut ws, response) = blocking::connect(chat.clone())?;
/// assert_eq!(response.agreed().subprotocol(), Some("chat.v2"));
/// ws.send("Hello")?;
/// ws.close(CloseCode::NORMAL, "")?;
/// # Ok::<_, sockeye::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is opened before a `connect` gets it"]
pub struct Connect {
    target: Result<Target, UrlError>,
    subprotocols: Vec<Box<str>>,
    headers: Vec<(Box<str>, Box<[u8]>)>,
    user_agent: Box<str>,
    origin: Option<Box<str>>,
    authorization: Option<Authorization>,
    plaintext_credentials: bool,
    require_tls: bool,
    tls: Tls,
    #[cfg(feature = "proxy")]
    proxy: Option<Proxy>,
    config: Config,
    connect_timeout: Option<Duration>,
    addresses: Option<Vec<SocketAddr>>,
    local_address: Option<IpAddr>,
    nodelay: bool,
    max_redirects: usize,
    /// How many redirects have led here.
    followed: usize,
}

impl Connect {
    /// A connection to this URL (RFC 6455 §3), `ws` or `wss`. The path and query are percent-encoded where they must be,
    /// a host that is not ASCII is converted (IDNA), and user info becomes Basic authentication. A fragment is an error.
    pub fn to(url: &str) -> Self {
        Self {
            target: Target::parse(url),
            subprotocols: Vec::new(),
            headers: Vec::new(),
            user_agent: concat!("sockeye/", env!("CARGO_PKG_VERSION")).into(),
            origin: None,
            authorization: None,
            plaintext_credentials: false,
            require_tls: false,
            tls: Tls::default(),
            #[cfg(feature = "proxy")]
            proxy: None,
            config: Config::DEFAULT,
            connect_timeout: Some(CONNECT_TIMEOUT),
            addresses: None,
            local_address: None,
            nodelay: true,
            max_redirects: 0,
            followed: 0,
        }
    }

    /// Offers a subprotocol, a token, each once, the most wanted first (RFC 6455 §4.1).
    pub fn protocol(mut self, subprotocol: &str) -> Self {
        self.subprotocols.push(subprotocol.into());
        self
    }

    /// Adds a header line; repeated ones stay repeated. Those of the handshake itself cannot be set.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().into()));
        self
    }

    /// What `User-Agent` says (RFC 9110 §10.1.5); nothing if it is empty. A header of that name replaces it.
    pub fn user_agent(mut self, product: &str) -> Self {
        self.user_agent = product.into();
        self
    }

    /// Says which page connects, as browsers do (RFC 6454). Others need not.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sends a user name and password (RFC 7617), instead of those in the URL.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(Authorization::basic(user.as_bytes(), password.as_bytes()));
        self
    }

    /// Sends a bearer token (RFC 6750).
    pub fn bearer(mut self, token: &str) -> Self {
        self.authorization = Some(Authorization::bearer(token));
        self
    }

    /// Lets credentials travel over `ws://`, where anyone on the way can read them: user info, `Authorization`, cookies.
    pub fn allow_plaintext_credentials(mut self) -> Self {
        self.plaintext_credentials = true;
        self
    }

    /// Refuses `ws://`, for URLs from a configuration or a user.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Whom to trust, and how TLS is spoken otherwise.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Goes through this proxy, but for the hosts it is not for. [`tls`](Self::tls) is for a proxy that wants TLS too. None
    /// is used unless asked for, whatever the environment says.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Limits, compression and deadlines of the connection, that of the opening handshake too.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How long it may take to get as far as the opening handshake: to resolve the name, open the socket, get through a
    /// proxy and speak TLS, all together. A redirect starts it anew. `None` leaves it to the system, which may take minutes.
    pub fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to one of these addresses, instead of those of the host's name. All else, the certificate too, goes by
    /// the URL. A proxy is asked for the first of them.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.addresses = Some(addresses.into_iter().collect());
        self
    }

    /// The address of this machine to connect from.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Whether small messages leave at once (TCP_NODELAY), rather than wait for others to share a packet.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Follows so many redirects, at most ten; none unless asked for. None leads from `wss` to `ws`, and credentials and
    /// cookies stay with the scheme, host and port they were for.
    pub fn redirects(mut self, max: usize) -> Self {
        self.max_redirects = max.min(MAX_REDIRECTS);
        self
    }

    /// All that can be known before anything is done.
    fn plan(&self) -> Result<Plan, Error> {
        let target = self.target.as_ref().map_err(|error| HandshakeError::from(InvalidArgument::Url(*error)))?;
        let request = self.request(target)?;
        request.check()?;
        if !target.is_secure() {
            self.allow_plaintext(target)?;
            return Ok(Plan { request, session: None });
        }
        let session = Some(self.tls.session(request.host())?);
        Ok(Plan { request, session })
    }

    /// The proxy on the way to this server, if there is one.
    #[cfg(feature = "proxy")]
    fn hop(&self, request: &client::Request) -> Result<Option<Hop>, ConnectError> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let Some(server) = proxy.for_target(request.is_secure(), request.host())? else { return Ok(None) };
        let session = if server.is_tls() { Some(self.tls.session(server.host())?) } else { None };
        let (host, port) = match self.addresses.as_ref().and_then(|addresses| addresses.first()) {
            Some(address) => (std::format!("{}", address.ip()), address.port()),
            None => (request.host().into(), request.port()),
        };
        Ok(Some(Hop { server, session, host, port }))
    }

    fn allow_plaintext(&self, target: &Target) -> Result<(), ConnectError> {
        if self.require_tls {
            return Err(ConnectError::TlsRequired);
        }
        let has_secrets = self.authorization.is_some()
            || target.user_info.is_some()
            || self.headers.iter().any(|(name, _)| is_secret(name));
        if has_secrets && !self.plaintext_credentials { Err(ConnectError::PlaintextCredentials) } else { Ok(()) }
    }

    fn request(&self, target: &Target) -> Result<client::Request, Error> {
        let mut request = client::Request::get(target.as_str())?;
        for subprotocol in &self.subprotocols {
            request = request.protocol(subprotocol);
        }
        let is_set = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !self.user_agent.is_empty() && !is_set("User-Agent") {
            request = request.header("User-Agent", &*self.user_agent);
        }
        if let Some(origin) = &self.origin {
            request = request.origin(origin);
        }
        if let Some(authorization) = self.authorization.as_ref().or(target.user_info.as_ref()) {
            if is_set("Authorization") {
                return Err(ConnectError::RepeatedCredentials.into());
            }
            let Authorization::Value(value) = authorization else { return Err(ConnectError::UserInfo.into()) };
            request = request.header("Authorization", &**value);
        }
        Ok(self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    }
}

impl From<&str> for Connect {
    fn from(url: &str) -> Self {
        Self::to(url)
    }
}

impl From<&String> for Connect {
    fn from(url: &String) -> Self {
        Self::to(url)
    }
}

impl From<String> for Connect {
    fn from(url: String) -> Self {
        Self::to(&url)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut connect = f.debug_struct("Connect");
        match &self.target {
            Ok(target) => connect.field("url", target),
            Err(error) => connect.field("url", error),
        };
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        connect.field("headers", &names).field("connect_timeout", &self.connect_timeout).finish_non_exhaustive()
    }
}

/// One server to open a connection to.
struct Plan {
    request: client::Request,
    /// For `wss`.
    session: Option<tls::Session>,
}

/// A proxy, and what to ask it for.
#[cfg(feature = "proxy")]
struct Hop {
    server: Arc<ProxyServer>,
    /// For TLS to the proxy itself.
    session: Option<tls::Session>,
    host: String,
    port: u16,
}

/// As long as browsers' patience, and far less than the minutes of a system's own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
