//! A WebSocket server in axum that sends every message back, beside a page that talks to it.
//!
//! `cargo run --release -p axum_server -- [PORT]` and open the address that it prints in a browser.
//!
//! Ctrl-C stops accepting, closes every connection with code 1001, and drops after ten seconds what is left.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use sockeye::tokio::Shutdown;
use sockeye::{CloseCode, Error};
use sockeye_axum::{WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(9001), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let shutdown = Shutdown::new();
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/echo", any(upgrade));
    let app = app.with_state(shutdown.clone());
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;

    // Upgraded connections are no longer axum's.
    let deadline = tokio::time::sleep(Duration::from_secs(10));
    shutdown.begin(CloseCode::GOING_AWAY, "the server is stopping", deadline).await?;
    Ok(())
}

async fn upgrade(upgrade: WebSocketUpgrade, State(shutdown): State<Shutdown>) -> Response {
    upgrade.on_upgrade(async move |ws| {
        if let Err(error) = echo(shutdown.watch(ws)).await {
            eprintln!("{error}");
        }
    })
}

async fn echo(mut ws: WebSocket) -> Result<(), Error> {
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}

const PAGE: &str = r#"<!doctype html>
<title>echo</title>
<input autofocus placeholder="type, and press Enter">
<pre></pre>
<script>
    const [input, log] = [document.querySelector('input'), document.querySelector('pre')];
    const ws = new WebSocket(location.href.replace('http', 'ws') + 'echo');
    ws.onmessage = event => log.append(event.data + '\n');
    ws.onclose = event => log.append(`closed with ${event.code} ${event.reason}\n`);
    input.onchange = () => { ws.send(input.value); input.value = ''; };
</script>
"#;
