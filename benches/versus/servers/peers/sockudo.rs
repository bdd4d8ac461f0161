//! sockudo-ws, whose `Sink` batches what is fed to it.

use std::net::TcpListener;

use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::stream::CompressedWebSocketStream;
use sockudo_ws::{Config, Message, Role, WebSocketStream};
use tokio::net::TcpStream;

use crate::handshake::accept;
use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    if options.compress { on_tokio::run(listener, compressing) } else { on_tokio::run(listener, plain) }
}

async fn plain(mut stream: TcpStream) -> Outcome {
    let leftover = server_handshake(&mut stream).await?.leftover;
    let socket = WebSocketStream::from_raw_with_leftover(stream, Role::Server, config(), leftover);
    let _opened = Opened::new();
    Ok(on_tokio::echo(socket, is_data).await?)
}

async fn compressing(mut stream: TcpStream) -> Outcome {
    let mut agreed = None;
    accept(&mut stream, |offers| {
        agreed = negotiate_server_deflate(offers, &DeflateConfig::default());
        agreed.as_ref().map(|agreed| agreed.to_response_header())
    })
    .await?;
    let agreed = agreed.ok_or("no compression was offered")?;
    let socket = CompressedWebSocketStream::server(stream, config(), agreed.config);
    let _opened = Opened::new();
    Ok(on_tokio::echo(socket, is_data).await?)
}

/// Without the pings that are on by default, as most other crates never send any.
fn config() -> Config {
    Config::builder().auto_ping(false).idle_timeout(0).build()
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
