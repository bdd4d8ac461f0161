//! What goes wrong on the way through a proxy.

use std::boxed::Box;
use std::io;

use crate::connect::ConnectError;
use crate::handshake::{HeadError, Refusal};
use crate::io::{Error, is_for_the_time_being, is_transient};

/// Why there is no tunnel through the proxy. Nothing was sent to the server. No credentials are shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL of the proxy is wrong.
    #[error(transparent)]
    Url(#[from] ProxyUrlError),
    /// The environment names a proxy with a wrong URL.
    #[error("the environment variable {variable} is wrong: {error}")]
    Environment {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong with its value.
        #[source]
        error: ProxyUrlError,
    },
    /// There is no connection to the proxy itself.
    #[error("the proxy cannot be reached: {0}")]
    Unreachable(Box<ConnectError>),
    /// The host's name is longer than SOCKS5 can say (RFC 1928 §5).
    #[error("the server's name has more than 255 bytes, which a SOCKS5 proxy cannot be told; use a shorter name")]
    HostTooLong,
    /// The proxy wants to know who asks (407), but its URL does not say.
    #[error("the proxy wants a user and a password; put them into its URL, `user:password@` before the host")]
    CredentialsRequired,
    /// The proxy does not accept the user and password of its URL.
    #[error("the proxy does not accept the user and password of its URL; correct them")]
    CredentialsRejected,
    /// The proxy accepts neither Basic nor, with SOCKS5, a user and password.
    #[error(
        "the proxy wants a kind of authentication that is not known here; it must allow Basic, or with SOCKS5 a \
             user and password"
    )]
    UnknownAuthentication,
    /// An HTTP proxy answered with something other than success. The body is not waited for, and empty here.
    #[error("the proxy refused the tunnel with status {}{}", .0.status(), advice(.0.status()))]
    Refused(Box<Refusal>),
    /// A SOCKS5 proxy could not connect.
    #[error("the proxy made no connection to the server: {0}")]
    Socks(SocksReply),
    /// What an HTTP proxy answered is not HTTP/1.1, or too large.
    #[error("the proxy's answer cannot be read, it may be no HTTP proxy: {0}")]
    Head(#[from] HeadError),
    /// An HTTP proxy sent too many interim responses before its answer (RFC 9110 §15.2).
    #[error("the proxy sent more than {limit} interim responses and no answer; it is broken")]
    TooManyInterim {
        /// The limit in responses.
        limit: usize,
    },
    /// The proxy sent bytes behind its answer. The server cannot have sent them, for it was not spoken to.
    #[error("the proxy sent data behind its answer, before the server was asked anything; it is broken or forges data")]
    EarlyData,
    /// What a SOCKS5 proxy answered does not follow RFC 1928.
    #[error("the proxy's answer is not SOCKS5; check the scheme and the port in its URL")]
    NotSocks,
    /// The proxy ended the stream before it had answered.
    #[error("the proxy closed the connection before it had answered; check the scheme and the port in its URL")]
    Closed,
    /// The connection to the proxy failed.
    #[error("the connection to the proxy failed: {0}")]
    Io(#[from] io::Error),
}

impl ProxyError {
    /// Whether the proxy, or the way to it or on from it, may do better later.
    pub(in crate::connect) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.is_transient(),
            Self::Refused(refusal) => is_for_the_time_being(refusal.status()),
            Self::Socks(reply) => !matches!(reply, SocksReply::NotAllowed),
            Self::Closed => true,
            Self::Io(error) => is_transient(error.kind()),
            _ => false,
        }
    }

    /// Of the way to the proxy, what is not about time.
    pub(in crate::connect) fn unreachable(error: Error) -> Error {
        match error {
            Error::Connect(error) => Self::Unreachable(Box::new(error)).into(),
            other => other,
        }
    }
}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        Self::Connect(error.into())
    }
}

/// Why a URL names no proxy. It is not shown, for it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// No URL of a scheme, a host and a port.
    #[error(
        "the proxy's URL is not like `http://user:password@host:port`; special characters in user and password \
             must be percent-encoded"
    )]
    Syntax,
    /// Another kind of proxy.
    #[error("the proxy's URL does not begin with http://, https://, socks5:// or socks5h://, the kinds that are known")]
    Scheme,
    /// User and password that the protocol cannot carry (RFC 7617 §2, RFC 1929 §2).
    #[error(
        "the user and password in the proxy's URL cannot be sent: they must be UTF-8, with SOCKS5 of 1 to 255 bytes \
             each, with HTTP without control characters and without a colon in the user"
    )]
    Credentials,
}

/// What a SOCKS5 proxy says of a connection that it could not make (RFC 1928 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocksReply {
    /// Code 1.
    #[error("it failed, and says no more; see its log")]
    GeneralFailure,
    /// Code 2.
    #[error("its rules do not allow it; ask who runs it")]
    NotAllowed,
    /// Code 3.
    #[error("it cannot reach the server's network; try again later")]
    NetworkUnreachable,
    /// Code 4.
    #[error("it cannot reach the server; check the server's name, or try again later")]
    HostUnreachable,
    /// Code 5.
    #[error("the server refused the connection; check that it runs, and its port")]
    ConnectionRefused,
    /// Code 6.
    #[error("the way to the server is too long or took too long; try again later")]
    TtlExpired,
    /// Code 7.
    #[error("it does not connect for others; use another proxy")]
    CommandNotSupported,
    /// Code 8.
    #[error("it does not support this kind of address; try the server's name, or its IPv4 address")]
    AddressNotSupported,
}

fn advice(status: u16) -> &'static str {
    match status {
        400 | 404 | 405 | 501 => "; it may be no proxy, or not tunnel",
        403 => "; its rules do not allow this host or port",
        429 => "; slow down",
        502..=504 => "; it could not reach the server",
        _ => "",
    }
}
