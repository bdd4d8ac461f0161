//! The opening handshake for crates that leave it to others.

use sockeye::server::{Handshake, Request};
use sockeye::{Config, Origins, accept_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// The most of a request that one read brings.
const READ: usize = 4 << 10;

/// Answers a request whose sender waits for the answer. `agree` gets its offers of extensions, and gives the answer to
/// them.
pub async fn accept(stream: &mut TcpStream, agree: impl FnOnce(&str) -> Option<String>) -> Outcome {
    let request = receive(stream).await?;
    let _judged = request.accept(Origins::Same)?;
    let value = |name| request.headers().get(name).unwrap_or_default();
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_vec();
    answer.extend(b"Sec-WebSocket-Accept: ");
    answer.extend(accept_key(value("Sec-WebSocket-Key")));
    if let Some(extensions) = agree(str::from_utf8(value("Sec-WebSocket-Extensions"))?) {
        answer.extend(b"\r\nSec-WebSocket-Extensions: ");
        answer.extend(extensions.bytes());
    }
    answer.extend(b"\r\n\r\n");
    Ok(stream.write_all(&answer).await?)
}

async fn receive(stream: &mut TcpStream) -> Result<Request, Box<dyn std::error::Error + Send + Sync>> {
    let mut handshake = Handshake::new(&Config::DEFAULT);
    let mut buffer = vec![0; READ];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err("the request did not come".into());
        }
        if let Some(request) = handshake.receive(&mut &buffer[..count])? {
            return Ok(request);
        }
    }
}
