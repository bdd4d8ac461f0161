//! The stream that all work over: frames from memory, again and again, and bytes to memory. It never waits.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use sockeye::blocking::{ReadHalf, WriteHalf};
use tokio::io::ReadBuf;

/// The most that a read brings.
pub const READ: usize = 64 << 10;

/// What was written.
pub type Sink = Rc<RefCell<Vec<u8>>>;

pub struct Wire {
    frames: Bytes,
    at: usize,
    ends: bool,
    sink: Sink,
}

impl Wire {
    pub fn new(frames: Bytes) -> Self {
        Self { frames, at: 0, ends: false, sink: Sink::default() }
    }

    /// A stream that ends after the frames.
    pub fn once(frames: Bytes) -> Self {
        Self { ends: true, ..Self::new(frames) }
    }

    pub fn sink(&self) -> Sink {
        Rc::clone(&self.sink)
    }

    /// What a read of up to `room` bytes brings. None goes beyond the last frame.
    #[inline]
    pub fn next(&mut self, room: usize) -> &[u8] {
        let start = self.at;
        let end = self.frames.len().min(start + room.min(READ));
        self.at = if end == self.frames.len() && !self.ends { 0 } else { end };
        &self.frames[start..end]
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> usize {
        self.sink.borrow_mut().extend_from_slice(bytes);
        bytes.len()
    }

    #[inline]
    fn put_all(&mut self, slices: &[IoSlice<'_>]) -> usize {
        slices.iter().map(|slice| self.put(slice)).sum()
    }
}

impl Read for Wire {
    #[inline]
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(room.len());
        room[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Wire {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put(bytes))
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.put_all(slices))
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadHalf for Wire {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl WriteHalf for Wire {
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tokio::io::AsyncRead for Wire {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = self.next(room.remaining());
        room.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl futures_util::AsyncRead for Wire {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.read(room))
    }
}

/// Both traits have the same methods but for the name of the last one.
macro_rules! async_write {
    ($trait:path, $close:ident $(, $vectored:item)?) => {
        impl $trait for Wire {
            #[inline]
            fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(self.put(bytes)))
            }

            #[inline]
            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(self.put_all(slices)))
            }

            #[inline]
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn $close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            $($vectored)?
        }
    };
}

async_write!(futures_util::AsyncWrite, poll_close);
async_write!(
    tokio::io::AsyncWrite,
    poll_shutdown,
    fn is_write_vectored(&self) -> bool {
        true
    }
);

/// Runs a future over a wire, without a runtime. Some yield now and then, but nothing waits.
///
/// # Panics
/// It waits.
#[inline]
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("the stream never waits, but the connection does");
}
