//! Lanczos runs from sphere probes, in batches that fit the memory, in the complement of the pairs that are known by themselves.

use serde::Serialize;

use super::floor;
use super::memory;
use super::progress::{Progress, Stage};
use super::record::ProbeRecord;
use crate::backend::ProductError;
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::estimate::{Deflation, Products, SpectralMeasure};
use crate::krylov::{
    Extremes, Lanczos, LanczosOptions, LanczosSeconds, LinearOperator, Reorthogonalization, RitzValue, Termination, Tridiagonal,
    VectorSpace, extremes, merge_ghosts, ritz_values,
};
use crate::rng::Distribution;

/// How a spectrum is sampled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SamplingOptions {
    /// Sphere probes, each the start of a Lanczos run; a single one gives no standard error.
    pub probes: usize,
    /// Lanczos steps a probe; at most n are made.
    pub steps: usize,
    /// The most eigenpairs that are found first, by one more run of `steps` steps, and taken out of what the probes see; 0 for none.
    pub deflate: usize,
    /// The seed of the probes.
    pub seed: u64,
    /// What keeps the Lanczos vectors orthogonal.
    pub reorthogonalization: Reorthogonalization,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for as many as the memory holds. The result does not depend on it.
    pub columns: Option<usize>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            probes: 10,
            steps: 100,
            deflate: 32,
            seed: 0,
            reorthogonalization: Reorthogonalization::Full,
            memory_budget: None,
            columns: None,
        }
    }
}

/// What will be run.
#[derive(Clone, Debug)]
pub(super) struct SamplingPlan {
    probes: u32,
    pub(super) steps: usize,
    deflate: usize,
    seed: u64,
    pub(super) reorthogonalization: Reorthogonalization,
    columns: usize,
    pub(super) warnings: Vec<String>,
}

/// What came out.
pub(super) struct Sampled {
    pub(super) measure: SpectralMeasure,
    /// The pairs with their vectors.
    pub(super) deflation: Deflation,
    pub(super) seconds: LanczosSeconds,
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

impl SamplingOptions {
    /// Checks the options and decides on the width of a batch, before anything runs.
    ///
    /// # Errors
    /// [`Error::Input`] for a zero; [`Error::Memory`] where not even one run fits.
    pub(super) fn plan<A: CurvatureOperator>(&self, operator: &A) -> Result<SamplingPlan> {
        let mut plan = self.plan_in(operator.space().dim())?;
        // The run that finds the pairs has one column and keeps its vectors; a budget that does not hold it does without.
        let kept = memory::lanczos_steps(operator, self.memory_budget);
        if plan.deflate > 0 && kept < plan.steps + plan.deflate {
            plan.deflate = 0;
            plan.warnings.push(format!(
                "the memory budget holds {kept} vectors, too few to find outliers first: error bars are wider; --memory-budget helps"
            ));
        }
        let vectors = kept_steps(plan.reorthogonalization, plan.steps) + plan.deflate;
        let remedy = match self.reorthogonalization {
            Reorthogonalization::None => "fewer --samples or --deflate 0",
            _ => "fewer --steps or --reorthogonalize none",
        };
        plan.columns = memory::lanczos_columns(operator, self.memory_budget, vectors, plan.columns, remedy)?;
        Ok(plan)
    }

    /// The same for an operator of dimension `dim` whose vectors all fit.
    pub(super) fn plan_in(&self, dim: usize) -> Result<SamplingPlan> {
        let probes = probe_count(self.probes)?;
        if self.steps == 0 || self.columns == Some(0) {
            return Err(Error::Input("--steps and --columns must be at least 1".into()));
        }
        let steps = self.steps.min(dim);
        let columns = self.columns.unwrap_or(memory::MAX_COLUMNS).min(self.probes);
        let mut warnings = Vec::new();
        if probes == 1 {
            warnings.push("one probe tells no spread: standard errors are null; use --probes 2 or more".into());
        }
        if steps < self.steps {
            warnings.push(format!("{} steps asked for, {steps} made: there are only {dim} parameters", self.steps));
        }
        let (seed, reorthogonalization) = (self.seed, self.reorthogonalization);
        Ok(SamplingPlan { probes, steps, deflate: self.deflate.min(dim / 2), seed, reorthogonalization, columns, warnings })
    }

