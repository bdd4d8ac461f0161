//! How long a connection may be idle, over every driver. Where the clock is tokio's it is paused; the others have short
//! deadlines.

use std::thread;
use std::time::Duration;

use sockeye::testing::Pipe;
use sockeye::{
    Agreed, CloseCode, Config, Error, Expired, Kind, Role, Timeout, Timers, blocking, futures, tokio as over_tokio,
};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

const IDLE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);
const CONFIG: Config = Config::DEFAULT.idle_timeout(Some(IDLE));

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn open(config: &Config) -> Timers<Duration> {
    let mut timers = Timers::new(config, at(0));
    timers.opened(at(0));
    timers
}

#[test]
fn the_deadline_is_a_timeout_after_the_latest_message() {
    let mut timers = open(&CONFIG.ping_interval(None));
    assert_eq!(timers.deadline(), Some(at(60)));
    timers.active(at(50));
    timers.heard();
    assert_eq!((timers.deadline(), timers.expire(at(109))), (Some(at(110)), None));
    assert_eq!(timers.expire(at(110)), Some(Expired::Idle));
    assert_eq!((timers.deadline(), timers.expire(at(1_000))), (None, None), "said once");
    timers.active(at(1_000));
    assert_eq!(timers.deadline(), None);
}

#[test]
fn keepalive_does_not_keep_a_connection_open_that_is_idle() {
    let mut timers = open(&CONFIG);
    for now in [20, 40] {
        let Some(Expired::SendPing(payload)) = timers.expire(at(now)) else { panic!("a ping") };
        timers.pong(&payload, at(now));
        assert_eq!(timers.expire(at(now)), None);
    }
    assert!(matches!(timers.expire(at(60)), Some(Expired::SendPing(_))));
    assert_eq!(timers.expire(at(60)), Some(Expired::Idle));
    timers.closing(at(60));
    assert_eq!(timers.deadline(), Some(at(70)));
}

#[test]
fn there_is_no_idle_time_before_the_opening_nor_while_closing() {
    let config = CONFIG.ping_interval(None).handshake_timeout(None).close_timeout(None);
    let mut timers = Timers::new(&config, at(0));
    timers.active(at(1));
    assert_eq!((timers.deadline(), timers.expire(at(1_000))), (None, None));
    timers.opened(at(1_000));
    assert_eq!(timers.deadline(), Some(at(1_060)));
    timers.closing(at(1_001));
    assert_eq!((timers.deadline(), timers.expire(at(2_000))), (None, None));
    let mut timers = open(&Config::DEFAULT.ping_interval(None));
    timers.active(at(1));
    assert_eq!(timers.deadline(), None, "off by default");
}

type Piped = over_tokio::WebSocket<DuplexStream>;

