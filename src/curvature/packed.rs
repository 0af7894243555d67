//! Numbers that stay in the bytes they were stored in, such as those of a file that is mapped into memory.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use crate::numeric::Real;

/// The type of packed numbers, little-endian where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedType {
    /// Bytes.
    U8,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl PackedType {
    /// Bytes of one number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// A run of numbers inside a larger run of bytes, which is shared and never copied as a whole. Nothing is assumed of its alignment.
#[derive(Clone)]
pub struct Packed {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    start: usize,
    len: usize,
    kind: PackedType,
}

impl Packed {
    /// `len` numbers that begin `start` bytes into `bytes`; none where they do not fit in there.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, start: usize, len: usize, kind: PackedType) -> Option<Self> {
        let end = len.checked_mul(kind.bytes())?.checked_add(start)?;
        (end <= (*bytes).as_ref().len()).then_some(Self { bytes, start, len, kind })
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their type.
    pub fn kind(&self) -> PackedType {
        self.kind
    }

    /// Keeps the first `len` numbers.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Number `index`, exactly.
    pub fn get(&self, index: usize) -> f64 {
        let mut number = f64::NAN;
        self.for_each(index..index + 1, |found| number = found);
        number
    }

    /// The numbers of `range`, exactly, each through `use_number`.
    pub fn for_each(&self, range: Range<usize>, mut use_number: impl FnMut(f64)) {
        let bytes = self.bytes_of(range);
        match self.kind {
            PackedType::U8 => bytes.iter().for_each(|&byte| use_number(byte.into())),
            PackedType::F32 => bytes.as_chunks().0.iter().for_each(|&bytes| use_number(f32::from_le_bytes(bytes).into())),
            PackedType::F64 => bytes.as_chunks().0.iter().for_each(|&bytes| use_number(f64::from_le_bytes(bytes))),
        }
    }

    /// The rows `samples` of `width` numbers each, one after another, copied as they are.
    #[must_use]
    pub fn select(&self, width: usize, samples: &[usize]) -> Self {
        let row = |&sample: &usize| self.bytes_of(sample * width..(sample + 1) * width);
        let bytes: Vec<u8> = samples.iter().flat_map(row).copied().collect();
        Self { bytes: Arc::new(bytes), start: 0, len: samples.len() * width, kind: self.kind }
    }

    /// The numbers in double precision, exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut numbers = Vec::with_capacity(self.len);
        self.for_each(0..self.len, |number| numbers.push(number));
        numbers
    }

    /// `numbers` ← those of `range`, each times `scale` in double precision and then rounded.
    pub(super) fn copy_scaled<T: Real>(&self, range: Range<usize>, scale: f64, numbers: &mut [T]) {
        let mut numbers = numbers.iter_mut();
        self.for_each(range, |number| {
            if let Some(place) = numbers.next() {
                *place = T::from_f64(number * scale);
            }
        });
    }

    fn bytes_of(&self, range: Range<usize>) -> &[u8] {
        assert!(range.end <= self.len, "number {} of {}", range.end, self.len);
        let width = self.kind.bytes();
        &(*self.bytes).as_ref()[self.start + range.start * width..self.start + range.end * width]
    }
}

impl Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("start", &self.start).field("len", &self.len).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.bytes_of(0..self.len) == other.bytes_of(0..other.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between other bytes, at an odd address.
    fn packed(kind: PackedType, numbers: &[u8], len: usize) -> Option<Packed> {
        Packed::new(Arc::new([&[9, 9, 9], numbers, &[9]].concat()), 3, len, kind)
    }

    #[test]
    fn every_type_is_read_where_it_lies() {
        let singles: Vec<u8> = [1.5_f32, -0.25, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let doubles: Vec<u8> = [1.5_f64, -0.25, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (kind, bytes) in [(PackedType::F32, singles), (PackedType::F64, doubles)] {
            let mut packed = packed(kind, &bytes, 3).unwrap();
            assert_eq!(packed.to_f64(), [1.5, -0.25, 3.0]);
            let mut scaled = [0.0_f32; 2];
            packed.copy_scaled(1..3, 2.0, &mut scaled);
            assert_eq!(scaled, [-0.5, 6.0]);
            assert_eq!(packed.select(1, &[2, 0, 2]).to_f64(), [3.0, 1.5, 3.0]);
            packed.truncate(2);
            assert_eq!(packed.to_f64(), [1.5, -0.25]);
        }
        assert_eq!(packed(PackedType::U8, &[0, 255], 2).unwrap().to_f64(), [0.0, 255.0]);
    }

    #[test]
    fn numbers_beyond_the_bytes_are_refused() {
        assert!(packed(PackedType::F32, &[0; 7], 2).is_some());
        assert!(packed(PackedType::F32, &[0; 6], 2).is_none());
        assert!(packed(PackedType::F64, &[0; 8], usize::MAX / 4).is_none());
    }
}
