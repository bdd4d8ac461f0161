//! RFC 6455 by section, against hand-made frames and between two ends, for both roles wherever a rule holds for both.
//! Tests are named after the requirements they show.

#![cfg(feature = "std")] // for `Config::DEFAULT`

use sockeye::frame::{FrameHeader, Opcode};
use sockeye::{
    Agreed, CloseCode, CloseFrame, Config, Connection, Event, Kind, Message, Prepared, ProtocolError, Reply, Role,
    SendErrorKind,
};

#[path = "support/naive.rs"]
mod naive;
#[path = "support/pair.rs"]
mod pair;

use naive::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use pair::{BOTH, End, Pair, carry, peer_key};

const RSV: [u8; 3] = [0x40, 0x20, 0x10];

fn text(text: &str) -> Event<'static> {
    Event::Message(text.to_owned().into())
}

fn binary(payload: &[u8]) -> Event<'static> {
    Event::Message(payload.to_vec().into())
}

fn ping(payload: &[u8]) -> Event<'static> {
    Event::Ping(payload.to_vec().into())
}

fn pong(payload: &[u8]) -> Event<'static> {
    Event::Pong(payload.to_vec().into())
}

fn closed(code: u16, reason: &str) -> Event<'static> {
    Event::Close(Some(CloseFrame { code: CloseCode(code), reason: reason.to_owned().into() }))
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

/// A good message, then `bad`: the message is delivered, and then the connection fails, for both roles.
#[track_caller]
fn fails_for_both(expected: ProtocolError, bad: &[(u8, &[u8])]) {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(FIN | TEXT, b"good");
        for (first, payload) in bad {
            end.receive_frame(*first, payload);
        }
        assert_eq!(end.error, Some(expected), "{role:?}");
        end.assert_received(&[text("good")]).assert_failing(expected.close_code());
    }
}

// ---- §5.1 to §5.3: framing and masking ----

#[test]
fn rfc_6455_5_1_1_a_client_masks_every_frame() {
    let mut end = End::open(Role::Client);
    let writer = end.connection.writer();
    writer.send("text").expect("open");
    writer.send(vec![1; 5000]).expect("open");
    writer.send_prepared(&Prepared::new("prepared")).expect("open");
    writer.start(Kind::Binary).expect("open").finish().expect("open");
    writer.ping(b"ping").expect("open");
    writer.pong(b"pong").expect("open");
    writer.reply(Reply::pong(b"reply"));
    writer.close(CloseCode::NORMAL, "close").expect("open");
    let frames = naive::frames(&end.drain());
    assert_eq!(frames.len(), 8);
    assert!(frames.iter().all(|frame| frame.key.is_some()));
}

#[test]
fn rfc_6455_5_1_2_a_server_fails_on_an_unmasked_frame() {
    for first in [FIN | TEXT, BINARY, FIN | PING, FIN | PONG, FIN | CLOSE] {
        let mut end = End::open(Role::Server);
        end.receive(&naive::frame(first, None, b"")).assert_failing(CloseCode::PROTOCOL_ERROR);
        assert_eq!(end.error, Some(ProtocolError::UnmaskedFrame));
    }
}

#[test]
fn rfc_6455_5_1_3_a_server_never_masks() {
    let mut end = End::open(Role::Server);
    let writer = end.connection.writer();
    writer.send("text").expect("open");
    writer.send(vec![1; 5000]).expect("open");
    writer.send_prepared(&Prepared::new("prepared")).expect("open");
    writer.reply(Reply::pong(b"reply"));
    writer.close(CloseCode::NORMAL, "close").expect("open");
    assert!(naive::frames(&end.drain()).iter().all(|frame| frame.key.is_none()));
}

#[test]
fn rfc_6455_5_1_4_a_client_fails_on_a_masked_frame() {
    for first in [FIN | TEXT, BINARY, FIN | PING, FIN | PONG, FIN | CLOSE] {
        let mut end = End::open(Role::Client);
        end.receive(&naive::frame(first, Some([0; 4]), b"")).assert_failing(CloseCode::PROTOCOL_ERROR);
        assert_eq!(end.error, Some(ProtocolError::MaskedFrame));
    }
}

#[test]
fn rfc_6455_5_2_1_and_f2_reserved_bits_fail_on_every_kind_of_frame() {
    for rsv in RSV {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            fails_for_both(ProtocolError::ReservedBits, &[(FIN | rsv | opcode, b"")]);
        }
        fails_for_both(ProtocolError::ReservedBits, &[(TEXT, b"a"), (FIN | rsv | CONTINUATION, b"b")]);
    }
}

#[test]
fn rfc_6455_5_2_2_and_m6_a_reserved_opcode_fails_on_the_first_byte() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for first in [opcode, FIN | opcode] {
            for role in BOTH {
                let mut end = End::open(role);
                end.receive(&[first]);
                assert_eq!(end.error, Some(ProtocolError::ReservedOpcode(opcode)));
                end.assert_failing(CloseCode::PROTOCOL_ERROR);
            }
        }
    }
}

#[test]
fn rfc_6455_5_2_3_lengths_take_two_and_eight_bytes_in_network_order() {
    for (len, bytes) in [(126, &[126, 0, 126][..]), (258, &[126, 1, 2]), (66051, &[127, 0, 0, 0, 0, 0, 1, 2, 3])] {
        let mut end = End::open(Role::Server);
        end.connection.writer().send(vec![0; len]).expect("open");
        assert_eq!(&end.drain()[1..=bytes.len()], bytes);
        let mut end = End::open(Role::Client);
        end.receive(&[&[FIN | BINARY], bytes].concat()).receive(&vec![7; len]);
        end.assert_received(&[binary(&vec![7; len])]).assert_open();
    }
}

#[test]
fn rfc_6455_5_2_4_a_length_with_its_highest_bit_set_fails() {
    for role in BOTH {
        for len in [1 << 63, u64::MAX] {
            let mut end = End::open(role);
            end.receive(&naive::header_with(FIN | BINARY, peer_key(role), len, 8));
            assert_eq!(end.error, Some(ProtocolError::LengthOverflow));
            end.assert_failing(CloseCode::PROTOCOL_ERROR);
        }
    }
}

#[test]
fn rfc_6455_5_2_5_and_f2_lengths_are_in_their_shortest_form() {
    for (len, size) in [(0, 0), (125, 0), (126, 2), (65535, 2), (65536, 8)] {
        for role in BOTH {
            let mut end = End::open(role);
            end.connection.writer().send(vec![0; len]).expect("open");
            let key = if role == Role::Client { 4 } else { 0 };
            assert_eq!(end.drain().len(), 2 + size + key + len, "{len} bytes from a {role:?}");
        }
    }
    for (len, size) in [(0, 2), (125, 2), (0, 8), (126, 8), (65535, 8)] {
        for role in BOTH {
            let header = naive::header_with(FIN | BINARY, peer_key(role), len, size);
            let mut end = End::open(role);
            end.receive(&header);
            assert_eq!(end.error, Some(ProtocolError::NonMinimalLength), "{len} in {size} bytes");
            end.assert_failing(CloseCode::PROTOCOL_ERROR);

            let mut lenient = End::open_with(role, &Config::DEFAULT.accept_long_lengths(true));
            lenient.receive(&header).receive(&vec![0; len as usize]).assert_open();
            assert_eq!(lenient.events.len(), 1);
        }
    }
}

