//! tokio-websockets, in a task without a budget, as in its examples. It writes what waits whenever it reads, so that it is
//! given batches.

use std::net::TcpListener;

use tokio::task::unconstrained;
use tokio_websockets::{Message, ServerBuilder};

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, _: Options) -> Outcome {
    on_tokio::run(listener, |stream| {
        unconstrained(async {
            let (_, socket) = ServerBuilder::new().accept(stream).await?;
            let _opened = Opened::new();
            Ok(on_tokio::echo_in_batches(socket, |message: &Message| message.is_text() || message.is_binary()).await?)
        })
    })
}
