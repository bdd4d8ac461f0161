//! The client that stays connected, against servers that die, refuse, hang and come back. Time is tokio's paused clock.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::FusedStream;
use futures_util::{FutureExt, StreamExt};
use sockeye::tokio::reconnect::{Attempt, Cause, State};
use sockeye::tokio::{Reconnect, WebSocket};
use sockeye::{
    Agreed, Backoff, CloseCode, Closure, Config, Error, HandshakeError, Message, ProtocolError, Role, SendErrorKind,
    Timeout, client,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What comes of an attempt.
#[derive(Clone, Copy)]
enum Fate {
    Opens,
    /// The server answers the handshake with this.
    Answers(&'static str),
    Breaks(io::ErrorKind),
    Hangs,
}

/// What happens to the attempts of one client, in their order; when there is no more to say, they open.
#[derive(Clone)]
struct Net {
    fates: Arc<Mutex<VecDeque<Fate>>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    servers: mpsc::UnboundedSender<WebSocket<DuplexStream>>,
    /// How many of the client's sockets there are.
    sockets: Arc<AtomicUsize>,
    config: Config,
    pipe: usize,
}

type Servers = mpsc::UnboundedReceiver<WebSocket<DuplexStream>>;

impl Net {
    fn new(fates: &[Fate]) -> (Self, Servers) {
        let (servers, accepted) = mpsc::unbounded_channel();
        let fates = Arc::new(Mutex::new(fates.iter().copied().collect()));
        let config = Config::DEFAULT.ping_interval(None);
        let net = Self { fates, attempts: Arc::default(), servers, sockets: Arc::default(), config, pipe: 1 << 16 };
        (net, accepted)
    }

    fn client(&self) -> Reconnect<Socket> {
        let net = self.clone();
        Reconnect::new(move |attempt| net.clone().connect(attempt)).backoff(Backoff::seeded(7))
    }

    async fn connect(self, attempt: Attempt) -> Result<WebSocket<Socket>, Error> {
        self.attempts.lock().expect("no panic").push(attempt);
        let fate = self.fates.lock().expect("no panic").pop_front().unwrap_or(Fate::Opens);
        yield_now().await;
        let (near, mut far) = duplex(self.pipe);
        let near = Socket::new(near, &self.sockets);
        match fate {
            Fate::Opens => {
                let _ = self.servers.send(open(far, Role::Server, &self.config));
                Ok(open(near, Role::Client, &self.config))
            }
            Fate::Answers(response) => {
                far.write_all(response.as_bytes()).await?;
                let request = client::Request::get("ws://example.com/")?;
                Ok(WebSocket::client(near, request).await?.0)
            }
            Fate::Breaks(kind) => Err(io::Error::from(kind).into()),
            Fate::Hangs => std::future::pending().await,
        }
    }

    fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    fn attempts(&self) -> usize {
        self.attempts.lock().expect("no panic").len()
    }

    fn failures(&self) -> Vec<u32> {
        self.attempts.lock().expect("no panic").iter().map(|attempt| attempt.failures).collect()
    }
}

fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    WebSocket::open(stream, role, Agreed::default(), config, &[])
}

/// A stream that is counted while it exists.
struct Socket(DuplexStream, Arc<AtomicUsize>);

impl Socket {
    fn new(stream: DuplexStream, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(stream, count.clone())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A waker whose copies can be counted: those that a timer or a socket keeps.
struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// Polls the next message once.
fn poll_recv(ws: &mut Reconnect<Socket>, waker: &Waker) -> Poll<Result<Option<Message<'static>>, Error>> {
    let polled = pin!(ws.recv()).poll(&mut Context::from_waker(waker));
    polled.map_ok(|message| message.map(Message::into_owned))
}

/// Polls as often as it is woken at once, each time with a future of its own.
async fn settle(ws: &mut Reconnect<Socket>) {
    for _ in 0..20 {
        assert!(poll_recv(ws, Waker::noop()).is_pending());
        yield_now().await;
    }
}

/// How long it will wait from now, and why.
#[track_caller]
fn waiting(ws: &Reconnect<Socket>) -> (Duration, Arc<Cause>) {
    match ws.state() {
        State::Waiting { until, why } => (until - Instant::now(), why),
        state => panic!("{state:?}"),
    }
}

#[track_caller]
fn assert_closed_for_good(ws: &mut Reconnect<Socket>) {
    assert!(matches!(ws.state(), State::Closed), "{:?}", ws.state());
    assert!(ws.is_terminated());
    assert!(matches!(poll_recv(ws, Waker::noop()), Poll::Ready(Ok(None))), "said once");
    let refused = ws.send("late").now_or_never().expect("at once").expect_err("closed");
    assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Ended, Some(Message::from("late"))));
    assert_eq!(ws.connected().now_or_never().expect("at once").expect_err("closed").to_string(), ENDED);
}

