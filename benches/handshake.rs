//! The opening handshake: what one connection costs each end before its first frame.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use bytes::Buf;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sockeye::{Config, Origins, accept_key, client, server};

/// What Chromium sends, but for the extension.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://example.com:8080\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";

fn accept(config: &Config, input: &mut &[u8]) -> usize {
    let request = server::Handshake::new(config).receive(input).unwrap().unwrap();
    let mut connection = request.accept(Origins::Same).unwrap().select(&["chat"]).connect(config).unwrap();
    connection.writer().outbox().remaining()
}

fn connect(config: &Config, response: &[u8]) -> usize {
    let mut out = Vec::with_capacity(512);
    let request = client::Request::get("ws://example.com:8080/chat").unwrap().protocol("chat");
    let mut pending = request.write(*b"the sample nonce", config, &mut out).unwrap();
    let response = pending.receive(&mut &*response).unwrap().unwrap();
    black_box(response.connect(config));
    out.len()
}

fn response() -> Vec<u8> {
    let request = server::Handshake::new(&Config::DEFAULT).receive(&mut &*REQUEST).unwrap().unwrap();
    let mut response = Vec::new();
    request.accept(Origins::Same).unwrap().select(&["chat"]).write(&mut response).unwrap();
    response
}

fn handshake(criterion: &mut Criterion) {
    let config = Config::DEFAULT;
    let response = response();
    let mut group = criterion.benchmark_group("handshake");
    group.throughput(Throughput::Elements(1));
    group.bench_function("accept_key", |bencher| bencher.iter(|| accept_key(black_box(b"dGhlIHNhbXBsZSBub25jZQ=="))));
    group.bench_function("server", |bencher| bencher.iter(|| accept(&config, &mut black_box(REQUEST))));
    group.bench_function("client", |bencher| bencher.iter(|| connect(&config, black_box(&response))));
    group.bench_function("server, a byte at a time", |bencher| {
        bencher.iter(|| {
            let mut handshake = server::Handshake::new(&config);
            REQUEST
                .iter()
                .filter_map(|byte| handshake.receive(&mut core::slice::from_ref(black_box(byte))).unwrap())
                .count()
        });
    });
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
