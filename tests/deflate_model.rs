//! Random conversations over random parameters of RFC 7692, through cuts anywhere and every way of reading; and against
//! bare streams of zlib-rs, in both directions.

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{Config, Connection, Deflate, Kind, Message, Prepared, Role, Writer};
use zlib_rs::DeflateFlush;

#[path = "support/deflate.rs"]
mod deflate;
#[path = "support/naive.rs"]
mod naive;

use deflate::{Naive, RSV1, RawDeflate, RawInflate, Receiver, TAIL, Way, drain, noise, open, other, text};
use naive::{BINARY, CONTINUATION, FIN, PING, TEXT};

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn window() -> impl Strategy<Value = WindowBits> {
    (8..=15u8).prop_map(|bits| WindowBits::from_bits(bits).expect("8 to 15"))
}

fn parameters() -> impl Strategy<Value = Parameters> {
    (any::<bool>(), any::<bool>(), window(), window()).prop_map(|(server, client, server_bits, client_bits)| {
        Parameters {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    })
}

fn settings() -> impl Strategy<Value = Deflate> {
    let threshold = prop_oneof![Just(0usize), Just(1), Just(100), Just(256)];
    (0..=9u8, 1..=9u8, threshold)
        .prop_map(|(level, memory, size)| Deflate::DEFAULT.level(level).memory_level(memory).threshold(size))
}

/// What a sender queues.
#[derive(Clone, Debug)]
struct Sent {
    content: Content,
    how: How,
    ping: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Content {
    fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    fn message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes.into(),
        }
    }

    /// The first bytes, and the rest; text is cut between characters.
    fn split(&self, at: usize) -> (Self, Self) {
        match self {
            Self::Text(text) => {
                let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
                (Self::Text(text[..at].into()), Self::Text(text[at..].into()))
            }
            Self::Binary(bytes) => {
                let (front, back) = bytes.split_at(at.min(bytes.len()));
                (Self::Binary(front.into()), Self::Binary(back.into()))
            }
        }
    }
}

#[derive(Clone, Debug)]
enum How {
    Whole,
    Owned,
    Uncompressed,
    Prepared,
    /// In pieces of these sizes, over and over.
    Fragments {
        sizes: Vec<usize>,
        uncompressed: bool,
        empty_end: bool,
    },
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        3 => "[aé€🦀]{0,60}".prop_map(Content::Text),
        2 => (0..3000usize).prop_map(|len| Content::Text(text(len))),
        1 => (30_000..80_000usize).prop_map(|len| Content::Text(text(len))),
        2 => vec(any::<u8>(), 0..300).prop_map(Content::Binary),
        2 => (0..5000usize, 0..4u64).prop_map(|(len, seed)| Content::Binary(noise(len, seed))),
        1 => (16_000..70_000usize, 0..2u64).prop_map(|(len, seed)| Content::Binary(noise(len, seed))),
        1 => (16_000..70_000usize, any::<u8>()).prop_map(|(len, byte)| Content::Binary(vec![byte; len])),
        1 => Just(Content::Text(String::new())),
    ]
}

fn message() -> impl Strategy<Value = Sent> {
    let fragments = (vec(prop_oneof![0..30usize, 0..20_000usize], 1..4), any::<bool>(), any::<bool>())
        .prop_map(|(sizes, uncompressed, empty_end)| How::Fragments { sizes, uncompressed, empty_end });
    let how = prop_oneof![
        4 => Just(How::Whole),
        1 => Just(How::Owned),
        1 => Just(How::Uncompressed),
        2 => Just(How::Prepared),
        4 => fragments,
    ];
    (content(), how, any::<bool>()).prop_map(|(content, how, ping)| Sent { content, how, ping })
}

