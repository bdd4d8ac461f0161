//! The driver over futures-io: any `AsyncRead + AsyncWrite` of that crate, on any executor.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use futures_timer::Delay;

use super::driver::Transport;
use super::error::Error;
use super::opening;
use super::vectored::with_slices;
use crate::config::Config;
use crate::connection::{Agreed, Connection};
use crate::frame::Role;
use crate::handshake::{Origins, Reject, client, server};
use crate::outbox::Outbox;
use crate::timers::Time;

/// An open connection over a futures-io stream.
pub type WebSocket<S> = super::websocket::WebSocket<FuturesIo<S>>;

/// The receiving end of a split connection.
pub type Receiver<S> = super::split::Receiver<FuturesIo<S>>;

/// The sending end of a split connection.
pub type Sender<S> = super::split::Sender<FuturesIo<S>>;

/// A message that a sender sends in pieces.
pub type Pieces<'a, S> = super::split::Pieces<'a, FuturesIo<S>>;

/// A message that is being sent in pieces.
pub type Outgoing<'a, S> = super::websocket::Outgoing<'a, FuturesIo<S>>;

/// A futures-io stream as the driver's transport.
#[derive(Debug)]
pub struct FuturesIo<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Waits for a client's opening handshake and accepts it, with the default configuration, from pages of the same
    /// host and from what is no browser.
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub async fn accept(stream: S) -> Result<Self, Error> {
        Self::accept_with(stream, &Config::DEFAULT, |request| request.accept(Origins::Same)).await
    }

    /// Waits for a client's opening handshake and answers as `answer` decides: by path, credentials, [`Origins`],
    /// subprotocols.
    ///
    /// # Errors
    /// The request was rejected, and the client told so; it did not come in time; or the stream failed.
    pub async fn accept_with(
        stream: S,
        config: &Config,
        answer: impl FnOnce(server::Request) -> Result<server::Accept, Reject>,
    ) -> Result<Self, Error> {
        opening::accept(FuturesIo(stream), config, answer).await
    }

    /// Makes the opening handshake as a client, with the default configuration.
    ///
    /// # Errors
    /// As [`client_with`](Self::client_with).
    pub async fn client(stream: S, request: client::Request) -> Result<(Self, client::Response), Error> {
        Self::client_with(stream, request, &Config::DEFAULT).await
    }

    /// Makes the opening handshake as a client.
    ///
    /// # Errors
    /// The server refused, broke the protocol or did not answer in time; or the stream failed.
    pub async fn client_with(
        stream: S,
        request: client::Request,
        config: &Config,
    ) -> Result<(Self, client::Response), Error> {
        opening::client(FuturesIo(stream), config, request).await
    }

    /// A connection over a stream that some other HTTP stack has upgraded. `leftover` is what was read behind the
    /// handshake.
    pub fn open(stream: S, role: Role, agreed: Agreed, config: &Config, leftover: &[u8]) -> Self {
        Self::new(FuturesIo(stream), Connection::open(role, agreed, config), config, leftover)
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.transport().0
    }

    /// The stream, without a Close. What was [received](Self::unread) or queued meanwhile is lost.
    pub fn into_inner(self) -> S {
        self.into_transport().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for FuturesIo<S> {
    type Instant = Instant;
    type Sleep = Delay;

    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if outbox.chunk().len() == outbox.remaining() {
            return stream.poll_write(cx, outbox.chunk());
        }
        with_slices(outbox, |slices| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep_until(deadline: Instant) -> Delay {
        Delay::new(deadline.since(Instant::now()))
    }
}
