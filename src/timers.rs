//! Deadlines on the caller's clock: time comes in as an argument, and the only output is when to come back.

use alloc::boxed::Box;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::config::Config;

/// A point in time of the caller's clock: `std::time::Instant`, `Duration` since some start, or a type of yours.
pub trait Time: Copy + Ord {
    /// This much later, or `None` if the clock cannot express it; then the deadline does not exist.
    fn checked_add(self, duration: Duration) -> Option<Self>;

    /// How long after `earlier` this is; zero if it is not.
    fn since(self, earlier: Self) -> Duration;
}

impl Time for Duration {
    fn checked_add(self, duration: Duration) -> Option<Self> {
        Duration::checked_add(self, duration)
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_sub(earlier)
    }
}

#[cfg(feature = "std")]
impl Time for std::time::Instant {
    fn checked_add(self, duration: Duration) -> Option<Self> {
        std::time::Instant::checked_add(&self, duration)
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// The deadlines of one connection. Extra calls are harmless.
///
/// | when | call |
/// |---|---|
/// | the handshake is done | [`opened`](Self::opened) |
/// | a read brought bytes | [`heard`](Self::heard) |
/// | a pong came | [`pong`](Self::pong) |
/// | messages, or parts of them, came or went | [`active`](Self::active) |
/// | a write would block | [`write_blocked`](Self::write_blocked) |
/// | a write took bytes | [`wrote`](Self::wrote) |
/// | [`Writer::is_closed`](crate::Writer::is_closed) says so, whoever closed | [`closing`](Self::closing) |
/// | a read found nothing, or the [`deadline`](Self::deadline) has passed | [`expire`](Self::expire), until `None` |
///
/// ```
/// use core::time::Duration;
/// use sockeye::{Config, Expired, Timers};
///
/// let at = Duration::from_secs;
/// let mut timers = Timers::new(&Config::DEFAULT, at(0));
/// timers.opened(at(1));
/// assert_eq!(timers.deadline(), Some(at(21))); // sleep until then, or until something happens
/// let Some(Expired::SendPing(payload)) = timers.expire(at(21)) else { panic!() };
/// timers.heard(); // a read brought bytes …
/// assert_eq!(timers.pong(&payload, at(22)), Some(at(1))); // … which were the pong
/// assert_eq!(timers.deadline(), Some(at(41)));
/// ```
#[derive(Clone, Debug)]
pub struct Timers<T> {
    timeouts: Timeouts,
    phase: Phase<T>,
    /// When a write must have made progress.
    write: Option<T>,
    pings: u32,
    /// In microseconds.
    round_trip: Option<NonZeroU32>,
    /// There only where the connection may not be idle for ever, until it closes, or it was said that the time is over.
    idle: Option<Box<Idle<T>>>,
}

#[derive(Clone, Debug)]
struct Idle<T> {
    timeout: Timeout,
    /// When the latest message came or went; nothing before the opening.
    since: Option<T>,
}

#[derive(Clone, Copy, Debug)]
enum Phase<T> {
    /// The handshake must be over then.
    Handshake(Option<T>),
    /// Open, and no ping is due, ever.
    Open,
    /// Open, and the next ping is due then.
    PingDue(T),
    /// Open, and a ping was sent then; whether bytes came since.
    PingSent { sent: T, heard: bool },
    /// The closing must be over then.
    Closing(Option<T>),
}

/// What is due, from [`Timers::expire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expired {
    /// Send a ping with this payload.
    SendPing([u8; 4]),
    /// Nothing came within the timeout after a ping: the peer is gone. Drop the transport.
    Unresponsive,
    /// The peer did not answer Close, or did not end its stream after it, in time. Drop the transport.
    CloseTimedOut,
    /// The opening handshake took too long. Drop the transport.
    HandshakeTimedOut,
    /// The peer has not taken a single byte for too long. Drop the transport.
    WriteStalled,
    /// No message came or went for too long. Close the connection, with 1001 for instance.
    Idle,
}

/// The durations of a [`Config`], small enough to keep with every connection.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    ping_interval: Timeout,
    pong: Timeout,
    write: Timeout,
    close: Timeout,
}

/// Milliseconds; the largest value stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timeout(u32);

impl Timeout {
    const NONE: Self = Self(u32::MAX);

    fn new(duration: Option<Duration>) -> Self {
        duration.map_or(Self::NONE, |duration| Self(duration.as_millis().min(u128::from(u32::MAX - 1)) as u32))
    }

    fn duration(self) -> Option<Duration> {
        (self != Self::NONE).then(|| Duration::from_millis(self.0.into()))
    }

    fn after<T: Time>(self, now: T) -> Option<T> {
        self.duration().and_then(|duration| now.checked_add(duration))
    }
}

impl Timeouts {
    fn new(config: &Config) -> Self {
        Self {
            ping_interval: Timeout::new(config.ping_interval),
            pong: Timeout::new(config.pong_timeout),
            write: Timeout::new(config.write_timeout),
            close: Timeout::new(config.close_timeout),
        }
    }
}

impl<T: Time> Timers<T> {
    /// Timers of a connection whose handshake begins now.
    pub fn new(config: &Config, now: T) -> Self {
        Self {
            timeouts: Timeouts::new(config),
            phase: Phase::Handshake(Timeout::new(config.handshake_timeout).after(now)),
            write: None,
            pings: 0,
            round_trip: None,
            idle: config
                .idle_timeout
                .map(|timeout| Box::new(Idle { timeout: Timeout::new(Some(timeout)), since: None })),
        }
    }

