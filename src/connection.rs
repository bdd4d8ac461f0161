//! Both halves together: automatic replies, and what the transport should do.

use alloc::boxed::Box;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::deflate;
#[cfg(feature = "deflate")]
use crate::deflate::Parameters;
use crate::error::ProtocolError;
use crate::frame::Role;
use crate::message::{Event, Part, Reply};
use crate::reader::{Delivery, PayloadBuf, Reader, Ready, Step, What};
use crate::writer::Writer;

/// What the opening handshake agreed on (RFC 6455 §4). A connection is made from it.
///
/// The default is a connection without a subprotocol and without extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Nothing for most, and then a connection has but one word of it.
    terms: Option<Box<Terms>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Terms {
    subprotocol: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    deflate: Option<Parameters>,
}

impl Agreed {
    /// The same with this subprotocol (RFC 6455 §1.9).
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: &str) -> Self {
        self.set_subprotocol(Some(subprotocol.into()));
        self
    }

    pub(crate) fn set_subprotocol(&mut self, subprotocol: Option<Box<str>>) {
        self.change(|terms| terms.subprotocol = subprotocol);
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.terms.as_ref()?.subprotocol.as_deref()
    }

    /// The same with permessage-deflate in these parameters (RFC 7692 §7.1), where another HTTP stack has agreed on
    /// them. Levels and limits are those of [`Config::deflate`], or its defaults.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, parameters: Parameters) -> Self {
        self.set_deflate(Some(parameters));
        self
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn set_deflate(&mut self, parameters: Option<Parameters>) {
        self.change(|terms| terms.deflate = parameters);
    }

    /// The parameters of permessage-deflate that were agreed on; `None` without compression.
    #[cfg(feature = "deflate")]
    pub fn deflate(&self) -> Option<Parameters> {
        self.terms.as_ref()?.deflate
    }

    fn change(&mut self, change: impl FnOnce(&mut Terms)) {
        let mut terms = self.terms.take().unwrap_or_default();
        change(&mut terms);
        self.terms = (*terms != Terms::default()).then_some(terms);
    }
}

/// A whole connection without its transport: a [`Reader`], a [`Writer`], and the replies that RFC 6455 asks for.
///
/// Pings are answered, Close is answered, and a peer that breaks the protocol is told why; all of it is in
/// [`outbox`](Writer::outbox) when [`next`](Self::next) returns. The canonical loop of an embedder answers from
/// borrowed data:
///
/// ```
/// use sockeye::{Agreed, Config, Connection, Event, Role};
///
/// let mut connection = Connection::open(Role::Client, Agreed::default(), &Config::DEFAULT);
/// let mut received = *b"\x81\x05Hello"; // what a read brought
/// let mut input = &mut received[..];
/// while let Some((event, writer)) = connection.next_with_writer(&mut input)? {
///     if let Event::Message(message) = event {
///         writer.send(message).map_err(|error| error.kind())?;
///     }
/// }
/// assert_eq!(connection.writer().queued(), 11); // what the next write takes
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
    role: Role,
    agreed: Agreed,
    backpressure: Backpressure,
    ended: Ended,
}

/// What is known of the end so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    /// The peer's stream has ended.
    pub(crate) eof: bool,
    /// The peer's Close has come.
    pub(crate) closed: bool,
    /// It came before ours.
    pub(crate) by_peer: bool,
}

/// Stops the reading while answers pile up. Only answers count: if messages that this end sends of its own accord did,
/// two ends that send large messages at each other would both stop reading, for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backpressure {
    high_water: usize,
    /// Where the answers end, in bytes since the beginning; `LENT` while the writer is out.
    answers_end: u64,
}

/// The writer was handed out together with a message, and what it queues are answers.
const LENT: u64 = u64::MAX;

impl Backpressure {
    pub(crate) fn new(config: &Config) -> Self {
        // An outbox that refuses more is above its mark, whatever that is.
        let high_water = config.outbox_high_water.min(config.outbox_capacity.saturating_sub(1));
        Self { high_water, answers_end: 0 }
    }

    /// The writer is being handed out to answer.
    #[inline]
    pub(crate) fn lend(&mut self) {
        self.answers_end = LENT;
    }

