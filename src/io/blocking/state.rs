//! The life cycle over a blocking stream, in one thread or in several.

use std::io;
use std::ops::DerefMut;
use std::time::{Duration, Instant};

use super::stream::{self, Armed, ReadHalf, WriteHalf, is_wait};
use crate::config::Config;
use crate::connection::Connection;
use crate::counts::Counts;
use crate::io::error::{Error, Timeout};
use crate::io::input::Inbound;
use crate::io::life::{Life, Stage, Wanted};
use crate::io::statistics::Statistics;
use crate::outbox::Outbox;
use crate::timers::{Time, Timers};

/// How long a write waits that must not keep the thread from reading.
const BRIEF: Duration = Duration::from_millis(1);

/// How long a read waits before such a write is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Everything but the reader and the stream.
pub(super) struct State {
    pub(super) life: Life,
    pub(super) timers: Timers<Instant>,
    /// The stream never waits, and is given no timeouts.
    pub(super) nonblocking: bool,
    /// How many bytes had left when the stream was last flushed.
    pub(super) flushed: u64,
    /// Our write side is to be shut down when everything has left.
    shut_when_sent: bool,
}

/// What is to be done with the writing half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Write,
    Flush,
    ShutDown,
}

/// How long a write may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as the deadlines allow.
    Full,
    /// Hardly at all: there is something to read meanwhile.
    Brief,
}

/// What came of an [`Act`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Done,
    /// Its time was up, and no deadline has passed.
    Waited,
    /// Nothing can be written any more.
    Broke,
}

impl State {
    pub(super) fn new(connection: Connection, config: &Config, leftover: &[u8]) -> (Inbound, Self) {
        let (inbound, life) = Life::new(connection, config, leftover);
        let now = Instant::now();
        let mut timers = Timers::new(config, now);
        timers.opened(now);
        (inbound, Self { life, timers, nonblocking: false, flushed: 0, shut_when_sent: false })
    }

    #[inline]
    fn parse(&mut self, inbound: &mut Inbound, wanted: Wanted) -> bool {
        let Self { life, timers, .. } = self;
        life.parse(inbound, wanted, |payload| {
            timers.pong(payload, Instant::now());
        })
    }

    pub(super) fn statistics(&self, received: Option<Counts>) -> Option<Statistics> {
        self.life.statistics(received, self.timers.round_trip())
    }

    /// The next thing to do with the writing half, where `queued` bytes are at hand for it.
    pub(super) fn next_act(&self, queued: usize, unflushed: bool) -> Option<Act> {
        if queued > 0 {
            Some(Act::Write)
        } else if unflushed {
            Some(Act::Flush)
        } else {
            (self.shut_when_sent && !self.life.shut && self.life.pending() == 0).then_some(Act::ShutDown)
        }
    }

    /// How long a write may wait; `None` is for ever.
    pub(super) fn write_timeout(&mut self, patience: Patience) -> Option<Duration> {
        if patience == Patience::Brief {
            return Some(BRIEF);
        }
        let timeout = self.timers.write_timeout();
        if !self.life.writer.is_closed() {
            return timeout;
        }
        let now = Instant::now();
        self.timers.closing(now);
        let closing = self.timers.deadline().map(|deadline| deadline.since(now));
        [timeout, closing].into_iter().flatten().min()
    }

    /// Takes note of what came of an act, which could wait as long as is `in_force`.
    pub(super) fn note_act(&mut self, act: Act, result: io::Result<usize>, in_force: Option<Duration>) -> Came {
        match (result, act) {
            (Err(error), _) if is_wait(&error) => return self.waited_to_write(in_force),
            (_, Act::ShutDown) => self.life.shut = true, // both ends have said what they had to say
            (Ok(_), Act::Write) => {
                self.timers.wrote();
                if self.timers.minds_idleness() && self.life.writer.take_active() {
                    self.timers.active(Instant::now());
                }
            }
            (Ok(_), Act::Flush) => {
                self.flushed = self.life.written();
                self.timers.wrote();
            }
            (Err(error), Act::Write | Act::Flush) => {
                // What the peer sent before it went away is still to be had.
                self.life.fail(error.into());
                self.life.abort();
                return Came::Broke;
            }
        }
        Came::Done
    }

