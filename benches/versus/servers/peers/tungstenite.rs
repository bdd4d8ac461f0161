//! tokio-tungstenite, whose `Sink` batches what is fed to it.

use std::net::TcpListener;

use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

/// With its buffers of 128 KiB, which it recommends for much traffic.
pub fn serve(listener: TcpListener, _: Options) -> Outcome {
    run(listener, WebSocketConfig::default())
}

/// With buffers of 4 KiB for reading, which it recommends to save memory; before each read they are zeroed.
pub fn serve_lean(listener: TcpListener, _: Options) -> Outcome {
    run(listener, WebSocketConfig::default().read_buffer_size(4 << 10))
}

fn run(listener: TcpListener, config: WebSocketConfig) -> Outcome {
    on_tokio::run(listener, move |stream| async move {
        let socket = accept_async_with_config(stream, Some(config)).await?;
        let _opened = Opened::new();
        Ok(on_tokio::echo(socket, |message: &Message| message.is_text() || message.is_binary()).await?)
    })
}
