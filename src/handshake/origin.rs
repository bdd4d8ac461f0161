//! Which web pages may connect (RFC 6455 §10.2).

use super::authority::Authority;
use super::error::shown;
use super::reject::{Reject, RejectReason};

/// Which origins a server accepts, that is, the pages of which sites a browser may connect from (RFC 6455 §10.2).
///
/// Browsers send cookies along whichever page asks, so a server that ignores `Origin` lets every site act for its
/// visitors. A request without `Origin` does not come from a browser, and passes.
///
/// Compared are host and port. A port that is not written is that of the *origin's* scheme, so that a page at
/// `https://example.com` may reach `Host: example.com` behind a proxy that ends TLS. Such a proxy must hand the host on
/// (nginx: `proxy_set_header Host $http_host;`); headers like `X-Forwarded-Host` are never trusted, for anyone can send
/// them. The origin `null` is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins<'a> {
    /// Only pages from the host that they connect to.
    #[default]
    Same,
    /// Every page. For servers that trust nothing a browser adds by itself, cookies above all.
    Any,
    /// Only pages from these origins, each `scheme://host[:port]`, or `host[:port]` for any scheme.
    ///
    /// The server's own host is not among them unless it is written.
    List(&'a [&'a str]),
}

impl Origins<'_> {
    /// Judges the value of `Origin` of a request to `host`.
    pub(crate) fn check(self, origin: Option<&[u8]>, host: &str) -> Result<(), Reject> {
        let Some(value) = origin else { return Ok(()) };
        let parsed = str::from_utf8(value).ok().and_then(Origin::parse);
        let is_allowed = match self {
            Self::Any => true,
            Self::Same => parsed.is_some_and(|origin| origin.is_same(host)),
            Self::List(list) => parsed.is_some_and(|origin| list.iter().any(|entry| origin.is_listed(entry))),
        };
        if is_allowed {
            return Ok(());
        }
        let origin = match value {
            b"null" => "null".into(),
            _ if parsed.is_some() => shown(value),
            _ => "(malformed)".into(), // it may contain user info
        };
        Err(RejectReason::Origin { origin, host: shown(host.as_bytes()) }.into())
    }
}

/// `scheme "://" host [ ":" port ]` (RFC 6454 §6.2).
#[derive(Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        Some(Self { scheme, authority: Authority::parse(authority)? }).filter(|_| is_scheme)
    }

    fn is_same(&self, host: &str) -> bool {
        let Some(host) = Authority::parse(host) else { return false };
        let port = self.default_port();
        port.is_some() && self.authority.matches(&host, port)
    }

    fn is_listed(&self, entry: &str) -> bool {
        let (scheme, authority) = entry.split_once("://").unwrap_or((self.scheme, entry));
        scheme.eq_ignore_ascii_case(self.scheme)
            && Authority::parse(authority).is_some_and(|entry| self.authority.matches(&entry, self.default_port()))
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => Some(443),
            scheme if scheme.eq_ignore_ascii_case("http") => Some(80),
            _ => None,
        }
    }
}
