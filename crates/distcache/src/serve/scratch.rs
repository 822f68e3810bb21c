//! Buffers of a thread, lent to whichever connection it serves: an idle connection holds none.
//!
//! Whoever borrowed them wipes what it used before it gives them back.

use std::cell::Cell;

use crate::limits::MESSAGE;

/// Most bytes of one read.
const INPUT: usize = 64 * 1024;
/// Room for answers that never has to grow with the default settings.
const OUTPUT: usize = 64 * 1024 + MESSAGE;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// See the module.
pub(crate) struct Scratch {
    /// To read into.
    pub(crate) input: Vec<u8>,
    /// To write answers to; empty.
    pub(crate) output: Vec<u8>,
}

impl Scratch {
    /// The buffers of this thread, or new ones when they are lent already.
    pub(crate) fn borrow() -> Box<Self> {
        let new = || Box::new(Self { input: vec![0; INPUT], output: Vec::new() });
        let mut scratch = SCRATCH.take().unwrap_or_else(new);
        scratch.output.reserve_exact(OUTPUT);
        scratch
    }

    /// Takes over an output buffer that is empty again, or frees it.
    pub(crate) fn take_back(&mut self, output: &mut Vec<u8>) {
        let output = std::mem::take(output);
        if output.capacity() > self.output.capacity() {
            self.output = output;
        }
    }

    /// For the next connection.
    pub(crate) fn give_back(self: Box<Self>) {
        SCRATCH.set(Some(self));
    }
}
