//! How long to wait before connecting again (RFC 6455 §7.2.3).

use core::time::Duration;

/// Delays between attempts to connect, without a clock: each is random, and the bound it stays below grows (RFC 6455
/// §7.2.3), so that clients which lost their connections together do not come back together.
///
/// | setting | default | |
/// |---|---|---|
/// | `initial` | 5s | the bound of the first delay |
/// | `growth` | 2 | what each bound is multiplied with to make the next |
/// | `cap` | 60s | the largest bound |
/// | `stable_after` | 30s | how long a connection must last to begin anew |
/// | `max_attempts` | None | how many delays there are |
///
/// A delay may be as short as nothing: "full jitter" spreads many clients best, and it is their mean that grows.
///
/// ```
/// use std::time::{Duration, Instant};
/// use sockeye::Backoff;
///
/// # fn connect() -> Result<(), ()> { Err(()) }
/// # fn wait(_: Duration) {}
/// let mut backoff = Backoff::DEFAULT.cap(Duration::from_secs(20)).max_attempts(Some(8));
/// loop {
///     let start = Instant::now();
///     if let Ok(_connection) = connect() {
///         // … until the connection is lost …
///         backoff.lasted(start.elapsed());
///     }
///     let Some(delay) = backoff.next() else { break }; // give up
///     wait(delay);
/// }
/// # assert_eq!(backoff.attempts(), 8);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it waits for nothing by itself"]
pub struct Backoff {
    initial: Duration,
    growth: f64,
    cap: Duration,
    stable_after: Duration,
    max_attempts: Option<u32>,
    /// How many delays were given since the last reset.
    attempts: u32,
    /// The bound of the latest one.
    bound: Option<Duration>,
    random: Random,
}

#[derive(Clone, Debug)]
enum Random {
    /// The thread's strong generator.
    #[cfg(feature = "std")]
    Strong,
    /// Where a sequence stands.
    Seeded(u64),
}

impl Backoff {
    /// The defaults of the table above, with delays from the generator that the operating system seeds.
    #[cfg(feature = "std")]
    pub const DEFAULT: Self = Self::new(Random::Strong);

    /// The defaults of the table above, with delays that follow from the seed.
    ///
    /// For tests; and without `std`, where the seed must differ from client to client, by a serial number for instance,
    /// or all of them come back at the same moments.
    pub const fn seeded(seed: u64) -> Self {
        Self::new(Random::Seeded(seed))
    }

    const fn new(random: Random) -> Self {
        Self {
            initial: Duration::from_secs(5),
            growth: 2.0,
            cap: Duration::from_secs(60),
            stable_after: Duration::from_secs(30),
            max_attempts: None,
            attempts: 0,
            bound: None,
            random,
        }
    }

    /// What the first delay stays below. RFC 6455 §7.2.3 suggests 5 seconds; many clients need as much to spread.
    pub const fn initial(mut self, bound: Duration) -> Self {
        self.initial = bound;
        self
    }

    /// What each bound is multiplied with to make the next; less than 1 counts as 1. From the second delay on, no bound
    /// is shorter than 100 ms, unless [`cap`](Self::cap) is.
    pub const fn growth(mut self, factor: f64) -> Self {
        self.growth = if factor > 1.0 { factor } else { 1.0 };
        self
    }

    /// The largest bound.
    pub const fn cap(mut self, bound: Duration) -> Self {
        self.cap = bound;
        self
    }

    /// How long a connection must have [lasted](Self::lasted) for the next delay to be a first one again. A server that
    /// accepts connections only to drop them would be asked again and again at once if that they opened were enough.
    pub const fn stable_after(mut self, duration: Duration) -> Self {
        self.stable_after = duration;
        self
    }

    /// How many delays there are before this iterator ends, and begins anew only after [`reset`](Self::reset).
    pub const fn max_attempts(mut self, attempts: Option<u32>) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Tells that a connection lasted so long. The next delay is a first one if that was
    /// [long enough](Self::stable_after).
    pub fn lasted(&mut self, duration: Duration) {
        if duration >= self.stable_after {
            self.reset();
        }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.attempts = 0;
        self.bound = None;
    }

    /// How many delays were given since the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    fn next_bound(&self) -> Duration {
        let Some(bound) = self.bound else { return self.initial.min(self.cap) };
        // What no duration can express is above any cap.
        let grown = Duration::try_from_secs_f64(bound.as_secs_f64() * self.growth).unwrap_or(Duration::MAX);
        grown.max(SHORTEST).min(self.cap)
    }
}

/// The delays, endless unless [`max_attempts`](Backoff::max_attempts) says otherwise.
impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.max_attempts.is_some_and(|max| self.attempts >= max) {
            return None;
        }
        let bound = self.next_bound();
        self.bound = Some(bound);
        self.attempts = self.attempts.saturating_add(1);
        Some(fraction(bound, self.random.next()))
    }
}

#[cfg(feature = "std")]
impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Random {
    fn next(&mut self) -> u32 {
        match self {
            #[cfg(feature = "std")]
            Self::Strong => u32::from_ne_bytes(crate::random::random()),
            Self::Seeded(state) => splitmix(state),
        }
    }
}

/// The next number of the generator SplitMix64, from its better half. Any seed is good, and neighbouring ones are as
/// different as others.
fn splitmix(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 32) as u32
}

/// The part of `whole` that `part` is of 2^32.
fn fraction(whole: Duration, part: u32) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(part)) >> 32; // 94 bits and 32
    Duration::new((nanos / NANOS_PER_SEC) as u64, (nanos % NANOS_PER_SEC) as u32)
}

/// A bound of nothing, or of next to nothing, would never grow.
const SHORTEST: Duration = Duration::from_millis(100);

const NANOS_PER_SEC: u128 = 1_000_000_000;
