//! The client's side of the opening handshake, as bytes.

use std::error::Error;
use std::io::Read;

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

/// Reads the response of a server that then waits.
pub fn read_response(stream: &mut impl Read) -> Result<String, Box<dyn Error>> {
    let mut response = Vec::with_capacity(256);
    let mut bytes = [0; 1024];
    while !response.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err("it does not answer the handshake".into());
        }
        response.extend(&bytes[..count]);
    }
    let response = String::from_utf8(response)?;
    let is_accepted = response.starts_with("HTTP/1.1 101 ") && response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    if is_accepted { Ok(response) } else { Err("it refuses the handshake".into()) }
}