    /// What the runs keep in memory.
    pub fn workload(&self, dim: usize) -> Workload {
        let kept = kept_steps(self.reorthogonalization, self.steps.min(dim)) + self.deflate.min(dim / 2);
        let kept_bytes = memory::eigenvector_bytes(dim, self.deflate.min(dim / 2), false);
        Workload { kept_bytes, ..memory::lanczos_workload(self.columns, self.probes, kept) }
    }
}

/// Vectors that a run of `steps` steps keeps besides the known ones.
fn kept_steps(reorthogonalization: Reorthogonalization, steps: usize) -> usize {
    match reorthogonalization {
        Reorthogonalization::None => 0,
        Reorthogonalization::Full => steps,
    }
}

impl SamplingPlan {
    /// The same with other probes.
    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Products that are made where `pairs` eigenpairs are found first.
    pub(super) fn products(&self, pairs: usize) -> usize {
        let search = if self.deflate > 0 { self.steps + pairs } else { 0 };
        self.probes as usize * self.steps + search
    }
}

/// Finds the pairs, then runs all probes in their complement; one readback a pair, four more, and two a batch. Probes are numbered
/// through, so that their values do not depend on the batches.
///
/// `product` is what a spot check of the products has found; scalar products and orthogonality are measured here.
pub(super) fn sample<A: LinearOperator>(
    operator: &A,
    progress: &dyn Progress,
    plan: &SamplingPlan,
    product: Option<ProductError>,
) -> Result<Sampled> {
    let space = operator.space();
    let mut seconds = LanczosSeconds::default();
    let products = Products::new(operator, plan.columns, &|_| {});
    let deflation = match plan.deflate {
        0 => Deflation::none(),
        most => Deflation::find(operator, products, plan.steps, most, plan.seed)?,
    };
    tracing::info!(pairs = deflation.pairs().len(), "eigenpairs found first");
    let locked = deflation.vectors();
    let scale = deflation.pairs().iter().map(|pair| pair.value.abs()).fold(0.0, f64::max);
    let (mut runs, mut orthogonality) = (Vec::new(), None);
    let batches = (0..plan.probes).step_by(plan.columns);
    let total = (batches.len() * plan.steps) as u64;
    let mut done = 0;
    for first_probe in batches {
        let columns = plan.columns.min((plan.probes - first_probe) as usize);
        let batch = || {
            let mut start = space.block(columns)?;
            space.fill(&mut start, Distribution::Gaussian, plan.seed, first_probe)?;
            let reorthogonalization = plan.reorthogonalization;
            let options = LanczosOptions { capacity: plan.steps, reorthogonalization, first_probe, scale };
            let mut lanczos = Lanczos::in_complement(operator, start, columns, options, &locked)?;
            while lanczos.step()? {
                let under_way = operator.under_way().div_ceil(columns as u64);
                progress.update(Stage::Lanczos, done + (lanczos.steps() as u64).saturating_sub(under_way), total);
            }
            let coefficients = lanczos.coefficients()?;
            progress.update(Stage::Lanczos, done + lanczos.steps() as u64, total);
            let defects = lanczos.orthogonality()?.unwrap_or_default();
            tracing::debug!(first_probe, columns, steps = lanczos.steps(), "batch of Lanczos runs done");
            seconds += lanczos.seconds();
            Ok((coefficients, defects))
        };
        let (coefficients, defects) = operator.milestone("batch of probes", batch)?;
        for (run, defect) in coefficients.iter().zip(defects) {
            if run.termination == Termination::Completed {
                orthogonality = Some(orthogonality.map_or(defect, |worst: f64| worst.max(defect)));
            }
        }
        runs.extend(coefficients);
        done += plan.steps as u64;
    }
    let floor = floor::measured(space, plan.seed, product, orthogonality)?;
    let measure = SpectralMeasure::new(space.dim(), deflation.pairs().to_vec(), runs, floor)?;
    Ok(Sampled { measure, deflation, seconds })
}

/// Two numbers that differ by less than this many floors may be copies of one eigenvalue.
const GHOST_RESOLUTION: f64 = 10.0;

/// The best value at each rank: those of each run together with the known pairs, then over the runs.
///
/// With the known vectors a run's vectors are one orthonormal basis, and the values of both are its Ritz values up to the pairs'
/// coupling, which the residuals of the run's own values are widened by. All residuals are those in exact arithmetic.
pub(super) fn extremes_of(
    measure: &SpectralMeasure,
    reorthogonalization: Reorthogonalization,
    top: usize,
    bottom: usize,
) -> Result<Extremes> {
    let coupling = measure.pairs().iter().map(|pair| pair.residual.powi(2)).sum::<f64>().sqrt();
    let values = |run: &Tridiagonal| -> Result<Vec<RitzValue>> {
        let mut values = ritz_values(run)?;
        if reorthogonalization == Reorthogonalization::None {
            values = merge_ghosts(&values, GHOST_RESOLUTION * measure.resolution());
        }
        values.iter_mut().for_each(|ritz| ritz.residual = ritz.residual.hypot(coupling));
        values.extend(measure.pairs());
        values.sort_by(|x, y| x.value.total_cmp(&y.value));
        Ok(values)
    };
    Ok(extremes(&measure.runs().iter().map(values).collect::<Result<Vec<_>>>()?, top, bottom))
}

/// What the report keeps of each probe: its rule of the whole spectrum.
pub(super) fn records(measure: &SpectralMeasure) -> Vec<ProbeRecord> {
    measure.whole_rules().into_iter().zip(measure.runs()).map(|(rule, run)| ProbeRecord { rule, termination: run.termination }).collect()
}