#[test]
fn rfc_6455_5_2_6_without_extensions_the_whole_payload_is_application_data() {
    for role in BOTH {
        End::open(role).receive_frame(FIN | BINARY, b"all of it").assert_received(&[binary(b"all of it")]);
    }
}

#[test]
fn rfc_6455_5_2_7_a_header_may_come_a_byte_at_a_time() {
    for role in BOTH {
        let mut end = End::open(role);
        let payload = vec![b'x'; 70_000];
        for byte in naive::frame(FIN | TEXT, end.peer_key(), &payload) {
            end.receive(&[byte]);
        }
        end.assert_received(&[Event::Message(String::from_utf8(payload).expect("text").into())]).assert_open();
    }
}

#[test]
fn rfc_6455_5_2_8_frames_in_one_read_are_processed_in_order() {
    for role in BOTH {
        let mut end = End::open(role);
        let key = end.peer_key();
        let frames = [(FIN | TEXT, "a"), (FIN | PING, "b"), (FIN | BINARY, "c"), (FIN | PONG, "d"), (FIN | TEXT, "")];
        let stream: Vec<u8> = frames.iter().flat_map(|(first, p)| naive::frame(*first, key, p.as_bytes())).collect();
        end.receive(&stream).assert_received(&[text("a"), ping(b"b"), binary(b"c"), pong(b"d"), text("")]);
    }
}

#[test]
fn rfc_6455_5_3_1_and_10_3_1_and_f8_every_frame_has_a_key_of_its_own() {
    const DRAWN: usize = 1_000_000;
    let mut end = End::open(Role::Client);
    let mut keys = Vec::with_capacity(DRAWN);
    while keys.len() < DRAWN {
        for _ in 0..100 {
            end.connection.writer().ping(b"").expect("open");
        }
        let pings = end.drain();
        keys.extend(
            pings.as_chunks::<6>().0.iter().map(|ping| u32::from_be_bytes([ping[2], ping[3], ping[4], ping[5]])),
        );
    }
    let steps = keys.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
    // Of a million random keys about 116 were drawn before, and the same holds for the difference of neighbours.
    for mut drawn in [keys, steps] {
        let all = drawn.len();
        drawn.sort_unstable();
        drawn.dedup();
        assert!(all - drawn.len() < 250, "{} were drawn before", all - drawn.len());
    }
}

#[test]
fn rfc_6455_10_3_1_keys_come_from_the_source_in_the_configuration() {
    let config = Config::new(|| [1, 2, 3, 4]);
    let mut end = End::open_with(Role::Client, &config);
    end.connection.writer().send("abcde").expect("open");
    assert_eq!(end.drain(), b"\x81\x85\x01\x02\x03\x04\x60\x60\x60\x60\x64");
}

#[test]
fn rfc_6455_5_3_2_the_phase_of_the_key_is_kept_over_partial_reads() {
    let plain: Vec<u8> = (0..=255).cycle().take(700).collect();
    let frame = naive::frame(FIN | BINARY, peer_key(Role::Server), &plain);
    for size in [1, 2, 3, 5, 7, 64, 130, 699] {
        let mut end = End::open(Role::Server);
        for piece in frame.chunks(size) {
            end.receive(piece);
        }
        end.assert_received(&[binary(&plain)]);
    }
}

#[test]
fn rfc_6455_5_3_3_a_key_of_zeros_works() {
    let mut end = End::open(Role::Server);
    end.receive(&naive::frame(FIN | TEXT, Some([0; 4]), b"plain")).assert_received(&[text("plain")]).assert_open();
}

// ---- §5.4: fragmentation ----

#[test]
fn rfc_6455_5_4_1_a_message_in_fragments() {
    for role in BOTH {
        let mut end = End::open(role);
        let writer = end.connection.writer();
        let mut fragments = writer.start(Kind::Text).expect("open");
        fragments.write("one").expect("room");
        fragments.write("two").expect("room");
        fragments.finish().expect("room");
        writer.start(Kind::Binary).expect("open").finish_with(b"only").expect("room");
        end.assert_sent(&[(TEXT, b"one"), (CONTINUATION, b"two"), (FIN | CONTINUATION, b""), (FIN | BINARY, b"only")]);
        end.receive_frame(TEXT, b"one").receive_frame(CONTINUATION, b"two").receive_frame(FIN | CONTINUATION, b"3");
        end.assert_received(&[text("onetwo3")]).assert_open();
    }
}

#[test]
fn rfc_6455_5_4_2_and_f4_a_continuation_of_nothing_fails() {
    fails_for_both(ProtocolError::UnexpectedContinuation, &[(FIN | CONTINUATION, b"")]);
    fails_for_both(ProtocolError::UnexpectedContinuation, &[(CONTINUATION, b"x")]);
}

#[test]
fn rfc_6455_5_4_3_and_f4_a_message_inside_a_message_fails() {
    for first in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
        fails_for_both(ProtocolError::ExpectedContinuation, &[(TEXT, b"x"), (first, b"y")]);
        fails_for_both(ProtocolError::ExpectedContinuation, &[(BINARY, b""), (CONTINUATION, b""), (first, b"")]);
    }
}

#[test]
fn rfc_6455_5_4_4_and_f3_control_frames_in_every_gap_are_answered_before_the_message_ends() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(TEXT, "é".as_bytes().split_at(1).0).receive_frame(FIN | PING, b"1");
        end.assert_received(&[ping(b"1")]).assert_sent(&[(FIN | PONG, b"1")]);
        end.receive_frame(CONTINUATION, "é".as_bytes().split_at(1).1).receive_frame(FIN | PONG, b"\xff");
        end.assert_received(&[pong(b"\xff")]).assert_sent(&[]);
        end.receive_frame(CONTINUATION, b"").receive_frame(FIN | PING, b"2").receive_frame(FIN | CONTINUATION, b"!");
        end.assert_received(&[ping(b"2"), text("é!")]).assert_sent(&[(FIN | PONG, b"2")]).assert_open();
    }
}

#[test]
fn rfc_6455_5_4_5_and_f3_a_fragmented_control_frame_fails() {
    for opcode in [PING, PONG, CLOSE] {
        fails_for_both(ProtocolError::FragmentedControlFrame, &[(opcode, b"")]);
        fails_for_both(ProtocolError::FragmentedControlFrame, &[(TEXT, b"x"), (opcode, b"")]);
    }
}

#[test]
fn rfc_6455_5_4_6_and_6_2_2_a_message_is_its_fragments_in_order() {
    for role in BOTH {
        let mut end = End::open(role);
        for first in [BINARY, CONTINUATION, CONTINUATION, FIN | CONTINUATION] {
            let number = end.connection.writer().queued() as u8;
            end.receive_frame(first, &[number, first]);
        }
        end.assert_received(&[binary(&[0, BINARY, 0, 0, 0, 0, 0, FIN])]);
    }
}

#[test]
fn rfc_6455_5_4_7_fragments_of_any_number_and_size_within_the_limits() {
    for role in BOTH {
        let mut end = End::open_with(role, &Config::DEFAULT.max_fragments(1000));
        end.receive_frame(BINARY, b"");
        for i in 0..998 {
            end.receive_frame(CONTINUATION, &[7][..i % 2]);
        }
        end.receive_frame(FIN | CONTINUATION, b"").assert_received(&[binary(&[7; 499])]).assert_open();

        end.receive_frame(BINARY, b"");
        for _ in 0..1000 {
            end.receive_frame(CONTINUATION, b"");
        }
        assert_eq!(end.error, Some(ProtocolError::TooManyFragments { limit: 1000 }));
        end.assert_failing(CloseCode::MESSAGE_TOO_BIG);
    }
}

