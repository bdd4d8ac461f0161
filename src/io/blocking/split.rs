//! The two ends of one connection, for two threads or more.
//!
//! ```text
//!  Receiver                                     Sender, Sender, …
//!  reader, input, read half                          │
//!        │              ┌───────── lock ─────────┐   │
//!        └─ replies ──▶ │ state, outbox          │ ◀─┘
//!                       │ line: bytes in flight, │
//!                       │       write half       │ ── taken out by whoever writes
//!                       └────────────────────────┘
//! ```
//! The lock is never held while a thread writes. Who writes takes the line out, so its absence means that someone is
//! writing, and he goes on until nothing waits: whoever queues meanwhile may leave.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::state::{Act, Came, Link, Output, Patience, State, receive};
use super::stream::{Armed, ReadHalf, Stream, WriteHalf};
use super::websocket::WebSocket;
use crate::close::CloseCode;
use crate::config::Config;
use crate::connection::{Agreed, Closure, Connection};
use crate::error::{SendError, SendErrorKind};
use crate::frame::Role;
use crate::io::error::Error;
use crate::io::input::Inbound;
use crate::io::life::Wanted;
use crate::io::pipe::Pipe;
use crate::io::statistics::Statistics;
use crate::message::{Event, Kind, Message, Part};
use crate::outbox::Outbox;
use crate::writer::{Prepared, Writer};

/// The two ends of a connection over two halves of whatever stream, already upgraded. `leftover` is what was read
/// behind the handshake.
///
/// **The receiver must be called** all the time: it answers pings, keeps the deadlines, and completes the closing. Who
/// only sends gives [`Receiver::drain`] a thread. If the receiver is dropped, sends still go out, but nobody answers
/// the peer any more.
pub fn from_halves<R: ReadHalf, W: WriteHalf>(
    read_half: R,
    write_half: W,
    role: Role,
    agreed: Agreed,
    config: &Config,
    leftover: &[u8],
) -> (Receiver<R, W>, Sender<W>) {
    let (inbound, state) = State::new(Connection::open(role, agreed, config), config, leftover);
    apart(inbound, state, read_half, Armed::Unknown, Output::new(write_half))
}

fn apart<R: ReadHalf, W: WriteHalf>(
    inbound: Inbound,
    mut state: State,
    stream: R,
    armed: Armed,
    output: Output<W>,
) -> (Receiver<R, W>, Sender<W>) {
    state.life.publish(&inbound.reader);
    let front = state.life.writer.outbox().take();
    state.life.in_flight = front.queued();
    let line = Some(Line { front, output });
    let both =
        Arc::new(Both { locked: Mutex::new(Locked { state, line, waiting: 0, senders: 1 }), changed: Condvar::new() });
    (Receiver { inbound, link: Apart { stream, armed, both: both.clone() } }, Sender { both })
}

macro_rules! split {
    ($socket:ty) => {
        impl WebSocket<$socket> {
            /// Divides the connection into a receiver and a sender, which can be cloned, for two threads or more.
            ///
            /// **The receiver must be called** all the time: it answers pings, keeps the deadlines, and completes the
            /// closing. Who only sends gives [`Receiver::drain`] a thread. If the receiver is dropped, sends still go
            /// out, but nobody answers the peer any more.
            ///
            /// # Errors
            /// The socket could not be cloned. The connection is lost then.
            pub fn into_split(self) -> io::Result<(Receiver<$socket>, Sender<$socket>)> {
                let read_half = self.get_ref().try_clone()?;
                let (inbound, state, output, armed) = self.into_parts();
                Ok(apart(inbound, state, read_half, armed, output))
            }
        }

        impl Receiver<$socket> {
            /// Puts the ends together again, if they belong together, there is no other sender, and everything that was
            /// queued has [left](Sender::flush); else gives them back.
            ///
            /// # Errors
            /// The two ends.
            #[allow(clippy::result_large_err, reason = "what comes back is what was given")]
            pub fn reunite(self, sender: Sender<$socket>) -> Result<WebSocket<$socket>, (Self, Sender<$socket>)> {
                self.join(sender)
            }
        }
    };
}

