//! The floor of tokio: bytes go back as they come. All connections read into one buffer, as no crate that keeps what is
//! not used up could.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

/// The most that a read brings.
const READ: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

pub fn serve(listener: TcpListener, _: Options) -> Outcome {
    on_tokio::run(listener, |stream| async {
        let mut echo = Echo { stream, rest: Vec::new(), _opened: Opened::new() };
        Ok(poll_fn(|cx| SCRATCH.with_borrow_mut(|scratch| echo.poll(cx, scratch))).await?)
    })
}

struct Echo {
    stream: TcpStream,
    /// What the peer has not taken back yet.
    rest: Vec<u8>,
    _opened: Opened,
}

impl Echo {
    fn poll(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<()>> {
        loop {
            let rest = std::mem::take(&mut self.rest);
            ready!(self.poll_write(cx, &rest))?;
            let mut room = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write(cx, room.filled()))?;
        }
    }

    /// Writes the bytes, and keeps what the socket does not take.
    fn poll_write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes)? {
                Poll::Ready(count) => bytes = &bytes[count..],
                Poll::Pending => {
                    self.rest = bytes.to_vec();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
