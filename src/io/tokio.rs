//! The driver over tokio: any `AsyncRead + AsyncWrite`, with tokio's timer, which the runtime must have enabled.
//!
//! The types here are those of [`asynchronous`](crate::asynchronous), where their methods are, over tokio's streams.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::driver::{Sealed, Transport};
use super::vectored::with_slices;
#[cfg(feature = "connect")]
pub use crate::connect::tokio::{ClientStream, connect, connect_over};
use crate::outbox::Outbox;
use crate::reader::PayloadBuf;
use crate::timers::Time;

/// An open connection over a tokio stream.
pub type WebSocket<S> = super::websocket::WebSocket<TokioIo<S>>;

/// The receiving end of a split connection.
pub type Receiver<S> = super::split::Receiver<TokioIo<S>>;

/// The sending end of a split connection.
pub type Sender<S> = super::split::Sender<TokioIo<S>>;

/// A message that a sender sends in pieces.
pub type SenderFragments<'a, S> = super::split::SenderFragments<'a, TokioIo<S>>;

/// A message that is being sent in pieces.
pub type Fragments<'a, S> = super::websocket::Fragments<'a, TokioIo<S>>;

/// A tokio stream as the driver's transport.
#[derive(Debug)]
pub struct TokioIo<S>(S);

impl<S> Sealed for TokioIo<S> {}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for TokioIo<S> {
    type Stream = S;
    type Instant = Instant;
    type Sleep = Sleep;

    fn new(stream: S) -> Self {
        Self(stream)
    }

    fn get_ref(&self) -> &S {
        &self.0
    }

    fn get_mut(&mut self) -> &mut S {
        &mut self.0
    }

    fn into_inner(self) -> S {
        self.0
    }

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

    fn poll_unbudgeted(cx: &mut Context<'_>, poll: impl FnMut(&mut Context<'_>) -> Poll<()>) -> Poll<()> {
        pin!(unconstrained(poll_fn(poll))).poll(cx)
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
