//! Lanczos runs from Rademacher probes, in batches that fit the memory.

use super::context::JobContext;
use super::memory;
use super::progress::Stage;
use super::record::ProbeRecord;
use crate::curvature::CurvatureOperator;
use crate::error::{Error, Result};
use crate::estimate::{Quadrature, quadrature};
use crate::krylov::{
    Extremes, Lanczos, LanczosOptions, LanczosSeconds, Reorthogonalization, Tridiagonal, VectorSpace as _, extremes, merge_ghosts,
    ritz_values,
};
use crate::rng::Distribution;

/// What the user asked for.
pub(super) struct RunOptions {
    pub(super) probes: usize,
    pub(super) steps: usize,
    pub(super) seed: u64,
    pub(super) reorthogonalization: Reorthogonalization,
    pub(super) memory_budget: Option<u64>,
    pub(super) columns: Option<usize>,
}

/// What will be run.
pub(super) struct RunPlan {
    probes: u32,
    steps: usize,
    seed: u64,
    reorthogonalization: Reorthogonalization,
    columns: usize,
    warnings: Vec<String>,
}

/// What came out, one entry a probe.
pub(super) struct LanczosRuns {
    pub(super) tridiagonals: Vec<Tridiagonal>,
    pub(super) rules: Vec<Quadrature>,
    pub(super) seconds: LanczosSeconds,
    pub(super) warnings: Vec<String>,
}

/// `probes` as the generator numbers them.
///
/// # Errors
/// [`Error::Input`] where there is none or too many.
pub(super) fn probe_count(probes: usize) -> Result<u32> {
    match u32::try_from(probes) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::Input(format!("{probes} probes: between 1 and {} are possible", u32::MAX))),
    }
}

impl RunOptions {
    /// Checks the options and decides on the width of a batch, before anything runs.
    ///
    /// # Errors
    /// [`Error::Input`] for a zero; [`Error::Memory`] where not even one run fits.
    pub(super) fn plan<A: CurvatureOperator>(&self, operator: &A) -> Result<RunPlan> {
        let probes = probe_count(self.probes)?;
        if self.steps == 0 || self.columns == Some(0) {
            return Err(Error::Input("--steps and --columns must be at least 1".into()));
        }
        let dim = operator.space().dim();
        let steps = self.steps.min(dim);
        let wanted = self.columns.unwrap_or(memory::MAX_COLUMNS).min(self.probes);
        let columns = memory::lanczos_columns(operator, self.memory_budget, steps, self.reorthogonalization, wanted)?;
        let mut warnings = Vec::new();
        if probes == 1 {
            warnings.push(
                "one probe tells no spread: standard errors are null and the bounds of shares 0 and 1; use --probes 2 or more".into(),
            );
        }
        if steps < self.steps {
            warnings.push(format!("{} steps asked for, {steps} made: there are only {dim} parameters", self.steps));
        }
        Ok(RunPlan { probes, steps, seed: self.seed, reorthogonalization: self.reorthogonalization, columns, warnings })
    }
}

/// Runs all probes; one readback a batch. Probes are numbered through, so that their values do not depend on the batches.
pub(super) fn run_probes<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, plan: &RunPlan) -> Result<LanczosRuns> {
    let space = operator.space();
    let (mut tridiagonals, mut seconds) = (Vec::new(), LanczosSeconds::default());
    let batches = (0..plan.probes).step_by(plan.columns);
    let total = (batches.len() * plan.steps) as u64;
    let mut done = 0;
    for first_probe in batches {
        let columns = plan.columns.min((plan.probes - first_probe) as usize);
        let mut start = space.block(columns)?;
        space.fill(&mut start, Distribution::Rademacher, plan.seed, first_probe)?;
        let options = LanczosOptions { capacity: plan.steps, reorthogonalization: plan.reorthogonalization, first_probe };
        let mut lanczos = Lanczos::new(operator, start, columns, options)?;
        while lanczos.step()? {
            done += 1;
            context.progress.update(Stage::Lanczos, done, total);
        }
        tridiagonals.extend(lanczos.coefficients()?);
        seconds.products += lanczos.seconds().products;
        seconds.orthogonalization += lanczos.seconds().orthogonalization;
    }
    let rules = tridiagonals.iter().map(quadrature).collect::<Result<_>>()?;
    Ok(LanczosRuns { tridiagonals, rules, seconds, warnings: plan.warnings.clone() })
}

/// Two numbers that differ by less than this many ε·max|θ| may be copies of one eigenvalue.
const GHOST_RESOLUTION: f64 = 100.0;

/// The best Ritz value at each rank over the runs.
pub(super) fn extremes_of(
    runs: &[Tridiagonal],
    reorthogonalization: Reorthogonalization,
    epsilon: f64,
    top: usize,
    bottom: usize,
) -> Result<Extremes> {
    let mut values = runs.iter().map(ritz_values).collect::<Result<Vec<_>>>()?;
    if reorthogonalization == Reorthogonalization::None {
        for run in &mut values {
            let scale = run.iter().fold(0.0, |largest: f64, ritz| largest.max(ritz.value.abs()));
            *run = merge_ghosts(run, GHOST_RESOLUTION * epsilon * scale);
        }
    }
    Ok(extremes(&values, top, bottom))
}

/// What the report keeps of each probe.
pub(super) fn records(rules: Vec<Quadrature>, runs: &[Tridiagonal]) -> Vec<ProbeRecord> {
    rules.into_iter().zip(runs).map(|(rule, run)| ProbeRecord { rule, termination: run.termination }).collect()
}
