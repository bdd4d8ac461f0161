//! Masking (RFC 6455 §5.3): octet i of a payload is XORed with octet i mod 4 of the key.
//!
//! The loops are plain Rust, safe but for the end of a buffer that grows. They are compiled twice: for the baseline
//! instruction set, and again with AVX2, which is chosen at run time where the payload is long enough to repay the
//! question.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// Below this many bytes the baseline loop is done before a wider one would have been chosen.
const DISPATCH_FROM: usize = 128;

/// Below this many bytes the blocks are taken where they lie.
const ALIGN_FROM: usize = 2 << 10;

/// As much as the loop takes at a time; a multiple of the key.
type Block = [u8; 64];

/// Masks or unmasks `payload` in place, `key` being the one for its first byte. A key of zeros changes nothing, and
/// stands for no mask. Also whether what comes of it was seen to be ASCII, which costs next to nothing here and spares
/// a text a pass of its own.
#[inline]
pub(crate) fn mask(payload: &mut [u8], key: [u8; 4]) -> bool {
    #[cfg(test)]
    tests::MASKED.with(|sum| sum.set(sum.get() + payload.len()));
    if payload.len() < DISPATCH_FROM {
        return is_ascii(xor_short(payload, key));
    }
    if key == [0; 4] {
        return false;
    }
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code)]
        // SAFETY: AVX2 was just found to be present.
        return is_ascii(unsafe { xor_avx2(payload, key) });
    }
    is_ascii(xor(payload, key))
}

/// Appends a masked copy of `payload` to `buffer`, in one pass but for the last few bytes; the same is told of it.
#[inline]
pub(crate) fn mask_copy(buffer: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) -> bool {
    #[cfg(test)]
    tests::MASKED.with(|sum| sum.set(sum.get() + payload.len()));
    let (blocks, rest) = payload.as_chunks();
    let seen = if blocks.is_empty() { 0 } else { copy_blocks(buffer, blocks, key) };
    let at = buffer.len();
    buffer.extend_from_slice(rest);
    is_ascii(seen | xor_short(buffer.get_mut(at..).unwrap_or_default(), key))
}

fn copy_blocks(buffer: &mut Vec<u8>, blocks: &[Block], key: [u8; 4]) -> u64 {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if blocks.as_flattened().len() >= DISPATCH_FROM && std::arch::is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code)]
        // SAFETY: AVX2 was just found to be present.
        return unsafe { xor_blocks_avx2(buffer, blocks, key) };
    }
    xor_blocks(buffer, blocks, key)
}

fn is_ascii(seen: u64) -> bool {
    seen & 0x8080_8080_8080_8080 == 0
}

