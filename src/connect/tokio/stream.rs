//! The stream of a client that `connect` made.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "rustls")]
use tokio_rustls::client::TlsStream;

/// A stream to a server, with or without TLS over it.
#[derive(Debug)]
pub struct ClientStream<S = TcpStream>(Layer<S>);

#[derive(Debug)]
enum Layer<S> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(std::boxed::Box<TlsStream<ClientStream<S>>>),
}

/// Does the same to either layer.
macro_rules! either {
    ($stream:expr, $layer:ident => $do:expr) => {
        match $stream {
            Layer::Plain($layer) => $do,
            #[cfg(feature = "rustls")]
            Layer::Tls($layer) => $do,
        }
    };
}

impl<S> ClientStream<S> {
    /// The stream below, a socket as a rule. What is read from it or written to it passes by TLS.
    pub fn get_ref(&self) -> &S {
        match &self.0 {
            Layer::Plain(stream) => stream,
            #[cfg(feature = "rustls")]
            Layer::Tls(tls) => tls.get_ref().0.get_ref(),
        }
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        !matches!(self.0, Layer::Plain(_))
    }

    /// What was agreed on for TLS, and the server's certificates.
    #[cfg(feature = "rustls")]
    pub fn tls(&self) -> Option<&rustls::ClientConnection> {
        match &self.0 {
            Layer::Plain(_) => None,
            Layer::Tls(tls) => Some(tls.get_ref().1),
        }
    }

    pub(super) fn plain(stream: S) -> Self {
        Self(Layer::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls_over(stream: TlsStream<Self>) -> Self {
        Self(Layer::Tls(std::boxed::Box::new(stream)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match either!(&mut self.get_mut().0, stream => Pin::new(stream).poll_read(cx, room)) {
            // Many end TLS without saying so. Whether the connection was cut, its Close frame tells (RFC 6455 §7.1.5).
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(&self.0, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().0, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().0, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
