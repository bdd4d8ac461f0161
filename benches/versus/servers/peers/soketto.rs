//! soketto over buffered halves, as in its examples. It leaves the validation of text to its
//! user, who does it here as in its documentation. What is sent waits in the buffer until it is flushed.

use std::future::poll_fn;
use std::net::TcpListener;
use std::pin::pin;
use std::task::Poll;

use futures_util::io::{BufReader, BufWriter};
use soketto::connection::{Error, Receiver, Sender};
use soketto::extension::deflate::Deflate;
use soketto::handshake::Server;
use soketto::handshake::server::Response;
use soketto::{Data, Mode};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::usage::Opened;
use crate::{Options, Outcome, on_tokio};

type Buffered = BufReader<BufWriter<Compat<TcpStream>>>;

/// With buffers of 64 KiB.
pub fn serve(listener: TcpListener, options: Options) -> Outcome {
    on_tokio::run(listener, move |stream| open(stream, options, 64 << 10))
}

/// With those of its examples.
pub fn serve_lean(listener: TcpListener, options: Options) -> Outcome {
    on_tokio::run(listener, move |stream| open(stream, options, 8 << 10))
}

async fn open(stream: TcpStream, options: Options, buffer: usize) -> Outcome {
    let stream = BufReader::with_capacity(buffer, BufWriter::with_capacity(buffer, stream.compat()));
    let mut server = Server::new(stream);
    if options.compress {
        server.add_extension(Box::new(Deflate::new(Mode::Server)));
    }
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    let (sender, receiver) = server.into_builder().finish();
    let _opened = Opened::new();
    echo(sender, receiver).await
}

async fn echo(mut sender: Sender<Buffered>, mut receiver: Receiver<Buffered>) -> Outcome {
    let mut message = Vec::new();
    loop {
        message.clear();
        match receive(&mut sender, &mut receiver, &mut message).await {
            Ok(Data::Text(_)) => sender.send_text(str::from_utf8(&message)?).await?,
            Ok(Data::Binary(_)) => sender.send_binary_mut(&mut message).await?,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives a message. What was sent leaves when there is none to be had at once.
async fn receive(
    sender: &mut Sender<Buffered>,
    receiver: &mut Receiver<Buffered>,
    message: &mut Vec<u8>,
) -> Result<Data, Error> {
    let mut receiving = pin!(receiver.receive_data(message));
    if let Poll::Ready(received) = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await {
        return received;
    }
    sender.flush().await?;
    receiving.await
}
