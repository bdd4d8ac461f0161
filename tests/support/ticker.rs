//! Messages as a market feed sends them: JSON whose keys repeat and whose numbers do not.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fmt::Write;

/// So many messages of `size` bytes, together much more than a window, so that in rotation none is found in it again.
pub fn rotation(size: usize) -> Vec<String> {
    messages(size).take((128_usize << 10).div_ceil(size).max(2)).collect()
}

/// Messages of `size` bytes without end, all different. The last object is cut.
pub fn messages(size: usize) -> impl Iterator<Item = String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        let mut message = String::with_capacity(size + 512);
        message.push('[');
        while message.len() < size {
            ticker(&mut random, &mut message);
        }
        message.truncate(size);
        message
    })
}

fn ticker(random: &mut Random, json: &mut String) {
    let product = ["BTC-USD", "ETH-USD", "ETH-BTC", "SOL-EUR", "ADA-USD", "XRP-GBP", "DOT-USD", "LTC-EUR"]
        [random.below(8) as usize];
    let side = ["buy", "sell"][random.below(2) as usize];
    let price = 100_000 + random.below(20_000);
    let cents = |price: u64| format!("{}.{:02}", price / 100, price % 100);
    write!(
        json,
        r#"{{"type":"ticker","sequence":{},"product_id":"{product}","price":"{}","open_24h":"{}","volume_24h":"{}.{:08}","best_bid":"{}","best_bid_size":"0.{:08}","best_ask":"{}","side":"{side}","time":"2026-03-14T{:02}:{:02}:{:02}.{:06}Z","trade_id":{},"last_size":"{}.{:07}"}},"#,
        37_475_000_000 + random.below(1_000_000),
        cents(price),
        cents(price + random.below(3_000)),
        random.below(500_000),
        random.below(100_000_000),
        cents(price - random.below(9)),
        random.below(100_000_000),
        cents(price + random.below(9)),
        random.below(24),
        random.below(60),
        random.below(60),
        random.below(1_000_000),
        370_000_000 + random.below(1_000_000),
        random.below(20),
        random.below(10_000_000),
    )
    .expect("a string takes whatever comes");
}

/// Xorshift: the same messages in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
