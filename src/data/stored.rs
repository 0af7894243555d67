//! An array that a header has described: its numbers are read, or stay in the file.
//!
//! A large array that is stored as plain little-endian numbers is mapped into memory: pages are brought in when they are looked at and
//! given back when memory is short, so that a data set may be larger than the machine's memory. Whatever else is read and converted.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use memmap2::Mmap;

use super::array::{Array, Values};
use super::decode::{ByteOrder, Element, checked_count, expect_end, read_values};
use crate::curvature::{Packed, PackedType};

/// Bytes from which on an array is mapped. Below, a copy costs nothing, and is safe from whoever overwrites the file.
pub(super) const WORTH_MAPPING: u64 = 64 << 20;

/// What a header says of the numbers that follow it.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) element: Element,
    pub(super) byte_order: ByteOrder,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
    /// Bytes of the header.
    pub(super) header: u64,
}

impl Stored {
    /// Reads the numbers, which are all that is left of the stream.
    pub(super) fn read(self, reader: &mut dyn Read) -> Result<Array, String> {
        let count = checked_count(&self.shape, self.element)?;
        let values = read_values(reader, count, self.element, self.byte_order)?;
        expect_end(reader)?;
        let values = if self.fortran_order { to_row_major(values, &self.shape) } else { values };
        Ok(Array { shape: self.shape, values })
    }

    /// Leaves the numbers in `file`, in which the header begins at byte `start` and the numbers end at byte `end`. None where they are
    /// fewer than `least` bytes, are not stored as they are used, or are not as many as the header says; reading them then says why.
    pub(super) fn map(&self, file: &File, start: u64, end: u64, least: u64) -> Option<Array> {
        let count = checked_count(&self.shape, self.element).ok()?;
        let first = start.checked_add(self.header)?;
        let kind = packed_type(self.element, self.byte_order).filter(|_| !self.fortran_order || self.shape.len() < 2)?;
        let bytes = (count * kind.bytes()) as u64;
        if bytes < least || first.checked_add(bytes)? != end {
            return None;
        }
        let packed = Packed::new(Arc::new(map_file(file)?), usize::try_from(first).ok()?, count, kind)?;
        Some(Array { shape: self.shape.clone(), values: Values::Packed(packed) })
    }
}

/// The whole of `file` in memory, where the system can do that.
pub(super) fn map_file(file: &File) -> Option<Mmap> {
    // SAFETY: the map is read only. Another process that cuts the file short while it is used ends this one with a signal, and one that
    // writes to it changes the data, as documented for --data; no reference to the bytes is kept that assumes more than "some bytes".
    unsafe { Mmap::map(file) }.ok()
}

/// The type under which numbers can be used where they lie.
pub(super) fn packed_type(element: Element, order: ByteOrder) -> Option<PackedType> {
    match (element, order) {
        (Element::U8, _) => Some(PackedType::U8),
        (Element::F32, ByteOrder::Little) => Some(PackedType::F32),
        (Element::F64, ByteOrder::Little) => Some(PackedType::F64),
        _ => None,
    }
}

/// Numbers in Fortran order (first index fastest) in C order (last index fastest).
fn to_row_major(values: Values, shape: &[usize]) -> Values {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut index = vec![0; shape.len()];
    let mut offset = 0;
    let count = values.len();
    let source = (0..count).map(|_| {
        let at = offset;
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= index[axis] * strides[axis];
            index[axis] = 0;
        }
        at
    });
    values.permuted(source)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn fortran_order_becomes_row_order() {
        // Element [i, j, k] is 100 i + 10 j + k.
        let (shape, mut fortran) = ([2, 3, 4], Vec::new());
        for k in 0..4 {
            for j in 0..3 {
                fortran.extend((0..2).map(|i| 100 * i + 10 * j + k));
            }
        }
        let Values::I64(values) = to_row_major(Values::I64(fortran), &shape) else { panic!("the type changed") };
        assert_eq!(values[..5], [0, 1, 2, 3, 10]);
        assert_eq!(values[23], 123);
        assert!(values.is_sorted());
    }

    /// The same numbers, read and mapped, with bytes around them.
    #[test]
    fn a_mapped_array_is_the_array_that_would_be_read() {
        let numbers: Vec<u8> = [1.5_f32, -2.0, 0.25].iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[&[7; 5], &numbers[..], &[7]].concat()).unwrap();
        let stored =
            |element, byte_order, shape: &[usize]| Stored { element, byte_order, fortran_order: false, shape: shape.into(), header: 2 };
        let array = stored(Element::F32, ByteOrder::Little, &[3, 1]).map(&file, 3, 17, 12).unwrap();
        let read = stored(Element::F32, ByteOrder::Little, &[3, 1]).read(&mut &numbers[..]).unwrap();
        assert_eq!((array.shape, array.values.into_f64()), (read.shape, read.values.into_f64()));
        assert_eq!(stored(Element::F32, ByteOrder::Little, &[3, 1]).map(&file, 3, 17, 13), None, "too few to be worth it");
        assert_eq!(stored(Element::F32, ByteOrder::Big, &[3]).map(&file, 3, 17, 0), None, "not as they are used");
        assert_eq!(stored(Element::F32, ByteOrder::Little, &[4]).map(&file, 3, 17, 0), None, "more than there are");
        assert_eq!(stored(Element::F32, ByteOrder::Little, &[2]).map(&file, 3, 17, 0), None, "fewer than there are");
    }
}
