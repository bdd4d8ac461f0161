//! Messages → bytes: framing, masking, fragmentation, and the rule that nothing follows Close.

use bytes::Bytes;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::error::{SendError, SendErrorKind};
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, Opcode, Role};
use crate::message::{Kind, Message, Reply};
use crate::outbox::Outbox;

/// The sending half: turns messages into bytes in its [`Outbox`].
///
/// ```
/// use sockeye::{Agreed, Config, Connection, Role};
///
/// let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
/// writer.send("Hello")?;
/// assert_eq!(writer.outbox().chunk(), b"\x81\x05Hello"); // give this to the transport …
/// writer.outbox().advance(7); // … and tell how much it took
/// # Ok::<_, sockeye::SendError<'_>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    outbox: Outbox,
    capacity: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages.
    Ready,
    /// Inside a streamed message, of which some frame was sent, or none.
    Streaming { kind: Kind, begun: bool },
    /// Close was sent.
    Closed,
    /// The transport is gone.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only drivers have a transport"))]
    Ended,
}

impl Writer {
    pub(crate) fn new(role: Role, config: &Config) -> Self {
        let masking_key = match role {
            Role::Client => Some(config.masking_key),
            Role::Server => None,
        };
        Self { outbox: Outbox::new(masking_key), capacity: config.outbox_capacity, state: State::Ready }
    }

    /// Queues a message as one frame.
    ///
    /// The payload is copied if it is small, borrowed, or to be masked; else it moves into the outbox.
    ///
    /// The error borrows what the message does. Where it must outlive that, as with `?` into a boxed error, keep its
    /// kind: `writer.send(message).map_err(|error| error.kind())?`.
    ///
    /// # Errors
    /// [`SendErrorKind::Closed`], [`Full`](SendErrorKind::Full) or [`Unfinished`](SendErrorKind::Unfinished), with the
    /// message.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        let message = message.into();
        match self.may_begin() {
            Ok(()) => {
                self.outbox.push_payload(true, message.kind().opcode(), message.into_payload());
                Ok(())
            }
            Err(kind) => Err(SendError { kind, message: Some(message) }),
        }
    }

    /// Queues a message that was encoded once for many receivers. A client masks it anew.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError<'static>> {
        self.may_begin()?;
        if self.outbox.is_masking() {
            self.outbox.push_frame(true, message.kind.opcode(), message.payload());
        } else {
            self.outbox.push_shared(&message.frame);
        }
        Ok(())
    }

    /// Begins a message that is sent in pieces, each as a fragment (RFC 6455 §5.4). Control frames and replies may go
    /// between the pieces; another message may not.
    ///
    /// # Errors
    /// As [`send`](Self::send), for want of a message without one.
    pub fn start(&mut self, kind: Kind) -> Result<Fragments<'_>, SendError<'static>> {
        self.may_begin()?;
        self.state = State::Streaming { kind, begun: false };
        Ok(Fragments { writer: self })
    }

    /// The message that was started and not finished.
    pub fn resume(&mut self) -> Option<Fragments<'_>> {
        matches!(self.state, State::Streaming { .. }).then_some(Fragments { writer: self })
    }

    /// Queues a ping (RFC 6455 §5.5.2).
    ///
    /// # Errors
    /// [`SendErrorKind::ControlFrameTooLong`] over 125 bytes, [`Closed`](SendErrorKind::Closed) or
    /// [`Full`](SendErrorKind::Full).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError<'static>> {
        self.control(Opcode::Ping, payload)
    }

    /// Queues an unsolicited pong (RFC 6455 §5.5.3). The pongs that answer pings are [`reply`](Self::reply)'s.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError<'static>> {
        self.control(Opcode::Pong, payload)
    }

    /// Queues the answer to an event or an error. There is always room for it; once Close was sent it is dropped.
    #[inline]
    pub fn reply(&mut self, reply: Reply) {
        if self.is_closed() {
            return;
        }
        self.outbox.push_reply(reply);
        if reply.opcode == Opcode::Close {
            self.state = State::Closed;
        }
    }

    /// Queues Close (RFC 6455 §5.5.1). Nothing can be sent after it. There is always room for it, and it may come
    /// inside a streamed message, which then stays unfinished.
    ///
    /// # Errors
    /// [`SendErrorKind::InvalidCloseCode`] if the code may not travel, [`ControlFrameTooLong`] if the reason has more
    /// than 123 bytes, [`Closed`] if Close was sent before.
    ///
    /// [`ControlFrameTooLong`]: SendErrorKind::ControlFrameTooLong
    /// [`Closed`]: SendErrorKind::Closed
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError<'static>> {
        if !code.may_travel() {
            return Err(SendErrorKind::InvalidCloseCode(code).into());
        }
        if reason.len() > CloseFrame::MAX_REASON {
            return Err(SendErrorKind::ControlFrameTooLong.into());
        }
        self.is_open()?;
        self.reply(Reply::close_with(code, reason));
        Ok(())
    }

    /// The bytes that wait to leave.
    #[inline]
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// How many bytes wait to leave.
    #[inline]
    pub fn queued(&self) -> usize {
        self.outbox.queued()
    }

    /// How many bytes have left since the beginning.
    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.outbox.written()
    }

    /// How many bytes will have left when all that waits now has.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.written() + self.queued() as u64
    }

    /// Whether nothing more can be sent: Close was queued, or the transport is gone.
    #[inline]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed | State::Ended)
    }

    /// How many bytes may wait before a send is refused.
    #[cfg(feature = "std")]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Why nothing more can be sent, if that is so.
    #[cfg(feature = "std")]
    pub(crate) fn refusal(&self) -> Option<SendErrorKind> {
        self.is_open().err()
    }

    /// Drops what waits, and refuses more: the transport is gone.
    #[cfg(feature = "std")]
    pub(crate) fn abort(&mut self) {
        if self.state != State::Closed {
            self.state = State::Ended;
        }
        self.outbox.clear();
    }

    #[inline]
    fn is_open(&self) -> Result<(), SendErrorKind> {
        match self.state {
            State::Closed => Err(SendErrorKind::Closed),
            State::Ended => Err(SendErrorKind::Ended),
            State::Ready | State::Streaming { .. } => Ok(()),
        }
    }

    #[inline]
    fn may_begin(&self) -> Result<(), SendErrorKind> {
        match self.state {
            State::Ready => self.has_room(),
            State::Streaming { .. } => Err(SendErrorKind::Unfinished),
            State::Closed | State::Ended => self.is_open(),
        }
    }

    #[inline]
    fn has_room(&self) -> Result<(), SendErrorKind> {
        if self.outbox.queued() < self.capacity { Ok(()) } else { Err(SendErrorKind::Full) }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError<'static>> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendErrorKind::ControlFrameTooLong.into());
        }
        self.is_open()?;
        self.has_room()?;
        self.outbox.push_frame(true, opcode, payload);
        Ok(())
    }
}

