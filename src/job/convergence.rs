//! How the extreme Ritz values settled while a Lanczos run went on.
//!
//! The leading blocks of a run's T are what the run would have ended with after fewer steps, so that its whole history is read from
//! what is there at the end: no product and no readback is made for it.

use serde::Serialize;

use crate::error::Result;
use crate::estimate::{Deflation, SpectralMeasure};
use crate::krylov::{RitzValue, Termination, Tridiagonal, ritz_values};

/// `convergence`: the extreme values after k steps, for some k.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Convergence {
    /// Which run: the search for outliers, which sees the whole spectrum, or the first probe where nothing was searched.
    pub run: &'static str,
    /// k, ascending, the last one being all steps of the run.
    pub steps: Vec<usize>,
    /// The largest value first.
    pub largest: Vec<Settling>,
    /// The smallest value first.
    pub smallest: Vec<Settling>,
}

/// One rank, after each of the steps; null where there were fewer steps than ranks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settling {
    /// θ.
    pub values: Vec<Option<f64>>,
    /// ‖A y − θ y‖, in exact arithmetic.
    pub residuals: Vec<Option<f64>>,
}

/// Ranks that are followed at either end.
const RANKS: usize = 3;

/// Steps that are looked at, at most: a figure shows no more, and each costs O(k²).
const POINTS: usize = 60;

impl Convergence {
    /// Of the run that found the pairs, else of the first probe; none where there was no step.
    pub(super) fn of(deflation: &Deflation, measure: &SpectralMeasure) -> Result<Option<Self>> {
        let probe = || measure.runs().first().map(|run| ("probe 0", run));
        let Some((name, run)) = deflation.search_run().map(|run| ("search", run)).or_else(probe) else { return Ok(None) };
        let order = run.steps();
        if order == 0 {
            return Ok(None);
        }
        let mut steps: Vec<usize> = (1..=POINTS).map(|point| (point * order).div_ceil(POINTS)).collect();
        steps.dedup();
        let (mut largest, mut smallest) = (vec![Settling::default(); RANKS], vec![Settling::default(); RANKS]);
        for &k in &steps {
            let values = ritz_values(&leading(run, k))?;
            for rank in 0..RANKS {
                largest[rank].push(values.iter().rev().nth(rank));
                smallest[rank].push(values.get(rank));
            }
        }
        Ok(Some(Self { run: name, steps, largest, smallest }))
    }
}

impl Settling {
    fn push(&mut self, ritz: Option<&RitzValue>) {
        self.values.push(ritz.map(|ritz| ritz.value));
        self.residuals.push(ritz.map(|ritz| ritz.residual));
    }
}

/// T after `steps` steps.
fn leading(run: &Tridiagonal, steps: usize) -> Tridiagonal {
    Tridiagonal { alphas: run.alphas[..steps].to_vec(), betas: run.betas[..steps].to_vec(), termination: Termination::Completed }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::super::{SpectrumOptions, spectrum};
    use crate::krylov::test_support::MatrixOperator;

    #[test]
    fn the_last_step_is_the_run_itself_and_values_only_grow() {
        let operator = MatrixOperator::diagonal((0..60).map(|i| f64::from(i) * 0.1 - 2.0).chain([9.0, 12.0]).collect::<Vec<_>>());
        let mut options = SpectrumOptions::default();
        (options.sampling.steps, options.sampling.probes) = (25, 2);
        for (deflate, run) in [(4, "search"), (0, "probe 0")] {
            options.sampling.deflate = deflate;
            let convergence = spectrum(&operator, &context(), &options, None).unwrap().convergence.unwrap();
            assert_eq!((convergence.run, convergence.steps.len()), (run, 25));
            let first: Vec<f64> = convergence.largest[0].values.iter().map(|value| value.unwrap()).collect();
            // Interlacing (Cauchy): each step's largest value is no less than that of the step before.
            assert!(first.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{first:?}");
            assert!((first[24] - 12.0).abs() < 1e-9 && first[0] < 11.9);
            let residuals = &convergence.largest[0].residuals;
            assert!(residuals[24].unwrap() < 1e-6 && residuals[2].unwrap() > 1e-3);
            assert_eq!((convergence.smallest[2].values[1], convergence.smallest[2].values[2].is_some()), (None, true));
        }
    }
}
