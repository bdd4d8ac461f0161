#![no_main]

#[path = "../../tests/support/deflate.rs"]
mod deflate;
#[path = "../../tests/support/fuzz_inflate.rs"]
mod fuzz_inflate;
#[path = "../../tests/support/naive.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_inflate::inflate(data));
