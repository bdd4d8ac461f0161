//! A server on a loopback port that follows a script, and clients of both drivers for it.

// Every program that includes this file uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye::{Agreed, CloseCode, Config, Connect, Error, Role, accept_key, blocking};

pub(crate) const DRIVERS: [Driver; 2] = [Driver::Tokio, Driver::Blocking];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    Tokio,
    Blocking,
}

/// What was seen of a connection that was opened, greeted and closed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) agreed: Agreed,
    pub(crate) cookie: Option<Vec<u8>>,
    /// What came back for Hello.
    pub(crate) answer: String,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) nodelay: bool,
    pub(crate) is_tls: bool,
}

macro_rules! greet {
    ($connecting:expr $(, $await:tt)?) => {{
        let (mut ws, response) = $connecting$(.$await)??;
        ws.send("Hello")$(.$await)??;
        let answer = ws.recv()$(.$await)??.and_then(|message| message.as_text().map(str::to_owned)).expect("an answer");
        let socket = ws.get_ref().get_ref();
        let opened = Opened {
            agreed: response.agreed().clone(),
            cookie: response.headers().get("Set-Cookie").map(<[u8]>::to_vec),
            answer,
            peer: socket.peer_addr()?,
            local: socket.local_addr()?,
            nodelay: socket.nodelay()?,
            is_tls: ws.get_ref().is_tls(),
        };
        ws.close(CloseCode::NORMAL, "bye")$(.$await)??;
        Ok(opened)
    }};
}

impl Driver {
    /// Connects, says Hello, waits for the answer and closes.
    pub(crate) fn open(self, connect: Connect) -> Result<Opened, Error> {
        match self {
            Self::Tokio => runtime().block_on(async { greet!(sockeye::tokio::connect(connect), await) }),
            Self::Blocking => greet!(blocking::connect(connect)),
        }
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Gives one connection after the other its answer. A 101 is completed with what the request asks for, and its
    /// messages are echoed.
    pub(crate) fn start(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, answers) = (heads.clone(), Vec::from_iter(answers));
        thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                serve(stream, &answer, &log);
            }
        });
        Self { address, heads }
    }

    pub(crate) fn url(&self, resource: &str) -> String {
        format!("ws://{}{resource}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

/// An answer that accepts, with further header lines.
pub(crate) fn accepting(headers: &str) -> String {
    format!("101 {headers}")
}

pub(crate) fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// The response that accepts this request.
pub(crate) fn answer(request: &str, headers: &str) -> Vec<u8> {
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").expect("a key");
    let accept = accept_key(key.split("\r\n").next().expect("a line").as_bytes());
    let accept = std::str::from_utf8(&accept).expect("base64");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// Answers one request, over whatever stream.
pub(crate) fn serve(mut stream: impl Read + Write, response: &str, heads: &Mutex<Vec<String>>) {
    let Some(head) = read_head(&mut stream) else { return };
    heads.lock().expect("no panic").push(head.clone());
    let Some(headers) = response.strip_prefix("101 ") else {
        let _ = stream.write_all(response.as_bytes()).and_then(|()| stream.flush());
        return;
    };
    if stream.write_all(&answer(&head, headers)).and_then(|()| stream.flush()).is_err() {
        return;
    }
    let stream = blocking::Untimed(stream);
    let mut ws = blocking::WebSocket::open(stream, Role::Server, Agreed::default(), &Config::DEFAULT, &[]);
    while let Ok(Some((message, writer))) = ws.recv_with_writer() {
        writer.send(message).expect("room");
    }
}

fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend(byte);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
