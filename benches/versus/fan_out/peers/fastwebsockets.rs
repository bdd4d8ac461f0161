//! fastwebsockets, whose frames borrow their payloads.

use bytes::Bytes;
use fastwebsockets::{Frame, Payload, Role, WebSocket};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

pub struct Fastwebsockets<S>(WebSocket<S>);

impl<S: Stream> Peer<S> for Fastwebsockets<S> {
    const NAME: &'static str = "fastwebsockets";

    const COMPRESSES: bool = false;

    type Text = Bytes;

    async fn open(stream: S, _: bool) -> Self {
        Self(WebSocket::after_handshake(stream, Role::Server))
    }

    fn text(text: &str, _: bool) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    async fn deliver(&mut self, text: &Bytes) -> Outcome {
        Ok(self.0.write_frame(Frame::text(Payload::Borrowed(text))).await?)
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.0.write_frame(Frame::binary(Payload::Borrowed(&payload))).await?)
    }
}
