//! Ritz values: what T says about the operator's extreme eigenvalues.

use super::tridiagonal::Tridiagonal;
use crate::error::Result;

/// An eigenvalue θ of T and how far from an eigenvalue of the operator it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RitzValue {
    /// θ.
    pub value: f64,
    /// ‖A y − θ y‖ = |β_m s_mk| for the Ritz vector y of unit length: some eigenvalue lies within this of θ, up to the rounding
    /// errors of the products.
    pub residual: f64,
}

/// The best values at both ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extremes {
    /// Descending.
    pub largest: Vec<RitzValue>,
    /// Ascending.
    pub smallest: Vec<RitzValue>,
}

/// All Ritz values of T with their residuals, ascending.
///
/// # Errors
/// As [`Tridiagonal::eigen`].
pub fn ritz_values(tridiagonal: &Tridiagonal) -> Result<Vec<RitzValue>> {
    let Some(last) = tridiagonal.steps().checked_sub(1) else { return Ok(Vec::new()) };
    let eigen = tridiagonal.eigen(&[last])?;
    let residual = |k: usize| (tridiagonal.residual() * eigen.vector(k)[0]).abs();
    Ok(eigen.values.iter().enumerate().map(|(k, &value)| RitzValue { value, residual: residual(k) }).collect())
}

/// Merges the copies of one eigenvalue that a run without reorthogonalization makes.
///
/// Neighbours no further apart than their residuals together plus `resolution` cannot be told from copies; of such a group the
/// value with the least residual stays. True close pairs are merged as well: that is the price of that mode. `values` ascend.
pub fn merge_ghosts(values: &[RitzValue], resolution: f64) -> Vec<RitzValue> {
    let mut merged: Vec<RitzValue> = Vec::with_capacity(values.len());
    for &ritz in values {
        match merged.last_mut() {
            Some(last) if ritz.value - last.value <= ritz.residual + last.residual + resolution => {
                if ritz.residual < last.residual {
                    *last = ritz;
                }
            }
            _ => merged.push(ritz),
        }
    }
    merged
}

/// The `top` largest and `bottom` smallest values over runs from independent starts, each run's values ascending.
///
/// By Courant-Fischer the i-th largest Ritz value of any orthonormal basis never exceeds the i-th largest eigenvalue, so over the
/// runs the largest of them is the best; mirrored at the lower end. The ranking is exact for every run that kept its vectors
/// orthogonal; for others see [`merge_ghosts`].
pub fn extremes(runs: &[Vec<RitzValue>], top: usize, bottom: usize) -> Extremes {
    let best = |rank: usize, from_above: bool| {
        let candidates = runs.iter().filter_map(|run| if from_above { run.iter().rev().nth(rank) } else { run.get(rank) });
        let towards = |ritz: &RitzValue| if from_above { ritz.value } else { -ritz.value };
        // Of equal values the one with the smaller residual.
        candidates.copied().max_by(|x, y| towards(x).total_cmp(&towards(y)).then(y.residual.total_cmp(&x.residual)))
    };
    Extremes {
        largest: (0..top).map_while(|rank| best(rank, true)).collect(),
        smallest: (0..bottom).map_while(|rank| best(rank, false)).collect(),
    }
}
