//! JSON of 1 KiB, compressed, in memory: sockeye, a bare loop over zlib, and another crate whose protocol needs no
//! stream. That one has no setting for the memory level, which is 8.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::deflate::Parameters;
use sockeye::{Agreed, Config, Connection, Deflate, Event, Role};
use sockudo_ws::{CompressedProtocol, DeflateConfig, Message};
use zlib_rs::{DeflateFlush, InflateFlush};

#[path = "../../tests/support/ticker.rs"]
mod ticker;

const SIZE: usize = 1 << 10;

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// More than any message has on the wire or off it.
const ROOM: usize = SIZE + (4 << 10);

/// Whether the context is kept, and the level.
const WAYS: [(bool, u8); 4] = [(true, 1), (true, 6), (false, 1), (false, 6)];

fn sockeye(role: Role, takeover: bool, level: u8) -> Connection {
    let parameters = Parameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        ..Parameters::DEFAULT
    };
    let config = Config::new(|| [0x37, 0xfa, 0x21, 0x3d]).deflate(Some(Deflate::DEFAULT.level(level)));
    Connection::open(role, Agreed::default().with_deflate(parameters), &config)
}

fn sockudo(takeover: bool, level: u8) -> CompressedProtocol {
    let config = DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        compression_level: level.into(),
        ..DeflateConfig::default()
    };
    CompressedProtocol::server(1 << 20, 1 << 20, config)
}

fn bare(level: u8) -> zlib_rs::Deflate {
    let config = zlib_rs::DeflateConfig {
        level: level.into(),
        window_bits: -15,
        mem_level: 5,
        ..zlib_rs::DeflateConfig::default()
    };
    zlib_rs::Deflate::new_with_config(config)
}

/// Takes all that waits to leave.
fn sent(connection: &mut Connection) -> Vec<u8> {
    let outbox = connection.writer().outbox();
    let bytes = outbox.chunk().to_vec();
    outbox.advance(bytes.len());
    bytes
}

/// From a message to a frame in a buffer, which is emptied at once; for the bare loop, to its payload.
fn send(criterion: &mut Criterion) {
    let messages = ticker::rotation(SIZE);
    for (takeover, level) in WAYS {
        let mut group = criterion.benchmark_group("send 1 KiB");
        group.throughput(Throughput::Bytes(SIZE as u64));
        let way = format!("{}, level {level}", if takeover { "kept" } else { "not kept" });

        let mut connection = sockeye(Role::Server, takeover, level);
        let mut rotation = messages.iter().cycle();
        group.bench_function(BenchmarkId::new("sockeye", &way), |bencher| {
            bencher.iter(|| {
                let message = rotation.next().expect("endless");
                connection.writer().send(black_box(message)).expect("room");
                black_box(connection.writer().outbox().chunk());
                connection.writer().outbox().advance(usize::MAX);
            });
        });

        let mut stream = bare(level);
        let mut output = vec![0; ROOM];
        let mut rotation = messages.iter().cycle();
        group.bench_function(BenchmarkId::new("bare zlib", &way), |bencher| {
            bencher.iter(|| {
                if !takeover {
                    stream.reset();
                }
                let message = black_box(rotation.next().expect("endless"));
                stream.compress(message.as_bytes(), &mut output, DeflateFlush::SyncFlush).expect("compresses");
                black_box(&output);
            });
        });

        let mut protocol = sockudo(takeover, level);
        let mut output = BytesMut::with_capacity(ROOM);
        let owned: Vec<_> = messages.iter().map(Message::text).collect();
        let mut rotation = owned.iter().cycle();
        group.bench_function(BenchmarkId::new("sockudo-ws", &way), |bencher| {
            bencher.iter(|| {
                protocol.encode_message(black_box(rotation.next().expect("endless")), &mut output).expect("encodes");
                black_box(&output);
                output.clear();
            });
        });
    }
}

/// From a copy of a masked frame to a text; for the bare loop, from a copy of its payload and its tail to bytes. The
/// frames of a second round can be received again and again: before it, the window is the same each time.
fn receive(criterion: &mut Criterion) {
    let messages = ticker::rotation(SIZE);
    for (takeover, level) in WAYS {
        let mut group = criterion.benchmark_group("receive 1 KiB");
        group.throughput(Throughput::Bytes(SIZE as u64));
        let way = format!("{}, level {level}", if takeover { "kept" } else { "not kept" });
        let mut client = sockeye(Role::Client, takeover, level);
        let mut round = || -> Vec<Vec<u8>> {
            let mut frame = |message: &String| {
                client.writer().send(message).expect("room");
                sent(&mut client)
            };
            messages.iter().map(&mut frame).collect()
        };
        let (first, again) = (round(), round());

        let mut connection = sockeye(Role::Server, takeover, level);
        let mut input = vec![0; ROOM];
        let mut receive = |frame: &Vec<u8>| {
            let mut input = &mut input[..frame.len()];
            input.copy_from_slice(frame);
            while let Some(event) = connection.next(&mut input).expect("valid") {
                let Event::Message(message) = event else { panic!("messages only") };
                black_box(message.as_text());
            }
        };
        first.iter().for_each(&mut receive);
        let mut rotation = again.iter().cycle();
        group.bench_function(BenchmarkId::new("sockeye", &way), |bencher| {
            bencher.iter(|| receive(black_box(rotation.next().expect("endless"))));
        });

        let mut protocol = sockudo(takeover, level);
        let (mut input, mut received) = (BytesMut::with_capacity(ROOM), Vec::new());
        let mut receive = |frame: &Vec<u8>| {
            input.extend_from_slice(frame);
            protocol.process_into(&mut input, &mut received).expect("valid");
            assert_eq!(received.len(), 1);
            black_box(received[0].as_text());
            received.clear();
        };
        first.iter().for_each(&mut receive);
        let mut rotation = again.iter().cycle();
        group.bench_function(BenchmarkId::new("sockudo-ws", &way), |bencher| {
            bencher.iter(|| receive(black_box(rotation.next().expect("endless"))));
        });

        let mut stream = zlib_rs::Inflate::new(false, 15);
        let (mut input, mut output) = (vec![0; ROOM], vec![0; ROOM]);
        let mut inflate = |payload: &Vec<u8>| {
            if !takeover {
                stream.reset(false);
            }
            let whole = payload.len() + TAIL.len();
            input[..payload.len()].copy_from_slice(payload);
            input[payload.len()..whole].copy_from_slice(&TAIL);
            stream.decompress(&input[..whole], &mut output, InflateFlush::SyncFlush).expect("valid");
            black_box(&output);
        };
        let [first, again] = [first, again].map(|frames| frames.iter().map(|frame| payload(frame)).collect::<Vec<_>>());
        first.iter().for_each(&mut inflate);
        let mut rotation = again.iter().cycle();
        group.bench_function(BenchmarkId::new("bare zlib", &way), |bencher| {
            bencher.iter(|| inflate(black_box(rotation.next().expect("endless"))));
        });
    }
}

/// The payload of a client's frame, unmasked.
fn payload(frame: &[u8]) -> Vec<u8> {
    let start = if frame[1] & 0x7f < 126 { 2 } else { 4 };
    let (key, payload) = frame[start..].split_first_chunk::<4>().expect("a masked frame");
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = send, receive
}
criterion_main!(benches);
