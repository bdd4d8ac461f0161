//! The sans-IO core in a hand-written event loop: an echo server with one scratch buffer for all sockets. Run
//! `cargo run --release --features full --example sans_io -- [--port PORT]`; Ctrl-C closes everyone with code 1001.

use std::{error::Error, io::ErrorKind::WouldBlock, io::Read, io::Write, net::Shutdown};

use mio::net::TcpStream;
use sockeye::{CloseCode, Config, Connection, Event, Origins, Reject, SendErrorKind, server::Handshake};

#[path = "support/args.rs"]
mod args;
#[path = "support/event_loop.rs"]
mod event_loop;

struct Peer(TcpStream, Handshake, Option<Connection>);

/// Writes, reads and answers until the socket would block; whether it is still needed.
fn drive(Peer(stream, handshake, connection): &mut Peer, scratch: &mut [u8]) -> Result<bool, Box<dyn Error>> {
    loop {
        if let Some(connection) = connection {
            while connection.wants().write {
                match stream.write(connection.writer().outbox().chunk()) {
                    Err(error) if error.kind() == WouldBlock => break,
                    count => connection.writer().outbox().advance(count?),
                }
            }
            let wants = connection.wants();
            if wants.shutdown {
                let _ = stream.shutdown(Shutdown::Write); // the peer may be gone already
            }
            if wants.drop || !wants.read {
                return Ok(!wants.drop);
            }
        }
        let input = match stream.read(scratch) {
            Err(error) if error.kind() == WouldBlock => return Ok(true),
            count => &mut scratch[..count?],
        };
        match connection {
            Some(connection) if input.is_empty() => connection.eof(),
            Some(connection) => echo(connection, input)?,
            None if input.is_empty() => return Ok(false),
            None => match open(handshake, input) {
                Ok(Some((opened, used))) => echo(connection.insert(opened), &mut input[used..])?,
                Ok(None) => {}
                Err(reject) => return Ok(stream.write_all(&reject.to_vec()).map(|()| false)?),
            },
        }
    }
}

/// The connection, once the request is whole, and how much of the input that was; the rest is frames.
fn open(handshake: &mut Handshake, input: &[u8]) -> Result<Option<(Connection, usize)>, Reject> {
    let mut rest = input;
    let Some(request) = handshake.receive(&mut rest)? else { return Ok(None) };
    Ok(Some((request.accept(Origins::Same)?.connect(&Config::DEFAULT)?, input.len() - rest.len())))
}

fn echo(connection: &mut Connection, mut input: &mut [u8]) -> Result<(), SendErrorKind> {
    // An error has queued the Close that tells the peer; what is left to do is in `wants`.
    while let Ok(Some((event, writer))) = connection.next_with_writer(&mut input) {
        if let Event::Message(message) = event {
            writer.send(message)?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = args::parse(&["--port"], &[]);
    let mut scratch = vec![0; 64 << 10];
    let new = |stream| Peer(stream, Handshake::new(&Config::DEFAULT), None);
    event_loop::run(args.number("--port").unwrap_or(9001), new, |peer, stopping| {
        if let (true, Some(connection)) = (stopping, &mut peer.2) {
            let _ = connection.writer().close(CloseCode::GOING_AWAY, "the server is stopping"); // or closed before
        }
        drive(peer, &mut scratch).unwrap_or(false)
    })
}
