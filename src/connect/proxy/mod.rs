//! Proxies: which one a connection goes through, and the tunnel that it makes there.
//!
//! ```text
//!  Proxy ── for_target ──▶ ProxyServer ── tunnel_tokio, tunnel_blocking ──▶ a stream to the server
//! ```

mod error;
#[cfg(test)]
mod tests;
mod tunnel;

use std::borrow::Cow;
use std::boxed::Box;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::format;
use std::str::FromStr;
use std::string::String;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use url::Url;

pub use error::{ProxyError, ProxyUrlError, SocksReply};
pub(crate) use tunnel::tunnel_blocking;
#[cfg(feature = "tokio")]
pub(crate) use tunnel::tunnel_tokio;

/// Which proxy connections go through, if any.
///
/// A proxy is always asked for a tunnel, by HTTP's CONNECT or by SOCKS5 (RFC 9110 §9.3.6, RFC 1928), for ws as for wss
/// (RFC 6455 §4.1). It resolves the server's name, learns its host and port, and with wss nothing else. `Debug` shows
/// neither user nor password.
///
/// ```
/// use sockeye::Proxy;
///
/// let proxy = Proxy::parse("http://user:p%40ss@proxy.example:3128")?.no_proxy("localhost, .internal, 10.0.0.0/8");
/// assert_eq!(format!("{proxy:?}"), "Proxy { ws: http://proxy.example:3128, wss: http://proxy.example:3128 }");
/// # Ok::<_, sockeye::ProxyError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    ws: Choice,
    wss: Choice,
    no_proxy: Arc<Matcher>,
}

/// A server to go through, none, or what is wrong with the variable that should name one.
type Choice = Result<Option<Arc<ProxyServer>>, (&'static str, ProxyUrlError)>;

impl Proxy {
    /// The proxy of this URL, for all connections: `http://`, `https://` (TLS to the proxy itself), `socks5://` or
    /// `socks5h://`, which mean the same here. Without a scheme it is http.
    ///
    /// User and password stand before the host, `user:password@`, with special characters percent-encoded. Without a
    /// port it is 80, 443 or 1080.
    ///
    /// # Errors
    /// The URL names no proxy, or one of another kind, or credentials that its protocol cannot carry.
    pub fn parse(url: &str) -> Result<Self, ProxyError> {
        let server = Some(Arc::new(ProxyServer::parse(url)?));
        Ok(Self { ws: Ok(server.clone()), wss: Ok(server), no_proxy: Arc::new(bypass("")) })
    }

    /// What the environment says: `HTTPS_PROXY` for wss, `HTTP_PROXY` for ws, `ALL_PROXY` where these are not set, and
    /// none for what `NO_PROXY` lists, as [`no_proxy`](Self::no_proxy) explains. Each may be in lower case instead.
    ///
    /// In a CGI program, which `REQUEST_METHOD` tells, `HTTP_PROXY` comes from a header of the client and is ignored. A
    /// variable that names no proxy is an error once a connection would go through it, for it must not go elsewhere.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// Connects directly to these, instead of to those listed before: names with all names below them, addresses,
    /// networks such as `10.0.0.0/8`, or `*`, separated by commas.
    pub fn no_proxy(mut self, list: &str) -> Self {
        self.no_proxy = Arc::new(bypass(list));
        self
    }

    /// The proxy on the way to this host, an IPv6 address of which is in its brackets.
    pub(crate) fn for_target(&self, is_secure: bool, host: &str) -> Result<Option<Arc<ProxyServer>>, ProxyError> {
        let url = http::Uri::builder().scheme("http").authority(host).path_and_query("/").build();
        if url.is_ok_and(|url| self.no_proxy.intercept(&url).is_none()) {
            return Ok(None);
        }
        match if is_secure { &self.wss } else { &self.ws } {
            Ok(server) => Ok(server.clone()),
            Err((variable, error)) => Err(ProxyError::Environment { variable, error: *error }),
        }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let choice = |names: &[&'static str]| -> Choice {
            for &name in names {
                let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
                let url = value.to_str().ok_or((name, ProxyUrlError::Syntax))?;
                return ProxyServer::parse(url).map(|server| Some(Arc::new(server))).map_err(|error| (name, error));
            }
            Ok(None)
        };
        let ws = match variable("REQUEST_METHOD") {
            None => choice(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            Some(_) => choice(&["ALL_PROXY", "all_proxy"]),
        };
        let wss = choice(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
        let list = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
        Self { ws, wss, no_proxy: Arc::new(bypass(&list.to_string_lossy())) }
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(url: &str) -> Result<Self, ProxyError> {
        Self::parse(url)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |choice: &Choice| match choice {
            Ok(Some(server)) => format!("{server:?}"),
            Ok(None) => "none".into(),
            Err((variable, _)) => format!("wrong {variable}"),
        };
        let (ws, wss) = (show(&self.ws), show(&self.wss));
        f.debug_struct("Proxy").field("ws", &format_args!("{ws}")).field("wss", &format_args!("{wss}")).finish()
    }
}

/// One proxy, and how to speak to it. `Debug` shows neither user nor password.
pub(crate) struct ProxyServer {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Socks5,
}

struct Credentials {
    user: String,
    password: String,
}

impl ProxyServer {
    /// Whether the proxy itself is spoken to over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// An IPv6 address is in its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let text = if text.contains("://") { Cow::Borrowed(text) } else { Cow::Owned(format!("http://{text}")) };
        let url = Url::parse(&text).map_err(|_| ProxyUrlError::Syntax)?;
        let (scheme, default_port) = match url.scheme() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            _ => return Err(ProxyUrlError::Scheme),
        };
        // A slash or `#` of a password that was not encoded must not make its start the port of another host.
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyUrlError::Syntax);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(ProxyUrlError::Syntax)?.into();
        let credentials = Credentials::parse(&url, scheme)?;
        Ok(Self { scheme, host, port: url.port().unwrap_or(default_port), credentials })
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }
}

impl Credentials {
    fn parse(url: &Url, scheme: Scheme) -> Result<Option<Self>, ProxyUrlError> {
        if url.username().is_empty() && url.password().is_none() {
            return Ok(None);
        }
        let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| ProxyUrlError::Credentials);
        let user = decode(url.username())?.into_owned();
        let password = decode(url.password().unwrap_or_default())?.into_owned();
        let can_be_sent = match scheme {
            // RFC 7617 §2.
            Scheme::Http | Scheme::Https => {
                !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control)
            }
            // RFC 1929 §2.
            Scheme::Socks5 => [&user, &password].iter().all(|text| (1..=255).contains(&text.len())),
        };
        if can_be_sent { Ok(Some(Self { user, password })) } else { Err(ProxyUrlError::Credentials) }
    }
}

/// Intercepts whatever is not on the list.
fn bypass(list: &str) -> Matcher {
    Matcher::builder().all("http://proxy").no(list).build()
}
