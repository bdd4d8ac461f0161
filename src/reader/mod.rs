//! Bytes → events: frames, fragments, limits, assembly.
//!
//! ```text
//!            header cut by the end of input            payload cut, or in fragments
//!           ┌──────────── waits ────────────┐         ┌──── goes to the buffer ────┐
//!  input ─▶ │ Header { ≤ 13 bytes }         │ ──────▶ │ Payload { remaining }      │ ─▶ event, lent
//!           └───────────────────────────────┘ ◀────── └────────────────────────────┘
//!                                        next frame         a whole message in the input is lent from there
//! ```

mod assembly;
mod compressed;
mod lending;
mod parts;
mod payload_buf;

use alloc::boxed::Box;
use core::{fmt, mem};

use self::assembly::{Assembly, Handling, Unfinished};
use self::lending::Place;
pub(crate) use self::lending::What;
pub use self::lending::{Ready, Step};
pub use self::payload_buf::PayloadBuf;
use crate::close::CloseFrame;
use crate::config::Config;
use crate::counts::Counts;
use crate::deflate::Inflating;
use crate::error::ProtocolError;
use crate::frame::{FrameHeader, Lengths, MAX_CONTROL_PAYLOAD, Opcode, RSV1, Role};
use crate::mask::{self, mask};
use crate::message::{Kind, Message, Payload, Text};
use crate::utf8;

/// The receiving half: turns bytes into events.
///
/// **It always uses up its input.** Whatever is cut, a header or a payload, is kept inside, so nobody moves or grows a
/// receive buffer, and any cuts of the byte stream give the same events. The canonical loop:
///
/// ```
/// use sockeye::{Agreed, Config, Connection, Event, Role};
///
/// let (mut reader, _) = Connection::open(Role::Client, Agreed::default(), &Config::DEFAULT).split();
/// let mut received = *b"\x81\x05Hello\x89\x00"; // what a read brought
/// let mut input = &mut received[..];
/// while let Some(event) = reader.next(&mut input)? {
///     match event {
///         Event::Message(message) => assert_eq!(message.as_text(), Some("Hello")),
///         Event::Ping(payload) => assert!(payload.is_empty()), // writer.reply(…)
///         Event::Pong(_) | Event::Close(_) => unreachable!(),
///         _ => {}
///     }
/// } // `None`: the input is used up, read more
/// # Ok::<_, sockeye::ProtocolError>(())
/// ```
pub struct Reader {
    role: Role,
    lengths: Lengths,
    max_fragments: u32,
    max_message_size: usize,
    max_streamed_size: u64,
    state: State,
    /// There only while a message is under way, or lent from there.
    assembly: Option<Box<Assembly>>,
    /// A control payload that was cut.
    control: Option<Box<Control>>,
    /// `assembly`, or `control`, is lent and can be given back.
    lent: bool,
    /// Something of a message came since somebody asked.
    active: bool,
    /// Inflates, if compression was agreed on.
    inflater: Option<Inflating>,
    /// Counts, if that was asked for.
    counts: Option<Box<Counts>>,
}

