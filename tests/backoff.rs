//! The delays of `Backoff`: exact bounds, whatever the settings, and a spread that keeps clients apart.

use std::time::Duration;

use sockeye::Backoff;

const SECOND: Duration = Duration::from_secs(1);

/// The `n`th delay, from 1, of each of many clients.
fn delays(n: usize, configure: impl Fn(Backoff) -> Backoff) -> Vec<Duration> {
    (0..CLIENTS).map(|seed| configure(Backoff::seeded(seed)).nth(n - 1).expect("endless")).collect()
}

/// All are below the bound, and they are spread over all of it.
#[track_caller]
fn assert_spread(delays: &[Duration], bound: Duration) {
    assert!(delays.iter().all(|delay| *delay < bound), "below {bound:?}");
    let mut tenths = [0; 10];
    for delay in delays {
        tenths[(delay.as_secs_f64() / bound.as_secs_f64() * 10.0) as usize] += 1;
    }
    // A fair share is 1000, with a standard deviation of 30.
    assert!(tenths.iter().all(|count| (800..=1200).contains(count)), "{tenths:?}");
}

#[test]
fn rfc_6455_7_2_3_1_the_first_delay_is_spread_over_five_seconds_and_later_ones_over_more() {
    for (n, bound) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (100, 60)] {
        assert_spread(&delays(n, |backoff| backoff), SECOND * bound);
    }
}

#[test]
fn bounds_grow_as_they_are_told() {
    let configure = |backoff: Backoff| backoff.initial(SECOND * 2).growth(1.5).cap(SECOND * 4);
    for (n, bound) in [(1, 2.0), (2, 3.0), (3, 4.0), (4, 4.0)] {
        assert_spread(&delays(n, configure), Duration::from_secs_f64(bound));
    }
    assert_spread(&delays(9, |backoff| backoff.initial(SECOND).growth(0.1)), SECOND);
    assert_spread(&delays(9, |backoff| backoff.initial(SECOND).growth(f64::NAN)), SECOND);
    assert_spread(&delays(1, |backoff| backoff.initial(SECOND * 9).cap(SECOND)), SECOND);
}

#[test]
fn a_bound_of_nothing_delays_nothing_once() {
    let configure = |backoff: Backoff| backoff.initial(Duration::ZERO);
    assert!(delays(1, configure).iter().all(Duration::is_zero));
    assert_spread(&delays(2, configure), SECOND / 10);
    assert_spread(&delays(3, configure), SECOND / 5);
    assert!(delays(9, |backoff| backoff.cap(Duration::ZERO)).iter().all(Duration::is_zero));
}

#[test]
fn no_setting_overflows_however_many_attempts_are_made() {
    let extremes = [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX];
    for initial in extremes {
        for cap in extremes {
            for growth in [f64::NEG_INFINITY, 0.0, 1.0, 1e-300, 1e300, f64::INFINITY, f64::NAN] {
                let backoff = Backoff::seeded(7).initial(initial).cap(cap).growth(growth);
                assert!(backoff.take(2000).all(|delay| delay <= cap));
            }
        }
    }
    let longest = Backoff::seeded(7).initial(Duration::MAX).cap(Duration::MAX);
    assert!(longest.take(9).any(|delay| delay > Duration::MAX / 2));
}

#[test]
fn a_connection_that_lasted_begins_anew_and_a_short_one_does_not() {
    let mut backoff = Backoff::seeded(7).stable_after(SECOND * 10);
    let begin_anew = |backoff: &Backoff| backoff.clone().next().expect("endless") < SECOND * 5;
    let mut unstable = 0;
    for _ in 0..100 {
        backoff.by_ref().take(8).for_each(drop);
        backoff.lasted(SECOND * 10 - Duration::from_nanos(1));
        assert_eq!(backoff.attempts(), 8);
        unstable += u32::from(!begin_anew(&backoff));
        backoff.lasted(SECOND * 10);
        assert_eq!(backoff.attempts(), 0);
        assert!(begin_anew(&backoff));
    }
    assert!(unstable > 80, "of bounds of a minute, few are in the first five seconds: {unstable}");
}

#[test]
fn attempts_come_to_an_end_until_a_reset() {
    let mut backoff = Backoff::seeded(7).max_attempts(Some(3));
    for _ in 0..2 {
        assert_eq!(backoff.by_ref().count(), 3);
        assert_eq!((backoff.next(), backoff.attempts()), (None, 3));
        backoff.reset();
    }
    assert_eq!(Backoff::seeded(7).max_attempts(Some(0)).next(), None);
}

#[test]
fn a_seed_decides_and_copies_agree() {
    let first: Vec<_> = Backoff::seeded(1).take(20).collect();
    assert_eq!(Backoff::seeded(1).take(20).collect::<Vec<_>>(), first);
    assert_ne!(Backoff::seeded(2).take(20).collect::<Vec<_>>(), first);
}

#[cfg(feature = "std")]
#[test]
fn without_a_seed_no_two_clients_agree_not_even_copies() {
    let mut used = Backoff::DEFAULT;
    used.next();
    let mut copy = used.clone();
    assert_ne!(used.by_ref().take(9).collect::<Vec<_>>(), copy.by_ref().take(9).collect::<Vec<_>>());
    let firsts: Vec<_> = (0..CLIENTS).filter_map(|_| Backoff::default().next()).collect();
    assert_spread(&firsts, SECOND * 5);
}

const CLIENTS: u64 = 10_000;
