//! Those who have many receivers, over memory and over sockets.

use std::marker::PhantomData;

use tokio::runtime::Runtime;

use crate::peers::{Blocking, Core, Driver, Fastwebsockets, Peer, RawEpoll, RawTokio};
use crate::peers::{Sockudo, Soketto, TokioWebsockets, Tungstenite, Wtx, Yawc};
use crate::receivers::Receivers;
use crate::sink::{self, Shown, Sink, Stream};
use crate::texts::{self, Work};
use crate::{Outcome, TICK};

/// Whether all that was sent has arrived.
pub type HaveCome<'a> = &'a mut dyn FnMut() -> std::io::Result<bool>;

/// Somebody with many receivers.
pub trait Speaker {
    fn name(&self) -> &'static str;

    /// Prepares the text, sends it to all, and returns when `have_come` says that it has arrived.
    fn spread(&mut self, work: &Work, have_come: HaveCome<'_>) -> Outcome;
}

struct OnTokio<P: Peer<S>, S: Stream> {
    receivers: Vec<P>,
    /// Its own: the tasks of the receivers end with it.
    runtime: Runtime,
    stream: PhantomData<S>,
}

impl<P: Peer<S>, S: Stream> OnTokio<P, S> {
    fn new(work: &Work, streams: impl Iterator<Item = std::io::Result<S>>) -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let receivers = runtime.block_on(async {
            let mut receivers = Vec::new();
            for stream in streams {
                receivers.push(P::open(stream?, work.compress).await);
            }
            Ok::<_, std::io::Error>(receivers)
        })?;
        Ok(Self { receivers, runtime, stream: PhantomData })
    }
}

impl<P: Peer<S>, S: Stream> Speaker for OnTokio<P, S> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn spread(&mut self, work: &Work, have_come: HaveCome<'_>) -> Outcome {
        let Self { runtime, receivers, .. } = self;
        let text = P::text(&work.text, work.compress);
        runtime.block_on(async {
            for receiver in receivers {
                receiver.deliver(&text).await?;
            }
            // What a peer leaves to other tasks is part of its work.
            while !have_come()? {
                tokio::time::sleep(TICK).await;
            }
            Ok(())
        })
    }
}

struct OnEpoll<P: Blocking<S>, S: std::io::Write> {
    receivers: Vec<P>,
    stream: PhantomData<S>,
}

impl<P: Blocking<S>, S: std::io::Write> OnEpoll<P, S> {
    fn new(work: &Work, streams: impl Iterator<Item = std::io::Result<S>>) -> Result<Self, Box<dyn std::error::Error>> {
        let receivers = streams.map(|stream| Ok(P::open(stream?, work.compress))).collect::<std::io::Result<_>>()?;
        Ok(Self { receivers, stream: PhantomData })
    }
}

