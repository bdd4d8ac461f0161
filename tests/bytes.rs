//! A connection as a stream of bytes, over all drivers. Time is tokio's paused clock; nothing sleeps.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/naive.rs"]
mod naive;
#[path = "support/stream.rs"]
mod stream;

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use naive::{BINARY, CLOSE, CONTINUATION, FIN, Frame, PING, PONG, TEXT};
use sockeye::blocking::{self, Untimed, WriteHalf};
use sockeye::testing::Pipe;
use sockeye::{Agreed, CloseCode, Config, Error, Kind, Part, ProtocolError, Role, futures, tokio as over_tokio};
use stream::{Act, Blocking, Scripted};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

const DRIVERS: [Driver; 3] = [Driver::Tokio, Driver::Futures, Driver::Blocking];
const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// Without keepalive, so that nothing wakes a task but the transport.
const CONFIG: Config = Config::DEFAULT.ping_interval(None);
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const NORMAL: &[u8] = &1000_u16.to_be_bytes();

#[derive(Clone, Copy, Debug)]
enum Driver {
    Tokio,
    Futures,
    Blocking,
}

/// What a stream of bytes was, to its end.
struct Seen {
    bytes: Vec<u8>,
    end: io::Result<()>,
    /// What the next read said.
    again: io::Result<usize>,
    /// What the peer was sent.
    sent: Vec<Frame>,
}

macro_rules! read_to_end {
    ($stream:expr, $room:expr $(, $await:tt)?) => {{
        let (mut stream, mut room, mut bytes) = ($stream, vec![0; $room], Vec::new());
        let end = loop {
            match stream.read(&mut room)$(.$await)? {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(&room[..count]),
                Err(error) => break Err(error),
            }
        };
        let again = stream.read(&mut room)$(.$await)?;
        Seen { bytes, end, again, sent: Vec::new() }
    }};
}

impl Driver {
    /// Reads what a peer of this `role` is sent, so many bytes at a time.
    fn read_to_end(self, role: Role, wire: &[u8], room: usize) -> Seen {
        let (stream, mut peer) = Pipe::pair(usize::MAX);
        peer.write_all(wire).expect("room");
        peer.shutdown().expect("a pipe");
        let agreed = Agreed::default();
        let mut seen = match self {
            Self::Tokio => {
                use tokio::io::AsyncReadExt;
                run(async {
                    let stream = over_tokio::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                    read_to_end!(stream, room, await)
                })
            }
            Self::Futures => {
                use futures_util::AsyncReadExt;
                run(async {
                    let stream = futures::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                    read_to_end!(stream, room, await)
                })
            }
            Self::Blocking => {
                let stream = blocking::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                read_to_end!(stream, room)
            }
        };
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).expect("a pipe");
        seen.sent = naive::frames(&sent);
        seen
    }
}

impl Seen {
    fn sent(&self) -> Vec<(u8, &[u8])> {
        self.sent.iter().map(|frame| (frame.first, &*frame.payload)).collect()
    }
}

/// Frames of the peer of this role.
fn wire(role: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    let key = (role == Role::Server).then_some(KEY);
    frames.iter().flat_map(|(first, payload)| naive::frame(*first, key, payload)).collect()
}

/// Runs to the end; where nothing can wake it any more, the clock does, and it fails.
fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { timeout(Duration::from_secs(3600), future).await }).expect("no hang")
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// The error of the library inside of the one that was read.
#[track_caller]
fn inner(error: &io::Error) -> &Error {
    error.get_ref().expect("an error inside").downcast_ref().expect("of ours")
}

