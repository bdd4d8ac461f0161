//! Connections that wait, and echo when they are told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sockeye::{Agreed, Config, Connection, Deflate, Role};
use versus::naive::{self, BINARY, FIN, PING, PONG};
use versus::opening;
use versus::payloads::{ascii, key};

use crate::Result;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most that a read brings.
const READ: usize = 256 << 10;

/// How long those who wait are left alone. Pings have to be answered, however slow a server is with the others.
const TEND_AFTER: Duration = Duration::from_secs(5);

pub struct Clients {
    streams: Vec<TcpStream>,
    port: u16,
    /// The server sends back what it is sent, and knows no protocol.
    is_raw: bool,
    compress: bool,
    scratch: Vec<u8>,
    /// When those who wait were last looked at.
    tended: Instant,
}

impl Clients {
    pub fn new(port: u16, is_raw: bool, compress: bool) -> Self {
        Self { streams: Vec::new(), port, is_raw, compress, scratch: vec![0; READ], tended: Instant::now() }
    }

    /// Opens so many.
    pub fn open(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.tend_in_time()?;
            let stream = self.connect()?;
            self.streams.push(stream);
        }
        Ok(())
    }

    /// Closes all, without a word.
    pub fn close(&mut self) {
        self.streams.clear();
    }

    /// Has the first `count` of them send a message of `len` bytes each, one after the other, and waits for its echo.
    pub fn echo(&mut self, count: usize, len: usize) -> Result<()> {
        let message =
            if self.compress { compressed(len) } else { naive::frame(FIN | BINARY, Some(key(1)), &ascii(len)) };
        for index in 0..count {
            self.tend_in_time()?;
            let Self { streams, scratch, is_raw, .. } = self;
            let mut stream = streams.get(index).ok_or("there are not so many")?;
            thread::scope(|scope| {
                // Some answer while they receive.
                let sent = (message.len() > READ).then(|| scope.spawn(|| send(stream, &message)));
                if sent.is_none() {
                    stream.write_all(&message)?;
                }
                let received = if *is_raw { skip(stream, message.len(), scratch) } else { receive(stream, scratch) };
                sent.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join).map_err(|_| "the sender has panicked")??;
                received
            })
            .map_err(|error| format!("message {index} of {len} bytes: {error}"))?;
        }
        Ok(())
    }

    fn tend_in_time(&mut self) -> Result<()> {
        if self.tended.elapsed() > TEND_AFTER { self.tend() } else { Ok(()) }
    }

    /// Answers the pings that have come.
    fn tend(&mut self) -> Result<()> {
        self.tended = Instant::now();
        if self.is_raw {
            return Ok(());
        }
        for mut stream in &self.streams {
            stream.set_nonblocking(true)?;
            let result = stream.read(&mut self.scratch);
            stream.set_nonblocking(false)?;
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(count @ 1..) => pong(stream, self.scratch.get(..count).unwrap_or_default())?,
                _ => return Err("a connection that waited has ended".into()),
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if self.is_raw {
            return Ok(stream);
        }
        // What browsers offer.
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let request = opening::request_with(self.port, if self.compress { offer } else { "" });
        stream.write_all(request.as_bytes())?;
        let response = opening::read_response(&mut stream)?;
        if self.compress != response.contains("permessage-deflate") {
            return Err("compression is not as it was asked for".into());
        }
        Ok(stream)
    }
}

/// The first message of a connection that compresses.
fn compressed(len: usize) -> Vec<u8> {
    let deflate = Deflate::DEFAULT;
    let (_, parameters) = deflate.answer(&deflate.offer()).expect("it agrees with itself");
    let config = Config::DEFAULT.deflate(Some(deflate));
    let mut connection = Connection::open(Role::Client, Agreed::default().with_deflate(parameters), &config);
    connection.writer().send(&ascii(len)[..]).expect("a new connection takes a message");
    connection.writer().outbox().chunk().to_vec()
}

fn send(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message)
}

/// Reads one message, of any number of frames, and answers pings before it.
fn receive(mut stream: &TcpStream, scratch: &mut [u8]) -> Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                stream.read_exact(&mut len)?;
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                stream.read_exact(&mut len)?;
                u64::from_be_bytes(len) as usize
            }
            len => usize::from(len),
        };
        if head[0] == FIN | PING {
            let mut payload = vec![0; len];
            stream.read_exact(&mut payload)?;
            pong(stream, &naive::frame(FIN | PING, None, &payload))?;
            continue;
        }
        skip(stream, len, scratch)?;
        if head[0] & 0x0f > BINARY {
            return Err("the server closes a connection".into());
        }
        if head[0] & FIN != 0 {
            return Ok(());
        }
    }
}

fn skip(mut stream: &TcpStream, mut len: usize, scratch: &mut [u8]) -> Result<()> {
    while len > 0 {
        let room = len.min(scratch.len());
        let count = stream.read(&mut scratch[..room])?;
        if count == 0 {
            return Err("the server has closed a connection".into());
        }
        len -= count;
    }
    Ok(())
}

/// Answers the pings that have come; nothing else comes unasked, and so small frames always come whole.
fn pong(mut stream: &TcpStream, mut frames: &[u8]) -> Result<()> {
    while let [head, len, after @ ..] = frames {
        let (payload, rest) = after.split_at_checked(usize::from(*len)).ok_or("a frame was cut")?;
        if *head != FIN | PING {
            return Err(format!("what came is no ping, but {head:#04x} and {payload:?}").into());
        }
        stream.write_all(&naive::frame(FIN | PONG, Some(key(0)), payload))?;
        frames = rest;
    }
    if frames.is_empty() { Ok(()) } else { Err("a frame was cut".into()) }
}
