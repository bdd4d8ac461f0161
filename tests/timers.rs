//! The timers, on a clock of durations. Nothing sleeps.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use std::time::Duration;

use sockeye::{Config, Expired, Timers};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn open(config: &Config) -> Timers<Duration> {
    let mut timers = Timers::new(config, at(0));
    timers.opened(at(0));
    timers
}

/// Everything that is due by then.
fn due(timers: &mut Timers<Duration>, seconds: u64) -> Vec<Expired> {
    std::iter::from_fn(|| timers.expire(at(seconds))).collect()
}

#[test]
fn the_handshake_has_a_deadline_until_it_is_done() {
    let mut timers = Timers::new(&Config::DEFAULT, at(5));
    assert_eq!(timers.deadline(), Some(at(15)));
    assert_eq!(due(&mut timers, 14), []);
    assert_eq!(due(&mut timers, 15), [Expired::HandshakeTimedOut]);
    let mut timers = Timers::new(&Config::DEFAULT, at(5));
    timers.opened(at(6));
    timers.opened(at(60)); // only the first call counts
    assert_eq!(timers.deadline(), Some(at(26)));
}

#[test]
fn a_silent_peer_is_pinged_and_given_up() {
    let mut timers = open(&Config::DEFAULT);
    assert!(matches!(due(&mut timers, 20)[..], [Expired::SendPing(_)]));
    assert_eq!(timers.deadline(), Some(at(40)));
    assert_eq!(due(&mut timers, 39), []);
    assert_eq!(due(&mut timers, 40), [Expired::Unresponsive]);
    assert_eq!(timers.deadline(), None);
}

#[test]
fn any_byte_is_a_sign_of_life_and_only_the_latest_pong_is_timed() {
    let mut timers = open(&Config::DEFAULT);
    let [Expired::SendPing(first)] = due(&mut timers, 20)[..] else { panic!("a ping") };
    timers.heard();
    let [Expired::SendPing(second)] = due(&mut timers, 40)[..] else { panic!("the next ping, and no verdict") };
    assert_ne!(first, second);
    assert_eq!(timers.pong(&first, at(41)), None);
    assert_eq!(timers.pong(b"of the application", at(41)), None);
    assert_eq!(timers.round_trip(), None);
    assert_eq!(timers.pong(&second, at(42)), Some(at(2)));
    assert_eq!(timers.pong(&second, at(43)), None);
    assert_eq!(timers.round_trip(), Some(at(2)));
    assert_eq!(timers.deadline(), Some(at(60)));
}

#[test]
fn an_application_that_pauses_is_not_flooded_with_pings_afterwards() {
    let mut timers = open(&Config::DEFAULT);
    assert!(matches!(due(&mut timers, 20)[..], [Expired::SendPing(_)]));
    timers.heard();
    assert!(matches!(due(&mut timers, 1_000)[..], [Expired::SendPing(_)]));
    assert_eq!(timers.deadline(), Some(at(1_020)));
}

#[test]
fn a_write_has_a_deadline_from_when_it_blocks_until_it_moves() {
    let mut timers = open(&Config::DEFAULT.ping_interval(None));
    timers.write_blocked(at(1));
    timers.write_blocked(at(20)); // still the same block
    assert_eq!((timers.deadline(), timers.write_deadline()), (Some(at(31)), Some(at(31))));
    timers.wrote();
    assert_eq!(timers.deadline(), None);
    timers.write_blocked(at(25));
    assert!(!timers.write_stalled(at(54)));
    assert!(timers.write_stalled(at(55)));
    assert!(!timers.write_stalled(at(56)), "said once");
}

#[test]
fn closing_has_one_deadline_and_ends_keepalive() {
    let mut timers = open(&Config::DEFAULT);
    timers.closing(at(3));
    timers.closing(at(9)); // only the first call counts
    assert_eq!(timers.deadline(), Some(at(13)));
    assert_eq!(due(&mut timers, 100), [Expired::CloseTimedOut]);
    assert_eq!(timers.deadline(), None);
}

#[test]
fn deadlines_can_be_switched_off_and_be_beyond_the_clock() {
    let none = Config::DEFAULT.handshake_timeout(None).ping_interval(None).write_timeout(None).close_timeout(None);
    let mut timers = Timers::new(&none, at(0));
    assert_eq!(timers.deadline(), None);
    timers.opened(at(0));
    timers.write_blocked(at(0));
    timers.closing(at(0));
    assert_eq!(timers.deadline(), None);
    assert_eq!(due(&mut timers, u64::MAX), []);

    let mut timers = Timers::new(&Config::DEFAULT, Duration::MAX);
    timers.opened(Duration::MAX);
    assert_eq!(timers.deadline(), None, "the clock cannot express it");
    let zero = Config::DEFAULT.ping_interval(Some(Duration::ZERO)).pong_timeout(Some(Duration::ZERO));
    let mut timers = open(&zero);
    assert!(matches!(due(&mut timers, 0)[..], [Expired::SendPing(_), Expired::Unresponsive]));
    let mut timers = open(&zero.pong_timeout(None));
    assert_eq!(due(&mut timers, 0).len(), 1, "it comes to an end");
}
