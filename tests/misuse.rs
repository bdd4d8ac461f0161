//! The reader's public functions in orders that no sensible caller uses: nothing may panic, lose what was not lent, or
//! show what was not validated.
#![cfg(feature = "std")] // for `Config::DEFAULT`

use sockeye::{Agreed, Config, Connection, Event, Reader, Role};

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