/// A message that is being sent in pieces. A short view: dropping it changes nothing, and [`Writer::resume`] makes it
/// again, so that replies can go out in between.
///
/// ```
/// use sockeye::{Agreed, Config, Connection, Kind, Role};
///
/// let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
/// writer.start(Kind::Text)?.write("Hel")?;
/// writer.ping(b"between")?;
/// writer.resume().expect("unfinished").finish_with("lo")?;
/// # Ok::<_, sockeye::SendError<'_>>(())
/// ```
#[derive(Debug)]
pub struct Fragments<'a> {
    writer: &'a mut Writer,
}

impl Fragments<'_> {
    /// Queues the next piece as a fragment of its own.
    ///
    /// # Errors
    /// [`SendErrorKind::WrongKind`] if the piece has another type than the message, [`Full`](SendErrorKind::Full); the
    /// piece comes back.
    pub fn write<'m>(&mut self, piece: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        self.push(piece.into(), false)
    }

    /// Ends the message with an empty fragment.
    ///
    /// # Errors
    /// [`SendErrorKind::Full`]; the message is then still unfinished.
    pub fn finish(mut self) -> Result<(), SendError<'static>> {
        match self.kind() {
            Some(Kind::Text) => self.push("".into(), true),
            _ => self.push(b"".into(), true),
        }
    }

    /// Ends the message with this piece.
    ///
    /// # Errors
    /// As [`write`](Self::write); the message is then still unfinished.
    pub fn finish_with<'m>(mut self, piece: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        self.push(piece.into(), true)
    }

    fn kind(&self) -> Option<Kind> {
        match self.writer.state {
            State::Streaming { kind, .. } => Some(kind),
            State::Ready | State::Closed | State::Ended => None,
        }
    }

    fn push<'m>(&mut self, piece: Message<'m>, fin: bool) -> Result<(), SendError<'m>> {
        let State::Streaming { kind, begun } = self.writer.state else {
            let kind = self.writer.is_open().err().unwrap_or(SendErrorKind::Closed);
            return Err(SendError { kind, message: Some(piece) });
        };
        if piece.kind() != kind {
            return Err(SendError { kind: SendErrorKind::WrongKind, message: Some(piece) });
        }
        if let Err(kind) = self.writer.has_room() {
            return Err(SendError { kind, message: Some(piece) });
        }
        let opcode = if begun { Opcode::Continuation } else { kind.opcode() };
        self.writer.outbox.push_payload(fin, opcode, piece.into_payload());
        self.writer.state = if fin { State::Ready } else { State::Streaming { kind, begun: true } };
        Ok(())
    }
}

/// A message that is encoded once and sent to many (fan-out).
///
/// ```
/// use sockeye::{Agreed, Config, Connection, Prepared, Role};
///
/// let news = Prepared::new("the same for everyone");
/// for _ in 0..3 {
///     let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
///     writer.send_prepared(&news)?;
/// }
/// # Ok::<_, sockeye::SendError<'_>>(())
/// ```
#[derive(Clone)]
pub struct Prepared {
    kind: Kind,
    /// The frame as a server sends it, header and payload.
    frame: Bytes,
    header_size: u8,
}

impl Prepared {
    /// Encodes the message.
    pub fn new<'m>(message: impl Into<Message<'m>>) -> Self {
        let message = message.into();
        let payload = message.as_bytes();
        let opcode = message.kind().opcode();
        let header = FrameHeader { fin: true, rsv: 0, opcode, mask: None, len: payload.len() as u64 }.encode();
        let frame: Bytes = [header.as_ref(), payload].concat().into();
        Self { kind: message.kind(), frame, header_size: header.as_ref().len() as u8 }
    }

    fn payload(&self) -> &[u8] {
        self.frame.get(self.header_size as usize..).unwrap_or_default()
    }
}

/// Shows the length only: payloads do not belong into logs.
impl core::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Prepared({:?}, {} bytes)", self.kind, self.payload().len())
    }
}
