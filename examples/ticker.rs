//! A server that tells every subscriber the same price each second. It is encoded once, and who is too slow is dropped.
//!
//! `cargo run --release --features tokio --example ticker -- [--port PORT]`; then look at it with any client, such as
//! `cargo run --release --features full --example echo_client -- ws://127.0.0.1:9001`
//!
//! Ctrl-C closes every connection with code 1001.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sockeye::tokio::{Sender, WebSocket};
use sockeye::{CloseCode, Error, Prepared};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

#[path = "support/args.rs"]
mod args;

#[derive(Clone, Default)]
struct Subscribers(Arc<Mutex<Vec<Sender<TcpStream>>>>);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let args = args::parse(&["--port"], &[]);
    let listener = TcpListener::bind(("127.0.0.1", args.number("--port").unwrap_or(9001))).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let subscribers = Subscribers::default();
    let (mut seconds, mut noise) = (interval(Duration::from_secs(1)), 0_u32);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let subscribers = subscribers.clone();
                tokio::spawn(async move {
                    if let Err(error) = subscribe(stream, &subscribers).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            _ = seconds.tick() => {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let price = 64_000 + (noise >> 24);
                subscribers.tell(&Prepared::new(format!(r#"{{"price":{price}}}"#)));
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    subscribers.close().await;
    Ok(())
}

/// Lasts as long as the subscriber; what he says does not matter.
async fn subscribe(stream: TcpStream, subscribers: &Subscribers) -> Result<(), Error> {
    let (mut receiver, sender) = WebSocket::accept(stream).await?.into_split();
    subscribers.with(|senders| senders.push(sender));
    receiver.drain().await
}

impl Subscribers {
    fn with<R>(&self, act: impl FnOnce(&mut Vec<Sender<TcpStream>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whoever is gone, or has so much to read that this is refused, is told no more. Nobody waits for anybody.
    fn tell(&self, news: &Prepared) {
        self.with(|senders| senders.retain(|sender| sender.try_send_prepared(news).is_ok()));
    }

    async fn close(&self) {
        let senders = self.with(std::mem::take);
        for sender in &senders {
            let _ = sender.try_close(CloseCode::GOING_AWAY, "the server is stopping"); // closed already is as good
        }
        for sender in &senders {
            sender.closed().await; // at the latest when the time to close is over
        }
    }
}
