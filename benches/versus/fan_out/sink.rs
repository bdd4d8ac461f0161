//! The streams that are sent over in memory: they take everything, and bring nothing.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wtx::stream::{StreamReader, StreamWriter};

/// What all peers work over; wtx has traits of its own.
pub trait Stream: AsyncRead + AsyncWrite + wtx::stream::Stream + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + wtx::stream::Stream + Send + Unpin + 'static> Stream for S {}

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// How many bytes all sinks of this thread have taken.
pub fn taken() -> u64 {
    TAKEN.get()
}

pub enum Sink {
    Plain,
    /// Shows what it takes.
    Shown(Shown),
}

/// What was written.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink {
    /// A sink, and what it takes.
    pub fn shown() -> (Self, Shown) {
        let shown = Shown::default();
        (Self::Shown(shown.clone()), shown)
    }

    #[inline]
    fn put(&self, slices: &[IoSlice<'_>]) -> usize {
        if let Self::Shown(shown) = self {
            let mut shown = shown.0.lock().unwrap_or_else(PoisonError::into_inner);
            slices.iter().for_each(|slice| shown.extend_from_slice(slice));
        }
        let count = slices.iter().map(|slice| std::hint::black_box(slice).len()).sum();
        TAKEN.set(TAKEN.get() + count as u64);
        count
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put(&[IoSlice::new(bytes)]))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl StreamReader for Sink {
    async fn read(&mut self, _: &mut [u8]) -> wtx::Result<usize> {
        pending().await
    }
}

impl StreamWriter for Sink {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        self.put(&[IoSlice::new(bytes)]);
        Ok(())
    }

    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        slices.iter().for_each(|bytes| _ = self.put(&[IoSlice::new(bytes)]));
        Ok(())
    }
}
