//! yawc, by its `Sink`. Compression is of level 1, and its state is borrowed from a pool, as it recommends for many
//! connections.

use bytes::Bytes;
use futures_util::SinkExt;
use yawc::{DeflatePool, Frame, Options, Role, WebSocket};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

/// What both ends have agreed on.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

pub struct Yawc<S>(WebSocket<S>);

thread_local! {
    /// Just one connection at a time compresses.
    static POOL: DeflatePool = DeflatePool::new(1);
}

fn compressing() -> Options {
    let options = Options::default().with_low_latency_compression();
    options.server_no_context_takeover().client_no_context_takeover().with_deflate_pool(POOL.with(Clone::clone))
}

impl<S: Stream> Peer<S> for Yawc<S> {
    const NAME: &'static str = "yawc";

    const COMPRESSES: bool = true;

    type Text = Frame;

    async fn open(stream: S, compress: bool) -> Self {
        let options = if compress { compressing() } else { Options::default() };
        let socket = WebSocket::from_stream_with_extensions(stream, Role::Server, compress.then_some(AGREED), options);
        Self(socket.expect("it agrees with itself"))
    }

    fn text(text: &str, _: bool) -> Frame {
        Frame::text(text.to_owned())
    }

    async fn deliver(&mut self, text: &Frame) -> Outcome {
        Ok(self.0.send(text.clone()).await?) // shares the payload
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.0.send(Frame::binary(payload)).await?)
    }
}
