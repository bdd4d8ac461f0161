//! The end of many connections at once, over the asynchronous drivers. Time is tokio's paused clock, where there is any.
#![cfg(all(feature = "tokio", feature = "futures"))]

use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use sockeye::tokio::{Gone, Shutdown, WebSocket};
use sockeye::{Agreed, CloseCode, Config, Error, Event, Message, Role, SendErrorKind, Timeout};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::{JoinHandle, JoinSet, spawn, yield_now};
use tokio::time::{Instant, sleep};
use tokio_util::compat::TokioAsyncReadCompatExt;

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const WITHIN: Duration = Duration::from_secs(5);
const REASON: &str = "the server restarts";

fn other(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

fn open(stream: DuplexStream, role: Role) -> WebSocket<DuplexStream> {
    WebSocket::open(stream, role, Agreed::default(), &Config::DEFAULT, &[])
}

/// A watched connection, and its peer.
fn pair(shutdown: &Shutdown, role: Role) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (end, peer) = duplex(1 << 12);
    (shutdown.watch(open(end, role)), open(peer, other(role)))
}

/// A watched connection whose peer neither answers nor goes away.
fn mute(shutdown: &Shutdown, role: Role) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (end, peer) = duplex(1 << 12);
    (shutdown.watch(open(end, role)), peer)
}

async fn echo(mut ws: WebSocket<DuplexStream>) -> Result<CloseCode, Error> {
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(ws.closure().expect("the connection has ended").code)
}

/// Receives until the end, and says what the peer closed with.
async fn until_closed(mut ws: WebSocket<DuplexStream>) -> (CloseCode, String) {
    let mut seen = None;
    while let Some(event) = ws.recv_event().await.expect("a clean end") {
        if let Event::Close(Some(close)) = event {
            seen = Some((close.code, close.reason.to_string()));
        }
    }
    seen.expect("Close")
}

fn begin(shutdown: &Shutdown) -> JoinHandle<Gone> {
    let shutdown = shutdown.clone();
    spawn(async move { shutdown.begin(CloseCode::GOING_AWAY, REASON, sleep(WITHIN)).await.expect("a valid Close") })
}

fn gone(in_time: usize, dropped: usize) -> Gone {
    let mut gone = Gone::default();
    (gone.in_time, gone.dropped) = (in_time, dropped);
    gone
}