split!(Pipe);
split!(TcpStream);
#[cfg(feature = "connect")]
split!(crate::connect::blocking::ClientStream);
#[cfg(unix)]
split!(UnixStream);

/// What both ends share.
struct Both<W> {
    locked: Mutex<Locked<W>>,
    /// Something has left, or the line is free.
    changed: Condvar,
}

struct Locked<W> {
    state: State,
    /// Missing while someone writes.
    line: Option<Line<W>>,
    /// How many threads wait for what the one that writes does.
    waiting: usize,
    senders: usize,
}

/// The bytes that leave next, and where to.
struct Line<W> {
    front: Outbox,
    output: Output<W>,
}

impl<W> Both<W> {
    fn lock(&self) -> MutexGuard<'_, Locked<W>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, mut locked: MutexGuard<'a, Locked<W>>) -> MutexGuard<'a, Locked<W>> {
        locked.waiting += 1;
        locked = self.changed.wait(locked).unwrap_or_else(PoisonError::into_inner);
        locked.waiting -= 1;
        locked
    }
}

impl<W: WriteHalf> Both<W> {
    /// Writes, or waits for the one who does, until that is enough; then until nothing is left, unless another thread
    /// is there to go on. An error means that the time was up and no deadline has passed.
    fn write_until(&self, patience: Patience, is_enough: impl Fn(&State) -> bool) -> io::Result<()> {
        let mut locked = self.lock();
        loop {
            let may_leave = patience == Patience::Brief || is_enough(&locked.state);
            let Some(mut line) = locked.line.take() else {
                if may_leave {
                    return Ok(());
                }
                locked = self.wait(locked);
                continue;
            };
            let hands_over = may_leave && locked.waiting > 0;
            let act = if hands_over { None } else { line.next_act(&mut locked.state) };
            let Some(act) = act else {
                locked.line = Some(line);
                self.changed.notify_all();
                return Ok(());
            };
            let timeout = locked.state.write_timeout(patience);
            let nonblocking = locked.state.nonblocking;
            drop(locked);

            let mut out = Out { both: self, line: Some(line) };
            let (result, in_force) = out.act(act, timeout, nonblocking);
            locked = self.lock();
            let came = locked.state.note_act(act, result, in_force);
            out.put_back(&mut locked, came);
            if came == Came::Waited && (patience == Patience::Brief || in_force.is_none()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }
}

/// The line while it is taken out. A stream that panics does not keep it from the others.
struct Out<'a, W> {
    both: &'a Both<W>,
    line: Option<Line<W>>,
}

impl<W: WriteHalf> Out<'_, W> {
    fn act(&mut self, act: Act, timeout: Option<Duration>, nonblocking: bool) -> (io::Result<usize>, Option<Duration>) {
        match &mut self.line {
            Some(Line { front, output }) => output.act(act, front, timeout, nonblocking),
            None => (Ok(0), None),
        }
    }

    fn put_back(mut self, locked: &mut Locked<W>, came: Came) {
        if let Some(mut line) = self.line.take() {
            if came == Came::Broke {
                line.clear();
            }
            let life = &mut locked.state.life;
            life.writer.outbox().count_written(&mut line.front);
            life.in_flight = line.front.queued();
            locked.line = Some(line);
        }
        if locked.waiting > 0 {
            self.both.changed.notify_all();
        }
    }
}

impl<W> Drop for Out<'_, W> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.both.lock().line = Some(line);
            self.both.changed.notify_all();
        }
    }
}