/// The key for the byte that is `offset` bytes further on.
#[inline]
pub(crate) fn advance(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(offset as u32 % 4 * 8).to_le_bytes()
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
fn xor_avx2(payload: &mut [u8], key: [u8; 4]) -> u64 {
    xor(payload, key)
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
fn xor_blocks_avx2(buffer: &mut Vec<u8>, blocks: &[Block], key: [u8; 4]) -> u64 {
    xor_blocks(buffer, blocks, key)
}

/// Tells all bits that are set anywhere in what it appends.
#[inline(always)]
fn xor_blocks(buffer: &mut Vec<u8>, blocks: &[Block], key: [u8; 4]) -> u64 {
    buffer.reserve(blocks.as_flattened().len());
    let room = buffer.spare_capacity_mut().as_chunks_mut().0;
    let (mut seen, mut count) = ([0; 8], 0);
    for (to, from) in room.iter_mut().zip(blocks) {
        let mut block = *from;
        xor_block(&mut block, key, &mut seen);
        *to = block.map(MaybeUninit::new);
        count += block.len();
    }
    #[allow(unsafe_code)]
    // SAFETY: so many bytes behind the end were initialized just now.
    unsafe {
        buffer.set_len(buffer.len() + count);
    }
    either(seen)
}

/// Tells all bits that are set anywhere in the result. The blocks of a long payload are made to lie in one cache line
/// each: one that lies in two costs twice as much.
#[inline(always)]
fn xor(payload: &mut [u8], key: [u8; 4]) -> u64 {
    let is_long = payload.len() >= ALIGN_FROM;
    let before = if is_long { payload.as_ptr().align_offset(size_of::<Block>()).min(payload.len()) } else { 0 };
    let (head, aligned) = payload.split_at_mut(before);
    let seen = xor_short(head, key);
    let key = advance(key, before);
    let (blocks, rest) = aligned.as_chunks_mut();
    let mut lanes = [0; 8];
    blocks.iter_mut().for_each(|block| xor_block(block, key, &mut lanes));
    seen | either(lanes) | xor_short(rest, key)
}

#[inline(always)]
fn xor_short(payload: &mut [u8], key: [u8; 4]) -> u64 {
    let mut seen = 0;
    let (lanes, rest) = payload.as_chunks_mut();
    for lane in lanes {
        xor_lane(lane, key, &mut seen);
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for half in halves {
        let new = u32::from_ne_bytes(*half) ^ u32::from_ne_bytes(key);
        *half = new.to_ne_bytes();
        seen |= u64::from(new);
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen
}

#[inline(always)]
fn xor_block(block: &mut Block, key: [u8; 4], seen: &mut [u64; 8]) {
    for (lane, seen) in block.as_chunks_mut().0.iter_mut().zip(seen) {
        xor_lane(lane, key, seen);
    }
}

#[inline(always)]
fn xor_lane(lane: &mut [u8; 8], key: [u8; 4], seen: &mut u64) {
    let key = u64::from(u32::from_ne_bytes(key));
    let new = u64::from_ne_bytes(*lane) ^ (key << 32 | key);
    *lane = new.to_ne_bytes();
    *seen |= new;
}

fn either(bits: [u64; 8]) -> u64 {
    bits.into_iter().fold(0, |one, other| one | other)
}

#[cfg(test)]
mod tests {
    extern crate std; // in builds without the feature too

    use super::*;
    use crate::{Agreed, Config, Connection, Event, Role};
    use alloc::{vec, vec::Vec};
    use core::cell::Cell;

    std::thread_local! {
        /// How many bytes this thread has masked or unmasked.
        pub(super) static MASKED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn rfc_6455_5_3_2_every_length_offset_and_cut_agrees_with_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in (0..300).chain([1000, 4096, 4099]) {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let expected: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            for cut in [0, 1, 2, 3, 5, 130] {
                let cut = cut.min(len);
                let mut payload = plain.clone();
                let (front, back) = payload.split_at_mut(cut);
                mask(front, key);
                mask(back, advance(key, cut));
                assert_eq!(payload, expected, "{len} bytes cut at {cut}");
                let mut copy = vec![1];
                mask_copy(&mut copy, &plain[..cut], key);
                mask_copy(&mut copy, &plain[cut..], advance(key, cut));
                assert_eq!(copy[1..], expected, "a copy of {len} bytes cut at {cut}");
            }
        }
    }

    /// What is said to be ASCII is not validated again.
    #[test]
    fn rfc_6455_8_1_1_no_byte_beyond_ascii_is_overlooked() {
        for key in [[0x37, 0xfa, 0x21, 0x3d], [0; 4]] {
            for len in (0..200).chain([1000, 4099]) {
                let mut text = vec![b'a'; len];
                mask(&mut text, key);
                let masked = text.clone();
                assert!(mask(&mut text, key) || key == [0; 4] && len >= DISPATCH_FROM, "{len} bytes");
                assert!(mask_copy(&mut Vec::new(), &masked, key), "{len} bytes");
                for at in 0..len {
                    let mut wrong = masked.clone();
                    wrong[at] ^= 0x80;
                    assert!(!mask_copy(&mut Vec::new(), &wrong, key), "byte {at} of {len}");
                    assert!(!mask(&mut wrong, key), "byte {at} of {len}");
                }
            }
        }
    }

    /// C2: every byte of a payload is unmasked once, however it is cut into frames and reads.
    #[test]
    fn c2_every_byte_is_unmasked_once() {
        let config = Config::new(|| [0; 4]);
        for (first, frame) in [(2, 1), (2, 100), (2, 125), (1, 1), (1, 125)] {
            let mut stream = vec![first, 0x80, 0, 0, 0, 0];
            for _ in 0..2_000 {
                stream.extend([0x00, 0x80 | frame, b'a', b'a', b'a', b'a']);
                stream.resize(stream.len() + frame as usize, 0);
            }
            stream.extend([0x80, 0x80, 0, 0, 0, 0]);
            for read in [1, 3, 100, stream.len()] {
                let (mut reader, _) = Connection::open(Role::Server, Agreed::default(), &config).split();
                MASKED.with(|sum| sum.set(0));
                let mut len = 0;
                for mut input in stream.clone().chunks_mut(read) {
                    while let Some(event) = reader.next(&mut input).expect("valid") {
                        let Event::Message(message) = event else { panic!("a message") };
                        assert!(message.as_bytes().iter().all(|byte| *byte == b'a'));
                        len = message.as_bytes().len();
                    }
                }
                assert_eq!((len, MASKED.with(Cell::get)), (2_000 * frame as usize, 2_000 * frame as usize));
            }
        }
    }
}
