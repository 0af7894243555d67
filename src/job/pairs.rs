//! Eigenvectors of a Lanczos run, and how good they are.

use super::context::JobContext;
use super::progress::Stage;
use super::record::Eigenvalues;
use crate::curvature::CurvatureOperator;
use crate::error::Result;
use crate::krylov::{Lanczos, Slot, Tridiagonal, VectorSpace as _};

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

/// y = Q s for each of `eigenvalues`, which it completes by the measured ‖H y − θ y‖ of the vector as it is returned.
///
/// With ρ = yᵀHy the residual is √(‖H y − ρ y‖² + (ρ − θ)²): all of it made where the vectors live, in one readback besides the
/// vectors themselves.
pub(super) fn eigenvectors<A: CurvatureOperator>(
    lanczos: &Lanczos<'_, A>,
    operator: &A,
    context: &JobContext<'_>,
    tridiagonal: &Tridiagonal,
    eigenvalues: &mut Eigenvalues,
) -> Result<Eigenvectors> {
    let space = operator.space();
    let steps = tridiagonal.steps();
    let eigen = tridiagonal.eigen(&(0..steps).collect::<Vec<_>>())?;
    let (top, bottom) = (eigenvalues.largest.len(), eigenvalues.smallest.len());
    let indices: Vec<usize> = (0..top).map(|rank| steps - 1 - rank).chain(0..bottom).collect();
    let (mut x, mut y) = (space.block(1)?, space.block(1)?);
    let mut scalars = space.scalars(3 * indices.len(), 1)?;
    let mut vectors = Vec::with_capacity(indices.len() * space.dim());
    for (pair, &index) in indices.iter().enumerate() {
        let [norm, quotient, residual] = [0, 1, 2].map(|offset| Slot(3 * pair + offset));
        lanczos.ritz_vectors(eigen.vector(index), &mut x)?;
        space.normalize(&mut x, &mut scalars, norm)?;
        operator.apply(&x, &mut y)?;
        space.dot(&x, &y, &mut scalars, quotient)?;
        space.sub_scaled(&mut y, &scalars, quotient, &x)?;
        space.normalize(&mut y, &mut scalars, residual)?;
        let mut vector = space.download(&x)?;
        orient(&mut vector);
        vectors.extend(vector);
        context.progress.update(Stage::Products, pair as u64 + 1, indices.len() as u64);
    }
    let values = space.read(&scalars)?;
    for (eigenvalue, pair) in eigenvalues.largest.iter_mut().chain(&mut eigenvalues.smallest).zip(values.chunks_exact(3)) {
        eigenvalue.measured_residual = Some(pair[2].hypot(pair[1] - eigenvalue.value));
    }
    Ok(Eigenvectors { values: indices.iter().map(|&index| eigen.values[index]).collect(), vectors, dim: space.dim() })
}

/// An eigenvector's sign means nothing: the component of largest magnitude becomes positive.
fn orient(vector: &mut [f64]) {
    let largest = vector.iter().fold(0.0, |largest: f64, &x| if x.abs() > largest.abs() { x } else { largest });
    if largest < 0.0 {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
}
