//! The reader's public functions in orders that no sensible caller uses: nothing may panic, lose what was not lent, or
//! show what was not validated.
#![cfg(feature = "std")] // for `Config::DEFAULT`

use bytes::BufMut;
use sockeye::{Agreed, Config, Connection, Event, Message, Part, ProtocolError, Reader, Role};

fn reader(config: &Config) -> Reader {
    Connection::open(Role::Client, Agreed::default(), config).split().0
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..=125 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// The `Ready` of a message that was put together from two fragments.
fn assembled(reader: &mut Reader) -> sockeye::Ready {
    let mut fragments = [frame(2, b"a"), frame(0x80, b"b")].concat();
    reader.step(&mut fragments).expect("valid").ready.expect("a message")
}

#[test]
fn l9_an_old_position_does_not_lend_the_message_that_is_being_put_together() {
    let mut reader = reader(&Config::DEFAULT);
    let old = assembled(&mut reader);
    // A text whose last character is cut, then a ping that is cut, so that it is lent from inside.
    let mut cut = "a".repeat(3000).into_bytes();
    cut.push(0xc3);
    reader.step(&mut frame(1, &cut)).expect("valid");
    let mut ping = frame(0x89, b"ping");
    let (front, back) = ping.split_at_mut(3);
    assert!(reader.step(front).expect("valid").ready.is_none());
    assert!(reader.step(back).expect("valid").ready.is_some());

    assert!(reader.event(old, &[]).is_none());

    let mut rest = frame(0x80, &[0xa9]);
    let mut input = &mut rest[..];
    let event = reader.next(&mut input).expect("valid").expect("a message");
    let Event::Message(message) = event else { panic!("{event:?}") };
    assert_eq!(message.as_bytes()[3000..], *"é".as_bytes());
    assert!(std::str::from_utf8(message.as_bytes()).is_ok());
}

#[test]
fn l9_an_old_position_of_a_control_frame_gives_nothing() {
    let mut reader = reader(&Config::DEFAULT);
    for first in [0x89, 0x8a] {
        let mut control = frame(first, b"payload");
        let (front, back) = control.split_at_mut(4);
        assert!(reader.step(front).expect("valid").ready.is_none());
        let ready = reader.step(back).expect("valid").ready.expect("a control frame");
        reader.step(&mut []).expect("valid");
        assert!(reader.event(ready, &[]).is_none());
    }
    let mut close = frame(0x88, &[]);
    let ready = reader.step(&mut close).expect("valid").ready.expect("Close");
    assert!(self::reader(&Config::DEFAULT).event(ready, &close).is_none(), "another reader has none");
    let mut other = self::reader(&Config::DEFAULT);
    let ready = other.step(&mut close).expect("valid").ready.expect("Close");
    assert_eq!(other.event(ready, &[]), Some(Event::Close(None)));
}

#[test]
fn parts_that_were_asked_for_and_not_lent_leave_the_message_whole() {
    let text = "é and more";
    let whole = frame(0x81, text.as_bytes());
    let mut first = frame(1, b"");
    first.extend(frame(0, &text.as_bytes()[..1]));
    let fragments = [first, frame(0x80, &text.as_bytes()[1..])].concat();
    // Cut behind the header, behind half a character, and behind a first fragment of half a character.
    for (bytes, cuts) in [(&whole, &[2, 3][..]), (&fragments, &[2, 4, 5, 6, 7])] {
        for &cut in cuts {
            for through_payload_buf in [false, true] {
                let mut reader = reader(&Config::DEFAULT);
                let (mut front, mut back) = (bytes[..cut].to_vec(), bytes[cut..].to_vec());
                assert_eq!(reader.next_part(&mut &mut front[..]), Ok(None), "cut at {cut}");
                let mut input = &mut back[..];
                if through_payload_buf && let Some(mut payload) = reader.payload_buf() {
                    let count = payload.room().min(input.len());
                    payload.put_slice(&input[..count]);
                    input = &mut input[count..];
                }
                let event = reader.next(&mut input).expect("valid");
                assert_eq!(event, Some(Event::Message(Message::from(text))), "cut at {cut}");
            }
        }
    }
}

#[test]
fn parts_that_were_lent_go_on_after_the_message_was_looked_for_as_a_whole() {
    let text = "κόσμε";
    for cut in 2..text.len() {
        let mut bytes = frame(0x81, text.as_bytes());
        let (front, back) = bytes.split_at_mut(cut);
        let mut reader = reader(&Config::DEFAULT);
        assert_eq!(reader.next(&mut &mut front[..]), Ok(None));
        let mut input = back;
        let mut parts = String::new();
        while let Some(part) = reader.next_part(&mut input).expect("valid") {
            let Part::Piece { data, .. } = part else { panic!("{part:?}") };
            parts.push_str(data.as_text().expect("text"));
        }
        assert_eq!(parts, text, "cut at {cut}");
    }
}

#[test]
fn m2_asking_for_a_part_does_not_lift_the_limit_of_a_whole_message() {
    let config = Config::DEFAULT.max_message_size(100);
    for fragments in [vec![frame(0x82, &[7; 200])], vec![frame(2, &[7; 60]), frame(0x80, &[7; 60])]] {
        let mut reader = reader(&config);
        let (last, before) = fragments.split_last().expect("some");
        for fragment in before {
            assert_eq!(reader.next(&mut &mut fragment.clone()[..]), Ok(None));
        }
        let mut last = last.clone();
        let header = if last[1] == 126 { 4 } else { 2 };
        let (head, rest) = last.split_at_mut(header);
        // The first part is what `next` left.
        if before.is_empty() {
            assert_eq!(reader.next_part(&mut &mut head[..]), Ok(None));
            let result = reader.next(&mut &mut rest[..]);
            assert_eq!(result, Err(ProtocolError::MessageTooBig { limit: 100 }));
        } else {
            assert!(matches!(reader.next_part(&mut &mut head[..]), Ok(Some(Part::Piece { last: false, .. }))));
            assert_eq!(reader.next(&mut &mut rest[..]), Ok(None), "discarded");
        }
    }
}

#[test]
fn c2_a_payload_read_into_its_place_takes_few_reads_whatever_room_is_left() {
    // The buffer is left with one byte of room by what came through the input.
    for before in [1, 4095, 65_535] {
        let mut reader = reader(&Config::DEFAULT.unlimited());
        let mut head = vec![0x82, 127];
        head.extend((10_u64 << 20).to_be_bytes());
        head.resize(10 + before, 0);
        assert_eq!(reader.next(&mut &mut head[..]), Ok(None));
        let mut received = before;
        while received < 10 << 20 {
            let payload = reader.payload_buf();
            let Some(mut payload) = payload else { break };
            let room = payload.room();
            assert!(room >= received.min(16 << 10).min((10 << 20) - received), "{room} bytes of room at {received}");
            // All but one byte is filled.
            let count = if room > 1 { room - 1 } else { 1 };
            payload.spare();
            payload.advance(count);
            received += count;
        }
        let event = reader.next(&mut &mut [][..]).expect("valid").expect("a message");
        assert_eq!(event, Event::Message(vec![0; 10 << 20].into()));
    }
}

#[test]
fn l13_what_is_sent_behind_the_last_event_does_not_stop_the_reading() {
    let config = Config::DEFAULT.outbox_high_water(100);
    for with_writer in [false, true] {
        let mut connection = Connection::open(Role::Client, Agreed::default(), &config);
        let mut bytes = frame(0x81, b"hello");
        let mut input = &mut bytes[..];
        if with_writer {
            while connection.next_with_writer(&mut input).expect("valid").is_some() {}
        } else {
            while connection.next(&mut input).expect("valid").is_some() {}
        }
        connection.writer().send(&[7; 1000]).expect("room");
        assert!(connection.wants().read, "it is no answer, and the peer may be sending as much");
        assert!(connection.next(&mut &mut [][..]).expect("valid").is_none());
        assert!(connection.wants().read);
    }
}
