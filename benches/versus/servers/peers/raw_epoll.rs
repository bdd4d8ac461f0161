//! The floor of an event loop: bytes go back as they come.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::epoll::{self, Connected, moved};
use crate::usage::Opened;
use crate::{Options, Outcome};

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    epoll::run::<Peer>(listener, options)
}

struct Peer {
    stream: TcpStream,
    /// What the peer has not taken back yet.
    rest: Vec<u8>,
    _opened: Opened,
}

impl Connected for Peer {
    fn new(stream: TcpStream) -> Self {
        Self { stream, rest: Vec::new(), _opened: Opened::new() }
    }

    fn ping(&mut self) -> io::Result<()> {
        Ok(()) // there is no such thing
    }

    fn drive(&mut self, scratch: &mut [u8], ends: bool) -> io::Result<bool> {
        let rest = std::mem::take(&mut self.rest);
        if !self.write(&rest)? {
            return Ok(true);
        }
        loop {
            let Some(count) = moved(self.stream.read(scratch))? else { return Ok(true) };
            if count == 0 {
                return Ok(false);
            }
            let goes_on = count == scratch.len() || ends;
            if !self.write(&scratch[..count])? || !goes_on {
                return Ok(true);
            }
        }
    }
}

impl Peer {
    /// Writes the bytes, and keeps what the socket does not take; whether it took all.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            let Some(count) = moved(self.stream.write(bytes))? else { break };
            bytes = &bytes[count..];
        }
        self.rest = bytes.to_vec();
        Ok(bytes.is_empty())
    }
}
