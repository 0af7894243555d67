//! The density alone.

use serde::Serialize;

use super::context::JobContext;
use super::lanczos_run::{Sampled, SamplingOptions, records, sample};
use super::record::{Header, Meter, ProbeRecord, Stats};
use crate::backend::{OperatorJob, ProductError, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::Result;
use crate::estimate::{self, Density, DensityOptions, Floor};

/// How to estimate a density.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DensityJobOptions {
    /// Probes, steps and the pairs found first.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
    /// Grid and kernel.
    pub density: DensityOptions,
}

/// `hesper.density/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DensityReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: DensityJobOptions,
    /// The density of eigenvalues.
    pub density: Density,
    /// What rounding leaves uncertain, relative to the largest magnitude; both bounds are widened by it.
    pub floor: Floor,
    /// The probes' Gauss rules.
    pub probes: Vec<ProbeRecord>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The density of [`spectrum`](super::spectrum) without the rest: the same probes give the same curve.
///
/// # Errors
/// As [`spectrum`](super::spectrum).
pub fn density<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &DensityJobOptions,
    product: Option<ProductError>,
) -> Result<DensityReport> {
    let meter = Meter::start(operator, context);
    let plan = options.sampling.plan(operator)?;
    let header = Header::new("hesper.density/1", operator, context)?;
    let Sampled { measure, seconds, .. } = sample(operator, context.progress, &plan, product)?;
    Ok(DensityReport {
        header,
        options: options.clone(),
        density: estimate::density(&measure, &options.density)?,
        floor: measure.floor(),
        probes: records(&measure),
        stats: meter.stats(operator, seconds),
        warnings: [operator.warnings(), plan.warnings].concat(),
    })
}

/// [`density`](fn@density) for [`backend::run`](crate::backend::run).
pub struct DensityJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a DensityJobOptions,
}

impl OperatorJob for DensityJob<'_> {
    type Output = DensityReport;

    fn workload(&self, dim: usize) -> Workload {
        self.options.sampling.workload(dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<DensityReport> {
        density(operator, self.context, self.options, spot_check.measure(self.options.sampling.seed)?)
    }
}
