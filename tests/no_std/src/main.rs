//! A client and a server shake hands and talk, in a program without std, with an allocator and a panic handler of its own.
//! It exits with 0 if every byte arrived, and with 1 otherwise.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use sockeye::{Config, Connection, Event, Message, Origins, client, server};

const CONFIG: Config = Config::new(|| *b"key!"); // a device would ask its hardware

// What every platform has to bring: `memcpy` and its kin, and something that calls `main`.
#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(talk().is_none())
}

fn talk() -> Option<()> {
    let mut request = Vec::new();
    let mut pending = client::Request::get("ws://device/telemetry").ok()?.write([7; 16], &CONFIG, &mut request).ok()?;
    let request = server::Handshake::new(&CONFIG).receive(&mut &request[..]).ok()??;
    let mut server = request.accept(Origins::Same).ok()?.connect(&CONFIG).ok()?;
    let response = drain(&mut server);
    let mut client = pending.receive(&mut &response[..]).ok()??.connect(&CONFIG);

    client.writer().send("21.5 °C").ok()?;
    let mut wire = drain(&mut client);
    let mut input = &mut wire[..];
    let (event, writer) = server.next_with_writer(&mut input).ok()??;
    let Event::Message(message) = event else { return None };
    writer.send(message).ok()?;

    let mut wire = drain(&mut server);
    let mut input = &mut wire[..];
    (client.next(&mut input).ok()?? == Event::Message(Message::from("21.5 °C"))).then_some(())
}

/// What a transport would write.
fn drain(connection: &mut Connection) -> Vec<u8> {
    let outbox = connection.writer().outbox();
    let bytes = outbox.chunk().to_vec();
    outbox.advance(bytes.len());
    bytes
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// Hands out an arena from its front, and takes nothing back.
struct Arena {
    bytes: UnsafeCell<[u8; 1 << 20]>,
    used: AtomicUsize,
}

// SAFETY: no two allocations share a byte.
unsafe impl Sync for Arena {}

// SAFETY: each block is aligned, within the arena, and its own.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size() + layout.align();
        let start = self.used.fetch_add(room, Ordering::Relaxed);
        if start + room > 1 << 20 {
            return core::ptr::null_mut();
        }
        // SAFETY: checked just now.
        let block = unsafe { self.bytes.get().cast::<u8>().add(start) };
        // SAFETY: `room` includes what the alignment may skip.
        unsafe { block.add(block.align_offset(layout.align())) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; 1 << 20]), used: AtomicUsize::new(0) };