#[test]
fn rfc_6455_5_4_8_the_first_fragment_gives_the_type() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(BINARY, b"\xff").receive_frame(FIN | CONTINUATION, b"text");
        end.receive_frame(TEXT, b"").receive_frame(FIN | CONTINUATION, b"text");
        end.assert_received(&[binary(b"\xfftext"), text("text")]).assert_open();
    }
}

#[test]
fn rfc_6455_5_4_10_while_streaming_only_control_frames_may_come_between() {
    for role in BOTH {
        let mut end = End::open(role);
        let writer = end.connection.writer();
        writer.start(Kind::Text).expect("open").write("a").expect("room");
        assert_eq!(writer.send("b").expect_err("unfinished").kind(), SendErrorKind::Unfinished);
        assert_eq!(writer.start(Kind::Text).expect_err("unfinished").kind(), SendErrorKind::Unfinished);
        let prepared = Prepared::new("b");
        assert_eq!(writer.send_prepared(&prepared).expect_err("unfinished").kind(), SendErrorKind::Unfinished);
        let wrong = writer.resume().expect("unfinished").write(b"bytes").expect_err("text was started");
        assert_eq!((wrong.kind(), wrong.into_message()), (SendErrorKind::WrongKind, Some(Message::from(b"bytes"))));
        writer.ping(b"p").expect("control frames may");
        writer.pong(b"q").expect("control frames may");
        writer.resume().expect("unfinished").finish_with("c").expect("room");
        assert!(writer.resume().is_none());
        end.assert_sent(&[(TEXT, b"a"), (FIN | PING, b"p"), (FIN | PONG, b"q"), (FIN | CONTINUATION, b"c")]);

        let writer = end.connection.writer();
        writer.start(Kind::Text).expect("open").write("a").expect("room");
        writer.close(CloseCode::GOING_AWAY, "").expect("Close may");
        assert!(writer.resume().is_none(), "nothing follows Close");
        end.assert_sent(&[(TEXT, b"a"), (FIN | CLOSE, b"\x03\xe9")]);
    }
}

// ---- §5.5: control frames ----

#[test]
fn rfc_6455_5_5_1_and_f3_and_m6_a_long_control_frame_fails_on_its_header() {
    for role in BOTH {
        for opcode in [PING, PONG, CLOSE] {
            for len in [126, 65536] {
                let mut end = End::open(role);
                // Two bytes are enough to tell.
                end.receive(&naive::header(FIN | opcode, end.peer_key(), len)[..2]);
                assert_eq!(end.error, Some(ProtocolError::ControlFrameTooLong));
                end.assert_failing(CloseCode::PROTOCOL_ERROR);
            }
            let mut end = End::open(role);
            let longest = if opcode == CLOSE { close_payload(1000, &[b'r'; 123]) } else { vec![b'r'; 125] };
            end.receive_frame(FIN | opcode, &longest);
            assert_eq!((end.error, end.events.len()), (None, 1));
        }
        let mut end = End::open(role);
        let writer = end.connection.writer();
        assert_eq!(writer.ping(&[0; 126]).expect_err("long").kind(), SendErrorKind::ControlFrameTooLong);
        assert_eq!(writer.pong(&[0; 126]).expect_err("long").kind(), SendErrorKind::ControlFrameTooLong);
        let long = writer.close(CloseCode::NORMAL, &"r".repeat(124)).expect_err("long");
        assert_eq!(long.kind(), SendErrorKind::ControlFrameTooLong);
        end.assert_sent(&[]).assert_open();
    }
}

#[test]
fn rfc_6455_5_5_1_1_and_f6_a_close_of_one_byte_fails() {
    fails_for_both(ProtocolError::TruncatedCloseCode, &[(FIN | CLOSE, b"\x03")]);
}

#[test]
fn rfc_6455_5_5_1_2_and_7_1_6_1_and_f6_code_and_reason() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(FIN | CLOSE, &close_payload(4321, "früh".as_bytes()));
        end.assert_received(&[closed(4321, "früh")]);
        end.assert_sent(&[(FIN | CLOSE, &close_payload(4321, "früh".as_bytes()))]);
        let closure = end.connection.closure().expect("closed");
        assert_eq!((closure.code, &*closure.reason), (CloseCode(4321), "früh"));
        let mut end = End::open(role);
        end.connection.writer().close(CloseCode(4321), "früh").expect("open");
        end.assert_sent(&[(FIN | CLOSE, &close_payload(4321, "früh".as_bytes()))]);
    }
}

#[test]
fn rfc_6455_5_5_1_3_and_6_1_1_and_l6_nothing_is_sent_after_close() {
    for role in BOTH {
        let mut end = End::open(role);
        let writer = end.connection.writer();
        writer.send("queued before").expect("open");
        writer.close(CloseCode::NORMAL, "").expect("open");
        let refused = writer.send("after").expect_err("closed");
        assert_eq!((refused.kind(), refused.into_message()), (SendErrorKind::Closed, Some(Message::from("after"))));
        assert_eq!(writer.send_prepared(&Prepared::new("after")).expect_err("closed").kind(), SendErrorKind::Closed);
        assert_eq!(writer.start(Kind::Text).expect_err("closed").kind(), SendErrorKind::Closed);
        assert_eq!(writer.ping(b"").expect_err("closed").kind(), SendErrorKind::Closed);
        assert_eq!(writer.pong(b"").expect_err("closed").kind(), SendErrorKind::Closed);
        assert_eq!(writer.close(CloseCode::NORMAL, "").expect_err("closed").kind(), SendErrorKind::Closed);
        end.receive_frame(FIN | PING, b"late").assert_received(&[ping(b"late")]);
        end.assert_sent(&[(FIN | TEXT, b"queued before"), (FIN | CLOSE, b"\x03\xe8")]);
    }
}

#[test]
fn rfc_6455_5_5_1_3_pongs_that_wait_leave_before_close() {
    for role in BOTH {
        let mut end = End::open(role);
        for i in 0..100u8 {
            end.receive_frame(FIN | PING, &[i; 125]);
        }
        end.connection.writer().close(CloseCode::NORMAL, "").expect("open");
        let frames = naive::frames(&end.drain());
        let (close, pongs) = frames.split_last().expect("frames");
        assert_eq!(close.first, FIN | CLOSE, "nothing follows Close");
        assert_eq!(pongs.last().map(|pong| pong.payload[0]), Some(99), "the latest ping was answered");
    }
}

#[test]
fn rfc_6455_5_5_1_4_close_is_answered_with_its_code_and_reason() {
    for role in BOTH {
        for payload in [close_payload(1000, b"bye"), close_payload(3999, &[b'r'; 123]), Vec::new()] {
            let mut end = End::open(role);
            end.receive_frame(FIN | CLOSE, &payload);
            end.assert_sent(&[(FIN | CLOSE, &payload)]);
        }
    }
}

