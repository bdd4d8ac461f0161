//! wtx, whose frames need a payload that could be masked. That of a text for many is the same for all, taken and put
//! back; a large message that is shared has to be copied. Compression is of level 1, and forgets each message, though it
//! cannot say so.

use std::cell::Cell;

use bytes::Bytes;
use wtx::rng::{Xorshift64, simple_seed};
use wtx::web_socket::compression::{CompressionLevel, Flate2, NegotiatedFlate2};
use wtx::web_socket::{Compression, DeflateConfig, Frame, OpCode, WebSocketBuffer, WebSocketOwned};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

type Socket<C, S> = WebSocketOwned<C, Xorshift64, S, false>;

pub enum Wtx<S> {
    Plain(Box<Socket<(), S>>),
    Compressed(Box<Socket<Option<NegotiatedFlate2>, S>>),
}

/// The extension as it is after a client has asked for it.
fn agreed() -> wtx::Result<Option<NegotiatedFlate2>> {
    let config = DeflateConfig { compression_level: CompressionLevel::One, ..DeflateConfig::default() };
    let offer: [&[u8]; 2] = [b"sec-websocket-extensions", b"permessage-deflate"];
    Compression::<false>::negotiate(Flate2::from(config), [offer].into_iter())
}

impl<S> Wtx<S>
where
    S: Stream,
{
    async fn write(&mut self, op_code: OpCode, payload: &mut [u8]) -> wtx::Result<()> {
        let mut frame = Frame::new_fin(op_code, payload);
        match self {
            Self::Plain(socket) => socket.write_frame(&mut frame).await,
            Self::Compressed(socket) => socket.write_frame(&mut frame).await,
        }
    }
}

impl<S: Stream> Peer<S> for Wtx<S> {
    const NAME: &'static str = "wtx";

    const COMPRESSES: bool = true;

    type Text = Cell<Vec<u8>>;

    async fn open(stream: S, compress: bool) -> Self {
        let (rng, buffer) = (Xorshift64::from(simple_seed()), WebSocketBuffer::new());
        if compress {
            let agreed = agreed().expect("the offer is a good one");
            Self::Compressed(Box::new(WebSocketOwned::new(agreed, false, rng, stream, buffer)))
        } else {
            Self::Plain(Box::new(WebSocketOwned::new((), false, rng, stream, buffer)))
        }
    }

    fn text(text: &str, _: bool) -> Cell<Vec<u8>> {
        Cell::new(text.into())
    }

    async fn deliver(&mut self, text: &Cell<Vec<u8>>) -> Outcome {
        let mut payload = text.take();
        let written = self.write(OpCode::Text, &mut payload).await;
        text.set(payload);
        Ok(written?)
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        Ok(self.write(OpCode::Binary, &mut Vec::from(payload)).await?)
    }
}
