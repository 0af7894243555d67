//! The main job: everything that the probes' Lanczos runs tell.

use serde::Serialize;

use super::context::JobContext;
use super::lanczos_run::{LanczosRuns, RunOptions, extremes_of, records, run_probes};
use super::record::{Eigenvalues, Header, Meter, ProbeRecord, Stats};
use crate::backend::OperatorJob;
use crate::curvature::CurvatureOperator;
use crate::error::Result;
use crate::estimate::{
    self, Density, DensityOptions, Estimate, LearningRate, NegativeShare, frobenius_squared, max_stable_learning_rate, negative_share,
};
use crate::krylov::{Reorthogonalization, VectorSpace as _};

/// How to estimate a spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpectrumOptions {
    /// Rademacher probes, each the start of a Lanczos run; a single one gives no error bar.
    pub probes: usize,
    /// Lanczos steps a probe; at most n are made.
    pub steps: usize,
    /// Largest eigenvalues to report.
    pub top: usize,
    /// Smallest eigenvalues to report.
    pub bottom: usize,
    /// The seed of the probes.
    pub seed: u64,
    /// What keeps the Lanczos vectors orthogonal.
    pub reorthogonalization: Reorthogonalization,
    /// An eigenvalue is converged where its residual is at most `tol`·max|θ|.
    pub tol: f64,
    /// The density's grid and kernel.
    pub density: DensityOptions,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for as many as the memory holds. The result does not depend on it.
    pub columns: Option<usize>,
}

impl Default for SpectrumOptions {
    fn default() -> Self {
        Self {
            probes: 10,
            steps: 100,
            top: 5,
            bottom: 5,
            seed: 0,
            reorthogonalization: Reorthogonalization::Full,
            tol: 1e-5,
            density: DensityOptions::default(),
            memory_budget: None,
            columns: None,
        }
    }
}

/// `hesper.spectrum/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpectrumReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: SpectrumOptions,
    /// Both ends of the spectrum: at each rank the best over the probes.
    pub eigenvalues: Eigenvalues,
    /// tr H.
    pub trace: Estimate,
    /// ‖H‖²_F.
    pub frobenius_squared: Estimate,
    /// The density of eigenvalues.
    pub density: Density,
    /// The probes' Gauss rules.
    pub probes: Vec<ProbeRecord>,
    /// The share of negative eigenvalues.
    pub negative_share: NegativeShare,
    /// 2/λmax; null where λmax ≤ 0.
    pub max_stable_learning_rate: Option<LearningRate>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Estimates the spectrum of `operator` by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017): every number from the same runs.
///
/// The loss and the gradient take one readback, each batch of probes one more.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for options that make no sense, [`Error::Memory`](crate::Error::Memory) where not even one
/// probe fits the budget, [`Error::NonFinite`](crate::Error::NonFinite) where loss or products are, and device failures.
pub fn spectrum<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &SpectrumOptions) -> Result<SpectrumReport> {
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
    let header = Header::new("hesper.spectrum/1", operator, context)?;
    let (dim, epsilon) = (operator.space().dim(), operator.space().precision().epsilon());
    let LanczosRuns { tridiagonals, rules, seconds, mut warnings } = run_probes(operator, context, &plan)?;
    let scale = rules.iter().fold(0.0, |largest: f64, rule| largest.max(rule.scale()));
    let extremes = extremes_of(&tridiagonals, options.reorthogonalization, epsilon, options.top, options.bottom)?;
    let eigenvalues = Eigenvalues::new(&extremes, options.tol * scale);
    warnings.extend(convergence_warning(&eigenvalues, options));
    Ok(SpectrumReport {
        header,
        options: options.clone(),
        eigenvalues,
        trace: estimate::trace(&tridiagonals, dim),
        frobenius_squared: frobenius_squared(&tridiagonals, dim),
        density: estimate::density(&rules, &options.density)?,
        negative_share: negative_share(&rules, epsilon),
        max_stable_learning_rate: max_stable_learning_rate(extremes.largest.first().copied(), scale, epsilon),
        probes: records(rules, &tridiagonals),
        stats: meter.stats(operator, seconds),
        warnings,
    })
}

fn convergence_warning(eigenvalues: &Eigenvalues, options: &SpectrumOptions) -> Option<String> {
    let unconverged = eigenvalues.unconverged();
    let asked = eigenvalues.largest.len() + eigenvalues.smallest.len();
    (unconverged > 0).then(|| {
        format!(
            "{unconverged} of {asked} extreme eigenvalues are not converged to {:e} of the largest magnitude: raise --steps (now {}), or \
             use 'hesper eigs'",
            options.tol, options.steps
        )
    })
}

/// [`spectrum`] for [`backend::run`](crate::backend::run).
pub struct SpectrumJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a SpectrumOptions,
}

impl OperatorJob for SpectrumJob<'_> {
    type Output = SpectrumReport;

    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<SpectrumReport> {
        spectrum(operator, self.context, self.options)
    }
}
