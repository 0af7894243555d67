//! What a Krylov solver needs of the place where the vectors live.
//!
//! A key design decision: the solver is written once, against [`VectorSpace`], and nothing but [`VectorSpace::read`] and
//! [`VectorSpace::download`] brings a number to the host. Scalars therefore live beside the vectors, in rows named by a [`Slot`],
//! and a GPU may run hundreds of steps without waiting for the host.

use std::ops::Range;

use crate::error::Result;
use crate::numeric::Precision;
use crate::rng::Distribution;

/// A row of a [`VectorSpace::Scalars`]: one scalar for each column of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub usize);

/// Blocks of n × b numbers (b independent vectors of length n) and the operations of a Krylov solver on them.
///
/// Every operation acts on the b columns independently. Operands are of equal width unless said otherwise; a mismatch is a
/// mistake of the caller and panics.
pub trait VectorSpace {
    /// n × b numbers: b columns, each contiguous.
    type Block;
    /// slots × b numbers.
    type Scalars;
    /// A growing sequence of blocks q₀, q₁, ... of equal width, stored for one-pass access.
    type Basis;

    /// n, the length of a vector.
    fn dim(&self) -> usize;

    /// b of a block.
    fn columns(&self, x: &Self::Block) -> usize;

    /// In what precision the vectors are kept; solvers scale their thresholds with it.
    fn precision(&self) -> Precision;

    /// A block of `columns` zero vectors.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) where the device cannot hold it; so for the next two.
    fn block(&self, columns: usize) -> Result<Self::Block>;

    /// `slots` × `columns` zeros.
    fn scalars(&self, slots: usize, columns: usize) -> Result<Self::Scalars>;

    /// An empty basis with room for `capacity` blocks of `columns` vectors.
    fn basis(&self, capacity: usize, columns: usize) -> Result<Self::Basis>;

    /// Column j of `x` ← probe number `first_probe + j` of `seed`; see [`crate::rng::fill`].
    fn fill(&self, x: &mut Self::Block, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()>;

    /// `x` ← `values`, n·b numbers, one column after another.
    fn upload(&self, values: &[f64], x: &mut Self::Block) -> Result<()>;

    /// The n·b numbers of `x`, one column after another. A readback.
    fn download(&self, x: &Self::Block) -> Result<Vec<f64>>;

    /// `y` ← `x`.
    fn copy(&self, x: &Self::Block, y: &mut Self::Block) -> Result<()>;

    /// `out` ← xᵀy.
    fn dot(&self, x: &Self::Block, y: &Self::Block, s: &mut Self::Scalars, out: Slot) -> Result<()>;

    /// `out` ← ‖x‖, x ← x/‖x‖; a zero vector stays zero.
    fn normalize(&self, x: &mut Self::Block, s: &mut Self::Scalars, out: Slot) -> Result<()>;

    /// y ← y − a·x.
    fn sub_scaled(&self, y: &mut Self::Block, s: &Self::Scalars, a: Slot, x: &Self::Block) -> Result<()>;

    /// Appends a copy of `x` to `basis`, which has room for it.
    fn push(&self, basis: &mut Self::Basis, x: &Self::Block) -> Result<()>;

    /// Leaves only the first `len` blocks in `basis`; no more than there are.
    fn truncate(&self, basis: &mut Self::Basis, len: usize);

    /// Column j of `x` ← the single column of `columns[j]`.
    fn gather(&self, columns: &[Self::Block], x: &mut Self::Block) -> Result<()>;

    /// The single column of `columns[j]` ← column j of `x`.
    fn scatter(&self, x: &Self::Block, columns: &mut [Self::Block]) -> Result<()>;

    /// y ← (I − QQᵀ)² y: classical Gram-Schmidt, twice (Giraud, Langou, Rozložník 2005: twice is enough); once will do for a column of
    /// which that leaves at least ‖y‖/√2 (Daniel, Gragg, Kaufman, Stewart 1976).
    fn orthogonalize(&self, basis: &Self::Basis, y: &mut Self::Block) -> Result<()>;

    /// x ← Q S: column j of `x` becomes Σᵢ `coefficients[i·b + j]` qᵢⱼ; one Ritz vector for each column.
    ///
    /// `coefficients` may be shorter than the basis: then only its first blocks take part.
    fn combine(&self, basis: &Self::Basis, coefficients: &[f64], x: &mut Self::Block) -> Result<()>;

    /// x ← d ∘ x, every column element by element times the single one of `d`.
    fn multiply(&self, d: &Self::Block, x: &mut Self::Block) -> Result<()>;

    /// The space of vectors of length `dim` on the same device, in the same precision.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) where the device cannot hold one.
    fn of_length(&self, dim: usize) -> Result<Self>
    where
        Self: Sized;

    /// Columns of `y`, a block of `part`, ← the elements `ranges` of those of `x`, one range after another.
    fn take(&self, x: &Self::Block, ranges: &[Range<usize>], part: &Self, y: &mut Self::Block) -> Result<()>
    where
        Self: Sized;

    /// The reverse of [`take`](Self::take): the elements `ranges` of the columns of `x` ← those of `y`. The others stay.
    fn put(&self, y: &Self::Block, part: &Self, ranges: &[Range<usize>], x: &mut Self::Block) -> Result<()>
    where
        Self: Sized;

    /// All of `s`, row by row. A readback.
    fn read(&self, s: &Self::Scalars) -> Result<Vec<f64>>;

    /// How often [`read`](Self::read) and [`download`](Self::download) have fetched something from a device so far.
    fn readbacks(&self) -> u64;
}

/// [`VectorSpace::take`] on one column that lies in the host's memory.
pub fn take_ranges<T: Copy>(x: &[T], ranges: &[Range<usize>], mut y: &mut [T]) {
    for range in ranges {
        let (head, rest) = y.split_at_mut(range.len());
        head.copy_from_slice(&x[range.clone()]);
        y = rest;
    }
}

/// [`VectorSpace::put`] on one column that lies in the host's memory.
pub fn put_ranges<T: Copy>(mut y: &[T], ranges: &[Range<usize>], x: &mut [T]) {
    for range in ranges {
        let (head, rest) = y.split_at(range.len());
        x[range.clone()].copy_from_slice(head);
        y = rest;
    }
}
