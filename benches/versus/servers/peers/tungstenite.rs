//! tokio-tungstenite, whose `Sink` batches what is fed to it.

use std::net::TcpListener;

use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, _: Options) -> Outcome {
    on_tokio::run(listener, |stream| async {
        let socket = accept_async(stream).await?;
        let _opened = Opened::new();
        Ok(on_tokio::echo(socket, |message: &Message| message.is_text() || message.is_binary()).await?)
    })
}
