//! soketto over buffered halves, as in its examples.

use bytes::Bytes;
use futures_util::io::{BufReader, BufWriter};
use soketto::connection::Builder;
use soketto::extension::deflate::Deflate;
use soketto::extension::{Extension, Param};
use soketto::{Mode, Receiver, Sender};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::Peer;
use crate::Outcome;
use crate::sink::Stream;

type Buffered<S> = BufReader<BufWriter<Compat<S>>>;

pub struct Soketto<S> {
    sender: Sender<Buffered<S>>,
    _receiver: Receiver<Buffered<S>>,
}

/// The extension as it is after a client has asked for it.
fn agreed() -> Box<dyn Extension + Send> {
    let mut deflate = Deflate::new(Mode::Server);
    let parameters = ["server_no_context_takeover", "client_no_context_takeover"].map(Param::new);
    deflate.configure(&parameters).expect("both parameters are known");
    Box::new(deflate)
}

impl<S: Stream> Peer<S> for Soketto<S> {
    const NAME: &'static str = "soketto";

    const COMPRESSES: bool = true;

    type Text = String;

    async fn open(stream: S, compress: bool) -> Self {
        let stream = BufReader::new(BufWriter::new(stream.compat()));
        let mut builder = Builder::new(stream, Mode::Server);
        builder.add_extensions(compress.then(agreed));
        let (sender, _receiver) = builder.finish();
        Self { sender, _receiver }
    }

    fn text(text: &str, _: bool) -> String {
        text.into()
    }

    async fn deliver(&mut self, text: &String) -> Outcome {
        self.sender.send_text(text).await?;
        Ok(self.sender.flush().await?)
    }

    async fn send(&mut self, payload: Bytes) -> Outcome {
        self.sender.send_binary(&payload).await?;
        Ok(self.sender.flush().await?)
    }
}