#[test]
fn all_that_the_messages_hold_is_read_whatever_their_cuts() {
    let (middle, large) = (payload(126), payload(70_000));
    let frames: &[(u8, &[u8])] = &[
        (FIN | BINARY, b"one"),
        (FIN | BINARY, b""), // says nothing, and is no end
        (FIN | PING, b"there?"),
        (FIN | BINARY, b"t"),
        (BINARY, b"w"),
        (CONTINUATION, b""),
        (FIN | PING, b""),
        (CONTINUATION, &middle),
        (FIN | PONG, b"unasked"),
        (FIN | CONTINUATION, b""),
        (BINARY, b""),
        (FIN | CONTINUATION, &large),
        (FIN | CLOSE, NORMAL),
    ];
    let expected = [b"onetw", &middle[..], &large].concat();
    for (driver, role) in DRIVERS.into_iter().flat_map(|driver| ROLES.map(|role| (driver, role))) {
        for room in [1, 7, 4_096, 1 << 20] {
            let seen = driver.read_to_end(role, &wire(role, frames), room);
            assert_eq!(seen.bytes, expected, "{driver:?}, {role:?}, {room}");
            assert!(seen.end.is_ok() && matches!(seen.again, Ok(0)));
            assert_eq!(seen.sent(), [(FIN | PONG, &b"there?"[..]), (FIN | PONG, b""), (FIN | CLOSE, NORMAL)]);
        }
    }
}

#[test]
fn only_a_normal_close_is_the_end_of_the_bytes() {
    let closes: [(&[u8], Option<u16>); 6] = [
        (NORMAL, None),
        (b"", None),
        (&1001_u16.to_be_bytes(), Some(1001)),
        (&1011_u16.to_be_bytes(), Some(1011)),
        (&1002_u16.to_be_bytes(), Some(1002)),
        (b"\x0f\xa0secret", Some(4000)),
    ];
    for (driver, role) in DRIVERS.into_iter().flat_map(|driver| ROLES.map(|role| (driver, role))) {
        for (payload, code) in closes {
            let seen = driver.read_to_end(role, &wire(role, &[(FIN | BINARY, b"data"), (FIN | CLOSE, payload)]), 3);
            assert_eq!(seen.bytes, b"data");
            assert_eq!(seen.sent(), [(FIN | CLOSE, payload)]);
            let Some(code) = code else {
                assert!(seen.end.is_ok() && matches!(seen.again, Ok(0)));
                continue;
            };
            for error in [seen.end.map(|()| 0), seen.again].map(|result| result.expect_err("no end")) {
                assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                assert!(matches!(inner(&error), Error::Incomplete(seen) if seen.0 == code), "{error}");
                let shown = format!("{error} {error:?}");
                assert!(shown.contains(&code.to_string()) && !shown.contains("secret"), "{shown}");
            }
        }
    }
}

#[test]
fn a_failure_is_no_end_of_the_bytes() {
    for (driver, role) in DRIVERS.into_iter().flat_map(|driver| ROLES.map(|role| (driver, role))) {
        // The transport ends, between messages or inside of one.
        for cut in [6, 8] {
            let data = wire(role, &[(FIN | BINARY, b"data")]);
            let whole = [&data[..], &data[..data.len().min(cut)]].concat();
            for wire in [&data, &whole] {
                let seen = driver.read_to_end(role, wire, 100);
                let error = seen.end.expect_err("no end");
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                assert!(seen.bytes.starts_with(b"data") && matches!(inner(&error), Error::UnexpectedEof));
                assert_eq!(seen.again.expect_err("no end").kind(), ErrorKind::ConnectionAborted);
            }
        }
        // The peer breaks the protocol.
        let seen = driver.read_to_end(role, &wire(role, &[(FIN | BINARY, b"data"), (FIN | 3, b"")]), 100);
        let error = seen.end.as_ref().expect_err("no end");
        assert_eq!((&*seen.bytes, error.kind()), (&b"data"[..], ErrorKind::InvalidData));
        assert!(matches!(inner(error), Error::Protocol(ProtocolError::ReservedOpcode(3))));
        assert_eq!(seen.sent(), [(FIN | CLOSE, &1002_u16.to_be_bytes()[..])]);
        assert_eq!(seen.again.expect_err("no end").kind(), ErrorKind::ConnectionAborted);
    }
}

