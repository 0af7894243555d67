//! What one more product for each eigenpair proves of it, and where in the network its vector lies.

use rayon::prelude::*;

use super::context::JobContext;
use super::progress::Stage;
use crate::curvature::CurvatureOperator;
use crate::error::Result;
use crate::estimate::Deflation;
use crate::krylov::{EigenPair, Slot, VectorSpace as _};
use crate::model::Tensor;

/// Numbers whose squares one task sums.
const CHUNK: usize = 4096;

/// Unit eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenvectors {
    /// θ for each: the largest descending, then the smallest ascending.
    pub values: Vec<f64>,
    /// [k, n] row by row, in the order of `values`; the largest component of each is positive.
    pub vectors: Vec<f64>,
    /// n.
    pub dim: usize,
}

/// What was measured of some pairs.
pub(super) struct Certificates {
    /// ‖H y − θ y‖/‖y‖ of each, measured or as the recurrence has it.
    pub(super) residuals: Vec<f64>,
    /// max|YᵀY − I|.
    pub(super) orthogonality: f64,
}

/// Measures `pairs`: where `products` are made one each, and one readback.
///
/// With ρ = yᵀHy the residual is √(‖H y − ρ y‖² + (ρ − θ)²), all of it made where the vectors live.
pub(super) fn certify<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    pairs: &[EigenPair<A>],
    products: bool,
) -> Result<Certificates> {
    let space = operator.space();
    let count = pairs.len();
    let grams = count * (count + 1) / 2;
    let mut scalars = space.scalars(2 * count + grams, 1)?;
    let mut y = space.block(1)?;
    let mut next = 2 * count;
    for (index, pair) in pairs.iter().enumerate() {
        let (x, [quotient, residual]) = (&pair.vector, [0, 1].map(|offset| Slot(2 * index + offset)));
        if products {
            operator.apply(x, &mut y)?;
            space.dot(x, &y, &mut scalars, quotient)?;
            space.sub_scaled(&mut y, &scalars, quotient, x)?;
            space.normalize(&mut y, &mut scalars, residual)?;
            context.progress.update(Stage::Products, index as u64 + 1, count as u64);
        }
        for other in &pairs[..=index] {
            space.dot(x, &other.vector, &mut scalars, Slot(next))?;
            next += 1;
        }
    }
    let values = space.read(&scalars)?;
    let (measured, gram) = values.split_at(2 * count);
    let mut gram = gram.iter();
    let mut orthogonality = 0.0_f64;
    let residuals = pairs
        .iter()
        .zip(measured.chunks_exact(2))
        .enumerate()
        .map(|(index, (pair, measured))| {
            gram.by_ref().take(index).for_each(|dot| orthogonality = orthogonality.max(dot.abs()));
            let square = gram.next().copied().unwrap_or(1.0);
            orthogonality = orthogonality.max((square - 1.0).abs());
            if products { measured[1].hypot(measured[0] - pair.ritz.value) / square.sqrt() } else { pair.ritz.residual }
        })
        .collect();
    Ok(Certificates { residuals, orthogonality })
}

/// Turns an eigenvector, whose sign means nothing, so that its component of largest magnitude is positive.
pub(super) fn orient(vector: &mut [f64]) {
    let largest = vector.iter().fold(0.0, |largest: f64, &x| if x.abs() > largest.abs() { x } else { largest });
    if largest < 0.0 {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
}

impl Eigenvectors {
    /// The pairs that a spectrum's probes did not see, in the order of the file: the positive ones descending, then the others ascending.
    pub(super) fn of(deflation: &Deflation, dim: usize) -> Self {
        let (upper, lower): (Vec<_>, Vec<_>) = deflation.pairs().iter().zip(deflation.vectors()).partition(|(pair, _)| pair.value > 0.0);
        let (mut values, mut vectors) = (Vec::new(), Vec::new());
        for (pair, vector) in upper.into_iter().chain(lower.into_iter().rev()) {
            values.push(pair.value);
            vectors.extend_from_slice(vector);
            let start = vectors.len() - dim;
            orient(&mut vectors[start..]);
        }
        Self { values, vectors, dim }
    }
}

/// The share of a vector's sum of squares in each of `tensors`.
pub(super) fn mass(tensors: &[Tensor], vector: &[f64]) -> Vec<f64> {
    // In chunks of a fixed size, whose order does not depend on the threads.
    let square = |values: &[f64]| {
        let chunks: Vec<f64> = values.par_chunks(CHUNK).map(|chunk| chunk.iter().map(|x| x * x).sum()).collect();
        chunks.iter().sum::<f64>()
    };
    let total = square(vector);
    tensors.iter().map(|tensor| square(&vector[tensor.range.clone()]) / total).collect()
}
