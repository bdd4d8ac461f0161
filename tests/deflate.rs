//! permessage-deflate (RFC 7692) through connections that have agreed on it.

use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{Agreed, Config, Connection, Deflate, Event, Kind, Part, Prepared, ProtocolError, Role};

fn open(role: Role, parameters: Parameters) -> Connection {
    open_with(role, parameters, Config::DEFAULT.deflate(Some(Deflate::DEFAULT.threshold(0))))
}

fn open_with(role: Role, parameters: Parameters, config: Config) -> Connection {
    Connection::open(role, Agreed::default().with_deflate(parameters), &config)
}

fn sent(connection: &mut Connection) -> Vec<u8> {
    let bytes = connection.writer().outbox().chunk().to_vec();
    connection.writer().outbox().advance(bytes.len());
    bytes
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut messages = Vec::new();
    while let Some(event) = connection.next(&mut input)? {
        if let Event::Message(message) = event {
            messages.push(message.into_vec());
        }
    }
    Ok(messages)
}

fn receive_parts(connection: &mut Connection, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut messages = vec![Vec::new()];
    while let Some(part) = connection.next_part(&mut input)? {
        if let Part::Piece { data, last } = part {
            messages.last_mut().unwrap().extend_from_slice(data.as_bytes());
            if last {
                messages.push(Vec::new());
            }
        }
    }
    messages.pop();
    Ok(messages)
}

/// An unmasked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, payload.len() as u8], payload].concat()
}

#[test]
fn rfc_7692_7_2_3_1_vectors() {
    let vectors: [&[u8]; 5] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for vector in vectors {
        let bytes = [frame(0xc1, vector), frame(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]), frame(0xc1, &[0])].concat();
        for receive in [receive, receive_parts] {
            let mut client = open(Role::Client, Parameters::DEFAULT);
            assert_eq!(
                receive(&mut client, &bytes),
                Ok(vec![b"Hello".to_vec(), b"Hello".to_vec(), vec![]]),
                "{vector:x?}"
            );
        }
    }
}

#[test]
fn every_window_survives_the_round_trip() {
    let text: String = (0..20_000).map(|n| format!("{{\"id\":{n},\"price\":{}}},", n * 7919 % 1000)).collect();
    for bits in 8..=15 {
        for no_takeover in [false, true] {
            let bits = WindowBits::from_bits(bits).unwrap();
            let parameters = Parameters {
                server_no_context_takeover: no_takeover,
                client_no_context_takeover: no_takeover,
                server_max_window_bits: bits,
                client_max_window_bits: bits,
            };
            for role in [Role::Server, Role::Client] {
                let mut sender = open(role, parameters);
                let other = if role == Role::Server { Role::Client } else { Role::Server };
                let mut receiver = open_with(other, parameters, Config::DEFAULT.max_message_size(text.len()));
                let mut parts = open_with(other, parameters, Config::DEFAULT.max_message_size(text.len()));
                let prepared = Prepared::new(&text[..1000]);
                for len in [0, 1, 10, 100, 1000, text.len()] {
                    sender.writer().send(&text[..len]).unwrap();
                    let bytes = sent(&mut sender);
                    assert_eq!(receive(&mut receiver, &bytes).unwrap(), [text[..len].as_bytes()]);
                    assert_eq!(receive_parts(&mut parts, &bytes).unwrap(), [text[..len].as_bytes()]);
                    sender.writer().send_prepared(&prepared).unwrap();
                    let mut fragments = sender.writer().start(Kind::Text).unwrap();
                    fragments.write(&text[..len]).unwrap();
                    fragments.write("").unwrap();
                    fragments.write(&text[..len]).unwrap();
                    fragments.finish().unwrap();
                    let bytes = sent(&mut sender);
                    let expected = [text[..1000].as_bytes().to_vec(), text[..len].repeat(2).into_bytes()];
                    if len * 2 <= text.len() {
                        assert_eq!(receive(&mut receiver, &bytes).unwrap(), expected);
                        assert_eq!(receive_parts(&mut parts, &bytes).unwrap(), expected);
                    }
                }
            }
        }
    }
}
