//! The plainest space and operators with known spectra, for tests of what is built on the traits.

use std::cell::Cell;
use std::ops::Range;

use super::operator::LinearOperator;
use super::space::{Slot, VectorSpace, put_ranges, take_ranges};
use crate::error::Result;
use crate::numeric::Precision;
use crate::rng::{self, Distribution};

/// Columns of doubles on the host.
pub(crate) struct HostSpace {
    dim: usize,
    precision: Precision,
    readbacks: Cell<u64>,
}

impl HostSpace {
    fn new(dim: usize) -> Self {
        Self { dim, precision: Precision::F64, readbacks: Cell::new(0) }
    }
}

pub(crate) type Columns = Vec<Vec<f64>>;

fn inner(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn subtract(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y -= factor * x);
}

impl VectorSpace for HostSpace {
    type Block = Columns;
    /// slots, each of one number a column.
    type Scalars = Vec<Vec<f64>>;
    type Basis = Vec<Columns>;

    fn dim(&self) -> usize {
        self.dim
    }

    fn columns(&self, x: &Columns) -> usize {
        x.len()
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn block(&self, columns: usize) -> Result<Columns> {
        Ok(vec![vec![0.0; self.dim]; columns])
    }

    fn scalars(&self, slots: usize, columns: usize) -> Result<Self::Scalars> {
        Ok(vec![vec![0.0; columns]; slots])
    }

    fn basis(&self, capacity: usize, _columns: usize) -> Result<Self::Basis> {
        Ok(Vec::with_capacity(capacity))
    }

    fn fill(&self, x: &mut Columns, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()> {
        for (probe, column) in (first_probe..).zip(x) {
            rng::fill(distribution, seed, probe, column);
        }
        Ok(())
    }

    fn upload(&self, values: &[f64], x: &mut Columns) -> Result<()> {
        x.iter_mut().zip(values.chunks_exact(self.dim)).for_each(|(column, values)| column.copy_from_slice(values));
        Ok(())
    }

    fn download(&self, x: &Columns) -> Result<Vec<f64>> {
        self.readbacks.set(self.readbacks.get() + 1);
        Ok(x.concat())
    }

    fn copy(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        y.clone_from(x);
        Ok(())
    }

    fn dot(&self, x: &Columns, y: &Columns, s: &mut Self::Scalars, out: Slot) -> Result<()> {
        s[out.0] = x.iter().zip(y).map(|(x, y)| inner(x, y)).collect();
        Ok(())
    }

    fn normalize(&self, x: &mut Columns, s: &mut Self::Scalars, out: Slot) -> Result<()> {
        for (column, norm) in x.iter_mut().zip(&mut s[out.0]) {
            *norm = inner(column, column).sqrt();
            if *norm != 0.0 {
                column.iter_mut().for_each(|x| *x /= *norm);
            }
        }
        Ok(())
    }

    fn sub_scaled(&self, y: &mut Columns, s: &Self::Scalars, a: Slot, x: &Columns) -> Result<()> {
        y.iter_mut().zip(x).zip(&s[a.0]).for_each(|((y, x), &factor)| subtract(y, factor, x));
        Ok(())
    }

    fn push(&self, basis: &mut Self::Basis, x: &Columns) -> Result<()> {
        assert!(basis.len() < basis.capacity(), "the basis has room");
        basis.push(x.clone());
        Ok(())
    }

    fn truncate(&self, basis: &mut Self::Basis, len: usize) {
        basis.truncate(len);
    }

    fn gather(&self, columns: &[Columns], x: &mut Columns) -> Result<()> {
        x.iter_mut().zip(columns).for_each(|(x, column)| x.clone_from(&column[0]));
        Ok(())
    }

    fn scatter(&self, x: &Columns, columns: &mut [Columns]) -> Result<()> {
        x.iter().zip(columns).for_each(|(x, column)| column[0].clone_from(x));
        Ok(())
    }

    fn orthogonalize(&self, basis: &Self::Basis, y: &mut Columns) -> Result<()> {
        for _ in 0..2 {
            for (j, column) in y.iter_mut().enumerate() {
                let factors: Vec<f64> = basis.iter().map(|q| inner(&q[j], column)).collect();
                basis.iter().zip(factors).for_each(|(q, factor)| subtract(column, factor, &q[j]));
            }
        }
        Ok(())
    }

    fn combine(&self, basis: &Self::Basis, coefficients: &[f64], x: &mut Columns) -> Result<()> {
        let width = x.len();
        for (j, column) in x.iter_mut().enumerate() {
            column.fill(0.0);
            for (q, row) in basis.iter().zip(coefficients.chunks_exact(width)) {
                subtract(column, -row[j], &q[j]);
            }
        }
        Ok(())
    }

    fn multiply(&self, d: &Columns, x: &mut Columns) -> Result<()> {
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

    fn read(&self, s: &Self::Scalars) -> Result<Vec<f64>> {
        self.readbacks.set(self.readbacks.get() + 1);
        Ok(s.concat())
    }

    fn readbacks(&self) -> u64 {
        self.readbacks.get()
    }
}

/// A symmetric matrix that is known entry by entry.
pub(crate) enum Matrix {
    Diagonal(Vec<f64>),
    /// n rows one after another.
    Dense(Vec<f64>),
}

/// An operator with a known spectrum.
pub(crate) struct MatrixOperator {
    pub(crate) matrix: Matrix,
    space: HostSpace,
    products: Cell<u64>,
}

impl MatrixOperator {
    pub(crate) fn diagonal(eigenvalues: impl Into<Vec<f64>>) -> Self {
        let eigenvalues = eigenvalues.into();
        let space = HostSpace::new(eigenvalues.len());
        Self { matrix: Matrix::Diagonal(eigenvalues), space, products: Cell::new(0) }
    }

    pub(crate) fn dense(dim: usize, rows: Vec<f64>) -> Self {
        assert_eq!(rows.len(), dim * dim);
        Self { matrix: Matrix::Dense(rows), space: HostSpace::new(dim), products: Cell::new(0) }
    }

    /// The same with products as bad as in f32: each has a relative error of 10⁻⁶ in a direction that hangs on its operand.
    pub(crate) fn noisy(mut self) -> Self {
        self.space.precision = Precision::F32;
        self
    }

    pub(crate) fn products(&self) -> u64 {
        self.products.get()
    }

    pub(crate) fn product(&self, x: &[f64]) -> Vec<f64> {
        let mut product: Vec<f64> = match &self.matrix {
            Matrix::Diagonal(d) => x.iter().zip(d).map(|(x, d)| x * d).collect(),
            Matrix::Dense(rows) => rows.chunks_exact(x.len()).map(|row| inner(row, x)).collect(),
        };
        if self.space.precision == Precision::F32 {
            let mut noise = vec![0.0; x.len()];
            rng::fill(Distribution::Gaussian, inner(x, &product).to_bits(), 0, &mut noise);
            let factor = 1e-6 * (inner(&product, &product) / inner(&noise, &noise)).sqrt();
            subtract(&mut product, factor, &noise);
        }
        product
    }
}

impl LinearOperator for MatrixOperator {
    type Space = HostSpace;

    fn space(&self) -> &HostSpace {
        &self.space
    }

    fn apply(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        self.products.set(self.products.get() + x.len() as u64);
        *y = x.iter().map(|x| self.product(x)).collect();
        Ok(())
    }
}
