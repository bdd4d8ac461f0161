//! A WebSocket server on tokio that sends every message back.
//!
//! `cargo run --release --features full --example echo_server -- [OPTION...]`
//!
//! - `--port PORT` instead of 9001; 0 picks a free one
//! - `--threads N`; one thread means a current-thread runtime
//! - `--any-origin` lets browsers connect from any page, not only from those of the same host
//! - `--no-deflate` accepts no compression, `--context-takeover` lets it keep its windows between messages
//!
//! Ctrl-C closes every connection with code 1001, and drops after ten seconds those whose peers do not answer.

use std::time::Duration;

use sockeye::tokio::{Shutdown, WebSocket};
use sockeye::{CloseCode, Config, Deflate, Error, Origins};
use tokio::net::{TcpListener, TcpStream};

#[path = "support/args.rs"]
mod args;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = args::parse(&["--port", "--threads"], &["--any-origin", "--no-deflate", "--context-takeover"]);
    let deflate = Deflate::DEFAULT.context_takeover(args.has("--context-takeover"));
    let deflate = (!args.has("--no-deflate")).then_some(deflate);
    let config = Config::DEFAULT.max_message_size(64 << 20).deflate(deflate);
    let origins = if args.has("--any-origin") { Origins::Any } else { Origins::Same };
    let mut runtime = match args.number("--threads") {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(threads @ 2..) = args.number("--threads") {
        runtime.worker_threads(threads.into());
    }
    runtime.enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", args.number("--port").unwrap_or(9001))).await?;
        println!("listening on ws://{}", listener.local_addr()?);
        accept_until_stopped(listener, config, origins).await
    })
}

async fn accept_until_stopped(
    listener: TcpListener,
    config: Config,
    origins: Origins<'static>,
) -> Result<(), Box<dyn std::error::Error>> {
    let shutdown = Shutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let shutdown = shutdown.clone();
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, &config, origins, shutdown).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    let deadline = tokio::time::sleep(Duration::from_secs(10));
    shutdown.begin(CloseCode::GOING_AWAY, "the server is stopping", deadline).await?;
    Ok(())
}

async fn echo(stream: TcpStream, config: &Config, origins: Origins<'_>, shutdown: Shutdown) -> Result<(), Error> {
    let ws = WebSocket::accept_with(stream, config, |request| request.accept(origins)).await?;
    let mut ws = shutdown.watch(ws);
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}
