//! fastwebsockets with its `FragmentCollector`, in a task without a budget, as in its example. It writes each message
//! on its own. It stands on the socket itself: its `upgrade` would put hyper's boxed stream in between.

use std::net::TcpListener;

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use tokio::task::unconstrained;

use crate::handshake::accept;
use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

pub fn serve(listener: TcpListener, _: Options) -> Outcome {
    on_tokio::run(listener, |mut stream| {
        unconstrained(async {
            accept(&mut stream, |_| None).await?;
            let _opened = Opened::new();
            let mut socket = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
            loop {
                let frame = socket.read_frame().await?;
                match frame.opcode {
                    OpCode::Close => return Ok(()),
                    OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
                    _ => {}
                }
            }
        })
    })
}
