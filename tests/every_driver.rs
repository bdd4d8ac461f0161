//! What holds for the tokio, the futures and the blocking driver alike, shown over the same scripts and sockets: the
//! opening handshake, connections that another HTTP stack has opened, and limits.

#[path = "support/naive.rs"]
mod naive;
#[path = "support/stream.rs"]
mod stream;

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{self, TcpListener};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use naive::{BINARY, CLOSE, CONTINUATION, FIN, TEXT};
use sockeye::blocking::Untimed;
use sockeye::client::{self, Response};
use sockeye::server::{self, Accept};
use sockeye::{
    Agreed, CloseCode, Config, Deflate, Error, HandshakeError, Message, Origins, ProtocolError, Reject, Role, Timeout,
    blocking, futures, tokio as over_tokio,
};
use stream::{Act, Blocking, Log, Scripted};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio_util::compat::TokioAsyncReadCompatExt;

const DRIVERS: [Driver; 3] = [Driver::Tokio, Driver::Futures, Driver::Blocking];
const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// Without keepalive, whose timers need more of a runtime than a script does.
const CONFIG: Config = Config::DEFAULT.ping_interval(None);

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://server.example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Driver {
    Tokio,
    Futures,
    Blocking,
}

/// What was seen of a connection from its opening to its end.
#[derive(Debug)]
struct Seen {
    agreed: Agreed,
    messages: Vec<Message<'static>>,
    end: Result<(), Error>,
    was_clean: bool,
}

/// A stream in the forms that the drivers take.
trait Wire {
    type Async: AsyncRead + AsyncWrite + Unpin;
    type Blocking: blocking::Stream;

    /// In a runtime.
    fn into_async(self) -> Self::Async;
    fn into_blocking(self) -> Self::Blocking;
}

impl Wire for Scripted {
    type Async = Self;
    type Blocking = Untimed<Blocking>;

    fn into_async(self) -> Self {
        self
    }

    fn into_blocking(self) -> Untimed<Blocking> {
        Untimed(Blocking(self))
    }
}

impl Wire for net::TcpStream {
    type Async = tokio::net::TcpStream;
    type Blocking = Self;

    fn into_async(self) -> tokio::net::TcpStream {
        self.set_nonblocking(true).expect("a socket");
        tokio::net::TcpStream::from_std(self).expect("a runtime")
    }

    fn into_blocking(self) -> Self {
        self
    }
}

