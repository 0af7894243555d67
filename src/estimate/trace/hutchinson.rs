//! The mean of quadratic forms.

use super::TraceEstimator;
use crate::error::{Error, Result};
use crate::estimate::products::{Probe, Products};
use crate::krylov::LinearOperator;

/// tr A = `E[vᵀAv]` over random probes v (Girard 1989; Hutchinson 1990); on the sphere n·vᵀAv/vᵀv.
///
/// A sample's variance is 2(‖A‖²_F − Σᵢ Aᵢᵢ²) for Rademacher probes, 2‖A‖²_F for Gaussian ones and 2n/(n+2)·(‖A‖²_F − tr²A/n) on the
/// sphere. Vectors stay where the operator computes; one readback a batch.
pub struct Hutchinson<'a, A> {
    products: Products<'a, A>,
    probe: Probe,
    seed: u64,
    samples: Vec<f64>,
}

impl<'a, A: LinearOperator> Hutchinson<'a, A> {
    /// Without a probe yet.
    pub fn new(products: Products<'a, A>, probe: Probe, seed: u64) -> Self {
        Self { products, probe, seed, samples: Vec::new() }
    }
}

impl<A: LinearOperator> TraceEstimator for Hutchinson<'_, A> {
    fn extend(&mut self, probes: usize) -> Result<()> {
        while self.samples.len() < probes {
            let first = self.samples.len();
            let forms = self.products.quadratic_forms(self.probe, self.seed, first, probes - first)?;
            if let Some(column) = forms.iter().position(|form| !form.is_finite()) {
                return Err(Error::NonFinite(format!(
                    "trace: probe {} gave {}: a product is not finite; check the weights and the data's scale",
                    first + column,
                    forms[column]
                )));
            }
            self.samples.extend(forms);
        }
        Ok(())
    }

    fn samples(&self) -> &[f64] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{matrix, products};
    use super::*;

    #[test]
    fn samples_are_quadratic_forms_whatever_the_batches() {
        let (operator, trace) = matrix(30, |i| f64::from(i) / 10.0);
        for probe in [Probe::Rademacher, Probe::Gaussian, Probe::Sphere] {
            let run = |columns| {
                let mut estimator = Hutchinson::new(products(&operator, columns), probe, 4);
                estimator.extend(5).unwrap();
                estimator.extend(400).unwrap();
                estimator.samples().to_vec()
            };
            let samples = run(7);
            assert_eq!(samples, run(32));
            let mean = samples.iter().sum::<f64>() / 400.0;
            assert!((mean - trace).abs() < 0.2 * trace, "{probe:?}: {mean} for {trace}");
        }
    }

    #[test]
    fn a_failed_probe_is_an_error() {
        let operator = crate::krylov::test_support::MatrixOperator::diagonal([1.0, f64::NAN]);
        let error = Hutchinson::new(products(&operator, 4), Probe::Rademacher, 0).extend(2).unwrap_err();
        assert!(matches!(&error, Error::NonFinite(message) if message.contains("probe 0")), "{error}");
    }
}
