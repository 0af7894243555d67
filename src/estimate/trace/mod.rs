//! The trace and the diagonal from products alone: four estimators behind one trait, and the rule that says when one is sure enough.

mod diagonal;
mod hutchinson;
mod low_rank;
mod nystrom;
mod stopping;

pub use diagonal::{DiagonalEstimate, DiagonalMethod, diagonal};
pub use hutchinson::Hutchinson;
pub use low_rank::{HutchPlusPlus, XTrace};
pub use nystrom::XNysTrace;
pub use stopping::{MIN_PROBES, Stopped, Stopping};

use serde::{Deserialize, Serialize};

use super::products::{Probe, Products};
use crate::error::Result;
use crate::krylov::LinearOperator;

/// How to estimate a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceMethod {
    /// The mean of vᵀAv: one product a probe, no memory.
    #[default]
    Hutchinson,
    /// A third of the products find the large eigenvalues, the rest see what remains: three products a probe.
    HutchPlusPlus,
    /// The same, each probe serving both ends by leave-one-out: two products a probe.
    XTrace,
    /// For positive semidefinite operators: one product a probe.
    XNysTrace,
}

impl TraceMethod {
    /// Products that each probe takes.
    pub fn products_per_probe(self) -> usize {
        match self {
            Self::Hutchinson | Self::XNysTrace => 1,
            Self::XTrace => 2,
            Self::HutchPlusPlus => 3,
        }
    }

    /// Vectors of doubles that each probe leaves on the host, at most, while it is worked on.
    pub fn host_vectors_per_probe(self) -> usize {
        match self {
            Self::Hutchinson => 0,
            Self::XNysTrace | Self::XTrace => 5,
            Self::HutchPlusPlus => 6,
        }
    }

    /// The estimator of `products`' operator, without a probe yet. `probe` is Hutchinson's choice; the others draw from the sphere.
    pub fn estimator<'a, A: LinearOperator>(self, products: Products<'a, A>, probe: Probe, seed: u64) -> Box<dyn TraceEstimator + 'a> {
        match self {
            Self::Hutchinson => Box::new(Hutchinson::new(products, probe, seed)),
            Self::HutchPlusPlus => Box::new(HutchPlusPlus::new(products, seed)),
            Self::XTrace => Box::new(XTrace::new(products, seed)),
            Self::XNysTrace => Box::new(XNysTrace::new(products, seed)),
        }
    }
}

/// An estimate of a trace that can go on.
pub trait TraceEstimator {
    /// Goes on until there are `probes` probes.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) where a product is, [`Error::Input`](crate::Error::Input) where the method does not
    /// fit the operator, and device failures. A probe that failed is never counted.
    fn extend(&mut self, probes: usize) -> Result<()>;

    /// One unbiased sample of the trace for each probe; they are equally distributed.
    fn samples(&self) -> &[f64];

    /// The share of the error probability that Student's t is given, so that the interval holds as often as it claims.
    ///
    /// Student's t is exact for independent normal samples. Quadratic forms are skewed where few eigenvalues dominate, to that of a χ²
    /// with one degree of freedom, of which intervals of 99 % hold 95 %.
    fn error_share(&self) -> f64 {
        0.2
    }
}

#[cfg(test)]
mod tests_support {
    use super::*;
    use crate::estimate::products::{GrowingQr, probes};
    use crate::krylov::test_support::MatrixOperator;

    /// A dense matrix with the eigenvalues f(0) ... f(n−1) in a random basis, and its trace.
    pub(crate) fn matrix(n: u32, f: impl Fn(u32) -> f64) -> (MatrixOperator, f64) {
        let size = n as usize;
        let mut basis = GrowingQr::new(size);
        basis.append(&probes(Probe::Gaussian, 99, 0, size, size).unwrap());
        let eigenvalues: Vec<f64> = (0..n).map(f).collect();
        let entry = |i: usize, j: usize| (0..size).map(|k| basis.q[(i, k)] * eigenvalues[k] * basis.q[(j, k)]).sum::<f64>();
        let rows = (0..size).flat_map(|i| (0..size).map(move |j| (i.min(j), i.max(j)))).map(|(i, j)| entry(i, j)).collect();
        (MatrixOperator::dense(size, rows), eigenvalues.iter().sum())
    }

    pub(crate) fn products(operator: &MatrixOperator, columns: usize) -> Products<'_, MatrixOperator> {
        Products::new(operator, columns, &|_| {})
    }
}
