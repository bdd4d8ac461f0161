//! Sends files of any length over a WebSocket, both ways, in constant memory: each file is one message, sent and received
//! in pieces.
//!
//! - `cargo run --release --features tokio --example stream_file -- serve [DIRECTORY]` offers the files of a directory
//!   and takes new ones, on port 9001 or what `--port` says
//! - `… -- put FILE ws://127.0.0.1:9001/NAME` uploads a file
//! - `… -- get ws://127.0.0.1:9001/NAME FILE` downloads one
//! - `… -- self-test` does all of that in a new directory with a file of 64 MiB, which no message may have otherwise

use std::error::Error;
use std::path::{Path, PathBuf};

use sockeye::tokio::WebSocket;
use sockeye::{CloseCode, Config, Kind, Origins, Part, client};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[path = "support/args.rs"]
mod args;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let args = args::parse(&["--port"], &[]);
    let plain: Vec<&str> = args.plain.iter().map(String::as_str).collect();
    match plain[..] {
        ["serve"] => serve(listen(args.number("--port")).await?, ".".into()).await,
        ["serve", directory] => serve(listen(args.number("--port")).await?, directory.into()).await,
        ["put", file, url] => put(file.as_ref(), url).await,
        ["get", url, file] => get(url, file.as_ref()).await,
        ["self-test"] => self_test().await,
        _ => Err("what to do: serve, put FILE URL, get URL FILE, or self-test".into()),
    }
}

async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(9001))).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    Ok(listener)
}

async fn serve(listener: TcpListener, directory: PathBuf) -> Result {
    loop {
        let (stream, peer) = listener.accept().await?;
        let directory = directory.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(stream, &directory).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// A client that says `get` is sent the file of its path; what another sends becomes that file.
async fn answer(stream: TcpStream, directory: &Path) -> Result {
    let mut path = PathBuf::new();
    let mut ws = WebSocket::accept_with(stream, &Config::DEFAULT, |request| {
        path = directory.join(name(request.path()).ok_or_else(|| request.reject(404))?);
        request.accept(Origins::Same)
    })
    .await?;
    match receive(&mut ws, &path).await? {
        Some(Kind::Binary) => ws.close(CloseCode::NORMAL, "stored").await?,
        Some(Kind::Text) => send(&mut ws, &path).await?,
        None => {}
    }
    while ws.recv().await?.is_some() {} // until the client closes
    Ok(())
}

/// The last part of a path, if it cannot lead elsewhere.
fn name(target: &str) -> Option<&str> {
    let name = target.strip_prefix('/')?;
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && !name.starts_with('.')).then_some(name)
}

async fn put(file: &Path, url: &str) -> Result {
    let mut ws = connect(url).await?;
    send(&mut ws, file).await?;
    while ws.recv().await?.is_some() {} // until the server has stored it
    match ws.closure() {
        Some(closure) if closure.code == CloseCode::NORMAL => Ok(()),
        closure => Err(format!("not stored: {closure:?}").into()),
    }
}

async fn get(url: &str, file: &Path) -> Result {
    let mut ws = connect(url).await?;
    ws.send("get").await?;
    receive(&mut ws, file).await?.ok_or("the server closed without sending the file")?;
    Ok(ws.close(CloseCode::NORMAL, "").await?)
}

async fn connect(url: &str) -> Result<WebSocket<TcpStream>> {
    let request = client::Request::get(url)?;
    let stream = TcpStream::connect(request.address()).await?;
    Ok(WebSocket::client(stream, request).await?.0)
}

/// Sends a file as one message. `write` waits while the peer is slower than the disk.
async fn send(ws: &mut WebSocket<TcpStream>, path: &Path) -> Result {
    let mut file = File::open(path).await?;
    let mut buffer = vec![0; 64 << 10];
    let mut message = ws.start(Kind::Binary).await?;
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(message.finish().await?),
            count => message.write(&buffer[..count]).await?,
        }
    }
}

/// Receives one message, whose kind it returns. A binary one is written to a file as it comes.
async fn receive(ws: &mut WebSocket<TcpStream>, path: &Path) -> Result<Option<Kind>> {
    let mut file = None;
    while let Some(part) = ws.recv_part().await? {
        let Part::Piece { data, last } = part else { continue };
        if data.kind() == Kind::Binary {
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(File::create(path).await?),
            };
            file.write_all(data.as_bytes()).await?;
            if last {
                file.flush().await?;
            }
        }
        if last {
            return Ok(Some(data.kind()));
        }
    }
    Ok(None)
}

async fn self_test() -> Result {
    let directory = std::env::temp_dir().join(format!("stream_file-{}", std::process::id()));
    tokio::fs::create_dir(&directory).await?;
    let listener = listen(Some(0)).await?;
    let url = format!("ws://{}/stored", listener.local_addr()?);
    let serving = tokio::spawn(serve(listener, directory.clone()));
    let (original, copy) = (directory.join("original"), directory.join("copy"));
    let content: Vec<u8> = (0..64_u32 << 20).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
    tokio::fs::write(&original, &content).await?;
    put(&original, &url).await?;
    get(&url, &copy).await?;
    let same = tokio::fs::read(&copy).await? == content;
    serving.abort();
    tokio::fs::remove_dir_all(&directory).await?;
    if !same {
        return Err("the copy differs".into());
    }
    println!("{} bytes went to the server and back, in pieces", content.len());
    Ok(())
}
