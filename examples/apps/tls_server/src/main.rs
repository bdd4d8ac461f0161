//! A WebSocket server inside of TLS that sends every message back, with a certificate that it makes for itself.
//!
//! `cargo run --release -p tls_server -- [PORT [FILE]]`
//!
//! The certificate is written to `FILE`, for a client to trust, which is `certificate.pem` unless it is said. Ctrl-C
//! closes every connection with code 1001, and drops after ten seconds what is left.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sockeye::CloseCode;
use sockeye::tokio::{Shutdown, WebSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(9443), |port| port.parse())?;
    let file = args.next().unwrap_or_else(|| "certificate.pem".into());
    let tls = TlsAcceptor::from(Arc::new(configuration(&file)?));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on wss://localhost:{}", listener.local_addr()?.port());

    let shutdown = Shutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let (tls, shutdown) = (tls.clone(), shutdown.clone());
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, tls, shutdown).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    shutdown.begin(CloseCode::GOING_AWAY, "the server is stopping", sleep(Duration::from_secs(10))).await?;
    Ok(())
}

/// Makes a certificate and its key. A real server reads both from files.
fn configuration(file: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])?;
    std::fs::write(file, made.cert.pem())?;
    let key = made.signing_key.serialize_der().try_into()?;
    let mut tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

async fn echo(stream: TcpStream, tls: TlsAcceptor, shutdown: Shutdown) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?; // `accept` cannot see the socket inside of TLS
    let stream = timeout(Duration::from_secs(10), tls.accept(stream)).await??;
    let mut ws = shutdown.watch(WebSocket::accept(stream).await?);
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}
