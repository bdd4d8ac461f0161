//! RFC 7692 by section, and the hostile inputs of compression, through connections that have agreed on it. The bytes of
//! the peer are made by hand, or by a bare stream of zlib-rs; ours are judged by a naive decoder.

use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{
    Agreed, CloseCode, Config, Connection, Deflate, Kind, Message, Prepared, ProtocolError, Role, SendErrorKind, Writer,
};
use zlib_rs::DeflateFlush;

#[path = "support/deflate.rs"]
mod deflate;
#[path = "support/naive.rs"]
mod naive;
#[path = "support/pair.rs"]
mod pair;

use deflate::{
    Naive, Outcome, RSV1, RawDeflate, RawInflate, Receiver, TAIL, WAYS, WINDOWS, Way, config, drain, noise, open,
    other, parameters, receive, receive_all_ways, text,
};
use naive::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use pair::{BOTH, peer_key};

/// What the RFC compresses "Hello" to, and where (§7.2.3).
const HELLO: [(&str, &[u8]); 4] = [
    ("one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
    ("a stored block", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]),
    ("a final block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
    ("two blocks", &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]),
];

/// "Hello" again, out of the window.
const HELLO_AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];

/// A final block without content.
const FINAL: [u8; 2] = [0x03, 0x00];

/// Frames as the peer of `role` sends them.
fn wire(role: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| naive::frame(*first, peer_key(role), payload)).collect()
}

/// One compressed message in one frame.
fn compressed(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    wire(role, &[(FIN | RSV1 | opcode, payload)])
}

/// What comes of frames, in whatever way they are read and however they arrive, with takeover.
#[track_caller]
fn outcome(role: Role, frames: &[(u8, &[u8])]) -> Outcome {
    receive_all_ways(role, Parameters::DEFAULT, &config(), &wire(role, frames))
}

/// The frames that wait to leave.
fn sent(connection: &mut Connection) -> Vec<naive::Frame> {
    naive::frames(&drain(connection))
}

/// What the peer of `role` makes of what waits to leave.
#[track_caller]
fn arrives(sender: &mut Connection, receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let bytes = drain(sender);
    receiver.receive(&bytes, Way::Next);
    assert_eq!(receiver.outcome.error, None);
    std::mem::take(&mut receiver.outcome.messages).into_iter().map(|(_, payload)| payload).collect()
}

fn limits(limit: usize) -> Config {
    config().max_message_size(limit).max_streamed_size(limit as u64)
}

// ---- §6: the bit ----

#[test]
fn rfc_7692_6_1_and_d2_rsv1_fails_on_control_frames_and_continuations() {
    let hello = HELLO[0].1;
    for role in BOTH {
        for opcode in [PING, PONG, CLOSE] {
            let expected = Outcome::failed(ProtocolError::ReservedBits);
            assert_eq!(outcome(role, &[(FIN | RSV1 | opcode, b"")]), expected);
            assert_eq!(outcome(role, &[(RSV1 | TEXT, hello), (FIN | RSV1 | opcode, b"")]), expected);
        }
        for first in [BINARY, RSV1 | BINARY] {
            for last in [FIN | RSV1 | CONTINUATION, RSV1 | CONTINUATION] {
                let frames = [(first, &hello[..3]), (last, &hello[3..])];
                assert_eq!(outcome(role, &frames), Outcome::failed(ProtocolError::ReservedBits));
            }
        }
        for rsv in [0x20, 0x10, 0x60, 0x50, 0x30, 0x70] {
            assert_eq!(outcome(role, &[(FIN | rsv | TEXT, hello)]), Outcome::failed(ProtocolError::ReservedBits));
        }
        assert_eq!(ProtocolError::ReservedBits.close_code(), CloseCode::PROTOCOL_ERROR);

        let mut connection = open(role, Parameters::DEFAULT, &config());
        let mut fragments = connection.writer().start(Kind::Text).expect("open");
        fragments.write("one").expect("room");
        fragments.write("").expect("room");
        fragments.finish_with("two").expect("room");
        connection.writer().ping(b"ping").expect("room");
        connection.writer().close(CloseCode::NORMAL, "").expect("open");
        let firsts: Vec<u8> = sent(&mut connection).iter().map(|frame| frame.first).collect();
        assert_eq!(firsts, [RSV1 | TEXT, CONTINUATION, FIN | CONTINUATION, FIN | PING, FIN | CLOSE]);
    }
}

#[test]
fn rfc_7692_6_2_rsv1_marks_the_message_and_both_kinds_alternate() {
    let hello = HELLO[0].1;
    for role in BOTH {
        // What looks compressed and is not marked passes untouched, and does not get into the window.
        let mut frames = vec![(FIN | RSV1 | TEXT, hello), (FIN | BINARY, hello), (FIN | RSV1 | TEXT, HELLO_AGAIN)];
        frames.extend([(TEXT, &b"Hel"[..]), (FIN | CONTINUATION, b"lo"), (RSV1 | TEXT, hello), (CONTINUATION, b"")]);
        frames.pop();
        frames.extend([(FIN | CONTINUATION, &[][..]), (FIN | RSV1 | BINARY, HELLO_AGAIN)]);
        let mut expected = Outcome::texts(["Hello", "", "Hello", "Hello", "Hello", ""]);
        expected.messages[1] = (Kind::Binary, hello.to_vec());
        expected.messages[5] = (Kind::Binary, b"Hello".to_vec());
        assert_eq!(outcome(role, &frames), expected);
    }
}

#[test]
fn rfc_7692_6_3_and_d2_rsv1_fails_without_agreement() {
    for role in BOTH {
        let mut end = pair::End::open_with(role, &config());
        end.receive(&compressed(role, TEXT, HELLO[0].1)).assert_failing(CloseCode::PROTOCOL_ERROR);
        assert_eq!(end.error, Some(ProtocolError::ReservedBits));
        let mut sender = Connection::open(role, Agreed::default(), &config());
        sender.writer().send("Hello").expect("open");
        assert_eq!(sent(&mut sender)[0].first, FIN | TEXT);
    }
}

#[test]
fn d2_and_f3_control_frames_between_compressed_fragments_change_nothing() {
    let message = text(300);
    let payload = deflate::deflate(message.as_bytes());
    for role in BOTH {
        let mut frames: Vec<(u8, &[u8])> = Vec::new();
        for (n, piece) in payload.chunks(1).enumerate() {
            frames.push((if n == 0 { RSV1 | TEXT } else { CONTINUATION }, piece));
            frames.extend([(FIN | PING, &b"\x00\x00\xff\xff"[..]), (FIN | PONG, HELLO[0].1)]);
        }
        frames.push((FIN | CONTINUATION, &[]));
        let expected = Outcome { others: 2 * payload.len(), ..Outcome::texts([&*message]) };
        assert_eq!(outcome(role, &frames), expected);
        // A Close ends the connection in the middle of it, and what inflates goes with it.
        frames.truncate(4);
        frames.extend([(FIN | CLOSE, &[][..]), (FIN | RSV1 | TEXT, b"\xff")]);
        let expected = Outcome { others: 3, ..Outcome::default() };
        assert_eq!(outcome(role, &frames), expected);
    }
}