fn send(writer: &mut Writer, Sent { content, how, ping }: &Sent) {
    if *ping {
        writer.ping(b"between").expect("room");
    }
    match how {
        How::Whole => writer.send(content.message()).expect("room"),
        How::Owned => writer.send(content.message().into_owned()).expect("room"),
        How::Uncompressed => writer.send(content.message().uncompressed()).expect("room"),
        How::Prepared => writer.send_prepared(&Prepared::new(content.message())).expect("room"),
        How::Fragments { sizes, uncompressed, empty_end } => {
            let _ = writer.start(content.kind()).expect("room");
            let mut rest = content.clone();
            // Pieces of nothing get nowhere, so there are only so many.
            for size in sizes.iter().cycle().take(50) {
                let (piece, after) = rest.split(*size);
                if after.bytes().is_empty() {
                    break;
                }
                let piece = if *uncompressed { piece.message().uncompressed() } else { piece.message() };
                writer.resume().expect("unfinished").write(piece).expect("room");
                if *ping {
                    writer.ping(b"inside").expect("room");
                }
                rest = after;
            }
            let mut fragments = writer.resume().expect("unfinished");
            if *empty_end {
                fragments.write(rest.message()).expect("room");
                fragments.finish().expect("room");
            } else {
                fragments.finish_with(rest.message()).expect("room");
            }
        }
    }
}

fn pings(frames: &[naive::Frame]) -> usize {
    frames.iter().filter(|frame| frame.first == FIN | PING).count()
}

/// Whether the messages of `sender` have a window that lasts, and how large it is.
fn window_of(sender: Role, parameters: &Parameters) -> (bool, WindowBits) {
    match sender {
        Role::Server => (!parameters.server_no_context_takeover, parameters.server_max_window_bits),
        Role::Client => (!parameters.client_no_context_takeover, parameters.client_max_window_bits),
    }
}

/// Cuts, each with the way in which what it cuts off is read.
fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    let size = prop_oneof![1..10usize, 1..500usize, 1..100_000usize];
    vec((size, any::<bool>()), 1..6)
}

fn unlimited(settings: Deflate) -> Config {
    Config::DEFAULT.unlimited().deflate(Some(settings))
}

/// One piece of what a peer compresses, and how it is flushed behind it.
fn pieces() -> impl Strategy<Value = Vec<(Content, u8)>> {
    vec((content(), any::<u8>()), 0..6)
}

