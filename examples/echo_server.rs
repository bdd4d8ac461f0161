//! A WebSocket server on tokio that sends every message back.
//!
//! `cargo run --release --features full --example echo_server -- [OPTION...]`
//!
//! - `--port PORT` instead of 9001; 0 picks a free one
//! - `--threads N`; one thread means a current-thread runtime
//! - `--any-origin` lets browsers connect from any page, not only from those of the same host
//! - `--no-deflate` accepts no compression, `--context-takeover` lets it keep its windows between messages
//!
//! Ctrl-C closes every connection with code 1001.

use sockeye::tokio::WebSocket;
use sockeye::{CloseCode, Config, Deflate, Error, Origins};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[path = "support/args.rs"]
mod args;

fn main() -> std::io::Result<()> {
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

async fn accept_until_stopped(listener: TcpListener, config: Config, origins: Origins<'static>) -> std::io::Result<()> {
    let stop = watch::Sender::new(());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let stopped = stop.subscribe();
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, &config, origins, stopped).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    stop.send_replace(());
    stop.closed().await; // every connection has dropped its receiver
    Ok(())
}

async fn echo(
    stream: TcpStream,
    config: &Config,
    origins: Origins<'_>,
    mut stopped: watch::Receiver<()>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = WebSocket::accept_with(stream, config, |request| request.accept(origins)).await?;
    loop {
        tokio::select! {
            biased;
            received = ws.recv_with_writer() => match received? {
                Some((message, writer)) => writer.send(message)?,
                None => return Ok(()),
            },
            _ = stopped.changed() => return ws.close(CloseCode::GOING_AWAY, "the server is stopping").await,
        }
    }
}
