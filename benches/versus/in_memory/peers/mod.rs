//! Who takes part.

mod fastwebsockets;
mod floors;
mod sockeye;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;

use std::hint::black_box;

use ::sockeye::Role;
use ::sockeye::futures::FuturesIo;
use ::sockeye::tokio::TokioIo;
use bytes::Bytes;
use versus::figures::Kind;
use versus::own;

use crate::Outcome;
use crate::harness::{Contender, Entrant};
use crate::wire::{Sink, Wire};
use crate::work::{Direction, Work};

/// In the order of the table. The other entrants of this crate have a table of their own.
pub const COLUMNS: [&str; 10] = [
    floors::Copy::NAME,
    floors::Utf8::NAME,
    own::CORE[0],
    own::TOKIO[0],
    self::tungstenite::Blocking::NAME,
    self::fastwebsockets::Collector::NAME,
    self::soketto::Halves::NAME,
    self::tokio_websockets::Stream::NAME,
    self::sockudo::Stream::NAME,
    self::sockudo::Core::NAME,
];

/// A connection over a wire.
pub trait Peer: Sized + 'static {
    const NAME: &'static str;

    fn open(wire: Wire, role: Role) -> Self;

    /// Receives so many messages and shows each.
    fn receive(&mut self, count: usize, seen: impl FnMut(&[u8])) -> Outcome;

    /// Sends the payload so many times, as a binary message of its own which is written before the next is sent. The
    /// payload stays the caller's; each peer gets it as it can use it best.
    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome;
}

pub fn entrants(work: &Work) -> Vec<Entrant> {
    let floor = |name, contender| Entrant { name, kind: Kind::Floor, contender };
    let mut entrants = vec![floor(floors::Copy::NAME, Box::new(floors::Copy::new(work)) as Box<dyn Contender>)];
    if work.is_text {
        entrants.push(floor(floors::Utf8::NAME, Box::new(floors::Utf8::new(work))));
    }
    entrants.extend([
        entrant::<self::sockeye::Core<false>>(Kind::Own, work),
        entrant::<self::sockeye::Async<TokioIo<Wire>, false>>(Kind::Own, work),
        entrant::<self::sockeye::Async<FuturesIo<Wire>, false>>(Kind::Own, work),
        entrant::<self::sockeye::Blocking<false>>(Kind::Own, work),
        entrant::<self::sockeye::Core<true>>(Kind::Own, work),
        entrant::<self::sockeye::Async<TokioIo<Wire>, true>>(Kind::Own, work),
        entrant::<self::sockeye::Async<FuturesIo<Wire>, true>>(Kind::Own, work),
        entrant::<self::sockeye::Blocking<true>>(Kind::Own, work),
        entrant::<self::tungstenite::Blocking>(Kind::Peer, work),
        entrant::<self::fastwebsockets::Collector>(Kind::Peer, work),
        entrant::<self::soketto::Halves>(Kind::Peer, work),
        entrant::<self::tokio_websockets::Stream>(Kind::Peer, work),
        entrant::<self::sockudo::Stream>(Kind::Peer, work),
        entrant::<self::sockudo::Core>(Kind::Peer, work),
    ]);
    entrants
}

fn entrant<P: Peer>(kind: Kind, work: &Work) -> Entrant {
    let wire = work.wire();
    let (sink, peer) = (wire.sink(), P::open(wire, work.role));
    let (count, payload) = (work.count, work.payload.clone());
    let contender: Box<dyn Contender> = match work.direction {
        Direction::Receive => Box::new(Receiver { peer, count }),
        Direction::Send => Box::new(Sender { peer, count, payload, sink }),
    };
    Entrant { name: P::NAME, kind, contender }
}

struct Receiver<P> {
    peer: P,
    count: usize,
}

impl<P: Peer> Contender for Receiver<P> {
    fn pass(&mut self) -> Outcome {
        self.peer.receive(self.count, |payload| {
            black_box(payload);
        })
    }

    fn check(&mut self, work: &Work) -> Outcome {
        let mut right = 0;
        self.peer.receive(self.count, |payload| right += usize::from(payload == work.payload))?;
        if right != self.count {
            return Err(format!("{right} of {} messages are right", self.count).into());
        }
        let received = work.invalid_wire().map(|wire| P::open(wire, work.role).receive(1, |_| ()));
        if let Some(Ok(())) = received { Err("text is not validated".into()) } else { Ok(()) }
    }
}

struct Sender<P> {
    peer: P,
    count: usize,
    payload: Bytes,
    sink: Sink,
}

impl<P: Peer> Contender for Sender<P> {
    fn pass(&mut self) -> Outcome {
        self.sink.borrow_mut().clear();
        self.peer.send(self.count, black_box(&self.payload))?;
        black_box(self.sink.borrow().as_slice());
        Ok(())
    }

    fn check(&mut self, work: &Work) -> Outcome {
        self.pass()?;
        work.check_sent(&self.sink.borrow())
    }
}
