//! Compression in memory: messages through connections that have agreed on it, beside a bare loop over zlib.

use std::hint::black_box;
use std::time::Duration;

use bytes::Buf;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::deflate::Parameters;
use sockeye::{Agreed, Config, Connection, Deflate, Event, Prepared, Role, Writer};
use zlib_rs::{DeflateConfig, DeflateFlush, InflateFlush};

#[path = "../tests/support/naive.rs"]
mod naive;
#[path = "../tests/support/ticker.rs"]
mod ticker;

use naive::{BINARY, FIN, TEXT};

const SIZES: [usize; 3] = [1 << 10, 16 << 10, 1 << 20];

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

/// The first byte's bit of a compressed message.
const RSV1: u8 = 0x40;

/// A bare loop has room to spare, as a connection has: zlib is slower near the end of its output.
const ROOM: usize = 4 << 10;

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Whether the context is kept, and the level.
const WAYS: [(bool, u8); 4] = [(true, 1), (true, 6), (false, 1), (false, 6)];

fn name(takeover: bool, level: u8, size: usize) -> String {
    format!("{size}, {}, level {level}", if takeover { "kept" } else { "not kept" })
}

fn open(role: Role, takeover: bool, level: u8) -> Connection {
    let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT.level(level)));
    let parameters = Parameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        ..Parameters::DEFAULT
    };
    Connection::open(role, Agreed::default().with_deflate(parameters), &config)
}

/// What a connection compresses with, bare.
fn compressor(level: u8) -> zlib_rs::Deflate {
    let config = DeflateConfig { level: level.into(), window_bits: -15, mem_level: 5, ..DeflateConfig::default() };
    zlib_rs::Deflate::new_with_config(config)
}

fn drain(writer: &mut Writer) {
    let outbox = writer.outbox();
    black_box(outbox.chunk());
    outbox.advance(usize::MAX);
}

/// From a message to a frame in the outbox, which is taken at once; and from a message to a buffer.
fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send compressed");
    for size in SIZES {
        let messages = ticker::rotation(size);
        group.throughput(Throughput::Bytes(size as u64));
        for (takeover, level) in WAYS {
            let (_, mut writer) = open(Role::Server, takeover, level).split();
            let mut rotation = messages.iter().cycle();
            group.bench_function(BenchmarkId::new("sockeye", name(takeover, level, size)), |bencher| {
                bencher.iter(|| {
                    writer.send(black_box(rotation.next().expect("endless"))).expect("room");
                    drain(&mut writer);
                });
            });
            let mut stream = compressor(level);
            let mut output = vec![0; size + ROOM];
            let mut rotation = messages.iter().cycle();
            group.bench_function(BenchmarkId::new("bare zlib", name(takeover, level, size)), |bencher| {
                bencher.iter(|| {
                    if !takeover {
                        stream.reset();
                    }
                    let message = black_box(rotation.next().expect("endless")).as_bytes();
                    stream.compress(message, &mut output, DeflateFlush::SyncFlush).expect("compresses");
                    black_box(&output[..]);
                });
            });
        }
    }
    group.finish();
}

/// The payloads of two rounds of a rotation. The second can be received again and again: even if the context is kept,
/// the window is the same before each of them.
fn compressed(messages: &[String], takeover: bool, level: u8) -> [Vec<Vec<u8>>; 2] {
    let mut stream = compressor(level);
    let mut round = || {
        let mut compress = |message: &String| {
            if !takeover {
                stream.reset();
            }
            let mut payload = vec![0; message.len() + 64];
            let before = stream.total_out();
            stream.compress(message.as_bytes(), &mut payload, DeflateFlush::SyncFlush).expect("compresses");
            payload.truncate((stream.total_out() - before) as usize - TAIL.len());
            payload
        };
        messages.iter().map(&mut compress).collect()
    };
    [round(), round()]
}

/// From a masked frame to a message that is lent; and from a payload to a buffer. Each round begins with a copy of the
/// frame, or of the payload and its tail, because unmasking changes it. Only text is validated.
fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive compressed");
    for size in SIZES {
        let messages = ticker::rotation(size);
        group.throughput(Throughput::Bytes(size as u64));
        for (takeover, level) in WAYS {
            let rounds = compressed(&messages, takeover, level);
            let mut input = vec![0; size + 64];
            for (kind, opcode) in [("sockeye, binary", BINARY), ("sockeye, text", TEXT)] {
                let [first, again] = rounds.each_ref().map(|payloads| {
                    payloads.iter().map(|payload| naive::frame(FIN | RSV1 | opcode, KEY, payload)).collect::<Vec<_>>()
                });
                let mut connection = open(Role::Server, takeover, level);
                let mut receive = |frame: &Vec<u8>| {
                    let mut input = &mut input[..frame.len()];
                    input.copy_from_slice(frame);
                    while let Some(event) = connection.next(&mut input).expect("valid") {
                        let Event::Message(message) = event else { panic!("messages only") };
                        black_box(message.as_bytes());
                    }
                };
                first.iter().for_each(&mut receive);
                let mut rotation = again.iter().cycle();
                group.bench_function(BenchmarkId::new(kind, name(takeover, level, size)), |bencher| {
                    bencher.iter(|| receive(black_box(rotation.next().expect("endless"))));
                });
            }
            let [first, again] = rounds;
            let mut stream = zlib_rs::Inflate::new(false, 15);
            let mut output = vec![0; size + ROOM];
            let mut inflate = |payload: &Vec<u8>| {
                if !takeover {
                    stream.reset(false);
                }
                let (front, tail) = input[..payload.len() + TAIL.len()].split_at_mut(payload.len());
                front.copy_from_slice(payload);
                tail.copy_from_slice(&TAIL);
                let input = &input[..payload.len() + TAIL.len()];
                stream.decompress(input, &mut output, InflateFlush::SyncFlush).expect("valid");
                black_box(&output[..]);
            };
            first.iter().for_each(&mut inflate);
            let mut rotation = again.iter().cycle();
            group.bench_function(BenchmarkId::new("bare zlib", name(takeover, level, size)), |bencher| {
                bencher.iter(|| inflate(black_box(rotation.next().expect("endless"))));
            });
        }
    }
    group.finish();
}

/// One message for a thousand receivers: compressed by each, and compressed once.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compressed for a thousand");
    group.sample_size(10);
    for size in [1 << 10, 16 << 10] {
        let messages = ticker::rotation(size);
        group.throughput(Throughput::Elements(1000));
        let mut writers: Vec<_> = (0..1000).map(|_| open(Role::Server, false, 1).split().1).collect();
        let mut rotation = messages.iter().cycle();
        group.bench_function(BenchmarkId::new("send", size), |bencher| {
            bencher.iter(|| {
                let message = rotation.next().expect("endless");
                for writer in &mut writers {
                    writer.send(black_box(message)).expect("room");
                    drain(writer);
                }
            });
        });
        group.bench_function(BenchmarkId::new("prepared", size), |bencher| {
            bencher.iter(|| {
                let message = Prepared::new(rotation.next().expect("endless"));
                for writer in &mut writers {
                    writer.send_prepared(black_box(&message)).expect("room");
                    drain(writer);
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = send, receive, fan_out
}
criterion_main!(benches);
