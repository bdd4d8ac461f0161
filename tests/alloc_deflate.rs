//! What compression holds in memory, counted by the allocator, as in `alloc.rs`: each test in a thread of its own.

use bytes::Buf;
use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{Config, Connection, Deflate, Event, Kind, Message, Prepared, ProtocolError, Role};

#[path = "support/counting.rs"]
mod counting;
#[path = "support/deflate.rs"]
mod deflate;
#[path = "support/naive.rs"]
mod naive;

use counting::{assert_allocates_nothing, count, count_growth_in_place, counters, held};
use deflate::{RSV1, RawDeflate, config, open, parameters, text};
use naive::{BINARY, CONTINUATION, FIN, TEXT};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn agreed(takeover: bool) -> Parameters {
    parameters(WindowBits::Bits15, takeover)
}

fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([1, 2, 3, 4])
}

/// Starts a new measurement of the peak.
fn reset_peak() -> isize {
    count(|counters| counters.peak = counters.held);
    held()
}

/// How many bytes a connection owns on the heap: what dropping it frees. Its states of zlib and its buffers go to the
/// pool, if that has room.
fn owned(connection: Connection) -> isize {
    let before = held();
    drop(connection);
    before - held()
}

/// Fills the thread's pool, so that what a connection gives back is freed.
fn fill_pool(role: Role, takeover: bool) {
    let connections: Vec<Connection> = (0..10)
        .map(|_| {
            let mut connection = open(role, agreed(takeover), &config());
            connection.writer().start(Kind::Text).expect("open").write(text(100)).expect("room");
            let mut begun = naive::frame(RSV1 | TEXT, key(role), &deflate::deflate(text(100).as_bytes()));
            connection.next(&mut &mut begun[..]).expect("valid");
            connection
        })
        .collect();
    drop(connections);
}

/// Takes all that waits to leave.
fn drain(connection: &mut Connection) {
    let outbox = connection.writer().outbox();
    while outbox.has_remaining() {
        outbox.advance(outbox.chunk().len());
    }
}

/// How a message that was received is answered.
#[derive(Clone, Copy, Debug)]
enum Echo {
    Whole,
    Fragments,
    /// Each part as a fragment, as it comes.
    Parts,
}

/// Receives a piece of the stream, answers every message, and drops the answers.
fn echo(connection: &mut Connection, mut input: &mut [u8], how: Echo) -> usize {
    let mut echoed = 0;
    match how {
        Echo::Whole | Echo::Fragments => {
            while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
                let Event::Message(message) = event else { continue };
                if matches!(how, Echo::Whole) {
                    writer.send(message).expect("room");
                } else {
                    let mut fragments = writer.start(message.kind()).expect("room");
                    fragments.write(message.borrow()).expect("room");
                    fragments.finish_with(message).expect("room");
                }
                echoed += 1;
            }
        }
        Echo::Parts => {
            let (reader, writer) = connection.halves();
            while let Some(part) = reader.next_part(&mut input).expect("valid") {
                let sockeye::Part::Piece { data, last } = part else { continue };
                if writer.resume().is_none() {
                    let _ = writer.start(data.kind()).expect("room");
                }
                let mut fragments = writer.resume().expect("started");
                if last {
                    fragments.finish_with(data).expect("room");
                    echoed += 1;
                } else {
                    fragments.write(data).expect("room");
                }
            }
        }
    }
    drain(connection);
    echoed
}

