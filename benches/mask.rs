//! Masking, seen through a client that sends and a server that receives, beside the loop of RFC 6455 §5.3.

use std::hint::black_box;
use std::time::Duration;

use bytes::Buf;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::{Agreed, Config, Connection, Role};

#[path = "../tests/support/naive.rs"]
mod naive;

use naive::{BINARY, FIN};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for size in [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20] {
        let payload = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        // The key is fixed, so that the random generator is not measured as well.
        let config = Config::new(|| KEY);
        let (_, mut writer) = Connection::open(Role::Client, Agreed::default(), &config).split();
        group.bench_function(BenchmarkId::new("client sends", size), |bencher| {
            bencher.iter(|| {
                writer.send(black_box(&payload)).expect("room");
                black_box(writer.outbox().chunk());
                writer.outbox().advance(usize::MAX);
            });
        });
        let mut connection = Connection::open(Role::Server, Agreed::default(), &config);
        // Binary is not looked at: what one round unmasks, the next one masks again.
        let mut frame = naive::frame(FIN | BINARY, Some(KEY), &payload);
        group.bench_function(BenchmarkId::new("server receives", size), |bencher| {
            bencher.iter(|| black_box(connection.next(&mut &mut frame[..]).expect("valid").is_some()));
        });
        let mut copy = payload.clone();
        group.bench_function(BenchmarkId::new("naive", size), |bencher| {
            bencher.iter(|| naive::xor(black_box(&mut copy), black_box(KEY)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = mask
}
criterion_main!(benches);
