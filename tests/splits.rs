//! However a byte stream is cut, and whichever way it is received, the events and the error are the same.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use bytes::BufMut;
use sockeye::{Agreed, Config, Connection, Event, Message, Part, ProtocolError, Reader, Role};

#[path = "support/naive.rs"]
mod naive;

use naive::{BINARY, CLOSE, CONTINUATION, DEFAULT_LIMITS, FIN, PING, PONG, TEXT, frame, header, header_with};

type Outcome = naive::Outcome;

/// A way to give a reader its next bytes and collect what comes of them.
type Way = fn(&mut Reader, &mut [u8], &mut Collected) -> Result<(), ProtocolError>;

#[derive(Default)]
struct Collected {
    events: Vec<Event<'static>>,
    /// The message whose parts are coming.
    parts: Option<Message<'static>>,
}

const WAYS: [(&str, Way); 7] = [
    ("next", by_next),
    ("step", by_step),
    ("parts", by_parts),
    ("step_part", by_step_part),
    ("spare", by_spare),
    ("BufMut", by_buf_mut),
    ("one byte of spare at a time", by_small_spare),
];

fn by_next(reader: &mut Reader, mut input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    while let Some(event) = reader.next(&mut input)? {
        to.events.push(event.into_owned());
    }
    assert!(input.is_empty());
    Ok(())
}

fn by_step(reader: &mut Reader, mut input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    loop {
        let step = reader.step(input)?;
        let Some(ready) = step.ready else {
            assert_eq!(step.consumed, input.len());
            return Ok(());
        };
        to.events.push(reader.event(ready, input).expect("the same input").into_owned());
        input = &mut input[step.consumed..];
    }
}

fn by_parts(reader: &mut Reader, mut input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    while let Some(part) = reader.next_part(&mut input)? {
        to.part(part);
    }
    assert!(input.is_empty());
    Ok(())
}

fn by_step_part(reader: &mut Reader, mut input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    loop {
        let step = reader.step_part(input)?;
        let Some(ready) = step.ready else {
            assert_eq!(step.consumed, input.len());
            return Ok(());
        };
        to.part(reader.part(ready, input).expect("the same input"));
        input = &mut input[step.consumed..];
    }
}

fn by_spare(reader: &mut Reader, input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    by_payload_buf(reader, input, to, |reader, input| {
        let mut room = reader.payload_buf()?;
        let spare = room.spare();
        let count = spare.len().min(input.len());
        spare[..count].copy_from_slice(&input[..count]);
        room.advance(count);
        Some(count)
    })
}

fn by_small_spare(reader: &mut Reader, input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    by_payload_buf(reader, input, to, |reader, input| {
        let mut room = reader.payload_buf()?;
        let count = 1.min(input.len());
        room.spare()[..count].copy_from_slice(&input[..count]);
        room.advance(count);
        Some(count)
    })
}

fn by_buf_mut(reader: &mut Reader, input: &mut [u8], to: &mut Collected) -> Result<(), ProtocolError> {
    by_payload_buf(reader, input, to, |reader, input| {
        let mut room = reader.payload_buf()?;
        let count = room.remaining_mut().min(input.len());
        room.put_slice(&input[..count]);
        Some(count)
    })
}

/// Puts payload into place wherever there is room, and gives the reader a byte of anything else at a time.
fn by_payload_buf(
    reader: &mut Reader,
    mut input: &mut [u8],
    to: &mut Collected,
    fill: fn(&mut Reader, &[u8]) -> Option<usize>,
) -> Result<(), ProtocolError> {
    loop {
        let rest = match fill(reader, input) {
            Some(count) => {
                by_next(reader, &mut [], to)?;
                &mut input[count..]
            }
            None => {
                let (here, rest) = input.split_at_mut(1.min(input.len()));
                by_next(reader, here, to)?;
                rest
            }
        };
        if rest.is_empty() {
            return Ok(());
        }
        input = rest;
    }
}

impl Collected {
    fn part(&mut self, part: Part<'_>) {
        let event = match part {
            Part::Piece { data, last } => {
                assert!(last || !data.as_bytes().is_empty(), "only the last piece may be empty");
                let whole = match (self.parts.take(), data) {
                    (None, data) => data.into_owned(),
                    (Some(Message::Text(so_far)), Message::Text(more)) => Message::from(format!("{so_far}{more}")),
                    (Some(Message::Binary(so_far)), Message::Binary(more)) => Message::from([&*so_far, &more].concat()),
                    _ => panic!("a message keeps its type"),
                };
                if !last {
                    self.parts = Some(whole);
                    return;
                }
                Event::Message(whole)
            }
            Part::Ping(payload) => Event::Ping(payload.into_owned()),
            Part::Pong(payload) => Event::Pong(payload.into_owned()),
            Part::Close(close) => Event::Close(close.map(|close| close.into_owned())),
            _ => panic!("a new kind of part"),
        };
        self.events.push(event);
    }
}

