//! Replays the fuzz targets over their committed corpus, so that what a fuzzer found once stays found on stable Rust.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use std::fs;
use std::path::Path;

#[cfg(feature = "deflate")]
#[path = "support/deflate.rs"]
mod deflate;
#[path = "support/fuzz_core.rs"]
mod fuzz_core;
#[cfg(feature = "handshake")]
#[path = "support/fuzz_handshake.rs"]
mod fuzz_handshake;
#[cfg(feature = "deflate")]
#[path = "support/fuzz_inflate.rs"]
mod fuzz_inflate;
#[path = "support/naive.rs"]
mod naive;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for file in fs::read_dir(&folder).expect("a corpus") {
        let path = file.expect("a file").path();
        println!("{}", path.display());
        body(&fs::read(&path).expect("a seed"));
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} seeds in {}", folder.display());
}

#[test]
fn frame_header() {
    replay("frame_header", fuzz_core::frame_header);
}

#[test]
fn decode() {
    replay("decode", fuzz_core::decode);
}

#[cfg(feature = "handshake")]
#[test]
fn request() {
    replay("request", fuzz_handshake::request);
}

#[cfg(feature = "handshake")]
#[test]
fn response() {
    replay("response", fuzz_handshake::response);
}

#[cfg(feature = "deflate")]
#[test]
fn inflate() {
    replay("inflate", fuzz_inflate::inflate);
}
