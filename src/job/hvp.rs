//! Exact products with the user's vectors.

use std::time::Instant;

use serde::Serialize;

use super::context::JobContext;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::krylov::{LanczosSeconds, VectorSpace as _};

/// How to multiply.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HvpOptions {
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Vectors that are multiplied at once; none for up to 32, as the memory allows.
    pub columns: Option<usize>,
}

/// `hesper.hvp/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HvpReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: HvpOptions,
    /// H v for each v, [k, n] row by row; written to a file of its own.
    #[serde(skip)]
    pub products: Vec<f64>,
    /// ‖H v‖ for each v.
    pub norms: Vec<f64>,
    /// vᵀH v for each v.
    pub quadratic_forms: Vec<f64>,
    /// What it took.
    pub stats: Stats,
}

/// H v for each row of `vectors` [k, n].
///
/// # Errors
/// [`Error::Input`] where the rows are not of length n, [`Error::NonFinite`] where a number or a product is not finite, and device
/// failures.
pub fn hvp<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &HvpOptions, vectors: &[f64]) -> Result<HvpReport> {
    let meter = Meter::start(operator, context);
    let space = operator.space();
    let dim = space.dim();
    if vectors.is_empty() || !vectors.len().is_multiple_of(dim) {
        return Err(Error::Input(format!("vector has {} elements, the network {dim} parameters: give [n] or [k, n]", vectors.len())));
    }
    if options.columns == Some(0) {
        return Err(Error::Input("--columns must be at least 1".into()));
    }
    if let Some(at) = vectors.iter().position(|x| !x.is_finite()) {
        return Err(Error::NonFinite(format!("vector {}, element {} is {}: it must be finite", at / dim, at % dim, vectors[at])));
    }
    let header = Header::new("hesper.hvp/1", operator, context)?;
    let count = vectors.len() / dim;
    let wanted = options.columns.unwrap_or(memory::MAX_COLUMNS).min(count);
    let width = memory::columns(operator, options.memory_budget, memory::PRODUCT_VECTORS, wanted);
    let (mut products, mut seconds) = (Vec::with_capacity(vectors.len()), LanczosSeconds::default());
    for batch in vectors.chunks(width * dim) {
        let columns = batch.len() / dim;
        let (mut x, mut y) = (space.block(columns)?, space.block(columns)?);
        space.upload(batch, &mut x)?;
        let begin = Instant::now();
        operator.apply(&x, &mut y)?;
        seconds.products += begin.elapsed();
        products.extend(space.download(&y)?);
        context.progress.update(Stage::Products, (products.len() / dim) as u64, count as u64);
    }
    if let Some(at) = products.iter().position(|x| !x.is_finite()) {
        return Err(Error::NonFinite(format!(
            "product {}, element {} is {}: it overflows, or the network has diverged; scale the vector or use --precision f64",
            at / dim,
            at % dim,
            products[at]
        )));
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    Ok(HvpReport {
        header,
        options: options.clone(),
        norms: products.chunks_exact(dim).map(|row| dot(row, row).sqrt()).collect(),
        quadratic_forms: products.chunks_exact(dim).zip(vectors.chunks_exact(dim)).map(|(row, v)| dot(row, v)).collect(),
        products,
        stats: meter.stats(operator, seconds),
    })
}

/// [`hvp`] for [`backend::run`](crate::backend::run).
pub struct HvpJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a HvpOptions,
    /// v, [k, n] row by row.
    pub vectors: &'a [f64],
}

impl OperatorJob for HvpJob<'_> {
    type Output = HvpReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::products_workload(self.options.columns, self.vectors.len() / dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<HvpReport> {
        hvp(operator, self.context, self.options, self.vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    #[test]
    fn products_come_back_row_by_row_however_they_are_batched() {
        let operator = MatrixOperator::diagonal([1.0, -2.0, 3.0]);
        let vectors: Vec<f64> = (0..15).map(f64::from).collect();
        for columns in [None, Some(1), Some(2), Some(50)] {
            let report = hvp(&operator, &context(), &HvpOptions { columns, ..Default::default() }, &vectors).unwrap();
            let exact: Vec<f64> = vectors.iter().zip([1.0, -2.0, 3.0].iter().cycle()).map(|(x, d)| x * d).collect();
            assert_eq!(report.products, exact);
            assert_eq!((report.quadratic_forms[0], report.norms[0]), (10.0, 40.0_f64.sqrt()));
        }
    }

    #[test]
    fn wrong_lengths_and_numbers_are_named() {
        let operator = MatrixOperator::diagonal([1.0, 1e100, 3.0]);
        let message = |vectors: &[f64]| hvp(&operator, &context(), &HvpOptions::default(), vectors).unwrap_err().to_string();
        assert!(message(&[1.0; 4]).contains("4 elements, the network 3 parameters"));
        assert!(message(&[]).contains("0 elements"));
        assert!(message(&[1.0, 2.0, 3.0, 1.0, f64::NAN, 3.0]).contains("vector 1, element 1"));
        assert!(message(&[1.0, 1e300, 3.0]).contains("product 0, element 1"));
    }
}
