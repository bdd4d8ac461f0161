//! The asynchronous drivers over streams that hold back, fail or flood at the worst moment: nobody waits for ever, and
//! nobody is told what is not so. Time is tokio's paused clock.
#![cfg(all(feature = "tokio", feature = "futures"))]

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockeye::tokio::WebSocket;
use sockeye::{Agreed, CloseCode, Config, Error, Event, Message, Role, SendErrorKind, Timeout, client};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::{Instant, timeout};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// A stream whose every call answers as it is told; what it is told is `Pending` for ever where nothing else is said.
struct Told {
    read: Box<Reads>,
    write: Box<Writes>,
    flush: Box<Flushes>,
    shutdown: Box<ShutsDown>,
}

type Reads = dyn FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> + Send;
type Writes = dyn FnMut(&[u8]) -> Poll<io::Result<usize>> + Send;
type Flushes = dyn FnMut(&mut Context<'_>) -> Poll<io::Result<()>> + Send;
type ShutsDown = dyn FnMut() -> Poll<io::Result<()>> + Send;

impl Default for Told {
    fn default() -> Self {
        Self {
            read: Box::new(|_| Poll::Pending),
            write: Box::new(|bytes| Poll::Ready(Ok(bytes.len()))),
            flush: Box::new(|_| Poll::Ready(Ok(()))),
            shutdown: Box::new(|| Poll::Ready(Ok(()))),
        }
    }
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        (self.read)(room)
    }
}

impl AsyncWrite for Told {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (self.write)(bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.flush)(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.shutdown)()
    }
}

/// Gives the bytes once, in one read, then nothing.
fn once(bytes: &'static [u8]) -> Box<Reads> {
    let mut bytes = Some(bytes);
    Box::new(move |room| match bytes.take() {
        Some(bytes) => {
            room.put_slice(bytes);
            Poll::Ready(Ok(()))
        }
        None => Poll::Pending,
    })
}

