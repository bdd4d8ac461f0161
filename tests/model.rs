//! Random conversations and random lists of calls, judged by the naive decoder.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use sockeye::{
    Agreed, CloseCode, Config, Connection, Event, Kind, Message, Payload, Prepared, Role, SendErrorKind, Writer,
};

#[path = "support/naive.rs"]
mod naive;

use naive::{BINARY, CLOSE, CONTINUATION, FIN, Limits, PING, PONG, TEXT};

const LIMITS: Limits = Limits { max_message_size: 300, max_fragments: 5, accept_long_lengths: false };

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// Frames that mostly make sense: random bits alone would fail at once, and show little.
fn frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let text = prop_oneof![
        8 => "[aé€🦀]{0,40}".prop_map(String::into_bytes),
        // Cut at any byte, so that two neighbours may make a whole character.
        3 => ("[é€🦀]{1,3}", any::<prop::sample::Index>()).prop_map(|(text, at)| {
            let at = at.index(text.len());
            text.as_bytes()[at..].to_vec()
        }),
        3 => ("[é€🦀]{1,3}", any::<prop::sample::Index>()).prop_map(|(text, at)| {
            let at = at.index(text.len());
            text.as_bytes()[..at].to_vec()
        }),
        1 => vec(any::<u8>(), 0..6),
    ];
    let binary = prop_oneof![6 => vec(any::<u8>(), 0..20), 2 => vec(any::<u8>(), 100..150)];
    let close = prop_oneof![
        Just(Vec::new()),
        "[a-zé]{0,10}".prop_map(|reason| [&1000u16.to_be_bytes()[..], reason.as_bytes()].concat()),
        vec(any::<u8>(), 0..5),
    ];
    prop_oneof![
        8 => text.clone().prop_map(|payload| (FIN | TEXT, payload)),
        8 => (text, any::<u8>()).prop_map(|(payload, r)| ([TEXT, CONTINUATION, FIN | CONTINUATION][r as usize % 3], payload)),
        4 => (binary.clone(), any::<u8>()).prop_map(|(payload, r)| ([BINARY, FIN | BINARY][r as usize % 2], payload)),
        4 => (vec(any::<u8>(), 0..30), any::<bool>()).prop_map(|(payload, ping)| (FIN | if ping { PING } else { PONG }, payload)),
        1 => close.prop_map(|payload| (FIN | CLOSE, payload)),
        1 => (any::<u8>(), binary),
    ]
}

/// A stream of frames for a role, with few flaws.
fn stream() -> impl Strategy<Value = (Role, Vec<u8>)> {
    let flaws = prop_oneof![20 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)];
    (role(), vec((frame(), any::<[u8; 4]>(), 0..40u8), 0..12), flaws).prop_map(|(role, frames, flaw)| {
        let mut stream = Vec::new();
        for ((first, payload), key, odd) in frames {
            let masked = (role == Role::Server) != (odd == 0);
            let key = masked.then_some(key);
            let len = payload.len() as u64;
            if odd == 1 {
                let mut frame = naive::header_with(first, key, len, 2);
                let at = frame.len();
                frame.extend(payload);
                naive::xor(&mut frame[at..], key.unwrap_or_default());
                stream.extend(frame);
            } else {
                stream.extend(naive::frame(first, key, &payload));
            }
        }
        if let Some((at, bits)) = flaw
            && !stream.is_empty()
        {
            let at = at.index(stream.len());
            stream[at] ^= bits;
        }
        (role, stream)
    })
}