const ENDED: &str = "the connection has ended; `closure`, or the error that the receiver was given, says why";

#[tokio::test(start_paused = true)]
async fn rfc_6455_7_2_3_1_a_lost_connection_is_made_again_after_a_random_delay() {
    let mut delays = Vec::new();
    for seed in 0..100 {
        let (net, mut servers) = Net::new(&[]);
        let mut ws = net.client().backoff(Backoff::seeded(seed));
        ws.connected().await.expect("open");
        drop(servers.recv().await.expect("accepted"));
        settle(&mut ws).await;
        let (delay, why) = waiting(&ws);
        assert!(delay <= SECOND * 5, "{delay:?}");
        assert!(matches!(*why, Cause::Failed(Error::UnexpectedEof)), "{why}");
        delays.push(delay);

        let start = Instant::now();
        let mut server = timeout(HOUR, async {
            tokio::select! { server = servers.recv() => server, _ = ws.recv() => None }
        })
        .await
        .expect("in time")
        .expect("accepted");
        let took = start.elapsed();
        assert!(took >= delay && took < delay + Duration::from_millis(2), "{took:?} for {delay:?}");
        server.send("back").await.expect("sent");
        assert_eq!(ws.recv().await.expect("open"), Some(Message::from("back")));
    }
    delays.sort();
    assert!(delays[10] < SECOND && delays[90] > SECOND * 4, "they are spread");
}

#[tokio::test(start_paused = true)]
async fn messages_of_connection_after_connection_come_in_one_loop() {
    let (net, mut servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused); 3]);
    let serving = tokio::spawn(async move {
        for text in ["one", "two", "three"] {
            let mut server = servers.recv().await.expect("accepted");
            server.send(text).await.expect("sent");
            if text == "three" {
                server.close(CloseCode::NORMAL, "done").await.expect("closed");
            }
        }
    });
    let mut ws = net.client();
    let mut received = Vec::new();
    while let Some(message) = ws.recv().await.expect("no failure that lasts") {
        received.push(message.into_owned());
    }
    assert_eq!(received, ["one", "two", "three"].map(Message::from));
    let closure = ws.closure().expect("closed by the peer");
    assert_eq!((closure.code, &*closure.reason, closure.by_peer), (CloseCode::NORMAL, "done", true));
    assert_closed_for_good(&mut ws);
    assert_eq!(net.failures(), [0, 1, 2, 3, 4, 5]);
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_retry_after_is_obeyed_within_bounds() {
    const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n";
    for (header, asked) in [
        ("Retry-After: 7", 7),
        ("Retry-After: 0", 0),
        ("Retry-After: 86400", 300),
        ("Retry-After: 99999999999999999999999", 300),
        ("Retry-After: Fri, 31 Dec 2027 23:59:59 GMT", 0),
        ("Retry-After: -7", 0),
        ("Retry-After:", 0),
    ] {
        let response = format!("{HEAD}{header}\r\n\r\n").leak();
        let (net, _servers) = Net::new(&[Fate::Answers(response)]);
        let mut ws = net.client();
        settle(&mut ws).await;
        let (delay, why) = waiting(&ws);
        let jitter = Backoff::seeded(7).next().expect("endless");
        assert_eq!(delay, SECOND * asked + jitter, "{header}: not all clients at the same moment");
        let Cause::Failed(error) = &*why else { panic!("{why}") };
        assert_eq!(error.status(), Some(503));
        timeout(HOUR, ws.connected()).await.expect("in time").expect("open");
    }
    let response = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 9\r\n\r\n";
    let (net, _servers) = Net::new(&[Fate::Answers(response)]);
    let mut ws = net.client().max_retry_after(Duration::ZERO);
    settle(&mut ws).await;
    assert!(waiting(&ws).0 < SECOND * 5, "it is not obeyed at all");
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_not_tried_again() {
    for (fate, status) in [
        (Fate::Answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), Some(401)),
        (Fate::Answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), Some(404)),
        (Fate::Answers("SSH-2.0-OpenSSH_9.9\r\n\r\n"), None),
        (Fate::Breaks(io::ErrorKind::InvalidData), None),
    ] {
        let (net, _servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionReset), fate]);
        let mut ws = net.client();
        let error = timeout(HOUR, ws.recv()).await.expect("in time").expect_err("fails");
        assert_eq!(error.status(), status, "{error}");
        assert_eq!(net.attempts(), 2);
        assert_closed_for_good(&mut ws);
        assert!(ws.closure().is_none());
    }
}

