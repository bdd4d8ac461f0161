//! The blocking driver, over anything that reads and writes.
//!
//! ```
//! use std::net::{TcpListener, TcpStream};
//! use std::thread;
//! use sockeye::{Agreed, CloseCode, Config, Role, blocking::WebSocket};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = thread::spawn(move || {
//!     let stream = listener.accept()?.0;
//!     let mut ws = WebSocket::open(stream, Role::Server, Agreed::default(), &Config::DEFAULT, &[]);
//!     while let Some((message, writer)) = ws.recv_with_writer()? {
//!         writer.send(message)?; // answered from borrowed data, without a copy
//!     }
//!     Ok::<_, sockeye::Error>(())
//! });
//!
//! let stream = TcpStream::connect(address)?;
//! let mut ws = WebSocket::open(stream, Role::Client, Agreed::default(), &Config::DEFAULT, &[]);
//! ws.send("Hello")?;
//! assert_eq!(ws.recv()?.expect("an answer").as_text(), Some("Hello"));
//! ws.close(CloseCode::NORMAL, "bye")?;
//! server.join().expect("no panic")?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Deadlines
//! A [`Stream`] has timeouts; the driver sets them, and keeps the deadlines of [`Config`](crate::Config) with them. It
//! is the driver's call that waits, so a deadline is noticed only inside a call, and keepalive pings are sent only
//! inside `recv`. [`Untimed`] streams have no deadlines.
//!
//! # Both ways at once
//! `send` writes and does not read. Two ends that both send more than the network between them holds, each in its only
//! thread, would wait for each other; [`Config::write_timeout`](crate::Config::write_timeout) ends that. Who sends and
//! receives much at the same time uses two threads: [`into_split`](WebSocket::into_split).

#[cfg(feature = "handshake")]
mod opening;
mod split;
mod state;
mod stream;
mod websocket;

pub use split::{Receiver, Sender, SenderFragments, from_halves};
pub use stream::{ReadHalf, Stream, Untimed, WriteHalf};
pub use websocket::{Fragments, WebSocket};

#[cfg(feature = "connect")]
pub use crate::connect::blocking::{ClientStream, connect, connect_over};
