//! What the core holds in memory, counted by the allocator. Each test runs in a thread of its own, with its own counters
//! and its own pool of buffers, so that tests do not disturb each other.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use bytes::{Buf, BufMut};
use sockeye::{Agreed, CloseCode, Config, Connection, Event, Kind, Message, ProtocolError, Role};

#[path = "support/counting.rs"]
mod counting;
#[path = "support/naive.rs"]
mod naive;

use counting::{assert_allocates_nothing, count, counters, held};
use naive::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How many bytes a connection owns on the heap: what dropping it frees.
fn owned(connection: Connection) -> isize {
    let before = held();
    drop(connection);
    before - held()
}

fn open(role: Role, config: &Config) -> Connection {
    Connection::open(role, Agreed::default(), config)
}

fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([1, 2, 3, 4])
}

/// Takes all that waits to leave.
fn drain(connection: &mut Connection) {
    let outbox = connection.writer().outbox();
    while outbox.has_remaining() {
        outbox.advance(outbox.chunk().len());
    }
}

/// Receives a piece of the stream, and answers every message with itself.
fn echo(connection: &mut Connection, mut input: &mut [u8]) -> usize {
    let mut echoed = 0;
    while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
        if let Event::Message(message) = event {
            writer.send(message).expect("room");
            echoed += 1;
        }
    }
    echoed
}

/// Receives a piece of the stream, and drops what comes of it.
fn receive(connection: &mut Connection, mut input: &mut [u8]) -> Result<usize, ProtocolError> {
    let mut events = 0;
    while connection.next(&mut input)?.is_some() {
        events += 1;
    }
    Ok(events)
}

/// The bound of memory that follows what was received.
#[track_caller]
fn assert_follows(received: usize, base: isize) {
    let peak = (counters().peak - base) as usize;
    let bound = 3 * received + 64 * KIB;
    assert!(peak <= bound, "{peak} bytes of heap after {received} were received");
}

/// Starts a new measurement of the peak.
fn reset_peak() -> isize {
    count(|counters| counters.peak = counters.held);
    held()
}

// ---- small messages ----

#[test]
fn a_thousand_small_echoes_allocate_nothing_once_the_pool_is_warm() {
    for role in BOTH {
        let mut connection = open(role, &Config::DEFAULT);
        let frame = naive::frame(FIN | TEXT, key(role), "twenty bytes of text".as_bytes());
        let batch = frame.repeat(16);
        let mut input = vec![0; batch.len()];
        let mut run = |stream: &[u8], size: usize| {
            let mut echoed = 0;
            for piece in stream.chunks(size) {
                let input = &mut input[..piece.len()];
                input.copy_from_slice(piece);
                echoed += echo(&mut connection, input);
                drain(&mut connection);
            }
            echoed
        };
        for (what, stream, size) in [
            ("whole in the input", &frame, frame.len()),
            ("sixteen in the input", &batch, batch.len()),
            ("cut in the payload", &frame, 13),
            ("cut in the header", &frame, 1),
            ("sixteen, cut anywhere", &batch, 37),
        ] {
            run(stream, size);
            assert_allocates_nothing(&format!("{role:?}, {what}"), || {
                let mut echoed = 0;
                while echoed < 1000 {
                    echoed += run(stream, size);
                }
            });
        }
        assert_eq!(owned(connection), 0);
    }
}

#[test]
fn an_idle_connection_owns_no_heap() {
    for role in BOTH {
        let mut connection = None;
        assert_allocates_nothing("opening", || connection = Some(open(role, &Config::DEFAULT)));
        assert_eq!(owned(connection.expect("opened")), 0);
        for (what, first, payload) in [
            ("a text message", FIN | TEXT, vec![b'x'; 100]),
            ("a binary message of 16 KiB", FIN | BINARY, vec![1; 16 * KIB]),
            ("a binary message of 200 KiB", FIN | BINARY, vec![1; 200 * KIB]),
            ("a ping", FIN | PING, vec![2; 100]),
        ] {
            let frame = naive::frame(first, key(role), &payload);
            let header = frame.len() - payload.len();
            for cut in [1, header, header + 1, frame.len() - 1, frame.len()] {
                let mut connection = open(role, &Config::DEFAULT);
                let mut frame = frame.clone();
                let (front, back) = frame.split_at_mut(cut);
                echo(&mut connection, front);
                echo(&mut connection, back);
                drain(&mut connection);
                assert_eq!(owned(connection), 0, "{role:?} after {what} cut at {cut}");
            }
            // Room that was made for the payload, which then came in the input after all.
            let mut connection = open(role, &Config::DEFAULT);
            let mut frame = frame.clone();
            let (front, back) = frame.split_at_mut(header);
            echo(&mut connection, front);
            let _ = connection.payload_buf();
            echo(&mut connection, back);
            drain(&mut connection);
            assert_eq!(owned(connection), 0, "{role:?} after {what} with unused room");
        }
    }
}