#[test]
fn a_text_message_is_refused() {
    let texts: [&[(u8, &[u8])]; 4] = [
        &[(FIN | TEXT, b"secret")],
        &[(FIN | TEXT, b"")],
        &[(TEXT, b"\xc3"), (FIN | PING, b""), (FIN | CONTINUATION, b"\xa4")],
        &[(TEXT, b"secret")],
    ];
    for (driver, role) in DRIVERS.into_iter().flat_map(|driver| ROLES.map(|role| (driver, role))) {
        for text in texts {
            let answer = [(FIN | CLOSE, &1003_u16.to_be_bytes()[..])];
            let after = [(FIN | BINARY, &b"after"[..])];
            let ends = text.last().is_some_and(|(first, _)| first & FIN != 0);
            let after = if ends { &after[..] } else { &[] };
            let frames = [&[(FIN | BINARY, &b"before"[..])], text, after, &answer].concat();
            let seen = driver.read_to_end(role, &wire(role, &frames), 100);
            assert_eq!(seen.bytes, b"before", "{driver:?}");
            let error = seen.end.as_ref().expect_err("no end");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(matches!(inner(error), Error::UnexpectedText) && error.to_string().contains("text message"));
            assert_eq!(inner(error).close_code(), Some(CloseCode::UNSUPPORTED_DATA));
            let closes = seen.sent().into_iter().filter(|(first, _)| *first == FIN | CLOSE);
            assert_eq!(closes.collect::<Vec<_>>(), answer);
            assert_eq!(seen.again.expect_err("no end").kind(), ErrorKind::ConnectionAborted);
        }
    }
}

#[test]
fn a_failure_of_the_transport_is_passed_on_as_it_is() {
    let script = || {
        let (stream, _) = Scripted::new([Act::Data(wire(Role::Client, &[(FIN | BINARY, b"data")])), reset()]);
        stream
    };
    let reset_seen = |seen: Seen| {
        assert_eq!(seen.bytes, b"data");
        let error = seen.end.expect_err("no end");
        assert!(error.kind() == ErrorKind::ConnectionReset && error.get_ref().is_none());
    };
    run(async {
        use tokio::io::AsyncReadExt;
        let stream = over_tokio::WebSocket::open(script(), Role::Client, Agreed::default(), &CONFIG, &[]);
        reset_seen(read_to_end!(stream.into_bytes(), 100, await));
    });
    let stream = Untimed(Blocking(script()));
    let stream = blocking::WebSocket::open(stream, Role::Client, Agreed::default(), &CONFIG, &[]);
    reset_seen(read_to_end!(stream.into_bytes(), 100));
}

fn reset() -> Act {
    Act::Fail(ErrorKind::ConnectionReset)
}

/// Writes of these sizes, then shuts down twice and writes once more; what the last write said.
macro_rules! write_all {
    ($stream:expr, $shutdown:ident $(, $await:tt)?) => {{
        let mut stream = $stream;
        for len in [0, 1, 125, 65_536, 65_537, 200_000] {
            stream.write_all(&payload(len))$(.$await)?.expect("room");
        }
        assert_eq!(stream.write(&payload(70_000))$(.$await)?.expect("room"), 65_536, "a long write is cut");
        assert_eq!(stream.write(b"")$(.$await)?.expect("room"), 0);
        stream.flush()$(.$await)?.expect("room");
        stream.$shutdown()$(.$await)?.expect("open");
        stream.$shutdown()$(.$await)?.expect("shut already");
        assert_eq!(stream.write(b"")$(.$await)?.expect("nothing"), 0);
        stream.write(b"late")$(.$await)?
    }};
}