#[test]
fn errors_and_close_codes_are_transient_or_not() {
    let io = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
    for kind in [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::TimedOut,
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::NotFound,
        io::ErrorKind::Other,
    ] {
        assert!(io(kind).is_transient(), "{kind}");
    }
    for kind in [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData, io::ErrorKind::PermissionDenied] {
        assert!(!io(kind).is_transient(), "{kind}");
    }
    for error in [Error::UnexpectedEof, Timeout::Pong.into(), Timeout::Attempt.into(), HandshakeError::Closed.into()] {
        assert!(error.is_transient(), "{error}");
    }
    let invalid = client::Request::get("http://example.com").expect_err("not ws");
    for error in
        [ProtocolError::InvalidUtf8.into(), SendErrorKind::Closed.into(), invalid.into(), HandshakeError::Accept.into()]
    {
        assert!(!Error::is_transient(&error), "{error}");
    }
    for status in 200..=600_u16 {
        let transient =
            [408, 425, 429].contains(&status) || (500..600).contains(&status) && ![501, 505].contains(&status);
        assert_eq!(refusal(status).is_transient(), transient, "{status}");
    }
    for code in 1000..=4999 {
        let closed = Cause::Closed(closure(CloseCode(code)));
        assert_eq!(closed.is_transient(), [1001, 1005, 1011, 1012, 1013, 1014].contains(&code), "{code}");
        assert_eq!(closed.close_code(), Some(CloseCode(code)));
    }
}

fn refusal(status: u16) -> Error {
    let (config, mut out) = (Config::DEFAULT, Vec::new());
    let request = client::Request::get("ws://example.com/").expect("valid");
    let mut pending = request.write([0; 16], &config, &mut out).expect("valid");
    let response = format!("HTTP/1.1 {status} Reason\r\nContent-Length: 0\r\n\r\n");
    pending.receive(&mut response.as_bytes()).expect_err("refused").into()
}

fn closure(code: CloseCode) -> Closure {
    Closure { code, reason: "secret".into(), by_peer: true, was_clean: true }
}

#[test]
fn a_cause_says_what_happened_without_the_reason() {
    let shown = Cause::Closed(closure(CloseCode::GOING_AWAY)).to_string();
    assert!(shown.contains("1001 (going away)") && !shown.contains("secret"), "{shown}");
    let failed = Cause::from(Error::UnexpectedEof);
    assert_eq!(failed.to_string(), Error::UnexpectedEof.to_string());
    assert_eq!(failed.close_code(), None);
}

