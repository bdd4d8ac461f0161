//! A blocking connection as a stream of bytes, whole or in its two ends.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use super::split::{Receiver, Sender};
use super::state::{Link, receive};
use super::stream::{ReadHalf, Stream, WriteHalf};
use super::websocket::WebSocket;
use crate::close::CloseCode;
use crate::io::input::Inbound;
use crate::io::pieces::{self, Pieces};

/// A connection as a stream of bytes over binary messages: `Read`, `BufRead` and `Write`, for protocols that want a
/// socket.
///
/// Each write is one binary message of at most 64 KiB, and has reached the kernel when it returns; an empty write sends
/// nothing. Messages are read as their bytes come, whatever their length. How the stream ends, and which errors it has,
/// is what [`asynchronous::ByteStream`](crate::asynchronous::ByteStream) tells.
///
/// Two threads, one for each direction, take a [`ByteReader`] and a [`ByteWriter`]. Dropping the `ByteStream` drops the
/// transport, without a Close: [`shutdown`](Self::shutdown) comes before that.
pub struct ByteStream<S> {
    websocket: WebSocket<S>,
    pieces: Pieces,
}

impl<S: Stream> WebSocket<S> {
    /// The same connection as a stream of bytes over binary messages. The rest of a message that was received in part
    /// is its beginning.
    pub fn into_bytes(self) -> ByteStream<S> {
        ByteStream { websocket: self, pieces: Pieces::default() }
    }
}

impl<S: Stream> ByteStream<S> {
    /// Sends Close with code 1000, behind everything that was written. It ends both directions; what the peer sent
    /// before it answers is still to be read, up to the end of the stream.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn shutdown(&mut self) -> io::Result<()> {
        // Closed already is as good.
        let _ = self.websocket.writer().close(CloseCode::NORMAL, "");
        self.flush()
    }

    /// The connection, to ask what was agreed on, or how it ended.
    pub fn get_ref(&self) -> &WebSocket<S> {
        &self.websocket
    }

    /// The connection, for instance to close it with a code of its own. What is in the [`buffer`](Self::buffer) is lost;
    /// of a message that was read in part, [`recv_part`](WebSocket::recv_part) gives the rest, and
    /// [`recv`](WebSocket::recv) skips it.
    pub fn into_inner(self) -> WebSocket<S> {
        self.websocket
    }

    /// What was received of a message and is not read yet.
    pub fn buffer(&self) -> &[u8] {
        self.pieces.unread(&self.websocket.inbound)
    }
}

/// Bytes that are there to be read; none at the end.
fn fill<'a>(link: &mut impl Link, inbound: &'a mut Inbound, pieces: &mut Pieces) -> io::Result<&'a [u8]> {
    while pieces.unread(inbound).is_empty() {
        receive(link, inbound, pieces.wanted())?;
        if pieces.is_end(inbound, &mut link.state().life)? {
            break;
        }
    }
    Ok(pieces.unread(inbound))
}

impl<S: Stream> BufRead for ByteStream<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let WebSocket { inbound, link } = &mut self.websocket;
        fill(link, inbound, &mut self.pieces)
    }

    fn consume(&mut self, count: usize) {
        self.pieces.consume(&mut self.websocket.inbound, count);
    }
}

impl<S: Stream> Read for ByteStream<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        read(self, room)
    }
}

fn read(stream: &mut impl BufRead, room: &mut [u8]) -> io::Result<usize> {
    if room.is_empty() {
        return Ok(0);
    }
    let count = pieces::copy(stream.fill_buf()?, room);
    stream.consume(count);
    Ok(count)
}

impl<S: Stream> Write for ByteStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = pieces::first_message(bytes);
        if !bytes.is_empty() {
            self.websocket.send(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.websocket.flush()?)
    }
}

/// The bytes that a [`Receiver`] receives in binary messages, see [`ByteStream`].
#[must_use = "a connection lives only while its receiver is called"]
pub struct ByteReader<R, W = R> {
    receiver: Receiver<R, W>,
    pieces: Pieces,
}

impl<R: ReadHalf, W: WriteHalf> Receiver<R, W> {
    /// The same end as a stream of bytes over binary messages.
    pub fn into_bytes(self) -> ByteReader<R, W> {
        ByteReader { receiver: self, pieces: Pieces::default() }
    }
}

impl<R: ReadHalf, W: WriteHalf> ByteReader<R, W> {
    /// The receiver, by the same rule as [`ByteStream::into_inner`].
    pub fn into_inner(self) -> Receiver<R, W> {
        self.receiver
    }
}

impl<R: ReadHalf, W: WriteHalf> BufRead for ByteReader<R, W> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Receiver { inbound, link } = &mut self.receiver;
        fill(link, inbound, &mut self.pieces)
    }

    fn consume(&mut self, count: usize) {
        self.pieces.consume(&mut self.receiver.inbound, count);
    }
}

impl<R: ReadHalf, W: WriteHalf> Read for ByteReader<R, W> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        read(self, room)
    }
}

/// The bytes that a [`Sender`] sends in binary messages, see [`ByteStream`]. Dropping the last sender closes the
/// connection with code 1000, which ends the peer's stream of bytes.
#[must_use = "dropping the last sender closes the connection"]
#[derive(Debug)]
pub struct ByteWriter<W: WriteHalf> {
    sender: Sender<W>,
}

impl<W: WriteHalf> Sender<W> {
    /// The same end as a stream of bytes over binary messages.
    pub fn into_bytes(self) -> ByteWriter<W> {
        ByteWriter { sender: self }
    }
}

impl<W: WriteHalf> ByteWriter<W> {
    /// The sender.
    pub fn into_inner(self) -> Sender<W> {
        self.sender
    }
}

impl<W: WriteHalf> Write for ByteWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = pieces::first_message(bytes);
        if !bytes.is_empty() {
            self.sender.send(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.sender.flush()?)
    }
}

impl<S> fmt::Debug for ByteStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.websocket).finish()
    }
}

impl<R, W> fmt::Debug for ByteReader<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteReader").field(&self.receiver).finish()
    }
}
