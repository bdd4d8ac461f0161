//! A WebSocket server with a thread for each connection, which sends every message back.
//!
//! `cargo run --release --features full --example blocking_echo -- [--port PORT]`
//!
//! Port 0 picks a free one. Ctrl-C closes every connection with code 1001.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use sockeye::blocking::{Sender, WebSocket};
use sockeye::{CloseCode, Error};

#[path = "support/args.rs"]
mod args;

/// Who is connected, and a bell that rings when someone leaves.
#[derive(Default)]
struct Connected {
    senders: Mutex<HashMap<u64, Sender<TcpStream>>>,
    left: Condvar,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = args::parse(&["--port"], &[]).number("--port").unwrap_or(9001);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on ws://{}", listener.local_addr()?);
    let connected = Arc::new(Connected::default());
    let everyone = connected.clone();
    ctrlc::set_handler(move || everyone.close())?;
    for number in 0.. {
        let (stream, peer) = listener.accept()?;
        let connected = connected.clone();
        thread::spawn(move || {
            if let Err(error) = echo(stream, number, &connected) {
                eprintln!("{peer}: {error}");
            }
            connected.leave(number);
        });
    }
    Ok(())
}

/// Receives in this thread; Ctrl-C closes from another one.
fn echo(stream: TcpStream, number: u64, connected: &Connected) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let (mut receiver, sender) = WebSocket::accept(stream)?.into_split()?;
    connected.senders.lock().expect("no panic").insert(number, sender.clone());
    while let Some(message) = receiver.recv()? {
        sender.send(message)?;
    }
    Ok(())
}

impl Connected {
    fn leave(&self, number: u64) {
        self.senders.lock().expect("no panic").remove(&number);
        self.left.notify_all();
    }

    fn close(&self) {
        let mut connected = self.senders.lock().expect("no panic");
        for sender in connected.values() {
            let _ = sender.close(CloseCode::GOING_AWAY, "the server is stopping"); // or closed before
        }
        while !connected.is_empty() {
            connected = self.left.wait(connected).expect("no panic");
        }
        std::process::exit(0);
    }
}
