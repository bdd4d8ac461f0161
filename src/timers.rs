//! Deadlines on the caller's clock: time comes in as an argument, and the only output is when to come back.

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
    /// When the handshake, or the closing, must be over.
    phase: Phase<T>,
    keepalive: Keepalive<T>,
    /// When a write must have made progress.
    write: Option<T>,
    /// Whether bytes came since the last ping.
    heard: bool,
    pings: u32,
    round_trip: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Phase<T> {
    Handshake(Option<T>),
    Open,
    Closing(Option<T>),
}

#[derive(Clone, Copy, Debug)]
enum Keepalive<T> {
    Off,
    /// The next ping is due then.
    Due(T),
    /// A ping was sent; at `deadline` something must have been heard.
    Asked {
        sent: T,
        deadline: Option<T>,
    },
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
}

/// The durations of a [`Config`], small enough to keep with every connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    handshake: Timeout,
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
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            handshake: Timeout::new(config.handshake_timeout),
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
        Self::with_timeouts(Timeouts::new(config), now)
    }

    pub(crate) fn with_timeouts(timeouts: Timeouts, now: T) -> Self {
        Self {
            timeouts,
            phase: Phase::Handshake(timeouts.handshake.after(now)),
            keepalive: Keepalive::Off,
            write: None,
            heard: false,
            pings: 0,
            round_trip: None,
        }
    }

    /// The handshake is done.
    pub fn opened(&mut self, now: T) {
        if let Phase::Handshake(_) = self.phase {
            self.phase = Phase::Open;
            self.keepalive = self.next_ping(now);
        }
    }

    /// Bytes came from the peer, whatever they are. Sets a flag only, so that no message needs to know the time.
    #[inline]
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// A pong came. The time since its ping, if it answers the latest one.
    pub fn pong(&mut self, payload: &[u8], now: T) -> Option<Duration> {
        self.heard = true;
        match self.keepalive {
            Keepalive::Asked { sent, .. } if payload == self.pings.to_be_bytes() => {
                let round_trip = now.since(sent);
                self.round_trip = Some(round_trip);
                self.keepalive = self.next_ping(sent);
                Some(round_trip)
            }
            _ => None,
        }
    }

    /// The time between the latest answered ping and its pong.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Close was sent, or is about to be. Only the first call counts.
    pub fn closing(&mut self, now: T) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(self.timeouts.close.after(now));
            self.keepalive = Keepalive::Off;
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
        };
        let keepalive = match self.keepalive {
            Keepalive::Off => None,
            Keepalive::Due(at) => Some(at),
            Keepalive::Asked { deadline, .. } => deadline,
        };
        [phase, keepalive, self.write].into_iter().flatten().min()
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
                return Some(Expired::HandshakeTimedOut);
            }
            Phase::Closing(Some(at)) if at <= now => {
                self.phase = Phase::Closing(None);
                return Some(Expired::CloseTimedOut);
            }
            _ => {}
        }
        match self.keepalive {
            Keepalive::Due(at) if at <= now => {
                self.heard = false;
                self.pings = self.pings.wrapping_add(1);
                // Without a deadline for the answer, the next ping is due whether one came or not, though not at once:
                // `expire` must come to an end.
                let again = Timeout(self.timeouts.ping_interval.0.max(1));
                let deadline = self.timeouts.pong.after(now).or(again.after(now));
                self.keepalive = Keepalive::Asked { sent: now, deadline };
                Some(Expired::SendPing(self.pings.to_be_bytes()))
            }
            Keepalive::Asked { sent, deadline: Some(at) } if at <= now => {
                if self.heard || self.timeouts.pong == Timeout::NONE {
                    self.keepalive = self.next_ping(sent);
                    return self.expire(now);
                }
                self.keepalive = Keepalive::Off;
                Some(Expired::Unresponsive)
            }
            _ => None,
        }
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

    fn next_ping(&self, last: T) -> Keepalive<T> {
        self.timeouts.ping_interval.after(last).map_or(Keepalive::Off, Keepalive::Due)
    }
}