// ---- §6.1, §6.2: compress, then fragment; inflate, then validate ----

#[test]
fn rfc_7692_6_1_1_a_compressed_message_is_cut_into_frames_anywhere() {
    let message = text(60);
    let payload = deflate::deflate(message.as_bytes());
    for role in BOTH {
        for first in 0..=payload.len() {
            for second in first..=payload.len() {
                let frames = [
                    (RSV1 | TEXT, &payload[..first]),
                    (CONTINUATION, &payload[first..second]),
                    (FIN | CONTINUATION, &payload[second..]),
                ];
                let stream = wire(role, &frames);
                for way in WAYS {
                    for size in [1, usize::MAX] {
                        let (outcome, _) = receive(role, Parameters::DEFAULT, &config(), &stream, way, size);
                        assert_eq!(outcome, Outcome::texts([&*message]), "{role:?}, {way:?}, at {first} and {second}");
                    }
                }
            }
        }
        // What our fragments carry is one compressed message.
        for takeover in [true, false] {
            let mut connection = open(role, parameters(WindowBits::Bits15, takeover), &config());
            let mut naive = Naive::default();
            for _ in 0..2 {
                let mut fragments = connection.writer().start(Kind::Text).expect("open");
                for piece in ["", &message, &message, ""] {
                    fragments.write(piece).expect("room");
                }
                fragments.finish_with(&message).expect("room");
                let payload: Vec<u8> = sent(&mut connection).into_iter().flat_map(|frame| frame.payload).collect();
                assert_eq!(naive.message(&payload).expect("valid"), message.repeat(3).as_bytes());
                if !takeover {
                    naive.forget();
                }
            }
        }
    }
}

#[test]
fn rfc_7692_6_2_1_text_is_validated_after_inflating() {
    let good = "κόσμε \u{10ffff}";
    for role in BOTH {
        // Neither the compressed bytes nor the cuts need to be UTF-8.
        let payload = deflate::deflate(good.as_bytes());
        assert!(str::from_utf8(&payload).is_err());
        let frames: Vec<(u8, &[u8])> = payload.chunks(1).map(|piece| (CONTINUATION, piece)).collect();
        let frames = [&[(RSV1 | TEXT, &[][..])], &frames[..], &[(FIN | CONTINUATION, &[])]].concat();
        assert_eq!(outcome(role, &frames), Outcome::texts([good]));
        for bad in [&b"a\xff"[..], b"\xed\xa0\x80", b"truncated \xe2\x82", b"\xc0\x80 and more"] {
            let stream = compressed(role, TEXT, &deflate::deflate(bad));
            let failed = receive_all_ways(role, Parameters::DEFAULT, &config(), &stream);
            assert_eq!(failed, Outcome::failed(ProtocolError::InvalidUtf8));
            let stream = compressed(role, BINARY, &deflate::deflate(bad));
            let passed = receive_all_ways(role, Parameters::DEFAULT, &config(), &stream);
            assert_eq!(passed.payloads(), [bad]);
        }
        // It fails at the first wrong byte that can be inflated, before the message ends.
        let mut raw = RawDeflate::new(6, 15, 8);
        let begin = raw.push(b"good \xff", DeflateFlush::SyncFlush);
        assert_eq!(outcome(role, &[(RSV1 | TEXT, &begin)]), Outcome::failed(ProtocolError::InvalidUtf8));
        assert_eq!(ProtocolError::InvalidUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}

/// Which error comes first does not hang on how the bytes arrive.
#[test]
fn text_that_is_wrong_before_it_is_too_large_is_wrong() {
    for role in BOTH {
        for (at, expected) in [
            (0, ProtocolError::InvalidUtf8),
            (99, ProtocolError::InvalidUtf8),
            (100, ProtocolError::MessageTooBig { limit: 100 }),
        ] {
            let mut bad = vec![b'x'; 300];
            bad[at] = 0xff;
            let stream = compressed(role, TEXT, &deflate::deflate(&bad));
            let failed = receive_all_ways(role, Parameters::DEFAULT, &limits(100), &stream);
            assert_eq!(failed, Outcome::failed(expected), "at {at}");
        }
    }
}

// ---- §7.1: what was agreed on ----

#[test]
fn rfc_7692_7_1_1_1_1_and_7_1_1_2_1_without_takeover_each_message_stands_alone() {
    let message = text(2000);
    for role in BOTH {
        for ours in [true, false] {
            for theirs in [true, false] {
                let mut agreed = Parameters::DEFAULT;
                let (server, client) = if role == Role::Server { (ours, theirs) } else { (theirs, ours) };
                (agreed.server_no_context_takeover, agreed.client_no_context_takeover) = (!server, !client);
                let mut sender = open(role, agreed, &config());
                let mut sizes = Vec::new();
                for round in 0..6 {
                    if round % 2 == 0 {
                        sender.writer().send(&message).expect("room");
                    } else {
                        let mut fragments = sender.writer().start(Kind::Text).expect("open");
                        fragments.write(&message[..1000]).expect("room");
                        fragments.finish_with(&message[1000..]).expect("room");
                    }
                    let payload: Vec<u8> = sent(&mut sender).into_iter().flat_map(|frame| frame.payload).collect();
                    sizes.push(payload.len());
                    let alone = Naive::default().message(&payload);
                    assert_eq!(alone.is_some_and(|alone| alone == message.as_bytes()), !ours || round == 0);
                }
                assert_eq!(sizes[2] == sizes[0], !ours, "{sizes:?}");
            }
        }
        // Where the peer was to forget and did not, its message refers to nothing.
        let stream = wire(role, &[(FIN | RSV1 | TEXT, HELLO[0].1), (FIN | RSV1 | TEXT, HELLO_AGAIN)]);
        let agreed = parameters(WindowBits::Bits15, false);
        let expected = Outcome { error: Some(ProtocolError::InvalidDeflate), ..Outcome::texts(["Hello"]) };
        assert_eq!(receive_all_ways(role, agreed, &config(), &stream), expected);
    }
}

#[test]
fn rfc_7692_7_1_2_2_3_no_distance_is_larger_than_the_agreed_window() {
    let message = text(10_000);
    for window in WINDOWS {
        // What is alike lies just inside the window, and just outside.
        let far = noise(window.size() * 9 / 8, 2);
        let runs = [&noise(700, 1)[..], &[b'r'; 700], &noise(700, 1), &far, &far].concat();
        let prepared = [Prepared::new(&message), Prepared::new(&runs)];
        for role in BOTH {
            for takeover in [true, false] {
                for (level, memory) in (0..=9).flat_map(|level| [(level, 1), (level, 9)]) {
                    // What the compressor does hangs neither on the role nor on takeover alone.
                    if level % 4 != 1 && (role == Role::Client || !takeover) {
                        continue;
                    }
                    let settings = Deflate::DEFAULT.threshold(0).level(level).memory_level(memory);
                    let config = Config::DEFAULT.deflate(Some(settings)).unlimited();
                    let mut sender = open(role, parameters(window, takeover), &config);
                    let writer = sender.writer();
                    writer.send(&message).expect("open");
                    writer.send(&runs).expect("open");
                    writer.send_prepared(&prepared[0]).expect("open");
                    writer.send_prepared(&prepared[1]).expect("open");
                    let mut fragments = writer.start(Kind::Binary).expect("open");
                    runs.chunks(5000).for_each(|piece| fragments.write(piece).expect("open"));
                    fragments.finish().expect("open");
                    check_distances(window, takeover, &sent(&mut sender), &message, &runs);
                }
            }
        }
    }
}

fn check_distances(window: WindowBits, takeover: bool, frames: &[naive::Frame], message: &str, runs: &[u8]) {
    let expected = [message.as_bytes(), runs, message.as_bytes(), runs, runs];
    if window == WindowBits::Bits8 {
        assert!(frames.iter().all(|frame| frame.first & RSV1 == 0), "no compressor keeps to 256 bytes");
    }
    let (mut naive, mut exact) = (Naive::default(), RawInflate::new(window.bits()));
    let mut messages = frames.chunk_by(|_, next| next.first & 0x0f == CONTINUATION);
    for expected in expected {
        let frames = messages.next().expect("a message");
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        if frames[0].first & RSV1 == 0 {
            assert!(payload == expected);
            continue;
        }
        assert!(naive.message(&payload).expect("valid") == expected);
        assert!(naive.furthest <= window.size(), "{} back in {}", naive.furthest, window.size());
        assert!(exact.message(&payload).expect("valid in such a window") == expected);
        if !takeover {
            naive.forget();
            exact = RawInflate::new(window.bits());
        }
    }
    assert!(messages.next().is_none());
}

#[test]
fn rfc_7692_7_1_2_2_3_an_end_with_the_smallest_window_inflates_what_keeps_to_it() {
    for role in BOTH {
        let agreed = parameters(WindowBits::Bits8, true);
        let stream = wire(role, &[(FIN | RSV1 | TEXT, HELLO[0].1), (FIN | RSV1 | TEXT, HELLO_AGAIN)]);
        assert_eq!(receive_all_ways(role, agreed, &config(), &stream), Outcome::texts(["Hello", "Hello"]));
        // Across a final block, too, where the window is put back by hand.
        let stream = wire(
            role,
            &[
                (FIN | RSV1 | TEXT, HELLO[2].1),
                (FIN | RSV1 | TEXT, &[&FINAL, HELLO_AGAIN].concat()),
                (FIN | RSV1 | TEXT, HELLO_AGAIN),
            ],
        );
        assert_eq!(receive_all_ways(role, agreed, &config(), &stream), Outcome::texts(["Hello"; 3]));
    }
}

// ---- §7.2.1, §7.2.2: messages ----

#[test]
fn rfc_7692_7_2_1_1_the_end_of_the_empty_block_is_not_sent() {
    for role in BOTH {
        for level in 0..=9 {
            let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT.threshold(0).level(level)));
            let mut sender = open(role, Parameters::DEFAULT, &config);
            let mut naive = Naive::default();
            for message in ["Hello", "Hello", "", "a", &text(5000), &text(100_000)] {
                sender.writer().send(message).expect("room");
                let frames = sent(&mut sender);
                assert_eq!((frames.len(), frames[0].first), (1, FIN | RSV1 | TEXT));
                assert!(!frames[0].payload.ends_with(&TAIL));
                assert!(naive.message(&frames[0].payload).expect("valid") == message.as_bytes(), "level {level}");
            }
        }
    }
}

