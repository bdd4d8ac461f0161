//! The URL of a connection (RFC 6455 §3), as people write it: with user info, and hosts that are not ASCII.

use std::borrow::Cow;
use std::fmt;
use std::string::String;

use percent_encoding::percent_decode_str;
use url::Url;

use super::credentials::Authorization;
use crate::handshake::{MAX_URL_SIZE, UrlError};

/// Where a connection leads, with the user info kept apart, so that it shows up nowhere else.
#[derive(Clone)]
pub(crate) struct Target {
    /// In ASCII, without user info.
    url: Url,
    pub(crate) user_info: Option<Authorization>,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        // `Url` forgives much of this, as browsers have to.
        if text.len() > MAX_URL_SIZE {
            return Err(UrlError::TooLong { limit: MAX_URL_SIZE });
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if !["ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(UrlError::Scheme);
        }
        if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err(UrlError::Character);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        if rest.starts_with(['/', '\\', '?']) {
            return Err(UrlError::Host);
        }
        Self::from_url(Url::parse(text).map_err(|_| UrlError::Host)?)
    }

    fn from_url(mut url: Url) -> Result<Self, UrlError> {
        let user_info = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let decoded = |text: &str| Cow::from(percent_decode_str(text)).into_owned();
            Authorization::basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default()))
        });
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| UrlError::Host)?;
        Ok(Self { url, user_info })
    }

    /// Where a `Location` leads from here. `http` and `https` stand for `ws` and `wss`, for many servers know no other
    /// names. User info would be the other server's, and is dropped.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, UrlError> {
        let url = self.url.join(location).map_err(|_| UrlError::Host)?;
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            _ => return Err(UrlError::Scheme),
        };
        let (_, rest) = url.as_str().split_once(':').ok_or(UrlError::Scheme)?;
        let target = Self::parse(&std::format!("{scheme}:{rest}"))?;
        Ok(Self { user_info: None, ..target })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// Whether both have the scheme, host and port in common (RFC 6454 §4).
    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        let origin = |url: &Url| (url.scheme() == "wss", url.host_str().map(String::from), url.port_or_known_default());
        origin(&self.url) == origin(&other.url)
    }
}

/// Without the query, which may be secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.as_str().split('?').next();
        fmt::Debug::fmt(shown.unwrap_or_default(), f)
    }
}
