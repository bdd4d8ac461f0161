//! The client's side of the opening handshake, as bytes.

use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// A request; the key is that of RFC 6455 §1.3.
pub fn request(port: u16) -> String {
    request_with(port, "")
}

/// A request with more header lines, each with its line's end.
pub fn request_with(port: u16, headers: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// Reads the response, and nothing behind it: a server may send its first ping at once.
pub fn read_response(stream: &mut TcpStream) -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 1024];
    for _ in 0..ATTEMPTS {
        let count = stream.peek(&mut bytes)?;
        if count == 0 {
            return Err("it does not answer the handshake".into());
        }
        if let Some(end) = bytes[..count].windows(4).position(|window| window == b"\r\n\r\n") {
            stream.read_exact(&mut bytes[..end + 4])?;
            let response = String::from_utf8(bytes[..end + 4].to_vec())?;
            let is_accepted = response.starts_with("HTTP/1.1 101 ") && response.contains(ACCEPT);
            return if is_accepted { Ok(response) } else { Err("it refuses the handshake".into()) };
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err("its response does not end".into())
}

/// What answers the key (RFC 6455 §1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How often it is looked whether the rest of a response has come.
const ATTEMPTS: usize = 10_000;
