//! The load: connections that keep so many messages in flight, over epoll. It is no client of any crate: frames were
//! prepared, and replies are compared.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use versus::naive::{self, FIN, PING, PONG, TEXT};
use versus::payloads::key;

use crate::Result;
use crate::histogram::Histogram;
use crate::work::{Frames, Work};

/// The most that a read brings.
const READ: usize = 256 << 10;

/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

const EVENTS: usize = 512;

/// How closely replies are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    EveryByte,
    /// Where each frame begins, and how many there are.
    Lengths,
}

pub struct Load<'a> {
    epoll: Epoll,
    connections: Vec<Connection<'a>>,
    in_flight: usize,
    scratch: Vec<u8>,
}

/// What a run has done.
pub struct Ran {
    pub messages: usize,
    pub elapsed: Duration,
}

impl<'a> Load<'a> {
    /// Opens all connections. A server that is `raw` has no handshake, and sends back what it was sent.
    pub fn open(work: &'a Work, port: u16, raw: bool) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        let mut connections = Vec::with_capacity(work.connections);
        for number in 0..work.connections {
            let stream = connect(port, raw)?;
            stream.set_nonblocking(true)?;
            epoll.add(stream.as_fd(), EpollEvent::new(interest, number as u64))?;
            let reply = if raw { &work.frames } else { &work.reply };
            connections.push(Connection::new(stream, &work.frames, reply));
        }
        Ok(Self { epoll, connections, in_flight: work.in_flight, scratch: vec![0; READ] })
    }

    /// Keeps the messages in flight for so long, then waits for those that still are.
    pub fn run(&mut self, length: Duration, care: Care, latencies: &mut Histogram) -> Result<Ran> {
        let mut messages = 0;
        let start = Instant::now();
        for connection in &mut self.connections {
            connection.owe(self.in_flight, Instant::now());
            connection.write()?;
        }
        let mut waiting = self.connections.len();
        let mut events = [EpollEvent::empty(); EVENTS];
        while waiting > 0 {
            let count = self.epoll.wait(&mut events, EpollTimeout::try_from(PATIENCE)?)?;
            if count == 0 {
                return Err("it answers no more".into());
            }
            for event in &events[..count] {
                let connection = &mut self.connections[event.data() as usize];
                let was_waiting = !connection.sent.is_empty();
                let replies = connection.read(&mut self.scratch, care)?;
                let now = Instant::now();
                for sent in connection.sent.drain(..replies) {
                    latencies.add((now - sent).as_nanos() as u64);
                }
                messages += replies;
                if now - start < length {
                    connection.owe(replies, now);
                }
                connection.write()?;
                waiting -= usize::from(was_waiting && connection.sent.is_empty());
            }
        }
        Ok(Ran { messages, elapsed: start.elapsed() })
    }
}

struct Connection<'a> {
    stream: TcpStream,
    frames: &'a Frames,
    /// Where in the frames the next byte to be sent is, and how many are to be sent.
    next: usize,
    due: usize,
    /// When those in flight were to be sent.
    sent: VecDeque<Instant>,
    reply: &'a Frames,
    /// Where in the replies the next byte to be received is.
    at: usize,
    /// What came of a ping, and what is to be sent for it.
    ping: Vec<u8>,
    pong: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, frames: &'a Frames, reply: &'a Frames) -> Self {
        let (sent, ping, pong) = Default::default();
        Self { stream, frames, next: 0, due: 0, sent, reply, at: 0, ping, pong }
    }

    /// So many more messages are to be sent.
    fn owe(&mut self, count: usize, now: Instant) {
        self.due += count * self.frames.len;
        self.sent.extend(std::iter::repeat_n(now, count));
    }

    /// Writes what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while self.due > 0 || !self.pong.is_empty() {
            let is_between = self.next.is_multiple_of(self.frames.len);
            let is_pong = is_between && !self.pong.is_empty();
            let bytes = if is_pong { &self.pong } else { &self.frames.from(self.next)[..self.due] };
            let Some(count) = unless_blocked(self.stream.write(bytes))? else { return Ok(()) };
            if is_pong {
                self.pong.drain(..count);
            } else {
                self.next = (self.next + count) % self.frames.cycle();
                self.due -= count;
            }
        }
        Ok(())
    }

    /// Reads what is there, and counts the replies that it completes.
    fn read(&mut self, scratch: &mut [u8], care: Care) -> Result<usize> {
        let mut replies = 0;
        while let Some(count) = unless_blocked(self.stream.read(scratch))? {
            if count == 0 {
                return Err("it has closed a connection".into());
            }
            replies += self.take(&scratch[..count], care)?;
            if count < scratch.len() {
                break;
            }
        }
        Ok(replies)
    }

    fn take(&mut self, mut bytes: &[u8], care: Care) -> Result<usize> {
        let mut replies = 0;
        while !bytes.is_empty() {
            let into = self.at % self.reply.len;
            let expected = &self.reply.from(self.at)[..self.reply.len - into];
            if into == 0 && (bytes[0] == FIN | PING || !self.ping.is_empty()) {
                bytes = self.take_ping(bytes);
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(expected.len()));
            let looked_at = if care == Care::EveryByte { now.len() } else { usize::from(into == 0) };
            if now[..looked_at] != expected[..looked_at] {
                return Err("what came back is not what was sent".into());
            }
            replies += usize::from(now.len() == expected.len());
            self.at = (self.at + now.len()) % self.reply.cycle();
            bytes = rest;
        }
        if replies > self.sent.len() {
            return Err("more came back than was sent".into());
        }
        Ok(replies)
    }

    /// Some ask now and then whether anybody is there.
    fn take_ping<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let missing = match self.ping.get(1) {
            None => 2 - self.ping.len(),
            Some(len) => 2 + usize::from(*len) - self.ping.len(),
        };
        let (now, rest) = bytes.split_at(missing.min(bytes.len()));
        self.ping.extend(now);
        if self.ping.len() >= 2 && self.ping.len() == 2 + usize::from(self.ping[1]) {
            self.pong.extend(naive::frame(FIN | PONG, Some(key(0)), &self.ping[2..]));
            self.ping.clear();
        }
        rest
    }
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

fn connect(port: u16, raw: bool) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if raw {
        return Ok(stream);
    }
    let request = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut bytes = [0; 1024];
    while !answer.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err("it does not answer the handshake".into());
        }
        answer.extend(&bytes[..count]);
    }
    let accept = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    if !answer.starts_with(b"HTTP/1.1 101 ") || !answer.windows(accept.len()).any(|window| window == accept) {
        return Err("it refuses the handshake".into());
    }
    Ok(stream)
}

/// Whether a server takes a text that is none, as it must not.
pub fn takes_invalid_text(port: u16) -> Result<bool> {
    let mut stream = connect(port, false)?;
    stream.write_all(&naive::frame(FIN | TEXT, Some(key(1)), b"caf\xe9"))?;
    let mut first = [0];
    // Some reset the connection.
    Ok(stream.read(&mut first).is_ok_and(|count| count > 0 && first[0] & 0x0f == TEXT))
}
