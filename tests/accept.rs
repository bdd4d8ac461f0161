//! Answers to an opening handshake that take their time.
#![cfg(all(feature = "tokio", feature = "futures"))]

use std::future::{pending, ready};
use std::time::Duration;

use sockeye::tokio::WebSocket;
use sockeye::{Config, Error, HandshakeError, Origins, client};
use tokio::io::{DuplexStream, duplex};
use tokio::task::{JoinHandle, spawn};
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_secs(4);
const CONFIG: Config = Config::DEFAULT.handshake_timeout(Some(TIMEOUT));

/// A server's end of a stream, and what becomes of the client at the other.
fn client() -> (DuplexStream, JoinHandle<Result<u16, Error>>) {
    let (server, client) = duplex(1 << 12);
    let request = client::Request::get("ws://localhost/").expect("a URL");
    let connecting = async { WebSocket::client(client, request).await.map(|(_, response)| response.status()) };
    (server, spawn(connecting))
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_wait_for_others() {
    let (stream, client) = client();
    let start = Instant::now();
    let ws = WebSocket::accept_async(stream, &CONFIG, async |request| {
        sleep(TIMEOUT / 2).await;
        request.accept(Origins::Same)
    });
    assert!(ws.await.is_ok());
    assert_eq!(start.elapsed(), TIMEOUT / 2);
    assert!(client.await.expect("no panic").is_ok());

    let (stream, client) = self::client();
    let ws = WebSocket::accept_async(stream, &CONFIG, |request| ready(Err(request.reject(429))));
    assert_eq!(ws.await.expect_err("refused").status(), Some(429));
    assert_eq!(client.await.expect("no panic").expect_err("refused").status(), Some(429));
}

#[tokio::test(start_paused = true)]
async fn h9_an_answer_that_does_not_come_is_503() {
    let (stream, client) = client();
    let start = Instant::now();
    let ws = WebSocket::accept_async(stream, &CONFIG, |_| pending());
    assert_eq!(ws.await.expect_err("too late").status(), Some(503));
    assert_eq!(start.elapsed(), TIMEOUT);
    let Error::Handshake(HandshakeError::Refused(refusal)) = client.await.expect("no panic").expect_err("refused")
    else {
        panic!("a refusal")
    };
    assert_eq!(refusal.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn l1_a_client_that_does_not_read_the_503_holds_nothing_up() {
    let (stream, mut client) = duplex(1 << 10);
    let start = Instant::now();
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, head.as_bytes()).await.expect("sent");
    let ws = WebSocket::accept_async(stream, &CONFIG, |_| pending());
    assert_eq!(ws.await.expect_err("too late").status(), Some(503));
    assert_eq!(start.elapsed(), 2 * TIMEOUT, "the client neither reads nor goes away");
}