#[tokio::test(start_paused = true)]
async fn the_predicate_decides() {
    let (net, mut servers) = Net::new(&[Fate::Answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let mut ws = net.client().retry_if(move |cause| {
        let mut log = log.lock().expect("no panic");
        log.push(cause.to_string());
        log.len() < 3
    });
    let serving = tokio::spawn(async move {
        servers.recv().await.expect("accepted").close(CloseCode::NORMAL, "").await.expect("closed");
        drop(servers.recv().await.expect("accepted"));
    });
    let error = timeout(HOUR, ws.recv()).await.expect("in time").expect_err("the third time is not worth it");
    assert!(matches!(error, Error::UnexpectedEof), "{error}");
    assert_closed_for_good(&mut ws);
    serving.await.expect("no panic");
    let asked = asked.lock().expect("no panic");
    assert!(asked[0].contains("401") && asked[1].contains("1000") && asked[2].contains("without closing"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_limited_end_with_the_last_error() {
    let (net, _servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused); 9]);
    let mut ws = net.client().backoff(Backoff::seeded(7).max_attempts(Some(4)));
    let error = timeout(HOUR, ws.connected()).await.expect("in time").expect_err("no server");
    assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused), "{error}");
    assert_eq!(net.failures(), [0, 1, 2, 3, 4]);
    assert_closed_for_good(&mut ws);
}

#[tokio::test(start_paused = true)]
async fn delays_grow_to_the_cap_and_begin_anew_after_a_stable_connection() {
    let (net, mut servers) = Net::new(&[Fate::Breaks(io::ErrorKind::TimedOut); 8]);
    let mut expected = Backoff::seeded(7);
    let mut ws = net.client();
    for n in 1..=8 {
        settle(&mut ws).await;
        let (delay, why) = waiting(&ws);
        assert_eq!(delay, expected.next().expect("endless"), "the {n}th");
        assert!(matches!(&*why, Cause::Failed(Error::Io(_))), "{why}");
        advance(delay + Duration::from_millis(1)).await;
    }
    // Connections that are lost soon change nothing, though they were open.
    for _ in 0..3 {
        ws.connected().await.expect("open");
        drop(servers.recv().await.expect("accepted"));
        settle(&mut ws).await;
        assert_eq!(waiting(&ws).0, expected.next().expect("endless"));
        advance(SECOND * 61).await;
    }
    ws.connected().await.expect("open");
    advance(SECOND * 30).await;
    drop(servers.recv().await.expect("accepted"));
    settle(&mut ws).await;
    expected.reset();
    let delay = waiting(&ws).0;
    assert_eq!(delay, expected.next().expect("endless"));
    assert!(delay < SECOND * 5);
    advance(delay + Duration::from_millis(1)).await;
    ws.connected().await.expect("open");
    assert_eq!(net.failures(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]);
}

#[tokio::test(start_paused = true)]
async fn hooks_run_in_order_and_each_connection_is_subscribed_to_again() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &str| log.lock().expect("no panic").push(what.to_owned());
    let (net, mut servers) = Net::new(&[Fate::Opens, Fate::Breaks(io::ErrorKind::ConnectionRefused)]);
    let (inner, before, after) = (net.clone(), log.clone(), log.clone());
    let mut tokens = 0;
    let connector = move |attempt: Attempt| {
        tokens += 1; // a fresh one
        let why = attempt.why.as_ref().map_or("nothing".into(), |why| why.to_string());
        before.lock().expect("no panic").push(format!("token {tokens} after {}", &why[..7]));
        inner.clone().connect(attempt)
    };
    let mut ws = Reconnect::new(connector).on_open(move |ws| {
        after.lock().expect("no panic").push("subscribe".into());
        Box::pin(ws.send("subscribe"))
    });
    for n in 0..2 {
        ws.connected().await.expect("open");
        note("open");
        ws.send("first").await.expect("sent");
        let mut server = servers.recv().await.expect("accepted");
        assert_eq!(server.recv().await.expect("open"), Some(Message::from("subscribe")));
        assert_eq!(server.recv().await.expect("open"), Some(Message::from("first")));
        if n == 1 {
            break;
        }
        drop(server);
        settle(&mut ws).await;
    }
    assert_eq!(
        *log.lock().expect("no panic"),
        [
            "token 1 after nothing",
            "subscribe",
            "open",
            "token 2 after the pee",
            "token 3 after the tra",
            "subscribe",
            "open"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_has_failed_the_attempt() {
    let (net, mut servers) = Net::new(&[]);
    let count = AtomicUsize::new(0);
    let mut ws = net.client().on_open(move |ws| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match n {
                0 => Err(io::Error::other("the server did not accept the subscription").into()),
                1 => std::future::pending().await,
                _ => ws.send("subscribe").await,
            }
        })
    });
    settle(&mut ws).await;
    let (_, why) = waiting(&ws);
    assert!(why.to_string().contains("did not accept"), "{why}");
    assert_eq!(net.sockets(), 0, "the connection is gone");
    ws.connected().await.expect("open");
    assert_eq!(net.failures(), [0, 1, 2]);
    let why = net.attempts.lock().expect("no panic")[2].why.clone().expect("a cause");
    assert!(matches!(*why, Cause::Failed(Error::Timeout(Timeout::Attempt))), "{why}");
    for received in [None, None, Some(Message::from("subscribe"))] {
        let mut server = servers.recv().await.expect("accepted");
        assert_eq!(server.recv().await.unwrap_or(None), received);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_deadline_of_its_own() {
    let (net, _servers) = Net::new(&[Fate::Hangs, Fate::Hangs]);
    let mut ws = net.client().attempt_timeout(Some(SECOND * 3));
    let start = Instant::now();
    ws.connected().await.expect("open");
    assert!((SECOND * 6..SECOND * 21).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(net.attempts(), 3);

    let (net, _servers) = Net::new(&[Fate::Hangs]);
    let mut ws = net.client().attempt_timeout(None);
    timeout(HOUR * 24, ws.connected()).await.expect_err("nobody asked for a deadline");
}

#[tokio::test(start_paused = true)]
async fn l8_a_silent_peer_is_given_up_and_the_connection_made_again() {
    let (mut net, mut servers) = Net::new(&[]);
    net.config = Config::DEFAULT;
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let _silent = servers.recv().await.expect("accepted");
    let start = Instant::now();
    let again = async {
        tokio::select! { server = servers.recv() => server.map(drop), _ = ws.recv() => None }
    };
    timeout(HOUR, again).await.expect("in time").expect("accepted");
    assert!((SECOND * 40..SECOND * 46).contains(&start.elapsed()), "{:?}", start.elapsed());
    let why = net.attempts.lock().expect("no panic")[1].why.clone().expect("a cause");
    assert!(matches!(*why, Cause::Failed(Error::Timeout(Timeout::Pong))), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_meets_no_connection_comes_back() {
    let (net, mut servers) = Net::new(&[Fate::Hangs]);
    let mut ws = net.client().attempt_timeout(Some(SECOND));
    let sender = ws.sender();
    let assert_comes_back = || {
        let owned = String::from("precious");
        let refused = sender.send(owned).now_or_never().expect("at once").expect_err("disconnected");
        assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Disconnected, Some("precious".into())));
        let refused = sender.try_send("precious").expect_err("disconnected");
        assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Disconnected, Some("precious".into())));
    };
    assert_comes_back();
    settle(&mut ws).await;
    assert!(matches!(ws.state(), State::Connecting(_)));
    assert_comes_back();
    advance(SECOND * 2).await;
    settle(&mut ws).await;
    waiting(&ws);
    assert_comes_back();

    ws.connected().await.expect("open");
    sender.send("now").await.expect("sent");
    sender.try_send("and now").expect("room");
    let mut server = servers.recv().await.expect("accepted");
    assert_eq!(server.recv().await.expect("open"), Some(Message::from("now")));
    assert_eq!(server.recv().await.expect("open"), Some(Message::from("and now")), "nothing was kept to be sent later");
    drop(server);
    sender.try_send("lost").expect("nobody knows yet");
    assert_comes_back(); // the write has failed, though the receiver was not told
    settle(&mut ws).await;
    assert_comes_back();
    drop(ws);
    let refused = sender.send("too late").await.expect_err("closed for good");
    assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Ended, Some(Message::from("too late"))));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_taken_comes_back_and_one_on_its_way_does_not() {
    let (mut net, mut servers) = Net::new(&[]);
    net.pipe = 100;
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let server = servers.recv().await.expect("accepted");
    let (first, second) = (ws.sender(), ws.sender());
    let under_way = tokio::spawn(async move { first.send(vec![1; 100_000]).await });
    yield_now().await;
    let waiting_for_room = tokio::spawn(async move { second.send(vec![2; 10]).await });
    yield_now().await;
    drop(server);
    ws.sender().try_send(vec![3; 10]).expect("the outbox has room, and the loss is not noticed");
    settle(&mut ws).await;

    let lost = under_way.await.expect("no panic").expect_err("lost");
    assert_eq!((lost.kind(), lost.into_message()), (SendErrorKind::Disconnected, None));
    let back = waiting_for_room.await.expect("no panic").expect_err("not taken");
    assert_eq!((back.kind(), back.into_message()), (SendErrorKind::Disconnected, Some(vec![2; 10].into())));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_one_connection_never_goes_out_on_the_next() {
    let (mut net, mut servers) = Net::new(&[]);
    net.pipe = 100;
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let server = servers.recv().await.expect("accepted");
    let sender = ws.sender();
    let mut cx = Context::from_waker(Waker::noop());
    let mut under_way = pin!(sender.send(vec![1; 100_000]));
    assert!(under_way.as_mut().poll(&mut cx).is_pending());
    let mut waiting_for_room = pin!(sender.send(vec![2; 10]));
    assert!(waiting_for_room.as_mut().poll(&mut cx).is_pending());

    // Nobody polls them before the next connection is there.
    drop(server);
    settle(&mut ws).await;
    ws.connected().await.expect("open");
    let mut server = servers.recv().await.expect("accepted");
    let lost = under_way.await.expect_err("lost");
    assert_eq!((lost.kind(), lost.into_message()), (SendErrorKind::Disconnected, None));
    let back = waiting_for_room.await.expect_err("not taken");
    assert_eq!((back.kind(), back.into_message()), (SendErrorKind::Disconnected, Some(vec![2; 10].into())));
    sender.send("new").await.expect("sent");
    assert_eq!(server.recv().await.expect("open"), Some(Message::from("new")));
}

#[tokio::test(start_paused = true)]
async fn l3_a_send_that_is_dropped_after_its_message_was_taken_still_sends_it_once() {
    let (mut net, mut servers) = Net::new(&[]);
    net.pipe = 100;
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let mut server = servers.recv().await.expect("accepted");
    assert!(ws.send(vec![1; 100_000]).now_or_never().is_none(), "taken, and on its way");
    assert!(ws.send(vec![2; 10]).now_or_never().is_none(), "not taken");
    let serving = tokio::spawn(async move {
        let first = server.recv().await.expect("open").map(Message::into_owned);
        server.close(CloseCode::NORMAL, "").await.expect("closed");
        first
    });
    assert!(ws.recv().await.expect("no failure").is_none());
    assert_eq!(serving.await.expect("no panic"), Some(vec![1; 100_000].into()));
}

#[tokio::test(start_paused = true)]
async fn m9_a_server_that_reads_slowly_gets_no_more_than_the_outbox_holds() {
    let (mut net, mut servers) = Net::new(&[]);
    net.pipe = 100;
    net.config = net.config.outbox_capacity(5_000);
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let mut server = servers.recv().await.expect("accepted");
    let mut sent = 0;
    let refused = loop {
        match ws.sender().try_send(vec![7; 1_000]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Full, Some(vec![7; 1_000].into())));
    assert!((5..=6).contains(&sent), "{sent}");
    for _ in 0..sent {
        let receive = async { server.recv().await.expect("open").map(Message::into_owned) };
        let message = tokio::select! { message = receive => message, _ = ws.recv() => None };
        assert_eq!(message, Some(vec![7; 1_000].into()));
    }
}

#[tokio::test(start_paused = true)]
async fn senders_in_other_tasks_follow_the_connection() {
    let (net, mut servers) = Net::new(&[]);
    let mut ws = net.client();
    let (sender, mut states) = (ws.sender(), ws.sender().states());
    let sending = tokio::spawn(async move {
        for n in 0_u32.. {
            let is_over = |state: &State| matches!(state, State::Open | State::Closed);
            states.wait_for(is_over).await.expect("the sender is there");
            match sender.send(n.to_be_bytes().to_vec()).await.map_err(|error| error.kind()) {
                Ok(()) | Err(SendErrorKind::Disconnected) => {}
                Err(kind) => return kind,
            }
        }
        unreachable!("it ends")
    });
    let receiving = tokio::spawn(async move { while ws.recv().await.expect("no failure that lasts").is_some() {} });
    let mut received = Vec::new();
    for n in 0..4 {
        let mut server = servers.recv().await.expect("accepted");
        for _ in 0..30 {
            let message = server.recv().await.expect("no failure").expect("open");
            received.push(u32::from_be_bytes(message.as_bytes().try_into().expect("a number")));
        }
        if n == 3 {
            server.close(CloseCode::NORMAL, "").await.expect("closed");
        }
    }
    assert_eq!(sending.await.expect("no panic"), SendErrorKind::Ended);
    receiving.await.expect("no panic");
    assert_eq!(received.len(), 120);
    assert!(received.is_sorted_by(|a, b| a < b), "in order, none twice: {received:?}");
    assert_eq!(net.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn states_are_seen_in_order() {
    let (net, mut servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused)]);
    let mut ws = net.client();
    let mut states = ws.states();
    assert!(matches!(&*states.borrow(), State::Connecting(attempt) if attempt.failures == 0 && attempt.why.is_none()));
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        while states.changed().await.is_ok() {
            seen.push(match &*states.borrow_and_update() {
                State::Connecting(attempt) => format!("connecting {}", attempt.failures),
                State::Open => "open".into(),
                State::Waiting { until, why } => {
                    assert!(*until > Instant::now());
                    format!("waiting: {why}")
                }
                State::Closed => "closed".into(),
            });
            if seen.last().is_some_and(|last| last == "closed") {
                break;
            }
        }
        seen
    });
    ws.connected().await.expect("open");
    yield_now().await;
    servers.recv().await.expect("accepted").start_close(CloseCode::SERVICE_RESTART, "").await.expect("sent");
    settle(&mut ws).await;
    ws.connected().await.expect("open");
    yield_now().await;
    let mut server = servers.recv().await.expect("accepted");
    let (closed, _) = tokio::join!(ws.close(CloseCode::NORMAL, ""), server.recv());
    closed.expect("closed");
    let seen = watching.await.expect("no panic");
    let starts = ["connecting 0", "waiting: the transport failed", "connecting 1", "open", "waiting: the peer closed"];
    let starts = [&starts[..], &["connecting 2", "open", "closed"]].concat();
    assert_eq!(seen.len(), starts.len(), "{seen:?}");
    assert!(seen.iter().zip(starts).all(|(seen, start)| seen.starts_with(start)), "{seen:?}");
}

