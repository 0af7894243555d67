//! The [`Floor`] of a run, from what was measured of its products, its scalar products and its vectors.

use crate::backend::ProductError;
use crate::error::Result;
use crate::estimate::Floor;
use crate::krylov::{Slot, VectorSpace};
use crate::numeric::{Precision, Real};
use crate::rng::{self, Distribution};

/// The floor of a run in `space` whose products are as exact as `product` says and whose vectors as orthogonal as `orthogonality`; a
/// scalar product is measured here. One readback.
///
/// # Errors
/// Device failure.
pub(super) fn measured<S: VectorSpace>(space: &S, seed: u64, product: Option<ProductError>, orthogonality: Option<f64>) -> Result<Floor> {
    let product = product.map(|product| (product.relative, product.samples));
    Ok(Floor::new(space.precision().epsilon(), product, dot_error(space, seed)?, orthogonality))
}

/// |fl(vᵀv) − vᵀv|/vᵀv for a Gaussian probe v, which the host knows to the bit. One readback.
fn dot_error<S: VectorSpace>(space: &S, seed: u64) -> Result<f64> {
    let probe: Vec<f64> = match space.precision() {
        Precision::F32 => probe::<f32>(space.dim(), seed).into_iter().map(f64::from).collect(),
        Precision::F64 => probe(space.dim(), seed),
    };
    let exact: f64 = probe.iter().map(|x| x * x).sum();
    let (mut vector, mut scalars) = (space.block(1)?, space.scalars(1, 1)?);
    space.upload(&probe, &mut vector)?;
    space.dot(&vector, &vector, &mut scalars, Slot(0))?;
    Ok((space.read(&scalars)?[0] - exact).abs() / exact)
}

fn probe<T: Real>(dim: usize, seed: u64) -> Vec<T> {
    let mut vector = vec![T::ZERO; dim];
    rng::fill(Distribution::Gaussian, seed, 0, &mut vector);
    vector
}