#[test]
fn rfc_7692_7_2_1_2_an_empty_message_is_a_byte_and_never_none() {
    for role in BOTH {
        let mut sender = open(role, Parameters::DEFAULT, &config());
        sender.writer().send("").expect("room");
        sender.writer().start(Kind::Text).expect("open").finish().expect("room");
        for frame in sent(&mut sender) {
            assert_eq!((frame.first, &frame.payload[..]), (FIN | RSV1 | TEXT, &[0][..]));
        }
        // Before and behind another message, in a frame and in two.
        for empty in [&[0x00][..], &[0x02, 0x00]] {
            let frames = [(FIN | RSV1 | TEXT, empty), (FIN | RSV1 | TEXT, HELLO[0].1), (FIN | RSV1 | TEXT, empty)];
            assert_eq!(outcome(role, &frames), Outcome::texts(["", "Hello", ""]));
            let frames = [(RSV1 | TEXT, empty), (CONTINUATION, &[]), (FIN | CONTINUATION, &[])];
            assert_eq!(outcome(role, &frames), Outcome::texts([""]));
        }
        let failed = |good: &[&str]| Outcome {
            error: Some(ProtocolError::InvalidDeflate),
            ..Outcome::texts(good.iter().copied())
        };
        assert_eq!(outcome(role, &[(FIN | RSV1 | TEXT, b"")]), failed(&[]));
        assert_eq!(outcome(role, &[(RSV1 | TEXT, b""), (FIN | CONTINUATION, b"")]), failed(&[]));
        assert_eq!(outcome(role, &[(FIN | RSV1 | TEXT, HELLO[0].1), (FIN | RSV1 | TEXT, b"")]), failed(&["Hello"]));
        let agreed = parameters(WindowBits::Bits15, false);
        let stream = wire(role, &[(FIN | RSV1 | TEXT, HELLO[0].1), (FIN | RSV1 | TEXT, b"")]);
        assert_eq!(receive_all_ways(role, agreed, &config(), &stream), failed(&["Hello"]));
    }
}

#[test]
fn rfc_7692_7_2_1_3_any_blocks_may_make_up_a_message() {
    let message = text(3000);
    let mut payload = Vec::new();
    let (mut dynamic, mut stored, mut fixed) =
        (RawDeflate::new(9, 15, 9), RawDeflate::new(0, 15, 9), RawDeflate::new(1, 15, 9));
    for flush in [DeflateFlush::SyncFlush, DeflateFlush::FullFlush, DeflateFlush::Finish] {
        for raw in [&mut dynamic, &mut stored, &mut fixed] {
            if flush == DeflateFlush::Finish {
                payload.extend(raw.finish(message.as_bytes()));
            } else {
                payload.extend(raw.push(message.as_bytes(), flush));
            }
        }
    }
    payload.push(0x00);
    let mut naive = Naive::default();
    assert_eq!(naive.message(&payload).expect("valid"), message.repeat(9).as_bytes());
    assert!(naive.blocks.iter().all(|count| *count > 0) && naive.final_blocks == 3, "all types of blocks");
    for role in BOTH {
        for takeover in [true, false] {
            let stream = compressed(role, TEXT, &payload).repeat(2);
            let agreed = parameters(WindowBits::Bits15, takeover);
            let expected = message.repeat(9);
            assert!(receive_all_ways(role, agreed, &config(), &stream) == Outcome::texts([&*expected; 2]));
        }
    }
}