/// Compresses a message in ways of which the crate's own compressor has no need.
fn compress(raw: &mut RawDeflate, pieces: &[(Content, u8)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (content, flush) in pieces {
        let flush = match flush % 6 {
            0 => DeflateFlush::NoFlush,
            1 => DeflateFlush::PartialFlush,
            2 => DeflateFlush::SyncFlush,
            3 => DeflateFlush::FullFlush,
            4 => DeflateFlush::Block,
            _ => {
                payload.extend(raw.finish(content.bytes()));
                continue;
            }
        };
        payload.extend(raw.push(content.bytes(), flush));
    }
    let end = raw.push(&[], DeflateFlush::SyncFlush);
    payload.extend(&end);
    match payload.strip_suffix(&TAIL) {
        Some(payload) if !end.is_empty() => payload.to_vec(),
        // Nothing was written, because the flush before has ended with such a block.
        _ => [&payload[..], &[0]].concat(),
    }
}

fn receive(receiver: &mut Receiver, stream: &[u8], cuts: &[(usize, bool)]) {
    let mut rest = stream;
    for (cut, in_parts) in cuts.iter().cycle() {
        if rest.is_empty() {
            return;
        }
        let (piece, after) = rest.split_at(rest.len().min(*cut));
        receiver.receive(piece, if *in_parts { Way::Part } else { Way::Next });
        rest = after;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_is_what_arrives(
        role in role(),
        parameters in parameters(),
        settings in settings(),
        messages in vec(message(), 1..8),
        cuts in cuts(),
        mode in 0..4u8,
    ) {
        let config = unlimited(settings);
        let mut sender: Connection = open(role, parameters, &config);
        let mut receiver = Receiver::new(other(role), parameters, &config);
        let (takeover, window) = window_of(role, &parameters);
        let (mut naive, mut exact) = (Naive::default(), RawInflate::new(window.bits()));
        // All in parts, all whole, or the first bytes in parts up to the first that are lent, and then whole.
        let cuts: Vec<_> = cuts.into_iter().map(|(size, _)| (size, mode == 1)).collect();
        for message in &messages {
            send(sender.writer(), message);
            let bytes = drain(&mut sender);
            let frames = naive::frames(&bytes);

            // By the bare streams first.
            let data: Vec<_> = frames.iter().filter(|frame| frame.first & 0x08 == 0).collect();
            let payload: Vec<u8> = data.iter().flat_map(|frame| frame.payload.clone()).collect();
            prop_assert!(data[1..].iter().all(|frame| frame.first & 0x7f == CONTINUATION));
            if data[0].first & RSV1 == 0 {
                prop_assert!(payload == message.content.bytes());
            } else {
                prop_assert!(naive.message(&payload).expect("valid") == message.content.bytes());
                prop_assert!(exact.message(&payload).expect("valid in its window") == message.content.bytes());
                prop_assert!(naive.furthest <= window.size());
                if !takeover {
                    naive.forget();
                    exact = RawInflate::new(window.bits());
                }
            }

            let (messages, others) = (receiver.outcome.messages.len(), receiver.outcome.others);
            if mode >= 2 {
                // Begun whole, and ended in parts; or the other way round, where it is skipped if parts were lent.
                let (front, back) = bytes.split_at(bytes.len().min(cuts[0].0));
                let (first, then) = if mode == 2 { (Way::Next, Way::Part) } else { (Way::Part, Way::Next) };
                receiver.receive(front, first);
                let begun = mode == 3 && !receiver.partial.is_empty();
                receiver.receive(back, then);
                prop_assert_eq!(receiver.outcome.error, None);
                if begun {
                    prop_assert!(message.content.bytes().starts_with(&std::mem::take(&mut receiver.partial)));
                    prop_assert_eq!(receiver.outcome.messages.len(), messages);
                    continue;
                }
            } else {
                receive(&mut receiver, &bytes, &cuts);
            }
            prop_assert_eq!(receiver.outcome.error, None);
            prop_assert_eq!(receiver.outcome.messages.len(), messages + 1);
            let (kind, payload) = receiver.outcome.messages.last().expect("a message");
            prop_assert!((*kind, &payload[..]) == (message.content.kind(), message.content.bytes()));
            prop_assert_eq!(receiver.outcome.others - others, pings(&frames));
        }
    }

    #[test]
    fn what_bare_streams_compress_is_inflated(
        role in role(),
        window in 9..=15u8,
        takeover: bool,
        level in 0..=9i32,
        memory in 1..=9i32,
        messages in vec(pieces(), 1..6),
        frames in vec(0..2000usize, 1..5),
        cuts in cuts(),
        in_parts: bool,
    ) {
        let window_bits = WindowBits::from_bits(window).expect("9 to 15");
        let agreed = deflate::parameters(window_bits, takeover);
        let config = unlimited(Deflate::DEFAULT);
        let mut raw = RawDeflate::new(level, window, memory);
        let mut naive = Naive::default();
        let mut receiver = Receiver::new(role, agreed, &config);
        let cuts: Vec<_> = cuts.into_iter().map(|(size, _)| (size, in_parts)).collect();
        let key = (role == Role::Server).then_some([9, 8, 7, 6]);
        for pieces in &messages {
            let expected: Vec<u8> = pieces.iter().flat_map(|(content, _)| content.bytes().to_vec()).collect();
            let payload = compress(&mut raw, pieces);
            prop_assert!(naive.message(&payload).expect("valid") == expected, "the naive decoder is right");
            let is_text = str::from_utf8(&expected).is_ok();
            let mut stream = naive::frame(RSV1 | if is_text { TEXT } else { BINARY }, key, b"");
            let mut rest = &payload[..];
            for size in frames.iter().cycle().take(1000) {
                let (piece, after) = rest.split_at(rest.len().min(*size));
                stream.extend(naive::frame(CONTINUATION, key, piece));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            stream.extend(naive::frame(FIN | CONTINUATION, key, rest));
            receive(&mut receiver, &stream, &cuts);
            prop_assert_eq!(receiver.outcome.error, None);
            let (kind, payload) = receiver.outcome.messages.last().expect("a message");
            prop_assert!(*payload == expected);
            prop_assert_eq!(*kind == Kind::Text, is_text);
            if !takeover {
                raw = RawDeflate::new(level, window, memory);
                naive.forget();
            }
        }
        prop_assert_eq!(receiver.outcome.messages.len(), messages.len());
    }
}