impl<W> Line<W> {
    /// The next thing to do. What waits in the outbox comes to the front when all before it has left.
    fn next_act(&mut self, state: &mut State) -> Option<Act> {
        if state.life.is_done() {
            self.clear();
        }
        if self.front.queued() == 0 && !self.output.unflushed {
            self.front = state.life.writer.outbox().take();
        }
        state.life.in_flight = self.front.queued();
        state.next_act(self.front.queued(), self.output.unflushed)
    }

    fn clear(&mut self) {
        self.front.clear();
        self.output.unflushed = false;
    }
}

/// The receiving end of a split connection.
#[must_use = "a connection lives only while its receiver is called"]
pub struct Receiver<R, W = R> {
    pub(super) inbound: Inbound,
    pub(super) link: Apart<R, W>,
}

pub(super) struct Apart<R, W> {
    stream: R,
    armed: Armed,
    both: Arc<Both<W>>,
}

impl<R: ReadHalf, W: WriteHalf> Receiver<R, W> {
    /// The next message, see [`WebSocket::recv`].
    ///
    /// It never stops reading for the sake of what others send: who answers with [`Sender::send`] waits there until
    /// the peer has read.
    ///
    /// # Errors
    /// The connection has failed. That is said once; then `None`. A failure of a sender, such as
    /// [`Timeout::Write`](crate::Timeout::Write), is noticed when a read ends.
    pub fn recv(&mut self) -> Result<Option<Message<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Messages)?;
        Ok(self.inbound.message())
    }

    /// The next event of any kind, see [`WebSocket::recv_event`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Events)?;
        Ok(self.inbound.event())
    }

    /// The next part of a message, see [`WebSocket::recv_part`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        receive(&mut self.link, &mut self.inbound, Wanted::Parts)?;
        Ok(self.inbound.part())
    }

    /// Answers pings and discards messages until the connection has ended.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn drain(&mut self) -> Result<(), Error> {
        while self.recv()?.is_some() {}
        Ok(())
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.link.both.lock().state.life.closure().cloned()
    }

    /// What the connection has carried; `None` unless [`Config::statistics`] asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        self.link.both.lock().state.statistics(self.inbound.reader.counts())
    }
}

impl<S: Stream> Receiver<S> {
    fn join(self, sender: Sender<S>) -> Result<WebSocket<S>, (Self, Sender<S>)> {
        let is_pair = Arc::ptr_eq(&self.link.both, &sender.both);
        let line = if is_pair { self.link.both.lock().take_idle_line() } else { None };
        let Some(line) = line else {
            return Err((self, sender));
        };
        let Self { inbound, link: Apart { stream, armed, both } } = self;
        both.lock().senders += 1; // so that dropping the sender is not the end of sending
        drop(sender);
        match Arc::try_unwrap(both) {
            Ok(both) => {
                let locked = both.locked.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok(WebSocket::from_parts(inbound, locked.state, line.output, armed))
            }
            Err(both) => {
                both.lock().line = Some(line);
                Err((Self { inbound, link: Apart { stream, armed, both: both.clone() } }, Sender { both }))
            }
        }
    }
}

impl<W> Locked<W> {
    /// The line, if only one sender is left and nothing waits to leave.
    fn take_idle_line(&mut self) -> Option<Line<W>> {
        let is_idle = self.senders == 1 && self.state.life.pending() == 0;
        self.line.take_if(|line| is_idle && !line.output.unflushed)
    }

    /// Whether what waits, in the outbox and on its way out of it, is all that may.
    fn is_full(&self) -> bool {
        let life = &self.state.life;
        !life.writer.is_closed() && life.pending() >= life.writer.capacity()
    }
}

/// The state under the lock.
struct Guard<'a, W>(MutexGuard<'a, Locked<W>>);

impl<W> Deref for Guard<'_, W> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0.state
    }
}

impl<W> DerefMut for Guard<'_, W> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0.state
    }
}

impl<R: ReadHalf, W: WriteHalf> Link for Apart<R, W> {
    const SPLIT: bool = true;

