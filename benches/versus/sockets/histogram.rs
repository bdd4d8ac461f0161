//! Latencies in buckets that are at most a 32nd wide.

/// A bucket for each of the lowest 64 values, then 32 for each power of two.
const FINE: u64 = 64;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }

    #[inline]
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
    }

    /// The value below which that fraction of all lies, as its bucket begins.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let mut left = (fraction * self.total as f64) as u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            if left < *count {
                return start(bucket as u64);
            }
            left -= count;
        }
        0
    }
}

#[inline]
fn bucket(value: u64) -> usize {
    let shift = (value | (FINE - 1)).ilog2() - (FINE.ilog2() - 1);
    (u64::from(shift) * (FINE / 2) + (value >> shift)) as usize
}

fn start(bucket: u64) -> u64 {
    let shift = (bucket / (FINE / 2)).saturating_sub(1);
    (bucket - shift * (FINE / 2)) << shift
}
