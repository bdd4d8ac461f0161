//! Receiving in memory: what a server makes of masked frames, lent, beside the naive decoder.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::{Agreed, Config, Connection, Event, Role};

#[path = "../tests/support/naive.rs"]
mod naive;

use naive::{BINARY, DEFAULT_LIMITS, FIN, TEXT};

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

fn ascii(len: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(len).collect()
}

/// Text of two, three and four-byte characters, of about `len` bytes.
fn multibyte(len: usize) -> Vec<u8> {
    let mut text = "Съешь же ещё этих мягких французских булок, 敏捷的棕色狐狸 🦊 ".repeat(1 + len / 100);
    while text.len() > len {
        text.pop();
    }
    text.into_bytes()
}

fn cases() -> Vec<(&'static str, u8, Vec<u8>)> {
    vec![
        ("text 0", TEXT, vec![]),
        ("text 16", TEXT, ascii(16)),
        ("text 125", TEXT, ascii(125)),
        ("ascii 1 KiB", TEXT, ascii(1 << 10)),
        ("multibyte 1 KiB", TEXT, multibyte(1 << 10)),
        ("binary 16 KiB", BINARY, vec![7; 16 << 10]),
        ("ascii 16 KiB", TEXT, ascii(16 << 10)),
        ("multibyte 16 KiB", TEXT, multibyte(16 << 10)),
    ]
}

/// One frame that lies whole in the input and is lent from there. Its payload is masked and unmasked in turns, which
/// is why text needs a fresh copy for each round; the copy is counted, and the row `copy` tells what it costs.
fn lent(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive lent");
    for (name, opcode, payload) in cases() {
        let frame = naive::frame(FIN | opcode, KEY, &payload);
        let mut input = frame.clone();
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(BenchmarkId::new("copy", name), |bencher| {
            bencher.iter(|| {
                input.copy_from_slice(black_box(&frame));
                black_box(&mut input[..]);
            });
        });
        let mut connection = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT);
        group.bench_function(BenchmarkId::new("sockeye", name), |bencher| {
            bencher.iter(|| {
                input.copy_from_slice(black_box(&frame));
                let mut input = &mut input[..];
                while let Some(event) = connection.next(&mut input).expect("valid") {
                    let Event::Message(message) = event else { panic!("messages only") };
                    black_box(message.as_bytes());
                }
            });
        });
        group.bench_function(BenchmarkId::new("naive", name), |bencher| {
            bencher.iter(|| black_box(naive::decode(Role::Server, DEFAULT_LIMITS, black_box(&frame))));
        });
    }
    group.finish();
}

/// Sixteen frames in one read: what a connection costs while messages are in flight.
fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive sixteen");
    for len in [20, 125] {
        let stream = naive::frame(FIN | TEXT, KEY, &ascii(len)).repeat(16);
        let mut input = stream.clone();
        group.throughput(Throughput::Elements(16));
        let mut connection = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT);
        group.bench_function(BenchmarkId::new("sockeye", len), |bencher| {
            bencher.iter(|| {
                input.copy_from_slice(black_box(&stream));
                let mut input = &mut input[..];
                while let Some(event) = connection.next(&mut input).expect("valid") {
                    black_box(&event);
                }
            });
        });
        group.bench_function(BenchmarkId::new("naive", len), |bencher| {
            bencher.iter(|| black_box(naive::decode(Role::Server, DEFAULT_LIMITS, black_box(&stream))));
        });
    }
    group.finish();
}

/// A large message that comes in reads of 64 KiB: through the input, and straight into its place.
fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive 1 MiB");
    group.sample_size(50).throughput(Throughput::Bytes(1 << 20));
    for (name, opcode, payload) in
        [("binary", BINARY, vec![7; 1 << 20]), ("ascii", TEXT, ascii(1 << 20)), ("multibyte", TEXT, multibyte(1 << 20))]
    {
        let frame = naive::frame(FIN | opcode, KEY, &payload);
        let mut connection = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT);
        let mut scratch = vec![0; 64 << 10];
        group.bench_function(BenchmarkId::new("by input", name), |bencher| {
            bencher.iter(|| {
                for piece in frame.chunks(scratch.len()) {
                    let mut input = &mut scratch[..piece.len()];
                    input.copy_from_slice(piece);
                    while let Some(event) = connection.next(&mut input).expect("valid") {
                        black_box(&event);
                    }
                }
            });
        });
        group.bench_function(BenchmarkId::new("in place", name), |bencher| {
            bencher.iter(|| {
                let mut rest = &frame[..];
                while !rest.is_empty() {
                    let count = match connection.payload_buf() {
                        Some(mut room) => {
                            let spare = room.spare();
                            let count = spare.len().min(rest.len());
                            spare[..count].copy_from_slice(&rest[..count]);
                            room.advance(count);
                            black_box(connection.next(&mut &mut [][..]).expect("valid"));
                            count
                        }
                        None => {
                            let count = rest.len().min(14);
                            scratch[..count].copy_from_slice(&rest[..count]);
                            black_box(connection.next(&mut &mut scratch[..count]).expect("valid"));
                            count
                        }
                    };
                    rest = &rest[count..];
                }
            });
        });
        group.bench_function(BenchmarkId::new("whole in the input", name), |bencher| {
            bencher.iter_batched_ref(
                || frame.clone(),
                |frame| black_box(connection.next(&mut &mut frame[..]).expect("valid").is_some()),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("naive", name), |bencher| {
            bencher.iter(|| black_box(naive::decode(Role::Server, DEFAULT_LIMITS, black_box(&frame))));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = lent, batch, large
}
criterion_main!(benches);
