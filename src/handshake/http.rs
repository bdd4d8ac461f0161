//! The handshake from and to the types of the `http` crate. Another HTTP stack moves them; what they must say is
//! checked by the same code as for bytes.

use alloc::vec::Vec;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use super::client::Pending;
use super::error::{HandshakeError, InvalidArgument};
use super::headers::Headers;
use super::reject::{Reject, RejectReason};
use super::server::{Accept, Request};
use super::{client, headers::is_control};
use crate::config::Config;
use crate::connection::Agreed;

impl Request {
    /// The request that another HTTP/1.1 stack has received.
    ///
    /// ```
    /// # use sockeye::{Config, Connection, Origins, Reject, Role, server};
    /// fn upgrade(request: http::Request<()>, config: &Config) -> Result<(http::Response<()>, Connection), Reject> {
    ///     let (parts, _) = request.into_parts();
    ///     let accept = server::Request::from_http(&parts)?.accept(Origins::Same)?;
    ///     let (response, agreed) = accept.select(&["chat"]).into_http()?;
    ///     // The stack sends the response. What it has read behind the request is the connection's first input.
    ///     Ok((response, Connection::open(Role::Server, agreed, config)))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Handshake::receive`](super::server::Handshake::receive). [`Reject::into_http`] is the response.
    pub fn from_http(parts: &http::request::Parts) -> Result<Self, Reject> {
        if parts.version != Version::HTTP_11 {
            return Err(RejectReason::HttpVersion.into());
        }
        let target = alloc::format!("{}", parts.uri);
        Self::upgrade(parts.method.as_str(), &target, copy(&parts.headers))
    }

    /// The extended CONNECT that an HTTP/2 or HTTP/3 stack has received (RFC 8441, RFC 9220), and the value of its
    /// `:protocol`, which the `http` types have no place for.
    ///
    /// There is no key, `:authority` takes the place of `Host`, and success is 200. Frames are masked as ever.
    ///
    /// # Errors
    /// Another method than CONNECT, another protocol than `websocket`, or no `:authority`, `:scheme` and `:path`.
    pub fn from_http_connect(parts: &http::request::Parts, protocol: &str) -> Result<Self, Reject> {
        connect(parts, protocol).map_err(Reject::over_stream)
    }
}

fn connect(parts: &http::request::Parts, protocol: &str) -> Result<Request, Reject> {
    if parts.method != Method::CONNECT {
        return Err(RejectReason::Method.into());
    }
    if !matches!(parts.version, Version::HTTP_2 | Version::HTTP_3) {
        return Err(RejectReason::HttpVersion.into());
    }
    if !protocol.eq_ignore_ascii_case("websocket") {
        return Err(RejectReason::Protocol.into());
    }
    let (Some(authority), Some(path), Some(_)) =
        (parts.uri.authority(), parts.uri.path_and_query(), parts.uri.scheme())
    else {
        return Err(RejectReason::Target.into());
    };
    Request::connect(authority.as_str(), path.as_str(), copy(&parts.headers))
}

impl Accept {
    /// The response for the stack to send: 101, or 200 to an extended CONNECT. Then
    /// [`Connection::open`](crate::Connection::open) with what was agreed. There is no configuration here, so
    /// permessage-deflate is agreed to where `deflate` was called before.
    ///
    /// # Errors
    /// A header or subprotocol given before cannot be sent. The [`Reject`] is a 500.
    pub fn into_http(self) -> Result<(http::Response<()>, Agreed), Reject> {
        let status = if self.key.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        let (headers, agreed) = self.into_response()?;
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = to_map(headers.iter())?;
        Ok((response, agreed))
    }
}

impl Reject {
    /// The response for another HTTP stack to send. Close the connection after it, if it is HTTP/1.1.
    pub fn into_http(self) -> http::Response<Vec<u8>> {
        let headers = to_map(self.headers()).unwrap_or_default();
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = http::Response::new(self.into_body());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

impl client::Request {
    /// The request for another HTTP/1.1 stack to send, in origin form: its URI is the path and query, and the host is in
    /// the `Host` header.
    ///
    /// The nonce must be new and unpredictable for each handshake (RFC 6455 §4.1).
    ///
    /// # Errors
    /// A header or subprotocol given before cannot be sent, or `http` holds the URL for invalid.
    pub fn into_http(self, nonce: [u8; 16], config: &Config) -> Result<(http::Request<()>, Pending), HandshakeError> {
        let headers = self.to_headers(nonce, config)?;
        let uri = self.resource().parse().map_err(|_| InvalidArgument::Url(super::UrlError::Character))?;
        let mut request = http::Request::new(());
        *request.uri_mut() = uri;
        *request.headers_mut() = to_map(headers.iter())?;
        Ok((request, self.into_pending(nonce, config)))
    }
}

impl Pending {
    /// Judges the response that another HTTP stack has received. Then
    /// [`Connection::open`](crate::Connection::open) with what was agreed.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); a refusal has no body here, for the stack has it.
    pub fn verify<B>(&self, response: &http::Response<B>) -> Result<Agreed, HandshakeError> {
        self.verify_head(response.status().as_u16(), copy(response.headers()))
    }
}

fn copy(map: &HeaderMap) -> Headers {
    let bytes = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let mut headers = Headers::with_capacity(map.len(), bytes);
    map.iter().for_each(|(name, value)| headers.push(name.as_str(), value.as_bytes()));
    headers
}

fn to_map<V: AsRef<[u8]>>(headers: impl Iterator<Item = (impl AsRef<str>, V)>) -> Result<HeaderMap, InvalidArgument> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let (name, value) = (name.as_ref(), value.as_ref());
        debug_assert!(!value.iter().any(|&byte| is_control(byte)));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidArgument::HeaderName(name.into()))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| InvalidArgument::HeaderValue(name.into()))?;
        map.try_append(key, value).map_err(|_| InvalidArgument::HeaderName(name.into()))?;
    }
    Ok(map)
}
