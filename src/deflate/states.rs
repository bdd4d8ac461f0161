//! The thread's free lists of zlib's states, so that a connection owns one only while it needs it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use zlib_rs::DeflateConfig;

use super::zlib::{Compressor, Decompressor};
use crate::pool::thread::{List, Local};

/// How many states of each sort a thread keeps. A compressor has up to half a megabyte.
const MAX_KEPT: usize = 4;

std::thread_local! {
    static COMPRESSOR_LIST: List<Box<Compressor>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR_LIST: List<Box<Decompressor>> = const { RefCell::new(Vec::new()) };
}
const COMPRESSORS: Local<Box<Compressor>> = Local(&COMPRESSOR_LIST);
const DECOMPRESSORS: Local<Box<Decompressor>> = Local(&DECOMPRESSOR_LIST);

/// A compressor that has seen nothing.
pub(super) fn take_compressor(config: DeflateConfig) -> Box<Compressor> {
    let Some(mut kept) = COMPRESSORS.with(|list| take(list, |kept| kept.is(&config))) else {
        return Compressor::new(config);
    };
    kept.reset();
    kept
}

/// Gives a compressor back, whatever it has seen.
pub(super) fn give_compressor(compressor: Box<Compressor>) {
    COMPRESSORS.with(|list| give(list, compressor));
}

/// A decompressor that has seen nothing.
pub(super) fn take_decompressor() -> Box<Decompressor> {
    let Some(mut kept) = DECOMPRESSORS.with(|list| take(list, |_| true)) else {
        return Decompressor::new();
    };
    kept.reset();
    kept
}

/// Gives a decompressor back, whatever it has seen.
pub(super) fn give_decompressor(decompressor: Box<Decompressor>) {
    DECOMPRESSORS.with(|list| give(list, decompressor));
}

/// Takes the latest that fits.
fn take<T>(list: &List<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
    let mut list = list.borrow_mut();
    let at = list.iter().rposition(fits)?;
    Some(list.remove(at))
}

/// Keeps it in the place of the oldest, which may be of a sort that nobody needs any more.
fn give<T>(list: &List<T>, state: T) {
    let mut list = list.borrow_mut();
    if list.len() == MAX_KEPT {
        list.remove(0);
    }
    list.push(state);
}
