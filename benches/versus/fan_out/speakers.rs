//! Those who have many receivers, over memory and over sockets.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Outcome;
use crate::peers::{Blocking, Core, Driver, Fastwebsockets, Peer, RawEpoll, RawTokio};
use crate::peers::{Sockudo, Soketto, TokioWebsockets, Tungstenite};
use crate::receivers::Drain;
use crate::sink::{self, Shown, Sink, Stream};
use crate::texts::{self, Work};

/// Somebody with many receivers.
pub trait Speaker {
    fn name(&self) -> &'static str;

    /// Prepares the text anew.
    fn prepare(&mut self, work: &Work);

    /// Sends the text to all, and returns when so many bytes have arrived.
    fn spread(&mut self, arrived: &dyn Fn() -> u64, expected: u64) -> Outcome;
}

struct OnTokio<P: Peer<S>, S: Stream> {
    runtime: Rc<Runtime>,
    receivers: Vec<P>,
    text: P::Text,
}

impl<P: Peer<S>, S: Stream> OnTokio<P, S> {
    fn new(
        runtime: &Rc<Runtime>,
        work: &Work,
        streams: impl Iterator<Item = std::io::Result<S>>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let receivers = runtime.block_on(async {
            let mut receivers = Vec::new();
            for stream in streams {
                receivers.push(P::open(stream?, work.compress).await);
            }
            Ok::<_, std::io::Error>(receivers)
        })?;
        Ok(Self { runtime: runtime.clone(), receivers, text: P::text(&work.text, work.compress) })
    }
}

impl<P: Peer<S>, S: Stream> Speaker for OnTokio<P, S> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn prepare(&mut self, work: &Work) {
        self.text = P::text(&work.text, work.compress);
    }

    fn spread(&mut self, arrived: &dyn Fn() -> u64, expected: u64) -> Outcome {
        let Self { runtime, receivers, text } = self;
        runtime.block_on(async {
            for receiver in receivers {
                receiver.deliver(text).await?;
            }
            // What a peer leaves to other tasks is part of its work.
            while arrived() < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        })
    }
}

struct OnEpoll<P: Blocking<S>, S: std::io::Write> {
    receivers: Vec<P>,
    text: P::Text,
}

impl<P: Blocking<S>, S: std::io::Write> OnEpoll<P, S> {
    fn new(
        work: &Work,
        streams: impl Iterator<Item = std::io::Result<S>>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let receivers = streams.map(|stream| Ok(P::open(stream?, work.compress))).collect::<std::io::Result<_>>()?;
        Ok(Self { receivers, text: P::text(&work.text, work.compress) })
    }
}

impl<P: Blocking<S>, S: std::io::Write> Speaker for OnEpoll<P, S> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn prepare(&mut self, work: &Work) {
        self.text = P::text(&work.text, work.compress);
    }

    fn spread(&mut self, arrived: &dyn Fn() -> u64, expected: u64) -> Outcome {
        for receiver in &mut self.receivers {
            receiver.deliver(&self.text)?;
        }
        while arrived() < expected {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Where receivers come from.
pub trait Source {
    type Tokio: Stream;
    type Std: std::io::Write + 'static;

    fn streams(&mut self, count: usize) -> std::io::Result<Vec<Self::Std>>;

    fn on_tokio(stream: Self::Std) -> std::io::Result<Self::Tokio>;

    /// How many bytes the receivers have got.
    fn arrived(&self) -> u64;

    /// Whether each delivery goes through the kernel.
    fn is_kernel(&self) -> bool;
}

pub struct Memory;

impl Source for Memory {
    type Tokio = Sink;
    type Std = Sink;

    fn streams(&mut self, count: usize) -> std::io::Result<Vec<Sink>> {
        Ok((0..count).map(|_| Sink::Plain).collect())
    }

    fn on_tokio(stream: Sink) -> std::io::Result<Sink> {
        Ok(stream)
    }

    fn arrived(&self) -> u64 {
        sink::taken()
    }

    fn is_kernel(&self) -> bool {
        false
    }
}

impl Source for Drain {
    type Tokio = tokio::net::TcpStream;
    type Std = std::net::TcpStream;

    fn streams(&mut self, count: usize) -> std::io::Result<Vec<std::net::TcpStream>> {
        self.open(count)
    }

    fn on_tokio(stream: std::net::TcpStream) -> std::io::Result<tokio::net::TcpStream> {
        tokio::net::TcpStream::from_std(stream)
    }

    fn arrived(&self) -> u64 {
        Drain::arrived(self)
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

pub struct Entrant {
    pub speaker: Box<dyn Speaker>,
    pub frame_len: u64,
}

/// Everybody who can do the work, each with receivers of its own.
pub fn entrants<F: Source>(
    source: &mut F,
    runtime: &Rc<Runtime>,
    work: &Work,
    count: usize,
) -> Result<Vec<Entrant>, Box<dyn std::error::Error>> {
    let _entered = runtime.enter();
    let mut entrants = Vec::new();
    macro_rules! on_tokio {
        ($($peer:ident),*) => {$(
            if !work.compress || <$peer<Sink> as Peer<Sink>>::COMPRESSES {
                let (sink, shown) = Sink::shown();
                let frame_len = check(OnTokio::<$peer<_>, _>::new(runtime, work, [sink].map(Ok).into_iter())?, &shown, work)?;
                let streams = source.streams(count)?.into_iter().map(F::on_tokio);
                let speaker = Box::new(OnTokio::<$peer<_>, _>::new(runtime, work, streams)?);
                entrants.push(Entrant { speaker, frame_len });
            }
        )*};
    }
    macro_rules! on_epoll {
        ($($peer:ident),*) => {$(
            let (sink, shown) = Sink::shown();
            let frame_len = check(OnEpoll::<$peer<_>, _>::new(work, [sink].map(Ok).into_iter())?, &shown, work)?;
            let speaker = Box::new(OnEpoll::<$peer<_>, _>::new(work, source.streams(count)?.into_iter().map(Ok))?);
            entrants.push(Entrant { speaker, frame_len });
        )*};
    }
    on_tokio!(RawTokio);
    on_epoll!(RawEpoll);
    on_tokio!(Driver);
    on_epoll!(Core);
    on_tokio!(Tungstenite, Fastwebsockets, Soketto, TokioWebsockets, Sockudo);
    Ok(entrants)
}

/// Looks at what is sent to one receiver, twice. Returns how long it is each time.
fn check(mut speaker: impl Speaker, shown: &Shown, work: &Work) -> Result<u64, Box<dyn std::error::Error>> {
    let mut len = 0;
    for _ in 0..2 {
        speaker.spread(&sink::taken, 0)?;
        let mut frame = shown.take();
        len = frame.len() as u64;
        if !texts::is_text(&mut frame, work) {
            return Err(format!("{}: {}: what was sent is not the text", work.name, speaker.name()).into());
        }
    }
    Ok(len)
}

pub fn columns() -> Vec<&'static str> {
    vec![
        <RawTokio<Sink> as Peer<Sink>>::NAME,
        <RawEpoll<Sink> as Blocking<Sink>>::NAME,
        <Driver<Sink> as Peer<Sink>>::NAME,
        <Core<Sink> as Blocking<Sink>>::NAME,
        <Tungstenite<Sink> as Peer<Sink>>::NAME,
        <Fastwebsockets<Sink> as Peer<Sink>>::NAME,
        <Soketto<Sink> as Peer<Sink>>::NAME,
        <TokioWebsockets<Sink> as Peer<Sink>>::NAME,
        <Sockudo<Sink> as Peer<Sink>>::NAME,
    ]
}