fn open(role: Role) -> Reader {
    let config = Config::DEFAULT.max_streamed_size(DEFAULT_LIMITS.max_message_size);
    Connection::open(role, Agreed::default(), &config).split().0
}

fn receive<'a>(role: Role, way: Way, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = open(role);
    let mut collected = Collected::default();
    for piece in pieces {
        if let Err(error) = way(&mut reader, &mut piece.to_vec(), &mut collected) {
            assert_eq!(reader.failure(), Some(error));
            return (collected.events, Some(error));
        }
    }
    (collected.events, None)
}

/// The stream gives the same whole, byte by byte, and cut in two or three at every position, whichever way it is read.
fn assert_uncut(name: &str, role: Role, stream: &[u8]) {
    let expected = naive::decode(role, DEFAULT_LIMITS, stream);
    for (way_name, way) in WAYS {
        let name = format!("{name}, {role:?}, by {way_name}");
        assert_eq!(receive(role, way, [stream]), expected, "{name}, whole");
        assert_eq!(receive(role, way, stream.chunks(1)), expected, "{name}, byte by byte");
        assert_eq!(receive(role, way, stream.chunks(3)), expected, "{name}, three bytes at a time");
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            assert_eq!(receive(role, way, [front, back]), expected, "{name}, cut at {cut}");
            let middle = back.len().min(2);
            assert_eq!(
                receive(role, way, [front, &back[..middle], &back[middle..]]),
                expected,
                "{name}, cut at {cut} and two bytes on"
            );
        }
    }
}

/// The streams of both roles that these frames make.
fn for_both(name: &str, frames: &[(u8, &[u8])]) {
    for (role, key) in [(Role::Client, None), (Role::Server, Some([0x37, 0xfa, 0x21, 0x3d]))] {
        let stream: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, key, payload)).collect();
        assert_uncut(name, role, &stream);
    }
}

