//! A WebSocket client on tokio: sends each line of standard input as a text message, and prints each reply.
//!
//! `cargo run --release --features full --example echo_client -- [OPTION...] ws://127.0.0.1:9001`
//!
//! `--no-deflate` offers no compression, `--context-takeover` offers to keep its windows between messages.
//!
//! At the end of the input it waits for the replies that are missing, closes with code 1000, and exits with 0 if the
//! connection was closed cleanly.

use std::io::Write;
use std::process::ExitCode;

use sockeye::tokio::WebSocket;
use sockeye::{CloseCode, Config, Deflate, Message, client};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

#[path = "support/args.rs"]
mod args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = args::parse(&[], &["--no-deflate", "--context-takeover"]);
    let deflate = Deflate::DEFAULT.context_takeover(args.has("--context-takeover"));
    let deflate = (!args.has("--no-deflate")).then_some(deflate);
    let config = Config::DEFAULT.max_message_size(64 << 20).deflate(deflate);
    let url = args.plain.first().map_or("ws://127.0.0.1:9001", String::as_str);
    match talk(url, &config).await {
        Ok(was_clean) => ExitCode::from(u8::from(!was_clean)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk(url: &str, config: &Config) -> Result<bool, Box<dyn std::error::Error>> {
    let request = client::Request::get(url)?;
    let stream = TcpStream::connect(request.address()).await?;
    stream.set_nodelay(true)?;
    let (mut ws, _response) = WebSocket::client_with(stream, request, config).await?;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut sent, mut received, mut ended) = (0, 0, false);
    while !ended || received < sent {
        tokio::select! {
            line = lines.next_line(), if !ended => match line? {
                Some(line) => {
                    ws.send(&line).await?;
                    sent += 1;
                }
                None => ended = true,
            },
            message = ws.recv() => match message? {
                Some(message) => {
                    print(&message)?;
                    received += 1;
                }
                None => break,
            },
        }
    }
    ws.close(CloseCode::NORMAL, "").await?;
    Ok(ws.closure().is_some_and(|closure| closure.was_clean && received == sent))
}

fn print(message: &Message<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match message {
        Message::Text(text) => writeln!(out, "{text}")?,
        Message::Binary(payload) => writeln!(out, "({} bytes)", payload.len())?,
    }
    out.flush()
}
