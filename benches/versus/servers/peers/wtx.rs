//! wtx by the halves of its own benchmark, with the origin of payloads that copies least. It writes each message on its
//! own.

use std::net::TcpListener;

use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::rng::{Xorshift64, simple_seed};
use wtx::web_socket::compression::NegotiatedCompression;
use wtx::web_socket::{
    Compression, DeflateConfig, OpCode, WebSocket, WebSocketAcceptor, WebSocketBuffer, WebSocketPayloadOrigin,
    compression::Flate2,
};

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    if options.compress {
        on_tokio::run(listener, |stream| open(stream, Flate2::from(DeflateConfig::default())))
    } else {
        on_tokio::run(listener, |stream| open(stream, ()))
    }
}

async fn open<C: Compression<false>>(stream: TcpStream, compression: C) -> Outcome {
    let rng = Xorshift64::from(simple_seed());
    let accepted: wtx::Result<_> = WebSocketAcceptor::default().rng(rng).compression(compression).accept(stream).await;
    let _opened = Opened::new();
    Ok(echo(accepted?).await?)
}

async fn echo<C: NegotiatedCompression>(
    mut socket: WebSocket<C, Xorshift64, TcpStream, WebSocketBuffer, false>,
) -> wtx::Result<()> {
    let mut buffer = Vector::new();
    let (mut common, mut reader, mut writer) = socket.split_mut();
    loop {
        buffer.clear();
        let mut frame = reader.read_frame(&mut buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
        match frame.op_code() {
            OpCode::Binary | OpCode::Text => writer.write_frame(&mut common, &mut frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}
