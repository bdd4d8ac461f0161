//! The verbs of a blocking connection.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::ops::DerefMut;
use std::time::{Duration, Instant};

use super::state::{Came, Link, Output, Patience, State, receive};
use super::stream::{Armed, ReadHalf, Stream};
use crate::close::CloseCode;
use crate::config::Config;
use crate::connection::{Agreed, Closure, Connection};
use crate::error::SendError;
use crate::frame::Role;
use crate::io::error::Error;
use crate::io::input::Inbound;
use crate::io::lent::LentWriter;
use crate::io::life::{Life, Wanted};
use crate::io::statistics::Statistics;
use crate::message::{Event, Kind, Message, Part};
use crate::writer::{Prepared, Writer};

/// An open connection over a blocking stream.
///
/// | verb | when it returns |
/// |---|---|
/// | [`try_send`](Self::try_send) | at once; the message waits in the outbox, or comes back |
/// | [`feed`](Self::feed) | the message waits in the outbox, which had room |
/// | [`flush`](Self::flush) | everything that waited has reached the kernel |
/// | [`send`](Self::send) | the message has reached the kernel: `feed`, then `flush` |
///
/// What was fed, and all automatic replies, leave together when the next `recv` would wait. While
/// [`Config::outbox_high_water`] or more waits, `feed` and `send` wait too, and while more than that was queued through
/// [`recv_with_writer`](Self::recv_with_writer), so does `recv`: a peer that does not read stalls, and nothing fails.
///
/// The connection is also an iterator of owned messages, which ends when the connection is closed:
///
/// ```no_run
/// # use sockeye::{Error, blocking::WebSocket};
/// # fn echo(mut ws: WebSocket<std::net::TcpStream>) -> Result<(), Error> {
/// while let Some(message) = ws.next() {
///     ws.send(message?)?;
/// }
/// # Ok(()) }
/// ```
///
/// Dropping the `WebSocket` drops the stream, without a Close.
pub struct WebSocket<S> {
    pub(super) inbound: Inbound,
    pub(super) link: Alone<S>,
}

/// The stream and the state, in one thread.
pub(super) struct Alone<S> {
    state: State,
    output: Output<S>,
    armed: Armed,
}

impl<S: Stream> WebSocket<S> {
    /// A connection over a stream that some other HTTP stack has upgraded. `leftover` is what was read behind the
    /// handshake.
    pub fn open(stream: S, role: Role, agreed: Agreed, config: &Config, leftover: &[u8]) -> Self {
        Self::new(stream, Connection::open(role, agreed, config), config, leftover)
    }

    pub(super) fn new(stream: S, connection: Connection, config: &Config, leftover: &[u8]) -> Self {
        let (inbound, state) = State::new(connection, config, leftover);
        Self::from_parts(inbound, state, Output::new(stream), Armed::Unknown)
    }

    pub(super) fn from_parts(inbound: Inbound, state: State, output: Output<S>, armed: Armed) -> Self {
        Self { inbound, link: Alone { state, output, armed } }
    }

    pub(super) fn into_parts(self) -> (Inbound, State, Output<S>, Armed) {
        let Alone { state, output, armed } = self.link;
        (self.inbound, state, output, armed)
    }

    /// The same for a stream that never waits, in a poll loop of yours. The stream must be set non-blocking already.
    ///
    /// Where another call would wait, these return an error that [is just that](Error::is_would_block): nothing is
    /// lost, and the call can be repeated when the stream is ready, or when [`deadline`](Self::deadline) has passed.
    /// `feed`, `send`, `ping` and `close` say so only as long as they have accepted nothing: after `Ok` what was
    /// accepted may still wait in the outbox, where `flush` and `recv` find it.
    #[must_use]
    pub fn nonblocking(mut self) -> Self {
        self.link.state.nonblocking = true;
        self
    }

