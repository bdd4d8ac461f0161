//! P2: after `fork` parent and child draw different keys and nonces. A program of its own, for a fork copies but one
//! thread, and the generator of that thread is what matters.
#![cfg(all(unix, feature = "std", feature = "handshake"))]
#![allow(unsafe_code)] // the calls below are the system's

use std::ffi::c_int;
use std::io::{Read, Write, pipe};

use bytes::Buf;
use sockeye::{Agreed, Config, Connection, Role, handshake};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// The keys of the next frames, and the next nonce. One of them comes `first`, for it must not matter which.
fn draw(first: First) -> [u8; 48] {
    let mut connection = Connection::open(Role::Client, Agreed::default(), &Config::DEFAULT);
    let mut drawn = [0; 48];
    let (keys, nonce) = drawn.split_at_mut(32);
    if first == First::Nonce {
        nonce.copy_from_slice(&handshake::nonce());
    }
    for key in keys.as_chunks_mut::<4>().0 {
        connection.writer().ping(b"").expect("open");
        connection.writer().outbox().advance(2);
        connection.writer().outbox().copy_to_slice(key);
    }
    if first == First::Keys {
        nonce.copy_from_slice(&handshake::nonce());
    }
    drawn
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Keys,
    Nonce,
}

/// Draws in a child process.
fn draw_in_child(first: First) -> [u8; 48] {
    let (mut read, mut write) = pipe().expect("a pipe");
    // SAFETY: the child draws, writes to a pipe and exits; it touches nothing that other threads may have locked.
    let child = unsafe { fork() };
    if child == 0 {
        let sent = write.write_all(&draw(first));
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { _exit(sent.is_err().into()) };
    }
    drop(write);
    let mut drawn = [0; 48];
    read.read_exact(&mut drawn).expect("the child's");
    let mut status = 0;
    // SAFETY: the child is ours, and `status` lives.
    let waited = unsafe { waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    drawn
}

#[test]
fn p2_parent_and_child_draw_different_keys() {
    let before = draw(First::Keys);
    let [one, other] = [First::Keys, First::Nonce].map(draw_in_child);
    let drawn = [before, one, other, draw(First::Keys)];
    let mut keys: Vec<&[u8; 4]> = drawn.iter().flat_map(|drawn| drawn.as_chunks::<4>().0).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(all - keys.len(), 0, "keys drawn twice");
}
