//! The tunnel, asked for by HTTP's CONNECT or by SOCKS5: written once, over reads and writes that are polled. A blocking
//! stream is always ready.
//!
//! No byte behind the proxy's answer is lost: with SOCKS5 none is read, and with HTTP one that was read is an error. In
//! both TLS and WebSocket the client speaks first, so that such a byte cannot be the server's.

use core::future::poll_fn;
use core::net::IpAddr;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker, ready};
use std::boxed::Box;
use std::format;
use std::io::{self, Read, Write};
use std::string::String;
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
#[cfg(feature = "tokio")]
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_socks::io::AsyncSocket;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as Socks5Error, IntoTargetAddr};

use super::error::{ProxyError, SocksReply};
use super::{ProxyServer, Scheme};
use crate::config::Config;
use crate::connect::addresses::{bare, literal};
use crate::handshake::client::{MAX_INTERIM, parse_status};
use crate::handshake::head::{HeadBuffer, HeadKind};
use crate::handshake::{Headers, Refusal};

/// Makes a stream to the proxy, inside of TLS if [`ProxyServer::is_tls`], one to `host`.
///
/// There is no deadline in here; dropping the future closes the stream.
///
/// # Errors
/// The proxy refused, broke its protocol or a limit of `config`, or the stream failed.
#[cfg(feature = "tokio")]
pub(crate) async fn tunnel_tokio<S: AsyncRead + AsyncWrite + Unpin>(
    proxy: &ProxyServer,
    stream: S,
    host: &str,
    port: u16,
    config: &Config,
) -> Result<S, ProxyError> {
    tunnel(proxy, Polled(stream), host, port, config).await.map(|Polled(stream)| stream)
}

/// The same over a blocking stream, whose reads and writes have the deadlines.
pub(crate) fn tunnel_blocking<S: Read + Write>(
    proxy: &ProxyServer,
    stream: S,
    host: &str,
    port: u16,
    config: &Config,
) -> Result<S, ProxyError> {
    let tunnel = pin!(tunnel(proxy, Blocking(stream), host, port, config));
    match tunnel.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(made) => made.map(|Blocking(stream)| stream),
        Poll::Pending => Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
    }
}

async fn tunnel<S: AsyncSocket + Unpin>(
    proxy: &ProxyServer,
    stream: S,
    host: &str,
    port: u16,
    config: &Config,
) -> Result<S, ProxyError> {
    match proxy.scheme {
        Scheme::Http | Scheme::Https => connect(proxy, stream, host, port, config).await,
        Scheme::Socks5 => socks5(proxy, stream, host, port).await,
    }
}

/// RFC 9110 §9.3.6.
async fn connect<S: AsyncSocket + Unpin>(
    proxy: &ProxyServer,
    mut stream: S,
    host: &str,
    port: u16,
    config: &Config,
) -> Result<S, ProxyError> {
    let request = connect_request(proxy, host, port);
    let mut unsent = &request[..];
    poll_fn(|cx| {
        while !unsent.is_empty() {
            let count = ready!(Pin::new(&mut stream).poll_write(cx, unsent))?;
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero)));
            }
            unsent = unsent.get(count..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    let mut answer = Answer::new(proxy, config);
    poll_fn(|cx| {
        loop {
            let mut buffer = [0; READ_SIZE];
            let count = ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer))?;
            let received = buffer.get(..count).unwrap_or_default();
            if received.is_empty() {
                return Poll::Ready(Err(ProxyError::Closed));
            }
            if answer.receive(received)? {
                return Poll::Ready(Ok(()));
            }
        }
    })
    .await?;
    Ok(stream)
}

