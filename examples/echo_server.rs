//! A WebSocket server on tokio that sends every message back.
//!
//! `cargo run --release --features full --example echo_server -- [--port PORT] [--threads N] [--any-origin]`
//!
//! Port 0 picks a free one, one thread means a current-thread runtime. Browsers may connect from pages of the same host,
//! or of any with `--any-origin`. Ctrl-C closes every connection with code 1001.

use sockeye::tokio::WebSocket;
use sockeye::{CloseCode, Config, Error, Origins};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[path = "support/args.rs"]
mod args;

const CONFIG: Config = Config::DEFAULT.max_message_size(64 << 20);

fn main() -> std::io::Result<()> {
    let args = args::parse(&["--port", "--threads"], &["--any-origin"]);
    let any_origin = args.has("--any-origin");
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
        accept_until_stopped(listener, any_origin).await
    })
}

async fn accept_until_stopped(listener: TcpListener, any_origin: bool) -> std::io::Result<()> {
    let stop = watch::Sender::new(());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let stopped = stop.subscribe();
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, any_origin, stopped).await {
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

async fn echo(stream: TcpStream, any_origin: bool, mut stopped: watch::Receiver<()>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let origins = if any_origin { Origins::Any } else { Origins::Same };
    let mut ws = WebSocket::accept_with(stream, &CONFIG, |request| request.accept(origins)).await?;
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