#[test]
fn a_thousand_compressed_echoes_allocate_nothing_once_the_pool_is_warm() {
    for role in BOTH {
        for takeover in [true, false] {
            for how in [Echo::Whole, Echo::Fragments, Echo::Parts] {
                for size in [usize::MAX, 100] {
                    let mut connection = open(role, agreed(takeover), &config());
                    let mut raw = RawDeflate::new(1, 15, 5);
                    let message = text(KIB);
                    let stream: Vec<Vec<u8>> = (0..1100)
                        .map(|_| {
                            if !takeover {
                                raw = RawDeflate::new(1, 15, 5);
                            }
                            naive::frame(FIN | RSV1 | TEXT, key(role), &raw.message(message.as_bytes()))
                        })
                        .collect();
                    let (warm_up, rest) = stream.split_at(100);
                    let mut input = [0; 4 * KIB];
                    let mut run = |stream: &[Vec<u8>]| {
                        let mut echoed = 0;
                        for frame in stream {
                            for piece in frame.chunks(size) {
                                let input = &mut input[..piece.len()];
                                input.copy_from_slice(piece);
                                echoed += echo(&mut connection, input, how);
                            }
                        }
                        assert_eq!(echoed, stream.len());
                    };
                    run(warm_up);
                    let what = format!("{role:?}, takeover {takeover}, {how:?}, in pieces of {size}");
                    assert_allocates_nothing(&what, || run(rest));
                }
            }
        }
    }
}

/// A thread that echoes on many connections in turn.
#[test]
fn connections_without_takeover_share_the_states_of_their_thread() {
    for role in BOTH {
        let mut connections: Vec<Connection> = (0..100).map(|_| open(role, agreed(false), &config())).collect();
        let frame = naive::frame(FIN | RSV1 | TEXT, key(role), &deflate::deflate(text(KIB).as_bytes()));
        let mut input = frame.clone();
        let mut round = || {
            for connection in &mut connections {
                input.copy_from_slice(&frame);
                assert_eq!(echo(connection, &mut input, Echo::Whole), 1);
            }
        };
        round();
        assert_allocates_nothing("ten echoes on each of a hundred connections", || (0..10).for_each(|_| round()));
    }
}

#[test]
fn d6_ten_thousand_idle_connections_hold_no_state_of_zlib() {
    for role in BOTH {
        let config = config();
        let open_one = || open(role, agreed(false), &config);
        let before = held();
        let fresh = open_one();
        let each = held() - before;
        drop(fresh);
        assert!(each <= 256, "{each} bytes for the halves of compression");
        let frame = naive::frame(FIN | RSV1 | TEXT, key(role), &deflate::deflate(text(KIB).as_bytes()));
        let prepared = Prepared::new(text(KIB));
        let mut input = frame.clone();
        let mut connections: Vec<Connection> = Vec::with_capacity(10_000);
        // The pool, and the form of the prepared message, are there before the first that is counted.
        let mut warm_up = open_one();
        let mut use_it = |connection: &mut Connection| {
            for how in [Echo::Whole, Echo::Fragments, Echo::Parts] {
                input.copy_from_slice(&frame);
                assert_eq!(echo(connection, &mut input, how), 1);
            }
            connection.writer().send_prepared(&prepared).expect("room");
            drain(connection);
            // One that is begun in parts and then skipped.
            input.copy_from_slice(&frame);
            let (mut front, mut back) = input.split_at_mut(frame.len() - 3);
            while connection.next_part(&mut front).expect("valid").is_some() {}
            while connection.next(&mut back).expect("valid").is_some() {}
        };
        (0..20).for_each(|_| use_it(&mut warm_up));
        let before = held();
        for _ in 0..10_000 {
            let mut connection = open_one();
            use_it(&mut connection);
            connections.push(connection);
        }
        assert_eq!(held() - before, 10_000 * each, "{role:?}");
        assert_eq!(connections.drain(..).map(owned).sum::<isize>(), 10_000 * each);
    }
}

