//! A WebSocket server on hyper 1 that sends every message back. Only the types of `http` are shared: hyper parses the
//! request and sends the response, sockeye says what is in it, and takes the stream over.
//!
//! `cargo run --release -p hyper_server -- [PORT]`, then for instance `cargo run -p client -- ws://127.0.0.1:9001/echo`

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, on};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye::tokio::WebSocket;
use sockeye::{Agreed, Config, Origins, Reject, Role, server};
use tokio::net::TcpListener;

type Body = http_body_util::Full<hyper::body::Bytes>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(9001), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(async |request| Ok::<_, Infallible>(answer(request)));
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn answer(mut request: Request<Incoming>) -> Response<Body> {
    let upgrade = on(&mut request);
    match accept(request) {
        Ok((response, agreed)) => {
            tokio::spawn(async move {
                if let Err(error) = echo(upgrade, agreed).await {
                    eprintln!("{error}");
                }
            });
            response.map(|()| Body::default())
        }
        Err(reject) => reject.into_http().map(Body::from),
    }
}

fn accept(request: Request<Incoming>) -> Result<(Response<()>, Agreed), Reject> {
    let (parts, _) = request.into_parts();
    let request = server::Request::from_http(&parts)?;
    if request.path() != "/echo" {
        return Err(request.reject(404).body("look at /echo\n"));
    }
    request.accept(Origins::Same)?.into_http()
}

async fn echo(upgrade: OnUpgrade, agreed: Agreed) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TokioIo::new(upgrade.await?);
    let mut ws = WebSocket::open(stream, Role::Server, agreed, &Config::DEFAULT, &[]);
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}
