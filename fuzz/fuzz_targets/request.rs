#![no_main]

#[path = "../../tests/support/fuzz_handshake.rs"]
mod fuzz_handshake;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_handshake::request(data));