#[test]
fn who_looks_at_a_state_may_send_meanwhile() {
    let (net, _servers) = Net::new(&[]);
    let mut ws = net.client();
    let sender = ws.sender();
    let states = sender.states();
    let seen = states.borrow(); // which keeps the next state waiting
    let closing = std::thread::spawn(move || ws.close(CloseCode::NORMAL, "").now_or_never());
    while sender.try_send("message").expect_err("disconnected").kind() != SendErrorKind::Ended {
        std::thread::yield_now();
    }
    assert!(matches!(*seen, State::Connecting(_)));
    drop(seen);
    closing.join().expect("no panic").expect("at once").expect("closed");
    assert!(matches!(sender.state(), State::Closed));
}

#[tokio::test(start_paused = true)]
async fn l3_every_future_is_dropped_at_every_poll_and_nothing_is_lost_or_begun_anew() {
    let (net, mut servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused), Fate::Opens]);
    let mut ws = net.client().on_open(|ws| {
        Box::pin(async move {
            yield_now().await;
            ws.send("subscribe").await
        })
    });
    let serving = tokio::spawn(async move {
        for last in [false, true] {
            let mut server = servers.recv().await.expect("accepted");
            assert_eq!(server.recv().await.expect("open"), Some(Message::from("subscribe")));
            for n in 0..10_u8 {
                server.send(&[n; 300]).await.expect("sent");
                yield_now().await;
            }
            if last {
                server.close(CloseCode::NORMAL, "").await.expect("closed");
            }
        }
    });
    // The first delay ends when it would if nobody had dropped anything.
    settle(&mut ws).await;
    let (delay, _) = waiting(&ws);
    for _ in 0..10 {
        advance(delay / 10 - Duration::from_nanos(1)).await;
        assert!(poll_recv(&mut ws, Waker::noop()).is_pending());
        waiting(&ws);
    }
    advance(Duration::from_millis(2)).await;
    assert!(poll_recv(&mut ws, Waker::noop()).is_pending());
    assert!(matches!(ws.state(), State::Connecting(_)), "{:?}", ws.state());

    let mut received = Vec::new();
    loop {
        match poll_recv(&mut ws, Waker::noop()) {
            Poll::Ready(Ok(Some(message))) => received.push(message.as_bytes()[0]),
            Poll::Ready(end) => break assert!(end.expect("closed by the peer").is_none()),
            Poll::Pending => {
                advance(Duration::from_millis(1)).await;
                yield_now().await;
            }
        }
    }
    let all: Vec<u8> = (0..10).chain(0..10).collect();
    assert_eq!(received, all);
    assert_eq!(net.attempts(), 3);
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn l3_a_close_that_is_dropped_at_every_poll_still_closes() {
    let (net, mut servers) = Net::new(&[]);
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let mut server = servers.recv().await.expect("accepted");
    server.send("on its way").await.expect("sent");
    let closed = |ws: &mut Reconnect<Socket>| {
        pin!(ws.close(CloseCode::NORMAL, "")).poll(&mut Context::from_waker(Waker::noop()))
    };
    assert!(closed(&mut ws).is_pending());
    assert!(matches!(ws.state(), State::Closed), "no more is sent");
    let serving = tokio::spawn(async move { server.recv().await.map(|message| message.is_none()) });
    let mut polls = 0;
    while closed(&mut ws).map(|closed| closed.expect("closed")).is_pending() {
        yield_now().await;
        polls += 1;
        assert!(polls < 100);
    }
    assert!(serving.await.expect("no panic").expect("a clean close"));
    let closure = ws.closure().expect("closed");
    assert!(closure.was_clean && !closure.by_peer);
    assert_closed_for_good(&mut ws);
    assert_eq!((net.attempts(), net.sockets()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn close_ends_whatever_is_being_done() {
    // Nothing yet.
    let (net, _servers) = Net::new(&[]);
    let mut ws = net.client();
    ws.close(CloseCode::NORMAL, "").now_or_never().expect("at once").expect("closed");
    assert_closed_for_good(&mut ws);
    assert_eq!(net.attempts(), 0);

    // An attempt.
    let (net, _servers) = Net::new(&[Fate::Hangs]);
    let mut ws = net.client();
    settle(&mut ws).await;
    ws.close(CloseCode::NORMAL, "").now_or_never().expect("at once").expect("closed");
    assert_closed_for_good(&mut ws);
    assert_eq!((net.attempts(), net.sockets()), (1, 0));

    // A delay.
    let (net, _servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused)]);
    let mut ws = net.client();
    settle(&mut ws).await;
    waiting(&ws);
    ws.close(CloseCode::NORMAL, "").now_or_never().expect("at once").expect("closed");
    assert_closed_for_good(&mut ws);
    advance(HOUR).await;
    assert_eq!(net.attempts(), 1);

    // And twice.
    let sender = ws.sender();
    let states = sender.states();
    ws.close(CloseCode::NORMAL, "").now_or_never().expect("at once").expect("closed");
    drop(ws);
    assert!(!states.has_changed().expect("the sender is there"), "it was closed before");
}

#[tokio::test(start_paused = true)]
async fn l1_close_of_an_open_connection_has_a_deadline_and_does_not_reconnect() {
    let (net, mut servers) = Net::new(&[]);
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let _silent = servers.recv().await.expect("accepted");
    let error = ws.close(CloseCode(1006), "").await.expect_err("it must not be sent");
    assert!(matches!(error, Error::Send(SendErrorKind::InvalidCloseCode(_))), "{error}");
    ws.send("still open").await.expect("sent");

    let start = Instant::now();
    let error = ws.close(CloseCode::GOING_AWAY, "").await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_closed_for_good(&mut ws);
    assert_eq!((net.attempts(), net.sockets()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_its_socket_and_its_timers_whatever_it_does() {
    let (mut net, mut servers) = Net::new(&[Fate::Hangs, Fate::Breaks(io::ErrorKind::ConnectionRefused)]);
    net.config = Config::DEFAULT; // with keepalive, which needs a timer
    for stage in ["connecting", "waiting", "open"] {
        let quiet = Arc::new(Quiet);
        let waker = Waker::from(quiet.clone());
        let mut ws = net.client();
        let sender = ws.sender();
        for _ in 0..20 {
            assert!(poll_recv(&mut ws, &waker).is_pending());
            yield_now().await;
        }
        assert!(format!("{:?}", ws.state()).to_lowercase().starts_with(stage), "{:?}", ws.state());
        assert!(Arc::strong_count(&quiet) > 2, "something is to wake it");
        assert_eq!(net.sockets(), usize::from(stage != "waiting"));
        drop(ws);
        assert_eq!(Arc::strong_count(&quiet), 2, "{stage}: nothing is left to wake it");
        assert_eq!(net.sockets(), 0, "{stage}");
        assert!(matches!(sender.state(), State::Closed));
    }
    let mut server = servers.recv().await.expect("accepted");
    assert!(server.recv().await.expect("a clean close").is_none(), "the server is told");
}

#[tokio::test(start_paused = true)]
async fn a_sender_keeps_no_socket_even_while_it_waits() {
    let (mut net, mut servers) = Net::new(&[]);
    net.pipe = 100;
    let mut ws = net.client();
    ws.connected().await.expect("open");
    let _server = servers.recv().await.expect("accepted");
    let sender = ws.sender();
    let sending = tokio::spawn(async move { sender.send(vec![7; 100_000]).await });
    yield_now().await;
    assert!(!sending.is_finished());
    drop(ws);
    assert_eq!(net.sockets(), 0);
    let lost = timeout(SECOND, sending).await.expect("woken").expect("no panic").expect_err("lost");
    assert_eq!((lost.kind(), lost.into_message()), (SendErrorKind::Ended, None));
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream_of_owned_messages() {
    let (net, mut servers) = Net::new(&[Fate::Breaks(io::ErrorKind::ConnectionRefused)]);
    let mut ws = net.client();
    let serving = tokio::spawn(async move {
        let mut server = servers.recv().await.expect("accepted");
        server.send("one").await.expect("sent");
        server.send("two").await.expect("sent");
        server.close(CloseCode::POLICY_VIOLATION, "").await.expect("closed");
    });
    let received: Vec<_> = ws.by_ref().map(|message| message.expect("no failure")).collect().await;
    assert_eq!(received, ["one", "two"].map(Message::from));
    assert!(ws.is_terminated());
    assert_eq!(ws.closure().expect("closed").code, CloseCode::POLICY_VIOLATION);
    serving.await.expect("no panic");

    let (net, _servers) = Net::new(&[Fate::Breaks(io::ErrorKind::PermissionDenied)]);
    let mut ws = net.client();
    assert!(!ws.is_terminated());
    assert!(matches!(ws.next().await, Some(Err(Error::Io(_)))));
    assert!(ws.is_terminated());
    assert!(ws.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_lent_message_goes_through_a_sender() {
    let (net, mut servers) = Net::new(&[]);
    let mut ws = net.client();
    let echoing = tokio::spawn(async move {
        let sender = ws.sender();
        while let Some(message) = ws.recv().await.expect("no failure") {
            sender.send(message).await.map_err(|error| error.kind()).expect("sent");
        }
    });
    let mut server = servers.recv().await.expect("accepted");
    server.send("echo").await.expect("sent");
    assert_eq!(server.recv().await.expect("open"), Some(Message::from("echo")));
    server.close(CloseCode::NORMAL, "").await.expect("closed");
    echoing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn delays_of_nothing_do_not_starve_other_tasks() {
    let connector = |_| async { Err::<WebSocket<Socket>, _>(Error::UnexpectedEof) };
    let mut ws = Reconnect::new(connector).backoff(Backoff::DEFAULT.cap(Duration::ZERO));
    let start = Instant::now();
    tokio::select! { biased;
        _ = ws.recv() => panic!("it goes on for ever"),
        () = poll_fn(|_| Poll::Ready(())) => {}
    }
    assert!(start.elapsed() < SECOND);
}

#[test]
fn it_and_its_futures_can_be_sent_to_another_thread_and_show_no_secret() {
    fn is_send<T: Send>(_: &T) {}
    fn is_send_and_sync<T: Send + Sync>() {}
    let (net, _servers) = Net::new(&[]);
    let mut ws = net.client();
    is_send(&ws);
    is_send(&ws.recv());
    is_send(&ws.send("secret"));
    is_send(&ws.connected());
    is_send(&ws.close(CloseCode::NORMAL, ""));
    is_send(&ws.sender().send("secret"));
    is_send_and_sync::<sockeye::tokio::reconnect::Sender<Socket>>();
    is_send_and_sync::<State>();
    assert!(format!("{ws:?}{:?}", ws.sender()).contains("Connecting"));
}
