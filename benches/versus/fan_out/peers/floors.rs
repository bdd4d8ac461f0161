//! What nobody can do without: a frame that is ready is handed to the kernel.

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::sockeye::frame;
use super::{Blocking, Peer};
use crate::Outcome;
use crate::sink::Stream;

/// The header of a binary message of more than 64 KiB (RFC 6455 §5.2).
fn large_header(payload: &Bytes) -> [u8; 10] {
    let mut header = [0; 10];
    header[..2].copy_from_slice(&[0x82, 127]);
    header[2..].copy_from_slice(&(payload.len() as u64).to_be_bytes());
    header
}

pub struct RawTokio<S>(S);

impl<S: Stream> Peer<S> for RawTokio<S> {
    const NAME: &'static str = "raw-tokio";

    const COMPRESSES: bool = true;

    type Text = Bytes;

    async fn open(stream: S, _: bool) -> Self {
        Self(stream)
    }

    fn text(text: &str, compress: bool) -> Bytes {
        frame(text, compress)
    }

    async fn deliver(&mut self, text: &Bytes) -> Outcome {
        let written = poll_fn(|cx| Pin::new(&mut self.0).poll_write(cx, text)).await?;
        if written == text.len() { Ok(()) } else { Err("a receiver is full".into()) }
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        AsyncWriteExt::write_all(&mut self.0, &large_header(&payload)).await?;
        Ok(AsyncWriteExt::write_all(&mut self.0, &payload).await?)
    }
}

pub struct RawEpoll<S>(S);

impl<S: Write + 'static> Blocking<S> for RawEpoll<S> {
    const NAME: &'static str = "raw-epoll";

    type Text = Bytes;

    fn open(stream: S, _: bool) -> Self {
        Self(stream)
    }

    fn text(text: &str, compress: bool) -> Bytes {
        frame(text, compress)
    }

    fn deliver(&mut self, text: &Bytes) -> Outcome {
        let written = self.0.write(text)?;
        if written == text.len() { Ok(()) } else { Err("a receiver is full".into()) }
    }

    fn send(&mut self, payload: Bytes, mut wait: impl FnMut(&S) -> Outcome) -> Outcome {
        self.0.write_all(&large_header(&payload))?;
        let mut rest = &payload[..];
        while !rest.is_empty() {
            match self.0.write(rest) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => wait(&self.0)?,
                written => rest = &rest[written?..],
            }
        }
        Ok(())
    }
}
