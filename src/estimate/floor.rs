//! What arithmetic alone leaves uncertain.
//!
//! A key design decision: the floor is measured in each run rather than taken from the precision's ε, since products may be far worse
//! than their format: sums over many samples that cancel, a driver's own exponential. Whatever the cause, a run computes with A + E, and
//! by Weyl no eigenvalue is off by more than ‖E‖.

use serde::Serialize;

use super::quadrature::ROUNDING;

/// Errors of the parts of a run, each relative to the largest magnitude of an eigenvalue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// Of a product, ‖Hv − H₆₄v‖/‖H₆₄v‖, measured against the float64 reference; null where it was not, and ten ε stand for it.
    pub product: Option<f64>,
    /// Of how many samples the measured products were.
    pub samples: usize,
    /// Of a scalar product, |fl(vᵀv) − vᵀv|/vᵀv.
    pub dot: f64,
    /// ‖Qᵀq‖ of the last Lanczos vector with all before it, the largest over the runs; null where runs keep none.
    pub orthogonality: Option<f64>,
    /// Their sum.
    pub relative: f64,
}

impl Floor {
    /// The floor of a run in precision `epsilon` whose products were measured as `product`, (error, samples).
    pub fn new(epsilon: f64, product: Option<(f64, usize)>, dot: f64, orthogonality: Option<f64>) -> Self {
        // No measurement proves a product better than its format, nor than the sums in double precision that it is held against.
        let of_product = product.map_or(ROUNDING * epsilon, |(error, _)| error.max(epsilon).max(ROUNDING * f64::EPSILON));
        Self {
            product: product.map(|(error, _)| error),
            samples: product.map_or(0, |(_, samples)| samples),
            dot,
            orthogonality,
            relative: of_product + dot + orthogonality.unwrap_or(0.0),
        }
    }

    /// What is known without any measurement: ten ε.
    pub fn assumed(epsilon: f64) -> Self {
        Self::new(epsilon, None, 0.0, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_nothing_is_below_its_format() {
        assert_eq!(Floor::new(1e-7, Some((3e-7, 64)), 1e-8, Some(2e-8)).relative, 3e-7 + 1e-8 + 2e-8);
        assert_eq!(Floor::new(1e-7, Some((0.0, 64)), 0.0, None).relative, 1e-7);
        assert_eq!(Floor::new(f64::EPSILON, Some((0.0, 64)), 0.0, None).relative, ROUNDING * f64::EPSILON);
        assert_eq!(Floor::assumed(1e-7).relative, ROUNDING * 1e-7);
    }
}
