//! Messages → bytes: framing, masking, fragmentation, and the rule that nothing follows Close.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::counts::Counts;
use crate::deflate::{Deflating, Forms};
use crate::error::{SendError, SendErrorKind};
use crate::frame::{MAX_CONTROL_PAYLOAD, Opcode, Role, Start};
use crate::message::{Kind, Message, Reply};
use crate::outbox::Outbox;
use crate::pool;

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
    capacity: u32,
    state: State,
    /// Something of a message was queued since somebody asked.
    active: bool,
    /// Compresses, if that was agreed on.
    deflater: Option<Deflating>,
    /// Counts, if that was asked for.
    counts: Option<Box<Sent>>,
}

#[derive(Debug, Default)]
struct Sent {
    /// All but the bytes on the wire, which the outbox knows.
    counts: Counts,
    /// How many of the outbox's bytes were no frames.
    head: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages.
    Ready,
    /// Inside a streamed message, of which some frame was sent, or none.
    Streaming { kind: Kind, begun: bool, compressed: bool },
    /// Close was sent.
    Closed,
    /// The transport is gone.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only drivers have a transport"))]
    Ended,
}

impl Writer {
    pub(crate) fn new(role: Role, config: &Config, deflater: Option<Deflating>) -> Self {
        let masking_key = match role {
            Role::Client => Some(config.masking_key),
            Role::Server => None,
        };
        Self {
            outbox: Outbox::new(masking_key),
            capacity: u32::try_from(config.outbox_capacity).unwrap_or(u32::MAX),
            state: State::Ready,
            active: false,
            deflater,
            counts: config.statistics.then(Box::default),
        }
    }