    /// Whether the writer is out.
    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        self.answers_end == LENT
    }

    /// The writer is back, and what it queued ends at `position`.
    pub(crate) fn settle(&mut self, position: u64) {
        self.answers_end = position;
    }

    /// Whether to read more, with so many bytes `written` and all that waits ending at `position`.
    #[inline]
    pub(crate) fn may_read(&self, written: u64, position: u64) -> bool {
        let answers_end = if self.is_lent() { position } else { self.answers_end };
        answers_end.saturating_sub(written) <= self.high_water as u64
    }

    /// Whether a message may be sent without waiting, while so many bytes wait.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn has_room(&self, pending: usize) -> bool {
        pending < self.high_water.max(1)
    }
}

/// What the transport should do now, see [`Connection::wants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Read more. `false` also while answers given through [`Connection::next_with_writer`] are waiting beyond
    /// [`Config::outbox_high_water`]: a peer that does not read them is not given cause for more.
    pub read: bool,
    /// Write what is in the outbox.
    pub write: bool,
    /// Shut the write side down: everything was sent.
    pub shutdown: bool,
    /// Drop the transport: nothing more can come of it.
    pub drop: bool,
}

/// How a connection ended (RFC 6455 §7.1.4 to §7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// The code of the peer's Close; 1005 if it had none, 1006 if no Close came.
    pub code: CloseCode,
    /// The reason of the peer's Close, or nothing.
    pub reason: Box<str>,
    /// Whether the peer's Close came before ours.
    pub by_peer: bool,
    /// Whether Close went both ways.
    pub was_clean: bool,
}

impl Connection {
    /// A connection in the open state, whoever did the handshake. Bytes that were read behind it are simply its first
    /// input.
    pub fn open(role: Role, agreed: Agreed, config: &Config) -> Self {
        let (inflater, deflater) = deflate::halves(role, &agreed, config);
        Self {
            reader: Reader::new(role, config, inflater),
            writer: Writer::new(role, config, deflater),
            role,
            agreed,
            backpressure: Backpressure::new(config),
            ended: Ended::default(),
        }
    }

    /// The next event in `input`, see [`Reader::next`]; what it calls for is in the outbox already.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. The Close that says so is in the outbox.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        self.settle_writer();
        if input.is_empty() && self.reader.needs_input() {
            return Ok(None);
        }
        if let Some(message) = self.reader.take_whole(input) {
            return Ok(Some(Event::Message(message)));
        }
        self.next_event(input)
    }

    /// [`next`](Self::next) without its short cuts.
    #[inline(never)]
    fn next_event<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        let Self { reader, writer, ended, .. } = self;
        reader.next_event(input, |reader, input, result| answer(reader, writer, ended, input, result))
    }

    /// The next event together with the writer, to answer it from borrowed data.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn next_with_writer<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<(Event<'a>, &'a mut Writer)>, ProtocolError> {
        self.settle_writer();
        if input.is_empty() && self.reader.needs_input() {
            return Ok(None);
        }
        if let Some(message) = self.reader.take_whole(input) {
            self.backpressure.lend();
            return Ok(Some((Event::Message(message), &mut self.writer)));
        }
        self.next_event_with_writer(input)
    }

    /// [`next_with_writer`](Self::next_with_writer) without its short cuts.
    #[inline(never)]
    fn next_event_with_writer<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<(Event<'a>, &'a mut Writer)>, ProtocolError> {
        let Self { reader, writer, ended, backpressure, .. } = self;
        let event = reader.next_event(input, |reader, input, result| answer(reader, writer, ended, input, result))?;
        Ok(event.map(|event| {
            backpressure.lend();
            (event, writer)
        }))
    }

    /// The next part of a message of any length, see [`Reader::next_part`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_part<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Part<'a>>, ProtocolError> {
        self.settle_writer();
        let Self { reader, writer, ended, .. } = self;
        reader.next_part_and(input, |reader, input, result| answer(reader, writer, ended, input, result))
    }

    /// The first phase of [`next`](Self::next), see [`Reader::step`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn step(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        self.settle_writer();
        advance(&mut self.reader, &mut self.writer, &mut self.ended, input, Delivery::Whole)
    }

    /// The first phase of [`next_part`](Self::next_part), see [`Reader::step_part`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn step_part(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        self.settle_writer();
        advance(&mut self.reader, &mut self.writer, &mut self.ended, input, Delivery::Parts)
    }

    /// The second phase of [`next_part`](Self::next_part), see [`Reader::part`].
    pub fn part<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Option<Part<'a>> {
        self.reader.part(ready, input)
    }

    /// The second phase of [`next`](Self::next), see [`Reader::event`].
    pub fn event<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Option<Event<'a>> {
        self.reader.event(ready, input)
    }

    /// Room for the payload under way, see [`Reader::payload_buf`].
    pub fn payload_buf(&mut self) -> Option<PayloadBuf<'_>> {
        self.reader.payload_buf()
    }

    /// Tells that the peer's stream has ended.
    pub fn eof(&mut self) {
        self.ended.eof = true;
    }

    /// What the transport should do now. Ask after each read, write and end of stream.
    #[must_use]
    pub fn wants(&self) -> Wants {
        let mut wants = wants(self.role, &self.reader, &self.writer, self.writer.queued(), self.ended);
        // After Close nothing will be answered any more.
        wants.read &=
            self.writer.is_closed() || self.backpressure.may_read(self.writer.written(), self.writer.position());
        wants
    }

    #[inline]
    fn settle_writer(&mut self) {
        if self.backpressure.is_lent() {
            self.backpressure.settle(self.writer.position());
        }
    }

    /// How the connection ended, once Close was received, or the connection failed, or the stream ended.
    pub fn closure(&self) -> Option<Closure> {
        closure(&self.reader, &self.writer, self.ended)
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The sending half.
    #[inline]
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// Both halves, for those who reply themselves: to each event its [`reply`](Event::reply), to an error
    /// [its own](ProtocolError::reply).
    pub fn halves(&mut self) -> (&mut Reader, &mut Writer) {
        (&mut self.reader, &mut self.writer)
    }

    /// The halves, each for a place of its own.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    #[cfg(feature = "std")]
    pub(crate) fn into_parts(self) -> (Reader, Writer, Agreed) {
        (self.reader, self.writer, self.agreed)
    }
}

