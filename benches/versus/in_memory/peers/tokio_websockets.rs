//! tokio-websockets, by its `Stream` and `Sink`.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sockeye::Role;
use tokio_websockets::{ClientBuilder, Message, ServerBuilder, WebSocketStream};

use super::Peer;
use crate::Outcome;
use crate::wire::{Wire, now};

pub struct Stream(WebSocketStream<Wire>);

impl Peer for Stream {
    const NAME: &'static str = "tokio-websockets";

    fn open(wire: Wire, role: Role) -> Self {
        Self(match role {
            Role::Client => ClientBuilder::new().take_over(wire),
            Role::Server => ServerBuilder::new().serve(wire),
        })
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                let message = self.0.next().await.ok_or("closed")??;
                seen(message.as_payload());
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        now(async {
            for _ in 0..count {
                self.0.send(Message::binary(payload.clone())).await?;
            }
            Ok(())
        })
    }
}
