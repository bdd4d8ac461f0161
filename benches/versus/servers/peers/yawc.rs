//! yawc, whose `Sink` batches what is fed to it, with the validation of text that is off by default. It stands on the
//! socket itself: its `upgrade` would put hyper's boxed stream in between.

use std::future::poll_fn;
use std::net::TcpListener;
use std::task::{Poll, ready};

use futures_util::SinkExt;
use tokio::net::TcpStream;
use yawc::{OpCode, Options as Theirs, Role, WebSocket, WebSocketError};

use crate::handshake::accept;
use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    run(listener, options, Theirs::default())
}

/// With the buffers of the benchmark in its README, which cost memory.
pub fn serve_tuned(listener: TcpListener, options: Options) -> Outcome {
    run(listener, options, Theirs::default().with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10))
}

fn run(listener: TcpListener, options: Options, theirs: Theirs) -> Outcome {
    // Its limit is the least that is refused, by default just 1 MiB.
    let theirs = theirs.with_utf8().with_limits(9 << 20, 18 << 20);
    let theirs = if options.compress { theirs.with_balanced_compression() } else { theirs };
    on_tokio::run(listener, move |stream| open(stream, theirs.clone(), options))
}

async fn open(mut stream: TcpStream, theirs: Theirs, options: Options) -> Outcome {
    let agreed = options.compress.then_some("permessage-deflate");
    accept(&mut stream, |_| agreed.map(str::to_owned)).await?;
    let _opened = Opened::new();
    Ok(echo(WebSocket::from_stream_with_extensions(stream, Role::Server, agreed, theirs)?).await?)
}

/// As `on_tokio::echo`; but its `Stream` does not tell errors.
async fn echo(mut socket: WebSocket<TcpStream>) -> Result<(), WebSocketError> {
    poll_fn(|cx| {
        loop {
            ready!(socket.poll_ready_unpin(cx))?;
            match socket.poll_next_frame(cx)? {
                Poll::Ready(frame) if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) => {
                    socket.start_send_unpin(frame)?;
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    ready!(socket.poll_flush_unpin(cx))?;
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}