/// A client without a deadline, and a server with one.
fn pair(config: &Config) -> (Piped, Piped) {
    let (a, b) = duplex(1 << 10);
    let open = |stream, role, config| Piped::open(stream, role, Agreed::default(), config, &[]);
    (open(a, Role::Client, &Config::DEFAULT), open(b, Role::Server, config))
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_exactly_at_the_deadline() {
    let (mut client, mut server) = pair(&CONFIG);
    let start = Instant::now();
    let serve = async {
        assert!(server.recv().await.expect("no failure").is_none());
        server
    };
    let ask = async {
        assert!(client.recv().await.expect("no failure").is_none());
        (client, start.elapsed())
    };
    let (server, (client, elapsed)) = tokio::join!(serve, ask);
    assert!(elapsed >= IDLE && elapsed < IDLE + at(1), "{elapsed:?}");
    let closure = client.closure().expect("ended");
    assert_eq!((closure.code, &*closure.reason, closure.by_peer), (CloseCode::GOING_AWAY, "idle", true));
    assert!(server.closure().is_some_and(|closure| closure.was_clean && !closure.by_peer));
}

/// How long after the latest message the server closes, of a client that does this once after 50 seconds.
async fn closes_after(act: impl AsyncFnOnce(&mut Piped)) -> Duration {
    let (mut client, mut server) = pair(&CONFIG);
    let start = Instant::now();
    let serve = async { while server.recv().await.expect("no failure").is_some() {} };
    let ask = async {
        let _ = timeout(at(50), client.recv()).await; // which answers pings
        act(&mut client).await;
        while client.recv().await.expect("no failure").is_some() {}
        start.elapsed()
    };
    tokio::join!(serve, ask).1
}

#[tokio::test(start_paused = true)]
async fn a_message_or_a_part_of_one_puts_it_off_and_a_ping_does_not() {
    let message = closes_after(async |client| client.send("Hello").await.expect("sent")).await;
    let part = closes_after(async |client| {
        client.start(Kind::Text).await.expect("open").write("Hel").await.expect("room");
        client.flush().await.expect("sent");
    })
    .await;
    let ping = closes_after(async |client| client.ping(b"Hello").await.expect("sent")).await;
    assert_eq!([message, part, ping].map(|time| time.as_secs()), [110, 110, 60]);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_puts_it_off_as_well_from_a_split_too() {
    let (mut client, server) = pair(&CONFIG);
    let start = Instant::now();
    let (mut receiver, sender) = server.into_split();
    let serve = async { receiver.recv().await.expect("no failure").map(drop) };
    let tell = async {
        for _ in 0..3 {
            sleep(at(50)).await;
            sender.send("news").await.expect("open");
        }
    };
    let ask = async {
        while client.recv().await.expect("no failure").is_some() {}
        start.elapsed()
    };
    let (ended, (), elapsed) = tokio::join!(serve, tell, ask);
    assert_eq!((ended, elapsed.as_secs()), (None, 210));
}

/// A peer that reads a large message slowly is not idle until hardly anything of it is left.
#[tokio::test(start_paused = true)]
async fn what_still_waits_to_leave_puts_it_off() {
    let (a, mut b) = duplex(1_000);
    let config = CONFIG.write_timeout(None).ping_interval(None);
    let mut ws = Piped::open(a, Role::Server, Agreed::default(), &config, &[]);
    ws.feed(vec![7; 10_000]).await.expect("room");
    let start = Instant::now();
    let read = async {
        for _ in 0..10 {
            sleep(at(40)).await;
            b.read_exact(&mut [0; 1_000]).await.expect("open");
        }
    };
    let wait = async {
        assert!(matches!(ws.recv().await, Err(Error::Timeout(Timeout::Close))));
        start.elapsed()
    };
    let ((), elapsed) = tokio::join!(read, wait);
    assert_eq!(elapsed.as_secs(), 360 + 60 + 10);
}

/// A peer that does not answer Close is given up at the deadline for that.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_has_the_time_to_close() {
    let (_client, mut server) = pair(&CONFIG.ping_interval(None));
    let start = Instant::now();
    assert!(matches!(server.recv().await, Err(Error::Timeout(Timeout::Close))));
    assert_eq!(start.elapsed().as_secs(), 70);
}

#[tokio::test]
async fn an_idle_connection_closes_over_futures() {
    let config = Config::DEFAULT.idle_timeout(Some(SHORT));
    let (mut client, mut server) = futures::WebSocket::pair_with(&config.ping_interval(Some(SHORT / 4)));
    let (ended, theirs) = tokio::join!(async { client.recv().await.map(|message| message.is_none()) }, async {
        server.recv().await.map(|message| message.is_none())
    });
    assert!(ended.expect("no failure") && theirs.expect("no failure"));
    for closure in [client.closure(), server.closure()] {
        let closure = closure.expect("ended");
        assert_eq!((closure.code, closure.was_clean), (CloseCode::GOING_AWAY, true));
    }
}

#[test]
fn an_idle_connection_closes_over_threads() {
    use blocking::WebSocket;
    let config = Config::DEFAULT.idle_timeout(Some(SHORT)).ping_interval(Some(SHORT / 4));
    for split in [false, true] {
        let (a, b) = Pipe::pair(1 << 10);
        let mut client = WebSocket::open(a, Role::Client, Agreed::default(), &Config::DEFAULT, &[]);
        let mut server = WebSocket::open(b, Role::Server, Agreed::default(), &config, &[]);
        let serving = thread::spawn(move || {
            if split {
                let (mut receiver, _sender) = server.into_split().expect("a pipe");
                assert!(receiver.recv().expect("no failure").is_none());
                receiver.closure()
            } else {
                assert!(server.recv().expect("no failure").is_none());
                server.closure().cloned()
            }
        });
        assert!(client.recv().expect("no failure").is_none());
        let closure = client.closure().expect("ended");
        assert_eq!((closure.code, &*closure.reason, closure.by_peer), (CloseCode::GOING_AWAY, "idle", true));
        let closure = serving.join().expect("no panic").expect("ended");
        assert!(closure.was_clean && !closure.by_peer);
    }
}
