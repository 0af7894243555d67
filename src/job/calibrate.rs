//! Do the bars hold? Every estimator against the exact spectrum of a network that is small enough to know it.

mod exact;
mod trials;

use rayon::prelude::*;
use serde::Serialize;

use self::exact::{Known, Spectrum};
use self::trials::{Outcome, matrix_trials, spectrum_trials};
use super::context::JobContext;
use super::lanczos_run::SamplingOptions;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::krylov::{LanczosSeconds, VectorSpace as _};
use crate::numeric::human_bytes;

/// The most parameters whose Hessian is formed: its eigenvalues take 4/3·n³ operations.
pub const MAX_PARAMETERS: usize = 5000;

/// How to calibrate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CalibrateOptions {
    /// Runs of each estimator, each with a seed of its own.
    pub seeds: usize,
    /// How the spectrum is sampled; its seed is the first one's.
    pub sampling: SamplingOptions,
    /// Probes of each trace estimator.
    pub trace_probes: usize,
}

impl Default for CalibrateOptions {
    fn default() -> Self {
        Self { seeds: 100, sampling: SamplingOptions::default(), trace_probes: 32 }
    }
}

/// One bar, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// What was estimated.
    pub quantity: String,
    /// By what.
    pub estimator: String,
    /// The share of cases that the bar claims to hold.
    pub nominal: f64,
    /// The share in which it did.
    pub coverage: f64,
    /// How many cases; where one seed gives many, their shares are averaged.
    pub seeds: usize,
    /// The median of half the interval's width, relative to the exact value's magnitude; for shares and distributions as it is.
    pub half_width: f64,
    /// Products of one run.
    pub products: usize,
}

/// The quadrature's distance from the exact spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// The median over the seeds of the Wasserstein-1 distance, in shares of the spectrum's width.
    pub median: f64,
    /// The largest.
    pub largest: f64,
    /// Products of one run, those for the known pairs included.
    pub products: usize,
}

/// `hesper.calibrate/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrateReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: CalibrateOptions,
    /// A row for each bar.
    pub coverage: Vec<Coverage>,
    /// Between the mean of the probes' Gauss rules and the exact spectrum.
    pub wasserstein: Distance,
    /// What it took: the products that formed H.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Forms H by n products, finds all its eigenvalues by a dense solver, and runs every estimator for each of the seeds.
///
/// Estimators that draw from the sphere or from a Gaussian do not depend on the eigenvectors: they run on the diagonal matrix of the
/// eigenvalues, which gives samples of the very same law for n operations a product. Those with Rademacher probes and the diagonal run
/// on H. What needs a semidefinite operator runs on |H|, of the same magnitudes.
///
/// # Errors
/// [`Error::Input`] where there are more than [`MAX_PARAMETERS`] parameters or options make no sense, [`Error::Memory`] where H does not
/// fit, [`Error::NonFinite`] where a product is, and device failures.
pub fn calibrate<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &CalibrateOptions) -> Result<CalibrateReport> {
    let meter = Meter::start(operator, context);
    let dim = operator.space().dim();
    check(operator, options)?;
    let plan = options.sampling.plan_in(dim)?;
    let header = Header::new("hesper.calibrate/1", operator, context)?;
    let columns = memory::columns(operator, options.sampling.memory_budget, 3, memory::MAX_COLUMNS);
    let matrix = exact::form(operator, columns, |done| context.progress.update(Stage::Products, done, dim as u64))?;
    let stats = meter.stats(operator, LanczosSeconds::default());
    let spectrum = Spectrum::of(&matrix)?;
    let matrix = Known::dense(matrix);

    let seeds: Vec<u64> = (0..options.seeds as u64).map(|at| options.sampling.seed.wrapping_add(at)).collect();
    let (mut outcomes, mut distances) = (Vec::new(), Vec::new());
    for chunk in seeds.chunks(SEEDS_AT_ONCE) {
        // The diagonal operator's work is in vectors: seeds run side by side. The matrix's products use all threads by themselves.
        let trials = || {
            let mut runs: Vec<(Vec<Outcome>, f64)> = chunk
                .par_iter()
                .map(|&seed| spectrum_trials(&spectrum, &plan.with_seed(seed), options.trace_probes))
                .collect::<Result<_>>()?;
            for ((run, _), &seed) in runs.iter_mut().zip(chunk) {
                run.extend(matrix_trials(&matrix, &spectrum, seed, options.trace_probes)?);
            }
            Ok(runs)
        };
        for (run, distance) in operator.milestone("seeds", trials)? {
            outcomes.push(run);
            distances.push(distance);
        }
        context.progress.update(Stage::Calibration, outcomes.len() as u64, seeds.len() as u64);
    }
    distances.sort_by(f64::total_cmp);
    let products = outcomes[0][0].products;
    Ok(CalibrateReport {
        header,
        options: options.clone(),
        coverage: summarize(&outcomes),
        wasserstein: Distance { median: distances[distances.len() / 2], largest: distances[distances.len() - 1], products },
        stats,
        warnings: plan.warnings,
    })
}

/// Seeds between two reports of progress.
const SEEDS_AT_ONCE: usize = 16;