/// The empty block whose end is taken away may be a final one.
#[test]
fn rfc_7692_7_2_1_3_the_last_block_may_be_a_final_one() {
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x04, 0x00];
            assert_eq!(Naive::default().message(&[0x01]), Some(vec![]));
            let empty = wire(role, &[(FIN | RSV1 | TEXT, &[0x01]), (FIN | RSV1 | TEXT, &[0x03, 0x00, 0x01])]);
            assert_eq!(receive_all_ways(role, agreed, &config(), &empty), Outcome::texts(["", ""]));
            // Level 0 ends its stream so.
            let mut raw = RawDeflate::new(0, 15, 8);
            let mut stored = raw.push(b"Hello", DeflateFlush::SyncFlush);
            stored.extend(raw.finish(b""));
            assert_eq!(stored.split_off(stored.len() - 4), TAIL);
            assert_eq!(stored.last(), Some(&1));
            assert_eq!(Naive::default().message(&stored).as_deref(), Some(&b"Hello"[..]));
            let again = if takeover { HELLO_AGAIN } else { HELLO[0].1 };
            let stream = wire(role, &[(FIN | RSV1 | TEXT, &stored), (FIN | RSV1 | TEXT, again)]);
            assert_eq!(receive_all_ways(role, agreed, &config(), &stream), Outcome::texts(["Hello", "Hello"]));
            assert_eq!(Naive::default().message(&hello), None);
        }
    }
}

#[test]
fn rfc_7692_7_2_2_1_the_window_lasts_from_message_to_message() {
    for role in BOTH {
        for window in WINDOWS.into_iter().skip(1) {
            let agreed = parameters(window, true);
            let mut raw = RawDeflate::new(9, window.bits(), 8);
            let mut stream = Vec::new();
            // As far apart as a compressor can refer: it needs the room of the longest match in front.
            let (start, between) = (noise(100, 3), noise(window.size() - 262 - 100, 4));
            let messages = [&start[..], &between, &start, &[], &between[..50]];
            let sizes = messages.map(|message| {
                let payload = raw.message(message);
                stream.extend(compressed(role, BINARY, &payload));
                payload.len()
            });
            assert!(sizes[2] < 20, "{sizes:?}");
            assert!(receive_all_ways(role, agreed, &config(), &stream).payloads() == messages, "{window:?}");
        }
    }
}

/// Puts blocks in a row, `finals` of them behind each other where a message may be cut.
fn with_final_blocks(raw: &mut RawDeflate, pieces: &[&[u8]], finals: usize) -> Vec<u8> {
    let mut payload: Vec<u8> =
        pieces.iter().flat_map(|piece| [raw.finish(piece), FINAL.repeat(finals)].concat()).collect();
    payload.push(0);
    payload
}

#[test]
fn rfc_7692_7_2_2_2_and_d4_behind_a_final_block_the_message_goes_on_with_its_window() {
    let message = text(50_000);
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            let mut raw = RawDeflate::new(6, 15, 8);
            let pieces: Vec<&[u8]> = message.as_bytes().chunks(12_345).collect();
            let payload = with_final_blocks(&mut raw, &pieces, 3);
            let mut frames: Vec<(u8, &[u8])> = payload.chunks(99).map(|piece| (CONTINUATION, piece)).collect();
            frames[0].0 = RSV1 | TEXT;
            frames.push((FIN | CONTINUATION, &[]));
            let stream = [wire(role, &frames), compressed(role, TEXT, &payload)].concat();
            assert!(receive_all_ways(role, agreed, &config(), &stream) == Outcome::texts([&*message; 2]));
        }
        // Back across final blocks: inside a message, from the next one, and across one that is nothing else.
        let refers = [&HELLO[2].1[..7], &FINAL, HELLO_AGAIN].concat();
        let frames = [
            (FIN | RSV1 | TEXT, &refers[..]),
            (FIN | RSV1 | TEXT, HELLO_AGAIN),
            (FIN | RSV1 | TEXT, &[0x03, 0x00, 0x03, 0x00, 0x00]),
            (FIN | RSV1 | TEXT, HELLO_AGAIN),
        ];
        assert_eq!(outcome(role, &frames), Outcome::texts(["HelloHello", "Hello", "", "Hello"]));
        let frames = [(FIN | RSV1 | TEXT, &refers[..]), (FIN | RSV1 | TEXT, HELLO_AGAIN)];
        let expected = Outcome { error: Some(ProtocolError::InvalidDeflate), ..Outcome::texts(["HelloHello"]) };
        let agreed = parameters(WindowBits::Bits15, false);
        assert_eq!(receive_all_ways(role, agreed, &config(), &wire(role, &frames)), expected);
    }
}

/// A fixed block with a match of three bytes so far back, and the empty block behind it.
fn refer_back(distance: usize) -> Vec<u8> {
    let (mut bits, mut count) = (0u64, 0);
    let mut put = |value: usize, len: u32| {
        bits |= (value as u64) << count;
        count += len;
    };
    // Distances from 2^(n + 1) + 1 have n more bits, each half of them a code.
    let more = (distance - 1).ilog2() - 1;
    let code = 2 * (more as usize + 1) + ((distance - 1) >> more & 1);
    put(0b010, 3); // not final, fixed
    put(0b100_0000, 7); // length 3
    put((code as u8).reverse_bits() as usize >> 3, 5);
    put((distance - 1) & ((1 << more) - 1), more);
    put(0, 7); // the end of the block
    put(0, 3); // the empty block
    bits.to_le_bytes()[..(count as usize).div_ceil(8)].to_vec()
}

/// What a window has behind a final block does not hang on how the bytes arrive, either.
#[test]
fn d4_behind_a_final_block_no_distance_is_larger_than_the_agreed_window() {
    let fill = noise(2000, 6);
    for role in BOTH {
        for window in [WindowBits::Bits8, WindowBits::Bits9, WindowBits::Bits10] {
            for takeover in [true, false] {
                for pieces in [1, 3] {
                    for (distance, fails) in [(window.size(), false), (window.size() + 1, true)] {
                        let mut raw = RawDeflate::new(0, 15, 8);
                        let mut payload = Vec::new();
                        fill.chunks(2000 / pieces).for_each(|piece| payload.extend(raw.finish(piece)));
                        payload.extend(refer_back(distance));
                        let stream = compressed(role, BINARY, &payload);
                        let outcome = receive_all_ways(role, parameters(window, takeover), &config(), &stream);
                        assert_eq!(outcome.error, fails.then_some(ProtocolError::InvalidDeflate), "{window:?}");
                        let start = fill.len() - distance;
                        let expected = [&fill[..], &fill[start..start + 3]].concat();
                        assert!(fails || outcome.payloads() == [expected]);
                    }
                }
            }
        }
    }
}

