//! Vectors in the host's memory: every operation is split into chunks of a fixed size, so that partial sums, and with them the
//! bits, do not depend on the number of threads. Sums accumulate in double precision whatever the vectors' type.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::chunks::{self, CHUNK};
use crate::error::{Error, Result};
use crate::krylov::{Slot, VectorSpace, put_ranges, take_ranges};
use crate::numeric::{Precision, Real};
use crate::rng::{self, Distribution};

/// Blocks of vectors of length n in the host's memory.
#[derive(Debug)]
pub struct CpuSpace<T> {
    dim: usize,
    readbacks: AtomicU64,
    numbers: PhantomData<T>,
}

/// n × b numbers, one column after another.
#[derive(Clone, Debug)]
pub struct CpuBlock<T> {
    pub(super) values: Vec<T>,
    pub(super) columns: usize,
}

/// slots × b scalars in double precision, row by row.
#[derive(Clone, Debug)]
pub struct CpuScalars {
    values: Vec<f64>,
    columns: usize,
}

/// For each column j, its vectors q₀ⱼ, q₁ⱼ, ... one after another: what an orthogonalization of column j reads is contiguous.
#[derive(Clone, Debug)]
pub struct CpuBasis<T> {
    columns: Vec<Vec<T>>,
    capacity: usize,
    len: usize,
}