#[test]
fn a_write_is_a_binary_message_and_a_shutdown_a_normal_close() {
    for (driver, role) in DRIVERS.into_iter().flat_map(|driver| ROLES.map(|role| (driver, role))) {
        let (stream, mut peer) = Pipe::pair(usize::MAX);
        let agreed = Agreed::default();
        let late = match driver {
            Driver::Tokio => run(async {
                use tokio::io::AsyncWriteExt;
                let stream = over_tokio::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                write_all!(stream, shutdown, await)
            }),
            Driver::Futures => run(async {
                use futures_util::AsyncWriteExt;
                let stream = futures::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                write_all!(stream, close, await)
            }),
            Driver::Blocking => {
                let stream = blocking::WebSocket::open(stream, role, agreed, &CONFIG, &[]).into_bytes();
                write_all!(stream, shutdown)
            }
        };
        let late = late.expect_err("shut");
        assert!(late.kind() == ErrorKind::BrokenPipe && matches!(inner(&late), Error::Send(_)), "{driver:?}: {late}");
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).expect("a pipe");
        let frames = naive::frames(&sent);
        let (close, messages) = frames.split_last().expect("a Close");
        assert_eq!((close.first, &*close.payload), (FIN | CLOSE, NORMAL));
        assert!(messages.iter().all(|frame| frame.first == FIN | BINARY));
        let lens: Vec<usize> = messages.iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lens, [1, 125, 65_536, 65_536, 1, 65_536, 65_536, 65_536, 3_392, 65_536]);
        let bytes: Vec<u8> = messages.iter().flat_map(|frame| frame.payload.clone()).collect();
        let expected = [1, 125, 65_536, 65_537, 200_000].map(payload).concat();
        assert!(bytes.starts_with(&expected));
    }
}

/// A client and a server over a pipe that holds so many bytes.
fn pair(size: usize) -> (over_tokio::ByteStream<Pipe>, over_tokio::ByteStream<Pipe>) {
    let (a, b) = Pipe::pair(size);
    let open = |stream, role| over_tokio::WebSocket::open(stream, role, Agreed::default(), &CONFIG, &[]).into_bytes();
    (open(a, Role::Client), open(b, Role::Server))
}

/// Sends and receives at once, each in a task of its own.
async fn exchange(stream: impl AsyncRead + AsyncWrite + Send + 'static, data: Vec<u8>, shuts: bool) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut reader, mut writer) = tokio::io::split(stream);
    let expected = data.len();
    let send = tokio::spawn(async move {
        for chunk in data.chunks(1_000) {
            writer.write_all(chunk).await.expect("open");
        }
        writer.flush().await.expect("open");
        writer
    });
    let receive = tokio::spawn(async move {
        let mut bytes = vec![0; expected];
        reader.read_exact(&mut bytes).await.expect("open");
        (reader, bytes)
    });
    let mut writer = send.await.expect("no panic");
    let (mut reader, bytes) = receive.await.expect("no panic");
    if shuts {
        writer.shutdown().await.expect("open");
    }
    assert_eq!(reader.read(&mut [0]).await.expect("a clean end"), 0);
    bytes
}

#[test]
fn l13_both_ways_at_once_from_two_tasks_each_no_wake_up_is_lost() {
    for (size, len) in [(1, 20_000), (7, 50_000), (1_000, 300_000), (70_000, 3_000_000)] {
        run(async {
            let (client, server) = pair(size);
            let (client_data, server_data) = (payload(len), payload(len + 1)[1..].to_vec());
            let server = tokio::spawn(exchange(server, server_data.clone(), false));
            let client = tokio::spawn(exchange(client, client_data.clone(), true));
            assert!(client.await.expect("no panic") == server_data, "{size}");
            assert!(server.await.expect("no panic") == client_data, "{size}");
        });
    }
}

#[test]
fn the_futures_driver_goes_both_ways_at_once_too() {
    use tokio_util::compat::FuturesAsyncReadCompatExt;
    for (size, len) in [(1, 20_000), (1_000, 300_000)] {
        run(async {
            let (a, b) = Pipe::pair(size);
            let open = |stream, role| {
                let websocket = futures::WebSocket::open(stream, role, Agreed::default(), &CONFIG, &[]);
                websocket.into_bytes().compat()
            };
            let server = tokio::spawn(exchange(open(b, Role::Server), payload(len), false));
            let client = tokio::spawn(exchange(open(a, Role::Client), payload(len), true));
            assert!(client.await.expect("no panic") == payload(len) && server.await.expect("no panic") == payload(len));
        });
    }
}