/// A match that reaches back the whole window, over final blocks and over messages.
#[test]
fn d4_a_window_is_whole_behind_a_final_block() {
    let fill = noise(40_000, 5);
    for role in BOTH {
        for (cut, finals) in [(40_000, 1), (20_000, 2), (100, 1), (400, 3), (39_999, 1)] {
            for whole in [true, false] {
                let mut raw = RawDeflate::new(0, 15, 8);
                let mut blocks: Vec<Vec<u8>> = Vec::new();
                for piece in fill.chunks(cut) {
                    blocks.push([raw.finish(piece), FINAL.repeat(finals)].concat());
                }
                let back = &refer_back(32_768)[..];
                let expected = fill[fill.len() - 32_768..][..3].to_vec();
                let (stream, expected) = if whole {
                    let payload = [&blocks.concat()[..], back].concat();
                    (compressed(role, BINARY, &payload), vec![[&fill[..], &expected].concat()])
                } else {
                    let first = [&blocks.concat()[..], &[0]].concat();
                    let stream = [compressed(role, BINARY, &first), compressed(role, BINARY, back)].concat();
                    (stream, vec![fill.clone(), expected])
                };
                let outcome = receive_all_ways(role, Parameters::DEFAULT, &config(), &stream);
                assert_eq!(outcome.error, None, "{cut} {finals} {whole}");
                assert!(outcome.payloads() == expected);
            }
        }
    }
}

#[test]
fn d4_final_blocks_are_bounded_like_fragments() {
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            // No more than that, whatever the configuration: a final block costs a copy of the window.
            for (config, limit) in [(config().max_fragments(1000), 1000), (config().unlimited(), 1024)] {
                let payload = |blocks: u32| [&FINAL.repeat(blocks as usize)[..], HELLO[0].1].concat();
                // Counted for each message anew.
                let stream = compressed(role, TEXT, &payload(limit)).repeat(3);
                assert_eq!(receive_all_ways(role, agreed, &config, &stream), Outcome::texts(["Hello"; 3]));
                let stream = compressed(role, TEXT, &payload(limit + 1));
                let expected = Outcome::failed(ProtocolError::TooManyFragments { limit });
                assert_eq!(receive_all_ways(role, agreed, &config, &stream), expected);
                assert_eq!(expected.error.map(|error| error.close_code()), Some(CloseCode::MESSAGE_TOO_BIG));
            }
        }
    }
}

// ---- §7.2.3: the examples ----

#[test]
fn rfc_7692_7_2_3_1_the_examples_cut_at_every_position() {
    for role in BOTH {
        for (what, hello) in HELLO {
            let frames = [
                (FIN | RSV1 | TEXT, hello),
                (FIN | RSV1 | TEXT, HELLO_AGAIN),
                (FIN | RSV1 | TEXT, &[0x00]),
                (FIN | RSV1 | TEXT, HELLO_AGAIN),
            ];
            every_cut(role, &wire(role, &frames), &Outcome::texts(["Hello", "Hello", "", "Hello"]), what);
        }
    }
}

#[test]
fn rfc_7692_7_2_3_2_the_example_in_fragments() {
    let frames: [&[u8]; 2] = [&[0x41, 0x03, 0xf2, 0x48, 0xcd], &[0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00]];
    every_cut(Role::Client, &frames.concat(), &Outcome::texts(["Hello"]), "in fragments");
    for role in BOTH {
        for (what, hello) in HELLO {
            for at in 0..=hello.len() {
                let stream = wire(role, &[(RSV1 | TEXT, &hello[..at]), (FIN | CONTINUATION, &hello[at..])]);
                every_cut(role, &stream, &Outcome::texts(["Hello"]), what);
            }
        }
    }
}

/// Both cuts of the stream at every position, the pieces read in every two ways.
#[track_caller]
fn every_cut(role: Role, stream: &[u8], expected: &Outcome, what: &str) {
    let halves = |way: Way| if matches!(way, Way::Part | Way::StepPart) { [Way::Next, way] } else { [way, way] };
    for way in WAYS {
        for first in 0..=stream.len() {
            for second in [first, stream.len().min(first + 1), stream.len().min(first + 5), stream.len()] {
                // A message begun whole may go on in parts.
                for ways in [[way, way, way], [halves(way)[0], way, way]] {
                    let mut receiver = Receiver::new(role, Parameters::DEFAULT, &config());
                    receiver.receive(&stream[..first], ways[0]);
                    receiver.receive(&stream[first..second], ways[1]);
                    receiver.receive(&stream[second..], ways[2]);
                    assert_eq!(receiver.outcome, *expected, "{what}, {ways:?}, at {first} and {second}");
                }
            }
        }
    }
}

// ---- limits and what is not valid ----

#[test]
fn rfc_7692_x_1_and_m3_exactly_the_limit_passes_and_one_byte_more_is_told_1009() {
    assert_eq!(ProtocolError::MessageTooBig { limit: 0 }.close_code(), CloseCode::MESSAGE_TOO_BIG);
    for role in BOTH {
        for limit in [0, 1, 100, 4096, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 100_000] {
            for payload in [vec![b'x'; limit + 1], noise(limit + 1, 9)] {
                for (len, error) in
                    [(limit, None), (limit + 1, Some(ProtocolError::MessageTooBig { limit: limit as u64 }))]
                {
                    for takeover in [true, false] {
                        let mut raw = RawDeflate::new(6, 15, 8);
                        let mut stream = compressed(role, BINARY, &raw.message(&payload[..limit]));
                        if !takeover {
                            raw = RawDeflate::new(6, 15, 8);
                        }
                        let deflated = raw.message(&payload[..len]);
                        let third = deflated.len().div_ceil(3);
                        let mut frames: Vec<(u8, &[u8])> =
                            deflated.chunks(third).map(|piece| (CONTINUATION, piece)).collect();
                        frames[0].0 = RSV1 | BINARY;
                        frames.push((FIN | CONTINUATION, &[]));
                        stream.extend(wire(role, &frames));
                        let agreed = parameters(WindowBits::Bits15, takeover);
                        let outcome = receive_all_ways(role, agreed, &limits(limit), &stream);
                        assert_eq!(outcome.error, error, "{role:?}, {len} of {limit}");
                        let messages = [&payload[..limit], &payload[..len]];
                        assert!(outcome.payloads() == messages[..if error.is_some() { 1 } else { 2 }]);
                    }
                }
            }
        }
    }
}