    fn state(&mut self) -> impl DerefMut<Target = State> {
        Guard(self.both.lock())
    }

    fn write_before_reading(&mut self) -> io::Result<()> {
        // After the end of the stream there is nothing to read meanwhile.
        let patience = if self.state().life.is_eof() { Patience::Full } else { Patience::Brief };
        self.both.write_until(patience, |_| false)
    }

    fn reading_half(&mut self) -> (&mut impl ReadHalf, &mut Armed) {
        (&mut self.stream, &mut self.armed)
    }
}

/// Owned messages, until the connection is closed. A failure is the last item.
impl<R: ReadHalf, W: WriteHalf> Iterator for Receiver<R, W> {
    type Item = Result<Message<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv().map(|message| message.map(Message::into_owned)).transpose()
    }
}

impl<R: ReadHalf, W: WriteHalf> FusedIterator for Receiver<R, W> {}

/// The sending end of a split connection; clones send on the same connection, from any thread. When the last one is
/// dropped, the connection is closed with code 1000, after everything queued; that may wait for the peer to read, up to
/// [`Config::write_timeout`].
#[must_use = "dropping the last sender closes the connection"]
pub struct Sender<W: WriteHalf> {
    both: Arc<Both<W>>,
}

impl<W: WriteHalf> Sender<W> {
    /// Sends a message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// The connection is closed, or has failed; the receiver knows why.
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.accept(|state| state.life.writer.send(message)).and_then(|position| self.flush_accepted(position))
    }

    /// Queues a message, as soon as the outbox has room. [`flush`](Self::flush) or any `send` sends it, or the receiver
    /// before its next wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn feed<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.accept(|state| state.life.writer.send(message)).map(drop)
    }

    /// Waits until everything that is queued now has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn flush(&self) -> Result<(), Error> {
        let position = self.both.lock().state.life.position();
        self.flush_to(position)
    }

    /// Queues a message now, or gives it back. [`flush`](Self::flush) or any `send` sends it, or the receiver before
    /// its next wait; if the receiver waits already, nobody else does.
    ///
    /// # Errors
    /// See [`Writer::send`](crate::Writer::send).
    pub fn try_send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        let mut locked = self.both.lock();
        if locked.is_full() {
            return Err(SendError { kind: SendErrorKind::Full, message: Some(message.into()) });
        }
        Writer::send(&mut locked.state.life.writer, message)
    }

    /// Queues a message that was prepared for many receivers now, as [`try_send`](Self::try_send).
    ///
    /// # Errors
    /// See [`Writer::send_prepared`](crate::Writer::send_prepared).
    pub fn try_send_prepared(&self, message: &Prepared) -> Result<(), SendError<'static>> {
        let mut locked = self.both.lock();
        if locked.is_full() {
            return Err(SendErrorKind::Full.into());
        }
        locked.state.life.writer.send_prepared(message)
    }

    /// Sends a message that was prepared for many receivers, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        let queue = |state: &mut State| Ok(state.life.writer.send_prepared(message)?);
        self.accept(queue).and_then(|position| self.flush_accepted(position))
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.both.lock().state.life.closure().cloned()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> Agreed {
        self.both.lock().state.life.agreed().clone()
    }

    /// How many bytes wait to leave.
    pub fn queued(&self) -> usize {
        self.both.lock().state.life.pending()
    }

    /// What the connection has carried, as far as the receiver has looked at it; `None` unless [`Config::statistics`]
    /// asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        let state = &self.both.lock().state;
        state.statistics(state.life.published())
    }

    /// Sends a ping of at most 125 bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send), or the payload is too long.
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.accept(|state| Ok(state.life.writer.ping(payload)?)).and_then(|position| self.flush_accepted(position))
    }

    /// Begins a message that is sent in pieces, each as a fragment. Until it is finished, no sender can send another;
    /// control frames go in between.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn start(&self, kind: Kind) -> Result<SenderFragments<'_, W>, Error> {
        self.accept(|state| Ok(state.life.writer.start(kind).map(drop)?))?;
        Ok(SenderFragments { sender: self })
    }

    /// The message that was started, by whichever sender, and not finished.
    pub fn resume(&self) -> Option<SenderFragments<'_, W>> {
        self.both.lock().state.life.writer.resume()?;
        Some(SenderFragments { sender: self })
    }

    /// Sends Close. The receiver delivers what is still on the way, and completes the closing.
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection is closed or has failed.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let position = {
            let state = &mut self.both.lock().state;
            state.life.writer.close(code, reason)?;
            state.life.position()
        };
        self.flush_accepted(position)
    }

    /// Whether the connection is closed for sending.
    pub fn is_closed(&self) -> bool {
        self.both.lock().state.life.writer.is_closed()
    }

    /// Queues something as soon as the outbox has room. Returns where the stream will be when it has left.
    fn accept(&self, queue: impl FnOnce(&mut State) -> Result<(), Error>) -> Result<u64, Error> {
        loop {
            let mut locked = self.both.lock();
            let state = &mut locked.state;
            if state.life.writer.is_closed() {
                return Err(state.life.refusal().into());
            }
            if state.life.has_room() {
                // Under the same lock, so that no other sender takes the room.
                queue(state)?;
                return Ok(state.life.position());
            }
            drop(locked);
            self.both.write_until(Patience::Full, |state| state.life.writer.is_closed() || state.life.has_room())?;
        }
    }

    fn flush_to(&self, position: u64) -> Result<(), Error> {
        let result = self.both.write_until(Patience::Full, |state| state.flushed >= position);
        if self.both.lock().state.flushed >= position {
            return Ok(());
        }
        result?;
        Err(self.both.lock().state.life.refusal().into())
    }

    /// Sends what was accepted. To a stream that never waits it may go later.
    fn flush_accepted(&self, position: u64) -> Result<(), Error> {
        match self.flush_to(position) {
            Err(error) if error.is_would_block() => Ok(()),
            result => result,
        }
    }
}

