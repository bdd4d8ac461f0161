//! The asynchronous drivers: life cycle, cancellation, wake-ups, deadlines. Time is tokio's paused clock; nothing sleeps.

#[path = "support/stream.rs"]
mod stream;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FusedStream;
use futures_util::{FutureExt, SinkExt, Stream as _, StreamExt};
use sockeye::tokio::WebSocket;
use sockeye::{
    Agreed, CloseCode, Config, Error, Event, Kind, Message, Part, Prepared, ProtocolError, Role, SendErrorKind, Timeout,
};
use stream::{Act, Scripted};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const SIZES: [usize; 4] = [1, 7, 64, 5_000];

fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: S, role: Role) -> WebSocket<S> {
    open_with(stream, role, &Config::DEFAULT)
}

fn open_with<S: AsyncRead + AsyncWrite + Unpin>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    WebSocket::open(stream, role, Agreed::default(), config, &[])
}

/// A client and a server over a pipe that holds so many bytes.
fn pair(size: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (a, b) = duplex(size);
    (open(a, Role::Client), open(b, Role::Server))
}

/// One end, and the bare other end of its pipe.
fn half(role: Role, size: usize, config: &Config) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (a, b) = duplex(size);
    (open_with(a, role, config), b)
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) -> Result<WebSocket<S>, Error> {
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(ws)
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31) as u8).collect()
}

/// Polls once with a waker that does nothing.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn an_echo_passes_through_pipes_of_any_size() {
    for size in SIZES {
        let (mut client, server) = pair(size);
        let server = tokio::spawn(echo(server));
        for len in [0, 1, 125, 126, 5_000, 70_000, 300_000] {
            let (mut receiver, sender) = client.into_split();
            let sent = payload(len);
            let send = async {
                sender.send(&sent).await.expect("sent");
            };
            let receive = async {
                let message = receiver.recv().await.expect("received").expect("open");
                assert_eq!(message.as_bytes(), sent);
            };
            tokio::join!(send, receive);
            client = receiver.reunite(sender).expect("one connection");
        }
        client.close(CloseCode::NORMAL, "done").await.expect("closed");
        let server = server.await.expect("no panic").expect("clean");
        for closure in [client.closure(), server.closure()] {
            assert!(closure.expect("ended").was_clean);
        }
        let closure = server.closure().expect("ended");
        assert_eq!((closure.code, &*closure.reason, closure.by_peer), (CloseCode::NORMAL, "done", true));
    }
}

#[tokio::test]
async fn the_futures_driver_echoes_too() {
    use sockeye::futures::WebSocket;
    for size in SIZES {
        let (a, b) = duplex(size);
        let config = &Config::DEFAULT;
        let mut client: WebSocket<Compat<DuplexStream>> =
            WebSocket::open(a.compat(), Role::Client, Agreed::default(), config, &[]);
        let mut server = WebSocket::open(b.compat(), Role::Server, Agreed::default(), config, &[]);
        let serve = async move {
            while let Some((message, writer)) = server.recv_with_writer().await.expect("no failure") {
                writer.send(message).expect("room");
            }
        };
        let talk = async move {
            for len in [0, 125, 70_000] {
                client.feed(&payload(len)).await.expect("room");
                client.flush().await.expect("flushed");
                let message = client.recv().await.expect("no failure").expect("open");
                assert_eq!(message.as_bytes(), payload(len));
            }
            client.close(CloseCode::NORMAL, "").await.expect("closed");
        };
        tokio::join!(serve, talk);
    }
}

#[tokio::test]
async fn what_was_fed_leaves_in_one_write() {
    for role in ROLES {
        let (stream, log) = Scripted::new([]);
        let mut ws = open(stream, role);
        for _ in 0..16 {
            ws.feed("a small message").await.expect("room");
        }
        assert_eq!(log.writes(), 0);
        ws.flush().await.expect("written");
        assert_eq!(log.writes(), 1);
    }
}