#[test]
fn an_idle_connection_holds_no_buffer_after_a_message_that_was_skipped() {
    for role in BOTH {
        for takeover in [true, false] {
            for payload in [vec![b's'; 100], vec![b's'; 100_000]] {
                let frame = naive::frame(FIN | RSV1 | BINARY, key(role), &deflate::deflate(&payload));
                let whole = |connection: &mut Connection| {
                    let mut frame = frame.clone();
                    let mut input = &mut frame[..];
                    while connection.next(&mut input).expect("valid").is_some() {}
                };
                fill_pool(role, takeover);
                let mut plain = open(role, agreed(takeover), &config());
                whole(&mut plain);
                let mut skipping = open(role, agreed(takeover), &config());
                let mut input = frame.clone();
                let (front, mut back) = input.split_at_mut(frame.len() - 2);
                let mut front = front;
                assert!(skipping.next_part(&mut front).expect("valid").is_some());
                assert!(skipping.next(&mut front).expect("valid").is_none());
                assert!(skipping.next(&mut back).expect("valid").is_none());
                fill_pool(role, takeover);
                assert_eq!(owned(skipping), owned(plain), "{role:?}, takeover {takeover}");
            }
        }
    }
}

/// A message of `mebibytes` of zeros, compressed as far as DEFLATE can, in frames of up to `frame` bytes.
fn bomb(role: Role, mebibytes: usize, frame: usize) -> Vec<u8> {
    // Each mebibyte stands alone, so one serves for all.
    let zeros = RawDeflate::new(9, 15, 9).push(&vec![0; MIB], zlib_rs::DeflateFlush::FullFlush);
    let payload = [&zeros.repeat(mebibytes)[..], &[0]].concat();
    let mut stream = Vec::new();
    for (n, piece) in payload.chunks(frame).enumerate() {
        stream.extend(naive::frame(if n == 0 { RSV1 | BINARY } else { CONTINUATION }, key(role), piece));
    }
    stream.extend(naive::frame(FIN | CONTINUATION, key(role), b""));
    stream
}

/// Gives the stream in reads of 64 KiB, and tells the error.
fn explode(connection: &mut Connection, stream: &mut [u8], in_parts: bool) -> (usize, Option<ProtocolError>) {
    let mut received = 0;
    for piece in stream.chunks_mut(64 * KIB) {
        let mut input = piece;
        loop {
            let result = if in_parts {
                connection.next_part(&mut input).map(|part| match part {
                    Some(sockeye::Part::Piece { data, .. }) => Some(data.as_bytes().len()),
                    _ => None,
                })
            } else {
                connection.next(&mut input).map(|event| match event {
                    Some(Event::Message(message)) => Some(message.as_bytes().len()),
                    _ => None,
                })
            };
            match result {
                Ok(Some(count)) => received += count,
                Ok(None) => break,
                Err(error) => return (received, Some(error)),
            }
        }
    }
    (received, None)
}

#[test]
fn d1_a_bomb_fails_at_the_limit_within_its_memory() {
    count_growth_in_place();
    for (role, takeover) in BOTH.into_iter().flat_map(|role| [(role, true), (role, false)]) {
        for (mebibytes, frame) in [(1, usize::MAX), (1024, usize::MAX), (1024, 1000), (1024, 125)] {
            let stream = bomb(role, mebibytes, frame);
            assert!(stream.len() < mebibytes * 11 * KIB / 10, "{} bytes", stream.len());
            for limit in [100 * KIB, MIB - 1] {
                let config = config().max_message_size(limit).max_streamed_size(1 << 40);
                let mut connection = open(role, agreed(takeover), &config);
                let harmless = deflate::deflate(text(40 * KIB).as_bytes());
                let mut harmless = naive::frame(FIN | RSV1 | TEXT, key(role), &harmless);
                assert_eq!(explode(&mut connection, &mut harmless, false), (text(40 * KIB).len(), None));
                let mut stream = stream.clone();
                // With takeover, the window that the connection holds counts before.
                let base = reset_peak();
                let (received, error) = explode(&mut connection, &mut stream, false);
                let peak = (counters().peak - base) as usize;
                // What the frames announce may be too much already.
                assert_eq!(error.map(|error| error.close_code().0), Some(1009));
                assert_eq!(received, 0);
                assert!(peak <= limit + 64 * KIB, "{peak} bytes, {role:?}, takeover {takeover}, {frame} at {limit}");
            }
        }
    }
}

