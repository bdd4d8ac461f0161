//! Why a client could not reach its server.

use std::boxed::Box;
use std::io;
use std::net::{IpAddr, SocketAddr};

#[cfg(feature = "proxy")]
use super::proxy::ProxyError;
#[cfg(feature = "rustls")]
use super::tls::TlsError;
use crate::handshake::UrlError;
#[cfg(feature = "rustls")]
use crate::io::Error;

/// Why a client did not come as far as the opening handshake. The variants are in the order of the stages; deadlines are
/// a [`Timeout`](crate::Timeout), and what is wrong with the URL or a header is a
/// [`HandshakeError`](crate::HandshakeError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A `ws` URL, although TLS is required.
    #[error("the URL is ws://, and `Connect::require_tls` allows wss:// alone; change one of them")]
    TlsRequired,
    /// A `wss` URL, or a proxy's `https` URL, in a build without TLS.
    #[error(
        "the URL of the server is wss://, or that of the proxy https://, and sockeye was built without TLS; enable its \
         feature `rustls`, or make the TLS stream yourself and give it to `WebSocket::client`"
    )]
    TlsUnavailable,
    /// Credentials for a `ws` URL: user info, an `Authorization`, a cookie.
    #[error(
        "the URL is ws://, where anyone on the way can read the credentials or cookies you send; use wss://, or allow it \
         with `Connect::allow_plaintext_credentials`"
    )]
    PlaintextCredentials,
    /// More than one `Authorization`.
    #[error(
        "two credentials are given, by a header `Authorization` and by the user info of the URL, `basic_auth` or \
         `bearer`; keep one"
    )]
    RepeatedCredentials,
    /// A user name that Basic authentication cannot carry (RFC 7617 §2).
    #[error("the user name contains a colon, or the user name or password a control character; neither can be sent")]
    UserInfo,
    /// The name of the host has no address (RFC 6455 §4.1).
    #[error("the host \"{host}\" cannot be resolved: {source}; check the URL and the network's name service")]
    Resolve {
        /// The name.
        host: Box<str>,
        /// What the system's resolver said.
        source: io::Error,
    },
    /// No address of the host is of the local address's family.
    #[error(
        "the host \"{host}\" has no address that can be reached from {local}; choose another local address, or none"
    )]
    AddressFamily {
        /// The name.
        host: Box<str>,
        /// What `Connect::local_address` asked for.
        local: IpAddr,
    },
    /// The socket cannot have the local address.
    #[error("the local address {local} cannot be used: {source}; it must be one of this machine")]
    LocalAddress {
        /// What `Connect::local_address` asked for.
        local: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No address took the connection; this is the first one's failure.
    #[error("there is no connection to {address}: {source}; check that the server runs there, and the way to it")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The way through the proxy failed.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// TLS failed. Nothing of the handshake was sent (RFC 6455 §4.1).
    #[cfg(feature = "rustls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A redirect that was not followed.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

impl ConnectError {
    /// Whether the network, or who is on the way, may do better later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } => true,
            #[cfg(feature = "proxy")]
            Self::Proxy(error) => error.is_transient(),
            #[cfg(feature = "rustls")]
            Self::Tls(error) => matches!(error, TlsError::Closed),
            _ => false,
        }
    }

    /// Whether a socket was waited for in vain.
    pub(super) fn is_timeout(&self) -> bool {
        match self {
            Self::Connect { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            #[cfg(feature = "proxy")]
            Self::Proxy(ProxyError::Unreachable(error)) => error.is_timeout(),
            _ => false,
        }
    }

    /// There is nothing to connect to: the resolver answered with nothing, or with nothing for the local address.
    pub(super) fn no_address(host: &str, local: Option<IpAddr>) -> Self {
        let host = host.into();
        match local {
            Some(local) => Self::AddressFamily { host, local },
            None => Self::Resolve { host, source: io::Error::new(io::ErrorKind::NotFound, "it has no address") },
        }
    }
}

#[cfg(feature = "rustls")]
impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        ConnectError::from(error).into()
    }
}

/// Why a redirect was not followed, although [`Connect::redirects`](crate::Connect::redirects) allows some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// More redirects than allowed, as when servers redirect in a circle.
    #[error(
        "the server redirected more than {limit} times; it may redirect in a circle, or raise the limit of \
         `Connect::redirects`"
    )]
    TooMany {
        /// The limit in redirects.
        limit: usize,
    },
    /// No `Location`, more than one, or none that is text.
    #[error("the server redirects without one readable `Location`; it is broken")]
    Location,
    /// A `Location` that leads to no WebSocket server.
    #[error("the server redirects to what is no WebSocket: {0}")]
    Url(#[from] UrlError),
    /// From wss to ws: what was to be secret would not be.
    #[error("the server redirects from wss:// to ws://, which is not followed; fix the server, or use its new URL")]
    Insecure,
}
