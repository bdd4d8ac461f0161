//! This crate: its driver over tokio's streams, and its core over sockets that do not block.

use std::io::Write;

use bytes::{Buf, Bytes};
use sockeye::tokio::{Sender, WebSocket};
use sockeye::{Agreed, Config, Connection, Deflate, Prepared, Role, Writer};

use super::{Blocking, Peer};
use crate::Outcome;
use crate::sink::Stream;

/// The others compress however short a message is. Keepalive is off, as it is with most of them.
const CONFIG: Config = Config::DEFAULT.ping_interval(None).deflate(Some(Deflate::DEFAULT.threshold(0)));

fn agreed(compress: bool) -> Agreed {
    let agreed = Agreed::default();
    if !compress {
        return agreed;
    }
    let (_, parameters) = Deflate::DEFAULT.answer(&Deflate::DEFAULT.offer()).expect("it agrees with itself");
    agreed.with_deflate(parameters)
}

/// The other end.
pub fn client(compress: bool) -> Connection {
    Connection::open(Role::Client, agreed(compress), &CONFIG)
}

/// A frame that is ready to leave.
pub fn frame(text: &str, compress: bool) -> Bytes {
    let (_, mut writer) = Connection::open(Role::Server, agreed(compress), &CONFIG).split();
    writer.send(text).expect("a new connection takes a message");
    let outbox = writer.outbox();
    outbox.copy_to_bytes(outbox.remaining())
}

/// A sender for each receiver; what comes back from it is drained in a task of its own.
pub struct Driver<S: Stream>(Sender<S>);

impl<S: Stream> Peer<S> for Driver<S> {
    const NAME: &'static str = "sockeye";

    const COMPRESSES: bool = true;

    type Text = Prepared;

    async fn open(stream: S, compress: bool) -> Self {
        let socket = WebSocket::open(stream, Role::Server, agreed(compress), &CONFIG, &[]);
        let (mut receiver, sender) = socket.into_split();
        tokio::spawn(async move { receiver.drain().await });
        Self(sender)
    }

    fn text(text: &str, _: bool) -> Prepared {
        Prepared::new(text)
    }

    async fn deliver(&mut self, text: &Prepared) -> Outcome {
        Ok(self.0.try_send_prepared(text)?)
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.0.send(payload).await?)
    }
}

pub struct Core<S> {
    writer: Writer,
    stream: S,
}

impl<S: Write + 'static> Blocking<S> for Core<S> {
    const NAME: &'static str = "sockeye-epoll";

    type Text = Prepared;

    fn open(stream: S, compress: bool) -> Self {
        let (_, writer) = Connection::open(Role::Server, agreed(compress), &CONFIG).split();
        Self { writer, stream }
    }

    fn text(text: &str, _: bool) -> Prepared {
        Prepared::new(text)
    }

    fn deliver(&mut self, text: &Prepared) -> Outcome {
        self.writer.send_prepared(text)?;
        let outbox = self.writer.outbox();
        // What is refused stays there until the socket is writable.
        match self.stream.write(outbox.chunk()) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            written => outbox.advance(written?),
        }
        Ok(())
    }

    fn send(&mut self, payload: Bytes, mut wait: impl FnMut(&S) -> Outcome) -> Outcome {
        self.writer.send(payload).map_err(|error| error.kind())?;
        let outbox = self.writer.outbox();
        while outbox.has_remaining() {
            match self.stream.write(outbox.chunk()) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => wait(&self.stream)?,
                written => outbox.advance(written?),
            }
        }
        Ok(())
    }
}