    /// The next message, lent until the next call. `None` once the connection is closed.
    ///
    /// Pings, pongs and Close are handled inside; [`recv_event`](Self::recv_event) shows them.
    ///
    /// # Errors
    /// The connection has failed. That is said once; then `None`.
    #[inline]
    pub fn recv(&mut self) -> Result<Option<Message<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Messages)?;
        Ok(self.inbound.message())
    }

    /// The next message together with the writer, to answer it from borrowed data without a copy.
    ///
    /// What is queued leaves when the next call would wait. There is room for a message of any size whenever this
    /// returns one, unless what was sent apart from these answers fills [`Config::outbox_capacity`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_with_writer(&mut self) -> Result<Option<(Message<'_>, &mut LentWriter)>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Messages)?;
        let writer = self.link.state.life.lend_writer();
        Ok(self.inbound.message().map(|message| (message, writer)))
    }

    /// The next event of any kind. The answer that it calls for is queued, and leaves when the next call would wait. So
    /// go on after Close, until `None`: only then was it answered, and the stream shut down.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Events)?;
        Ok(self.inbound.event())
    }

    /// The next part of a message of any length, in constant memory; see [`Reader::next_part`](crate::Reader::next_part).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Parts)?;
        Ok(self.inbound.part())
    }

    /// Sends a message, and waits until it has reached the kernel. Several go faster with [`feed`](Self::feed).
    ///
    /// # Errors
    /// The connection is closed or has failed, or a streamed message is unfinished.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.feed(message)?;
        self.flush_accepted()
    }

    /// Queues a message, as soon as the outbox has room.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.ready()?;
        Ok(self.try_send(message)?)
    }

    /// Waits until everything queued has reached the kernel.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn flush(&mut self) -> Result<(), Error> {
        let result = self.link.write_until(Patience::Full, |_| false);
        let life = &mut self.link.state.life;
        if life.is_broken() {
            return Err(life.sending_failure(false));
        }
        result?;
        // Both ends may have closed, so that nothing has failed, before all of it had left.
        if life.written() < life.position() { Err(life.refusal().into()) } else { Ok(()) }
    }

    /// Waits until the outbox has room. Accepts nothing.
    ///
    /// # Errors
    /// The connection is closed or has failed.
    pub fn ready(&mut self) -> Result<(), Error> {
        let result = self.link.write_until(Patience::Full, |life| life.writer.is_closed() || life.has_room());
        let life = &mut self.link.state.life;
        if life.writer.is_closed() {
            return Err(life.sending_failure(false));
        }
        Ok(result?)
    }

    /// Queues a message now, or gives it back.
    ///
    /// # Errors
    /// See [`Writer::send`].
    #[inline]
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        Writer::send(&mut self.link.state.life.writer, message)
    }

    /// Queues a message that was prepared for many receivers now.
    ///
    /// # Errors
    /// See [`Writer::send_prepared`].
    pub fn try_send_prepared(&mut self, message: &Prepared) -> Result<(), SendError<'static>> {
        self.link.state.life.writer.send_prepared(message)
    }

    /// Sends a message that was prepared for many receivers, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.ready()?;
        self.try_send_prepared(message)?;
        self.flush_accepted()
    }

    /// Sends a ping of at most 125 bytes. Keepalive pings are sent without this.
    ///
    /// # Errors
    /// As [`send`](Self::send), or the payload is too long.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.ready()?;
        self.link.state.life.writer.ping(payload)?;
        self.flush_accepted()
    }

    /// Begins a message that is sent in pieces, each as a fragment (RFC 6455 §5.4). `recv` and control frames may go in
    /// between:
    ///
    /// ```no_run
    /// # use sockeye::{Error, Kind, blocking::WebSocket};
    /// # fn example(mut ws: WebSocket<std::net::TcpStream>) -> Result<(), Error> {
    /// let mut outgoing = ws.start(Kind::Text)?;
    /// outgoing.write("Hel")?;
    /// ws.ping(b"between")?;
    /// ws.resume().expect("unfinished").write("lo")?;
    /// ws.resume().expect("unfinished").finish()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn start(&mut self, kind: Kind) -> Result<Fragments<'_, S>, Error> {
        self.ready()?;
        self.link.state.life.writer.start(kind)?;
        Ok(Fragments { websocket: self })
    }

    /// The message that was started and not finished.
    pub fn resume(&mut self) -> Option<Fragments<'_, S>> {
        self.link.state.life.writer.resume()?;
        Some(Fragments { websocket: self })
    }

    /// Closes the connection: sends Close, discards messages until the peer's Close, and waits for the end of the
    /// stream (RFC 6455 §7.1.2). To go on receiving meanwhile, use [`start_close`](Self::start_close).
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection has failed; if the peer does not close in time,
    /// [`Timeout::Close`](crate::Timeout::Close). Drop the `WebSocket` then, as after success.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if !self.link.state.life.writer.is_closed() {
            self.link.state.life.writer.close(code, reason)?;
        }
        while self.recv()?.is_some() {}
        Ok(())
    }

    /// Sends Close, and leaves it to `recv` to deliver what is still on the way, and to complete the closing.
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection is closed or has failed.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.link.state.life.writer.close(code, reason)?;
        self.flush_accepted()
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<&Closure> {
        self.link.state.life.closure()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> &Agreed {
        self.link.state.life.agreed()
    }

    /// The time between the latest answered keepalive ping and its pong.
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.state.timers.round_trip()
    }

    /// What the connection has carried; `None` unless [`Config::statistics`] asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        self.link.state.statistics(self.inbound.reader.counts())
    }

    /// When a poll loop should call `recv` at the latest, though the stream is not ready.
    pub fn deadline(&self) -> Option<Instant> {
        self.link.state.deadline()
    }

    /// The sending half of the core, to queue whatever it offers. [`flush`](Self::flush) or `recv` sends it.
    #[inline]
    pub fn writer(&mut self) -> &mut LentWriter {
        &mut self.link.state.life.writer
    }

    /// Bytes that were received and not used up. They are lost when the stream is taken out.
    pub fn unread(&self) -> &[u8] {
        self.inbound.unread()
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.link.output.stream
    }

    /// The stream, to register it with a poller or to set its options. Reading from it or writing to it tears the
    /// connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.link.output.stream
    }

    /// The stream, without a Close and without timeouts. What was [received](Self::unread) or queued meanwhile is
    /// lost.
    pub fn into_inner(self) -> S {
        let Alone { state, mut output, .. } = self.link;
        if !state.nonblocking {
            // Where this fails there were none.
            let _ = output.stream.set_read_timeout(None);
            let _ = output.stream.set_write_timeout(None);
        }
        output.stream
    }

    /// Sends what was accepted. To a stream that never waits it may go later.
    fn flush_accepted(&mut self) -> Result<(), Error> {
        match self.flush() {
            Err(error) if error.is_would_block() => Ok(()),
            result => result,
        }
    }
}