#[test]
fn an_idle_connection_owns_no_heap_after_parts() {
    for role in BOTH {
        for payload in ["€", "text in several parts"] {
            let mut frame = naive::frame(FIN | TEXT, key(role), payload.as_bytes());
            let header = frame.len() - payload.len();
            for cut in [header, header + 1, header + 3] {
                let mut connection = open(role, &Config::DEFAULT);
                let mut frame = frame.clone();
                let (front, mut back) = frame.split_at_mut(cut);
                receive(&mut connection, front).expect("valid");
                let _ = connection.payload_buf();
                while connection.next_part(&mut back).expect("valid").is_some() {}
                assert_eq!(owned(connection), 0, "{role:?}, parts from {cut}");
            }
            frame.clear();
        }
    }
}

#[test]
fn close_and_failure_free_an_unfinished_message() {
    for role in BOTH {
        for end in [naive::frame(FIN | CLOSE, key(role), b""), naive::frame(FIN | 0x40 | PING, key(role), b"")] {
            let mut connection = open(role, &Config::DEFAULT);
            receive(&mut connection, &mut naive::frame(BINARY, key(role), &vec![7; 500 * KIB])).expect("valid");
            let _ = receive(&mut connection, &mut end.clone());
            drain(&mut connection);
            assert_eq!(owned(connection), 0, "{role:?}");
        }
    }
}

// ---- M1 to M7: hostile peers ----

#[test]
fn m1_a_header_that_claims_much_gets_little() {
    for role in BOTH {
        for len in [1 << 20, 1 << 31, 1 << 62] {
            for (limit, config) in [(1 << 20, Config::DEFAULT), (u64::MAX, Config::DEFAULT.unlimited())] {
                for fin in [0, FIN] {
                    for in_place in [false, true] {
                        let base = reset_peak();
                        let mut connection = open(role, &config);
                        let mut header = naive::header(fin | BINARY, key(role), len);
                        let mut received = header.len();
                        let mut result = receive(&mut connection, &mut header);
                        assert_follows(received, base);
                        for _ in 0..100 {
                            if result.is_ok()
                                && in_place
                                && let Some(mut room) = connection.payload_buf()
                            {
                                let count = room.room().min(10);
                                room.put_slice(&[0; 10][..count]);
                                received += count;
                            } else if result.is_ok() {
                                result = receive(&mut connection, &mut [0; 10]);
                                received += 10;
                            }
                            assert_follows(received, base);
                        }
                        assert_eq!(result.is_ok(), len <= limit, "{len} bytes, at most {limit}");
                    }
                }
            }
        }
    }
}

#[test]
fn m1_memory_follows_what_was_received_while_a_large_message_grows() {
    let payload = vec![b'x'; 9 * MIB + 123];
    for role in BOTH {
        for config in [Config::DEFAULT.max_message_size(16 * MIB), Config::DEFAULT.unlimited()] {
            for (fin, in_place, size) in [
                (true, false, KIB),
                (true, false, 64 * KIB),
                (false, false, 64 * KIB),
                (true, true, KIB),
                (true, true, 64 * KIB),
                (false, true, 64 * KIB),
            ] {
                let stream = if fin {
                    naive::frame(FIN | BINARY, key(role), &payload)
                } else {
                    let last = naive::frame(FIN | CONTINUATION, key(role), b"");
                    [naive::frame(BINARY, key(role), &payload), last].concat()
                };
                let mut piece = vec![0; size];
                let base = reset_peak();
                let mut connection = open(role, &config);
                let mut received = 0;
                let mut messages = 0;
                while received < stream.len() {
                    let rest = &stream[received..];
                    let mut count = rest.len().min(size);
                    if in_place && let Some(mut room) = connection.payload_buf() {
                        count = count.min(room.room());
                        room.put_slice(&rest[..count]);
                        messages += receive(&mut connection, &mut []).expect("valid");
                    } else {
                        piece[..count].copy_from_slice(&rest[..count]);
                        messages += receive(&mut connection, &mut piece[..count]).expect("valid");
                    }
                    received += count;
                    assert_follows(received, base);
                }
                assert_eq!(messages, 1);
                let peak = (counters().peak - base) as usize;
                assert!(peak <= 3 * payload.len(), "{peak} bytes at most for {}", payload.len());
            }
        }
    }
}