impl<T: Real> CpuSpace<T> {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, readbacks: AtomicU64::new(0), numbers: PhantomData }
    }

    fn each<'a>(&self, x: &'a CpuBlock<T>) -> std::slice::ChunksExact<'a, T> {
        x.values.chunks_exact(self.dim)
    }

    fn each_mut<'a>(&self, x: &'a mut CpuBlock<T>) -> std::slice::ChunksExactMut<'a, T> {
        x.values.chunks_exact_mut(self.dim)
    }

    /// Column by column: threads share out columns, then what is in them.
    fn par_each<'a>(&self, x: &'a CpuBlock<T>) -> impl IndexedParallelIterator<Item = &'a [T]> {
        x.values.par_chunks_exact(self.dim).with_max_len(1)
    }

    fn par_each_mut<'a>(&self, x: &'a mut CpuBlock<T>) -> impl IndexedParallelIterator<Item = &'a mut [T]> {
        x.values.par_chunks_exact_mut(self.dim).with_max_len(1)
    }

    fn count_readback(&self) {
        self.readbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl CpuScalars {
    /// The scalar of column `column` in row `slot`.
    pub fn at(&self, slot: Slot, column: usize) -> f64 {
        self.values[self.index(slot, column)]
    }

    /// Sets the scalar of column `column` in row `slot`.
    pub fn set(&mut self, slot: Slot, column: usize, value: f64) {
        let index = self.index(slot, column);
        self.values[index] = value;
    }

    fn index(&self, slot: Slot, column: usize) -> usize {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        slot.0 * self.columns + column
    }
}

impl<T: Real> VectorSpace for CpuSpace<T> {
    type Block = CpuBlock<T>;
    type Scalars = CpuScalars;
    type Basis = CpuBasis<T>;

    fn dim(&self) -> usize {
        self.dim
    }

    fn columns(&self, x: &CpuBlock<T>) -> usize {
        x.columns
    }

    fn precision(&self) -> Precision {
        T::PRECISION
    }

    fn block(&self, columns: usize) -> Result<CpuBlock<T>> {
        let mut values = reserved(self.dim, columns)?;
        // Pages are taken as they are written, by all threads at once.
        values.par_extend(rayon::iter::repeat_n(T::ZERO, self.dim * columns).with_min_len(CHUNK));
        Ok(CpuBlock { values, columns })
    }

    fn scalars(&self, slots: usize, columns: usize) -> Result<CpuScalars> {
        Ok(CpuScalars { values: vec![0.0; slots * columns], columns })
    }

    fn basis(&self, capacity: usize, columns: usize) -> Result<CpuBasis<T>> {
        let columns = (0..columns).map(|_| reserved(self.dim, capacity)).collect::<Result<_>>()?;
        Ok(CpuBasis { columns, capacity, len: 0 })
    }

    fn fill(&self, x: &mut CpuBlock<T>, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()> {
        for (column, probe) in self.each_mut(x).zip(first_probe..) {
            rng::fill(distribution, seed, probe, column);
        }
        Ok(())
    }

    fn upload(&self, values: &[f64], x: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(values.len(), x.values.len(), "numbers of {} columns of {}", x.columns, self.dim);
        for (x, &value) in x.values.iter_mut().zip(values) {
            *x = T::from_f64(value);
        }
        Ok(())
    }

    fn download(&self, x: &CpuBlock<T>) -> Result<Vec<f64>> {
        self.count_readback();
        Ok(x.values.par_iter().with_min_len(CHUNK).map(|x| x.to_f64()).collect())
    }

    fn copy(&self, x: &CpuBlock<T>, y: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        y.values.par_chunks_mut(CHUNK).zip(x.values.par_chunks(CHUNK)).for_each(|(y, x)| y.copy_from_slice(x));
        Ok(())
    }

    fn dot(&self, x: &CpuBlock<T>, y: &CpuBlock<T>, s: &mut CpuScalars, out: Slot) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        let columns = self.par_each(x).zip(self.par_each(y));
        let dots: Vec<f64> = columns.map(|(x, y)| chunks::par_dot(x, y)).collect();
        dots.into_iter().enumerate().for_each(|(column, dot)| s.set(out, column, dot));
        Ok(())
    }

    fn normalize(&self, x: &mut CpuBlock<T>, s: &mut CpuScalars, out: Slot) -> Result<()> {
        let normalize = |x: &mut [T]| {
            let norm = chunks::par_dot(x, x).sqrt();
            if norm != 0.0 {
                chunks::par_divide(x, norm);
            }
            norm
        };
        let norms: Vec<f64> = self.par_each_mut(x).map(normalize).collect();
        norms.into_iter().enumerate().for_each(|(column, norm)| s.set(out, column, norm));
        Ok(())
    }

    fn sub_scaled(&self, y: &mut CpuBlock<T>, s: &CpuScalars, a: Slot, x: &CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        let columns = self.par_each(x).zip(self.par_each_mut(y)).enumerate();
        columns.for_each(|(column, (x, y))| chunks::par_sub_scaled(y, s.at(a, column), x));
        Ok(())
    }

    fn push(&self, basis: &mut CpuBasis<T>, x: &CpuBlock<T>) -> Result<()> {
        assert_eq!(basis.columns.len(), x.columns, "columns");
        assert!(basis.len < basis.capacity, "the basis has no room for block {}", basis.len);
        basis
            .columns
            .par_iter_mut()
            .zip(self.par_each(x))
            .for_each(|(vectors, x)| vectors.par_extend(x.par_iter().with_min_len(CHUNK).copied()));
        basis.len += 1;
        Ok(())
    }

    fn truncate(&self, basis: &mut CpuBasis<T>, len: usize) {
        basis.len = basis.len.min(len);
        basis.columns.iter_mut().for_each(|vectors| vectors.truncate(basis.len * self.dim));
    }

    fn gather(&self, columns: &[CpuBlock<T>], x: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, columns.len(), "columns");
        self.each_mut(x).zip(columns).for_each(|(x, column)| x.copy_from_slice(&column.values));
        Ok(())
    }

    fn scatter(&self, x: &CpuBlock<T>, columns: &mut [CpuBlock<T>]) -> Result<()> {
        assert_eq!(x.columns, columns.len(), "columns");
        self.each(x).zip(columns).for_each(|(x, column)| column.values.copy_from_slice(x));
        Ok(())
    }

    /// Classical Gram-Schmidt, twice. The second pass takes its coefficients chunk by chunk from what the first has just written, and
    /// ends there where they are no more than y's own rounding, ε/2 of its norm: to subtract them would leave as much (the "twice is
    /// enough" of Daniel et al. 1976, with the remainder measured). Sums are in double precision, so in single precision that is the rule
    /// and the basis is read from memory twice, not four times.
    fn orthogonalize(&self, basis: &CpuBasis<T>, y: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(basis.columns.len(), y.columns, "columns");
        let rounding = 0.5 * T::PRECISION.epsilon();
        basis.columns.par_iter().zip(self.par_each_mut(y)).for_each(|(vectors, y)| {
            let first = chunks::par_coefficients(vectors, y);
            let (second, square) = chunks::par_subtract_and_project(vectors, &first, y);
            if second.iter().map(|c| c * c).sum::<f64>() > rounding * rounding * square {
                chunks::par_subtract(vectors, &second, y);
            }
        });
        Ok(())
    }

    fn combine(&self, basis: &CpuBasis<T>, coefficients: &[f64], x: &mut CpuBlock<T>) -> Result<()> {
        let columns = x.columns;
        assert_eq!(basis.columns.len(), columns, "columns");
        assert!(coefficients.len() <= basis.len * columns, "{} coefficients for {} blocks", coefficients.len(), basis.len);
        basis.columns.par_iter().zip(self.par_each_mut(x)).enumerate().for_each(|(j, (vectors, x))| {
            let coefficients: Vec<f64> = coefficients.iter().skip(j).step_by(columns).copied().collect();
            chunks::par_combine(vectors, &coefficients, x);
        });
        Ok(())
    }

    fn multiply(&self, d: &CpuBlock<T>, x: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(d.columns, 1, "one column of factors");
        for (d, x) in self.each(d).cycle().zip(self.each_mut(x)) {
            x.par_chunks_mut(CHUNK).zip(d.par_chunks(CHUNK)).for_each(|(x, d)| x.iter_mut().zip(d).for_each(|(x, &d)| *x *= d));
        }
        Ok(())
    }

    fn of_length(&self, dim: usize) -> Result<Self> {
        Ok(Self::new(dim))
    }

    fn take(&self, x: &CpuBlock<T>, ranges: &[Range<usize>], part: &Self, y: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        self.each(x).zip(part.each_mut(y)).for_each(|(x, y)| take_ranges(x, ranges, y));
        Ok(())
    }

    fn put(&self, y: &CpuBlock<T>, part: &Self, ranges: &[Range<usize>], x: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        self.each_mut(x).zip(part.each(y)).for_each(|(x, y)| put_ranges(y, ranges, x));
        Ok(())
    }

    fn read(&self, s: &CpuScalars) -> Result<Vec<f64>> {
        self.count_readback();
        Ok(s.values.clone())
    }

    fn readbacks(&self) -> u64 {
        self.readbacks.load(Ordering::Relaxed)
    }
}

/// An empty vector with room for `count` vectors of `dim` numbers; the memory is taken as it is filled.
fn reserved<T>(dim: usize, count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let room = dim.checked_mul(count).filter(|&len| values.try_reserve_exact(len).is_ok());
    match room {
        Some(_) => Ok(values),
        None => Err(Error::Memory(format!(
            "no memory for {count} vectors of {dim} numbers, {} bytes each: ask for fewer steps or probes at once",
            size_of::<T>()
        ))),
    }
}