#[test]
fn rfc_6455_5_7_examples() {
    let hello = (vec![Event::Message("Hello".into())], None);
    let stream = b"\x81\x05Hello";
    assert_eq!(naive::decode(Role::Client, DEFAULT_LIMITS, stream), hello);
    assert_uncut("a single-frame unmasked text message", Role::Client, stream);

    let stream = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(naive::decode(Role::Server, DEFAULT_LIMITS, stream), hello);
    assert_uncut("a single-frame masked text message", Role::Server, stream);

    let stream = b"\x01\x03Hel\x80\x02lo";
    assert_eq!(naive::decode(Role::Client, DEFAULT_LIMITS, stream), hello);
    assert_uncut("a fragmented unmasked text message", Role::Client, stream);

    assert_uncut("an unmasked ping", Role::Client, b"\x89\x05Hello");
    assert_uncut("a masked pong", Role::Server, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    for len in [256, 65536] {
        let stream = frame(FIN | BINARY, None, &vec![7; len]);
        let start: &[u8] = if len == 256 { b"\x82\x7e\x01\x00" } else { b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" };
        assert!(stream.starts_with(start));
        let expected = naive::decode(Role::Client, DEFAULT_LIMITS, &stream);
        for (_, way) in WAYS {
            for cut in (0..20).chain([start.len() + len / 2, stream.len() - 1]) {
                let (front, back) = stream.split_at(cut);
                assert!(receive(Role::Client, way, [front, back]) == expected, "{len} bytes cut at {cut}");
            }
        }
    }
}

#[test]
fn fragments_with_control_frames_between_and_empty_ones() {
    for_both(
        "every kind between every fragment",
        &[
            (BINARY, b"one"),
            (FIN | PING, b"a"),
            (CONTINUATION, b""),
            (FIN | PONG, b"b"),
            (CONTINUATION, b"two"),
            (FIN | PING, b""),
            (FIN | CONTINUATION, b""),
            (FIN | BINARY, b""),
            (TEXT, b""),
            (FIN | CONTINUATION, b""),
        ],
    );
}

#[test]
fn text_whose_characters_are_cut_by_frames_and_reads() {
    let text = "κό🦀€z".as_bytes();
    for at in 0..=text.len() {
        for_both("a text cut by frames", &[(TEXT, &text[..at]), (FIN | PING, b"x"), (FIN | CONTINUATION, &text[at..])]);
    }
    let bytes: Vec<(u8, &[u8])> = text.chunks(1).map(|byte| (CONTINUATION, byte)).collect();
    for_both("a frame for each byte", &[&[(TEXT, &b""[..])], &bytes[..], &[(FIN | CONTINUATION, b"")]].concat());
}

#[test]
fn text_that_is_not_utf8_fails_the_same_way() {
    for wrong in [
        &b"ok\xff"[..],
        b"ok\xc0\x80",
        b"\xed\xa0\x80rest",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"ab\xf0\x9f\xa6",
        b"\xf0\x9f\xa6\xc0",
    ] {
        for_both("one wrong frame", &[(FIN | TEXT, b"fine"), (FIN | TEXT, wrong), (FIN | TEXT, b"never seen")]);
        for at in 0..=wrong.len() {
            let (front, back) = wrong.split_at(at);
            for_both("two wrong frames", &[(TEXT, front), (CONTINUATION, back), (FIN | CONTINUATION, b"")]);
        }
    }
}

#[test]
fn closing_and_what_comes_behind_it() {
    for_both("Close, then data", &[(FIN | TEXT, b"a"), (FIN | CLOSE, b"\x03\xe8bye"), (FIN | TEXT, b"b"), (0x7f, b"")]);
    for_both("Close inside a message", &[(TEXT, b"unfinished"), (FIN | CLOSE, b""), (FIN | CONTINUATION, b"b")]);
    for close in [&b"\x03"[..], b"\x03\xed", b"\x03\xe8\xff"] {
        for_both("a wrong Close", &[(BINARY, b"x"), (FIN | CLOSE, close), (FIN | CONTINUATION, b"b")]);
    }
}

#[test]
fn broken_frames_behind_good_ones() {
    for (role, key) in [(Role::Client, None), (Role::Server, Some([1, 2, 3, 4]))] {
        let good =
            [frame(FIN | TEXT, key, b"good"), frame(BINARY, key, b"half"), frame(FIN | PING, key, b"p")].concat();
        let other = if key.is_some() { None } else { Some([9, 9, 9, 9]) };
        for (name, bad) in [
            ("RSV1", frame(FIN | 0x40 | CONTINUATION, key, b"x")),
            ("RSV3 on a ping", frame(FIN | 0x10 | PING, key, b"x")),
            ("reserved opcode", frame(FIN | 3, key, b"x")),
            ("reserved control opcode", frame(FIN | 11, key, b"x")),
            ("masking", frame(FIN | CONTINUATION, other, b"x")),
            ("interrupted message", frame(FIN | TEXT, key, b"x")),
            ("fragmented ping", frame(PING, key, b"x")),
            ("long ping", header(FIN | PING, key, 126)),
            ("long length", header_with(FIN | CONTINUATION, key, 125, 2)),
            ("longer length", header_with(FIN | CONTINUATION, key, 65535, 8)),
            ("length overflow", header_with(FIN | CONTINUATION, key, 1 << 63, 8)),
            ("too big", header(FIN | CONTINUATION, key, (1 << 20) - 3)),
            ("several at once", frame(FIN | 0x40 | TEXT, other, b"x")),
            (
                "unexpected continuation",
                [frame(FIN | CONTINUATION, key, b"x"), frame(FIN | CONTINUATION, key, b"y")].concat(),
            ),
        ] {
            let stream = [&good[..], &bad, &frame(FIN | TEXT, key, b"never seen")].concat();
            assert!(naive::decode(role, DEFAULT_LIMITS, &stream).1.is_some(), "{name}");
            assert_uncut(name, role, &stream);
        }
    }
}

/// `next` and `next_part` may be mixed: parts begin with what `next` had kept, and `next` skips what parts left over.
#[test]
fn changing_from_whole_messages_to_parts_and_back_at_every_position() {
    let text = "€a🦀";
    let (front, back) = text.as_bytes().split_at(6);
    let stream = [
        frame(TEXT, Some([1, 2, 3, 4]), front),
        frame(FIN | PING, Some([5, 6, 7, 8]), b"ping"),
        frame(FIN | CONTINUATION, Some([9, 10, 11, 12]), back),
    ]
    .concat();
    let expected = naive::decode(Role::Server, DEFAULT_LIMITS, &stream).0;
    let next_message = frame(FIN | TEXT, Some([3, 3, 3, 3]), b"next");
    for first in 0..=stream.len() {
        let mut reader = open(Role::Server);
        let mut collected = Collected::default();
        by_next(&mut reader, &mut stream[..first].to_vec(), &mut collected).expect("valid");
        by_parts(&mut reader, &mut stream[first..].to_vec(), &mut collected).expect("valid");
        assert_eq!(collected.events, expected, "parts from {first}");

        for second in first..=stream.len() {
            let mut reader = open(Role::Server);
            let mut collected = Collected::default();
            by_next(&mut reader, &mut stream[..first].to_vec(), &mut collected).expect("valid");
            by_parts(&mut reader, &mut stream[first..second].to_vec(), &mut collected).expect("valid");
            by_next(&mut reader, &mut stream[second..].to_vec(), &mut collected).expect("valid");
            if let Some(Message::Text(so_far)) = collected.parts.take() {
                assert!(text.starts_with(so_far.as_str()), "{so_far} from {first} to {second}");
            }
            by_next(&mut reader, &mut next_message.clone(), &mut collected).expect("valid");
            let pings = collected.events.iter().filter(|event| matches!(event, Event::Ping(_))).count();
            assert_eq!(pings, 1, "from {first} to {second}");
            assert_eq!(collected.events.last(), Some(&Event::Message("next".into())), "from {first} to {second}");
        }
    }
}