    fn waited_to_write(&mut self, in_force: Option<Duration>) -> Came {
        let now = Instant::now();
        let since = in_force.and_then(|waited| now.checked_sub(waited)).unwrap_or(now);
        self.timers.write_blocked(since);
        let timeout = if self.life.writer.is_closed() {
            self.timers.closing(now);
            self.timers.expire(now).and_then(Timeout::from_expired)
        } else {
            self.timers.write_stalled(now).then_some(Timeout::Write)
        };
        let Some(timeout) = timeout else {
            return Came::Waited;
        };
        self.life.fail(timeout.into());
        self.life.abort();
        if !self.life.is_done() {
            self.life.stage = Stage::Stalled;
        }
        Came::Broke
    }

    /// How long a read may wait: until the next deadline; until something may be written again, if that is `blocked`;
    /// and, where another thread may close, no longer than a deadline of closing may take to pass.
    fn read_timeout(&mut self, inbound: &mut Inbound, now: Instant, blocked: bool, split: bool) -> Option<Duration> {
        self.look_at_clock(inbound, now);
        let deadline = self.timers.deadline().map(|deadline| deadline.since(now));
        let retry = blocked.then_some(RETRY);
        let close = if split { self.timers.close_timeout() } else { None };
        [deadline, retry, close].into_iter().flatten().min()
    }

    /// Judges the deadlines after a read that found nothing; whether one has passed.
    fn expire(&mut self, inbound: &mut Inbound, now: Instant) -> bool {
        self.look_at_clock(inbound, now);
        let Some(expired) = self.timers.expire(now) else { return false };
        self.life.expire(inbound, expired);
        true
    }

    /// Tells the timers what happened without a look at the clock.
    fn look_at_clock(&mut self, inbound: &mut Inbound, now: Instant) {
        if self.life.writer.is_closed() {
            self.timers.closing(now);
        }
        if self.timers.minds_idleness() && (inbound.reader.take_active() | self.life.take_active()) {
            self.timers.active(now);
        }
    }

    /// When to call again at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.life.is_done() { None } else { self.timers.deadline() }
    }
}

/// The writing half of a stream.
pub(super) struct Output<W> {
    pub(super) stream: W,
    pub(super) armed: Armed,
    /// The stream was given bytes after its last flush.
    pub(super) unflushed: bool,
}

impl<W: WriteHalf> Output<W> {
    pub(super) fn new(stream: W) -> Self {
        Self { stream, armed: Armed::Unknown, unflushed: false }
    }

    /// Does it once. Also returns how long it could wait.
    pub(super) fn act(
        &mut self,
        act: Act,
        outbox: &mut Outbox,
        timeout: Option<Duration>,
        nonblocking: bool,
    ) -> (io::Result<usize>, Option<Duration>) {
        let stream = &mut self.stream;
        let in_force =
            if nonblocking { None } else { self.armed.set(timeout, |timeout| stream.set_write_timeout(timeout)) };
        let result = match act {
            Act::Write => stream::write(stream, outbox).inspect(|_| self.unflushed = true),
            Act::Flush => {
                let result = stream::flush(stream);
                self.unflushed = matches!(&result, Err(error) if is_wait(error));
                result.map(|()| 0)
            }
            Act::ShutDown => stream.shutdown().map(|()| 0),
        };
        (result, in_force)
    }
}

