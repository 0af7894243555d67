//! Buffers that are counted while they exist.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use wgpu::Buffer;

/// What the arrays of a device take.
#[derive(Debug, Default)]
pub(super) struct Memory {
    live: Cell<u64>,
    peak: Cell<u64>,
    dropped: Cell<u64>,
}

impl Memory {
    /// Bytes of all arrays that exist.
    pub(super) fn live(&self) -> u64 {
        self.live.get()
    }

    /// The most that [`live`](Self::live) has been.
    pub(super) fn peak(&self) -> u64 {
        self.peak.get()
    }

    /// How many arrays have ceased to exist: whoever holds on to buffers lets go of them when this changes.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// A buffer that is counted in its device's memory.
#[derive(Debug)]
pub(super) struct Array {
    buffer: Buffer,
    memory: Rc<Memory>,
}

impl Array {
    pub(super) fn new(buffer: Buffer, memory: &Rc<Memory>) -> Self {
        memory.live.set(memory.live.get() + buffer.size());
        memory.peak.set(memory.peak.get().max(memory.live.get()));
        Self { buffer, memory: Rc::clone(memory) }
    }
}

impl Deref for Array {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        self.memory.live.set(self.memory.live.get() - self.buffer.size());
        self.memory.dropped.set(self.memory.dropped.get() + 1);
    }
}