#[test]
fn rfc_6455_5_5_1_5_and_7_1_1_1_the_server_leaves_first_and_the_client_waits_for_it() {
    for by in BOTH {
        let mut pair = Pair::open();
        let (closing, _) = pair.ends(by);
        closing.connection.writer().close(CloseCode::NORMAL, "").expect("open");
        assert!(closing.connection.wants().write && closing.connection.wants().read);
        pair.settle();
        let wants = pair.server.connection.wants();
        assert!(wants.shutdown && wants.drop && !wants.read && !wants.write, "{wants:?}");
        let wants = pair.client.connection.wants();
        assert!(wants.read && !wants.shutdown && !wants.drop && !wants.write, "{wants:?}");
        pair.client.connection.eof();
        let wants = pair.client.connection.wants();
        assert!(wants.shutdown && wants.drop && !wants.read, "{wants:?}");
        for role in BOTH {
            let closure = pair.ends(role).0.connection.closure().expect("closed");
            assert_eq!((closure.code, closure.was_clean, closure.by_peer), (CloseCode::NORMAL, true, role != by));
        }
    }
}

#[test]
fn rfc_6455_5_5_1_5_a_close_that_has_not_left_is_waited_for() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(FIN | CLOSE, b"");
        end.connection.eof();
        let wants = end.connection.wants();
        assert!(wants.write && !wants.shutdown && !wants.drop && !wants.read, "{wants:?}");
        end.assert_sent(&[(FIN | CLOSE, b"")]);
        let wants = end.connection.wants();
        assert!(!wants.write && wants.shutdown && wants.drop, "{wants:?}");
    }
}

#[test]
fn rfc_6455_5_5_1_6_and_l6_both_sides_close_at_once() {
    let mut pair = Pair::open();
    pair.client.connection.writer().close(CloseCode::NORMAL, "client").expect("open");
    pair.server.connection.writer().close(CloseCode::GOING_AWAY, "server").expect("open");
    pair.settle();
    pair.client.assert_received(&[closed(1001, "server")]);
    pair.server.assert_received(&[closed(1000, "client")]);
    for role in BOTH {
        let closure = pair.ends(role).0.connection.closure().expect("closed");
        assert!(closure.was_clean && !closure.by_peer);
    }
}

#[test]
fn rfc_6455_5_5_1_6_and_l6_what_follows_close_is_ignored() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(FIN | CLOSE, &close_payload(1000, b"first"));
        end.assert_received(&[closed(1000, "first")]).assert_sent(&[(FIN | CLOSE, b"\x03\xe8first")]);
        end.receive_frame(FIN | CLOSE, &close_payload(1001, b"second")).receive_frame(FIN | TEXT, b"data");
        end.receive_frame(FIN | PING, b"ping").receive_frame(0x7f, b"nonsense").assert_received(&[]).assert_sent(&[]);
        assert_eq!(end.error, None);
        assert_eq!(end.connection.closure().map(|closure| closure.code), Some(CloseCode::NORMAL));
    }
}

#[test]
fn rfc_6455_5_5_2_1_a_ping_is_answered_with_its_payload() {
    for role in BOTH {
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            let mut end = End::open(role);
            end.receive_frame(FIN | PING, payload).assert_received(&[ping(payload)]);
            end.assert_sent(&[(FIN | PONG, payload)]).assert_open();
        }
    }
}

#[test]
fn rfc_6455_5_5_2_2_pings_any_time_before_close() {
    for role in BOTH {
        let mut pair = Pair::open();
        let (from, _) = pair.ends(role);
        from.connection.writer().ping(b"are you there?").expect("open");
        pair.settle();
        let (from, to) = pair.ends(role);
        to.assert_received(&[ping(b"are you there?")]);
        from.assert_received(&[pong(b"are you there?")]);
    }
}

#[test]
fn rfc_6455_5_5_3_1_and_m7_of_many_pings_the_first_and_the_latest_are_answered() {
    for role in BOTH {
        let mut end = End::open(role);
        for i in 0..10u8 {
            end.receive_frame(FIN | PING, &[i]);
        }
        let expected: Vec<[u8; 1]> = (0..10).map(|i| [i]).collect();
        let expected: Vec<(u8, &[u8])> = expected.iter().map(|payload| (FIN | PONG, &payload[..])).collect();
        end.assert_sent(&expected);

        let mut most = 0;
        for i in 0..100_000u32 {
            end.receive_frame(FIN | PING, &[&i.to_be_bytes()[..], &[0; 121]].concat());
            end.events.clear();
            most = most.max(end.connection.writer().queued());
        }
        assert!(most < 4096, "{most} bytes of pongs");
        let frames = naive::frames(&end.drain());
        assert_eq!(frames.last().map(|frame| &frame.payload[..4]), Some(&99_999u32.to_be_bytes()[..]));
        end.receive_frame(FIN | PING, b"again").assert_sent(&[(FIN | PONG, b"again")]);
    }
}

#[test]
fn rfc_6455_5_5_3_2_an_unsolicited_pong_is_not_answered() {
    for role in BOTH {
        End::open(role).receive_frame(FIN | PONG, b"x").assert_received(&[pong(b"x")]).assert_sent(&[]).assert_open();
    }
}

// ---- §5.6, §5.8, §6: data ----

#[test]
fn rfc_6455_5_6_1_a_fragment_may_end_inside_a_character() {
    let text_of = "κ€🦀";
    for role in BOTH {
        for at in 0..=text_of.len() {
            let (front, back) = text_of.as_bytes().split_at(at);
            let mut end = End::open(role);
            end.receive_frame(TEXT, front).receive_frame(FIN | CONTINUATION, back);
            end.assert_received(&[text(text_of)]).assert_open();
        }
    }
}

#[test]
fn rfc_6455_5_6_2_data_is_opaque_and_keeps_its_type() {
    let odd = "\u{feff}bom \u{fffe} \u{ffff} \u{fdd0} \u{10ffff} \0";
    for role in BOTH {
        let mut pair = Pair::open();
        let (from, _) = pair.ends(role);
        from.connection.writer().send(odd).expect("open");
        from.connection.writer().send(odd.as_bytes()).expect("open");
        from.connection.writer().send(b"\xff\xfe").expect("open");
        pair.settle();
        pair.ends(role).1.assert_received(&[text(odd), binary(odd.as_bytes()), binary(b"\xff\xfe")]);
    }
}

#[test]
fn rfc_6455_5_8_1_without_agreement_nothing_is_extended() {
    for rsv in RSV {
        fails_for_both(ProtocolError::ReservedBits, &[(FIN | rsv | TEXT, b"x")]);
    }
    for role in BOTH {
        let mut end = End::open(role);
        end.connection.writer().send("x".repeat(1000)).expect("open");
        assert!(naive::frames(&end.drain()).iter().all(|frame| frame.first & 0x70 == 0));
    }
}

#[test]
fn rfc_6455_6_1_2_the_first_frame_carries_the_type_and_the_last_one_fin() {
    for role in BOTH {
        for (kind, opcode) in [(Kind::Text, TEXT), (Kind::Binary, BINARY)] {
            let mut end = End::open(role);
            let writer = end.connection.writer();
            writer.start(kind).expect("open").finish().expect("room");
            end.assert_sent(&[(FIN | opcode, b"")]);
        }
    }
}

#[test]
fn rfc_6455_6_2_1_and_f7_good_frames_before_a_bad_one_are_delivered_and_answered_first() {
    for role in BOTH {
        let mut end = End::open(role);
        let key = end.peer_key();
        let stream = [naive::frame(FIN | PING, key, b"p"), naive::frame(FIN | TEXT, key, b"t"), vec![FIN | 3]].concat();
        end.receive(&stream).assert_received(&[ping(b"p"), text("t")]);
        assert_eq!(end.error, Some(ProtocolError::ReservedOpcode(3)));
        end.assert_sent(&[(FIN | PONG, b"p"), (FIN | CLOSE, b"\x03\xea")]);
    }
}