/// What a reader makes of a stream that arrives in pieces of these sizes, over and over; some of them by way of
/// `payload_buf`.
fn receive(role: Role, limits: Limits, mut stream: &[u8], cuts: &[(usize, bool)]) -> naive::Outcome {
    let config = Config::DEFAULT
        .max_message_size(limits.max_message_size as usize)
        .max_fragments(limits.max_fragments)
        .accept_long_lengths(limits.accept_long_lengths);
    let (mut reader, _) = Connection::open(role, Agreed::default(), &config).split();
    let mut events = Vec::new();
    let mut cuts = cuts.iter().cycle();
    while !stream.is_empty() {
        let &(size, in_place) = cuts.next().expect("cuts");
        let mut count = size.min(stream.len());
        let mut piece = stream[..count].to_vec();
        let mut input = &mut piece[..];
        if in_place && let Some(mut room) = reader.payload_buf() {
            let spare = room.spare();
            count = count.min(spare.len());
            spare[..count].copy_from_slice(&stream[..count]);
            room.advance(count);
            input = &mut [];
        }
        stream = &stream[count..];
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// One call on a writer, or one move of the wire.
#[derive(Clone, Debug)]
enum Call {
    Text(String),
    Owned(usize),
    Borrowed(usize),
    Prepared(usize),
    Ping(usize),
    Pong(usize),
    Received { pings: usize },
    Start(Kind),
    Write(usize),
    Finish,
    FinishWith(usize),
    Close(u16, usize),
    ReceivedClose,
    Take(usize),
    TakeVectored(usize),
}

fn call() -> impl Strategy<Value = Call> {
    let size =
        || prop_oneof![4 => 0..200usize, 2 => 4090..4110usize, 1 => 16_380..17_000usize, 1 => 65_000..70_000usize];
    prop_oneof![
        3 => "[aé🦀]{0,50}".prop_map(Call::Text),
        3 => size().prop_map(Call::Owned),
        3 => size().prop_map(Call::Borrowed),
        2 => size().prop_map(Call::Prepared),
        2 => (0..130usize).prop_map(Call::Ping),
        1 => (0..130usize).prop_map(Call::Pong),
        2 => prop_oneof![4 => 1..4usize, 1 => 300..400usize].prop_map(|pings| Call::Received { pings }),
        2 => prop_oneof![Just(Kind::Text), Just(Kind::Binary)].prop_map(Call::Start),
        3 => size().prop_map(Call::Write),
        2 => Just(Call::Finish),
        1 => size().prop_map(Call::FinishWith),
        1 => (prop_oneof![Just(1000u16), Just(1005), Just(4999), Just(0)], 0..130usize).prop_map(|(c, r)| Call::Close(c, r)),
        1 => Just(Call::ReceivedClose),
        6 => prop_oneof![0..20usize, 0..5000usize, 0..200_000usize, Just(usize::MAX)].prop_map(Call::Take),
        6 => prop_oneof![0..20usize, 0..5000usize, 0..200_000usize, Just(usize::MAX)].prop_map(Call::TakeVectored),
    ]
}

/// What has been accepted, as the frames that must leave.
#[derive(Default)]
struct Accepted {
    frames: Vec<(u8, Vec<u8>)>,
    /// The pongs of a flood: of these any may be missing, except the latest.
    pongs: Vec<Vec<u8>>,
    streaming: Option<(Kind, bool)>,
    closed: bool,
    pings: u32,
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 / 8) as u8).collect()
}

fn piece(kind: Kind, count: usize) -> Message<'static> {
    match kind {
        Kind::Text => "x".repeat(count).into(),
        Kind::Binary => bytes(count).into(),
    }
}

