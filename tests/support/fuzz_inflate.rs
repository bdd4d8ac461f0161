//! The body of the fuzz target of compressed messages. A panic is a find.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use sockeye::Role;
use sockeye::deflate::WindowBits;
use zlib_rs::DeflateFlush;

use crate::deflate::{Naive, Outcome, RSV1, RawDeflate, Receiver, WAYS, Way, config, parameters};
use crate::naive::{self, BINARY, CONTINUATION, FIN, PING, TEXT};

const FLUSHES: [DeflateFlush; 6] = [
    DeflateFlush::NoFlush,
    DeflateFlush::PartialFlush,
    DeflateFlush::SyncFlush,
    DeflateFlush::FullFlush,
    DeflateFlush::Block,
    DeflateFlush::Finish,
];

/// The first bytes choose the role, the parameters, the limits and the cuts. The rest are compressed messages; or what
/// is to be compressed by zlib-rs, and where the result is damaged.
pub fn inflate(data: &[u8]) {
    let Some((&[switches, sizes, level, damage, at, ref cuts @ ..], rest)) = data.split_first_chunk::<8>() else {
        return;
    };
    let role = if switches & 1 == 0 { Role::Client } else { Role::Server };
    let window = WindowBits::from_bits(8 + (sizes & 7)).expect("8 to 15");
    let takeover = switches & 2 != 0;
    let opcode = if switches & 4 == 0 { BINARY } else { TEXT };
    let limit = [0, 1, 300, 5_000, 16 << 10, 40_000, 1 << 20, usize::MAX][usize::from(sizes >> 3 & 7)];
    // Without a limit, what a bomb inflates to still has to be held here.
    let limit = if limit == usize::MAX && rest.len() > 1000 { 1 << 20 } else { limit };
    let finals = if switches & 8 == 0 { 5 } else { 1 << 10 };

    let count = 1 + usize::from(switches >> 4 & 3);
    let contents = rest.chunks(rest.len().div_ceil(count).max(1));
    let payloads: Vec<Vec<u8>> = if switches & 0x40 == 0 {
        contents.map(<[u8]>::to_vec).collect()
    } else {
        let new = || RawDeflate::new(i32::from(level % 10), window.bits().max(9), 1 + i32::from(level / 10 % 9));
        let mut raw = new();
        contents
            .map(|content| {
                if !takeover {
                    raw = new();
                }
                compress(&mut raw, content)
            })
            .collect()
    };
    let mut expected = expectation(&payloads, opcode, takeover, limit, finals, window);
    if switches & 0x40 != 0 && window != WindowBits::Bits8 {
        let contents: Vec<&[u8]> = rest.chunks(rest.len().div_ceil(count).max(1)).collect();
        let all = contents.iter().all(|content| content.len() <= limit && str::from_utf8(content).is_ok());
        if all && finals > 5 && content_limit(&payloads, limit) {
            let expected = expected.messages.as_ref().expect("what zlib-rs compresses is valid");
            assert!(expected.iter().map(|payload| &payload[..]).eq(contents), "the naive decoder inflates it");
        }
    }
    let mut payloads = payloads;
    if damage != 0
        && let Some(payload) = payloads.last_mut().filter(|payload| !payload.is_empty())
    {
        let at = usize::from(at) * payload.len() / 256;
        payload[at] ^= damage;
        expected = expectation(&payloads, opcode, takeover, limit, finals, window);
    }

    let stream = stream(role, opcode, &payloads, cuts[0]);
    let config = config().max_message_size(limit).max_streamed_size(limit as u64).max_fragments(finals.max(50));
    let mut agreed: Option<Outcome> = None;
    let mut ways = Vec::from(WAYS.map(|way| (way, way)));
    ways.push((Way::Next, Way::Part));
    for (way, then) in ways {
        for cuts in [&[usize::MAX][..], &cuts.map(|cut| 1 + usize::from(cut))] {
            let mut receiver = Receiver::new(role, parameters(window, takeover), &config);
            let (mut rest, mut way) = (&stream[..], way);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || receiver.outcome.error.is_some() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                receiver.receive(piece, way);
                assert!(receiver.partial.len() <= limit, "never more than the limit");
                (rest, way) = (after, then);
            }
            let outcome = receiver.outcome;
            assert!(outcome.messages.iter().all(|(_, payload)| payload.len() <= limit));
            match &agreed {
                None => agreed = Some(outcome),
                Some(agreed) => {
                    let codes = [agreed.error, outcome.error].map(|error| error.map(|error| error.close_code()));
                    assert_eq!(codes[0], codes[1], "{way:?}: {agreed:?}, and {outcome:?}");
                    assert!(agreed.messages == outcome.messages, "{way:?}");
                }
            }
        }
    }
    let agreed = agreed.expect("some way");
    if content_limit(&payloads, limit) && finals > 50 && expected.is_certain {
        match expected.messages {
            Some(expected) => {
                assert_eq!(agreed.error, None);
                assert!(agreed.payloads() == expected, "the naive decoder inflates it");
            }
            None => assert!(agreed.error.is_some(), "the naive decoder refuses it"),
        }
    }
}

