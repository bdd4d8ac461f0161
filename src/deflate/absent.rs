//! Stands in where the crate is built without compression: no connection has either half of it, which the compiler
//! knows from these types.

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::config::Config;
use crate::connection::Agreed;
use crate::error::ProtocolError;
use crate::frame::Role;

#[derive(Debug)]
pub(crate) enum Deflating {}

pub(crate) enum Inflating {}

pub(crate) fn halves(_: Role, _: &Agreed, _: &Config) -> (Option<Inflating>, Option<Deflating>) {
    (None, None)
}

impl Deflating {
    pub(crate) fn wants(&self, _: usize) -> bool {
        match *self {}
    }

    pub(crate) fn message(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }

    pub(crate) fn piece(&mut self, _: &[u8], _: bool, _: &mut Vec<u8>) {
        match *self {}
    }

    pub(crate) fn forget(&mut self) {
        match *self {}
    }
}

impl Inflating {
    pub(crate) fn max_compressed_size(&self, _: u64, _: u32) -> u64 {
        match *self {}
    }

    pub(crate) fn inflated(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn inflate(&mut self, _: &mut &[u8], _: &mut Vec<u8>, _: usize) -> Result<bool, ProtocolError> {
        match *self {}
    }

    pub(crate) fn record(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: &[u8]) -> Result<(), ProtocolError> {
        match *self {}
    }
}

#[derive(Clone)]
pub(crate) struct Forms<T>(PhantomData<T>);

impl<T> Forms<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }

    pub(crate) fn get(&self, deflater: &Deflating, _: &[u8], _: impl FnOnce(&[u8]) -> T) -> Option<&T> {
        match *deflater {}
    }
}
