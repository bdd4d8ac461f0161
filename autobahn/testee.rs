//! The program that the Autobahn testsuite judges: an echo server, or a client that echoes, over one of the drivers.
//!
//! `autobahn_testee server DRIVER --port PORT` and `autobahn_testee client DRIVER URL AGENT`, where the driver is `tokio`,
//! `futures` or `blocking`.

use std::error::Error;

use sockeye::{Config, Deflate, Origins, client};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::TokioAsyncReadCompatExt;

const CONFIG: Config =
    Config::DEFAULT.max_message_size(64 << 20).deflate(Some(Deflate::DEFAULT.context_takeover(true).threshold(0)));

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", driver, "--port", port] => serve(driver, port.parse()?).await,
        ["client", driver, url, agent] => run_cases(driver, url, agent).await,
        _ => Err("usage: autobahn_testee server DRIVER --port PORT | client DRIVER URL AGENT".into()),
    }
}

async fn serve(driver: &str, port: u16) -> Outcome {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let driver = driver.to_owned();
        // The suite breaks the protocol on purpose; what it says of our answer is in its report.
        tokio::spawn(async move { accept(&driver, stream).await.map_err(|error| eprintln!("{error}")) });
    }
}

async fn accept(driver: &str, stream: TcpStream) -> Result<(), sockeye::Error> {
    stream.set_nodelay(true)?;
    let any = |request: sockeye::server::Request| request.accept(Origins::Any);
    match driver {
        "futures" => {
            let mut ws = sockeye::futures::WebSocket::accept_with(stream.compat(), &CONFIG, any).await?;
            while let Some((message, writer)) = ws.recv_with_writer().await? {
                writer.send(message)?;
            }
        }
        "blocking" => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            tokio::task::spawn_blocking(move || {
                let mut ws = sockeye::blocking::WebSocket::accept_with(stream, &CONFIG, any)?;
                while let Some((message, writer)) = ws.recv_with_writer()? {
                    writer.send(message)?;
                }
                Ok::<_, sockeye::Error>(())
            })
            .await
            .expect("no panic")?;
        }
        _ => {
            let mut ws = sockeye::tokio::WebSocket::accept_with(stream, &CONFIG, any).await?;
            while let Some((message, writer)) = ws.recv_with_writer().await? {
                writer.send(message)?;
            }
        }
    }
    Ok(())
}

async fn run_cases(driver: &str, url: &str, agent: &str) -> Outcome {
    let count: u32 = String::from_utf8(talk(driver, &format!("{url}/getCaseCount")).await?)?.parse()?;
    for case in 1..=count {
        // A case may well end in an error of ours; the suite judges it.
        let _ = talk(driver, &format!("{url}/runCase?case={case}&agent={agent}")).await;
    }
    talk(driver, &format!("{url}/updateReports?agent={agent}")).await?;
    Ok(())
}

/// Echoes until the server closes, and returns the first message.
async fn talk(driver: &str, url: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let request = client::Request::get(url)?;
    let stream = TcpStream::connect(request.address()).await?;
    stream.set_nodelay(true)?;
    let mut first = None;
    match driver {
        "futures" => {
            let (mut ws, _) = sockeye::futures::WebSocket::client_with(stream.compat(), request, &CONFIG).await?;
            while let Some((message, writer)) = ws.recv_with_writer().await? {
                first.get_or_insert_with(|| message.as_bytes().to_vec());
                writer.send(message)?;
            }
        }
        "blocking" => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            first = tokio::task::spawn_blocking(move || {
                let (mut ws, _) = sockeye::blocking::WebSocket::client_with(stream, request, &CONFIG)?;
                let mut first = None;
                while let Some((message, writer)) = ws.recv_with_writer()? {
                    first.get_or_insert_with(|| message.as_bytes().to_vec());
                    writer.send(message)?;
                }
                Ok::<_, sockeye::Error>(first)
            })
            .await??;
        }
        _ => {
            let (mut ws, _) = sockeye::tokio::WebSocket::client_with(stream, request, &CONFIG).await?;
            while let Some((message, writer)) = ws.recv_with_writer().await? {
                first.get_or_insert_with(|| message.as_bytes().to_vec());
                writer.send(message)?;
            }
        }
    }
    Ok(first.unwrap_or_default())
}