#[test]
fn rfc_6455_6_2_3_a_server_unmasks() {
    let mut end = End::open(Role::Server);
    end.receive(b"\x82\x84\xff\xff\xff\xff\x00\x01\x02\x03").assert_received(&[binary(b"\xff\xfe\xfd\xfc")]);
}

// ---- §7: closing ----

#[test]
fn rfc_6455_7_1_1_2_a_failed_connection_half_closes_and_drains() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive(&[FIN | 3]);
        let wants = end.connection.wants();
        assert!(wants.read && wants.write && !wants.shutdown && !wants.drop, "{wants:?}");
        end.drain();
        let wants = end.connection.wants();
        assert!(wants.read && !wants.write && wants.shutdown && !wants.drop, "{wants:?}");
        end.receive_frame(FIN | TEXT, b"discarded").assert_received(&[]);
        end.connection.eof();
        let wants = end.connection.wants();
        assert!(!wants.read && wants.shutdown && wants.drop, "{wants:?}");
    }
}

#[test]
fn rfc_6455_7_1_2_1_closing_begins_with_a_close_frame() {
    for role in BOTH {
        let mut end = End::open(role);
        end.connection.writer().close(CloseCode::GOING_AWAY, "later").expect("open");
        assert!(end.connection.writer().is_closed());
        end.assert_sent(&[(FIN | CLOSE, &close_payload(1001, b"later"))]);
        end.receive_frame(FIN | TEXT, b"still heard").assert_received(&[text("still heard")]).assert_open();
    }
}

#[test]
fn rfc_6455_7_1_4_1_and_7_2_1_1_and_7_2_2_1_a_stream_that_ends_without_close_is_not_clean() {
    for role in BOTH {
        for closing in [false, true] {
            let mut end = End::open(role);
            if closing {
                end.connection.writer().close(CloseCode::NORMAL, "").expect("open");
            }
            end.receive_frame(TEXT, b"unfinished").connection.eof();
            let closure = end.connection.closure().expect("ended");
            assert_eq!((closure.code, closure.was_clean, closure.by_peer), (CloseCode::ABNORMAL_CLOSURE, false, false));
            assert!(end.connection.wants().drop && !end.connection.wants().read);
        }
    }
}

#[test]
fn rfc_6455_7_1_5_1_the_code_seen_is_that_of_the_first_close() {
    for role in BOTH {
        for (payload, code) in
            [(close_payload(1001, b""), CloseCode::GOING_AWAY), (vec![], CloseCode::NO_STATUS_RECEIVED)]
        {
            let mut end = End::open(role);
            end.connection.writer().close(CloseCode::NORMAL, "").expect("open");
            assert_eq!(end.connection.closure(), None, "our own Close says nothing about the peer's");
            end.receive_frame(FIN | CLOSE, &payload).receive_frame(FIN | CLOSE, &close_payload(1011, b"second"));
            let closure = end.connection.closure().expect("closed");
            assert_eq!((closure.code, &*closure.reason, closure.was_clean), (code, "", true));
        }
    }
}

#[test]
fn rfc_6455_7_1_7_1_failing_says_why() {
    for (error, frames) in [
        (ProtocolError::UnexpectedContinuation, &[(CONTINUATION, &b""[..])][..]),
        (ProtocolError::InvalidUtf8, &[(TEXT, b"\xff")]),
        (ProtocolError::InvalidCloseReason, &[(FIN | CLOSE, b"\x03\xe8\xff")]),
    ] {
        fails_for_both(error, frames);
    }
    for role in BOTH {
        let mut end = End::open(role);
        end.connection.writer().close(CloseCode::NORMAL, "").expect("open");
        end.receive(&[FIN | 3]).assert_sent(&[(FIN | CLOSE, b"\x03\xe8")]);
        assert_eq!(end.error, Some(ProtocolError::ReservedOpcode(3)), "one Close is enough");
    }
}

#[test]
fn rfc_6455_7_1_7_2_after_failing_nothing_is_processed() {
    for role in BOTH {
        let mut end = End::open(role);
        let key = end.peer_key();
        let stream = [vec![FIN | 3], naive::frame(FIN | TEXT, key, b"x"), naive::frame(FIN | CLOSE, key, b"")].concat();
        end.receive(&stream).receive_frame(FIN | CLOSE, b"").assert_received(&[]);
        end.assert_failing(CloseCode::PROTOCOL_ERROR);
        let closure = end.connection.closure().expect("failed");
        assert_eq!((closure.code, closure.was_clean), (CloseCode::ABNORMAL_CLOSURE, false));
    }
}

#[test]
fn rfc_6455_7_4_1_to_7_4_4_and_7_4_6_and_f6_every_close_code() {
    for code in 0..=u16::MAX {
        let travels = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(CloseCode(code).may_travel(), travels);
        for role in BOTH {
            let mut end = End::open(role);
            end.receive_frame(FIN | CLOSE, &close_payload(code, b""));
            if travels {
                end.assert_received(&[closed(code, "")]).assert_sent(&[(FIN | CLOSE, &code.to_be_bytes())]);
            } else {
                assert_eq!(end.error, Some(ProtocolError::InvalidCloseCode(CloseCode(code))));
                end.assert_sent(&[(FIN | CLOSE, b"\x03\xea")]);
            }
            let mut end = End::open(role);
            let sent = end.connection.writer().close(CloseCode(code), "").map_err(|error| error.kind());
            let refused = Err(SendErrorKind::InvalidCloseCode(CloseCode(code)));
            assert_eq!(sent, if travels { Ok(()) } else { refused });
        }
    }
}

#[test]
fn f6_a_close_inside_a_fragmented_message_closes_normally() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(TEXT, b"unfinished").receive_frame(FIN | CLOSE, &close_payload(1000, b""));
        end.assert_received(&[closed(1000, "")]).assert_sent(&[(FIN | CLOSE, b"\x03\xe8")]);
        end.receive_frame(FIN | CONTINUATION, b"late").assert_received(&[]);
        assert!(end.connection.closure().expect("closed").was_clean);
    }
}

// ---- §8: UTF-8 ----

/// Text that is wrong at once, and text that is only wrong if it ends there.
const WRONG: [&[u8]; 12] = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xfe",
    b"\xff",
];
const TRUNCATED: [&[u8]; 4] = [b"\xce", b"\xe2\x82", b"\xf0\x9f", b"\xf0\x9f\xa6"];

#[test]
fn rfc_6455_8_1_1_and_f5_text_that_is_not_utf8_fails() {
    for wrong in WRONG.into_iter().chain(TRUNCATED) {
        fails_for_both(ProtocolError::InvalidUtf8, &[(FIN | TEXT, &[b"ok ", wrong].concat())]);
        fails_for_both(ProtocolError::InvalidUtf8, &[(FIN | TEXT, &[&[b'x'; 200][..], wrong].concat())]);
    }
    for truncated in TRUNCATED {
        for at in 0..=truncated.len() {
            let (front, back) = truncated.split_at(at);
            let frames = [(TEXT, front), (CONTINUATION, b""), (CONTINUATION, back), (FIN | CONTINUATION, b"")];
            fails_for_both(ProtocolError::InvalidUtf8, &frames);
        }
    }
}

