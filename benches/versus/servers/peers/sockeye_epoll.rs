//! The core of this crate, which does no IO, in an event loop: a connection is a socket and a `Connection`, and nothing
//! else.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use bytes::{Buf, BufMut};
use socket2::SockRef;
use sockeye::server::Handshake;
use sockeye::{Config, Connection, Deflate, Event, Origins, PayloadBuf, Reject};

use crate::epoll::{self, Connected, READ, moved};
use crate::usage::Opened;
use crate::{Options, Outcome};

/// How many pieces of the outbox one write takes.
const PIECES: usize = 16;

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    if options.compress {
        epoll::run::<Peer<true>>(listener, options)
    } else {
        epoll::run::<Peer<false>>(listener, options)
    }
}

struct Peer<const COMPRESSES: bool> {
    stream: TcpStream,
    state: State,
}

enum State {
    Opening(Box<Handshake>),
    Open(Connection, Opened),
}

impl<const COMPRESSES: bool> Connected for Peer<COMPRESSES> {
    fn new(stream: TcpStream) -> Self {
        Self { stream, state: State::Opening(Box::new(Handshake::new(&Self::CONFIG))) }
    }

    fn ping(&mut self) -> io::Result<()> {
        let State::Open(connection, _) = &mut self.state else { return Ok(()) };
        // It is closed already, or so much waits that the peer is known not to read.
        let _ = connection.writer().ping(b"");
        write(&mut self.stream, connection).map(drop)
    }

    fn drive(&mut self, scratch: &mut [u8], ends: bool) -> io::Result<bool> {
        let mut goes_on = true;
        loop {
            if let State::Open(connection, _) = &mut self.state {
                if !write(&mut self.stream, connection)? {
                    return Ok(true); // what was not taken yet is worth more than what comes
                }
                let wants = connection.wants();
                if wants.shutdown {
                    let _ = self.stream.shutdown(Shutdown::Write); // the peer may be gone already
                }
                if wants.drop || !wants.read {
                    return Ok(!wants.drop);
                }
            }
            if !goes_on {
                return Ok(true);
            }
            let Some((count, room)) = self.read(scratch)? else { return Ok(true) };
            goes_on = count == room || ends;
        }
    }
}

impl<const COMPRESSES: bool> Peer<COMPRESSES> {
    /// The others take messages of more than the default of 1 MiB. One read may end a message of the largest size and
    /// bring small ones behind it; all of their answers have room.
    const CONFIG: Config = Config::DEFAULT.max_message_size(8 << 20).outbox_capacity(9 << 20).deflate(if COMPRESSES {
        Some(Deflate::DEFAULT)
    } else {
        None
    });

    /// Reads once and answers; how much was read into how much room, or `None` where the socket would block.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<(usize, usize)>> {
        if let State::Open(connection, _) = &mut self.state
            && let Some(payload) = connection.payload_buf()
            && payload.room() > READ / 2
        {
            let room = payload.room();
            let Some(count) = moved(read_payload(&self.stream, payload))? else { return Ok(None) };
            self.take(count, &mut [])?;
            return Ok(Some((count, room)));
        }
        let Some(count) = moved(self.stream.read(scratch))? else { return Ok(None) };
        self.take(count, &mut scratch[..count])?;
        Ok(Some((count, scratch.len())))
    }

    /// Takes what a read of `count` bytes brought.
    fn take(&mut self, count: usize, input: &mut [u8]) -> io::Result<()> {
        match &mut self.state {
            State::Open(connection, _) if count == 0 => connection.eof(),
            State::Open(connection, _) => echo(connection, input)?,
            State::Opening(_) if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            State::Opening(handshake) => match open(handshake, input, &Self::CONFIG) {
                Ok(None) => {}
                Ok(Some((mut connection, used))) => {
                    echo(&mut connection, &mut input[used..])?;
                    self.state = State::Open(connection, Opened::new());
                }
                Err(reject) => {
                    self.stream.write_all(&reject.to_vec())?;
                    return Err(io::Error::other(reject));
                }
            },
        }
        Ok(())
    }
}

/// Reads what is left of a large payload straight into its place.
fn read_payload(stream: &TcpStream, mut payload: PayloadBuf<'_>) -> io::Result<usize> {
    // SAFETY: nothing but what the kernel writes is written there.
    let room = unsafe { payload.chunk_mut().as_uninit_slice_mut() };
    let count = SockRef::from(stream).recv(room)?;
    // SAFETY: so much the kernel has written.
    unsafe { payload.advance_mut(count) };
    Ok(count)
}

/// Writes what waits; whether all of it has left.
fn write(stream: &mut TcpStream, connection: &mut Connection) -> io::Result<bool> {
    let outbox = connection.writer().outbox();
    while outbox.has_remaining() {
        let result = if outbox.chunk().len() == outbox.remaining() {
            stream.write(outbox.chunk())
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = outbox.chunks_vectored(&mut pieces);
            stream.write_vectored(&pieces[..count])
        };
        let Some(count) = moved(result)? else { return Ok(false) };
        outbox.advance(count);
    }
    Ok(true)
}

/// The connection, once the request is whole, and how much of the input that was; the rest is frames.
fn open(handshake: &mut Handshake, input: &[u8], config: &Config) -> Result<Option<(Connection, usize)>, Reject> {
    let mut rest = input;
    let Some(request) = handshake.receive(&mut rest)? else { return Ok(None) };
    Ok(Some((request.accept(Origins::Same)?.connect(config)?, input.len() - rest.len())))
}

fn echo(connection: &mut Connection, mut input: &mut [u8]) -> io::Result<()> {
    // An error has queued the Close that tells the peer; what is left to do is in `wants`.
    while let Ok(Some((event, writer))) = connection.next_with_writer(&mut input) {
        if let Event::Message(message) = event {
            writer.send(message).map_err(|error| io::Error::other(error.kind()))?;
        }
    }
    Ok(())
}
