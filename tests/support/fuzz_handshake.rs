//! The bodies of the fuzz targets `request` and `response`: any bytes, cut anywhere, must give the same result as the
//! whole, without a panic, and within the limits.

// Every program that includes this file uses a part of it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use sockeye::{Agreed, Config, HandshakeError, Origins, Reject, client, server};

/// Any bytes as a request. The first byte says how the rest is cut.
pub fn request(data: &[u8]) {
    let Some((&seed, data)) = data.split_first() else { return };
    let whole = receive_request(data, data.len());
    let pieces = receive_request(data, piece_size(seed));
    assert_eq!(whole, pieces);
    if let Err(reject) = &whole.0 {
        let mut out = Vec::new();
        reject.write(&mut out);
        assert!(out.starts_with(b"HTTP/1.1 ") && out.len() < 2048, "a refusal is short");
    }
}

/// Any bytes as a response. The first byte says how the rest is cut.
pub fn response(data: &[u8]) {
    let Some((&seed, data)) = data.split_first() else { return };
    let whole = receive_response(data, data.len());
    let pieces = receive_response(data, piece_size(seed));
    assert_eq!(whole, pieces);
    if let Err(HandshakeError::Refused(refusal)) = &whole.0 {
        assert!(refusal.body().len() <= BODY_LIMIT);
        assert!(refusal.versions().count() <= data.len());
    }
}

/// What there is to see of a request, and how many bytes were left.
type Seen = (Result<Option<String>, Reject>, usize);

fn receive_request(data: &[u8], size: usize) -> Seen {
    let mut handshake = server::Handshake::new(&config());
    let (result, left) = feed(data, size, |input| handshake.receive(input));
    (result.map(|request| request.map(|request| describe(&request))), left)
}

fn describe(request: &server::Request) -> String {
    let headers: usize = request.headers().iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(headers <= HEAD_LIMIT && request.headers().len() <= HEADER_LIMIT);
    let offers: Vec<_> = request.subprotocols().collect();
    let extensions: Vec<_> = request.extensions().collect();
    let accepts = [Origins::Same, Origins::Any, Origins::List(&["https://example.com"])].map(|origins| {
        request.accept(origins).map(|accept| {
            let connection = accept.select(&["chat", "superchat"]).connect(&config());
            connection.map(|mut connection| connection.writer().outbox().queued()).ok()
        })
    });
    format!("{request:?} {:?} {offers:?} {extensions:?} {accepts:?}", request.query())
}

fn receive_response(data: &[u8], size: usize) -> (Result<Option<Agreed>, HandshakeError>, usize) {
    let mut out = Vec::new();
    let request = client::Request::get("ws://example.com/").unwrap().protocol("chat");
    let mut pending = request.write(*b"the sample nonce", &config(), &mut out).unwrap();
    let (result, left) = feed(data, size, |input| pending.receive(input));
    match result {
        Ok(None) => (Err(pending.eof()), left),
        result => (result.map(|response| response.map(|response| response.agreed().clone())), left),
    }
}

/// Feeds pieces until there is a result, and tells how many bytes were left behind it, or none after an error.
fn feed<T, E>(
    data: &[u8],
    size: usize,
    mut receive: impl FnMut(&mut &[u8]) -> Result<Option<T>, E>,
) -> (Result<Option<T>, E>, usize) {
    let mut fed = 0;
    for piece in data.chunks(size.max(1)) {
        let mut input = piece;
        fed += piece.len();
        match receive(&mut input) {
            Ok(None) => assert!(input.is_empty(), "what does not end a head is part of it"),
            Ok(found) => return (Ok(found), data.len() - fed + input.len()),
            Err(error) => {
                assert!(input.is_empty(), "nothing of a failed handshake is left");
                return (Err(error), 0);
            }
        }
    }
    (Ok(None), 0)
}

fn piece_size(seed: u8) -> usize {
    usize::from(seed % 64) + 1
}

/// Small limits, so that short inputs reach them.
fn config() -> Config {
    let config = Config::new(|| [1, 2, 3, 4]).max_head_size(HEAD_LIMIT).max_headers(HEADER_LIMIT);
    let config = config.max_target_size(64).max_body_size(BODY_LIMIT);
    #[cfg(feature = "deflate")]
    let config = config.deflate(Some(sockeye::Deflate::DEFAULT));
    config
}

const HEAD_LIMIT: usize = 1024;
const HEADER_LIMIT: usize = 16;
const BODY_LIMIT: usize = 64;