impl<S: Stream> Alone<S> {
    /// Writes until that is enough, or everything has left or nothing can leave any more. An error means that the time
    /// was up and no deadline has passed.
    fn write_until(&mut self, patience: Patience, is_enough: impl Fn(&Life) -> bool) -> io::Result<()> {
        let Self { state, output, .. } = self;
        while !is_enough(&state.life) {
            let Some(act) = state.next_act(state.life.writer.queued(), output.unflushed) else {
                break;
            };
            let timeout = state.write_timeout(patience);
            let (result, in_force) = output.act(act, state.life.writer.outbox(), timeout, state.nonblocking);
            match state.note_act(act, result, in_force) {
                Came::Done => {}
                Came::Broke => output.unflushed = false,
                Came::Waited if patience == Patience::Full && in_force.is_some() => {}
                Came::Waited => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        Ok(())
    }
}

impl<S: Stream> Link for Alone<S> {
    const SPLIT: bool = false;

    #[inline]
    fn state(&mut self) -> impl DerefMut<Target = State> {
        &mut self.state
    }

    fn write_before_reading(&mut self) -> io::Result<()> {
        // After the end of the stream there is nothing to read meanwhile.
        let eof = self.state.life.is_eof();
        self.write_until(Patience::Full, |life| !eof && life.may_read())?;
        self.write_until(Patience::Brief, |_| false)
    }

    fn reading_half(&mut self) -> (&mut impl ReadHalf, &mut Armed) {
        (&mut self.output.stream, &mut self.armed)
    }
}

/// Owned messages, until the connection is closed. A failure is the last item.
impl<S: Stream> Iterator for WebSocket<S> {
    type Item = Result<Message<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv().map(|message| message.map(Message::into_owned)).transpose()
    }
}

impl<S: Stream> FusedIterator for WebSocket<S> {}

/// A message that is being sent in pieces. Dropping this changes nothing; [`WebSocket::resume`] makes it again.
pub struct Fragments<'a, S> {
    websocket: &'a mut WebSocket<S>,
}

impl<S: Stream> Fragments<'_, S> {
    /// Queues the next piece, as soon as the outbox has room. [`finish`](Self::finish), `flush` or `recv` sends it.
    ///
    /// # Errors
    /// The connection is closed or has failed, or the piece has another type than the message.
    pub fn write<'m>(&mut self, piece: impl Into<Message<'m>>) -> Result<(), Error> {
        self.websocket.ready()?;
        self.websocket.link.state.life.writer.write_piece(piece.into())
    }

    /// Ends the message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(self) -> Result<(), Error> {
        self.websocket.ready()?;
        self.websocket.link.state.life.writer.finish_pieces()?;
        self.websocket.flush_accepted()
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("reader", &self.inbound.reader)
            .field("writer", &self.link.state.life.writer)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Fragments<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fragments").field(&self.websocket).finish()
    }
}
