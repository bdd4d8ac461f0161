//! The pairs that are connected in memory, for users' own tests.

use std::io::{ErrorKind, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use sockeye::blocking::{ReadHalf, WriteHalf};
use sockeye::testing::Pipe;
use sockeye::{CloseCode, Config, Error, Message, ProtocolError, Timeout, blocking, futures, tokio as over_tokio};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const LARGE: usize = 300_000; // more than a pair holds

/// Sends something large each way at once, and closes.
macro_rules! talk {
    ($pair:expr) => {{
        let (mut client, mut server) = $pair;
        let serve = async {
            while let Some((message, writer)) = server.recv_with_writer().await.expect("open") {
                writer.send(message).expect("room");
            }
        };
        let ask = async {
            let sent = vec![7; LARGE];
            client.feed(&sent).await.expect("open");
            assert_eq!(client.recv().await.expect("open").expect("an answer").as_bytes(), sent);
            client.close(CloseCode::NORMAL, "done").await.expect("closed");
        };
        tokio::join!(serve, ask);
        for closure in [client.closure(), server.closure()] {
            assert!(closure.expect("ended").was_clean);
        }
        assert_eq!(&*server.closure().expect("ended").reason, "done");
    }};
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_open_and_closes_over_tokio_and_futures() {
    talk!(over_tokio::WebSocket::pair());
    talk!(futures::WebSocket::pair());
}

#[test]
fn a_blocking_pair_serves_one_thread_or_several() {
    let (mut client, mut server) = blocking::WebSocket::pair();
    client.send("Hello").expect("room");
    assert_eq!(server.recv().expect("open").expect("a message").as_text(), Some("Hello"));
    server.send("and back").expect("room");
    assert_eq!(client.recv().expect("open").expect("a message").as_text(), Some("and back"));

    let serving = thread::spawn(move || {
        while let Some((message, writer)) = server.recv_with_writer().expect("open") {
            writer.send(message).expect("room");
        }
    });
    let (mut receiver, sender) = client.into_split().expect("a pipe");
    let sending = thread::spawn(move || sender.send(vec![7; LARGE]).map(|()| sender));
    assert_eq!(receiver.recv().expect("open").expect("an answer").as_bytes(), vec![7; LARGE]);
    let sender = sending.join().expect("no panic").expect("sent");
    let mut client = receiver.reunite(sender).expect("one connection");
    client.close(CloseCode::NORMAL, "").expect("closed");
    serving.join().expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_pair_has_the_configuration_that_it_is_given() {
    let config = Config::DEFAULT.max_message_size(10);
    let (mut client, mut server) = over_tokio::WebSocket::pair_with(&config);
    let too_big = |error| matches!(error, Error::Protocol(ProtocolError::MessageTooBig { limit: 10 }));
    let serve = async {
        server.send(&[0; 11]).await.expect("room");
        assert!(server.recv().await.expect("closed").is_none());
    };
    let (_, received) = tokio::join!(serve, client.recv());
    assert!(too_big(received.map(drop).expect_err("too big")));
    assert_eq!(server.closure().expect("ended").code, CloseCode::MESSAGE_TOO_BIG);

    let (client, mut server) = blocking::WebSocket::pair_with(&config);
    let mut bytes = client.into_inner();
    bytes.write_all(b"\x82\x8b0000").expect("room");
    bytes.shutdown().expect("a pipe");
    assert!(too_big(server.recv().map(drop).expect_err("too big")));
}

#[tokio::test(start_paused = true)]
async fn a_pair_shows_deadlines_on_a_paused_clock() {
    let (mut client, _silent) = over_tokio::WebSocket::pair();
    assert!(matches!(client.recv().await, Err(Error::Timeout(Timeout::Pong))));
    let (mut client, _silent) = over_tokio::WebSocket::pair();
    assert!(matches!(client.close(CloseCode::NORMAL, "").await, Err(Error::Timeout(Timeout::Close))));
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_a_stream_and_a_sink() {
    let (client, server) = over_tokio::WebSocket::pair();
    let (mut sink, _stream) = client.split();
    sink.send(Message::from("Hello")).await.expect("open");
    let (_sink, mut stream) = server.split();
    assert_eq!(stream.next().await.expect("open").expect("a message").as_text(), Some("Hello"));
}

#[test]
fn dropping_an_end_is_the_end_of_the_other() {
    let (client, mut server) = blocking::WebSocket::pair();
    drop(client);
    assert!(matches!(server.recv(), Err(Error::UnexpectedEof)));

    let (mut here, mut there) = Pipe::pair(10);
    let clone = here.try_clone().expect("a pipe");
    here.write_all(b"left").expect("room");
    drop(here);
    there.write_all(b"still open").expect("the end is held twice");
    drop(clone);
    let mut left = Vec::new();
    there.read_to_end(&mut left).expect("a pipe");
    assert_eq!(left, b"left");
    assert_eq!(there.write(b"x").expect_err("nobody is there").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_pipe_keeps_its_timeouts_and_its_capacity() {
    let (mut here, mut there) = Pipe::pair(0); // which counts as one
    here.set_write_timeout(Some(Duration::from_millis(20))).expect("a pipe");
    there.set_read_timeout(Some(Duration::from_millis(20))).expect("a pipe");
    assert_eq!(here.write(b"two").expect("room for one"), 1);
    let began = Instant::now();
    assert_eq!(here.write(b"wo").expect_err("full").kind(), ErrorKind::WouldBlock);
    let mut room = [0; 10];
    assert_eq!(there.read(&mut room).expect("there"), 1);
    assert_eq!(there.read(&mut []).expect("no room"), 0);
    assert_eq!(there.read(&mut room).expect_err("empty").kind(), ErrorKind::WouldBlock);
    assert!(began.elapsed() >= Duration::from_millis(40));
    assert_eq!(format!("{here:?}"), "Pipe(0 bytes to read, 0 to be read)");
    here.shutdown().expect("a pipe");
    assert_eq!(there.read(&mut room).expect("the end"), 0);
    assert_eq!(here.write(b"x").expect_err("shut").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn the_task_that_waits_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let (here, mut there) = Pipe::pair(10);
    let mut here = pin!(here);
    let mut bytes = [0; 20];
    let mut room = ReadBuf::new(&mut bytes);
    assert!(AsyncRead::poll_read(here.as_mut(), &mut cx, &mut room).is_pending());
    there.write_all(b"Hello").expect("room");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(AsyncRead::poll_read(here.as_mut(), &mut cx, &mut room).is_ready());
    assert_eq!(room.filled(), b"Hello");

    assert!(matches!(AsyncWrite::poll_write(here.as_mut(), &mut cx, &[0; 30]), Poll::Ready(Ok(10))));
    assert!(AsyncWrite::poll_write(here.as_mut(), &mut cx, &[0; 20]).is_pending());
    there.read_exact(&mut [0; 3]).expect("there");
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert!(AsyncRead::poll_read(here.as_mut(), &mut cx, &mut room).is_pending());
    drop(there);
    assert_eq!(woken.0.load(Ordering::Relaxed), 3);
}