#[test]
fn m2_endless_fragments_end_at_the_limit() {
    for role in BOTH {
        let base = reset_peak();
        let mut connection = open(role, &Config::DEFAULT);
        let piece = naive::frame(CONTINUATION, key(role), &[1; 1000]);
        let mut payload = 1;
        receive(&mut connection, &mut naive::frame(BINARY, key(role), &[1])).expect("valid");
        let error = loop {
            match receive(&mut connection, &mut piece.clone()) {
                Ok(_) => payload += 1000,
                Err(error) => break error,
            }
            assert_follows(payload, base);
        };
        assert_eq!(error, ProtocolError::MessageTooBig { limit: MIB as u64 });
        assert_eq!(payload, MIB / 1000 * 1000 + 1);
        drain(&mut connection);
        assert_eq!(owned(connection), 0);
    }
}

#[test]
fn m4_a_million_empty_and_one_byte_fragments() {
    for role in BOTH {
        let config = Config::DEFAULT.max_fragments(2_000_000);
        let mut connection = open(role, &config);
        receive(&mut connection, &mut naive::frame(BINARY, key(role), b"")).expect("valid");
        let both = [naive::frame(CONTINUATION, key(role), b""), naive::frame(CONTINUATION, key(role), b"x")]
            .concat()
            .repeat(1000);
        let mut input = both.clone();
        let base = reset_peak();
        for round in 1..=500 {
            input.copy_from_slice(&both);
            assert_eq!(receive(&mut connection, &mut input), Ok(0));
            assert_follows(round * 1000, base);
        }
        let mut last = naive::frame(FIN | CONTINUATION, key(role), b"");
        let mut input = &mut last[..];
        let Ok(Some(Event::Message(message))) = connection.next(&mut input) else { panic!("a message") };
        assert_eq!(message.as_bytes().len(), 500_000);
    }
}

#[test]
fn m5_reads_of_one_byte_allocate_no_buffer_each() {
    for role in BOTH {
        let mut connection = open(role, &Config::DEFAULT);
        let frame = naive::frame(FIN | BINARY, key(role), &vec![3; 256 * KIB]);
        let before = counters();
        let mut messages = 0;
        for byte in frame {
            messages += receive(&mut connection, &mut [byte]).expect("valid");
        }
        let growths = counters().allocations - before.allocations;
        assert_eq!(messages, 1);
        assert!(growths <= 5, "64, 128 and 256 KiB, the assembly, and the pool's list: {growths}");
    }
}

#[test]
fn m6_a_frame_that_fails_on_its_header_buffers_nothing() {
    for role in BOTH {
        for bad in [&[FIN | 3][..], &[11], &[FIN | PING, 126], &[FIN | CLOSE, 127], &[PING]] {
            let (mut reader, _) = open(role, &Config::DEFAULT).split();
            let mut input = [0; 64];
            input[..bad.len()].copy_from_slice(bad);
            if let Some(len) = input.get_mut(1) {
                *len |= if role == Role::Server { 0x80 } else { 0 };
            }
            assert_allocates_nothing("failing", || assert!(reader.next(&mut &mut input[..]).is_err()));
        }
    }
}

#[test]
fn m7_ten_million_pings_of_a_peer_that_never_reads() {
    let mut connection = open(Role::Client, &Config::DEFAULT);
    let mut pings = [FIN | PING, 0].repeat(10_000);
    receive(&mut connection, &mut pings).expect("valid");
    let base = reset_peak();
    let queued = connection.writer().queued();
    assert!(queued <= 4 * KIB, "{queued} bytes of pongs");
    assert_allocates_nothing("pings", || {
        for _ in 1..1000 {
            assert_eq!(receive(&mut connection, &mut pings), Ok(10_000));
        }
    });
    assert_eq!((counters().peak, connection.writer().queued()), (base, queued));
    receive(&mut connection, &mut naive::frame(FIN | PING, None, b"latest")).expect("valid");
    let mut last = Vec::new();
    let outbox = connection.writer().outbox();
    while outbox.has_remaining() {
        last = outbox.copy_to_bytes(outbox.remaining()).to_vec();
    }
    assert_eq!(naive::frames(&last).last().map(|frame| frame.payload.clone()), Some(b"latest".to_vec()));
}

// ---- M10 to M12: large messages and slow peers ----

/// What passing bytes through an outbox costs, in bytes.
#[derive(Debug, Default)]
struct Cost {
    /// Moved inside the outbox: the next byte to leave lies elsewhere than before.
    moved: usize,
    allocated: usize,
}

