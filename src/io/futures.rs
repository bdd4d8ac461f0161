//! The driver over futures-io: any `AsyncRead + AsyncWrite` of that crate, on any executor.
//!
//! The types here are those of [`asynchronous`](crate::asynchronous), where their methods are, over these streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Buf;
use futures_io::{AsyncRead, AsyncWrite};
use futures_timer::Delay;

use super::driver::{Sealed, Transport};
pub use super::shutdown::{Gone, Shutdown};
use super::vectored::with_slices;
use crate::outbox::Outbox;
use crate::timers::Time;

/// An open connection over a futures-io stream.
pub type WebSocket<S> = super::websocket::WebSocket<FuturesIo<S>>;

/// The receiving end of a split connection.
pub type Receiver<S> = super::split::Receiver<FuturesIo<S>>;

/// The sending end of a split connection.
pub type Sender<S> = super::split::Sender<FuturesIo<S>>;

/// A connection as a stream of bytes.
pub type ByteStream<S> = super::bytes::ByteStream<FuturesIo<S>>;

/// A message that a sender sends in pieces.
pub type SenderFragments<'a, S> = super::split::SenderFragments<'a, FuturesIo<S>>;

/// A message that is being sent in pieces.
pub type Fragments<'a, S> = super::websocket::Fragments<'a, FuturesIo<S>>;

/// A futures-io stream as the driver's transport.
#[derive(Debug)]
pub struct FuturesIo<S>(S);

impl<S> Sealed for FuturesIo<S> {}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for FuturesIo<S> {
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

    fn sleep_until(deadline: Instant) -> Sleep {
        Sleep { delay: Delay::new(deadline.since(Instant::now())), deadline }
    }

    fn wakes_at(sleep: &Sleep) -> Instant {
        sleep.deadline
    }
}

/// A delay that knows when it ends.
#[derive(Debug)]
pub struct Sleep {
    delay: Delay,
    deadline: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.delay).poll(cx)
    }
}