    /// The handshake is done.
    pub fn opened(&mut self, now: T) {
        if let Phase::Handshake(_) = self.phase {
            self.phase = self.next_ping(now);
            if let Some(idle) = &mut self.idle {
                idle.since = Some(now);
            }
        }
    }

    /// Bytes came from the peer, whatever they are. Sets a flag only, so that no message needs to know the time.
    #[inline]
    pub fn heard(&mut self) {
        if let Phase::PingSent { heard, .. } = &mut self.phase {
            *heard = true;
        }
    }

    /// A pong came. The time since its ping, if it answers the latest one.
    pub fn pong(&mut self, payload: &[u8], now: T) -> Option<Duration> {
        self.heard();
        match self.phase {
            Phase::PingSent { sent, .. } if payload == self.pings.to_be_bytes() => {
                let round_trip = now.since(sent);
                let micros = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
                self.round_trip = NonZeroU32::new(micros);
                self.phase = self.next_ping(sent);
                Some(round_trip)
            }
            _ => None,
        }
    }

    /// Messages, or parts of them, came or went. One call is enough for all that did since the one before, so that no
    /// message needs to know the time. Changes nothing where there is no [`Config::idle_timeout`].
    pub fn active(&mut self, now: T) {
        if let Some(Idle { since: Some(since), .. }) = self.idle.as_deref_mut() {
            *since = now;
        }
    }

    /// Whether somebody wants to know what is [`active`](Self::active).
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn minds_idleness(&self) -> bool {
        self.idle.is_some()
    }

    /// The time between the latest answered ping and its pong, in whole microseconds and at least one.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|micros| Duration::from_micros(micros.get().into()))
    }

    /// Close was sent, or is about to be. Only the first call counts.
    pub fn closing(&mut self, now: T) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(self.timeouts.close.after(now));
            self.idle = None;
        }
    }

    /// The transport takes no more bytes at present. Only the first call since [`wrote`](Self::wrote) counts.
    pub fn write_blocked(&mut self, now: T) {
        if self.write.is_none() {
            self.write = self.timeouts.write.after(now);
        }
    }

    /// The transport took bytes.
    #[inline]
    pub fn wrote(&mut self) {
        self.write = None;
    }

    /// When to call [`expire`](Self::expire) at the latest.
    pub fn deadline(&self) -> Option<T> {
        let phase = match self.phase {
            Phase::Handshake(deadline) | Phase::Closing(deadline) => deadline,
            Phase::Open => None,
            Phase::PingDue(at) => Some(at),
            Phase::PingSent { sent, .. } => self.answer_deadline(sent),
        };
        [phase, self.write, self.idle_deadline()].into_iter().flatten().min()
    }

    fn idle_deadline(&self) -> Option<T> {
        let Idle { timeout, since } = self.idle.as_deref()?;
        timeout.after((*since)?)
    }

    /// When something must have been heard after a ping. Without such a deadline, the next ping is due whether something
    /// was or not, though not at once: [`expire`](Self::expire) must come to an end.
    fn answer_deadline(&self, sent: T) -> Option<T> {
        let again = Timeout(self.timeouts.ping_interval.0.max(1));
        self.timeouts.pong.after(sent).or(again.after(sent))
    }

    /// What is due by `now`; call until `None`. Call it only when a read has just found nothing: what waits in the
    /// transport may be the sign of life that is being asked for.
    #[must_use = "what is due is said once"]
    pub fn expire(&mut self, now: T) -> Option<Expired> {
        if self.write_stalled(now) {
            return Some(Expired::WriteStalled);
        }
        match self.phase {
            Phase::Handshake(Some(at)) if at <= now => {
                self.phase = Phase::Handshake(None);
                Some(Expired::HandshakeTimedOut)
            }
            Phase::Closing(Some(at)) if at <= now => {
                self.phase = Phase::Closing(None);
                Some(Expired::CloseTimedOut)
            }
            Phase::PingDue(at) if at <= now => {
                self.pings = self.pings.wrapping_add(1);
                self.phase = Phase::PingSent { sent: now, heard: false };
                Some(Expired::SendPing(self.pings.to_be_bytes()))
            }
            Phase::PingSent { sent, heard } if self.answer_deadline(sent).is_some_and(|at| at <= now) => {
                if heard || self.timeouts.pong == Timeout::NONE {
                    self.phase = self.next_ping(sent);
                    return self.expire(now);
                }
                self.phase = Phase::Open;
                Some(Expired::Unresponsive)
            }
            _ => self.expire_idle(now),
        }
    }

    fn expire_idle(&mut self, now: T) -> Option<Expired> {
        if self.idle_deadline()? > now {
            return None;
        }
        self.idle = None;
        Some(Expired::Idle)
    }

    /// Whether writes made no progress for too long. Unlike the rest of [`expire`](Self::expire) this may be asked at
    /// any time.
    #[must_use = "it is said once"]
    pub fn write_stalled(&mut self, now: T) -> bool {
        self.write.take_if(|at| *at <= now).is_some()
    }

    /// When to ask [`write_stalled`](Self::write_stalled) at the latest.
    pub fn write_deadline(&self) -> Option<T> {
        self.write
    }

    /// How long a write may go without progress.
    #[cfg(feature = "std")]
    pub(crate) fn write_timeout(&self) -> Option<Duration> {
        self.timeouts.write.duration()
    }

    /// How long the closing may take.
    #[cfg(feature = "std")]
    pub(crate) fn close_timeout(&self) -> Option<Duration> {
        self.timeouts.close.duration()
    }

    fn next_ping(&self, last: T) -> Phase<T> {
        self.timeouts.ping_interval.after(last).map_or(Phase::Open, Phase::PingDue)
    }
}
