//! The data of an objective, in the type they came in.

use std::ops::Range;

use super::packed::{Packed, PackedType};
use crate::error::{Error, Result};
use crate::numeric::Real;

/// The network's inputs, [N, width] row by row, as the file stored them, and the factor they are multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    values: Storage,
    scale: f64,
    width: usize,
}

/// Numbers in the type they came in: a data set is not widened before it is used.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Bytes, such as an image's.
    U8(Vec<u8>),
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Left in the file that holds them.
    Packed(Packed),
}

impl Storage {
    /// How many numbers.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Packed(values) => values.len(),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `index`, exactly.
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Self::U8(values) => f64::from(values[index]),
            Self::F32(values) => f64::from(values[index]),
            Self::F64(values) => values[index],
            Self::Packed(values) => values.get(index),
        }
    }

    /// Keeps the first `len` numbers.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::U8(values) => values.truncate(len),
            Self::F32(values) => values.truncate(len),
            Self::F64(values) => values.truncate(len),
            Self::Packed(values) => values.truncate(len),
        }
    }
}

impl Inputs {
    /// Rows of `width` numbers, each multiplied by `scale` when it is read.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no sample or the numbers make no whole rows; [`Error::NonFinite`] where one is not finite.
    pub fn new(values: Storage, width: usize, scale: f64) -> Result<Self> {
        if width == 0 || values.is_empty() {
            return Err(Error::Input(format!("x has {} numbers in rows of {width}: at least one sample is needed", values.len())));
        }
        if !values.len().is_multiple_of(width) {
            return Err(Error::Input(format!("x has {} numbers, no whole rows of {width}", values.len())));
        }
        let inputs = Self { values, scale, width };
        if let Some(at) = inputs.first_non_finite() {
            return Err(Error::NonFinite(format!(
                "x[{}, {}] is {} (scaled by {scale}): every input must be finite",
                at / width,
                at % width,
                inputs.values.get(at)
            )));
        }
        Ok(inputs)
    }

    /// N.
    pub fn samples(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether the numbers are bytes, as those of images, which are seldom what a network was trained on.
    pub fn are_bytes(&self) -> bool {
        match &self.values {
            Storage::U8(_) => true,
            Storage::Packed(values) => values.kind() == PackedType::U8,
            Storage::F32(_) | Storage::F64(_) => false,
        }
    }

    /// The scaled number at flat index `index`.
    pub fn at(&self, index: usize) -> f64 {
        self.values.get(index) * self.scale
    }

    /// `rows` ← the rows of `samples`, scaled in double precision and then rounded to `T`, row by row.
    ///
    /// # Panics
    /// Where `rows` is of another size, or a sample is not there.
    pub fn copy_rows<T: Real>(&self, samples: Range<usize>, rows: &mut [T]) {
        let range = samples.start * self.width..samples.end * self.width;
        assert_eq!(rows.len(), range.len(), "numbers of {} samples", samples.len());
        let scaled = |value: f64| T::from_f64(value * self.scale);
        match &self.values {
            Storage::U8(values) => rows.iter_mut().zip(&values[range]).for_each(|(to, &value)| *to = scaled(value.into())),
            Storage::F32(values) => rows.iter_mut().zip(&values[range]).for_each(|(to, &value)| *to = scaled(value.into())),
            Storage::F64(values) => rows.iter_mut().zip(&values[range]).for_each(|(to, &value)| *to = scaled(value)),
            Storage::Packed(values) => values.copy_scaled(range, self.scale, rows),
        }
    }

    /// The rows of `samples`, in that order and in the type they came in.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        fn gather<T: Copy>(values: &[T], width: usize, samples: &[usize]) -> Vec<T> {
            samples.iter().flat_map(|sample| &values[sample * width..(sample + 1) * width]).copied().collect()
        }
        let values = match &self.values {
            Storage::U8(values) => Storage::U8(gather(values, self.width, samples)),
            Storage::F32(values) => Storage::F32(gather(values, self.width, samples)),
            Storage::F64(values) => Storage::F64(gather(values, self.width, samples)),
            Storage::Packed(values) => Storage::Packed(values.select(self.width, samples)),
        };
        Self::new(values, self.width, self.scale)
    }

    /// All rows, scaled in double precision and then rounded to `T`, [N, width] row by row.
    pub fn to_vec<T: Real>(&self) -> Vec<T> {
        let mut rows = vec![T::ZERO; self.values.len()];
        self.copy_rows(0..self.samples(), &mut rows);
        rows
    }

    /// The flat index of the first number that is not finite once it is scaled.
    fn first_non_finite(&self) -> Option<usize> {
        let mut row = vec![0.0; self.width];
        (0..self.samples()).find_map(|sample| {
            self.copy_rows(sample..sample + 1, &mut row);
            row.iter().position(|x: &f64| !x.is_finite()).map(|at| sample * self.width + at)
        })
    }
}