#[tokio::test(start_paused = true)]
async fn healthy_peers_are_told_and_every_loop_just_ends() {
    for role in ROLES {
        let shutdown = Shutdown::new();
        let (end, mut peer) = pair(&shutdown, role);
        let handler = spawn(echo(end));
        peer.send("Hello").await.expect("sent");
        assert_eq!(peer.recv().await.expect("received").expect("an echo").as_text(), Some("Hello"));
        let start = Instant::now();
        let (begun, told) = tokio::join!(begin(&shutdown), until_closed(peer));
        assert_eq!(begun.expect("no panic"), gone(1, 0));
        assert_eq!(told, (CloseCode::GOING_AWAY, REASON.to_owned()));
        assert_eq!(handler.await.expect("no panic").expect("a clean end"), CloseCode::GOING_AWAY);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(shutdown.watched(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn l1_a_peer_that_never_answers_is_dropped_at_the_deadline() {
    for role in ROLES {
        let shutdown = Shutdown::new();
        let (end, mut peer) = mute(&shutdown, role);
        let (healthy, other) = pair(&shutdown, role);
        let handlers = [spawn(echo(end)), spawn(echo(healthy))];
        spawn(until_closed(other));
        let start = Instant::now();
        assert_eq!(begin(&shutdown).await.expect("no panic"), gone(1, 1));
        assert_eq!(start.elapsed(), WITHIN);
        let [mute, healthy] = handlers;
        assert!(healthy.await.expect("no panic").is_ok());
        let error = mute.await.expect("no panic").expect_err("no answer");
        assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
        assert_eq!(start.elapsed(), WITHIN);
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).await.expect("the stream was dropped");
        assert_eq!(sent.first(), Some(&0x88), "Close, and nothing else");
        assert_eq!(sent.len(), 2 + 4 * usize::from(role == Role::Client) + 2 + REASON.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_a_peer_that_does_not_read_is_dropped_at_the_deadline() {
    let shutdown = Shutdown::new();
    let (mut end, _peer) = mute(&shutdown, Role::Server);
    let handler = spawn(async move { end.send(vec![0; 1 << 16]).await });
    let (split, _other) = mute(&shutdown, Role::Server);
    let (mut receiver, sender) = split.into_split();
    let sending = spawn(async move { sender.send(vec![0; 1 << 16]).await });
    let receiving = spawn(async move { receiver.drain().await });
    yield_now().await;
    assert_eq!(begin(&shutdown).await.expect("no panic"), gone(0, 2));
    let error = handler.await.expect("no panic").expect_err("stalled");
    assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
    let error = sending.await.expect("no panic").expect_err("stalled");
    assert!(matches!(error, Error::Send(_)), "{error}");
    let error = receiving.await.expect("no panic").expect_err("stalled");
    assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_after_the_beginning_ends_at_once() {
    for role in ROLES {
        let shutdown = Shutdown::new();
        let (_mute, _peer) = mute(&shutdown, role);
        let begun = begin(&shutdown);
        yield_now().await;
        let (end, peer) = pair(&shutdown, role);
        let start = Instant::now();
        let (ended, told) = tokio::join!(echo(end), until_closed(peer));
        assert_eq!(ended.expect("a clean end"), CloseCode::GOING_AWAY);
        assert_eq!(told.0, CloseCode::GOING_AWAY);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(begun.await.expect("no panic"), gone(1, 1));
        // After the deadline there is no time left for a peer that has to answer.
        let (late, _peer) = mute(&shutdown, role);
        let error = echo(late).await.expect_err("no answer");
        assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
        assert_eq!(start.elapsed(), WITHIN);
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_end_at_once() {
    let shutdown = Shutdown::new();
    let (mut handlers, mut peers) = (JoinSet::new(), JoinSet::new());
    let mut mutes = Vec::new();
    for index in 0..5000 {
        if index % 10 == 0 {
            let (end, peer) = mute(&shutdown, Role::Server);
            mutes.push(peer);
            handlers.spawn(echo(end));
        } else {
            let (end, peer) = pair(&shutdown, Role::Server);
            handlers.spawn(echo(end));
            peers.spawn(until_closed(peer));
        }
    }
    assert_eq!(shutdown.watched(), 5000);
    yield_now().await;
    let start = Instant::now();
    assert_eq!(begin(&shutdown).await.expect("no panic"), gone(4500, 500));
    assert_eq!(start.elapsed(), WITHIN);
    assert_eq!(handlers.join_all().await.iter().filter(|ended| ended.is_ok()).count(), 4500);
    assert!(peers.join_all().await.iter().all(|told| told.0 == CloseCode::GOING_AWAY));
    assert_eq!(shutdown.watched(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l4_no_thread_misses_the_beginning() {
    for _ in 0..50 {
        let shutdown = Shutdown::new();
        let (mut handlers, mut peers) = (JoinSet::new(), JoinSet::new());
        let mut begun = None;
        for index in 0..100 {
            let (end, peer) = pair(&shutdown, Role::Server);
            handlers.spawn(echo(end));
            peers.spawn(until_closed(peer));
            if index == 50 {
                begun = Some(begin(&shutdown)); // while some wait, some are about to, and some are yet to come
            }
        }
        assert_eq!(begun.expect("begun").await.expect("no panic").dropped, 0);
        assert!(handlers.join_all().await.iter().all(Result::is_ok));
        assert!(peers.join_all().await.iter().all(|told| told.0 == CloseCode::GOING_AWAY));
    }
}

/// A task that is never run.
struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn tasks_that_have_sent_are_forgotten() {
    let shutdown = Shutdown::new();
    let (end, mut peer) = pair(&shutdown, Role::Server);
    let (mut receiver, sender) = end.into_split();
    assert!(receiver.recv().now_or_never().is_none());
    let tasks: Vec<_> = (0..100).map(|_| Arc::new(Idle)).collect();
    for task in &tasks {
        let waker = Waker::from(task.clone());
        assert!(pin!(sender.send("Hello")).poll(&mut Context::from_waker(&waker)).is_ready());
    }
    peer.send("Hello").await.expect("sent"); // which wakes the transport
    assert!(tasks.iter().all(|task| Arc::strong_count(task) == 1));
}

#[tokio::test(start_paused = true)]
async fn messages_that_nobody_could_answer_are_discarded() {
    for role in ROLES {
        let shutdown = Shutdown::new();
        let (end, mut peer) = pair(&shutdown, role);
        let handler = spawn(echo(end));
        yield_now().await;
        let begun = begin(&shutdown);
        // Under way before the peer sees Close: more than one poll goes through.
        for _ in 0..100 {
            peer.feed("Hello").await.expect("room");
        }
        peer.flush().await.expect("sent");
        assert_eq!(until_closed(peer).await.0, CloseCode::GOING_AWAY);
        assert_eq!(begun.await.expect("no panic"), gone(1, 0));
        assert!(handler.await.expect("no panic").is_ok(), "no `send` after Close");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_is_answered_before_the_close() {
    let shutdown = Shutdown::new();
    let (mut end, mut peer) = pair(&shutdown, Role::Server);
    for text in ["a", "b", "c"] {
        peer.feed(text).await.expect("room");
    }
    peer.flush().await.expect("sent");
    assert_eq!(end.recv().await.expect("received").expect("a message").as_text(), Some("a"));
    let begun = begin(&shutdown);
    yield_now().await;
    let handler = spawn(echo(end));
    let mut answers = Vec::new();
    while let Some(message) = peer.recv().await.expect("received") {
        answers.push(message.into_owned());
    }
    assert_eq!(answers, ["b", "c"].map(Message::from));
    assert_eq!(begun.await.expect("no panic"), gone(1, 0));
    assert!(handler.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_closed_before_receives_what_is_left() {
    let shutdown = Shutdown::new();
    let (mut end, mut peer) = pair(&shutdown, Role::Server);
    end.start_close(CloseCode::NORMAL, "").await.expect("sent");
    let begun = begin(&shutdown);
    yield_now().await;
    peer.send("last").await.expect("sent");
    assert_eq!(end.recv().await.expect("received").expect("a message").as_text(), Some("last"));
    let (ended, told) = tokio::join!(echo(end), until_closed(peer));
    assert_eq!((ended.expect("a clean end"), told.0), (CloseCode::NORMAL, CloseCode::NORMAL));
    assert_eq!(begun.await.expect("no panic"), gone(1, 0));
}

#[tokio::test(start_paused = true)]
async fn l4_a_split_connection_ends_whoever_waits() {
    for role in ROLES {
        let shutdown = Shutdown::new();
        let (end, peer) = pair(&shutdown, role);
        let (mut receiver, sender) = end.into_split();
        let waiting = spawn({
            let sender = sender.clone();
            async move { sender.closed().await }
        });
        let receiving = spawn(async move { receiver.drain().await.map(|()| receiver.closure()) });
        yield_now().await;
        let begun = begin(&shutdown);
        assert_eq!(until_closed(peer).await.0, CloseCode::GOING_AWAY);
        // A sender that is kept somewhere holds nothing up.
        assert_eq!(begun.await.expect("no panic"), gone(1, 0));
        waiting.await.expect("no panic");
        let closure = receiving.await.expect("no panic").expect("a clean end").expect("ended");
        assert!(closure.was_clean && closure.code == CloseCode::GOING_AWAY);
        let error = sender.send("late").await.expect_err("closed");
        assert!(matches!(error, Error::Send(SendErrorKind::Closed | SendErrorKind::Ended)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_put_together_are_still_watched() {
    let shutdown = Shutdown::new();
    let (end, peer) = pair(&shutdown, Role::Server);
    let (receiver, sender) = end.into_split();
    let another = sender.clone();
    let (receiver, sender) = receiver.reunite(sender).expect_err("there is another sender");
    assert_eq!(shutdown.watched(), 1);
    drop(another);
    let end = receiver.reunite(sender).expect("they belong together");
    assert_eq!(shutdown.watched(), 1);
    let handler = spawn(echo(end));
    yield_now().await;
    let begun = begin(&shutdown);
    assert_eq!(until_closed(peer).await.0, CloseCode::GOING_AWAY);
    assert!(handler.await.expect("no panic").is_ok());
    assert_eq!(begun.await.expect("no panic"), gone(1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_a_sink_in_two_tasks_end_as_well() {
    let shutdown = Shutdown::new();
    let (end, peer) = pair(&shutdown, Role::Server);
    let (sink, mut stream) = end.split::<Message<'static>>();
    let handler = spawn(async move {
        while let Some(message) = stream.next().await {
            message?;
        }
        drop(sink);
        Ok::<_, Error>(())
    });
    yield_now().await;
    let begun = begin(&shutdown);
    assert_eq!(until_closed(peer).await.0, CloseCode::GOING_AWAY);
    assert_eq!(begun.await.expect("no panic"), gone(1, 0));
    assert!(handler.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn l3_the_wait_may_be_dropped_and_made_again() {
    let shutdown = Shutdown::new();
    let (end, peer) = pair(&shutdown, Role::Server);
    let handler = spawn(echo(end));
    yield_now().await;
    let begun = shutdown.begin(CloseCode::GOING_AWAY, REASON, pending());
    assert!(begun.now_or_never().is_none());
    let again = shutdown.begin(CloseCode::NORMAL, "another", sleep(WITHIN));
    let (again, told) = tokio::join!(again, until_closed(peer));
    assert_eq!(again.expect("a valid Close"), gone(1, 0));
    assert_eq!(told, (CloseCode::GOING_AWAY, REASON.to_owned()), "the first one");
    assert!(handler.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn l3_receiving_may_be_dropped_at_every_poll() {
    let shutdown = Shutdown::new();
    let (mut end, peer) = pair(&shutdown, Role::Server);
    let begun = begin(&shutdown);
    let peer = spawn(until_closed(peer));
    let ended = loop {
        let polled = pin!(end.recv()).poll(&mut Context::from_waker(Waker::noop())).map_ok(|m| m.is_none());
        if polled.is_ready() {
            break polled;
        }
        yield_now().await;
    };
    assert!(matches!(ended, std::task::Poll::Ready(Ok(true))));
    drop(end);
    assert_eq!(begun.await.expect("no panic"), gone(1, 0));
    assert_eq!(peer.await.expect("no panic").0, CloseCode::GOING_AWAY);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_with_a_close_that_may_not_be_sent() {
    let shutdown = Shutdown::new();
    let (mut end, _peer) = mute(&shutdown, Role::Server);
    let long = "x".repeat(124);
    for (code, reason, kind) in [
        (CloseCode(1005), "", SendErrorKind::InvalidCloseCode(CloseCode(1005))),
        (CloseCode::NORMAL, &long[..], SendErrorKind::ControlFrameTooLong),
    ] {
        assert_eq!(shutdown.begin(code, reason, ready(())).await.expect_err("not to be sent"), kind);
    }
    end.send("Hello").await.expect("open");
    assert_eq!(shutdown.watched(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_connections_of_every_runtime() {
    let shutdown = Shutdown::new();
    let (end, peer) = duplex(1 << 12);
    let end = sockeye::futures::WebSocket::open(end.compat(), Role::Server, Agreed::default(), &Config::DEFAULT, &[]);
    let mut end = shutdown.watch(end);
    let peer = spawn(until_closed(open(peer, Role::Client)));
    let handler = spawn(async move { end.recv().await.map(|message| message.is_none()) });
    yield_now().await;
    assert_eq!(begin(&shutdown).await.expect("no panic"), gone(1, 0));
    assert!(handler.await.expect("no panic").expect("a clean end"));
    assert_eq!(peer.await.expect("no panic").0, CloseCode::GOING_AWAY);
}
