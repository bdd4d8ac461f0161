//! tokio-tungstenite, with a read buffer of 4 KiB, which it recommends for many connections.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

pub struct Tungstenite<S>(WebSocketStream<S>);

impl<S: Stream> Peer<S> for Tungstenite<S> {
    const NAME: &'static str = "tokio-tungstenite";

    const COMPRESSES: bool = false;

    type Text = Message;

    async fn open(stream: S, _: bool) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(4 << 10);
        Self(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
    }

    fn text(text: &str, _: bool) -> Message {
        Message::text(text)
    }

    async fn deliver(&mut self, text: &Message) -> Outcome {
        Ok(self.0.send(text.clone()).await?) // shares the payload
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.0.send(Message::Binary(payload)).await?)
    }
}