/// The limit holds wherever the stream is cut.
#[test]
fn rfc_7692_x_1_and_m3_the_limit_is_exact_at_every_cut() {
    for role in BOTH {
        for (payload, error) in
            [(vec![b'x'; 300], None), (vec![b'x'; 301], Some(ProtocolError::MessageTooBig { limit: 300 }))]
        {
            let deflated = deflate::deflate(&payload);
            for frame in 0..=deflated.len() {
                let stream =
                    wire(role, &[(RSV1 | BINARY, &deflated[..frame]), (FIN | CONTINUATION, &deflated[frame..])]);
                for cut in 0..=stream.len() {
                    for way in WAYS {
                        let mut receiver = Receiver::new(role, Parameters::DEFAULT, &limits(300));
                        receiver.receive(&stream[..cut], way);
                        receiver.receive(&stream[cut..], way);
                        assert_eq!(receiver.outcome.error, error);
                        assert_eq!(receiver.outcome.messages.len(), usize::from(error.is_none()));
                    }
                }
            }
        }
    }
}

#[test]
fn rfc_7692_x_1_the_limits_of_whole_messages_and_of_parts_are_two() {
    let payload = vec![b'x'; 10_000];
    for role in BOTH {
        let stream = compressed(role, BINARY, &deflate::deflate(&payload));
        let config = config().max_message_size(9_999).max_streamed_size(10_000);
        for way in WAYS {
            let (outcome, _) = receive(role, Parameters::DEFAULT, &config, &stream, way, 3);
            let expected = match way {
                Way::Next | Way::Step => Err(ProtocolError::MessageTooBig { limit: 9_999 }),
                Way::Part | Way::StepPart => Ok(vec![&payload[..]]),
            };
            assert_eq!(outcome.error.map_or(Ok(outcome.payloads()), Err), expected);
        }
    }
}

#[test]
fn rfc_7692_x_1_the_compressed_size_has_a_limit_of_its_own() {
    // A stored block costs five bytes and may be empty.
    let empty_blocks = [0, 0, 0, 0xff, 0xff].repeat(100);
    for role in BOTH {
        let payload = [&empty_blocks[..], &[0]].concat();
        let stream = compressed(role, TEXT, &payload);
        let (least, most) = (payload.len() as u64 - 1, payload.len() as u64);
        for (limit, error) in [(most, None), (least, Some(ProtocolError::MessageTooBig { limit: least }))] {
            let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT.max_compressed_size(limit)));
            let outcome = receive_all_ways(role, Parameters::DEFAULT, &config, &stream);
            assert_eq!(outcome.error, error);
        }
        // It is judged by what the headers announce, before anything of it has come.
        let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT.max_compressed_size(1000)));
        let header = naive::header(FIN | RSV1 | BINARY, peer_key(role), 1001);
        let outcome = receive_all_ways(role, Parameters::DEFAULT, &config, &header);
        assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 1000 }));
        // Without limits there is none, and the largest frame does not overflow anything.
        let header = naive::header(RSV1 | BINARY, peer_key(role), (1 << 63) - 1);
        let stream = [&header[..], &[1; 3]].concat();
        let (outcome, _) = receive(role, Parameters::DEFAULT, &Config::DEFAULT.unlimited(), &stream, Way::Next, 1);
        assert_ne!(outcome.error.map(|error| error.close_code()), Some(CloseCode::MESSAGE_TOO_BIG));
    }
}

#[test]
fn rfc_7692_x_2_and_d4_corrupt_data_fails_and_no_partial_message_is_delivered() {
    let wrong: [(&str, &[u8]); 7] = [
        ("a block of no type", &[0x06]),
        ("a stored block whose length is not confirmed", &[0x00, 0x05, 0x00, 0xfa, 0xfe, 1, 2, 3, 4, 5, 0]),
        ("a distance into nothing", HELLO_AGAIN),
        ("a tail that was not taken away", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff]),
        ("a tail that was half taken away", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00]),
        ("the end of a stream without the empty block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ("a dynamic block of too many codes", &[0xfc, 0xff, 0xff]),
    ];
    for role in BOTH {
        for (what, payload) in wrong {
            assert_eq!(Naive::default().message(payload), None, "{what}");
            for opcode in [TEXT, BINARY] {
                let stream = [compressed(role, TEXT, &[0]), compressed(role, opcode, payload)].concat();
                let expected = Outcome { error: Some(ProtocolError::InvalidDeflate), ..Outcome::texts([""]) };
                assert_eq!(receive_all_ways(role, Parameters::DEFAULT, &config(), &stream), expected, "{what}");
            }
        }
        assert_eq!(ProtocolError::InvalidDeflate.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}

/// Every bit turned, every end cut off, every byte put behind: what the naive decoder says of it is what happens.
#[test]
fn d4_damage_at_every_byte_fails_or_is_another_message_and_never_a_part_of_one() {
    let message = text(400);
    let mut payloads = vec![HELLO[0].1.to_vec(), HELLO[1].1.to_vec(), HELLO[2].1.to_vec(), HELLO[3].1.to_vec()];
    payloads.push(RawDeflate::new(9, 15, 9).message(message.as_bytes()));
    payloads.push(with_final_blocks(&mut RawDeflate::new(6, 15, 8), &[&message.as_bytes()[..200], b"more"], 1));
    for payload in payloads {
        let mut damaged: Vec<Vec<u8>> = (0..payload.len()).map(|len| payload[..len].to_vec()).collect();
        damaged.extend((0..8 * payload.len()).map(|bit| {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        }));
        damaged.extend((0..=255).map(|byte| [&payload[..], &[byte]].concat()));
        damaged.push([&payload[..], &payload].concat());
        for damaged in damaged {
            let expected = Naive::default().message(&damaged);
            for role in BOTH {
                for way in WAYS {
                    for size in [1, usize::MAX] {
                        let stream = compressed(role, BINARY, &damaged);
                        let (outcome, partial) = receive(role, Parameters::DEFAULT, &config(), &stream, way, size);
                        match &expected {
                            Some(message) => assert_eq!(outcome.payloads(), [message], "{damaged:x?}"),
                            None => {
                                assert_eq!(outcome, Outcome::failed(ProtocolError::InvalidDeflate), "{damaged:x?}");
                                assert!(partial.is_empty() || matches!(way, Way::Part | Way::StepPart));
                            }
                        }
                    }
                }
            }
        }
    }
}

// ---- §8: choosing what is compressed ----

#[test]
fn rfc_7692_8_1_a_message_may_opt_out() {
    let message = text(1000);
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            let mut sender = open(role, agreed, &config());
            let mut receiver = Receiver::new(other(role), agreed, &config());
            let secret = || Message::from(&*message).uncompressed();
            for _ in 0..2 {
                let writer = sender.writer();
                writer.send(&message).expect("room");
                writer.send(secret()).expect("room");
                writer.send(secret().into_owned()).expect("room");
                writer.send_prepared(&Prepared::new(secret())).expect("room");
                let mut fragments = writer.start(Kind::Text).expect("open");
                fragments.write(secret()).expect("room");
                // The first piece has decided.
                fragments.finish_with(&message).expect("room");
                writer.send(&message).expect("room");
                let bytes = drain(&mut sender);
                let firsts: Vec<u8> = naive::frames(&bytes).iter().map(|frame| frame.first & (RSV1 | 0x0f)).collect();
                assert_eq!(firsts, [RSV1 | TEXT, TEXT, TEXT, TEXT, TEXT, CONTINUATION, RSV1 | TEXT]);
                receiver.receive(&bytes, Way::Next);
            }
            let twice = message.repeat(2);
            let expected = [&*message, &message, &message, &message, &twice, &message].repeat(2);
            assert!(receiver.outcome == Outcome::texts(expected));
        }
        // Small messages go as they are, and nothing is compressed unless it was agreed on.
        let mut sender =
            open(role, Parameters::DEFAULT, &Config::DEFAULT.deflate(Some(Deflate::DEFAULT.threshold(10))));
        sender.writer().send("xxxxxxxxx").expect("room");
        sender.writer().send_prepared(&Prepared::new("xxxxxxxxx")).expect("room");
        sender.writer().send("xxxxxxxxxx").expect("room");
        let firsts: Vec<u8> = sent(&mut sender).iter().map(|frame| frame.first).collect();
        assert_eq!(firsts, [FIN | TEXT, FIN | TEXT, FIN | RSV1 | TEXT]);
        assert!(format!("{:?}", Config::DEFAULT).contains("deflate: None"));
    }
}