/// Where in the stream the input ended.
enum State {
    /// Between two frames.
    Start,
    /// In a header, of which this was received.
    Header {
        bytes: [u8; FrameHeader::MAX_SIZE],
        len: u8,
    },
    Payload(Frame),
    /// Behind Close; what comes after it is discarded (§5.5.1).
    Closed(Option<Box<CloseFrame<'static>>>),
    /// The connection failed; "an endpoint MUST NOT continue to attempt to process data" (§7.1.7).
    Failed(ProtocolError),
}

/// The frame whose payload is being received.
#[derive(Clone, Copy)]
struct Frame {
    remaining: u64,
    /// The key for the next byte; zeros where there is no mask.
    key: [u8; 4],
    opcode: Opcode,
    fin: bool,
}

impl Frame {
    /// The frame when `count` more bytes of it were received.
    #[inline]
    fn after(self, count: usize) -> Self {
        Self { remaining: self.remaining - count as u64, key: mask::advance(self.key, count), ..self }
    }
}

struct Control {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl Control {
    fn bytes(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len as usize)
    }
}

/// A message that lies whole in the input.
struct WholeMessage {
    kind: Kind,
    compressed: bool,
    key: [u8; 4],
    start: usize,
    end: usize,
}

impl WholeMessage {
    /// Unmasks it where it lies, and validates it if it is text.
    #[inline]
    fn unmask(&self, input: &mut [u8]) -> Result<(), ProtocolError> {
        let payload = input.get_mut(self.start..self.end).unwrap_or_default();
        let is_ascii = mask(payload, self.key);
        let is_valid = self.kind == Kind::Binary || is_ascii || utf8::is_valid(payload);
        if is_valid { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }

    /// How many bytes its payload has.
    #[inline]
    fn len(&self) -> usize {
        self.end - self.start
    }

    /// The step that finds it.
    #[inline]
    fn step(self) -> Step {
        let Self { kind, start, end, .. } = self;
        let ready = Ready { what: What::Message(kind), place: Place::Input { start, end } };
        Step { consumed: end, ready: Some(ready) }
    }
}

/// How messages are handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Parts,
}

impl Reader {
    pub(crate) fn new(role: Role, config: &Config, inflater: Option<Inflating>) -> Self {
        Self {
            role,
            lengths: config.lengths,
            max_fragments: config.max_fragments,
            max_message_size: config.max_message_size,
            max_streamed_size: config.max_streamed_size,
            state: State::Start,
            assembly: None,
            control: None,
            lent: false,
            active: false,
            inflater,
            counts: config.statistics.then(Box::default),
        }
    }

    /// Room in the buffer of the message being received, to read a large payload straight into its place: never beyond
    /// the frame, and at least one byte. The room grows with what was received, so that a payload of any length takes few
    /// reads. Then call [`next`](Self::next), with empty input.
    ///
    /// `None` where no payload is under way, or it is not being put together, or it is compressed.
    pub fn payload_buf(&mut self) -> Option<PayloadBuf<'_>> {
        self.give_back();
        let State::Payload(frame) = self.state else { return None };
        if frame.opcode.is_control() || frame.remaining == 0 || self.check_announced(Delivery::Whole).is_err() {
            return None;
        }
        let assembly = self.assembly.as_mut().filter(|assembly| assembly.is_open_for_reads())?;
        // A small rest of room is not worth a read of its own. Where less was received than is left, growing would
        // take memory out of proportion.
        let worth_a_read = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(BLOCK);
        assembly.reserve(assembly.buffer.len().clamp(1, worth_a_read), frame, self.max_message_size);
        Some(PayloadBuf::new(self))
    }

    /// How many bytes of the frame under way are still to come.
    pub(crate) fn frame_remaining(&self) -> u64 {
        match &self.state {
            State::Payload(frame) => frame.remaining,
            _ => 0,
        }
    }

