//! tokio-websockets, by its `Sink`.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

pub struct TokioWebsockets<S>(WebSocketStream<S>);

impl<S: Stream> Peer<S> for TokioWebsockets<S> {
    const NAME: &'static str = "tokio-websockets";

    const COMPRESSES: bool = false;

    type Text = Message;

    async fn open(stream: S, _: bool) -> Self {
        Self(ServerBuilder::new().serve(stream))
    }

    fn text(text: &str, _: bool) -> Message {
        Message::text(text.to_owned())
    }

    async fn deliver(&mut self, text: &Message) -> Outcome {
        Ok(self.0.send(text.clone()).await?) // shares the payload
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.0.send(Message::binary(payload)).await?)
    }
}
