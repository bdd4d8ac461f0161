//! A WebSocket client for the terminal: sends each line of standard input as a text message, and prints what comes.
//!
//! `cargo run --release -p client -- ws://127.0.0.1:9001 [--header 'Name: value'] [--subprotocol NAME] [--json]`
//!
//! A line that begins with a slash is a command: `/ping [PAYLOAD]`, `/close [CODE] [REASON]`, and `//` for a text that
//! begins with one. At the end of the input it closes with code 1000 and prints what is still on the way, so that
//! `echo Hello | client ws://127.0.0.1:9001` prints the answer. Messages go to standard output, all else to the error
//! output. It exits with 0 if the connection was closed cleanly.

use std::error::Error;
use std::future::pending;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use serde_json::Value;
use sockeye::tokio::{ClientStream, Receiver, Sender, WebSocket};
use sockeye::{CloseCode, Closure, Config, Connect, Deflate, Event, Message};
use tokio::sync::mpsc;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Talks to a WebSocket server.
#[derive(Parser)]
struct Args {
    /// Where to connect to
    url: String,
    /// A header of the request; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// A subprotocol to offer, the most wanted first; may be repeated
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Prints JSON with line breaks and indentation
    #[arg(long)]
    json: bool,
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or("a header is `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match talk(Args::parse()).await {
        Ok(closure) => {
            eprintln!(
                "closed by {} with {} {}",
                if closure.by_peer { "the server" } else { "us" },
                closure.code,
                closure.reason
            );
            ExitCode::from(u8::from(!closure.was_clean))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk(args: Args) -> Result<Closure> {
    let ws = connect(&args).await?;
    eprintln!("connected, {}", ws.agreed().subprotocol().map_or("no subprotocol", |name| name));
    let (mut receiver, sender) = ws.into_split();
    // Both at once: who sends much receives much. The receiver sees the end.
    let sending = async {
        send_lines(&sender).await;
        pending().await
    };
    tokio::select! {
        ended = print_messages(&mut receiver, args.json) => ended?,
        never = sending => never,
    }
    Ok(receiver.closure().ok_or("the connection has not ended")?)
}

async fn connect(args: &Args) -> Result<WebSocket<ClientStream>> {
    let config = Config::DEFAULT.max_message_size(64 << 20).deflate(Some(Deflate::DEFAULT));
    let mut server = Connect::to(&args.url).config(config);
    for (name, value) in &args.header {
        server = server.header(name, value);
    }
    for name in &args.subprotocol {
        server = server.protocol(name);
    }
    Ok(sockeye::tokio::connect(server).await?.0)
}

async fn print_messages(receiver: &mut Receiver<ClientStream>, json: bool) -> Result<()> {
    while let Some(event) = receiver.recv_event().await? {
        let mut out = io::stdout().lock();
        match event {
            Event::Message(Message::Text(text)) if json => writeln!(out, "{}", pretty(&text))?,
            Event::Message(Message::Text(text)) => writeln!(out, "{text}")?,
            Event::Message(Message::Binary(payload)) => writeln!(out, "({} bytes)", payload.len())?,
            Event::Pong(payload) => eprintln!("pong {}", String::from_utf8_lossy(&payload)),
            _ => {}
        }
    }
    Ok(())
}

/// The text with line breaks and indentation, if it is JSON.
fn pretty(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
}

/// Goes through the input. Whatever is wrong with a line, the next one is read.
async fn send_lines(sender: &Sender<ClientStream>) {
    let mut lines = input();
    while let Some(line) = lines.recv().await {
        if let Err(error) = send_line(sender, &line).await {
            eprintln!("{error}");
        }
    }
    let _ = sender.close(CloseCode::NORMAL, "").await; // closed already is as good
}

async fn send_line(sender: &Sender<ClientStream>, line: &str) -> Result<()> {
    let Some(rest) = line.strip_prefix('/') else { return Ok(sender.send(line).await?) };
    let (name, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    match name {
        "ping" => sender.ping(argument.as_bytes()).await?,
        "close" => close(sender, argument).await?,
        _ if rest.starts_with('/') => sender.send(rest).await?,
        _ => eprintln!("/ping [PAYLOAD], /close [CODE] [REASON], or // for a text that begins with a slash"),
    }
    Ok(())
}

async fn close(sender: &Sender<ClientStream>, arguments: &str) -> Result<()> {
    let (code, reason) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let code = if code.is_empty() { CloseCode::NORMAL } else { CloseCode(code.parse()?) };
    Ok(sender.close(code, reason).await?)
}

/// The lines of standard input. They are read by a thread of its own, which nobody waits for at the end.
fn input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(io::Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
