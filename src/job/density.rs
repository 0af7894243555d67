//! The density alone.

use serde::Serialize;

use super::context::JobContext;
use super::lanczos_run::{LanczosRuns, RunOptions, records, run_probes};
use super::memory;
use super::record::{Header, Meter, ProbeRecord, Stats};
use crate::backend::OperatorJob;
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::Result;
use crate::estimate::{self, Density, DensityOptions};
use crate::krylov::{Reorthogonalization, VectorSpace as _};

/// How to estimate a density.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DensityJobOptions {
    /// Rademacher probes.
    pub probes: usize,
    /// Lanczos steps a probe; at most n are made.
    pub steps: usize,
    /// The seed of the probes.
    pub seed: u64,
    /// What keeps the Lanczos vectors orthogonal.
    pub reorthogonalization: Reorthogonalization,
    /// Grid and kernel.
    pub density: DensityOptions,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for as many as the memory holds.
    pub columns: Option<usize>,
}

impl Default for DensityJobOptions {
    fn default() -> Self {
        Self {
            probes: 10,
            steps: 100,
            seed: 0,
            reorthogonalization: Reorthogonalization::Full,
            density: DensityOptions::default(),
            memory_budget: None,
            columns: None,
        }
    }
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
pub fn density<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &DensityJobOptions) -> Result<DensityReport> {
    let meter = Meter::start(operator, context);
    let run_options = RunOptions {
        probes: options.probes,
        steps: options.steps,
        seed: options.seed,
        reorthogonalization: options.reorthogonalization,
        memory_budget: options.memory_budget,
        columns: options.columns,
    };
    let plan = run_options.plan(operator)?;
    let header = Header::new("hesper.density/1", operator, context)?;
    let LanczosRuns { tridiagonals, rules, seconds, warnings } = run_probes(operator, context, &plan)?;
    Ok(DensityReport {
        header,
        options: options.clone(),
        density: estimate::density(&rules, &options.density, operator.space().precision().epsilon())?,
        probes: records(rules, &tridiagonals),
        stats: meter.stats(operator, seconds),
        warnings,
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
        let options = self.options;
        memory::lanczos_workload(options.columns, options.probes, options.steps, dim, options.reorthogonalization)
    }

    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<DensityReport> {
        density(operator, self.context, self.options)
    }
}