/// The reading half of a stream.
fn read(stream: &mut (impl ReadHalf + ?Sized), inbound: &mut Inbound) -> io::Result<usize> {
    if inbound.reads_in_place()
        && let Some(mut payload) = inbound.reader.payload_buf()
    {
        let count = stream::read(stream, payload.spare())?;
        payload.advance(count);
        return Ok(count);
    }
    let count = stream::read(stream, inbound.room())?;
    inbound.filled(count);
    Ok(count)
}

/// A stream and the state that goes with it, for [`receive`].
pub(super) trait Link {
    /// Whether other threads may send.
    const SPLIT: bool;

    /// The state, for a short time.
    fn state(&mut self) -> impl DerefMut<Target = State>;

    /// Sends what waits, as far as that does not keep the thread from reading. An error means that something is left
    /// that nobody else is writing.
    fn write_before_reading(&mut self) -> io::Result<()>;

    /// The stream to read from, and the timeout that its reads have.
    fn reading_half(&mut self) -> (&mut impl ReadHalf, &mut Armed);
}

/// Goes on until what is `wanted` is ready in `inbound`, or the connection has ended.
#[inline]
pub(super) fn receive(link: &mut impl Link, inbound: &mut Inbound, wanted: Wanted) -> Result<(), Error> {
    link.state().life.settle_writer();
    loop {
        if let Some(result) = look(link, inbound, wanted) {
            return result;
        }
        wait(link, inbound)?;
    }
}

/// Looks for something wanted in what was read.
#[inline]
fn look<L: Link>(link: &mut L, inbound: &mut Inbound, wanted: Wanted) -> Option<Result<(), Error>> {
    let mut state = link.state();
    // What is received may be answered, so there must be room for an answer before it is looked at.
    let found = state.life.may_read() && state.parse(inbound, wanted);
    if L::SPLIT {
        state.life.publish(&inbound.reader);
    }
    if found {
        return Some(Ok(()));
    }
    if state.life.is_done() {
        return Some(state.life.take_failure().map_or(Ok(()), Err));
    }
    state.shut_when_sent = state.life.wants(inbound, 0).shutdown;
    None
}

/// Sends what was queued meanwhile, all of it together, then reads.
fn wait<L: Link>(link: &mut L, inbound: &mut Inbound) -> Result<(), Error> {
    let blocked = link.write_before_reading().is_err();
    let (timeout, began) = {
        let mut state = link.state();
        let pending = state.life.pending();
        if state.life.stage == Stage::Stalled || state.life.wants(inbound, pending).drop {
            state.life.finish(inbound);
            return Ok(());
        }
        if state.life.is_eof() || !state.life.may_read() {
            return Err(would_block());
        }
        if !inbound.unread().is_empty() {
            return Ok(()); // there was no room for the answer to it
        }
        // A peer that goes on sending must not keep us from seeing that its time to close is over.
        if state.life.writer.is_closed() && state.expire(inbound, Instant::now()) {
            return Ok(());
        }
        let began = if state.nonblocking { None } else { Some(Instant::now()) };
        (began.and_then(|now| state.read_timeout(inbound, now, blocked, L::SPLIT)), began)
    };
    let (stream, armed) = link.reading_half();
    let in_force = if began.is_some() { armed.set(timeout, |timeout| stream.set_read_timeout(timeout)) } else { None };
    let result = read(stream, inbound);
    let mut state = link.state();
    match result {
        Err(error) if is_wait(&error) => {
            inbound.release();
            let now = Instant::now();
            let waited = began.map_or(Duration::ZERO, |began| now.since(began));
            // A stream that gives up long before its time does not wait at all.
            let is_timeout = in_force.is_some_and(|timeout| waited >= timeout / 2);
            if !state.expire(inbound, now) && !is_timeout {
                return Err(would_block());
            }
        }
        result => {
            if state.life.note_read(inbound, result) {
                state.timers.heard();
            }
        }
    }
    Ok(())
}

/// What a caller is told whose stream does not wait.
pub(super) fn would_block() -> Error {
    io::Error::from(io::ErrorKind::WouldBlock).into()
}
