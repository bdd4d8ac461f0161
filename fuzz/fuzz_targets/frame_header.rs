#![no_main]

#[path = "../../tests/support/fuzz_core.rs"]
mod fuzz_core;
#[path = "../../tests/support/naive.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_core::frame_header(data));