#[test]
fn two_threads_go_both_ways_at_once_over_blocking_ends() {
    let (client, server) = blocking::WebSocket::pair_with(&CONFIG);
    let ends = [client, server].map(|websocket| {
        let (receiver, sender) = websocket.into_split().expect("a pipe");
        let (mut reader, mut writer) = (receiver.into_bytes(), sender.into_bytes());
        let send = thread::spawn(move || {
            payload(3_000_000).chunks(10_000).for_each(|chunk| writer.write_all(chunk).expect("open"));
            writer.flush().expect("open");
            writer
        });
        let receive = thread::spawn(move || {
            let mut bytes = vec![0; 3_000_000];
            reader.read_exact(&mut bytes).expect("open");
            assert!(bytes == payload(3_000_000));
            reader
        });
        (receive, send)
    });
    let [(mut reader, writer), (mut other, kept)] =
        ends.map(|(receive, send)| (receive.join().expect("no panic"), send.join().expect("no panic")));
    let closing = thread::spawn(move || {
        drop(writer); // which closes with 1000
        assert_eq!(reader.read(&mut [0]).expect("a clean end"), 0);
        reader.into_inner().closure().expect("ended")
    });
    assert_eq!(other.read(&mut [0]).expect("a clean end"), 0);
    assert_eq!(kept.into_inner().closure().expect("ended").code, CloseCode::NORMAL);
    assert!(closing.join().expect("no panic").was_clean);
}

#[test]
fn one_blocking_thread_reads_what_is_on_the_way_after_its_shutdown() {
    let (client, mut server) = blocking::WebSocket::pair_with(&CONFIG);
    server.send(payload(10_000)).expect("room");
    let serving = thread::spawn(move || {
        assert_eq!(server.recv().expect("open").expect("a message").as_bytes(), b"last words");
        assert!(server.recv().expect("closed").is_none());
    });
    let mut client = client.into_bytes();
    client.write_all(b"last words").expect("room");
    client.shutdown().expect("open");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("a clean end");
    assert_eq!(bytes, payload(10_000));
    serving.join().expect("no panic");
    assert_eq!(client.get_ref().closure().expect("ended").code, CloseCode::NORMAL);
}

#[test]
fn a_tunnel_relays_with_copy_bidirectional() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex};
    run(async {
        let (mut client, mut server) = pair(1_000);
        let (mut application, mut entry) = duplex(500);
        let (mut exit, mut service) = duplex(300);
        tokio::spawn(async move { copy_bidirectional(&mut entry, &mut client).await });
        tokio::spawn(async move { copy_bidirectional(&mut server, &mut exit).await });
        let serving = tokio::spawn(async move {
            let mut request = vec![0; 100_000];
            service.read_exact(&mut request).await.expect("open");
            service.write_all(&request).await.expect("open");
            // What comes from the application's end goes all the way, too.
            assert_eq!(service.read(&mut [0]).await.expect("a clean end"), 0);
        });
        let (mut reader, mut writer) = tokio::io::split(&mut application);
        let send = async { writer.write_all(&payload(100_000)).await.expect("open") };
        let mut answer = vec![0; 100_000];
        let receive = async { reader.read_exact(&mut answer).await.expect("open") };
        tokio::join!(send, receive);
        assert!(answer == payload(100_000));
        application.shutdown().await.expect("open");
        serving.await.expect("no panic");
        assert_eq!(application.read(&mut [0]).await.expect("a clean end"), 0);
    });
}

#[test]
fn a_dropped_future_loses_nothing_and_repeats_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let (mut client, mut server) = pair(100);
        let (data, mut sent, mut received) = (payload(300_000), 0, Vec::new());
        while received.len() < data.len() {
            // Each future is polled once and dropped.
            if let Some(written) = client.write(&data[sent..data.len().min(sent + 777)]).now_or_never() {
                sent += written.expect("open");
            }
            if let Some(flushed) = client.flush().now_or_never() {
                flushed.expect("open");
            }
            let mut room = [0; 150];
            if let Some(read) = server.read(&mut room).now_or_never() {
                received.extend_from_slice(&room[..read.expect("open")]);
            }
            assert!(received.len() <= sent && data.starts_with(&received));
        }
        assert_eq!(sent, received.len());
    });
}

