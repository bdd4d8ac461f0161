//! The driver over tokio: any `AsyncRead + AsyncWrite`, with tokio's timer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::driver::Transport;
use super::error::Error;
use super::opening;
use super::vectored::with_slices;
use crate::config::Config;
use crate::connection::{Agreed, Connection};
use crate::frame::Role;
use crate::handshake::{Origins, Reject, client, server};
use crate::outbox::Outbox;
use crate::payload_buf::PayloadBuf;
use crate::timers::Time;

/// An open connection over a tokio stream.
pub type WebSocket<S> = super::websocket::WebSocket<TokioIo<S>>;

/// The receiving end of a split connection.
pub type Receiver<S> = super::split::Receiver<TokioIo<S>>;

/// The sending end of a split connection.
pub type Sender<S> = super::split::Sender<TokioIo<S>>;

/// A message that is being sent in pieces.
pub type Outgoing<'a, S> = super::websocket::Outgoing<'a, TokioIo<S>>;

/// A tokio stream as the driver's transport.
#[derive(Debug)]
pub struct TokioIo<S>(S);

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
        opening::accept(TokioIo(stream), config, answer).await
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
        opening::client(TokioIo(stream), config, request).await
    }

    /// A connection over a stream that some other HTTP stack has upgraded. `leftover` is what was read behind the
    /// handshake.
    pub fn open(stream: S, role: Role, agreed: Agreed, config: &Config, leftover: &[u8]) -> Self {
        Self::new(TokioIo(stream), Connection::open(role, agreed, config), config, leftover)
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

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for TokioIo<S> {
    type Instant = Instant;
    type Sleep = Sleep;

    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }

    #[allow(unsafe_code)]
    fn poll_read_payload(&mut self, cx: &mut Context<'_>, mut payload: PayloadBuf<'_>) -> Poll<io::Result<usize>> {
        // SAFETY: nothing but initialized bytes is ever written through a `ReadBuf`.
        let room = unsafe { payload.chunk_mut().as_uninit_slice_mut() };
        let start = room.as_ptr().cast();
        let mut room = ReadBuf::uninit(room);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut room))?;
        if start != room.filled().as_ptr() {
            return Poll::Ready(Err(io::Error::other("the stream replaced the buffer it was to read into")));
        }
        let count = room.filled().len();
        // SAFETY: `ReadBuf` counts as filled only what was initialized.
        unsafe { payload.advance_mut(count) };
        Poll::Ready(Ok(count))
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if outbox.chunk().len() == outbox.remaining() || !stream.is_write_vectored() {
            return stream.poll_write(cx, outbox.chunk());
        }
        with_slices(outbox, |slices| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep_until(deadline: Instant) -> Sleep {
        sleep_until(deadline)
    }
}

impl Time for Instant {
    fn checked_add(self, duration: Duration) -> Option<Self> {
        Instant::checked_add(&self, duration)
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}