impl Cost {
    /// Makes a change that puts bytes behind those that wait, or takes `taken` of them, and counts what it moved.
    fn of(&mut self, connection: &mut Connection, taken: usize, change: impl FnOnce(&mut Connection)) {
        let before = connection.writer().outbox().chunk().as_ptr_range();
        let (waited, allocated) = (connection.writer().queued(), counters().allocated);
        change(connection);
        self.allocated += counters().allocated - allocated;
        let start = connection.writer().outbox().chunk().as_ptr();
        let stayed = start == before.start.wrapping_add(taken) || before.start.wrapping_add(taken) == before.end;
        if !stayed {
            self.moved += waited - taken;
        }
    }
}

/// Queues `total` bytes, then takes them 64 KiB at a time.
fn queue_then_drain(total: usize, message: &[u8]) -> Cost {
    let mut connection = open(Role::Server, &Config::DEFAULT.unlimited());
    let mut cost = Cost::default();
    while connection.writer().queued() < total {
        cost.of(&mut connection, 0, |connection| connection.writer().send(message).expect("room"));
    }
    take_until(&mut connection, &mut cost, 0);
    cost
}

/// Keeps 1 MiB waiting while `total` bytes pass, 64 KiB at a time.
fn pass_through(total: usize, message: &[u8]) -> Cost {
    let mut connection = open(Role::Server, &Config::DEFAULT);
    let mut cost = Cost::default();
    let mut passed = 0;
    while passed < total {
        let mut refused = false;
        while !refused {
            cost.of(&mut connection, 0, |connection| refused = connection.writer().send(message).is_err());
            passed += message.len();
        }
        let least = connection.writer().queued() - 64 * KIB;
        take_until(&mut connection, &mut cost, least);
    }
    cost
}

fn take_until(connection: &mut Connection, cost: &mut Cost, least: usize) {
    while connection.writer().queued() > least {
        let count = connection.writer().outbox().chunk().len().min(64 * KIB);
        cost.of(connection, count, |connection| connection.writer().outbox().advance(count));
    }
}

/// No clock: the cost is the bytes that the outbox moves and asks of the allocator, which are all that its work grows
/// with beyond the single copy in and out.
#[test]
fn m10_a_peer_that_drains_little_at_a_time_costs_linearly() {
    for message in [&vec![5; KIB], &vec![5; 100 * KIB]] {
        for (what, cost) in [("queued", queue_then_drain as fn(usize, &[u8]) -> Cost), ("passed through", pass_through)]
        {
            let (half, whole) = (cost(24 * MIB, message), cost(48 * MIB, message));
            for (once, twice) in [(half.moved, whole.moved), (half.allocated, whole.allocated)] {
                assert!(10 * twice <= 22 * once.max(MIB), "{what}: {half:?} for half of {whole:?}");
            }
            assert!(whole.moved <= 2 * 48 * MIB, "{what}: {whole:?}");
        }
    }
}

#[test]
fn m11_after_a_large_message_and_its_echo_a_connection_is_idle_again() {
    let config = Config::DEFAULT.max_message_size(8 * MIB);
    for role in BOTH {
        for in_place in [false, true] {
            let stream = naive::frame(FIN | BINARY, key(role), &vec![8; 8 * MIB]);
            let mut piece = vec![0; 64 * KIB];
            let before = held();
            let mut connection = open(role, &config);
            let mut rest = &stream[..];
            let mut echoed = 0;
            while !rest.is_empty() {
                let mut count = rest.len().min(piece.len());
                if in_place && let Some(mut room) = connection.payload_buf() {
                    count = count.min(room.room());
                    room.put_slice(&rest[..count]);
                    echoed += echo(&mut connection, &mut []);
                } else {
                    piece[..count].copy_from_slice(&rest[..count]);
                    echoed += echo(&mut connection, &mut piece[..count]);
                }
                rest = &rest[count..];
            }
            assert_eq!(echoed, 1);
            assert!(held() - before >= 8 * MIB as isize, "the echo waits");
            drain(&mut connection);
            let pooled = held() - before;
            assert!(pooled <= 8 * 64 * KIB as isize + 512, "{pooled} bytes stay, in the thread's pool");
            assert_eq!(owned(connection), 0, "{role:?}");
        }
    }
}

