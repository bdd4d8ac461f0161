//! A connection as a stream of bytes, for protocols that know of no messages.

#[cfg(feature = "futures")]
mod futures;
#[cfg(feature = "tokio")]
mod tokio;

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use super::driver::Transport;
use super::pieces::{self, Pieces};
use super::websocket::WebSocket;
use crate::close::CloseCode;

/// A connection as a stream of bytes: `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of its runtime, over binary messages.
/// For tunnels: yamux, MQTT, SSH, or whatever else wants a socket.
///
/// ```
/// # use sockeye::{Error, tokio::WebSocket};
/// # async fn tunnel(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = WebSocket::accept(stream).await?.into_bytes();
/// let mut database = tokio::net::TcpStream::connect("127.0.0.1:5432").await?;
/// tokio::io::copy_bidirectional(&mut client, &mut database).await?;
/// # Ok(()) }
/// ```
///
/// # Writing
/// Each write is one binary message of at most 64 KiB, which takes the rest of longer ones; an empty write sends
/// nothing. It goes to the kernel at once; flushing waits for what the kernel did not take. While
/// [`Config::outbox_high_water`] or more waits, writes wait, and reads go on. Who writes little at a time wraps this in
/// a `BufWriter`.
///
/// Shutting down sends Close with code 1000, behind everything that was written. **It ends both directions**: a
/// WebSocket cannot be closed by halves, and the peer answers Close at once (RFC 6455 §5.5.1). What it sent before is
/// still to be read.
///
/// # Reading
/// Messages are read as their bytes come, whatever their length; [`Config::max_streamed_size`] limits it. Empty ones say
/// nothing. Pings and Close are answered by reads, so they must go on while the connection is open.
///
/// The stream ends where the peer closes with 1000, or without a code. Any other end is an error, because what came may be
/// incomplete. The [`Error`] is inside of the [`io::Error`]; a transport's own is passed on as it is:
///
/// | end | [`io::ErrorKind`] |
/// |---|---|
/// | Close with another code, such as 1001 or 1011 | [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) |
/// | end of the transport without Close | [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) |
/// | a text message, which closes the connection with 1003 | [`InvalidData`](io::ErrorKind::InvalidData) |
/// | an offence against the protocol or a limit | [`InvalidData`](io::ErrorKind::InvalidData) |
/// | a deadline that passed | [`TimedOut`](io::ErrorKind::TimedOut) |
/// | a write after Close | [`BrokenPipe`](io::ErrorKind::BrokenPipe) |
///
/// A failure is reported once; then reads say `ConnectionAborted`, never that the stream has ended.
///
/// Reads and writes may come from two tasks, as from `tokio::io::split`. Every future may be dropped: a write that was
/// not accepted has sent nothing, a read that did not return has taken nothing. Dropping the `ByteStream` drops the
/// transport, without a Close.
///
/// [`Config::outbox_high_water`]: crate::Config::outbox_high_water
/// [`Config::max_streamed_size`]: crate::Config::max_streamed_size
/// [`Error`]: crate::Error
pub struct ByteStream<T: Transport> {
    websocket: WebSocket<T>,
    pieces: Pieces,
}

impl<T: Transport> WebSocket<T> {
    /// The same connection as a stream of bytes over binary messages. The rest of a message that was received in part
    /// is its beginning.
    pub fn into_bytes(self) -> ByteStream<T> {
        ByteStream { websocket: self, pieces: Pieces::default() }
    }
}

impl<T: Transport> ByteStream<T> {
    /// The connection, to ask what was agreed on, or how it ended.
    pub fn get_ref(&self) -> &WebSocket<T> {
        &self.websocket
    }

    /// The connection, for instance to close it with a code of its own. What is in the [`buffer`](Self::buffer) is lost;
    /// of a message that was read in part, [`recv_part`](WebSocket::recv_part) gives the rest, and
    /// [`recv`](WebSocket::recv) skips it.
    pub fn into_inner(self) -> WebSocket<T> {
        self.websocket
    }

    /// What was received of a message and is not read yet.
    pub fn buffer(&self) -> &[u8] {
        self.pieces.unread(&self.websocket.inbound)
    }

    /// Bytes that are there to be read; none at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { websocket: WebSocket { inbound, shared }, pieces } = self;
        while pieces.unread(inbound).is_empty() {
            ready!(shared.poll_receive(inbound, cx, pieces.wanted()))?;
            if pieces.is_end(inbound, &mut shared.life)? {
                break;
            }
        }
        Poll::Ready(Ok(pieces.unread(inbound)))
    }

    fn consume(&mut self, count: usize) {
        self.pieces.consume(&mut self.websocket.inbound, count);
    }

    /// Sends what fits into one message, as soon as the outbox has room.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = pieces::first_message(bytes);
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let shared = &mut self.websocket.shared;
        ready!(shared.poll_room(cx))?;
        shared.life.writer.send(bytes)?;
        shared.poll_write_now(cx)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.websocket.shared.poll_flushed_all(cx).map_err(Into::into)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut self.websocket.shared;
        // Closed already is as good.
        if shared.life.writer.close(CloseCode::NORMAL, "").is_ok() {
            // From now on the reads, which may wait elsewhere, have a deadline.
            shared.wakers.wake_all();
        }
        self.poll_flush(cx)
    }
}

impl<T: Transport> fmt::Debug for ByteStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.websocket).finish()
    }
}
