//! Vectors of doubles, one operation after another, in the order of the formulas.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::krylov::{Slot, VectorSpace, put_ranges, take_ranges};
use crate::numeric::Precision;
use crate::rng::{self, Distribution};

/// Blocks of float64 vectors of length n.
#[derive(Debug)]
pub struct ReferenceSpace {
    dim: usize,
    readbacks: AtomicU64,
}

/// b columns.
pub type Columns = Vec<Vec<f64>>;

/// slots × b scalars, row by row.
#[derive(Clone, Debug)]
pub struct ReferenceScalars {
    values: Vec<f64>,
    columns: usize,
}

impl ReferenceScalars {
    /// The scalar of column `column` in row `slot`.
    pub fn at(&mut self, slot: Slot, column: usize) -> &mut f64 {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        &mut self.values[slot.0 * self.columns + column]
    }
}

impl ReferenceSpace {
    /// The space of vectors of length `dim`.
    pub fn new(dim: usize) -> Self {
        Self { dim, readbacks: AtomicU64::new(0) }
    }

    fn count_readback(&self) {
        self.readbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl VectorSpace for ReferenceSpace {
    type Block = Columns;
    type Scalars = ReferenceScalars;
    type Basis = Vec<Columns>;

    fn dim(&self) -> usize {
        self.dim
    }

    fn columns(&self, x: &Columns) -> usize {
        x.len()
    }

    fn precision(&self) -> Precision {
        Precision::F64
    }

    fn block(&self, columns: usize) -> Result<Columns> {
        Ok(vec![vec![0.0; self.dim]; columns])
    }

    fn scalars(&self, slots: usize, columns: usize) -> Result<ReferenceScalars> {
        Ok(ReferenceScalars { values: vec![0.0; slots * columns], columns })
    }

    fn basis(&self, capacity: usize, _columns: usize) -> Result<Vec<Columns>> {
        Ok(Vec::with_capacity(capacity))
    }

    fn fill(&self, x: &mut Columns, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()> {
        for (column, probe) in x.iter_mut().zip(first_probe..) {
            rng::fill(distribution, seed, probe, column);
        }
        Ok(())
    }

    fn upload(&self, values: &[f64], x: &mut Columns) -> Result<()> {
        assert_eq!(values.len(), self.dim * x.len(), "numbers of {} columns of {}", x.len(), self.dim);
        for (column, values) in x.iter_mut().zip(values.chunks(self.dim)) {
            column.copy_from_slice(values);
        }
        Ok(())
    }

    fn download(&self, x: &Columns) -> Result<Vec<f64>> {
        self.count_readback();
        Ok(x.concat())
    }

    fn copy(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        assert_eq!(x.len(), y.len(), "columns");
        y.clone_from(x);
        Ok(())
    }

    fn dot(&self, x: &Columns, y: &Columns, s: &mut ReferenceScalars, out: Slot) -> Result<()> {
        assert_eq!(x.len(), y.len(), "columns");
        for (column, (x, y)) in x.iter().zip(y).enumerate() {
            *s.at(out, column) = dot(x, y);
        }
        Ok(())
    }

    fn normalize(&self, x: &mut Columns, s: &mut ReferenceScalars, out: Slot) -> Result<()> {
        for (column, x) in x.iter_mut().enumerate() {
            let norm = dot(x, x).sqrt();
            *s.at(out, column) = norm;
            if norm != 0.0 {
                x.iter_mut().for_each(|x| *x /= norm);
            }
        }
        Ok(())
    }

    fn sub_scaled(&self, y: &mut Columns, s: &ReferenceScalars, a: Slot, x: &Columns) -> Result<()> {
        assert_eq!(x.len(), y.len(), "columns");
        for (column, (x, y)) in x.iter().zip(y).enumerate() {
            add_scaled(y, -s.values[a.0 * s.columns + column], x);
        }
        Ok(())
    }

    fn push(&self, basis: &mut Vec<Columns>, x: &Columns) -> Result<()> {
        assert!(basis.len() < basis.capacity(), "the basis has no room for block {}", basis.len());
        basis.push(x.clone());
        Ok(())
    }

    fn truncate(&self, basis: &mut Vec<Columns>, len: usize) {
        basis.truncate(len);
    }

    fn gather(&self, columns: &[Columns], x: &mut Columns) -> Result<()> {
        assert_eq!(x.len(), columns.len(), "columns");
        x.iter_mut().zip(columns).for_each(|(x, column)| x.clone_from(&column[0]));
        Ok(())
    }

    fn scatter(&self, x: &Columns, columns: &mut [Columns]) -> Result<()> {
        assert_eq!(x.len(), columns.len(), "columns");
        x.iter().zip(columns).for_each(|(x, column)| column[0].clone_from(x));
        Ok(())
    }

    fn orthogonalize(&self, basis: &Vec<Columns>, y: &mut Columns) -> Result<()> {
        for (column, y) in y.iter_mut().enumerate() {
            for _ in 0..2 {
                let coefficients: Vec<f64> = basis.iter().map(|q| dot(&q[column], y)).collect();
                for (q, coefficient) in basis.iter().zip(coefficients) {
                    add_scaled(y, -coefficient, &q[column]);
                }
            }
        }
        Ok(())
    }

    fn combine(&self, basis: &Vec<Columns>, coefficients: &[f64], x: &mut Columns) -> Result<()> {
        let columns = x.len();
        assert!(coefficients.len() <= basis.len() * columns, "{} coefficients for {} blocks", coefficients.len(), basis.len());
        x.iter_mut().for_each(|x| x.fill(0.0));
        for (q, coefficients) in basis.iter().zip(coefficients.chunks(columns)) {
            for ((x, q), &coefficient) in x.iter_mut().zip(q).zip(coefficients) {
                add_scaled(x, coefficient, q);
            }
        }
        Ok(())
    }

    fn multiply(&self, d: &Columns, x: &mut Columns) -> Result<()> {
        assert_eq!(d.len(), 1, "one column of factors");
        x.iter_mut().for_each(|x| x.iter_mut().zip(&d[0]).for_each(|(x, d)| *x *= d));
        Ok(())
    }

    fn of_length(&self, dim: usize) -> Result<Self> {
        Ok(Self::new(dim))
    }

    fn take(&self, x: &Columns, ranges: &[Range<usize>], _part: &Self, y: &mut Columns) -> Result<()> {
        x.iter().zip(y).for_each(|(x, y)| take_ranges(x, ranges, y));
        Ok(())
    }

    fn put(&self, y: &Columns, _part: &Self, ranges: &[Range<usize>], x: &mut Columns) -> Result<()> {
        x.iter_mut().zip(y).for_each(|(x, y)| put_ranges(y, ranges, x));
        Ok(())
    }

    fn read(&self, s: &ReferenceScalars) -> Result<Vec<f64>> {
        self.count_readback();
        Ok(s.values.clone())
    }

    fn readbacks(&self) -> u64 {
        self.readbacks.load(Ordering::Relaxed)
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// y ← y + a·x.
pub(super) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}