#[test]
fn m12_small_messages_that_are_kept_pin_only_their_own_bytes() {
    for role in BOTH {
        for size in [usize::MAX, 50] {
            let mut connection = open(role, &Config::DEFAULT);
            // A large message before them must not lend them its buffer.
            let mut large = naive::frame(FIN | BINARY, key(role), &vec![1; 60 * KIB]);
            for piece in large.chunks_mut(KIB) {
                receive(&mut connection, piece).expect("valid");
            }
            let mut stream = naive::frame(FIN | TEXT, key(role), &[b'k'; 100]).repeat(200);
            let mut kept: Vec<Message<'static>> = Vec::with_capacity(200);
            let before = held();
            for mut input in stream.chunks_mut(size.min(KIB)) {
                while let Some(event) = connection.next(&mut input).expect("valid") {
                    let Event::Message(message) = event else { panic!("messages only") };
                    kept.push(message.into_owned());
                }
            }
            assert_eq!(kept.len(), 200);
            let pinned = held() - before;
            assert!(pinned <= 200 * 100, "{pinned} bytes for 200 messages of 100");
            drop(kept);
        }
    }
}

/// No clock: what assembling a message copies beyond its bytes is what its buffer asks of the allocator as it grows.
#[test]
fn c2_assembling_costs_linearly_however_the_message_is_cut() {
    for role in BOTH {
        for (frame, read) in [(1, 1), (1, 1000), (7, 64), (1000, 13), (usize::MAX, 1), (usize::MAX, 64 * KIB)] {
            let cost = |len: usize| {
                let payload = vec![b'c'; len];
                let mut stream = naive::frame(TEXT, key(role), b"");
                payload.chunks(frame).for_each(|part| stream.extend(naive::frame(CONTINUATION, key(role), part)));
                stream.extend(naive::frame(FIN | CONTINUATION, key(role), b""));
                let config = Config::DEFAULT.max_fragments(u32::MAX).max_message_size(usize::MAX);
                let mut connection = open(role, &config);
                let before = counters().allocated;
                let messages: usize =
                    stream.chunks_mut(read).map(|piece| receive(&mut connection, piece).expect("valid")).sum();
                assert_eq!(messages, 1);
                counters().allocated - before
            };
            let (once, twice) = (cost(300_000), cost(600_000));
            assert!(10 * twice <= 22 * once, "{once} bytes, then {twice}, in frames of {frame} and reads of {read}");
            assert!(twice <= 4 * 600_000, "{twice} bytes allocated for a message of 600 000");
        }
    }
}

#[test]
fn a_server_echoes_a_large_message_without_a_copy() {
    let mut connection = open(Role::Server, &Config::DEFAULT);
    let stream = naive::frame(FIN | BINARY, key(Role::Server), &vec![6; MIB]);
    let mut pieces: Vec<Vec<u8>> = stream.chunks(64 * KIB).map(<[u8]>::to_vec).collect();
    let (mut echoed, mut place) = (0, std::ptr::null());
    for piece in &mut pieces {
        let mut input = &mut piece[..];
        while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
            let Event::Message(message) = event else { panic!("a message") };
            place = message.as_bytes().as_ptr();
            let before = counters();
            writer.send(message).expect("room");
            let allocated = counters().allocated - before.allocated;
            assert!(allocated < 8 * KIB, "{allocated} bytes to queue a message that moves");
            echoed += 1;
        }
    }
    assert_eq!(echoed, 1);
    let outbox = connection.writer().outbox();
    outbox.advance(10);
    assert_eq!((outbox.chunk().as_ptr(), outbox.chunk().len()), (place, MIB));
}

#[test]
fn streaming_takes_constant_memory() {
    for role in BOTH {
        let mut connection = open(role, &Config::DEFAULT);
        let piece = naive::frame(CONTINUATION, key(role), "κόσμε".repeat(1000).as_bytes());
        let mut input = piece.clone();
        let mut first = naive::frame(TEXT, key(role), "κ".as_bytes());
        assert!(connection.next_part(&mut &mut first[..]).expect("valid").is_some());
        assert_allocates_nothing("parts", || {
            for _ in 0..100 {
                input.copy_from_slice(&piece);
                for mut input in input.chunks_mut(777) {
                    while connection.next_part(&mut input).expect("valid").is_some() {}
                }
            }
        });
        let writer = connection.writer();
        writer.start(Kind::Text).expect("open").write("warm").expect("room");
        drain(&mut connection);
        assert_allocates_nothing("fragments", || {
            for _ in 0..100 {
                connection.writer().resume().expect("unfinished").write("a piece of a long message").expect("room");
                drain(&mut connection);
            }
        });
        let mut last = naive::frame(FIN | CONTINUATION, key(role), b"");
        assert!(connection.next_part(&mut &mut last[..]).expect("valid").is_some());
        assert!(connection.next_part(&mut &mut [][..]).expect("valid").is_none());
        connection.writer().close(CloseCode::NORMAL, "").expect("open");
        drain(&mut connection);
        assert_eq!(owned(connection), 0);
    }
}
