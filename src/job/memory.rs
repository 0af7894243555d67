//! What fits into the memory that a job may use.

use crate::curvature::{CurvatureOperator, DEFAULT_BUDGET, Workload};
use crate::error::{Error, Result};
use crate::krylov::VectorSpace as _;
use crate::numeric::human_bytes;

/// Columns of a batch where nothing is said: wide enough for the products, and more would only take more memory.
pub(super) const MAX_COLUMNS: usize = 32;

/// Blocks of a Lanczos run besides its basis: q, the one before, and the product.
const BLOCKS: u64 = 3;

/// A batch of products.
pub(super) fn products_workload(columns: Option<usize>, count: usize) -> Workload {
    Workload { columns: columns.unwrap_or(MAX_COLUMNS).min(count), vectors: PRODUCT_VECTORS, kept_bytes: 0 }
}

/// `count` Lanczos runs that keep `kept` vectors each.
pub(super) fn lanczos_workload(columns: Option<usize>, count: usize, kept: usize) -> Workload {
    Workload { columns: columns.unwrap_or(MAX_COLUMNS).min(count), vectors: kept as u64 + BLOCKS, kept_bytes: 0 }
}

/// Bytes of `count` eigenvectors of `dim` numbers on the host, in double precision; and as many again where they are `returned`.
pub(super) fn eigenvector_bytes(dim: usize, count: usize, returned: bool) -> u64 {
    (dim as u64).saturating_mul(size_of::<f64>() as u64).saturating_mul(count as u64).saturating_mul(1 + u64::from(returned))
}

/// Vectors of a batch of products: x, y, and the copy from which the host reads y.
pub(super) const PRODUCT_VECTORS: u64 = 3;

/// Bytes of one vector.
pub(super) fn vector_bytes<A: CurvatureOperator>(operator: &A) -> u64 {
    (operator.space().dim() * operator.space().precision().bytes()) as u64
}

/// Bytes of one column of a product that takes `vectors` vectors.
fn column_bytes<A: CurvatureOperator>(operator: &A, vectors: u64) -> u64 {
    vectors.saturating_mul(vector_bytes(operator)).saturating_add(operator.column_bytes() as u64)
}

/// What is left of the budget for vectors once the operator has its share.
pub(super) fn available<A: CurvatureOperator>(operator: &A, budget: Option<u64>) -> u64 {
    budget.unwrap_or(DEFAULT_BUDGET).saturating_sub(operator.bytes() as u64)
}

/// How many of `wanted` columns of Lanczos runs that keep `kept` vectors each fit at once.
///
/// # Errors
/// [`Error::Memory`] where not even one does; `remedy` says what helps.
pub(super) fn lanczos_columns<A: CurvatureOperator>(
    operator: &A,
    budget: Option<u64>,
    kept: usize,
    wanted: usize,
    remedy: &str,
) -> Result<usize> {
    let column = column_bytes(operator, kept as u64 + BLOCKS);
    let fitting = usize::try_from(available(operator, budget) / column).unwrap_or(usize::MAX);
    if fitting == 0 {
        return Err(too_many_steps(operator, budget, kept, remedy));
    }
    Ok(fitting.min(wanted).min(operator.max_columns().max(1)))
}

/// How many of `wanted` columns fit where each takes `vectors` vectors; at least one.
pub(super) fn columns<A: CurvatureOperator>(operator: &A, budget: Option<u64>, vectors: u64, wanted: usize) -> usize {
    let fitting = available(operator, budget) / column_bytes(operator, vectors).max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).min(operator.max_columns()).clamp(1, wanted.max(1))
}

/// Vectors that a search for `count` eigenpairs holds at most besides a Lanczos run's blocks, with a basis of `capacity` and products of
/// `width` columns: the basis; half of it while it is compressed, or what is locked while that is confirmed; the pairs themselves and
/// their copies in the basis; frontiers and wide blocks.
pub(super) fn eigs_vectors(capacity: usize, count: usize, width: usize) -> usize {
    capacity + capacity / 2 + 2 * count + 6 * width
}

/// The largest basis of such a search that fits.
pub(super) fn eigs_basis<A: CurvatureOperator>(operator: &A, budget: Option<u64>, count: usize, width: usize) -> usize {
    let columns = (operator.column_bytes() as u64).saturating_mul(width as u64);
    let vectors = available(operator, budget).saturating_sub(columns) / vector_bytes(operator).max(1);
    let fitting = usize::try_from(vectors.saturating_sub(BLOCKS)).unwrap_or(usize::MAX);
    fitting.saturating_sub(eigs_vectors(0, count, width)) / 3 * 2
}

/// Steps of a single fully reorthogonalized run that fit.
pub(super) fn lanczos_steps<A: CurvatureOperator>(operator: &A, budget: Option<u64>) -> usize {
    let vectors = available(operator, budget).saturating_sub(operator.column_bytes() as u64) / vector_bytes(operator).max(1);
    usize::try_from(vectors.saturating_sub(BLOCKS)).unwrap_or(usize::MAX)
}

/// Says that a run that keeps `steps` vectors does not fit, and what helps.
pub(super) fn too_many_steps<A: CurvatureOperator>(operator: &A, budget: Option<u64>, steps: usize, remedy: &str) -> Error {
    let vectors = steps as u64 + BLOCKS;
    Error::Memory(format!(
        "a Lanczos run of {steps} kept vectors needs {} ({vectors} vectors of {} parameters) beside the operator's {}, but the budget is \
         {}: use {remedy}, or a larger --memory-budget",
        human_bytes(column_bytes(operator, vectors)),
        operator.space().dim(),
        human_bytes(operator.bytes() as u64),
        human_bytes(budget.unwrap_or(DEFAULT_BUDGET)),
    ))
}