#[tokio::test]
async fn replies_to_pipelined_messages_leave_in_one_write() {
    let (stream, log) = Scripted::new([Act::Data(b"\x81\x01a".repeat(16)), Act::Block]);
    let mut ws = open(stream, Role::Client);
    loop {
        let Poll::Ready(message) = poll_once(ws.recv_with_writer()) else { break };
        let (message, writer) = message.expect("no failure").expect("open");
        writer.send(message).expect("room");
    }
    assert_eq!(log.writes(), 1);
}

#[tokio::test]
async fn pings_are_answered_while_the_application_only_reads() {
    for role in ROLES {
        let (ws, mut wire) = half(role, 1 << 16, &Config::DEFAULT);
        let mut peer = open(&mut wire, other(role));
        let (mut receiver, sender) = ws.into_split();
        let reading = tokio::spawn(async move { receiver.drain().await });
        peer.ping(b"are you there").await.expect("sent");
        let event = peer.recv_event().await.expect("no failure").expect("open");
        assert_eq!(event, Event::Pong(b"are you there".into()));
        peer.close(CloseCode::GOING_AWAY, "").await.expect("closed");
        reading.await.expect("no panic").expect("clean");
        sender.closed().await;
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

#[tokio::test(start_paused = true)]
async fn l1_close_ends_at_its_deadline_when_the_peer_never_answers() {
    for role in ROLES {
        let (mut ws, _wire) = half(role, 1 << 16, &Config::DEFAULT);
        let start = Instant::now();
        let error = ws.close(CloseCode::NORMAL, "").await.expect_err("no answer");
        assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(ws.recv().await.expect("reported once").is_none());
        assert!(!ws.closure().expect("ended").was_clean);
    }
}

#[tokio::test(start_paused = true)]
async fn rfc_6455_5_5_1_5_a_server_leaves_first_and_a_client_waits_for_it_until_the_deadline() {
    let (mut server, mut wire) = half(Role::Server, 1 << 16, &Config::DEFAULT);
    wire.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.expect("room");
    let start = Instant::now();
    assert!(server.recv().await.expect("clean").is_none());
    assert_eq!(start.elapsed(), Duration::ZERO);
    let mut sent = Vec::new();
    wire.read_to_end(&mut sent).await.expect("the server has shut its side down");
    assert_eq!(sent, b"\x88\x02\x03\xe8");

    let (mut client, mut wire) = half(Role::Client, 1 << 16, &Config::DEFAULT);
    wire.write_all(b"\x88\x02\x03\xe8").await.expect("room");
    let start = Instant::now();
    assert!(client.recv().await.expect("clean").is_none());
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(client.closure().expect("ended").was_clean);
}

#[tokio::test]
async fn rfc_6455_7_2_1_1_the_end_of_the_stream_without_close_is_a_failure_once() {
    for role in ROLES {
        for received in [&b""[..], b"\x81", b"\x89\x00"] {
            let (stream, _) = Scripted::new([Act::Data(received.to_vec()), Act::End]);
            let mut ws = open(stream, if received.len() > 1 { Role::Client } else { role });
            assert!(matches!(ws.recv().await, Err(Error::UnexpectedEof)));
            for _ in 0..3 {
                assert!(matches!(ws.recv().await, Ok(None)));
            }
            assert!(ws.is_terminated());
            let closure = ws.closure().expect("ended");
            assert_eq!((closure.code, closure.was_clean), (CloseCode::ABNORMAL_CLOSURE, false));
            assert!(matches!(ws.send("late").await, Err(Error::Send(SendErrorKind::Ended))));
        }
    }
}

#[tokio::test]
async fn rfc_6455_7_1_1_2_a_failure_is_told_drained_and_then_reported_once() {
    let acts = [Act::Data(b"\x81\x02ok\xc1\x00".to_vec()), Act::Data(vec![0; 300_000]), Act::End];
    let (stream, log) = Scripted::new(acts);
    let mut ws = open(stream, Role::Client);
    assert_eq!(ws.recv().await.expect("before the error").expect("open"), Message::from("ok"));
    assert!(matches!(ws.recv().await, Err(Error::Protocol(ProtocolError::ReservedBits))));
    assert!(matches!(ws.recv().await, Ok(None)));
    assert!(log.is_shut() && log.is_drained());
    assert_eq!(log.written()[..2], [0x88, 0x82]);
}

#[tokio::test]
async fn an_io_error_after_both_closes_is_still_clean() {
    let reset = io::ErrorKind::ConnectionReset;
    let (stream, _) = Scripted::new([Act::Data(b"\x88\x00".to_vec()), Act::Fail(reset)]);
    let mut ws = open(stream, Role::Client);
    assert!(matches!(ws.recv().await, Ok(None)));
    assert!(ws.closure().expect("ended").was_clean);

    let (stream, _) = Scripted::new([Act::Fail(reset)]);
    let mut ws = open(stream, Role::Client);
    assert!(matches!(ws.recv().await, Err(Error::Io(error)) if error.kind() == reset));
    assert!(matches!(ws.recv().await, Ok(None)));
}

#[tokio::test]
async fn l2_an_error_at_every_io_call_gives_a_definite_result() {
    let message = b"\x81\x05Hello".to_vec();
    for fail_at in 0..12 {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            let acts = message.chunks(1).map(|byte| Act::Data(byte.to_vec())).chain([Act::End]);
            let (stream, log) = Scripted::new(acts);
            log.fail_call(fail_at, kind);
            let mut ws = open(stream, Role::Client);
            let mut errors = 0;
            for _ in 0..3 {
                let result = async {
                    while let Some((message, writer)) = ws.recv_with_writer().await? {
                        writer.send(message)?;
                    }
                    Ok::<_, Error>(())
                };
                errors += usize::from(result.await.is_err());
            }
            assert_eq!(errors, 1, "call {fail_at}");
            assert!(ws.closure().is_some());
        }
    }
}

#[tokio::test]
async fn l3_every_future_can_be_dropped_at_every_poll() {
    const COUNT: usize = 40;
    for size in SIZES {
        let (client, mut server) = pair(size);
        let messages: Vec<Vec<u8>> = (0..COUNT).map(|index| payload(index * 37)).collect();
        let expected = messages.clone();
        let sending = tokio::spawn(async move {
            let mut client = client;
            for message in &messages {
                until_ready(async |ws: &mut WebSocket<_>| ws.ready().await, &mut client).await.expect("room");
                client.try_send(message).expect("room");
                until_ready(async |ws: &mut WebSocket<_>| ws.flush().await, &mut client).await.expect("flushed");
            }
            client.close(CloseCode::NORMAL, "").await.expect("closed");
        });
        for message in expected {
            loop {
                match poll_once(server.recv()) {
                    Poll::Ready(received) => {
                        assert_eq!(received.expect("no failure").expect("open").as_bytes(), message);
                        break;
                    }
                    Poll::Pending => tokio::task::yield_now().await,
                }
            }
        }
        assert!(server.recv().await.expect("clean").is_none());
        sending.await.expect("no panic");
    }
}

/// Polls a fresh future each time, once.
async fn until_ready<T, W>(act: impl AsyncFn(&mut W) -> T, ws: &mut W) -> T {
    loop {
        if let Poll::Ready(result) = poll_once(act(ws)) {
            return result;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l4_no_wake_up_is_lost_through_stream_split() {
    for size in SIZES {
        const COUNT: usize = 200;
        let (a, b) = pair(size);
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for ws in [a, b] {
            let (mut sink, mut stream) = ws.split();
            senders.push(tokio::spawn(async move {
                for index in 0..COUNT {
                    sink.send(Message::from(payload(index * 3))).await.expect("sent");
                }
                sink
            }));
            receivers.push(tokio::spawn(async move {
                for index in 0..COUNT {
                    let message = stream.next().await.expect("open").expect("no failure");
                    assert_eq!(message.as_bytes(), payload(index * 3));
                }
                stream
            }));
        }
        join_all(senders, receivers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l4_no_wake_up_is_lost_through_into_split_with_pings_both_ways() {
    for size in SIZES {
        const COUNT: usize = 200;
        let (a, b) = pair(size);
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for ws in [a, b] {
            let (mut receiver, sender) = ws.into_split();
            for part in 0..2 {
                let sender = sender.clone();
                senders.push(tokio::spawn(async move {
                    for index in 0..COUNT / 2 {
                        sender.send(&payload(index * 3)).await.expect("sent");
                        if index % 5 == part {
                            sender.ping(b"and a ping").await.expect("sent");
                        }
                    }
                    sender
                }));
            }
            receivers.push(tokio::spawn(async move {
                let mut pongs = 0;
                let mut messages = 0;
                while messages < COUNT || pongs == 0 {
                    match receiver.recv_event().await.expect("no failure").expect("open") {
                        Event::Message(_) => messages += 1,
                        Event::Pong(_) => pongs += 1,
                        _ => {}
                    }
                }
                receiver
            }));
        }
        join_all(senders, receivers).await;
    }
}

async fn join_all<A, B>(senders: Vec<tokio::task::JoinHandle<A>>, receivers: Vec<tokio::task::JoinHandle<B>>) {
    let all = async {
        let mut kept = Vec::new();
        for task in senders {
            kept.push(task.await.expect("no panic"));
        }
        for task in receivers {
            task.await.expect("no panic");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("a wake-up was lost");
}

#[tokio::test]
async fn l5_a_transport_that_lies_or_stops_is_an_error_and_never_a_loop() {
    let (stream, log) = Scripted::new([Act::Block]);
    log.write_nothing();
    let mut ws = open(stream, Role::Server);
    assert!(matches!(ws.send("x").await, Err(Error::Io(error)) if error.kind() == io::ErrorKind::WriteZero));

    let (stream, log) = Scripted::new([Act::Block]);
    log.claim_too_much();
    let mut ws = open(stream, Role::Server);
    ws.send("x").await.expect("the claim is cut to what there was");

    let acts = [Act::Fail(io::ErrorKind::Interrupted), Act::Data(b"\x81\x01x".to_vec()), Act::Block];
    let (stream, _) = Scripted::new(acts);
    let mut ws = open(stream, Role::Client);
    assert_eq!(ws.recv().await.expect("no failure"), Some(Message::from("x")));
}

#[tokio::test]
async fn p1_a_stream_that_counts_what_it_never_wrote_shows_nothing_of_another_connection() {
    let secret = b"\x81\x06secret".to_vec();
    for acts in [vec![secret.clone(), b"\x89\x00".to_vec()], vec![b"\x89\x00".to_vec(), secret.clone()]] {
        let (stream, _) = Scripted::new(acts.into_iter().map(Act::Data).chain([Act::Block]));
        let mut ws = open(stream, Role::Client);
        assert_eq!(ws.recv().await.expect("no failure"), Some(Message::from("secret")));
        assert!(poll_once(ws.recv()).is_pending());
        let (stream, _) = Scripted::new([Act::Claim(8), Act::End]);
        let mut ws = open(stream, Role::Client);
        assert!(matches!(ws.recv().await, Err(Error::Protocol(ProtocolError::UnexpectedContinuation))), "zeros");
    }

    // What was read behind a handshake may be as long as the buffers that are used again.
    let leftover = [&secret[..], &b"\x8a\x00".repeat((1 << 15) - 4)].concat();
    let (stream, _) = Scripted::new([Act::Block]);
    let mut ws = WebSocket::open(stream, Role::Client, Agreed::default(), &Config::DEFAULT, &leftover);
    assert_eq!(ws.recv().await.expect("no failure"), Some(Message::from("secret")));
    assert!(poll_once(ws.recv()).is_pending());
    let (stream, _) = Scripted::new([Act::Claim(8), Act::End]);
    let mut ws = open(stream, Role::Client);
    assert!(matches!(ws.recv().await, Err(Error::Protocol(ProtocolError::UnexpectedContinuation))), "zeros");
}

#[tokio::test]
async fn l6_both_sides_close_at_once() {
    let (mut a, mut b) = pair(1 << 16);
    let (a_closed, b_closed) = tokio::join!(a.close(CloseCode::NORMAL, "a"), b.close(CloseCode::NORMAL, "b"));
    a_closed.expect("clean");
    b_closed.expect("clean");
    assert_eq!(&*a.closure().expect("ended").reason, "b");
    assert_eq!(&*b.closure().expect("ended").reason, "a");
    assert!(!a.closure().expect("ended").by_peer && !b.closure().expect("ended").by_peer);
}

#[tokio::test]
async fn l7_a_ping_flood_and_a_large_transfer_both_get_through() {
    let (client, server) = pair(5_000);
    let config = payload(900_000);
    let expected = config.clone();
    let flood = tokio::spawn(async move {
        let (mut receiver, sender) = client.into_split();
        let pings = tokio::spawn(async move {
            for _ in 0..20_000 {
                sender.ping(&[7; 125]).await.expect("sent");
            }
            sender
        });
        let message = receiver.recv().await.expect("no failure").expect("open").into_owned();
        assert_eq!(message.as_bytes(), expected);
        let mut receiver = receiver;
        let drain = tokio::spawn(async move { receiver.drain().await });
        let sender = pings.await.expect("no panic");
        sender.close(CloseCode::NORMAL, "").await.expect("sent");
        drain.await.expect("no panic").expect("clean");
    });
    let (mut receiver, sender) = server.into_split();
    let drain = tokio::spawn(async move { receiver.drain().await });
    sender.send(&config).await.expect("sent");
    flood.await.expect("no panic");
    drain.await.expect("no panic").expect("clean");
}

#[tokio::test(start_paused = true)]
async fn l8_a_silent_peer_is_found_and_any_byte_is_a_sign_of_life() {
    for role in ROLES {
        let (mut ws, _wire) = half(role, 1 << 16, &Config::DEFAULT);
        let start = Instant::now();
        let error = ws.recv().await.expect_err("silent");
        assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error}");
        assert_eq!(start.elapsed().as_secs(), 40);
        assert!(matches!(ws.recv().await, Ok(None)));
    }
    let (mut ws, mut wire) = half(Role::Client, 1 << 16, &Config::DEFAULT);
    let alive = tokio::spawn(async move {
        for byte in b"\x82\x0a0123456789" {
            sleep(Duration::from_secs(15)).await;
            wire.write_all(&[*byte]).await.expect("room");
        }
        wire
    });
    let message = ws.recv().await.expect("bytes kept coming").expect("open");
    assert_eq!(message.as_bytes(), b"0123456789");
    alive.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_is_measured_by_keepalive_pings() {
    let (mut ws, wire) = half(Role::Server, 1 << 16, &Config::DEFAULT);
    let peer = tokio::spawn(async move {
        let (mut reading, mut writing) = tokio::io::split(wire);
        let mut ping = [0; 6];
        reading.read_exact(&mut ping).await.expect("a ping after the interval");
        sleep(Duration::from_millis(300)).await;
        let mut pong = vec![0x8a, 0x84, 0, 0, 0, 0];
        pong.extend(&ping[2..]);
        writing.write_all(&pong).await.expect("room");
        sleep(Duration::from_millis(1)).await;
        writing.write_all(b"\x81\x80\0\0\0\0").await.expect("room");
        sleep(Duration::from_secs(1)).await;
    });
    ws.recv().await.expect("no failure");
    assert_eq!(ws.round_trip(), Some(Duration::from_millis(300)));
    peer.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn l10_a_peer_that_drips_and_never_reads_is_dropped_at_the_write_deadline() {
    let (mut ws, mut wire) = half(Role::Server, 1_000, &Config::DEFAULT);
    let drip = tokio::spawn(async move {
        while wire.write_all(b"\x8a\x80\0\0\0\0").await.is_ok() {
            sleep(Duration::from_secs(10)).await;
        }
    });
    ws.feed(&payload(5_000)).await.expect("room");
    let start = Instant::now();
    let error = ws.recv().await.expect_err("it never reads");
    assert!(matches!(error, Error::Timeout(Timeout::Write)), "{error}");
    assert_eq!(start.elapsed().as_secs(), 30);
    drop(ws);
    drip.await.expect("no panic");

    let (mut ws, _wire) = half(Role::Server, 1_000, &Config::DEFAULT);
    let start = Instant::now();
    let error = ws.send(&payload(5_000)).await.expect_err("it never reads");
    assert!(matches!(error, Error::Timeout(Timeout::Write)), "{error}");
    assert_eq!(start.elapsed().as_secs(), 30);
    assert!(matches!(ws.recv().await, Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn l11_an_application_that_pauses_does_not_lose_a_healthy_peer() {
    for pause in [25, 45, 500] {
        let (a, b) = duplex(1 << 16);
        let mut ws = open(a, Role::Client);
        let echo = tokio::spawn(echo(open_with(b, Role::Server, &Config::DEFAULT.ping_interval(None))));
        assert!(poll_once(ws.recv()).is_pending());
        sleep(Duration::from_secs(21)).await;
        assert!(poll_once(ws.recv()).is_pending()); // sends the ping
        sleep(Duration::from_secs(pause)).await;
        ws.send("still here").await.expect("alive");
        assert_eq!(ws.recv().await.expect("alive"), Some(Message::from("still here")));
        ws.close(CloseCode::NORMAL, "").await.expect("clean");
        echo.await.expect("no panic").expect("clean");
    }
}

#[tokio::test]
async fn l12_our_close_reaches_the_peer_past_unread_data() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let peer = tokio::spawn(async move {
        let mut wire = tokio::net::TcpStream::connect(address).await.expect("connected");
        let mut bytes = b"\xf1\x80\0\0\0\0".to_vec();
        bytes.resize(4 << 20, 0);
        let _ = wire.write_all(&bytes).await;
        let _ = wire.shutdown().await;
        let mut received = Vec::new();
        wire.read_to_end(&mut received).await.expect("no reset");
        received
    });
    let (stream, _) = listener.accept().await.expect("accepted");
    let mut ws = open(stream, Role::Server);
    assert!(matches!(ws.recv().await, Err(Error::Protocol(ProtocolError::ReservedBits))));
    drop(ws);
    assert_eq!(peer.await.expect("no panic"), b"\x88\x02\x03\xea");
}

#[tokio::test]
async fn l13_two_endpoints_that_stream_at_each_other_do_not_deadlock() {
    let (a, b) = pair(64);
    let tasks = [a, b].map(|ws| {
        tokio::spawn(async move {
            let (mut receiver, sender) = ws.into_split();
            let sending = tokio::spawn(async move {
                let mut pieces = sender.start(Kind::Binary).await.expect("room");
                for piece in payload(500_000).chunks(9_000) {
                    pieces.write(piece).await.expect("room");
                }
                pieces.finish().await.expect("sent");
                sender
            });
            let mut total = 0;
            loop {
                match receiver.recv_part().await.expect("no failure").expect("open") {
                    Part::Piece { data, last } => {
                        total += data.as_bytes().len();
                        if last {
                            break;
                        }
                    }
                    _ => continue,
                }
            }
            assert_eq!(total, 500_000);
            (sending.await.expect("no panic"), receiver)
        })
    });
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await.expect("no panic"));
    }
}

#[tokio::test]
async fn l13_a_streamed_message_that_is_dropped_half_way_never_ends_by_itself() {
    let (mut a, mut b) = pair(1 << 16);
    let mut outgoing = a.start(Kind::Text).await.expect("room");
    outgoing.write("Hel").await.expect("room");
    assert!(matches!(a.send("another").await, Err(Error::Send(SendErrorKind::Unfinished))));
    a.ping(b"between").await.expect("control frames stay possible");
    let event = b.recv_event().await.expect("no failure").expect("open").into_owned();
    assert_eq!(event, Event::Ping(b"between".into()));
    assert!(poll_once(b.recv()).is_pending());
    let mut outgoing = a.resume().expect("unfinished");
    outgoing.write("lo").await.expect("room");
    outgoing.finish().await.expect("sent");
    assert_eq!(b.recv().await.expect("no failure"), Some(Message::from("Hello")));
}

#[tokio::test]
async fn c3_a_flood_of_invisible_frames_does_not_starve_other_tasks() {
    for frame in [&b"\x89\x00"[..], b"\x8a\x00", b"\x01\x00"] {
        let mut flood = frame.repeat(30_000);
        if frame[0] == 1 {
            flood = [&b"\x01\x00"[..], &b"\x00\x00".repeat(30_000)].concat();
        }
        let (stream, log) = Scripted::new(std::iter::repeat_n(Act::Data(flood), 1));
        log.repeat_for_ever();
        let mut ws = open_with(stream, Role::Client, &Config::DEFAULT.unlimited());
        let result = poll_once(ws.recv());
        assert!(matches!(result, Poll::Pending | Poll::Ready(Err(_))), "one poll ends");
        assert!(log.reads() <= 64, "{} reads in one poll", log.reads());
    }
}

#[tokio::test]
async fn m9_a_peer_that_does_not_read_stalls_an_echo_and_loses_nothing() {
    let (mut client, server) = pair(64);
    let server = tokio::spawn(echo(server));
    let messages: Vec<Vec<u8>> = (0..300).map(|index| payload(index * 11)).collect();
    let (mut receiver, sender) = {
        client.feed("first").await.expect("room");
        client.into_split()
    };
    let expected = messages.clone();
    let sending = tokio::spawn(async move {
        for message in &messages {
            sender.feed(message).await.expect("room");
        }
        sender.flush().await.expect("flushed");
        sender
    });
    assert_eq!(receiver.recv().await.expect("no failure"), Some(Message::from("first")));
    for message in expected {
        assert_eq!(receiver.recv().await.expect("no failure").expect("open").as_bytes(), message);
    }
    drop(sending.await.expect("no panic"));
    receiver.drain().await.expect("dropping the last sender closes");
    server.await.expect("no panic").expect("clean");
}

#[tokio::test]
async fn a_prepared_message_fans_out() {
    let news = Prepared::new("the same for everyone");
    for role in ROLES {
        let (ws, wire) = half(role, 1 << 16, &Config::DEFAULT);
        let (mut receiver, sender) = ws.into_split();
        let receiving = tokio::spawn(async move { receiver.drain().await });
        let mut peer = open(wire, other(role));
        sender.try_send_prepared(&news).expect("room");
        assert_eq!(peer.recv().await.expect("no failure"), Some(Message::from("the same for everyone")));
        drop(sender);
        assert!(peer.recv().await.expect("clean").is_none());
        drop(peer);
        receiving.await.expect("no panic").expect("clean");
    }
}

#[tokio::test]
async fn what_is_sent_at_once_leaves_without_the_receiver() {
    for role in ROLES {
        let (ws, wire) = half(role, 1 << 16, &Config::DEFAULT);
        let (receiver, sender) = ws.into_split();
        let mut peer = open(wire, other(role));
        sender.try_send("now").expect("room");
        assert_eq!(peer.recv().await.expect("no failure"), Some(Message::from("now")));
        drop(receiver);
        sender.try_send_prepared(&Prepared::new("still")).expect("room");
        assert_eq!(peer.recv().await.expect("no failure"), Some(Message::from("still")));
        sender.closed().await;
        drop(sender);
        let event = peer.recv_event().await.expect("no failure").expect("open").into_owned();
        assert!(matches!(event, Event::Close(Some(frame)) if frame.code == CloseCode::NORMAL));
    }
}

/// A runtime's budget for a task says nothing of the streams: each delivery leaves at once, however many there are.
#[tokio::test]
async fn a_task_sends_to_more_than_its_budget_at_once() {
    let news = Prepared::new("news");
    let mut all: Vec<_> = (0..1_000).map(|_| half(Role::Server, 64, &Config::DEFAULT)).collect();
    let splits: Vec<_> = all.drain(..).map(|(ws, wire)| (ws.into_split(), wire)).collect();
    for ((_, sender), _) in &splits {
        sender.try_send_prepared(&news).expect("room");
    }
    for (_, mut wire) in splits {
        let mut frame = [0; 6];
        let read = tokio::task::unconstrained(wire.read_exact(&mut frame)).now_or_never();
        assert_eq!((read.expect("here").expect("open"), &frame), (6, b"\x81\x04news"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_leave_at_once_is_sent_by_the_receiver_or_stalls_at_its_deadline() {
    let (ws, mut wire) = half(Role::Server, 64, &Config::DEFAULT.ping_interval(None));
    let (mut receiver, sender) = ws.into_split();
    let receiving = tokio::spawn(async move { receiver.drain().await });
    tokio::task::yield_now().await;
    sender.try_send(payload(1_000)).expect("room");
    let mut sent = vec![0; 500];
    wire.read_exact(&mut sent).await.expect("the receiver goes on");
    let start = Instant::now();
    let error = receiving.await.expect("no panic").expect_err("nobody reads the rest");
    assert!(matches!(error, Error::Timeout(Timeout::Write)), "{error}");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn messages_are_forwarded_from_one_connection_to_another() {
    let (mut a, b) = pair(1 << 16);
    let (c, mut d) = pair(1 << 16);
    let (b_receiver, _b_sender) = b.into_split();
    let (mut c_receiver, c_sender) = c.into_split();
    let forwarding = tokio::spawn(b_receiver.forward(c_sender));
    let draining = tokio::spawn(async move { c_receiver.drain().await });
    a.send("through").await.expect("sent");
    assert_eq!(d.recv().await.expect("no failure"), Some(Message::from("through")));
    a.close(CloseCode::NORMAL, "").await.expect("closed");
    assert!(d.recv().await.expect("clean").is_none(), "forwarding closes what it forwards to");
    forwarding.await.expect("no panic").expect("no failure");
    drop(d);
    draining.await.expect("no panic").expect("clean");
}

#[tokio::test]
async fn the_sink_closes_and_leaves_the_messages_to_the_stream() {
    let (mut a, mut b) = pair(1 << 16);
    b.send("on the way").await.expect("sent");
    SinkExt::<Message<'static>>::close(&mut a).await.expect("sent");
    assert!(b.next().await.is_none(), "clean");
    let message = a.next().await.expect("still delivered").expect("no failure");
    assert_eq!(message, Message::from("on the way"));
    assert!(a.next().await.is_none());
}

#[tokio::test]
async fn start_close_lets_the_receiver_go_on() {
    let (mut a, mut b) = pair(1 << 16);
    a.start_close(CloseCode::GOING_AWAY, "soon").await.expect("sent");
    b.send("last words").await.expect("sent");
    assert_eq!(a.recv().await.expect("no failure"), Some(Message::from("last words")));
    let (a_end, b_end) =
        tokio::join!(async { a.recv().await.map(|m| m.is_none()) }, async { b.recv().await.map(|m| m.is_none()) });
    assert!(a_end.expect("clean") && b_end.expect("clean"));
}

#[tokio::test]
async fn leftover_bytes_are_the_first_input() {
    let (stream, _) = Scripted::new([Act::Data(b"\x01b".to_vec()), Act::Block]);
    let mut ws = WebSocket::open(stream, Role::Client, Agreed::default(), &Config::DEFAULT, b"\x81\x01a\x81");
    assert_eq!(ws.recv().await.expect("no failure"), Some(Message::from("a")));
    assert_eq!(ws.recv().await.expect("no failure"), Some(Message::from("b")));
    let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut ws).poll_next(cx).is_pending())).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_for_pongs_pings_go_on() {
    let (mut ws, mut wire) = half(Role::Server, 1 << 16, &Config::DEFAULT.pong_timeout(None));
    let receiving = tokio::spawn(async move { ws.recv().await.map(|message| message.is_some()) });
    let mut pings = [0; 3 * 6];
    let start = Instant::now();
    wire.read_exact(&mut pings).await.expect("three pings");
    assert_eq!(start.elapsed().as_secs(), 60);
    receiving.abort();
}