#[test]
fn rfc_6455_8_1_2_and_f5_text_fails_at_its_first_wrong_byte() {
    for wrong in WRONG {
        let first = (1..=wrong.len())
            .find(|&len| matches!(str::from_utf8(&wrong[..len]), Err(error) if error.error_len().is_some()));
        let first = first.expect("wrong");
        for role in BOTH {
            // In the middle of a frame that announces more, a byte at a time.
            let frame = naive::frame(TEXT, peer_key(role), &[b"abc", wrong, &[b'x'; 60]].concat());
            let header = frame.len() - wrong.len() - 63;
            let mut end = End::open(role);
            for (i, byte) in frame.iter().enumerate() {
                end.receive(&[*byte]);
                assert_eq!(end.error.is_some(), i + 1 >= header + 3 + first, "{wrong:x?} at {i}");
            }
            end.assert_failing(CloseCode::INVALID_PAYLOAD);
        }
    }
}

#[test]
fn f5_the_validator_forgets_the_message_before() {
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(TEXT, b"\xe2\x82").receive_frame(FIN | CONTINUATION, b"\xac");
        end.receive_frame(BINARY, b"\xe2").receive_frame(FIN | CONTINUATION, b"\x82");
        end.receive_frame(TEXT, b"").receive_frame(FIN | CONTINUATION, b"a");
        end.assert_received(&[text("€"), binary(b"\xe2\x82"), text("a")]).assert_open();
    }
}

#[test]
fn rfc_6455_8_1_3_and_f6_a_reason_that_is_not_utf8_fails_with_1007() {
    for wrong in WRONG.into_iter().chain(TRUNCATED) {
        fails_for_both(ProtocolError::InvalidCloseReason, &[(FIN | CLOSE, &close_payload(1000, wrong))]);
    }
}

// ---- §10: limits ----

#[test]
fn rfc_6455_10_4_1_and_m2_and_m3_a_message_may_have_the_limit_and_not_one_byte_more() {
    for role in BOTH {
        for limit in [0, 1, 125, 1000, 1 << 20] {
            let config = Config::DEFAULT.max_message_size(limit);
            let payload = vec![b'm'; limit];
            let mut end = End::open_with(role, &config);
            end.receive_frame(FIN | BINARY, &payload).assert_received(&[binary(&payload)]);
            end.receive_frame(BINARY, &payload[..limit / 2]).receive_frame(FIN | CONTINUATION, &payload[limit / 2..]);
            end.assert_received(&[binary(&payload)]).assert_open();
            // One byte more fails on the header that announces it.
            end.receive_frame(BINARY, &payload).receive_frame(CONTINUATION, b"").assert_open();
            end.receive_header(FIN | CONTINUATION, 1);
            assert_eq!(end.error, Some(ProtocolError::MessageTooBig { limit: limit as u64 }));
            end.assert_failing(CloseCode::MESSAGE_TOO_BIG);
        }
        let mut end = End::open(role);
        for i in 0..1 << 10 {
            end.receive_frame(if i == 0 { BINARY } else { CONTINUATION }, &[0; 1 << 10]).assert_open();
        }
        end.receive_frame(CONTINUATION, b"x");
        assert_eq!(end.error, Some(ProtocolError::MessageTooBig { limit: 1 << 20 }), "with the default limit");
    }
}

#[test]
fn rfc_6455_10_4_1_parts_have_a_limit_of_their_own() {
    let config = Config::DEFAULT.max_message_size(1).max_streamed_size(10);
    for role in BOTH {
        let mut connection = Connection::open(role, Agreed::default(), &config);
        let mut stream = naive::frame(BINARY, peer_key(role), b"0123456789");
        let mut input = &mut stream[..];
        assert!(connection.next_part(&mut input).expect("within the limit").is_some());
        let mut more = naive::frame(FIN | CONTINUATION, peer_key(role), b"x");
        let error = connection.next_part(&mut &mut more[..]).expect_err("beyond it");
        assert_eq!(error, ProtocolError::MessageTooBig { limit: 10 });
    }
}

/// What `next` had kept of a message is no reason to hold the parts that follow to the limit of whole messages.
#[test]
fn rfc_6455_10_4_1_a_message_continued_in_parts_has_the_limit_of_parts() {
    let config = Config::DEFAULT.max_message_size(4).max_streamed_size(10);
    for role in BOTH {
        let mut connection = Connection::open(role, Agreed::default(), &config);
        let mut first = naive::frame(BINARY, peer_key(role), b"0123");
        assert!(connection.next(&mut &mut first[..]).expect("within the limit").is_none());
        let mut rest = naive::frame(FIN | CONTINUATION, peer_key(role), b"456789");
        let mut input = &mut rest[..];
        let mut pieces = 0;
        while connection.next_part(&mut input).expect("within the limit of parts").is_some() {
            pieces += 1;
        }
        assert_eq!(pieces, 2, "what was kept, and the rest");
    }
}

#[test]
fn rfc_6455_10_7_1_any_first_two_bytes_are_a_frame_or_a_failure() {
    for role in BOTH {
        for first in 0..=255 {
            for second in 0..=255 {
                let mut end = End::open(role);
                end.receive(&[first, second]);
                let expected = naive::decode(role, naive::DEFAULT_LIMITS, &[first, second]);
                assert_eq!((&end.events, end.error), (&expected.0, expected.1));
                let is_answered = matches!(end.events[..], [Event::Ping(_) | Event::Close(_)]) || end.error.is_some();
                assert_eq!(!end.drain().is_empty(), is_answered);
            }
        }
    }
}

// ---- hostile inputs ----

#[test]
fn f1_lengths_around_every_power_neither_overflow_nor_stall() {
    let lengths = [31, 32, 53, 63].into_iter().flat_map(|bits| [(1u64 << bits) - 1, 1 << bits]);
    for len in lengths.chain([(1 << 32) + 5, u64::MAX]) {
        for role in BOTH {
            for config in [Config::DEFAULT, Config::DEFAULT.unlimited()] {
                let mut end = End::open_with(role, &config);
                end.receive(&naive::header_with(FIN | BINARY, peer_key(role), len, 8));
                end.receive(&[0; 100]);
                match end.error {
                    Some(error) if len >= 1 << 63 => assert_eq!(error, ProtocolError::LengthOverflow),
                    Some(error) => assert_eq!(error, ProtocolError::MessageTooBig { limit: 1 << 20 }),
                    None => assert!(len < 1 << 63 && end.connection.payload_buf().is_some(), "waiting for more"),
                }
                end.assert_received(&[]);
            }
        }
        // The second of two frames must not overflow the sum.
        let mut end = End::open_with(Role::Client, &Config::DEFAULT.unlimited());
        end.receive_frame(BINARY, b"12345").receive(&naive::header_with(CONTINUATION, None, len, 8)).receive(&[1; 9]);
        assert_eq!(end.error, (len >= 1 << 63).then_some(ProtocolError::LengthOverflow));
    }
}