/// The first flush waits.
fn late_flush() -> Box<Flushes> {
    let mut flushes = 0;
    Box::new(move |cx| {
        flushes += 1;
        if flushes > 1 {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    WebSocket::open(stream, role, Agreed::default(), config, &[])
}

fn half(role: Role, size: usize, config: &Config) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (a, b) = duplex(size);
    (open(a, role, config), b)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), count.into())
    }

    fn is_woken(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

const NO_KEEPALIVE: Config = Config::DEFAULT.ping_interval(None);

#[tokio::test(start_paused = true)]
async fn l10_a_flush_that_had_to_wait_once_is_no_stalled_write_later() {
    for role in ROLES {
        let stream = Told { flush: late_flush(), ..Told::default() };
        let mut ws = open(stream, role, &NO_KEEPALIVE);
        ws.send("Hello").await.expect("flushed");
        timeout(Duration::from_secs(3600), ws.recv()).await.expect_err("the peer is silent, and nothing is wrong");
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_did_not_reach_the_kernel_is_not_reported_as_sent() {
    // The peer closes, and then takes nothing more.
    let (ws, mut wire) = half(Role::Server, 64, &Config::DEFAULT);
    wire.write_all(b"\x88\x80\0\0\0\0").await.expect("room");
    let (mut receiver, sender) = ws.into_split();
    let sending = tokio::spawn(async move { sender.send(&[7; 5000]).await });
    tokio::task::yield_now().await;
    receiver.drain().await.expect("both ends have closed");
    let error = sending.await.expect("no panic").expect_err("most of it is still here");
    assert!(matches!(error, Error::Send(SendErrorKind::Closed)), "{error}");

    let mut writes = 0;
    let stream = Told {
        read: once(b"\x88\x80\0\0\0\0"),
        write: Box::new(move |_| {
            writes += 1;
            Poll::Ready(if writes == 1 { Ok(1) } else { Err(io::ErrorKind::BrokenPipe.into()) })
        }),
        ..Told::default()
    };
    let mut ws = open(stream, Role::Server, &Config::DEFAULT);
    ws.feed("never arrives").await.expect("room");
    assert!(matches!(ws.recv_event().await, Ok(Some(Event::Close(None)))));
    ws.flush().await.expect_err("the stream broke before it had all been written");
}

#[tokio::test(start_paused = true)]
async fn l1_close_through_a_sink_apart_from_its_stream_has_a_deadline() {
    let (ws, _wire) = half(Role::Client, 1 << 16, &NO_KEEPALIVE);
    let (mut sink, mut stream) = ws.split();
    let start = Instant::now();
    let receiving = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    SinkExt::<Message<'static>>::close(&mut sink).await.expect("sent");
    let end = timeout(Duration::from_secs(60), receiving).await.expect("in time").expect("no panic");
    assert!(matches!(end, Some(Err(Error::Timeout(Timeout::Close)))), "{end:?}");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn l2_the_end_of_the_stream_wakes_a_sink_in_the_same_task() {
    let (ws, wire) = half(Role::Client, 64, &NO_KEEPALIVE);
    let (mut sink, mut stream) = ws.split();
    let tasks = tokio::task::LocalSet::new();
    let both = tasks.spawn_local(async move {
        let sending = SinkExt::<Message<'static>>::send(&mut sink, vec![7; 5000].into());
        tokio::join!(biased; sending, stream.next())
    });
    let peer = async {
        tokio::task::yield_now().await;
        let (_reading, mut writing) = tokio::io::split(wire); // nobody reads what comes
        writing.write_all(b"\x88\x00").await.expect("room");
        timeout(Duration::from_secs(60), both).await.expect("in time").expect("no panic")
    };
    let (sent, received) = tasks.run_until(peer).await;
    assert!(received.is_none(), "both ends have closed");
    assert!(matches!(sent, Err(Error::Send(SendErrorKind::Closed))), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn l1_close_through_a_sink_in_the_task_of_its_stream_has_a_deadline() {
    let (ws, _wire) = half(Role::Client, 1 << 16, &NO_KEEPALIVE);
    let (mut sink, mut stream) = ws.split();
    let both = async { tokio::join!(biased; stream.next(), SinkExt::<Message<'static>>::close(&mut sink)) };
    let (end, closed) = timeout(Duration::from_secs(60), both).await.expect("in time");
    closed.expect("sent");
    assert!(matches!(end, Some(Err(Error::Timeout(Timeout::Close)))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn l2_a_sender_whose_write_fails_wakes_the_receiver() {
    let stream = Told { write: Box::new(|_| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))), ..Told::default() };
    let (mut receiver, sender) = open(stream, Role::Server, &NO_KEEPALIVE).into_split();
    let receiving = tokio::spawn(async move { receiver.drain().await });
    tokio::task::yield_now().await;
    sender.send("lost").await.expect_err("broken");
    let end = timeout(Duration::from_secs(60), receiving).await.expect("in time").expect("no panic");
    assert!(matches!(end, Err(Error::Io(_))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn closed_returns_when_the_receiver_is_dropped() {
    let (ws, _wire) = half(Role::Server, 64, &Config::DEFAULT);
    let (receiver, sender) = ws.into_split();
    let waiting = sender.clone();
    let waiting = tokio::spawn(async move { waiting.closed().await });
    tokio::task::yield_now().await;
    drop(receiver);
    timeout(Duration::from_secs(60), waiting).await.expect("in time").expect("no panic");
    timeout(Duration::from_secs(60), sender.closed()).await.expect("in time");
    assert!(!sender.is_closed(), "it can still send");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_terminated_before_its_failure_was_reported() {
    // As many reads as one poll may make: the end of the stream is the last of them.
    for before in 0..64 {
        let mut reads = 0;
        let read = move |room: &mut ReadBuf<'_>| {
            reads += 1;
            if reads <= before {
                room.put_slice(b"\x8a\x00");
            }
            Poll::Ready(Ok(()))
        };
        let stream = Told { read: Box::new(read), ..Told::default() };
        let mut ws = open(stream, Role::Client, &Config::DEFAULT);
        let mut failures = 0;
        while !ws.is_terminated() {
            let polled = Pin::new(&mut ws).poll_next(&mut Context::from_waker(Waker::noop()));
            failures += usize::from(matches!(polled, Poll::Ready(Some(Err(Error::UnexpectedEof)))));
        }
        assert_eq!(failures, 1, "after {before} reads");
    }
}

#[tokio::test(start_paused = true)]
async fn m9_feed_waits_where_the_outbox_holds_less_than_the_high_water_mark() {
    let config = Config::DEFAULT.outbox_capacity(100);
    let (mut ws, _wire) = half(Role::Server, 64, &config);
    ws.feed(&[7; 200]).await.expect("room");
    assert!(timeout(Duration::from_secs(1), ws.feed("waits")).await.is_err());

    let (ws, _wire) = half(Role::Server, 64, &config);
    let (_receiver, sender) = ws.into_split();
    sender.feed(&[7; 200]).await.expect("room");
    assert!(timeout(Duration::from_secs(1), sender.feed("waits")).await.is_err());
    assert!(timeout(Duration::from_secs(1), sender.ping(b"waits")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn l13_two_ends_that_queue_through_the_writer_go_on_reading() {
    let (a, b) = duplex(64);
    let ends = [open(a, Role::Client, &Config::DEFAULT), open(b, Role::Server, &Config::DEFAULT)];
    let ends = ends.map(|mut ws| {
        tokio::spawn(async move {
            ws.writer().send(&[7; 500_000]).expect("room");
            ws.recv().await.expect("no failure").expect("open");
            ws
        })
    });
    for end in ends {
        end.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn h9_a_handshake_whose_flush_or_flood_does_not_end_has_its_deadline() {
    let request = || client::Request::get("ws://example.com/").expect("valid");
    let stream = Told { flush: Box::new(|_| Poll::Pending), ..Told::default() };
    let result = timeout(Duration::from_secs(60), WebSocket::client(stream, request())).await.expect("in time");
    assert!(matches!(result, Err(Error::Timeout(Timeout::Handshake))));

    // A refusal whose body is one endless chunk size.
    let mut head = Some(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut reads = 0_u32;
    let read = move |room: &mut ReadBuf<'_>| {
        reads += 1;
        assert!(reads < 10_000, "one poll ends");
        room.put_slice(head.take().map_or(&b"0".repeat(1000)[..], |head| head));
        Poll::Ready(Ok(()))
    };
    let stream = Told { read: Box::new(read), ..Told::default() };
    let mut future = pin!(WebSocket::client(stream, request()));
    let (woken, waker) = Count::new();
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "other tasks run");
    assert!(woken.is_woken());
    tokio::time::advance(Duration::from_secs(11)).await;
    let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) else { panic!("too late") };
    assert!(matches!(result, Err(Error::Handshake(error)) if error.status() == Some(404)));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_reported_whatever_becomes_of_the_stream_after_it() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let shutdowns: [Box<ShutsDown>; 2] =
        [Box::new(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into()))), Box::new(|| Poll::Pending)];
    for shutdown in shutdowns {
        let stream = Told { read: once(request), shutdown, ..Told::default() };
        let result = timeout(Duration::from_secs(60), WebSocket::accept(stream)).await.expect("in time");
        assert!(matches!(result, Err(Error::Rejected(reject)) if reject.status() == 426));
    }
    let write = Box::new(|_: &[u8]| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())));
    let stream = Told { read: once(request), write, ..Told::default() };
    let result = WebSocket::accept(stream).await;
    assert!(matches!(result, Err(Error::Rejected(reject)) if reject.status() == 426));
}

#[tokio::test]
async fn l5_a_stream_that_replaces_the_buffer_is_an_error() {
    let mut head = Some(b"\x82\x7f\0\0\0\0\0\x10\0\0");
    let read = move |room: &mut ReadBuf<'_>| {
        match head.take() {
            Some(head) => room.put_slice(head),
            None => {
                *room = ReadBuf::new(Box::leak(Box::new([7; 100])));
                room.set_filled(100);
            }
        }
        Poll::Ready(Ok(()))
    };
    let stream = Told { read: Box::new(read), ..Told::default() };
    let mut ws = open(stream, Role::Client, &Config::DEFAULT);
    assert!(matches!(ws.recv().await, Err(Error::Io(_))));
    assert!(matches!(ws.recv().await, Ok(None)));
}

#[test]
fn futures_and_types_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    fn is_send_and_sync<T: Send + Sync>() {}
    let (mut ws, _wire) = half(Role::Client, 64, &NO_KEEPALIVE);
    is_send(&ws.recv());
    is_send(&ws.recv_with_writer());
    is_send(&ws.recv_event());
    is_send(&ws.recv_part());
    is_send(&ws.send("a"));
    is_send(&ws.flush());
    is_send(&ws.ping(b""));
    is_send(&ws.close(CloseCode::NORMAL, ""));
    let (mut receiver, sender) = ws.into_split();
    is_send(&receiver.recv());
    is_send(&sender.send("a"));
    is_send(&sender.closed());
    is_send(&WebSocket::accept(Told::default()));
    is_send_and_sync::<sockeye::tokio::Sender<DuplexStream>>();
    is_send_and_sync::<sockeye::futures::WebSocket<tokio_util::compat::Compat<DuplexStream>>>();
    is_send_and_sync::<sockeye::Connection>();
    is_send_and_sync::<sockeye::Prepared>();
    is_send_and_sync::<sockeye::Event<'_>>();
    is_send_and_sync::<Error>();
    fn is_sink<S: Sink<Message<'static>, Error = Error>>() {}
    is_sink::<WebSocket<DuplexStream>>();
}