#[test]
fn writes_wait_while_the_outbox_is_above_its_mark_and_reads_go_on() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let (mut client, mut server) = pair(1_000);
        let mut accepted = 0;
        while let Poll::Ready(written) = poll_once(client.write(&payload(10_000))) {
            accepted += written.expect("open");
        }
        assert!((65_536..90_000).contains(&accepted), "{accepted}");
        assert!(poll_once(client.flush()).is_pending(), "the kernel has not taken all of it");
        server.write_all(b"meanwhile").await.expect("room");
        let mut meanwhile = [0; 9];
        client.read_exact(&mut meanwhile).await.expect("open");
        assert_eq!(&meanwhile, b"meanwhile");
        // The peer reads.
        let mut bytes = vec![0; accepted];
        let (flushed, read) = tokio::join!(client.flush(), server.read_exact(&mut bytes));
        flushed.and(read).expect("open");
        assert!(poll_once(client.write(b"more")).is_ready());
    });
}

#[test]
fn a_write_reaches_the_kernel_without_a_flush() {
    use tokio::io::AsyncWriteExt;
    let (a, mut peer) = Pipe::pair(1_000);
    run(async {
        let stream = over_tokio::WebSocket::open(a, Role::Server, Agreed::default(), &CONFIG, &[]);
        let mut stream = stream.into_bytes();
        stream.write_all(b"at once").await.expect("room");
        let mut sent = [0; 9];
        peer.read_exact(&mut sent).expect("there");
        assert_eq!(&sent, b"\x82\x07at once");
    });
}

#[test]
fn l10_a_reader_that_waits_sees_that_nobody_takes_what_another_task_wrote() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let (client, _server) = pair(10);
        let (mut reader, mut writer) = tokio::io::split(client);
        let waits = tokio::spawn(async move { reader.read(&mut [0]).await });
        tokio::task::yield_now().await;
        writer.write_all(&payload(1_000)).await.expect("room"); // and goes away
        let error = waits.await.expect("no panic").expect_err("no end");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(inner(&error).is_timeout());
        assert_eq!(writer.flush().await.expect_err("lost").kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_was_written_before_the_peer_closed_still_leaves() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let (mut client, mut server) = pair(1_000);
        client.write_all(&payload(50_000)).await.expect("room");
        server.shutdown().await.expect("open");
        let (mut room, mut bytes) = ([0; 10], Vec::new());
        let (end, read) = tokio::join!(client.read(&mut room), server.read_to_end(&mut bytes));
        end.and(read).expect("a clean end");
        assert!(bytes == payload(50_000));
        let error = client.write(b"late").await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        client.shutdown().await.expect("closed already is as good");
    });
}

#[test]
fn a_message_that_was_read_in_part_goes_on_either_way() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};
    run(async {
        let frames: &[(u8, &[u8])] = &[
            (BINARY, b"abc"),
            (CONTINUATION, b"def"),
            (FIN | CONTINUATION, b"ghi"),
            (FIN | BINARY, b"next"),
            (FIN | BINARY, b"last"),
        ];
        let open = || {
            let (stream, mut peer) = Pipe::pair(1_000);
            peer.write_all(&wire(Role::Client, frames)).expect("room");
            let stream = over_tokio::WebSocket::open(stream, Role::Client, Agreed::default(), &CONFIG, &[]);
            (stream.into_bytes(), peer)
        };
        let (mut bytes, _peer) = open();
        assert_eq!((bytes.read_u8().await.expect("open"), bytes.buffer()), (b'a', &b"bc"[..]));
        let mut websocket = bytes.into_inner();
        let part = websocket.recv_part().await.expect("open");
        assert_eq!(part, Some(Part::Piece { data: b"def".into(), last: false }));
        let mut bytes = websocket.into_bytes();
        assert_eq!(bytes.fill_buf().await.expect("open"), b"ghi");
        bytes.consume(3);
        assert_eq!(bytes.read_u8().await.expect("open"), b'n');
        let message = bytes.into_inner().recv().await.expect("open").expect("a message").into_vec();
        assert_eq!(message, b"last");
        let (mut bytes, _peer) = open();
        assert_eq!(bytes.read_u8().await.expect("open"), b'a');
        assert_eq!(bytes.into_inner().recv().await.expect("open").expect("a message").as_bytes(), b"next");
    });
}

