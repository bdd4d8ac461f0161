//! Accepted sockets send at once what they are given, and other streams are accepted as they are.
#![cfg(feature = "tokio")]

use std::net;
use std::thread;

use sockeye::{Config, Origins, blocking, client};
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};

fn request() -> client::Request {
    client::Request::get("ws://localhost/").expect("a URL")
}

#[tokio::test]
async fn tokio_sockets_have_it_until_it_is_turned_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = tokio::spawn(async move {
        let stream = TcpStream::connect(address).await.expect("connected");
        sockeye::tokio::WebSocket::client(stream, request()).await.expect("accepted")
    });
    let (stream, _) = listener.accept().await.expect("a client");
    assert!(!stream.nodelay().expect("an option"), "nothing is shown if the system has it on");
    let ws = sockeye::tokio::WebSocket::accept(stream).await.expect("a handshake");
    assert!(ws.get_ref().nodelay().expect("an option"));
    ws.get_ref().set_nodelay(false).expect("an option");
    assert!(!ws.get_ref().nodelay().expect("an option"));
    client.await.expect("no panic");
}

#[tokio::test]
async fn borrowed_streams_and_others_are_accepted_as_they_are() {
    let (mut server, mut client) = duplex(1 << 12);
    let (server, client) = tokio::join!(
        sockeye::tokio::WebSocket::accept(&mut server),
        sockeye::tokio::WebSocket::client(&mut client, request()),
    );
    assert!(server.is_ok() && client.is_ok());
}

/// Accepts a client on what `wrap` makes of its socket.
fn accept<S: blocking::Stream>(wrap: impl FnOnce(net::TcpStream) -> S) -> blocking::WebSocket<S> {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = thread::spawn(move || {
        let stream = net::TcpStream::connect(address).expect("connected");
        blocking::WebSocket::client(stream, request()).expect("accepted")
    });
    let (stream, _) = listener.accept().expect("a client");
    assert!(!stream.nodelay().expect("an option"));
    let answer = |request: sockeye::server::Request| request.accept(Origins::Same);
    let ws = blocking::WebSocket::accept_with(wrap(stream), &Config::DEFAULT, answer).expect("a handshake");
    client.join().expect("no panic");
    ws
}

#[test]
fn blocking_sockets_have_it_also_behind_a_pointer() {
    let ws = accept(|stream| stream);
    assert!(ws.get_ref().nodelay().expect("an option"));
    assert!(accept(Box::new).get_ref().nodelay().expect("an option"));
    ws.get_ref().set_nodelay(false).expect("an option");
    assert!(!ws.get_ref().nodelay().expect("an option"));
    assert!(!accept(blocking::Untimed).get_ref().0.nodelay().expect("an option"), "a stream that tells nothing");
}