/// A message that a [`Sender`] sends in pieces. Dropping this changes nothing; [`Sender::resume`] makes it again.
pub struct SenderFragments<'a, W: WriteHalf> {
    sender: &'a Sender<W>,
}

impl<W: WriteHalf> SenderFragments<'_, W> {
    /// Sends the next piece, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// The connection is closed or has failed, or the piece has another type than the message.
    pub fn write<'m>(&mut self, piece: impl Into<Message<'m>>) -> Result<(), Error> {
        let piece = piece.into();
        let position = self.sender.accept(|state| state.life.writer.write_piece(piece))?;
        self.sender.flush_accepted(position)
    }

    /// Ends the message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(self) -> Result<(), Error> {
        let position = self.sender.accept(|state| state.life.writer.finish_pieces())?;
        self.sender.flush_accepted(position)
    }
}

impl<W: WriteHalf> fmt::Debug for SenderFragments<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SenderFragments").field(&self.sender).finish()
    }
}

impl<W: WriteHalf> Clone for Sender<W> {
    fn clone(&self) -> Self {
        self.both.lock().senders += 1;
        Self { both: self.both.clone() }
    }
}

impl<W: WriteHalf> Drop for Sender<W> {
    fn drop(&mut self) {
        let mut locked = self.both.lock();
        locked.senders -= 1;
        if locked.senders > 0 || locked.state.life.writer.close(CloseCode::NORMAL, "").is_err() {
            return; // closed already is as good
        }
        drop(locked);
        let _ = self.both.write_until(Patience::Full, |_| false);
    }
}

impl<R, W> fmt::Debug for Receiver<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.inbound.reader).finish()
    }
}

impl<W: WriteHalf> fmt::Debug for Sender<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.both.lock().state.life.writer).finish()
    }
}