#[test]
fn an_unfinished_message_keeps_writes_out() {
    use tokio::io::AsyncWriteExt;
    run(async {
        let (client, _server) = over_tokio::WebSocket::pair_with(&CONFIG);
        let mut client = client;
        client.start(Kind::Binary).await.expect("open").write(b"half").await.expect("open");
        let error = client.into_bytes().write(b"other").await.expect_err("unfinished");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_flood_that_says_nothing_does_not_keep_the_task() {
    use tokio::io::AsyncReadExt;
    run(async {
        for flood in [(FIN | BINARY, &b""[..]), (FIN | PONG, b"pong")] {
            let (stream, log) = Scripted::new([Act::Data(wire(Role::Client, &[flood; 100]))]);
            log.repeat_for_ever();
            let stream = over_tokio::WebSocket::open(stream, Role::Client, Agreed::default(), &CONFIG, &[]);
            let mut stream = stream.into_bytes();
            assert!(poll_once(stream.read(&mut [0; 10])).is_pending());
            assert!((1..=16).contains(&log.reads()), "{}", log.reads());
        }
    });
}

/// A peer that sends one message of this many bytes, then Close. It allocates nothing.
struct Endless {
    header: &'static [u8],
    left: usize,
    close: &'static [u8],
}

impl Endless {
    fn new(len: usize) -> Self {
        Self { header: naive::header(FIN | BINARY, None, len as u64).leak(), left: len, close: b"\x88\x02\x03\xe8" }
    }
}

impl Read for Endless {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if !self.header.is_empty() {
            return self.header.read(room);
        }
        if self.left == 0 {
            return self.close.read(room);
        }
        let count = self.left.min(room.len());
        self.left -= count;
        room[..count].fill(7);
        Ok(count)
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.read(room.initialize_unfilled())?;
        room.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_message_of_any_length_passes_in_constant_memory() {
    const LEN: usize = 40 << 20; // far more than `Config::max_message_size`
    fn assert_little(begin: impl FnOnce() -> usize) {
        counting::count(|counters| counters.peak = counters.held);
        let before = counting::held();
        assert_eq!(begin(), LEN);
        let peak = counting::counters().peak - before;
        assert!(peak <= 256 << 10, "{peak} bytes");
    }
    assert_little(|| {
        let stream = Untimed(Endless::new(LEN));
        let mut stream = blocking::WebSocket::open(stream, Role::Client, Agreed::default(), &CONFIG, &[]).into_bytes();
        io::copy(&mut stream, &mut io::sink()).expect("a clean end") as usize
    });
    run(async {
        let stream = over_tokio::WebSocket::open(Endless::new(LEN), Role::Client, Agreed::default(), &CONFIG, &[]);
        let mut stream = stream.into_bytes();
        counting::count(|counters| counters.peak = counters.held);
        let before = counting::held();
        let copied = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.expect("a clean end");
        let peak = counting::counters().peak - before;
        assert!(copied == LEN as u64 && peak <= 256 << 10, "{copied}, {peak} bytes");
    });
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_messages_are_read_alike() {
    use sockeye::deflate::Parameters;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let (a, b) = Pipe::pair(1_000);
        let agreed = Agreed::default().with_deflate(Parameters::DEFAULT);
        let open = |stream, role| over_tokio::WebSocket::open(stream, role, agreed.clone(), &CONFIG, &[]).into_bytes();
        let (mut client, mut server) = (open(a, Role::Client), open(b, Role::Server));
        let send = async {
            client.write_all(&payload(500_000)).await.expect("open");
            client.shutdown().await.expect("open");
        };
        let mut bytes = Vec::new();
        let (_, read) = tokio::join!(send, server.read_to_end(&mut bytes));
        read.expect("a clean end");
        assert!(bytes == payload(500_000));
    });
}