/// One step of the reader, and the reply it calls for.
#[inline]
pub(crate) fn advance(
    reader: &mut Reader,
    writer: &mut Writer,
    ended: &mut Ended,
    input: &mut [u8],
    delivery: Delivery,
) -> Result<Step, ProtocolError> {
    let result = reader.advance(input, delivery);
    answer(reader, writer, ended, input, &result);
    result
}

/// Queues the reply that a step over `input` calls for.
#[inline]
fn answer(reader: &Reader, writer: &mut Writer, ended: &mut Ended, input: &[u8], result: &Result<Step, ProtocolError>) {
    match result {
        Ok(Step { ready: Some(ready), .. }) if ready.what == What::Ping => {
            writer.reply(Reply::pong(reader.payload_at(ready, input))); // §5.5.2
        }
        Ok(Step { ready: Some(ready), .. }) if ready.what == What::Close => {
            ended.closed = true;
            ended.by_peer = !writer.is_closed();
            writer.reply(Reply::echo(reader.close_frame().flatten())); // §5.5.1
        }
        Ok(_) => {}
        Err(error) => writer.reply(error.reply()), // §7.1.7
    }
}

/// What the transport should do while `pending` bytes wait to leave, in the outbox or on their way out of it.
pub(crate) fn wants(role: Role, reader: &Reader, writer: &Writer, pending: usize, ended: Ended) -> Wants {
    let is_over = reader.is_done() && writer.is_closed() && pending == 0;
    let is_clean = reader.close_frame().is_some();
    // §7.1.1: the server closes the TCP connection first. After a failure both ends half-close, and drain what the
    // peer still sends, because unread data would turn our Close into a reset.
    let leaves_first = is_clean && role == Role::Server;
    Wants {
        read: !(ended.eof || is_over && leaves_first),
        write: pending > 0,
        shutdown: is_over && (leaves_first || !is_clean || ended.eof),
        drop: if is_over { leaves_first || ended.eof } else { ended.eof && !reader.is_done() },
    }
}

pub(crate) fn closure(reader: &Reader, writer: &Writer, ended: Ended) -> Option<Closure> {
    let frame = reader.close_frame();
    if frame.is_none() && reader.failure().is_none() && !ended.eof {
        return None;
    }
    let (code, reason) = match frame {
        Some(Some(CloseFrame { code, reason })) => (*code, &**reason),
        Some(None) => (CloseCode::NO_STATUS_RECEIVED, ""),
        None => (CloseCode::ABNORMAL_CLOSURE, ""),
    };
    let was_clean = frame.is_some() && writer.is_closed();
    Some(Closure { code, reason: reason.into(), by_peer: ended.by_peer, was_clean })
}
