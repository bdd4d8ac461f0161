//! A client that stays connected: prints what it receives and what becomes of its connection, and sends each line that
//! it reads.
//!
//! `cargo run --release --features full --example reconnect -- --url ws://127.0.0.1:9001`
//!
//! Stop the server and start it again. A line that meets no connection is not sent, and said so. The end of the input
//! closes with code 1000.

use std::error::Error;
use std::process::ExitCode;

use sockeye::tokio::reconnect::State;
use sockeye::tokio::{Reconnect, connect};
use sockeye::{CloseCode, Connect};
use tokio::io::{AsyncBufReadExt, BufReader};

#[path = "support/args.rs"]
mod args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = args::parse(&["--url"], &[]);
    match talk(args.text("--url").unwrap_or("ws://127.0.0.1:9001").to_owned()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk(url: String) -> Result<(), Box<dyn Error>> {
    let server = Connect::from(url);
    let mut ws = Reconnect::new(move |_attempt| {
        let server = server.clone();
        async { Ok(connect(server).await?.0) }
    });
    let (sender, mut states) = (ws.sender(), ws.states());

    tokio::spawn(async move {
        while states.changed().await.is_ok() {
            match &*states.borrow_and_update() {
                State::Connecting(attempt) => println!("* connecting, after {} failures", attempt.failures),
                State::Open => println!("* open"),
                State::Waiting { until, why } => {
                    println!("* waiting {:.1?}: {why}", until.duration_since(tokio::time::Instant::now()))
                }
                State::Closed => println!("* closed"),
            }
        }
    });

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            message = ws.recv() => match message? {
                Some(message) => println!("{}", message.as_text().unwrap_or("(binary)")),
                None => break,
            },
            line = lines.next_line() => match line? {
                Some(line) => {
                    if let Err(error) = sender.send(&line).await {
                        println!("* not sent: {error}");
                    }
                }
                None => ws.close(CloseCode::NORMAL, "").await?,
            },
        }
    }
    Ok(())
}