fn check<A: CurvatureOperator>(operator: &A, options: &CalibrateOptions) -> Result<()> {
    let dim = operator.space().dim();
    if options.seeds == 0 || options.trace_probes < 2 {
        return Err(Error::Input(format!(
            "calibrate: {} seeds with {} probes for the trace: at least one seed and two probes are needed",
            options.seeds, options.trace_probes
        )));
    }
    if !(3 * options.trace_probes..=MAX_PARAMETERS).contains(&dim) {
        return Err(Error::Input(format!(
            "calibrate: {dim} parameters: the exact spectrum is computed for {} (three for each of --trace-probes) to {MAX_PARAMETERS}; use \
             another network",
            3 * options.trace_probes
        )));
    }
    // H, a copy that the eigenvalue solver overwrites, and its work space.
    let bytes = (3 * dim * dim * size_of::<f64>()) as u64;
    let available = memory::available(operator, options.sampling.memory_budget);
    if bytes > available {
        return Err(Error::Memory(format!(
            "calibrate: the Hessian of {dim} parameters takes {}, but the budget leaves {}: use a larger --memory-budget",
            human_bytes(bytes),
            human_bytes(available)
        )));
    }
    Ok(())
}

/// Outcome i of every seed is of the same bar.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
fn summarize(outcomes: &[Vec<Outcome>]) -> Vec<Coverage> {
    let bar = |at: usize| {
        let Outcome { quantity, estimator, nominal, products, .. } = &outcomes[0][at];
        let mut widths: Vec<f64> = outcomes.iter().map(|run| run[at].half_width).collect();
        widths.sort_by(f64::total_cmp);
        Coverage {
            quantity: quantity.to_string(),
            estimator: estimator.to_string(),
            nominal: *nominal,
            coverage: outcomes.iter().map(|run| run[at].covered).sum::<f64>() / outcomes.len() as f64,
            seeds: outcomes.len(),
            half_width: widths[widths.len() / 2],
            products: *products,
        }
    };
    (0..outcomes[0].len()).map(bar).collect()
}

/// [`calibrate`] for [`backend::run`](crate::backend::run).
pub struct CalibrateJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a CalibrateOptions,
}

impl OperatorJob for CalibrateJob<'_> {
    type Output = CalibrateReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::products_workload(None, dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<CalibrateReport> {
        calibrate(operator, self.context, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    /// Like a small network's Hessian: few outliers, a bulk at zero, a quarter negative; in a basis that is not the parameters'.
    fn operator() -> MatrixOperator {
        let n: u32 = 150;
        let eigenvalue = |k: u32| (-0.15 * f64::from(k)).exp() * if k % 4 == 3 { -0.3 } else { 3.0 };
        // The sine basis is orthonormal: √(2/(n+1))·sin(π(i+1)(k+1)/(n+1)).
        let basis = |i: u32, k: u32| {
            let angle = std::f64::consts::PI * f64::from((i + 1) * (k + 1)) / f64::from(n + 1);
            (2.0 / f64::from(n + 1)).sqrt() * angle.sin()
        };
        let entry = |i: u32, j: u32| (0..n).map(|k| basis(i, k) * eigenvalue(k) * basis(j, k)).sum::<f64>();
        MatrixOperator::dense(
            n as usize,
            (0..n).flat_map(|i| (0..n).map(move |j| (i.min(j), i.max(j)))).map(|(i, j)| entry(i, j)).collect(),
        )
    }

    /// 95 % of 300 seeds with a binomial standard deviation of 1.3 %: no bar may be four of them short.
    #[test]
    fn the_bars_of_every_estimator_hold() {
        let sampling = SamplingOptions { probes: 8, steps: 20, deflate: 8, ..Default::default() };
        let options = CalibrateOptions { seeds: 300, sampling, trace_probes: 24 };
        let report = calibrate(&operator(), &context(), &options).unwrap();
        assert!(report.coverage.len() > 15 && report.stats.hvps == 150);
        for bar in &report.coverage {
            assert!(bar.coverage >= bar.nominal - 0.05, "{bar:?}");
            assert!(bar.half_width.is_finite() && bar.half_width >= 0.0, "{bar:?}");
        }
        assert!(report.wasserstein.median > 0.0 && report.wasserstein.largest < 0.02, "{:?}", report.wasserstein);
    }

    /// The twin that keeps the coverage honest: bars of another operator's spectrum must be found to miss.
    #[test]
    fn a_wrong_spectrum_is_found_out() {
        let matrix = exact::form(&operator(), 32, |_| {}).unwrap();
        let truth = Spectrum::of(&matrix).unwrap();
        let shifted = Spectrum::new(truth.eigenvalues().iter().map(|value| value + 0.05).collect());
        let plan = SamplingOptions { probes: 8, steps: 20, ..Default::default() }.plan_in(150).unwrap();
        let outcomes: Vec<Vec<Outcome>> =
            (0..20).map(|seed| trials::judge(&truth, &shifted, &plan.with_seed(seed), 24).unwrap().0).collect();
        let bars = summarize(&outcomes);
        assert!(bars.iter().filter(|bar| bar.coverage < 0.9).count() >= bars.len() / 2, "{bars:#?}");
    }

    #[test]
    fn what_cannot_be_calibrated_is_told() {
        let run =
            |dim: usize, options: CalibrateOptions| calibrate(&MatrixOperator::diagonal(vec![1.0; dim]), &context(), &options).unwrap_err();
        assert!(run(5001, Default::default()).to_string().contains("5001 parameters"));
        assert!(run(50, Default::default()).to_string().contains("--trace-probes"));
        assert!(matches!(run(200, CalibrateOptions { seeds: 0, ..Default::default() }), Error::Input(_)));
        let sampling = SamplingOptions { memory_budget: Some(100_000), ..Default::default() };
        assert!(matches!(run(200, CalibrateOptions { sampling, ..Default::default() }), Error::Memory(_)));
    }
}