// ---- D5, D7, D8: what our window is ----

#[test]
fn d5_a_message_that_grows_does_not_corrupt_the_next() {
    for role in BOTH {
        for window in WINDOWS {
            for takeover in [true, false] {
                let agreed = parameters(window, takeover);
                let mut sender = open(role, agreed, &config());
                let mut receiver = Receiver::new(other(role), agreed, &config());
                for len in [1, 10, 100, 1000, 40_000] {
                    let noise = noise(len, len as u64);
                    for message in [&noise[..], text(500).as_bytes(), &noise, &noise[..len / 2], b"x"] {
                        sender.writer().send(message).expect("room");
                        assert!(arrives(&mut sender, &mut receiver) == [message]);
                    }
                }
                if !takeover {
                    sender.writer().send(noise(1000, 1)).expect("room");
                    assert_eq!(sent(&mut sender)[0].first, FIN | BINARY, "it would grow, so it goes as it is");
                }
            }
        }
    }
}

#[test]
fn d7_prepared_messages_among_ordinary_ones() {
    let message = text(3000);
    let grows = noise(3000, 4);
    let prepared = [
        Prepared::new(&message),
        Prepared::new(&grows),
        Prepared::new(Message::from(&*message).uncompressed()),
        Prepared::new(""),
        Prepared::new("x"),
    ];
    let contents: [&[u8]; 5] = [message.as_bytes(), &grows, message.as_bytes(), b"", b"x"];
    for role in BOTH {
        for window in WINDOWS {
            for takeover in [true, false] {
                let agreed = parameters(window, takeover);
                // One message fills the outbox, and the next is refused.
                let config = config().outbox_capacity(1);
                let mut sender = open(role, agreed, &config);
                let mut receiver = Receiver::new(other(role), agreed, &config);
                let mut check = |expected: &[u8], send: &dyn Fn(&mut Writer)| {
                    send(sender.writer());
                    let refused = sender.writer().send(&message).map_err(|error| error.kind());
                    assert_eq!(refused, Err(SendErrorKind::Full));
                    let refused = sender.writer().send_prepared(&prepared[0]).map_err(|error| error.kind());
                    assert_eq!(refused, Err(SendErrorKind::Full));
                    let Some(mut fragments) = sender.writer().resume() else {
                        assert!(arrives(&mut sender, &mut receiver) == [expected]);
                        return;
                    };
                    assert_eq!(fragments.write(&grows).map_err(|error| error.kind()), Err(SendErrorKind::Full));
                };
                for round in 0..3 {
                    for (prepared, content) in prepared.iter().zip(contents) {
                        check(content, &|writer| writer.send_prepared(prepared).expect("room"));
                        if round > 0 {
                            check(message.as_bytes(), &|writer| writer.send(&message).expect("room"));
                        }
                        if round > 1 {
                            check(&grows, &|writer| writer.send(&grows).expect("room"));
                            let secret = || Message::from(&*message).uncompressed();
                            check(message.as_bytes(), &|writer| writer.send(secret()).expect("room"));
                        }
                    }
                    check(message.as_bytes(), &|writer| writer.send(&message).expect("room"));
                }
            }
        }
    }
}

#[test]
fn d7_prepared_messages_among_fragments() {
    let message = text(3000);
    let prepared = Prepared::new(&message);
    for role in BOTH {
        for window in WINDOWS {
            for takeover in [true, false] {
                let agreed = parameters(window, takeover);
                let mut sender = open(role, agreed, &config());
                let mut receiver = Receiver::new(other(role), agreed, &config());
                for _ in 0..3 {
                    let writer = sender.writer();
                    let mut fragments = writer.start(Kind::Text).expect("open");
                    fragments.write(&message[..500]).expect("room");
                    assert_eq!(
                        writer.send_prepared(&prepared).map_err(|error| error.kind()),
                        Err(SendErrorKind::Unfinished)
                    );
                    writer.resume().expect("unfinished").finish_with(&message[500..]).expect("room");
                    writer.send_prepared(&prepared).expect("room");
                    let mut fragments = writer.start(Kind::Text).expect("open");
                    fragments.write("").expect("room");
                    fragments.write(&message).expect("room");
                    fragments.finish().expect("room");
                    assert!(arrives(&mut sender, &mut receiver) == [message.as_bytes(); 3]);
                }
            }
        }
    }
}

/// One `Prepared` serves connections of every window, the smallest first and the largest first.
#[test]
fn d7_a_prepared_message_has_a_form_for_each_window() {
    let message = text(100_000);
    for reverse in [false, true] {
        let prepared = Prepared::new(&message);
        let mut windows = WINDOWS;
        if reverse {
            windows.reverse();
        }
        for (role, window) in BOTH.into_iter().flat_map(|role| windows.map(|window| (role, window))) {
            let agreed = parameters(window, true);
            let mut sender = open(role, agreed, &config());
            let mut receiver = Receiver::new(other(role), agreed, &config());
            sender.writer().send_prepared(&prepared).expect("room");
            let bytes = drain(&mut sender);
            let frame = &naive::frames(&bytes)[0];
            assert_eq!(frame.first & RSV1 != 0, window != WindowBits::Bits8);
            if window != WindowBits::Bits8 {
                assert!(RawInflate::new(window.bits()).message(&frame.payload).expect("valid") == message.as_bytes());
            }
            receiver.receive(&bytes, Way::Part);
            assert!(receiver.outcome == Outcome::texts([&*message]));
        }
    }
}