#[test]
fn m8_pongs_of_the_user_and_automatic_ones_do_not_displace_each_other() {
    for role in BOTH {
        let mut end = End::open(role);
        end.connection.writer().start(Kind::Text).expect("open").write("a").expect("room");
        end.receive_frame(FIN | PING, b"1");
        end.connection.writer().pong(b"mine").expect("open");
        end.receive_frame(FIN | PING, b"2");
        end.connection.writer().resume().expect("unfinished").finish_with("b").expect("room");
        end.assert_sent(&[
            (TEXT, b"a"),
            (FIN | PONG, b"1"),
            (FIN | PONG, b"mine"),
            (FIN | PONG, b"2"),
            (FIN | CONTINUATION, b"b"),
        ]);
    }
}

#[test]
fn m9_a_full_outbox_gives_the_message_back_and_loses_nothing() {
    for role in BOTH {
        let mut end = End::open_with(role, &Config::DEFAULT.outbox_capacity(10_000));
        let mut accepted = Vec::new();
        let mut refused = 0;
        let mut wire = Vec::new();
        for i in 0..1000u32 {
            let message = format!("{i} {}", "m".repeat(i as usize % 700));
            match end.connection.writer().send(message.clone()) {
                Ok(()) => accepted.push(message),
                Err(error) => {
                    assert_eq!(error.kind(), SendErrorKind::Full);
                    assert_eq!(error.into_message(), Some(message.into()));
                    assert!(end.connection.writer().queued() >= 10_000);
                    refused += 1;
                    wire.extend(end.drain());
                }
            }
            assert!(end.connection.writer().queued() < 11_000, "soft for one message");
        }
        wire.extend(end.drain());
        assert!(refused > 10);
        let sent = naive::frames(&wire).into_iter().map(|frame| String::from_utf8(frame.payload).expect("text"));
        assert_eq!(sent.collect::<Vec<_>>(), accepted);
    }
}

/// An echo of the default limits has room for the answers to all of an input, which may end the largest message and
/// hold many small ones behind it.
#[test]
fn m9_the_default_outbox_has_room_for_the_answers_to_an_input() {
    let mut connection = Connection::open(Role::Server, Agreed::default(), &Config::DEFAULT);
    let mut wire = naive::frame(FIN | BINARY, Some([1, 2, 3, 4]), &vec![7; 1 << 20]);
    let (first, second) = (wire.len(), wire.len() + 200 * 1006);
    for _ in 0..200 {
        wire.extend(naive::frame(FIN | BINARY, Some([4, 3, 2, 1]), &[7; 998]));
    }
    assert_eq!(wire.len(), second);
    let (begin, end) = wire.split_at_mut(first - 1);
    for mut input in [begin, end] {
        while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
            let Event::Message(message) = event else { panic!("a message") };
            writer.send(message).map_err(|error| error.kind()).expect("room");
        }
    }
    assert!(connection.writer().queued() > second - 201 * 8);
}

#[test]
fn m9_replies_and_close_have_room_in_a_full_outbox() {
    for role in BOTH {
        let mut end = End::open_with(role, &Config::DEFAULT.outbox_capacity(1));
        end.connection.writer().send("full").expect("empty");
        assert_eq!(end.connection.writer().ping(b"").expect_err("full").kind(), SendErrorKind::Full);
        end.receive_frame(FIN | PING, b"p");
        end.connection.writer().close(CloseCode::NORMAL, "").expect("there is always room");
        end.assert_sent(&[(FIN | TEXT, b"full"), (FIN | PONG, b"p"), (FIN | CLOSE, b"\x03\xe8")]);
    }
}

#[test]
fn m9_above_the_high_water_mark_of_answers_a_connection_wants_no_more_input() {
    for role in BOTH {
        let mut end = End::open_with(role, &Config::DEFAULT.outbox_high_water(100));
        end.connection.writer().send(&[0; 200]).expect("room");
        assert!(end.connection.wants().read, "what this end sends of its own accord does not keep it from reading");
        end.drain();

        let mut question = naive::frame(FIN | TEXT, end.peer_key(), b"?");
        let mut input = &mut question[..];
        let (_, writer) = end.connection.next_with_writer(&mut input).expect("valid").expect("a message");
        writer.send(&[0; 200]).expect("room");
        assert!(!end.connection.wants().read && end.connection.wants().write);
        end.connection.writer().send("behind the answer").expect("room");
        assert!(!end.connection.wants().read);
        end.drain();
        assert!(end.connection.wants().read && !end.connection.wants().write);
    }
}

#[test]
fn c2_a_character_a_frame_and_a_byte_a_read_are_received_once_each() {
    let long = "κόσμε🦀".repeat(300);
    for role in BOTH {
        let mut end = End::open(role);
        let mut stream = naive::frame(TEXT, end.peer_key(), b"");
        for byte in long.as_bytes() {
            stream.extend(naive::frame(CONTINUATION, end.peer_key(), &[*byte]));
        }
        stream.extend(naive::frame(FIN | CONTINUATION, end.peer_key(), b""));
        for byte in stream {
            end.receive(&[byte]);
        }
        end.assert_received(&[text(&long)]).assert_open();
    }
}