    /// Whether Close was received, and what it said: `None` before, `Some(None)` for an empty one.
    pub fn close_frame(&self) -> Option<Option<&CloseFrame<'static>>> {
        match &self.state {
            State::Closed(frame) => Some(frame.as_deref()),
            _ => None,
        }
    }

    /// The error with which the connection failed.
    pub fn failure(&self) -> Option<ProtocolError> {
        match self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// What was received so far; `None` unless [`Config::statistics`] asks for it.
    pub fn counts(&self) -> Option<Counts> {
        self.counts.as_deref().copied()
    }

    /// Whether something of a message came since this was asked last.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only drivers keep the deadlines themselves"))]
    pub(crate) fn take_active(&mut self) -> bool {
        mem::take(&mut self.active)
    }

    /// Whether the stream may end here: after Close, or after a failure.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Closed(_) | State::Failed(_))
    }

    /// Uses up input until something is ready.
    pub(crate) fn advance(&mut self, input: &mut [u8], delivery: Delivery) -> Result<Step, ProtocolError> {
        self.give_back();
        match self.state {
            State::Closed(_) => return Ok(Step { consumed: input.len(), ready: None }),
            State::Failed(error) => return Err(error),
            State::Start | State::Header { .. } | State::Payload(_) => {}
        }
        let result = match self.whole_message(input) {
            Some(whole) if delivery == Delivery::Whole && whole.compressed => self.take_compressed(&whole, input),
            Some(whole) if delivery == Delivery::Whole => whole.unmask(input).map(|()| {
                self.count_frame();
                self.count_message(whole.len(), false);
                self.active = true;
                whole.step()
            }),
            _ => self.run(input, delivery),
        };
        match &result {
            Ok(step) => self.count_wire(step.consumed),
            Err(error) => self.fail(*error),
        }
        result
    }

    /// Whether nothing can be produced without more input. Takes back what the last event lent.
    #[inline]
    pub(crate) fn needs_input(&mut self) -> bool {
        self.give_back();
        matches!(self.state, State::Start | State::Header { .. })
    }

    /// The message at the start of the input, if it lies there whole, as one frame. A failure is left to the next step,
    /// which repeats it.
    #[inline]
    pub(crate) fn take_whole<'i>(&mut self, input: &mut &'i mut [u8]) -> Option<Message<'i>> {
        let WholeMessage { kind, start, end, .. } = self.find_whole(input)?;
        let (used, rest) = mem::take(input).split_at_mut_checked(end)?;
        *input = rest;
        let payload = Payload::from(&*used.get_mut(start..)?);
        Some(match kind {
            #[allow(unsafe_code)]
            // SAFETY: it was found to be valid just now.
            Kind::Text => Message::Text(unsafe { Text::new_unchecked(payload) }),
            Kind::Binary => Message::Binary(payload),
        })
    }

    /// The same as a step.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn step_whole(&mut self, input: &mut [u8]) -> Option<Step> {
        self.find_whole(input).map(WholeMessage::step)
    }

    #[inline]
    fn find_whole(&mut self, input: &mut [u8]) -> Option<WholeMessage> {
        if self.lent {
            return None;
        }
        let whole = self.whole_message(input).filter(|whole| !whole.compressed)?;
        match whole.unmask(input) {
            Ok(()) => {
                self.active = true;
                if let Some(counts) = &mut self.counts {
                    counts.add(whole.len(), true, false);
                    counts.wire_bytes += whole.end as u64;
                }
                Some(whole)
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// The commonest case by far: between messages, one that lies whole in the input, as one frame. Everything that
    /// is not so, right or wrong, is left to [`run`](Self::run), which would do the same with this.
    #[inline]
    fn whole_message(&self, input: &[u8]) -> Option<WholeMessage> {
        let is_between = matches!(self.state, State::Start) && self.assembly.is_none();
        let &[first, second, ..] = input else { return None };
        let (kind, compressed) = match first {
            0x81 => (Kind::Text, false),
            0x82 => (Kind::Binary, false),
            0xc1 if self.inflater.is_some() => (Kind::Text, true),
            0xc2 if self.inflater.is_some() => (Kind::Binary, true),
            _ => return None,
        };
        let (len, mask_at) = match second & 0b0111_1111 {
            126 => (usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?)), 4),
            127 => return None,
            len => (usize::from(len), 2),
        };
        if mask_at == 4 && len < 126 {
            return None;
        }
        let is_masked = second & 0b1000_0000 != 0;
        if !is_between || is_masked != (self.role == Role::Server) || len > self.max_message_size {
            return None;
        }
        let (key, start) =
            if is_masked { (*input.get(mask_at..)?.first_chunk()?, mask_at + 4) } else { ([0; 4], mask_at) };
        let end = start + len;
        (end <= input.len()).then_some(WholeMessage { kind, compressed, key, start, end })
    }

    fn run(&mut self, input: &mut [u8], delivery: Delivery) -> Result<Step, ProtocolError> {
        let mut at = 0;
        loop {
            let frame = match self.state {
                State::Payload(frame) => frame,
                _ => match self.read_header(input.get(at..).unwrap_or_default())? {
                    (Some(header), size) => {
                        at += size;
                        self.begin(header, delivery)?
                    }
                    (None, size) => return Ok(Step { consumed: at + size, ready: None }),
                },
            };
            let here = input.len() - at;
            let count = usize::try_from(frame.remaining).map_or(here, |remaining| remaining.min(here));
            let end = at + count;
            let ready = if frame.opcode.is_control() {
                self.control(frame, input, at, end)?
            } else {
                self.active = true;
                match delivery {
                    Delivery::Whole => self.whole(frame, input, at, end)?,
                    Delivery::Parts => {
                        let (ready, used) = self.piece(frame, input, at, end)?;
                        if let Some(ready) = ready {
                            return Ok(Step { consumed: used, ready: Some(ready) });
                        }
                        None
                    }
                }
            };
            at = end;
            if ready.is_some() {
                return Ok(Step { consumed: at, ready });
            }
            if at == input.len() && self.frame_remaining() > 0 {
                return Ok(Step { consumed: at, ready: None });
            }
        }
    }

    /// Reads a header from what was kept and what is here, and tells how much of `input` that took. What is here of an
    /// incomplete one is kept.
    #[inline]
    fn read_header(&mut self, input: &[u8]) -> Result<(Option<FrameHeader>, usize), ProtocolError> {
        let (mut bytes, before) = match self.state {
            State::Header { bytes, len } => (bytes, len as usize),
            _ => match FrameHeader::parse_with(input, self.lengths)? {
                Some((header, size)) => return Ok((Some(header), size)),
                None if input.is_empty() => return Ok((None, 0)),
                None => ([0; FrameHeader::MAX_SIZE], 0),
            },
        };
        let added = input.len().min(FrameHeader::MAX_SIZE - before);
        let (room, new) = (bytes.get_mut(before..before + added), input.get(..added));
        if let (Some(room), Some(new)) = (room, new) {
            room.copy_from_slice(new);
        }
        let here = bytes.get(..before + added).unwrap_or_default();
        if let Some((header, size)) = FrameHeader::parse_with(here, self.lengths)? {
            return Ok((Some(header), size - before));
        }
        self.state = State::Header { bytes, len: (before + added) as u8 };
        Ok((None, added))
    }

    /// Judges the header in the light of what came before it.
    #[inline]
    fn begin(&mut self, header: FrameHeader, delivery: Delivery) -> Result<Frame, ProtocolError> {
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        // RFC 7692 §6.1: only the first frame of a message says that it is compressed.
        let compressed = header.rsv == RSV1 && self.inflater.is_some() && kind.is_some();
        if header.rsv != 0 && !compressed {
            return Err(ProtocolError::ReservedBits); // §5.2: nothing negotiated defines them
        }
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(ProtocolError::UnmaskedFrame), // §5.1
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskedFrame), // §5.1
            _ => {}
        }
        match (kind, self.message()) {
            (Some(_), Some(_)) => return Err(ProtocolError::ExpectedContinuation), // §5.4
            (Some(kind), None) => self.begin_message(Unfinished::new(kind, compressed)),
            (None, None) if header.opcode == Opcode::Continuation => {
                return Err(ProtocolError::UnexpectedContinuation); // §5.4
            }
            (None, _) => {}
        }
        if !header.opcode.is_control() {
            self.announce(header.len, delivery)?;
        }
        let frame = Frame {
            remaining: header.len,
            key: header.mask.unwrap_or_default(),
            opcode: header.opcode,
            fin: header.fin,
        };
        self.state = State::Payload(frame);
        self.count_frame();
        Ok(frame)
    }

    /// §10.4: limits on the message, whatever frames it is cut into.
    #[inline]
    fn announce(&mut self, len: u64, delivery: Delivery) -> Result<(), ProtocolError> {
        let Some(message) = self.message_mut() else { return Ok(()) };
        message.announced = message.announced.saturating_add(len);
        message.fragments = message.fragments.saturating_add(1);
        let fragments = message.fragments;
        if fragments > self.max_fragments {
            return Err(ProtocolError::TooManyFragments { limit: self.max_fragments });
        }
        self.check_announced(delivery)
    }

    /// Whether the message may have the size that its frames announce. It may have been judged by another limit
    /// before, when its parts were asked for and none could be lent.
    #[inline]
    fn check_announced(&self, delivery: Delivery) -> Result<(), ProtocolError> {
        let Some(message) = self.message() else { return Ok(()) };
        let limit = match (message.handling, delivery) {
            (Handling::Assembled, Delivery::Whole) => self.max_message_size as u64,
            _ => self.max_streamed_size,
        };
        let limit = match &self.inflater {
            Some(inflater) if message.compressed => inflater.max_compressed_size(limit, message.fragments),
            _ => limit,
        };
        if message.announced > limit { Err(ProtocolError::MessageTooBig { limit }) } else { Ok(()) }
    }

    /// Counts `count` bytes of the frame as received.
    #[inline]
    fn received(&mut self, frame: Frame, count: usize) -> Frame {
        let frame = frame.after(count);
        self.state = if frame.remaining == 0 { State::Start } else { State::Payload(frame) };
        // What is compressed is counted as it is inflated.
        if self.counts.is_some()
            && !frame.opcode.is_control()
            && self.message().is_some_and(|message| !message.compressed)
        {
            self.count_payload(count);
        }
        frame
    }

    /// Takes payload of a control frame. They come between the frames of a message and leave it alone (§5.4).
    fn control(
        &mut self,
        frame: Frame,
        input: &mut [u8],
        at: usize,
        end: usize,
    ) -> Result<Option<Ready>, ProtocolError> {
        let here = input.get_mut(at..end).unwrap_or_default();
        mask(here, frame.key);
        let done = frame.remaining == here.len() as u64;
        let place = if done && self.control.is_none() {
            Place::Input { start: at, end }
        } else {
            let control =
                self.control.get_or_insert_with(|| Box::new(Control { len: 0, bytes: [0; MAX_CONTROL_PAYLOAD] }));
            let filled = control.len as usize;
            if let Some(room) = control.bytes.get_mut(filled..filled + here.len()) {
                room.copy_from_slice(here);
                control.len += here.len() as u8;
            }
            Place::Control
        };
        self.received(frame, end - at);
        if !done {
            return Ok(None);
        }
        self.lent = matches!(place, Place::Control);
        let what = match frame.opcode {
            Opcode::Close => {
                let payload = self.lendable(place, input).unwrap_or_default();
                let close = CloseFrame::parse(payload)?.map(|close| Box::new(close.into_owned()));
                // Nothing can end an unfinished message any more.
                self.inflater = None;
                self.discard_all();
                self.state = State::Closed(close);
                return Ok(Some(Ready { what: What::Close, place: Place::Control }));
            }
            Opcode::Ping => What::Ping,
            _ => What::Pong,
        };
        Ok(Some(Ready { what, place }))
    }

    /// Takes payload of a message that is put together, or lent whole from the input.
    #[inline]
    fn whole(&mut self, frame: Frame, input: &mut [u8], at: usize, end: usize) -> Result<Option<Ready>, ProtocolError> {
        let here = input.get_mut(at..end).unwrap_or_default();
        let done = frame.remaining == here.len() as u64;
        self.check_announced(Delivery::Whole)?;
        let Some(assembly) = &mut self.assembly else { return Ok(None) };
        let Some(message) = &mut assembly.message else { return Ok(None) };
        match message.handling {
            Handling::Assembled if message.compressed => self.whole_compressed(frame.key, here)?,
            Handling::Assembled if done && frame.fin && message.fragments == 1 && assembly.buffer.is_empty() => {
                let whole = WholeMessage { kind: message.kind, compressed: false, key: frame.key, start: at, end };
                self.release();
                self.state = State::Start;
                whole.unmask(input)?;
                self.count_message(whole.len(), false);
                return Ok(whole.step().ready);
            }
            Handling::Assembled => assembly.append(here, frame, self.max_message_size)?,
            Handling::Parts | Handling::Discarded => {
                message.handling = Handling::Discarded;
                if message.compressed {
                    // The last piece may have been full, with more to come of input that is used up.
                    while self.inflate(&mut &[][..], Delivery::Whole)? {}
                    self.whole_compressed(frame.key, here)?;
                }
            }
        }
        let frame = self.received(frame, end - at);
        self.finish_frame(frame)
    }

    /// Takes what was read into the buffer behind its first `from` bytes.
    pub(crate) fn absorb(&mut self, from: usize) {
        let (State::Payload(frame), Some(assembly)) = (&self.state, &mut self.assembly) else { return };
        let count = assembly.buffer.len() - from;
        let result = assembly.unmask(from, frame.key);
        // The frame stays in progress with nothing remaining: the next step finds its end.
        self.state = State::Payload(frame.after(count));
        self.active = true;
        self.count_payload(count);
        self.count_wire(count);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Ends the message if this was its last frame and all of it is here.
    fn finish_frame(&mut self, frame: Frame) -> Result<Option<Ready>, ProtocolError> {
        if frame.remaining == 0 && frame.fin { self.finish_message() } else { Ok(None) }
    }

    fn finish_message(&mut self) -> Result<Option<Ready>, ProtocolError> {
        let Some(assembly) = &mut self.assembly else { return Ok(None) };
        let Some(message) = &mut assembly.message else { return Ok(None) };
        let Unfinished { kind, handling, compressed, .. } = *message;
        let complete = message.utf8.finish();
        if message.compressed
            && let Some(inflater) = &mut self.inflater
        {
            inflater.finish(&assembly.buffer)?;
        }
        if handling != Handling::Assembled {
            self.release();
            self.count_message(0, compressed);
            return Ok(None);
        }
        complete.map_err(|_| ProtocolError::InvalidUtf8)?;
        assembly.message = None;
        self.lent = true;
        self.count_message(0, compressed);
        Ok(Some(Ready { what: What::Message(kind), place: Place::Buffer }))
    }

    #[inline]
    fn begin_message(&mut self, message: Unfinished) {
        self.assembly.get_or_insert_with(Assembly::take).message = Some(message);
    }

    /// The message whose last frame has not come, or not come in full.
    #[inline]
    fn message(&self) -> Option<&Unfinished> {
        self.assembly.as_ref()?.message.as_ref()
    }

    #[inline]
    fn message_mut(&mut self) -> Option<&mut Unfinished> {
        self.assembly.as_mut()?.message.as_mut()
    }

    #[inline]
    fn count_frame(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.frames += 1;
        }
    }

    #[inline]
    fn count_wire(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.counts {
            counts.wire_bytes += bytes as u64;
        }
    }

    #[inline]
    fn count_payload(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.counts {
            counts.payload_bytes += bytes as u64;
        }
    }

    /// Counts a message that has come to its end, and what of its payload was not counted before.
    #[inline]
    fn count_message(&mut self, payload: usize, compressed: bool) {
        self.count_payload(payload);
        if let Some(counts) = &mut self.counts {
            counts.finish_message(compressed);
        }
    }

    /// Takes back what the last event lent.
    #[inline]
    fn give_back(&mut self) {
        if self.lent {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.lent = false;
        self.control = None;
        match &mut self.assembly {
            Some(assembly) if assembly.message.is_some() => assembly.discard_lent(),
            _ => self.release(),
        }
    }

    /// The same, and gives up the message that is under way.
    fn discard_all(&mut self) {
        self.release();
        self.discard();
    }

    /// There is no message under way any more, nor is one lent.
    #[inline]
    fn release(&mut self) {
        if let Some(assembly) = self.assembly.take() {
            assembly.give();
        }
    }

    fn fail(&mut self, error: ProtocolError) {
        self.state = State::Failed(error);
        self.inflater = None;
        self.discard_all();
    }
}

/// What fits the first-level cache together with what else is in use.
const BLOCK: usize = 16 << 10;

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Closed(_) => "close received",
            State::Failed(_) => "failed",
            State::Start | State::Header { .. } | State::Payload(_) => "open",
        };
        let len = self.assembly.as_ref().map_or(0, |assembly| assembly.buffer.len());
        write!(f, "Reader({:?}, {state}, {len} bytes of a message)", self.role)
    }
}
