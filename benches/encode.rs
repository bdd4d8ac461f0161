//! Sending in memory: messages to bytes that are taken at once, beside the naive encoder.

use std::hint::black_box;
use std::time::Duration;

use bytes::Buf;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::{Agreed, Config, Connection, Prepared, Role, Writer};

#[path = "../tests/support/naive.rs"]
mod naive;

use naive::{BINARY, FIN};

const SIZES: [usize; 5] = [16, 125, 1 << 10, 4 << 10, 16 << 10];

fn drain(writer: &mut Writer) {
    let outbox = writer.outbox();
    black_box(outbox.chunk());
    outbox.advance(usize::MAX);
}

fn send(criterion: &mut Criterion) {
    for (name, role) in [("server sends", Role::Server), ("client sends", Role::Client)] {
        let mut group = criterion.benchmark_group(name);
        for size in SIZES {
            let payload = vec![7; size];
            group.throughput(Throughput::Bytes(size as u64));
            let (_, mut writer) = Connection::open(role, Agreed::default(), &Config::DEFAULT).split();
            group.bench_function(BenchmarkId::new("sockeye", size), |bencher| {
                bencher.iter(|| {
                    writer.send(black_box(&payload)).expect("room");
                    drain(&mut writer);
                });
            });
            group.bench_function(BenchmarkId::new("naive", size), |bencher| {
                let key = (role == Role::Client).then_some([1, 2, 3, 4]);
                bencher.iter(|| black_box(naive::frame(FIN | BINARY, key, black_box(&payload))));
            });
        }
        group.finish();
    }
}

/// Sixteen small messages that leave together.
fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send sixteen of 20 bytes");
    group.throughput(Throughput::Elements(16));
    for (name, role) in [("server", Role::Server), ("client", Role::Client)] {
        let (_, mut writer) = Connection::open(role, Agreed::default(), &Config::DEFAULT).split();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..16 {
                    writer.send(black_box("twenty bytes of text")).expect("room");
                }
                drain(&mut writer);
            });
        });
    }
    group.finish();
}

/// One message for a thousand receivers, encoded once.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out");
    for size in [100, 16 << 10] {
        let payload = vec![7; size];
        let prepared = Prepared::new(&payload);
        let (_, mut writer) = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT).split();
        group.bench_function(BenchmarkId::new("prepared", size), |bencher| {
            bencher.iter(|| {
                writer.send_prepared(black_box(&prepared)).expect("room");
                drain(&mut writer);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = send, batch, fan_out
}
criterion_main!(benches);