fn connect_request(proxy: &ProxyServer, host: &str, port: u16) -> Vec<u8> {
    let target = match literal(host) {
        Some(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    let authorization = proxy.credentials.as_ref().map_or_else(String::new, |credentials| {
        // RFC 7617 §2.
        let encoded = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
        format!("Proxy-Authorization: Basic {encoded}\r\n")
    });
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n").into_bytes()
}

/// What an HTTP proxy answers.
struct Answer {
    head: HeadBuffer,
    interim: usize,
    credentials_sent: bool,
}

impl Answer {
    fn new(proxy: &ProxyServer, config: &Config) -> Self {
        let head = HeadBuffer::new(HeadKind::Response, config);
        Self { head, interim: 0, credentials_sent: proxy.credentials.is_some() }
    }

    /// Takes what has come, and tells whether the tunnel is there.
    fn receive(&mut self, mut input: &[u8]) -> Result<bool, ProxyError> {
        while let Some(head) = self.head.receive(&mut input)? {
            match parse_status(&head.start_line)? {
                100 | 102..=199 => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err(ProxyError::TooManyInterim { limit: MAX_INTERIM });
                    }
                }
                // Any of them, whatever its headers say of a body.
                200..=299 if input.is_empty() => return Ok(true),
                200..=299 => return Err(ProxyError::EarlyData),
                // Whatever answers a CONNECT is a proxy, and some say 401 to a wrong password.
                401 | 407 => return Err(self.unauthenticated(&head.headers)),
                status => {
                    let refusal = Refusal { status, headers: head.headers, body: Vec::new() };
                    return Err(ProxyError::Refused(Box::new(refusal)));
                }
            }
        }
        Ok(false)
    }

    /// RFC 9110 §15.5.8.
    fn unauthenticated(&self, headers: &Headers) -> ProxyError {
        let mut offers = headers.get_all("Proxy-Authenticate").peekable();
        let is_known = offers.peek().is_none()
            || offers
                .flat_map(|offer| offer.split(|byte| b" ,".contains(byte)))
                .any(|word| word.eq_ignore_ascii_case(b"Basic"));
        match (is_known, self.credentials_sent) {
            (false, _) => ProxyError::UnknownAuthentication,
            (true, true) => ProxyError::CredentialsRejected,
            (true, false) => ProxyError::CredentialsRequired,
        }
    }
}

/// RFC 1928, RFC 1929. A name goes to the proxy as it is.
async fn socks5<S: AsyncSocket + Unpin>(
    proxy: &ProxyServer,
    stream: S,
    host: &str,
    port: u16,
) -> Result<S, ProxyError> {
    let target = (bare(host), port).into_target_addr().map_err(|_| ProxyError::HostTooLong)?;
    let made = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some(with) => Socks5Stream::connect_with_password_and_socket(stream, target, &with.user, &with.password).await,
    };
    match made {
        Ok(stream) => Ok(stream.into_inner()),
        Err(Socks5Error::NoAcceptableAuthMethods) if proxy.credentials.is_none() => {
            Err(ProxyError::CredentialsRequired)
        }
        Err(error) => Err(error.into()),
    }
}

impl From<Socks5Error> for ProxyError {
    fn from(error: Socks5Error) -> Self {
        match error {
            Socks5Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            Socks5Error::Io(error) => Self::Io(error),
            Socks5Error::AuthorizationRequired => Self::CredentialsRequired,
            Socks5Error::PasswordAuthFailure(_) => Self::CredentialsRejected,
            Socks5Error::NoAcceptableAuthMethods => Self::UnknownAuthentication,
            Socks5Error::GeneralSocksServerFailure => Self::Socks(SocksReply::GeneralFailure),
            Socks5Error::ConnectionNotAllowedByRuleset => Self::Socks(SocksReply::NotAllowed),
            Socks5Error::NetworkUnreachable => Self::Socks(SocksReply::NetworkUnreachable),
            Socks5Error::HostUnreachable => Self::Socks(SocksReply::HostUnreachable),
            Socks5Error::ConnectionRefused => Self::Socks(SocksReply::ConnectionRefused),
            Socks5Error::TtlExpired => Self::Socks(SocksReply::TtlExpired),
            Socks5Error::CommandNotSupported => Self::Socks(SocksReply::CommandNotSupported),
            Socks5Error::AddressTypeNotSupported => Self::Socks(SocksReply::AddressNotSupported),
            _ => Self::NotSocks,
        }
    }
}

/// tokio's streams, polled. No more is believed to be written than was given.
#[cfg(feature = "tokio")]
struct Polled<S>(S);

#[cfg(feature = "tokio")]
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncSocket for Polled<S> {
    /// Flushes first, for nobody else does: TLS may still hold what is to be answered.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.0).poll_flush(cx))?;
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes).map_ok(|count| count.min(bytes.len()))
    }
}

/// A stream that waits instead of being pending. It is believed no more than [`Polled`].
struct Blocking<S>(S);

impl<S> Unpin for Blocking<S> {}

impl<S: Read + Write> AsyncSocket for Blocking<S> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = insist(|| self.0.flush()).and_then(|()| insist(|| self.0.read(buffer)));
        Poll::Ready(result.map(|count| count.min(buffer.len())))
    }

    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(insist(|| self.0.write(bytes)).map(|count| count.min(bytes.len())))
    }
}

/// Tries again after a signal.
fn insist<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// More than most answers have.
const READ_SIZE: usize = 1024;
