//! sockudo-ws, by its `Sink`. Compression is of level 1, which is that of the others.

use bytes::Bytes;
use futures_util::SinkExt;
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::stream::CompressedWebSocketStream;
use sockudo_ws::{Config, Message, WebSocketStream};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

pub enum Sockudo<S> {
    Plain(Box<WebSocketStream<S>>),
    Compressed(Box<CompressedWebSocketStream<S>>),
}

fn deflate() -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        compression_level: 1,
        compression_threshold: 0,
        ..DeflateConfig::default()
    }
}

impl<S: Stream> Peer<S> for Sockudo<S> {
    const NAME: &'static str = "sockudo-ws";

    const COMPRESSES: bool = true;

    type Text = Message;

    async fn open(stream: S, compress: bool) -> Self {
        if compress {
            Self::Compressed(Box::new(CompressedWebSocketStream::server(stream, Config::default(), deflate())))
        } else {
            Self::Plain(Box::new(WebSocketStream::server(stream, Config::default())))
        }
    }

    fn text(text: &str, _: bool) -> Message {
        Message::text(text)
    }

    async fn deliver(&mut self, text: &Message) -> Outcome {
        // Shares the payload.
        match self {
            Self::Plain(socket) => Ok(socket.send(text.clone()).await?),
            Self::Compressed(socket) => Ok(socket.send(text.clone()).await?),
        }
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        match self {
            Self::Plain(socket) => Ok(socket.send(Message::Binary(payload)).await?),
            Self::Compressed(socket) => Ok(socket.send(Message::Binary(payload)).await?),
        }
    }
}
