//! UTF-8 validation, seen through a client that receives text (no mask to remove), beside `std::str::from_utf8`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye::{Agreed, Config, Connection, Role};

#[path = "../tests/support/naive.rs"]
mod naive;

use naive::{FIN, TEXT};

const SAMPLES: [(&str, &str); 3] =
    [("ascii", "The quick brown fox "), ("cyrillic", "Съешь ещё этих булок "), ("chinese", "敏捷的棕色狐狸跳过了懒狗")];

fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");
    for (name, sample) in SAMPLES {
        for size in [16, 125, 1 << 10, 16 << 10, 256 << 10] {
            let text = sample.repeat(1 + size / sample.len());
            group.throughput(Throughput::Bytes(text.len() as u64));
            let name = format!("{name} {size}");
            let mut connection = Connection::open(Role::Client, Agreed::default(), &Config::DEFAULT);
            let mut frame = naive::frame(FIN | TEXT, None, text.as_bytes());
            group.bench_function(BenchmarkId::new("whole", &name), |bencher| {
                bencher.iter(|| black_box(connection.next(&mut &mut frame[..]).expect("valid").is_some()));
            });
            // The second half waits for the first, so that the validator has to carry on.
            let (front, back) = frame.split_at_mut(text.len() / 2 + 1);
            group.bench_function(BenchmarkId::new("in two pieces", &name), |bencher| {
                bencher.iter(|| {
                    black_box(connection.next(&mut &mut front[..]).expect("valid").is_some());
                    black_box(connection.next(&mut &mut back[..]).expect("valid").is_some());
                });
            });
            group.bench_function(BenchmarkId::new("std", &name), |bencher| {
                bencher.iter(|| black_box(str::from_utf8(black_box(text.as_bytes())).is_ok()));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = utf8
}
criterion_main!(benches);
