//! This crate over tokio, by the loop of its README.

use std::net::TcpListener;

use sockeye::tokio::WebSocket;
use sockeye::{Config, Deflate, Origins};
use tokio::net::TcpStream;

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    run(listener, config(options))
}

/// Without the pings that are on by default: most other crates send none.
pub fn serve_without_keepalive(listener: TcpListener, options: Options) -> Outcome {
    run(listener, config(options).ping_interval(None))
}

/// The others take messages of more than the default of 1 MiB.
fn config(options: Options) -> Config {
    let config = options.ping.map_or(Config::DEFAULT, |interval| Config::DEFAULT.ping_interval(Some(interval)));
    config.max_message_size(8 << 20).deflate(options.compress.then_some(Deflate::DEFAULT))
}

fn run(listener: TcpListener, config: Config) -> Outcome {
    let config = Box::leak(Box::new(config)); // the tasks share it until the process ends
    on_tokio::run(listener, |stream| echo(stream, config))
}

async fn echo(stream: TcpStream, config: &'static Config) -> Outcome {
    let mut ws = WebSocket::accept_with(stream, config, |request| request.accept(Origins::Same)).await?;
    let _opened = Opened::new();
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}