/// Answers each message with itself, until the end.
macro_rules! echo {
    ($ws:expr $(, $await:tt)?) => {{
        let mut ws = $ws;
        let mut messages = Vec::new();
        let end = loop {
            let message = match ws.recv()$(.$await)? {
                Ok(Some(message)) => message.into_owned(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let _ = ws.feed(&message)$(.$await)?;
            messages.push(message);
        };
        let agreed = ws.agreed().clone();
        Seen { agreed, messages, end, was_clean: ws.closure().is_some_and(|closure| closure.was_clean) }
    }};
}

/// Says Hello, and closes when the same comes back.
macro_rules! greet {
    ($ws:expr $(, $await:tt)?) => {{
        let mut ws = $ws;
        let mut messages = Vec::new();
        let _ = ws.feed("Hello")$(.$await)?;
        let end = loop {
            let message = match ws.recv()$(.$await)? {
                Ok(Some(message)) => message.into_owned(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if message.as_text() == Some("Hello") {
                ws.start_close(CloseCode::NORMAL, "bye")$(.$await)?.expect("open");
            }
            messages.push(message);
        };
        let agreed = ws.agreed().clone();
        Seen { agreed, messages, end, was_clean: ws.closure().is_some_and(|closure| closure.was_clean) }
    }};
}

impl Driver {
    /// Accepts, and echoes to the end.
    fn accept<W: Wire>(
        self,
        wire: W,
        config: &Config,
        answer: impl FnOnce(server::Request) -> Result<Accept, Reject>,
    ) -> Result<Seen, Error> {
        match self {
            Self::Tokio => run(async {
                Ok(echo!(over_tokio::WebSocket::accept_with(wire.into_async(), config, answer).await?, await))
            }),
            Self::Futures => run(async {
                let wire = wire.into_async().compat();
                Ok(echo!(futures::WebSocket::accept_with(wire, config, answer).await?, await))
            }),
            Self::Blocking => Ok(echo!(blocking::WebSocket::accept_with(wire.into_blocking(), config, answer)?)),
        }
    }

    /// Connects, and greets.
    fn client<W: Wire>(self, wire: W, request: client::Request, config: &Config) -> Result<(Seen, Response), Error> {
        match self {
            Self::Tokio => run(async {
                let (ws, response) = over_tokio::WebSocket::client_with(wire.into_async(), request, config).await?;
                Ok((greet!(ws, await), response))
            }),
            Self::Futures => run(async {
                let wire = wire.into_async().compat();
                let (ws, response) = futures::WebSocket::client_with(wire, request, config).await?;
                Ok((greet!(ws, await), response))
            }),
            Self::Blocking => {
                let (ws, response) = blocking::WebSocket::client_with(wire.into_blocking(), request, config)?;
                Ok((greet!(ws), response))
            }
        }
    }

    /// Takes an open stream over, and echoes to the end.
    fn open<W: Wire>(self, wire: W, role: Role, agreed: Agreed, config: &Config, leftover: &[u8]) -> Seen {
        match self {
            Self::Tokio => run(async {
                echo!(over_tokio::WebSocket::open(wire.into_async(), role, agreed, config, leftover), await)
            }),
            Self::Futures => run(async {
                echo!(futures::WebSocket::open(wire.into_async().compat(), role, agreed, config, leftover), await)
            }),
            Self::Blocking => echo!(blocking::WebSocket::open(wire.into_blocking(), role, agreed, config, leftover)),
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn chat(request: server::Request) -> Result<Accept, Reject> {
    Ok(request.accept(Origins::Same)?.select(&["chat"]))
}

fn offer() -> client::Request {
    client::Request::get("ws://server.example.com/chat").expect("a URL").protocol("superchat").protocol("chat")
}

/// The 101 of a server that speaks chat.
fn agree(request: &[u8]) -> Vec<u8> {
    let received = server::Handshake::new(&CONFIG).receive(&mut &request[..]).expect("valid").expect("whole");
    let mut out = Vec::new();
    chat(received).expect("in order").header("X-Served-By", "a test").write(&mut out).expect("valid");
    out
}

fn agree_and_speak(request: &[u8]) -> Vec<u8> {
    [agree(request), b"\x81\x05first\x81\x06se".to_vec()].concat()
}

fn data(bytes: impl AsRef<[u8]>) -> Act {
    Act::Data(bytes.as_ref().to_vec())
}

fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([1, 2, 3, 4])
}

fn texts(texts: &[&str]) -> Vec<Message<'static>> {
    texts.iter().map(|text| Message::from((*text).to_owned())).collect()
}

fn tcp() -> (net::TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    (client, listener.accept().expect("connected").0)
}

// ---- success ----

#[test]
fn every_client_talks_to_every_server() {
    let deflates = [None, Some(Deflate::DEFAULT), Some(Deflate::DEFAULT.context_takeover(true))];
    let deflates = deflates.map(|deflate| deflate.map(|deflate| deflate.threshold(0)));
    for (serving, connecting) in DRIVERS.into_iter().flat_map(|driver| DRIVERS.map(|other| (driver, other))) {
        for deflate in deflates {
            let config = Config::DEFAULT.deflate(deflate);
            let (ours, theirs) = tcp();
            let server = thread::spawn(move || serving.accept(theirs, &config, chat).expect("accepted"));
            let (client, response) = connecting.client(ours, offer(), &config).expect("connected");
            let server = server.join().expect("no panic");
            assert_eq!(response.headers().get("Upgrade"), Some(&b"websocket"[..]));
            for seen in [client, server] {
                seen.end.expect("clean");
                assert_eq!(seen.agreed.subprotocol(), Some("chat"), "{connecting:?} to {serving:?}");
                let takeover = seen.agreed.deflate().map(|agreed| !agreed.server_no_context_takeover);
                assert_eq!(takeover, deflate.map(|deflate| deflate == deflate.context_takeover(true)));
                assert_eq!(seen.messages, texts(&["Hello"]));
                assert!(seen.was_clean);
            }
        }
    }
}

#[test]
fn rfc_e_36_frames_behind_the_request_are_kept() {
    let behind = [naive::frame(FIN | TEXT, key(Role::Server), b"first"), naive::frame(FIN | TEXT, Some([0; 4]), b"se")];
    for driver in DRIVERS {
        let (stream, log) = Scripted::new([data([REQUEST.as_bytes(), &behind.concat()].concat()), Act::End]);
        let seen = driver.accept(stream, &CONFIG, chat).expect("accepted");
        assert_eq!(seen.messages, texts(&["first", "se"]), "{driver:?}");
        assert!(matches!(seen.end, Err(Error::UnexpectedEof)));
        assert_eq!(log.written(), [agree_plainly(), b"\x81\x05first\x81\x02se".to_vec()].concat());
    }
}

fn agree_plainly() -> Vec<u8> {
    let received = server::Handshake::new(&CONFIG).receive(&mut REQUEST.as_bytes()).expect("valid").expect("whole");
    let mut out = Vec::new();
    chat(received).expect("in order").write(&mut out).expect("valid");
    out
}

#[test]
fn rfc_e_37_frames_in_one_segment_with_the_101_are_kept() {
    for driver in DRIVERS {
        let (stream, log) = Scripted::new([Act::Answer(agree_and_speak), data("cond"), Act::End]);
        let (seen, response) = driver.client(stream, offer(), &CONFIG).expect("connected");
        assert_eq!(seen.messages, texts(&["first", "second"]), "{driver:?}");
        assert_eq!(seen.agreed.subprotocol(), Some("chat"));
        assert_eq!((response.status(), response.agreed().subprotocol()), (101, Some("chat")));
        assert_eq!(response.headers().get("x-served-by"), Some(&b"a test"[..]));
        assert!(log.is_dropped());
    }
}

// ---- refusals ----

#[test]
fn rfc_6455_4_2_2_3_a_refusal_is_sent_whole_with_its_headers_and_body() {
    let reject = |request: server::Request| -> Result<Accept, Reject> {
        Err(request.reject(404).header("X-Rooms", "lobby").body("no such room"))
    };
    let head = server::Handshake::new(&CONFIG).receive(&mut REQUEST.as_bytes()).expect("valid").expect("whole");
    let expected = reject(head).expect_err("refused").to_vec();
    for driver in DRIVERS {
        let (stream, log) = Scripted::new([data([REQUEST.as_bytes(), &[0x81; 5_000]].concat()), Act::End]);
        let error = driver.accept(stream, &CONFIG, reject).expect_err("refused");
        assert!(matches!(&error, Error::Rejected(reject) if reject.status() == 404), "{driver:?}: {error}");
        assert_eq!(error.status(), Some(404));
        assert_eq!(log.written(), expected);
        assert!(log.is_dropped() && log.is_drained());
    }
}

/// A refused client has sent more than the server reads before it answers; no reset may take the answer away from it.
#[test]
fn l12_a_refusal_reaches_a_client_that_sent_more_than_was_read() {
    type Answer = fn(server::Request) -> Result<Accept, Reject>;
    let no_upgrade = REQUEST.replace("Upgrade: websocket\r\n", "");
    let elsewhere = REQUEST.replace("Origin: http://server", "Origin: http://evil");
    let refuse: Answer = |request| Err(request.reject(404));
    for driver in DRIVERS {
        for (status, request, answer) in
            [(403, &*elsewhere, chat as Answer), (404, REQUEST, refuse), (426, &no_upgrade, chat)]
        {
            let (mut ours, theirs) = tcp();
            let server = thread::spawn(move || driver.accept(theirs, &Config::DEFAULT, answer));
            ours.write_all(request.as_bytes()).expect("sent");
            ours.write_all(&vec![0x82; 600_000]).expect("drained");
            let mut response = String::new();
            ours.read_to_string(&mut response).expect("no reset");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{driver:?}: {response}");
            let length: usize = response
                .split_once("Content-Length: ")
                .expect("a length")
                .1
                .lines()
                .next()
                .expect("it")
                .parse()
                .expect("a number");
            assert_eq!(response.split_once("\r\n\r\n").expect("a whole head").1.len(), length);
            assert_eq!(response.contains("Sec-WebSocket-Version: 13"), status == 426);
            drop(ours);
            let error = server.join().expect("no panic").expect_err("refused");
            assert_eq!(error.status(), Some(status));
        }
    }
}

#[test]
fn rfc_6455_4_1_18_a_refused_client_sees_status_headers_and_a_bounded_body() {
    let head = "HTTP/1.1 404 Not Found\r\nX-Rooms: lobby\r\nContent-Length: 1000000\r\n\r\n";
    for driver in DRIVERS {
        for (body, end) in [(1_000_000, Act::End), (5, Act::End), (5, Act::Fail(ErrorKind::ConnectionReset))] {
            let acts = [data(head), data(vec![b'x'; body]), end];
            let (stream, log) = Scripted::new(acts);
            let error = driver.client(stream, offer(), &CONFIG).expect_err("refused");
            assert_eq!(error.status(), Some(404), "{driver:?}: {error}");
            let Error::Handshake(HandshakeError::Refused(refusal)) = error else { panic!("{error}") };
            assert_eq!(refusal.headers().get("X-Rooms"), Some(&b"lobby"[..]));
            assert_eq!(refusal.body().len(), body.min(16 << 10));
            assert!(log.is_dropped());
            assert!(log.written().ends_with(b"\r\n\r\n"), "the request, and nothing behind it");
        }
    }
}

#[test]
fn a_refusal_of_one_driver_is_read_by_another() {
    for (serving, connecting) in DRIVERS.into_iter().zip([Driver::Blocking, Driver::Tokio, Driver::Futures]) {
        let (ours, theirs) = tcp();
        let refuse = |request: server::Request| Err(request.reject(503).header("Retry-After", "9").body("full"));
        let server = thread::spawn(move || serving.accept(theirs, &Config::DEFAULT, refuse).map(drop));
        let error = connecting.client(ours, offer(), &Config::DEFAULT).expect_err("refused");
        let Error::Handshake(HandshakeError::Refused(refusal)) = error else { panic!("{error}") };
        assert_eq!((refusal.status(), refusal.body()), (503, &b"full"[..]));
        assert_eq!(refusal.headers().get("Retry-After"), Some(&b"9"[..]));
        assert!(matches!(server.join().expect("no panic"), Err(Error::Rejected(_))));
    }
}

// ---- broken streams ----

#[test]
fn l2_the_stream_ends_at_every_byte_of_a_request() {
    for driver in DRIVERS {
        for end in 0..=REQUEST.len() {
            let (stream, log) = Scripted::new([data(REQUEST)]);
            log.read_at_most(1 + end % 9);
            log.end_after(end);
            let result = driver.accept(stream, &CONFIG, chat);
            if end < REQUEST.len() {
                assert!(matches!(result, Err(Error::UnexpectedEof)), "{driver:?} at {end}: {result:?}");
                assert!(log.written().is_empty());
            } else {
                assert!(matches!(result.expect("accepted").end, Err(Error::UnexpectedEof)));
            }
            assert!(log.is_dropped());
        }
    }
}

#[test]
fn rfc_6455_4_1_4_and_l2_the_stream_ends_at_every_byte_of_a_response() {
    for driver in DRIVERS {
        for (answer, refused_from) in [(agree as fn(&[u8]) -> Vec<u8>, usize::MAX), (deny, deny(b"").len() - 4)] {
            let whole = answer(REQUEST.as_bytes()).len();
            for end in 0..=whole {
                let (stream, log) = Scripted::new([Act::Answer(answer)]);
                log.read_at_most(1 + end % 9);
                log.end_after(end);
                let result = driver.client(stream, offer(), &CONFIG);
                match result {
                    Ok((seen, _)) => {
                        assert_eq!(end, whole);
                        assert!(matches!(seen.end, Err(Error::UnexpectedEof)));
                    }
                    Err(Error::Handshake(HandshakeError::Closed)) => assert!(end < whole.min(refused_from)),
                    Err(Error::Handshake(HandshakeError::Refused(_))) => assert!(end >= refused_from, "{end}"),
                    Err(error) => panic!("{driver:?} at {end}: {error}"),
                }
                assert!(log.is_dropped(), "nothing usable is left");
            }
        }
    }
}

fn deny(_: &[u8]) -> Vec<u8> {
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope".to_vec()
}

#[test]
fn rfc_6455_4_1_4_and_l2_an_error_at_every_call_of_the_handshake() {
    for driver in DRIVERS {
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            let (mut accepted, mut connected) = (0, 0);
            for call in 0..60 {
                let (stream, log) = Scripted::new([data(REQUEST), Act::End]);
                log.read_at_most(10);
                log.fail_call(call, kind);
                match driver.accept(stream, &CONFIG, chat) {
                    Ok(seen) => {
                        accepted += 1;
                        assert!(seen.end.is_err() && !seen.was_clean);
                    }
                    Err(Error::Io(error)) => assert_eq!(error.kind(), kind),
                    Err(error) => panic!("{driver:?} at call {call}: {error}"),
                }
                assert!(log.is_dropped());

                let (stream, log) = Scripted::new([Act::Answer(agree), Act::End]);
                log.read_at_most(10);
                log.fail_call(call, kind);
                match driver.client(stream, offer(), &CONFIG) {
                    Ok((seen, _)) => {
                        connected += 1;
                        assert!(seen.end.is_err() && !seen.was_clean);
                    }
                    Err(Error::Io(error)) => {
                        assert_eq!(error.kind(), kind);
                        assert_eq!(log.writes(), 1, "nothing is sent before the response");
                    }
                    Err(error) => panic!("{driver:?} at call {call}: {error}"),
                }
                assert!(log.is_dropped(), "nothing usable is left");
            }
            assert!(accepted > 20 && connected > 20, "most calls are beyond the handshake");
            assert!(accepted < 60 && connected < 60);
        }
    }
}

#[test]
fn l5_interruptions_and_lies_in_the_handshake() {
    for driver in DRIVERS {
        let interrupted = || Act::Fail(ErrorKind::Interrupted);
        let (front, back) = REQUEST.split_at(50);
        let (stream, _) = Scripted::new([interrupted(), data(front), interrupted(), data(back), Act::End]);
        assert_eq!(driver.accept(stream, &CONFIG, chat).expect("accepted").agreed.subprotocol(), Some("chat"));

        let (stream, log) = Scripted::new([data(REQUEST), Act::End]);
        log.write_nothing();
        let error = driver.accept(stream, &CONFIG, chat).expect_err("a write of nothing");
        assert!(matches!(error, Error::Io(error) if error.kind() == ErrorKind::WriteZero), "{driver:?}");

        let (stream, log) = Scripted::new([data(REQUEST), Act::End]);
        log.claim_too_much();
        driver.accept(stream, &CONFIG, chat).expect("the claim is cut");
        assert_eq!(log.written(), agree_plainly());
    }
}

// ---- dropped futures ----

/// Polls a future so many times, then drops it; tells what it gave.
fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    (0..times).find_map(|_| match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

#[tokio::test]
async fn l3_handshakes_may_be_dropped_at_every_poll() {
    for asynchronous in [Driver::Tokio, Driver::Futures] {
        let script = |act| {
            let (stream, log) = Scripted::new([act]);
            log.read_at_most(16);
            log.hesitate();
            (stream, log)
        };
        let accept = |stream: Scripted, times| match asynchronous {
            Driver::Tokio => poll_times(over_tokio::WebSocket::accept_with(stream, &CONFIG, chat), times).map(drop),
            _ => poll_times(futures::WebSocket::accept_with(stream.compat(), &CONFIG, chat), times).map(drop),
        };
        let connect = |stream: Scripted, times| match asynchronous {
            Driver::Tokio => poll_times(over_tokio::WebSocket::client_with(stream, offer(), &CONFIG), times).map(drop),
            _ => poll_times(futures::WebSocket::client_with(stream.compat(), offer(), &CONFIG), times).map(drop),
        };
        let check = |name,
                     act: fn() -> Act,
                     handshake: &dyn Fn(Scripted, usize) -> Option<()>,
                     writes: &dyn Fn(&Log) -> bool| {
            let polls = (0..100).find(|&times| {
                let (stream, log) = script(act());
                let opened = handshake(stream, times).is_some();
                assert!(log.is_dropped(), "{name}: the stream goes with the future");
                assert!(writes(&log), "{name}: whole or nothing after {times} polls");
                opened
            });
            assert!(polls.is_some_and(|polls| polls > 10), "{name}: {polls:?}");
        };
        let whole = agree_plainly();
        check("accept", || data(REQUEST), &accept, &|log| log.written().is_empty() || log.written() == whole);
        check("client", || Act::Answer(agree), &connect, &|log| {
            log.written().is_empty() || log.written().ends_with(b"\r\n\r\n")
        });
    }
}

// ---- the deadline ----

/// Sends a byte each second, for ever.
async fn drip(mut wire: impl AsyncWrite + Unpin, head: &'static str) {
    for byte in head.bytes().chain(std::iter::repeat(b'a')) {
        if wire.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h9_and_rfc_9112_x_2_the_deadline_ends_a_handshake_that_comes_a_byte_a_second() {
    for seconds in [3, 10] {
        let config = CONFIG.handshake_timeout(Some(Duration::from_secs(seconds)));
        for serving in [true, false] {
            let start = tokio::time::Instant::now();
            let (ours, theirs) = duplex(1 << 16);
            let (mut received, sending) = tokio::io::split(theirs);
            let dripping = tokio::spawn(drip(sending, if serving { REQUEST } else { "HTTP/1.1 101 Switching\r\n" }));
            let error = match serving {
                true => over_tokio::WebSocket::accept_with(ours, &config, chat).await.expect_err("too slow"),
                false => over_tokio::WebSocket::client_with(ours, offer(), &config).await.expect_err("too slow"),
            };
            assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error}");
            assert_eq!(start.elapsed().as_secs(), seconds);
            let mut sent = Vec::new();
            received.read_to_end(&mut sent).await.expect("the stream is dropped");
            assert_eq!(sent.is_empty(), serving);
            dripping.await.expect("no panic");
        }
    }
    // Nor does it help not to read.
    let (ours, _theirs) = duplex(10);
    let start = tokio::time::Instant::now();
    let error = over_tokio::WebSocket::client_with(ours, offer(), &CONFIG).await.expect_err("it does not read");
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error}");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[test]
fn h9_and_rfc_9112_x_2_the_deadline_holds_over_every_driver() {
    let config = CONFIG.handshake_timeout(Some(Duration::from_millis(60)));
    for driver in DRIVERS {
        for serving in [true, false] {
            let (ours, mut theirs) = tcp();
            let dripping = thread::spawn(move || {
                let head = if serving { REQUEST } else { "HTTP/1.1 101 Switching\r\n" };
                for byte in head.bytes().chain(std::iter::repeat(b'a')) {
                    if theirs.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let start = Instant::now();
            let error = match serving {
                true => driver.accept(ours, &config, chat).expect_err("too slow"),
                false => driver.client(ours, offer(), &config).expect_err("too slow"),
            };
            assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{driver:?}: {error}");
            assert!(start.elapsed() >= Duration::from_millis(60));
            dripping.join().expect("no panic");
        }
    }
}

// ---- connections that something else has opened ----

#[test]
fn rfc_x_embed_1_a_connection_is_opened_from_its_role_what_was_agreed_and_what_was_read() {
    for driver in DRIVERS {
        for role in ROLES {
            let received = server::Handshake::new(&CONFIG).receive(&mut REQUEST.as_bytes()).expect("valid");
            let agreed = chat(received.expect("whole")).expect("in order").write(&mut Vec::new()).expect("valid");
            let frames = [
                naive::frame(FIN | TEXT, key(role), b"left over"),
                naive::frame(FIN | TEXT, key(role), b"read"),
                naive::frame(FIN | CLOSE, key(role), b""),
            ]
            .concat();
            for cut in [0, 1, 12, frames.len()] {
                let (leftover, rest) = frames.split_at(cut);
                let (stream, log) = Scripted::new([data(rest), Act::End]);
                let seen = driver.open(stream, role, agreed.clone(), &CONFIG, leftover);
                seen.end.expect("clean");
                assert_eq!(seen.messages, texts(&["left over", "read"]), "{driver:?}, {role:?}");
                assert_eq!((seen.agreed.subprotocol(), seen.was_clean), (Some("chat"), true));
                assert_sent(&log, role, &[(FIN | TEXT, b"left over"), (FIN | TEXT, b"read"), (FIN | CLOSE, b"")]);
            }
        }
    }
}

/// Just these frames were sent, masked by clients and by nobody else.
#[track_caller]
fn assert_sent(log: &Log, role: Role, expected: &[(u8, &[u8])]) {
    let frames = naive::frames(&log.written());
    assert!(frames.iter().all(|frame| frame.key.is_some() == (role == Role::Client)));
    let sent: Vec<_> = frames.iter().map(|frame| (frame.first, &*frame.payload)).collect();
    assert_eq!(sent, expected);
}

#[test]
fn rfc_8441_5_5_how_the_bytes_are_cut_means_nothing() {
    for driver in DRIVERS {
        for role in ROLES {
            let stream = [
                naive::frame(TEXT, key(role), "κόσ".as_bytes()),
                naive::frame(FIN | CONTINUATION, key(role), "με".as_bytes()),
                naive::frame(FIN | BINARY, key(role), &[7; 300]),
                naive::frame(FIN | CLOSE, key(role), b"\x03\xe8bye"),
            ]
            .concat();
            for cut in 0..=stream.len() {
                let (front, back) = stream.split_at(cut);
                // An empty read would be the end.
                let acts = [front, back].into_iter().filter(|piece| !piece.is_empty()).map(data);
                let (scripted, log) = Scripted::new(acts.chain([Act::End]));
                if cut < 20 {
                    log.read_at_most(cut + 1);
                }
                let seen = driver.open(scripted, role, Agreed::default(), &CONFIG, b"");
                seen.end.expect("clean");
                let expected = [Message::from("κόσμε"), Message::from(vec![7; 300])];
                assert_eq!(seen.messages, expected, "{driver:?}, {role:?}, cut at {cut}");
                assert!(seen.was_clean);
            }
        }
    }
}

// ---- limits ----

#[test]
fn m3_a_message_of_exactly_the_limit_passes_and_one_byte_more_is_told_1009() {
    for driver in DRIVERS {
        for role in ROLES {
            for limit in [0, 1, 1_000, 100_000] {
                let config = CONFIG.max_message_size(limit);
                let exact = vec![b'm'; limit];
                let (front, back) = exact.split_at(limit / 2);
                let passing = [
                    naive::frame(FIN | BINARY, key(role), &exact),
                    naive::frame(BINARY, key(role), front),
                    naive::frame(FIN | CONTINUATION, key(role), back),
                ];
                let whole = naive::frame(FIN | BINARY, key(role), &vec![b'm'; limit + 1]);
                let parts =
                    [naive::frame(BINARY, key(role), &exact), naive::frame(FIN | CONTINUATION, key(role), b"m")];
                for failing in [whole, parts.concat()] {
                    let (stream, log) = Scripted::new([data([passing.concat(), failing].concat()), Act::End]);
                    let seen = driver.open(stream, role, Agreed::default(), &config, b"");
                    assert_eq!(seen.messages, [Message::from(&exact), Message::from(&exact)]);
                    let too_big = ProtocolError::MessageTooBig { limit: limit as u64 };
                    assert!(matches!(seen.end, Err(Error::Protocol(error)) if error == too_big), "{driver:?}");
                    let echo = (FIN | BINARY, &*exact);
                    assert_sent(&log, role, &[echo, echo, (FIN | CLOSE, b"\x03\xf1")]);
                }
            }
        }
    }
}
