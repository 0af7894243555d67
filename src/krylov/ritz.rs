//! Ritz values: what T says about the operator's extreme eigenvalues.

use serde::{Deserialize, Serialize};

use super::tridiagonal::Tridiagonal;
use crate::error::Result;

/// An eigenvalue θ of T and how far from an eigenvalue of the operator it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::super::lanczos::{Lanczos, LanczosOptions, Reorthogonalization};
    use super::super::operator::LinearOperator as _;
    use super::super::space::VectorSpace as _;
    use super::super::test_support::MatrixOperator;
    use super::*;
    use crate::rng::Distribution;

    fn runs(operator: &MatrixOperator, steps: usize, probes: usize, reorthogonalization: Reorthogonalization) -> Vec<Vec<RitzValue>> {
        let mut start = operator.space().block(probes).unwrap();
        operator.space().fill(&mut start, Distribution::Rademacher, 5, 0).unwrap();
        let options = LanczosOptions { capacity: steps, reorthogonalization, ..LanczosOptions::default() };
        let mut lanczos = Lanczos::new(operator, start, probes, options).unwrap();
        while lanczos.step().unwrap() {}
        lanczos.coefficients().unwrap().iter().map(|run| ritz_values(run).unwrap()).collect()
    }

    /// Eigenvalues that crowd towards zero, with outliers at both ends.
    fn spectrum() -> Vec<f64> {
        let mut spectrum: Vec<f64> = (0..400).map(|i| 1e-2 * (1.0 - f64::from(i) / 200.0).powi(3)).collect();
        spectrum.extend([10.0, 5.0, 3.0, 1.0, -0.5, -0.3]);
        spectrum.sort_by(f64::total_cmp);
        spectrum
    }

    #[test]
    fn ritz_values_stay_inside_and_residuals_hold() {
        let exact = spectrum();
        let runs = runs(&MatrixOperator::diagonal(exact.clone()), 12, 4, Reorthogonalization::Full);
        for run in &runs {
            for (rank, ritz) in run.iter().rev().enumerate() {
                assert!(ritz.value <= exact[exact.len() - 1 - rank] + 1e-12, "rank {rank}");
                let distance = exact.iter().map(|l| (l - ritz.value).abs()).fold(f64::INFINITY, f64::min);
                assert!(distance <= ritz.residual + 1e-13, "{ritz:?} is {distance} away");
            }
        }
        let best = extremes(&runs, 4, 2);
        for (rank, ritz) in best.largest.iter().enumerate() {
            assert!(runs.iter().all(|run| run[run.len() - 1 - rank].value <= ritz.value));
        }
        for (rank, ritz) in best.smallest.iter().enumerate() {
            assert!(ritz.value >= exact[rank] - 1e-12 && runs.iter().all(|run| run[rank].value >= ritz.value));
        }
        assert_eq!(extremes(&runs, 100, 0).largest.len(), 12);
    }

    #[test]
    fn ghosts_appear_without_reorthogonalization_and_are_merged() {
        let exact = spectrum();
        let operator = MatrixOperator::diagonal(exact.clone());
        let raw = runs(&operator, 100, 1, Reorthogonalization::None).swap_remove(0);
        let twice = raw.iter().filter(|ritz| (ritz.value - 10.0).abs() < 1e-9).count();
        assert!(twice > 1, "the test needs a ghost of the largest eigenvalue, there are {twice} copies");
        let merged = merge_ghosts(&raw, 100.0 * f64::EPSILON * 10.0);
        for (ritz, value) in merged.iter().rev().zip([10.0, 5.0, 3.0, 1.0]) {
            assert!((ritz.value - value).abs() < 1e-9, "{ritz:?} in place of {value}");
        }
        for (ritz, value) in merged.iter().zip([-0.5, -0.3]) {
            assert!((ritz.value - value).abs() < 1e-9, "{ritz:?} in place of {value}");
        }
    }
}
