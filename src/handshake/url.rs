//! `ws` and `wss` URLs (RFC 6455 §3).

use alloc::boxed::Box;
use alloc::string::String;

use super::authority::Authority;
use super::error::UrlError;

/// Longer URLs are refused, in bytes.
pub(crate) const MAX_URL_SIZE: usize = 16 << 10;

#[derive(Clone)]
pub(crate) struct Url {
    pub(crate) is_secure: bool,
    /// An IPv6 address is in its brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// The path and query, percent-encoded.
    pub(crate) resource: Box<str>,
}

impl Url {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        if url.len() > MAX_URL_SIZE {
            return Err(UrlError::TooLong { limit: MAX_URL_SIZE });
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme);
        }
        if url.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err(UrlError::Character);
        }
        if url.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let authority = parse_authority(authority)?;
        let port = authority.port.unwrap_or(default_port(is_secure));
        Ok(Self { is_secure, host: authority.host.into(), port, resource: encode_resource(resource) })
    }

    /// The value of `Host`: the port only where it is not the scheme's own (RFC 6455 §4.1).
    pub(crate) fn authority(&self) -> String {
        if self.port == default_port(self.is_secure) {
            return String::from(&*self.host);
        }
        alloc::format!("{}:{}", self.host, self.port)
    }
}

fn parse_authority(text: &str) -> Result<Authority<'_>, UrlError> {
    if text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if !text.is_ascii() {
        return Err(UrlError::NonAsciiHost);
    }
    Authority::parse(text).ok_or(UrlError::Host)
}

/// §3: the path, or "/" if it is empty, and the query; what a URI may not contain is percent-encoded.
fn encode_resource(resource: &str) -> Box<str> {
    let mut encoded = String::with_capacity(resource.len() + 1);
    if !resource.starts_with('/') {
        encoded.push('/');
    }
    for byte in resource.bytes() {
        if byte.is_ascii() && !b"\"<>\\^`{|}".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push('%');
            encoded.extend(
                [byte >> 4, byte & 15]
                    .map(|digit| b"0123456789ABCDEF".get(usize::from(digit)).map_or('0', |&digit| digit as char)),
            );
        }
    }
    encoded.into()
}

fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}