#[test]
fn d8_a_prepared_message_is_masked_anew_for_every_receiver() {
    let prepared = Prepared::new(vec![0; 5000]);
    let mut keys: Vec<_> = (0..20)
        .map(|_| {
            let mut end = End::open(Role::Client);
            end.connection.writer().send_prepared(&prepared).expect("open");
            let sent = end.drain();
            let frames = naive::frames(&sent);
            assert_eq!(frames[0].payload, [0; 5000]);
            frames[0].key.expect("masked")
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 20);
}

/// Buffers go from one connection of a thread to the next.
#[test]
fn p1_nothing_of_one_connection_shows_in_another() {
    const CANARY: &[u8] = b"a canary, a canary, a canary, a canary";
    let shows = |bytes: &[u8]| bytes.windows(8).any(|window| window == &CANARY[..8]);
    for role in BOTH {
        for size in [40, 5_000, 60_000] {
            let secret: Vec<u8> = CANARY.iter().copied().cycle().take(size).collect();
            let leave_behind = || {
                let mut end = End::open(role);
                let frame = naive::frame(BINARY, end.peer_key(), &secret);
                for piece in frame.chunks(999) {
                    end.receive(piece);
                }
                end.receive_frame(FIN | CONTINUATION, b"");
                end.connection.writer().send(&secret).expect("open");
                end.drain();
                assert!(shows(&secret) && end.events.len() == 1);
            };
            leave_behind();
            let mut end = End::open(role);
            end.receive_header(FIN | BINARY, size as u64);
            let mut room = end.connection.payload_buf().expect("a payload is under way");
            assert!(!shows(room.spare()), "in the room for a payload");
            room.advance(1);
            assert!(!shows(room.spare()), "in what is left of it");
            // The rest is counted without having been written: whatever was there is the message.
            let rest = room.room();
            room.advance(rest);
            end.receive(b"");
            leave_behind();
            end.receive(&vec![0; size - 1 - rest]);
            let [Event::Message(message)] = &end.events[..] else { panic!("a message") };
            assert!(!shows(message.as_bytes()));
            end.connection.writer().send("an answer").expect("open");
            assert!(!shows(&end.drain()));
            end.receive(b"\xff\xff");
            assert!(!shows(format!("{:?} {:?} {:?}", end.error, end.connection, end.events).as_bytes()));
            assert!(!shows(&end.drain()));
        }
    }
}

#[test]
fn p3_debug_and_errors_show_no_payload() {
    let secret = "s3cret";
    for role in BOTH {
        let mut end = End::open(role);
        end.receive_frame(FIN | TEXT, secret.as_bytes()).receive_frame(FIN | BINARY, secret.as_bytes());
        end.receive_frame(FIN | PING, secret.as_bytes()).receive_frame(FIN | PONG, secret.as_bytes());
        end.receive_frame(TEXT, secret.as_bytes());
        let writer = end.connection.writer();
        writer.send(secret).expect("open");
        let mut shown = format!("{:?} {:?}", writer.outbox(), Prepared::new(secret));
        writer.close(CloseCode::NORMAL, "").expect("open");
        let refused = writer.send(secret).expect_err("closed");
        shown += &format!("{refused:?} {refused}");
        shown += &format!("{:?} {:?}", end.events, end.connection);
        end.receive_frame(FIN | CONTINUATION, b"\xff");
        let error = end.error.expect("not UTF-8");
        shown += &format!("{error:?} {error} {:?}", end.connection);
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn l13_two_ends_stream_at_each_other_over_small_pipes() {
    for pipe in [1, 7, 64, 5000] {
        let mut pair = Pair::open();
        let piece = vec![b's'; 3000];
        for round in 0..20 {
            for role in BOTH {
                let (end, _) = pair.ends(role);
                let writer = end.connection.writer();
                if round == 0 {
                    writer.start(Kind::Binary).expect("open");
                }
                writer.resume().expect("unfinished").write(&piece).expect("room");
                writer.ping(b"between").expect("room");
            }
            carry(&mut pair.client, &mut pair.server, pipe);
            carry(&mut pair.server, &mut pair.client, pipe);
        }
        for role in BOTH {
            pair.ends(role).0.connection.writer().resume().expect("nothing ends it by itself").finish().expect("room");
        }
        pair.settle_through(pipe);
        for role in BOTH {
            let (end, _) = pair.ends(role);
            end.assert_open();
            let count = |wanted: fn(&Event<'_>) -> bool| end.events.iter().filter(|event| wanted(event)).count();
            assert_eq!(count(|event| matches!(event, Event::Ping(_))), 20);
            assert_eq!(count(|event| matches!(event, Event::Pong(_))), 20);
            assert!(end.events.contains(&binary(&piece.repeat(20))));
        }
    }
}

#[test]
fn l13_a_streamed_message_that_is_left_stays_unfinished() {
    for role in BOTH {
        let mut pair = Pair::open();
        let (from, _) = pair.ends(role);
        from.connection.writer().start(Kind::Text).expect("open").write("left").expect("room");
        pair.settle();
        let (from, to) = pair.ends(role);
        to.assert_received(&[]).assert_open();
        assert_eq!(from.connection.writer().send("x").expect_err("unfinished").kind(), SendErrorKind::Unfinished);
        from.connection.writer().close(CloseCode::NORMAL, "").expect("open");
        pair.settle();
        pair.ends(role).1.assert_received(&[closed(1000, "")]);
    }
}

// ---- what is said to people ----

#[test]
fn every_protocol_error_says_who_did_what_and_has_its_close_code() {
    use ProtocolError::*;
    for (error, code, said) in [
        (ReservedBits, 1002, "reserved bit"),
        (ReservedOpcode(11), 1002, "reserved opcode 0xb"),
        (UnmaskedFrame, 1002, "not masked"),
        (MaskedFrame, 1002, "masked"),
        (NonMinimalLength, 1002, "accept_long_lengths"),
        (LengthOverflow, 1002, "2^63"),
        (ControlFrameTooLong, 1002, "125 bytes"),
        (FragmentedControlFrame, 1002, "fragmented a control frame"),
        (UnexpectedContinuation, 1002, "continued a message"),
        (ExpectedContinuation, 1002, "before it had finished"),
        (InvalidUtf8, 1007, "not UTF-8"),
        (InvalidDeflate, 1007, "cannot be inflated"),
        (TruncatedCloseCode, 1002, "half a close code"),
        (InvalidCloseCode(CloseCode(1005)), 1002, "1005 (no status received)"),
        (InvalidCloseReason, 1007, "reason"),
        (MessageTooBig { limit: 1234 }, 1009, "1234 bytes; raise `Config::max_message_size`"),
        (TooManyFragments { limit: 4321 }, 1009, "4321 frames; raise `Config::max_fragments`"),
    ] {
        let message = error.to_string();
        assert!(["the peer ", "the client ", "the server "].iter().any(|who| message.starts_with(who)), "{message}");
        assert!(message.contains(said), "{message}");
        assert_eq!(error.close_code(), CloseCode(code), "{message}");
        let (mut end, frame) = (End::open(Role::Server), code.to_be_bytes());
        end.connection.writer().reply(error.reply());
        end.assert_sent(&[(FIN | CLOSE, &frame)]);
    }
}

#[test]
fn every_send_error_says_what_the_caller_can_do() {
    use SendErrorKind::*;
    for (kind, what, remedy) in [
        (Closed, "closed the connection", "stop sending"),
        (Full, "outbox is full", "flush"),
        (Unfinished, "unfinished", "`finish`"),
        (WrongKind, "type", "write pieces of that type"),
        (ControlFrameTooLong, "125 bytes", "shorten"),
        (InvalidCloseCode(CloseCode(1006)), "1006 (abnormal closure) must not be sent", "use 1000"),
    ] {
        let message = kind.to_string();
        assert!(message.contains(what) && message.contains(remedy), "{message}");
    }
    let mut end = End::open(Role::Server);
    end.connection.writer().close(CloseCode::NORMAL, "").expect("open");
    let error = end.connection.writer().send("secret").expect_err("closed");
    assert_eq!(error.to_string(), Closed.to_string());
    assert_eq!(format!("{error:?}"), "SendError(Closed)", "no payload in a log");
}

#[test]
fn the_table_of_defaults_is_true_and_complete() {
    let source = include_str!("../src/config.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("/// | `")).filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        Some((name, rest.split(" |").next()?.trim()))
    });
    let mut documented: std::collections::BTreeMap<&str, &str> = rows.collect();
    let debug = format!("{:?}", Config::DEFAULT);
    let fields = debug.strip_prefix("Config { ").and_then(|fields| fields.strip_suffix(", .. }")).expect("fields");
    for field in fields.split(", ") {
        let (name, value) = field.split_once(": ").expect("a value");
        let value = value.strip_prefix("Some(").and_then(|value| value.strip_suffix(')')).unwrap_or(value);
        assert_eq!(documented.remove(name), Some(value), "the row of `{name}`");
    }
    let without = if cfg!(feature = "deflate") { "" } else { "deflate" };
    documented.remove(without);
    assert!(documented.is_empty(), "rows without a setting: {documented:?}");
    for setter in source.lines().filter_map(|line| line.trim().strip_prefix("pub const fn ")) {
        let name = setter.split('(').next().expect("a name");
        let is_setting = setter.contains("(mut self, ");
        assert!(!is_setting || name == without || fields.contains(&format!("{name}: ")), "`{name}` has no row");
    }
}

#[test]
fn frame_headers_are_public_for_those_who_pass_frames_on() {
    let header = FrameHeader { fin: true, rsv: 4, opcode: Opcode::Binary, mask: Some([1, 2, 3, 4]), len: 70_000 };
    let bytes = header.encode();
    assert_eq!(bytes.as_ref(), naive::header(0xc2, Some([1, 2, 3, 4]), 70_000));
    assert_eq!(FrameHeader::parse(bytes.as_ref()), Ok(Some((header, 14))));
}