    /// Queues a message as one frame; compressed, where that was agreed on and is worth it.
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
                let start = Start::whole(message.kind().opcode());
                if self.deflater.is_some() {
                    self.send_deflating(start, message);
                } else {
                    self.note(message.as_bytes().len(), true, false);
                    self.outbox.push_payload(start, message.into_payload());
                }
                Ok(())
            }
            Err(kind) => Err(SendError { kind, message: Some(message) }),
        }
    }

    /// The same where compression was agreed on. Whether the message is worth it is found out here, and does not burden
    /// the others.
    #[inline(never)]
    fn send_deflating(&mut self, start: Start, message: Message<'_>) {
        let len = message.as_bytes().len();
        let deflater = self.deflater.as_mut().filter(|deflater| message.is_compressible() && deflater.wants(len));
        let compressed = deflater.and_then(|deflater| deflater.message(message.as_bytes()));
        self.note(len, true, compressed.is_some());
        match compressed {
            Some(compressed) => self.push_compressed(start.compressed(), compressed),
            None => self.outbox.push_payload(start, message.into_payload()),
        }
    }

    fn push_compressed(&mut self, start: Start, payload: Vec<u8>) {
        self.outbox.push_frame(start, &payload);
        pool::give(payload);
    }

    /// Queues a message that was encoded once for many receivers. A client masks it anew.
    ///
    /// Where it is compressed, and windows are kept, what is sent next begins a new one: the peer's has seen this message,
    /// and ours has not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError<'static>> {
        self.may_begin()?;
        let compressed = self.deflater.as_mut().and_then(|deflater| message.compressed(deflater));
        self.note(message.plain.payload().len(), true, compressed.is_some());
        let frame = compressed.unwrap_or(&message.plain);
        if self.outbox.is_masking() {
            self.outbox.push_frame(frame.start, frame.payload());
        } else {
            self.outbox.push_shared(&frame.bytes);
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
        self.state = State::Streaming { kind, begun: false, compressed: false };
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
        let is_another = self.outbox.push_reply(reply);
        if is_another {
            self.count_frame();
        }
        if reply.opcode == Opcode::Close {
            self.state = State::Closed;
            self.deflater = None;
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

    /// What was sent so far, or waits to leave; `None` unless [`Config::statistics`] asks for it.
    pub fn counts(&self) -> Option<Counts> {
        let Sent { counts, head } = self.counts.as_deref()?;
        Some(Counts { wire_bytes: self.position().saturating_sub(*head), ..*counts })
    }

    /// Queues the response to the opening handshake, which is no frame.
    #[cfg(feature = "handshake")]
    pub(crate) fn push_head(&mut self, head: &[u8]) {
        self.outbox.push_bytes(head);
        if let Some(sent) = &mut self.counts {
            sent.head += head.len() as u64;
        }
    }

    /// Whether something of a message was queued since this was asked last.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only drivers keep the deadlines themselves"))]
    pub(crate) fn take_active(&mut self) -> bool {
        core::mem::take(&mut self.active)
    }

    /// Which end this is.
    #[cfg(feature = "std")]
    pub(crate) fn role(&self) -> Role {
        if self.outbox.is_masking() { Role::Client } else { Role::Server }
    }

    /// Whether nothing more can be sent: Close was queued, or the transport is gone.
    #[inline]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed | State::Ended)
    }

    /// How many bytes may wait before a send is refused.
    #[cfg(feature = "std")]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
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
        self.deflater = None;
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
        if self.outbox.queued() < self.capacity as usize { Ok(()) } else { Err(SendErrorKind::Full) }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError<'static>> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendErrorKind::ControlFrameTooLong.into());
        }
        self.is_open()?;
        self.has_room()?;
        self.count_frame();
        self.outbox.push_frame(Start::whole(opcode), payload);
        Ok(())
    }

    /// Takes note of a frame of a message, and of so much payload before it was compressed.
    #[inline]
    fn note(&mut self, payload: usize, last: bool, compressed: bool) {
        self.active = true;
        if let Some(sent) = &mut self.counts {
            sent.counts.add(payload, last, compressed);
        }
    }

    #[inline]
    fn count_frame(&mut self) {
        if let Some(sent) = &mut self.counts {
            sent.counts.frames += 1;
        }
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
        let State::Streaming { kind, begun, compressed } = self.writer.state else {
            let kind = self.writer.is_open().err().unwrap_or(SendErrorKind::Closed);
            return Err(SendError { kind, message: Some(piece) });
        };
        if piece.kind() != kind {
            return Err(SendError { kind: SendErrorKind::WrongKind, message: Some(piece) });
        }
        if let Err(kind) = self.writer.has_room() {
            return Err(SendError { kind, message: Some(piece) });
        }
        // The first piece decides for the message (RFC 7692 §6).
        let compressed = if begun { compressed } else { self.writer.deflater.is_some() && piece.is_compressible() };
        let opcode = if begun { Opcode::Continuation } else { kind.opcode() };
        let start = Start::new(fin, opcode);
        let start = if compressed && !begun { start.compressed() } else { start };
        self.writer.note(piece.as_bytes().len(), fin, compressed);
        match &mut self.writer.deflater {
            Some(deflater) if compressed => {
                let mut payload = pool::take();
                deflater.piece(piece.as_bytes(), fin, &mut payload);
                self.writer.push_compressed(start, payload);
            }
            _ => self.writer.outbox.push_payload(start, piece.into_payload()),
        }
        self.writer.state = if fin { State::Ready } else { State::Streaming { kind, begun: true, compressed } };
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
    plain: Frame,
    is_compressible: bool,
    forms: Forms<Frame>,
}

/// One frame as a server sends it.
#[derive(Clone)]
struct Frame {
    start: Start,
    bytes: Bytes,
    header_size: u8,
}

impl Prepared {
    /// Encodes the message. What it is compressed to is found when the first connection needs it, with that one's
    /// levels, once for each size of window.
    pub fn new<'m>(message: impl Into<Message<'m>>) -> Self {
        let message = message.into();
        let plain = Frame::new(Start::whole(message.kind().opcode()), message.as_bytes());
        Self { plain, is_compressible: message.is_compressible(), forms: Forms::new() }
    }

    /// The form for a connection that compresses, if there is a point in it.
    fn compressed(&self, deflater: &mut Deflating) -> Option<&Frame> {
        let payload = self.plain.payload();
        if !self.is_compressible || !deflater.wants(payload.len()) {
            return None;
        }
        let start = self.plain.start.compressed();
        let frame = self.forms.get(deflater, payload, |compressed| Frame::new(start, compressed))?;
        // It reaches the peer's window, and not ours.
        deflater.forget();
        Some(frame)
    }
}

impl Frame {
    fn new(start: Start, payload: &[u8]) -> Self {
        let header = start.header(None, payload.len() as u64);
        let bytes = [header.as_ref(), payload].concat().into();
        Self { start, bytes, header_size: header.as_ref().len() as u8 }
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(self.header_size as usize..).unwrap_or_default()
    }
}

/// Shows the length only: payloads do not belong into logs.
impl core::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Prepared({} bytes)", self.plain.payload().len())
    }
}
