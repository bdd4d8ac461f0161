//! A loop around mio: accepts sockets, and drives each when it is readable or writable, until Ctrl-C.

use std::collections::HashMap;
use std::error::Error;
use std::net::Ipv4Addr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);

/// `drive` tells whether the peer is still needed; after Ctrl-C it is told that this is the end.
pub fn run<P>(
    port: u16,
    new: impl Fn(TcpStream) -> P,
    mut drive: impl FnMut(&mut P, bool) -> bool,
) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port).into())?;
    println!("listening on ws://{}", listener.local_addr()?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), STOP)?;
    ctrlc::set_handler(move || waker.wake().expect("the poll is there"))?;

    let (mut events, mut peers, mut last, mut stopping) = (Events::with_capacity(256), HashMap::new(), STOP, false);
    while !stopping || !peers.is_empty() {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue, // a signal; the waker comes too
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => {
                    while let Ok((mut stream, _)) = listener.accept() {
                        last = Token(last.0 + 1);
                        poll.registry().register(&mut stream, last, Interest::READABLE | Interest::WRITABLE)?;
                        peers.insert(last, new(stream));
                    }
                }
                STOP => {
                    stopping = true;
                    peers.retain(|_, peer| drive(peer, stopping));
                }
                token => {
                    if let Some(peer) = peers.get_mut(&token)
                        && !drive(peer, stopping)
                    {
                        peers.remove(&token);
                    }
                }
            }
        }
    }
    Ok(())
}