#[test]
fn d8_a_compressed_prepared_message_is_masked_anew_for_every_receiver() {
    let prepared = Prepared::new(text(1000));
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut client = open(Role::Client, Parameters::DEFAULT, &config());
        for _ in 0..2 {
            client.writer().send_prepared(&prepared).expect("room");
            let frame = sent(&mut client).remove(0);
            assert_eq!(frame.first, FIN | RSV1 | TEXT);
            assert_eq!(Naive::default().message(&frame.payload).as_deref(), Some(text(1000).as_bytes()));
            keys.insert(frame.key.expect("masked"));
        }
    }
    assert!(keys.len() >= 199, "200 keys of 32 bits");
}

// ---- changing between whole messages and parts ----

/// A message begun with one function and ended with the other, changed at every position. Behind it comes another,
/// which needs its window.
#[test]
fn a_message_may_be_begun_in_one_way_and_ended_in_another() {
    for role in BOTH {
        for payload in
            [text(200).into_bytes(), vec![b'r'; 70_000], [vec![b's'; 40_000], text(100).into_bytes()].concat()]
        {
            let mut raw = RawDeflate::new(6, 15, 8);
            let deflated = raw.message(&payload);
            let again = raw.message(&payload);
            let half = deflated.len() / 2;
            for frames in [
                &[(FIN | RSV1 | TEXT, &deflated[..])][..],
                &[(RSV1 | TEXT, &deflated[..half]), (FIN | CONTINUATION, &deflated[half..])],
                &[(RSV1 | TEXT, &deflated[..]), (FIN | CONTINUATION, &[])],
            ] {
                let stream = [wire(role, frames), compressed(role, TEXT, &again)].concat();
                for at in 0..stream.len() {
                    for (first, then) in [(Way::Next, Way::Part), (Way::Part, Way::Next), (Way::StepPart, Way::Step)] {
                        let mut receiver = Receiver::new(role, Parameters::DEFAULT, &config());
                        receiver.receive(&stream[..at], first);
                        let begun = !receiver.partial.is_empty();
                        receiver.partial.clear();
                        receiver.receive(&stream[at..], then);
                        assert_eq!(receiver.outcome.error, None, "{first:?}, then {then:?} at {at}");
                        // Of a message of which parts were lent, `next` skips the rest.
                        let skipped = begun && then != Way::Part;
                        let messages = receiver.outcome.payloads();
                        assert_eq!(messages.len(), 2 - usize::from(skipped), "{first:?}, then {then:?} at {at}");
                        assert!(messages.last() == Some(&&payload[..]));
                    }
                }
            }
        }
    }
}

/// A piece may be full though all input is used up: what is left of the message is skipped with it.
#[test]
fn what_is_left_behind_a_full_piece_is_skipped_with_its_message() {
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            for level in [1, 6, 9] {
                for len in (16 << 10) + 1..(16 << 10) + 260 {
                    let mut raw = RawDeflate::new(level, 15, 8);
                    let deflated = raw.message(&vec![b'r'; len]);
                    let next = if takeover { raw.message(b"rrrrrr") } else { deflate::deflate(b"rrrrrr") };
                    let mut stream = [compressed(role, BINARY, &deflated), compressed(role, BINARY, &next)].concat();
                    let mut connection = open(role, agreed, &config());
                    let mut input = &mut stream[..];
                    assert!(connection.next_part(&mut input).expect("valid").is_some());
                    let event = connection.next(&mut input).expect("valid").expect("a message");
                    assert_eq!(event, sockeye::Event::Message(b"rrrrrr".into()), "level {level}, {len}");
                }
            }
        }
    }
}

// ---- states of zlib in other hands ----

/// A state that was given back in the middle of a message is as good as new for the next connection.
#[test]
fn a_connection_that_is_dropped_inside_a_message_leaves_nothing_to_the_next() {
    let message = text(20_000);
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits15, takeover);
            for round in 0..20 {
                let mut left = open(role, agreed, &config());
                left.writer().start(Kind::Text).expect("open").write(&message[..round]).expect("room");
                let mut payload = RawDeflate::new(6, 15, 8).message(message.as_bytes());
                payload.truncate(payload.len() * round / 20);
                if round % 3 == 0 {
                    payload.extend([0xff; 3]);
                }
                let mut receiver = Receiver::new(role, agreed, &config());
                receiver.receive(&compressed(role, TEXT, &payload), WAYS[round % 4]);
                drop((left, receiver));

                let mut sender = open(role, agreed, &config());
                sender.writer().send(&message).expect("room");
                let payload = sent(&mut sender).remove(0).payload;
                assert!(Naive::default().message(&payload).expect("valid alone") == message.as_bytes());
                let stream = compressed(role, TEXT, HELLO_AGAIN);
                let (outcome, _) = receive(role, agreed, &config(), &stream, Way::Next, usize::MAX);
                assert_eq!(outcome.error, Some(ProtocolError::InvalidDeflate), "its window is empty");
            }
        }
    }
}

#[test]
fn connections_move_between_threads_inside_messages() {
    let message = text(50_000);
    for role in BOTH {
        for takeover in [true, false] {
            let agreed = parameters(WindowBits::Bits12, takeover);
            let mut sender = open(role, agreed, &config());
            let mut receiver = Receiver::new(other(role), agreed, &config());
            for _ in 0..3 {
                let mut fragments = sender.writer().start(Kind::Text).expect("open");
                fragments.write(&message[..message.len() / 2]).expect("room");
                let bytes = drain(&mut sender);
                receiver.receive(&bytes, Way::Next);
                let rest = message[message.len() / 2..].to_owned();
                (sender, receiver) = std::thread::spawn(move || {
                    sender.writer().resume().expect("unfinished").finish_with(rest).expect("room");
                    let bytes = drain(&mut sender);
                    receiver.receive(&bytes, Way::Next);
                    (sender, receiver)
                })
                .join()
                .expect("no panic");
            }
            assert!(receiver.outcome == Outcome::texts([&*message; 3]));
        }
    }
}

#[test]
fn there_is_no_room_to_read_a_compressed_payload_into() {
    let payload = deflate::deflate(&text(5000).into_bytes());
    for role in BOTH {
        let stream = compressed(role, TEXT, &payload);
        for at in 0..=stream.len() {
            let mut receiver = Receiver::new(role, Parameters::DEFAULT, &config());
            receiver.receive(&stream[..at], Way::Next);
            assert!(receiver.connection.payload_buf().is_none());
            receiver.receive(&stream[at..], Way::Next);
            assert!(receiver.outcome == Outcome::texts([&*text(5000)]));
        }
    }
}
