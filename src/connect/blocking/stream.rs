//! The stream of a client that `connect` made.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[cfg(feature = "rustls")]
use rustls::{ClientConnection, StreamOwned};

use crate::io::blocking::{ReadHalf, Stream, WriteHalf};

/// A stream to a server, with or without TLS over it.
#[derive(Debug)]
pub struct ClientStream<S: Stream = TcpStream>(Layer<S>);

#[derive(Debug)]
enum Layer<S: Stream> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(std::boxed::Box<StreamOwned<ClientConnection, ClientStream<S>>>),
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

impl<S: Stream> ClientStream<S> {
    /// The stream below, a socket as a rule. What is read from it or written to it passes by TLS.
    pub fn get_ref(&self) -> &S {
        match &self.0 {
            Layer::Plain(stream) => stream,
            #[cfg(feature = "rustls")]
            Layer::Tls(tls) => tls.sock.get_ref(),
        }
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        !matches!(self.0, Layer::Plain(_))
    }

    /// What was agreed on for TLS, and the server's certificates.
    #[cfg(feature = "rustls")]
    pub fn tls(&self) -> Option<&ClientConnection> {
        match &self.0 {
            Layer::Plain(_) => None,
            Layer::Tls(tls) => Some(&tls.conn),
        }
    }

    pub(super) fn plain(stream: S) -> Self {
        Self(Layer::Plain(stream))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls_over(stream: Self, tls: ClientConnection) -> Self {
        Self(Layer::Tls(std::boxed::Box::new(StreamOwned::new(tls, stream))))
    }

    /// What the timeouts belong to.
    fn below(&mut self) -> &mut S {
        match &mut self.0 {
            Layer::Plain(stream) => stream,
            #[cfg(feature = "rustls")]
            Layer::Tls(tls) => tls.sock.below(),
        }
    }
}

impl ClientStream {
    /// Another handle to the same socket, for another thread.
    ///
    /// # Errors
    /// The system has none to give; or TLS is spoken, whose state cannot be in two places.
    pub fn try_clone(&self) -> io::Result<Self> {
        match &self.0 {
            Layer::Plain(socket) => Ok(Self::plain(socket.try_clone()?)),
            #[cfg(feature = "rustls")]
            Layer::Tls(_) => {
                let why = "a blocking stream with TLS cannot be used by two threads at once; use one thread, or tokio";
                Err(io::Error::new(ErrorKind::Unsupported, why))
            }
        }
    }
}

impl<S: Stream> Read for ClientStream<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match either!(&mut self.0, stream => stream.read(room)) {
            // Many end TLS without saying so. Whether the connection was cut, its Close frame tells (RFC 6455 §7.1.5).
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

impl<S: Stream> Write for ClientStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(&mut self.0, stream => stream.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(&mut self.0, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(&mut self.0, stream => stream.flush())
    }
}

impl<S: Stream> ReadHalf for ClientStream<S> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.below().set_read_timeout(timeout)
    }
}

impl<S: Stream> WriteHalf for ClientStream<S> {
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.below().set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Layer::Plain(stream) => stream.shutdown(),
            #[cfg(feature = "rustls")]
            Layer::Tls(tls) => {
                tls.conn.send_close_notify();
                tls.flush()?;
                tls.sock.shutdown()
            }
        }
    }
}
