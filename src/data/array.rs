//! An array as a file holds it: a shape, and numbers in (almost) their own type.

use half::{bf16, f16};

use crate::curvature::{Packed, PackedType, Storage};

/// An array read from a file, row by row (C order) whatever the order in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The extents, slowest first; empty for a single number.
    pub shape: Vec<usize>,
    /// As many numbers as the extents' product.
    pub values: Values,
}

/// Numbers in the type that they came in, as far as the type matters: widening here is exact.
///
/// Few types instead of thirteen, since only bytes, the two floating-point types of [`Storage`] and "an integer" are ever told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Bytes and booleans.
    U8(Vec<u8>),
    /// Every other integer type.
    I64(Vec<i64>),
    /// Half (IEEE binary16 and bfloat16) and single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Bytes, single or double precision, left in the file that holds them.
    Packed(Packed),
}

impl Values {
    /// How many numbers.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Packed(values) => values.len(),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the type is an integer type.
    pub fn is_integer(&self) -> bool {
        match self {
            Self::U8(_) | Self::I64(_) => true,
            Self::F32(_) | Self::F64(_) => false,
            Self::Packed(values) => values.kind() == PackedType::U8,
        }
    }

    /// Keeps the first `len` numbers.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::U8(values) => values.truncate(len),
            Self::I64(values) => values.truncate(len),
            Self::F32(values) => values.truncate(len),
            Self::F64(values) => values.truncate(len),
            Self::Packed(values) => values.truncate(len),
        }
    }

    /// The numbers in double precision: exact, but for integers beyond 2⁵³, which are rounded.
    #[expect(clippy::cast_precision_loss, reason = "documented: integers beyond 2⁵³ are rounded")]
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::U8(values) => values.into_iter().map(f64::from).collect(),
            Self::I64(values) => values.into_iter().map(|value| value as f64).collect(),
            Self::F32(values) => values.into_iter().map(f64::from).collect(),
            Self::F64(values) => values,
            Self::Packed(values) => values.to_f64(),
        }
    }

    /// The numbers as network inputs are kept: integers wider than a byte become doubles.
    pub fn into_storage(self) -> Storage {
        match self {
            Self::U8(values) => Storage::U8(values),
            Self::F32(values) => Storage::F32(values),
            Self::Packed(values) => Storage::Packed(values),
            integers_or_doubles => Storage::F64(integers_or_doubles.into_f64()),
        }
    }

    /// The same numbers in another order: number `i` of the result is number `source(i)` of these.
    pub(super) fn permuted(self, source: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::U8(values) => Self::U8(source.map(|at| values[at]).collect()),
            Self::I64(values) => Self::I64(source.map(|at| values[at]).collect()),
            Self::F32(values) => Self::F32(source.map(|at| values[at]).collect()),
            Self::F64(values) => Self::F64(source.map(|at| values[at]).collect()),
            Self::Packed(values) => {
                let values = values.to_f64();
                Self::F64(source.map(|at| values[at]).collect())
            }
        }
    }
}

/// Widens half precision, exactly.
pub(super) fn widen_f16(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Widens bfloat16, exactly.
pub(super) fn widen_bf16(bits: u16) -> f32 {
    bf16::from_bits(bits).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_keeps_bytes_and_singles_as_they_are() {
        assert_eq!(Values::U8(vec![255]).into_storage(), Storage::U8(vec![255]));
        assert_eq!(Values::F32(vec![0.1]).into_storage(), Storage::F32(vec![0.1]));
        assert_eq!(Values::I64(vec![-3]).into_storage(), Storage::F64(vec![-3.0]));
    }

    #[test]
    fn half_precision_widens_exactly() {
        assert_eq!(f64::from(widen_f16(0x3555)), 0.333_251_953_125);
        assert_eq!(widen_bf16(0x3f80), 1.0);
        assert_eq!(widen_bf16(0x3e9a), 0.300_781_25);
    }
}