impl Accepted {
    /// Makes the call, and checks that it was accepted if and only if it had to be.
    fn make(&mut self, call: &Call, writer: &mut Writer, capacity: usize) {
        let queued = writer.queued();
        let room = if queued < capacity { Ok(()) } else { Err(SendErrorKind::Full) };
        let open = if self.closed { Err(SendErrorKind::Closed) } else { Ok(()) };
        let idle = if self.streaming.is_some() { Err(SendErrorKind::Unfinished) } else { Ok(()) };
        let may_send = open.and(idle).and(room);
        let data = |first, payload: &[u8]| (first, payload.to_vec());
        match call {
            Call::Text(text) => {
                let result = writer.send(text);
                assert_eq!(result.as_ref().map_err(|error| error.kind()), may_send.as_ref().map_err(|e| *e));
                match result {
                    Ok(()) => self.frames.push(data(FIN | TEXT, text.as_bytes())),
                    Err(error) => assert_eq!(error.into_message(), Some(text.into()), "the message comes back"),
                }
            }
            Call::Owned(count) => {
                let result = writer.send(bytes(*count));
                assert_eq!(result.as_ref().map_err(|error| error.kind()), may_send.as_ref().map_err(|e| *e));
                match result {
                    Ok(()) => self.frames.push(data(FIN | BINARY, &bytes(*count))),
                    Err(error) => assert_eq!(error.into_message(), Some(bytes(*count).into())),
                }
            }
            Call::Borrowed(count) => {
                let payload = bytes(*count);
                let result = writer.send(&payload);
                assert_eq!(result.map_err(|error| error.kind()), may_send);
                assert_eq!(payload, bytes(*count), "the caller's bytes are unchanged");
                if may_send.is_ok() {
                    self.frames.push((FIN | BINARY, payload));
                }
            }
            Call::Prepared(count) => {
                let result = writer.send_prepared(&Prepared::new(bytes(*count)));
                assert_eq!(result.map_err(|error| error.kind()), may_send);
                if may_send.is_ok() {
                    self.frames.push((FIN | BINARY, bytes(*count)));
                }
            }
            Call::Ping(count) | Call::Pong(count) => {
                let is_ping = matches!(call, Call::Ping(_));
                let payload = bytes(*count);
                let result = if is_ping { writer.ping(&payload) } else { writer.pong(&payload) };
                let short = if *count > 125 { Err(SendErrorKind::ControlFrameTooLong) } else { Ok(()) };
                let expected = short.and(open).and(room);
                assert_eq!(result.map_err(|error| error.kind()), expected);
                if expected.is_ok() {
                    self.frames.push((FIN | if is_ping { PING } else { PONG }, payload));
                }
            }
            Call::Received { pings } => {
                for _ in 0..*pings {
                    self.pings += 1;
                    let payload = [&[0xee][..], &self.pings.to_be_bytes()].concat();
                    let ping = Event::Ping(Payload::from(&payload));
                    writer.reply(ping.reply().expect("a pong"));
                    if !self.closed {
                        self.pongs.push(payload);
                    }
                }
            }
            Call::Start(kind) => {
                assert_eq!(writer.start(*kind).map(drop).map_err(|error| error.kind()), may_send);
                if may_send.is_ok() {
                    self.streaming = Some((*kind, false));
                }
            }
            Call::Write(_) | Call::Finish | Call::FinishWith(_) => {
                assert_eq!(writer.resume().is_some(), self.streaming.is_some());
                let (Some((kind, begun)), Some(mut fragments)) = (self.streaming, writer.resume()) else { return };
                let (result, fin, payload) = match call {
                    Call::Write(count) => (fragments.write(piece(kind, *count)), 0, piece(kind, *count)),
                    Call::FinishWith(count) => (fragments.finish_with(piece(kind, *count)), FIN, piece(kind, *count)),
                    _ => (fragments.finish().map_err(|error| error.kind().into()), FIN, piece(kind, 0)),
                };
                assert_eq!(result.map_err(|error| error.kind()), room);
                if room.is_ok() {
                    let opcode = match (begun, kind) {
                        (true, _) => CONTINUATION,
                        (false, Kind::Text) => TEXT,
                        (false, Kind::Binary) => BINARY,
                    };
                    self.frames.push((fin | opcode, payload.into_vec()));
                    self.streaming = (fin == 0).then_some((kind, true));
                }
            }
            Call::Close(code, count) => {
                let reason = "r".repeat(*count);
                let result = writer.close(CloseCode(*code), &reason).map_err(|error| error.kind());
                let expected = match (CloseCode(*code), *count) {
                    (code, _) if !code.may_travel() => Err(SendErrorKind::InvalidCloseCode(code)),
                    (_, 124..) => Err(SendErrorKind::ControlFrameTooLong),
                    _ => open,
                };
                assert_eq!(result, expected);
                if expected.is_ok() {
                    self.close([&code.to_be_bytes(), reason.as_bytes()].concat());
                }
            }
            Call::ReceivedClose => {
                writer.reply(Event::Close(None).reply().expect("a Close"));
                if !self.closed {
                    self.close(Vec::new());
                }
            }
            Call::Take(_) | Call::TakeVectored(_) => {}
        }
    }

    fn close(&mut self, payload: Vec<u8>) {
        self.frames.push((FIN | CLOSE, payload));
        self.closed = true;
        self.streaming = None;
    }
}

/// Takes up to `count` bytes, in the way of `chunk` or of `chunks_vectored`, and tells the outbox `count`.
fn take(writer: &mut Writer, count: usize, vectored: bool) -> Vec<u8> {
    let outbox = writer.outbox();
    let mut taken = Vec::new();
    if vectored {
        let mut slices = [std::io::IoSlice::new(&[]); 5];
        let filled = outbox.chunks_vectored(&mut slices);
        assert!(slices[..filled].iter().all(|slice| !slice.is_empty()));
        assert_eq!(filled == 0, outbox.remaining() == 0);
        if let Some(first) = slices[..filled].first() {
            assert_eq!(&**first, outbox.chunk());
        }
        let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        let count = count.min(all.len());
        taken.extend(&all[..count]);
        outbox.advance(count);
    } else {
        while taken.len() < count && outbox.has_remaining() {
            let chunk = outbox.chunk();
            assert!(!chunk.is_empty());
            let part = chunk.len().min(count - taken.len());
            taken.extend(&chunk[..part]);
            outbox.advance(part);
        }
    }
    taken
}