#[test]
fn d1_a_bomb_in_parts_takes_constant_memory_up_to_its_limit() {
    count_growth_in_place();
    for (role, takeover) in BOTH.into_iter().flat_map(|role| [(role, true), (role, false)]) {
        for frame in [usize::MAX, 1000] {
            let limit = 20 * MIB;
            let mut connection = open(role, agreed(takeover), &config().max_streamed_size(limit as u64));
            let mut stream = bomb(role, 1024, frame);
            let base = reset_peak();
            let (received, error) = explode(&mut connection, &mut stream, true);
            let peak = (counters().peak - base) as usize;
            assert_eq!(error, Some(ProtocolError::MessageTooBig { limit: limit as u64 }));
            assert!((limit - 16 * KIB..=limit).contains(&received), "{received} bytes of {limit}");
            assert!(peak <= 160 * KIB, "{peak} bytes of heap, {role:?}, takeover {takeover}");
        }
    }
}

#[test]
fn d1_a_bomb_that_is_skipped_takes_constant_memory() {
    count_growth_in_place();
    for (role, takeover) in BOTH.into_iter().flat_map(|role| [(role, true), (role, false)]) {
        let mut connection = open(role, agreed(takeover), &config().max_streamed_size(20 << 20));
        let mut stream = bomb(role, 1024, 1000);
        let base = reset_peak();
        let mut input = &mut stream[..];
        assert!(connection.next_part(&mut input).expect("valid").is_some());
        let (received, error) = explode(&mut connection, input, false);
        let peak = (counters().peak - base) as usize;
        assert_eq!((received, error), (0, Some(ProtocolError::MessageTooBig { limit: 20 << 20 })));
        assert!(peak <= 160 * KIB, "{peak} bytes of heap, {role:?}, takeover {takeover}");
    }
}

/// A header alone gets no state of zlib.
#[test]
fn a_compressed_header_that_claims_much_gets_little() {
    for role in BOTH {
        for takeover in [true, false] {
            let mut connection = open(role, agreed(takeover), &config());
            // From now on the thread's pool has what any message needs.
            let mut warm =
                [naive::frame(BINARY, key(role), b""), naive::frame(FIN | CONTINUATION, key(role), b"")].concat();
            let mut input = &mut warm[..];
            while connection.next(&mut input).expect("valid").is_some() {}
            let mut header = naive::header(FIN | RSV1 | BINARY, key(role), MIB as u64);
            assert_allocates_nothing("a header", || {
                assert!(connection.next(&mut &mut header[..]).expect("valid").is_none());
            });
        }
    }
}

/// Small messages out of a large one's buffer, and a large buffer for a small message, as without compression.
#[test]
fn m12_small_compressed_messages_that_are_kept_pin_only_their_own_bytes() {
    for role in BOTH {
        for takeover in [true, false] {
            let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT));
            let mut connection = open(role, agreed(takeover), &config);
            let mut raw = RawDeflate::new(6, 15, 8);
            let mut kept: Vec<Message<'static>> = Vec::with_capacity(300);
            let mut before = 0;
            for n in 0..300 {
                if n == 100 {
                    before = held();
                }
                if !takeover {
                    raw = RawDeflate::new(6, 15, 8);
                }
                let payload = raw.message(&[b'k'; 100]);
                let mut frame = naive::frame(FIN | RSV1 | TEXT, key(role), &payload);
                let mut input = &mut frame[..];
                while let Some(event) = connection.next(&mut input).expect("valid") {
                    let Event::Message(message) = event else { panic!("messages only") };
                    kept.push(message.into_owned());
                }
            }
            let pinned = held() - before;
            assert!(pinned <= 200 * 100 + 32 * KIB as isize, "{pinned} bytes for 200 messages of 100 and a window");
        }
    }
}
