//! What compression holds in memory, counted by the allocator and compared with the table of `sockeye::deflate`. Each
//! measurement runs in a thread of its own, with its own counters and its own pools.

#![cfg(target_pointer_width = "64")] // the table is of this

use std::thread;

use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{Agreed, Config, Connection, Deflate, Event, Prepared, Role};

#[path = "support/counting.rs"]
mod counting;
#[path = "support/ticker.rs"]
mod ticker;

use counting::counters;

const KIB: f64 = 1024.0;

#[derive(Clone, Copy)]
struct Setting {
    takeover: bool,
    window: WindowBits,
    memory_level: u8,
}

impl Setting {
    fn open(self, role: Role) -> Connection {
        let parameters = Parameters {
            server_no_context_takeover: !self.takeover,
            client_no_context_takeover: !self.takeover,
            server_max_window_bits: self.window,
            client_max_window_bits: self.window,
        };
        let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT.memory_level(self.memory_level)));
        Connection::open(role, Agreed::default().with_deflate(parameters), &config)
    }
}

/// What a connection does before it is idle.
#[derive(Clone, Copy)]
enum Use {
    Nothing,
    Send,
    Receive,
    Echo,
}

/// Messages of 1 KiB, twice as much as fills any window.
fn messages() -> Vec<String> {
    ticker::messages(1 << 10).take(64).collect()
}

/// Takes all that waits to leave.
fn sent(connection: &mut Connection) -> Vec<u8> {
    let outbox = connection.writer().outbox();
    let mut bytes = Vec::new();
    while !outbox.chunk().is_empty() {
        bytes.extend_from_slice(outbox.chunk());
        outbox.advance(outbox.chunk().len());
    }
    bytes
}

/// The messages as a peer sends them, each in a frame.
fn frames(setting: Setting, messages: &[String]) -> Vec<Vec<u8>> {
    let mut peer = setting.open(Role::Client);
    let mut send = |message: &String| {
        peer.writer().send(message).expect("room");
        sent(&mut peer)
    };
    messages.iter().map(&mut send).collect()
}

/// A connection that was used and is idle.
fn used(setting: Setting, usage: Use, messages: &[String], frames: &[Vec<u8>]) -> Connection {
    let mut connection = setting.open(Role::Server);
    for (message, frame) in messages.iter().zip(frames) {
        match usage {
            Use::Nothing => {}
            Use::Send => connection.writer().send(message).expect("room"),
            Use::Receive | Use::Echo => {
                let mut frame = frame.clone();
                let mut input = &mut frame[..];
                while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
                    let Event::Message(received) = event else { panic!("messages only") };
                    assert_eq!(received.as_bytes(), message.as_bytes());
                    if matches!(usage, Use::Echo) {
                        writer.send(received).expect("room");
                    }
                }
            }
        }
        sent(&mut connection);
    }
    connection
}

/// How many bytes of heap such a connection has, beside what the thread's pools keep for any number of them.
fn heap_of(setting: Setting, usage: Use) -> f64 {
    let measure = move || {
        let messages = messages();
        // The peer's compressor is not to come to us by the pool.
        let frames = thread::scope(|scope| scope.spawn(|| frames(setting, &messages)).join().expect("frames"));
        let warm: Vec<_> = (0..4).map(|_| used(setting, usage, &messages, &frames)).collect();
        let before = counters().held;
        let more: [Connection; 4] = std::array::from_fn(|_| used(setting, usage, &messages, &frames));
        let held = counters().held - before;
        drop((warm, more));
        held as f64 / 4.0
    };
    thread::spawn(measure).join().expect("measured")
}

/// The documentation with the table.
const DOCUMENTED: &str = include_str!("../src/deflate/mod.rs");

/// The rows of the table: the window, the compressor by [`MEMORY_LEVELS`], the decompressor.
fn rows() -> Vec<(WindowBits, [f64; 4], f64)> {
    let cells = |line: &str| -> Option<Vec<f64>> {
        let line = line.strip_prefix("//! | ")?.strip_suffix(" |")?;
        line.split(" | ").map(|cell| cell.parse().ok()).collect()
    };
    let row = |line: &str| {
        let &[bits, a, b, c, d, decompressor] = &cells(line)?[..] else { return None };
        Some((WindowBits::from_bits(bits as u8)?, [a, b, c, d], decompressor))
    };
    DOCUMENTED.lines().filter_map(row).collect()
}

const MEMORY_LEVELS: [u8; 4] = [9, 8, 5, 1];

#[track_caller]
fn assert_documented(what: &str, setting: Setting, usage: Use, documented: f64) {
    let measured = heap_of(setting, usage) / KIB;
    let error = (measured - documented).abs() / documented;
    assert!(error < 0.02, "{what} of {:?}: {measured:.1} KiB, not {documented}", setting.window);
}

#[test]
fn kept_windows_take_what_the_table_says() {
    let rows = rows();
    assert_eq!(rows.iter().map(|row| row.0.bits()).collect::<Vec<_>>(), [15, 14, 13, 12, 11, 10, 9]);
    for (window, compressors, decompressor) in rows {
        for (memory_level, compressor) in MEMORY_LEVELS.into_iter().zip(compressors) {
            let setting = Setting { takeover: true, window, memory_level };
            assert_documented("the compressor", setting, Use::Send, compressor);
            assert_documented("both", setting, Use::Echo, compressor + decompressor);
        }
        assert_documented(
            "the decompressor",
            Setting { takeover: true, window, memory_level: 5 },
            Use::Receive,
            decompressor,
        );
    }
}

#[test]
fn forgotten_windows_take_what_the_text_says() {
    for window in [WindowBits::Bits9, WindowBits::MAX] {
        let setting = Setting { takeover: false, window, memory_level: 5 };
        for usage in [Use::Nothing, Use::Send, Use::Receive, Use::Echo] {
            let documented = format!("owns {} bytes", heap_of(setting, usage));
            assert!(DOCUMENTED.contains(&documented), "{documented}");
        }
    }
}

#[test]
fn a_prepared_message_is_compressed_once_for_a_thousand() {
    for takeover in [true, false] {
        // The larger one is still small enough, when compressed, to be copied.
        for size in [1 << 10, 8 << 10] {
            let setting = Setting { takeover, window: WindowBits::MAX, memory_level: 5 };
            let message = ticker::messages(size).next().expect("endless");
            let prepared = Prepared::new(&message);
            let mut receivers: Vec<_> = (0..1000).map(|_| setting.open(Role::Server)).collect();
            let send = |receiver: &mut Connection| {
                receiver.writer().send_prepared(&prepared).expect("room");
                let outbox = receiver.writer().outbox();
                assert!(outbox.chunk().len() < size, "compressed");
                outbox.advance(outbox.chunk().len());
            };
            let (first, others) = receivers.split_first_mut().expect("a thousand");
            send(first);
            let before = counters();
            others.iter_mut().for_each(send);
            let after = counters();
            assert_eq!(after.allocations - before.allocations, 0, "takeover {takeover}, {size} bytes");
        }
    }
}