/// The frames left are those accepted, in order; of the pongs that answer a flood some may be missing.
fn assert_left(role: Role, accepted: &Accepted, wire: &[u8]) {
    let mut expected = accepted.frames.iter();
    let mut pongs = accepted.pongs.iter();
    for frame in naive::frames(wire) {
        assert_eq!(frame.key.is_some(), role == Role::Client);
        if frame.first == FIN | PONG && frame.payload.first() == Some(&0xee) {
            assert!(pongs.any(|pong| *pong == frame.payload), "a pong that answers nothing, or out of order");
        } else {
            assert_eq!(Some(&(frame.first, frame.payload)), expected.next());
        }
    }
    assert_eq!(expected.next(), None, "all that was accepted has left");
    assert_eq!(pongs.next(), None, "the latest ping was answered");
    if accepted.closed {
        assert_eq!(naive::frames(wire).last().map(|frame| frame.first), Some(FIN | CLOSE), "nothing follows Close");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conversations_are_what_the_naive_decoder_makes_of_them(
        (role, stream) in stream(),
        cuts in vec((prop_oneof![1..8usize, 1..200usize], any::<bool>()), 1..8),
        accept_long_lengths: bool,
    ) {
        let limits = Limits { accept_long_lengths, ..LIMITS };
        let expected = naive::decode(role, limits, &stream);
        prop_assert_eq!(receive(role, limits, &stream, &cuts), expected);
    }

    #[test]
    fn bytes_of_any_kind_are_what_the_naive_decoder_makes_of_them(
        role in role(),
        stream in vec(any::<u8>(), 0..40),
        cuts in vec((1..10usize, any::<bool>()), 1..5),
    ) {
        let expected = naive::decode(role, LIMITS, &stream);
        prop_assert_eq!(receive(role, LIMITS, &stream, &cuts), expected);
    }

    #[test]
    fn what_was_accepted_leaves_whole_and_in_order(
        role in role(),
        calls in vec(call(), 0..60),
        capacity in prop_oneof![Just(1usize << 20), Just(100_000), Just(1), Just(0)],
    ) {
        let config = Config::DEFAULT.outbox_capacity(capacity);
        let (_, mut writer) = Connection::open(role, Agreed::default(), &config).split();
        let mut accepted = Accepted::default();
        let mut wire = Vec::new();
        for call in &calls {
            match call {
                Call::Take(count) => wire.extend(take(&mut writer, *count, false)),
                Call::TakeVectored(count) => wire.extend(take(&mut writer, *count, true)),
                _ => accepted.make(call, &mut writer, capacity),
            }
            prop_assert_eq!(writer.queued(), writer.outbox().remaining());
        }
        let before = writer.queued();
        if before > 0 {
            // Half by slices and the rest by chunks: the same bytes either way.
            wire.extend(take(&mut writer, before / 2, true));
        }
        wire.extend(take(&mut writer, usize::MAX, false));
        prop_assert_eq!(writer.queued(), 0);
        assert_left(role, &accepted, &wire);
    }

    #[test]
    fn vectored_chunks_show_what_chunks_show(calls in vec(call(), 0..30)) {
        let outbox_after = |vectored: bool| {
            let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
            let mut accepted = Accepted::default();
            calls.iter().filter(|call| !matches!(call, Call::Take(_) | Call::TakeVectored(_)))
                .for_each(|call| accepted.make(call, &mut writer, 1 << 20));
            if !vectored {
                let count = writer.queued();
                return take(&mut writer, count, false);
            }
            let mut slices = vec![std::io::IoSlice::new(&[]); 4 * calls.len() + 4];
            let outbox = &*writer.outbox();
            let filled = outbox.chunks_vectored(&mut slices);
            let shown: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(shown.len(), outbox.queued(), "with slices enough, all is shown");
            shown
        };
        prop_assert_eq!(outbox_after(false), outbox_after(true));
    }

    #[test]
    fn a_count_larger_than_what_waits_just_empties_the_outbox(calls in vec(call(), 0..20), excess: usize) {
        let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
        let mut accepted = Accepted::default();
        for call in &calls {
            accepted.make(call, &mut writer, 1 << 20);
        }
        let count = writer.queued().saturating_add(excess);
        writer.outbox().advance(count);
        // At most the one pong that had waited for room is left, and then nothing.
        prop_assert!(writer.queued() <= 131);
        writer.outbox().advance(usize::MAX);
        prop_assert_eq!(writer.queued(), 0);
        prop_assert!(writer.outbox().chunk().is_empty());
    }
}