/// Whether the limit on compressed messages leaves room for all of these.
fn content_limit(payloads: &[Vec<u8>], limit: usize) -> bool {
    payloads.iter().all(|payload| payload.len() <= limit.saturating_add(limit / 8).saturating_add(64))
}

struct Expectation {
    messages: Option<Vec<Vec<u8>>>,
    /// A distance beyond the agreed window may be refused behind a final block.
    is_certain: bool,
}

/// What the messages inflate to, if they are valid and within the limit.
fn expectation(
    payloads: &[Vec<u8>],
    opcode: u8,
    takeover: bool,
    limit: usize,
    finals: u32,
    window: WindowBits,
) -> Expectation {
    let mut naive = Naive::default();
    let mut messages = Vec::new();
    let mut valid = true;
    for payload in payloads {
        naive.most = Some(limit);
        let before = naive.final_blocks;
        let message = naive.message(payload);
        valid &= message.as_ref().is_some_and(|message| opcode == BINARY || str::from_utf8(message).is_ok());
        valid &= naive.final_blocks - before <= finals as usize;
        if !valid {
            break;
        }
        messages.extend(message);
        if !takeover {
            naive.forget();
        }
    }
    let is_certain = naive.final_blocks == 0 || naive.furthest <= window.size();
    Expectation { messages: valid.then_some(messages), is_certain }
}

/// Compresses the content with the flushes that its own bytes choose.
fn compress(raw: &mut RawDeflate, content: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for piece in content.chunk_by(|byte, _| byte % 16 != 7) {
        match FLUSHES[usize::from(piece[0]) / 3 % FLUSHES.len()] {
            DeflateFlush::Finish => payload.extend(raw.finish(piece)),
            flush => payload.extend(raw.push(piece, flush)),
        }
    }
    // An empty stored block ends it, whatever was flushed before.
    let end = raw.push(&[], DeflateFlush::SyncFlush);
    payload.extend(&end);
    if payload.ends_with(&crate::deflate::TAIL) && !end.is_empty() {
        payload.truncate(payload.len() - 4);
    } else {
        // Nothing was written: the flush before has ended with such a block, or the stream has begun anew.
        payload.push(0);
    }
    payload
}

/// The messages in frames of this size, pings between them.
fn stream(role: Role, opcode: u8, payloads: &[Vec<u8>], size: u8) -> Vec<u8> {
    let key = (role == Role::Server).then_some([0x37, 0xfa, 0x21, 0x3d]);
    let mut stream = Vec::new();
    for payload in payloads {
        if size.is_multiple_of(3) {
            stream.extend(naive::frame(FIN | RSV1 | opcode, key, payload));
            continue;
        }
        stream.extend(naive::frame(RSV1 | opcode, key, b""));
        // Few enough for every limit on fragments.
        let size = usize::from(size).max(payload.len().div_ceil(40));
        for piece in payload.chunks(size) {
            stream.extend(naive::frame(CONTINUATION, key, piece));
            stream.extend(naive::frame(FIN | PING, key, b""));
        }
        stream.extend(naive::frame(FIN | CONTINUATION, key, b""));
    }
    stream
}