impl<P: Blocking<S>, S: std::io::Write> Speaker for OnEpoll<P, S> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn spread(&mut self, work: &Work, have_come: HaveCome<'_>) -> Outcome {
        let text = P::text(&work.text, work.compress);
        for receiver in &mut self.receivers {
            receiver.deliver(&text)?;
        }
        while !have_come()? {
            std::thread::sleep(TICK);
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

    /// From now on, so many bytes are to come.
    fn expect(&mut self, bytes: u64) -> std::io::Result<()>;

    /// Whether they have come. It may say so once.
    fn have_come(&mut self) -> std::io::Result<bool>;

    /// Whether each delivery goes through the kernel.
    fn is_kernel(&self) -> bool;
}

#[derive(Default)]
pub struct Memory {
    /// How many bytes the sinks will have taken.
    expected: u64,
}

impl Source for Memory {
    type Tokio = Sink;
    type Std = Sink;

    fn streams(&mut self, count: usize) -> std::io::Result<Vec<Sink>> {
        Ok((0..count).map(|_| Sink::Plain).collect())
    }

    fn on_tokio(stream: Sink) -> std::io::Result<Sink> {
        Ok(stream)
    }

    fn expect(&mut self, bytes: u64) -> std::io::Result<()> {
        self.expected = sink::taken() + bytes;
        Ok(())
    }

    fn have_come(&mut self) -> std::io::Result<bool> {
        Ok(sink::taken() >= self.expected)
    }

    fn is_kernel(&self) -> bool {
        false
    }
}

impl Source for Receivers {
    type Tokio = tokio::net::TcpStream;
    type Std = std::net::TcpStream;

    fn streams(&mut self, count: usize) -> std::io::Result<Vec<std::net::TcpStream>> {
        self.open(count)
    }

    fn on_tokio(stream: std::net::TcpStream) -> std::io::Result<tokio::net::TcpStream> {
        tokio::net::TcpStream::from_std(stream)
    }

    fn expect(&mut self, bytes: u64) -> std::io::Result<()> {
        Receivers::expect(self, bytes)
    }

    fn have_come(&mut self) -> std::io::Result<bool> {
        Receivers::have_come(self)
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

pub struct Entrant {
    pub speaker: Box<dyn Speaker>,
    pub frame_len: u64,
}

/// Somebody with so many receivers; `None` if it cannot do the work.
pub fn entrant<F: Source>(
    name: &str,
    source: &mut F,
    work: &Work,
    count: usize,
) -> Result<Option<Entrant>, Box<dyn std::error::Error>> {
    macro_rules! on_tokio {
        ($($peer:ident),*) => {$(
            if name == <$peer<Sink> as Peer<Sink>>::NAME {
                if work.compress && !<$peer<Sink> as Peer<Sink>>::COMPRESSES {
                    return Ok(None);
                }
                let (sink, shown) = Sink::shown();
                let frame_len = check(OnTokio::<$peer<_>, _>::new(work, [Ok(sink)].into_iter())?, &shown, work)?;
                let streams = source.streams(count)?.into_iter().map(F::on_tokio);
                let speaker = Box::new(OnTokio::<$peer<_>, _>::new(work, streams)?);
                return Ok(Some(Entrant { speaker, frame_len }));
            }
        )*};
    }
    macro_rules! on_epoll {
        ($($peer:ident),*) => {$(
            if name == <$peer<Sink> as Blocking<Sink>>::NAME {
                let (sink, shown) = Sink::shown();
                let frame_len = check(OnEpoll::<$peer<_>, _>::new(work, [Ok(sink)].into_iter())?, &shown, work)?;
                let speaker = Box::new(OnEpoll::<$peer<_>, _>::new(work, source.streams(count)?.into_iter().map(Ok))?);
                return Ok(Some(Entrant { speaker, frame_len }));
            }
        )*};
    }
    on_tokio!(RawTokio, Driver, Tungstenite, Fastwebsockets, Soketto, TokioWebsockets, Sockudo, Yawc, Wtx);
    on_epoll!(RawEpoll, Core);
    Err(format!("nobody is called {name}").into())
}

/// Looks at what is sent to one receiver, twice. Returns how long it is each time.
fn check(mut speaker: impl Speaker, shown: &Shown, work: &Work) -> Result<u64, Box<dyn std::error::Error>> {
    let mut len = 0;
    for _ in 0..2 {
        speaker.spread(work, &mut || Ok(true))?;
        let mut frame = shown.take();
        len = frame.len() as u64;
        if !texts::is_text(&mut frame, work) {
            return Err(format!("{}: {}: what was sent is not the text", work.name, speaker.name()).into());
        }
    }
    Ok(len)
}

/// In the order of the tables.
pub const COLUMNS: [&str; 11] = [
    <RawTokio<Sink> as Peer<Sink>>::NAME,
    <RawEpoll<Sink> as Blocking<Sink>>::NAME,
    <Driver<Sink> as Peer<Sink>>::NAME,
    <Core<Sink> as Blocking<Sink>>::NAME,
    <Tungstenite<Sink> as Peer<Sink>>::NAME,
    <Fastwebsockets<Sink> as Peer<Sink>>::NAME,
    <Soketto<Sink> as Peer<Sink>>::NAME,
    <TokioWebsockets<Sink> as Peer<Sink>>::NAME,
    <Sockudo<Sink> as Peer<Sink>>::NAME,
    <Yawc<Sink> as Peer<Sink>>::NAME,
    <Wtx<Sink> as Peer<Sink>>::NAME,
];
