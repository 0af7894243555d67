//! The trace alone, and the diagonal, by products with random probes, to a requested accuracy.

use std::cell::Cell;
use std::time::Instant;

use serde::Serialize;

use super::context::JobContext;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::{OperatorJob, ProductError, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::estimate::{self, DiagonalEstimate, DiagonalMethod, Estimate, Probe, Products, Stopping, TraceMethod};
use crate::krylov::{LanczosSeconds, VectorSpace as _};
use crate::numeric::human_bytes;

/// How to estimate a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceOptions {
    /// The estimator.
    pub method: TraceMethod,
    /// Probes; with `rtol` those before the first look at the accuracy.
    pub probes: usize,
    /// Go on until the half-width of the interval is at most `rtol`·|mean|.
    pub rtol: Option<f64>,
    /// The level of that interval.
    pub confidence: f64,
    /// The most probes there may be where `rtol` is given.
    pub max_probes: usize,
    /// What Hutchinson's probes are drawn from.
    pub distribution: Probe,
    /// Whether to estimate the diagonal as well, from `probes` probes of its own.
    pub diagonal: Option<DiagonalMethod>,
    /// The seed of the probes.
    pub seed: u64,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for up to 32, as the memory allows. Hutchinson's result does not depend on it.
    pub columns: Option<usize>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            method: TraceMethod::Hutchinson,
            probes: 32,
            rtol: None,
            confidence: estimate::CONFIDENCE,
            max_probes: 8192,
            distribution: Probe::Rademacher,
            diagonal: None,
            seed: 0,
            memory_budget: None,
            columns: None,
        }
    }
}

/// What accuracy was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TraceAccuracy {
    /// Half the width of the interval of level `confidence`; null with one probe.
    pub half_width: Option<f64>,
    /// half_width / |mean|.
    pub relative: Option<f64>,
    /// What was asked for.
    pub rtol: Option<f64>,
    /// The level.
    pub confidence: f64,
    /// Times that the interval was looked at; it is widened so that it holds after all of them.
    pub looks: usize,
    /// What part of the half-width is for rounding.
    pub rounding: f64,
}

/// `hesper.trace/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: TraceOptions,
    /// tr H.
    pub trace: Estimate,
    /// How sure.
    pub accuracy: TraceAccuracy,
    /// False where `rtol` was asked for and not reached.
    pub accuracy_reached: bool,
    /// The diagonal, where it was asked for; written to a file of its own.
    #[serde(skip)]
    pub diagonal: Option<DiagonalEstimate>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// tr H by the method asked for; products are as exact as `product` says.
///
/// With `rtol` the number of probes is doubled until the interval is narrow enough; see [`Stopping`] for why it then still holds.
///
/// # Errors
/// [`Error::Input`] for options that make no sense, [`Error::Memory`] where the probes do not fit the budget, [`Error::NonFinite`] where
/// a product is, and device failures.
pub fn trace<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &TraceOptions,
    product: Option<ProductError>,
) -> Result<TraceReport> {
    let meter = Meter::start(operator, context);
    if options.columns == Some(0) {
        return Err(Error::Input("--columns must be at least 1".into()));
    }
    let curvature = context.subject.curvature;
    if options.method == TraceMethod::XNysTrace && !curvature.is_positive_semidefinite() {
        return Err(Error::Input(format!(
            "xnystrace needs a positive semidefinite operator, which the {curvature} is not: use --method xtrace"
        )));
    }
    let max_probes = affordable(operator, options)?;
    let header = Header::new("hesper.trace/1", operator, context)?;
    let wanted = options.columns.unwrap_or(memory::MAX_COLUMNS);
    let columns = memory::columns(operator, options.memory_budget, memory::PRODUCT_VECTORS, wanted);
    let (begin, done) = (Instant::now(), Cell::new(0));
    let observe = |products: u64| {
        done.set(done.get() + products);
        context.progress.update(Stage::Probes, done.get(), done.get().max((options.probes * options.method.products_per_probe()) as u64));
    };
    let products = Products::new(operator, columns, &observe);
    // Σ|vᵀEv| of a basis is at most √n·‖E‖_F, and ‖E‖_F the products' relative error of √n·‖Hv‖/‖v‖.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    let rounding = product.map_or(0.0, |product| operator.space().dim() as f64 * product.relative * product.magnitude);
    let stopping = Stopping { probes: options.probes, rtol: options.rtol, confidence: options.confidence, max_probes, rounding };
    let mut estimator = options.method.estimator(products, options.distribution, options.seed);
    let stopped = stopping.run(estimator.as_mut())?;
    drop(estimator);
    let diagonal = options.diagonal.map(|method| estimate::diagonal(products, method, options.seed, options.probes)).transpose()?;
    let relative = stopped.half_width.map(|half_width| half_width / stopped.estimate.mean.abs()).filter(|relative| relative.is_finite());
    let mut warnings = [operator.warnings(), context.subject.notices.clone()].concat();
    if !stopped.reached {
        let remedy = if max_probes < options.max_probes { "--memory-budget" } else { "--max-probes" };
        warnings.push(format!(
            "the interval is not within {:e} of the mean after {} probes: raise {remedy} or --rtol",
            options.rtol.unwrap_or_default(),
            stopped.estimate.samples.len()
        ));
    }
    if stopped.half_width.is_none() {
        warnings.push("one probe tells no spread: the standard error is null; use --probes 2 or more".into());
    }
    Ok(TraceReport {
        header,
        options: options.clone(),
        accuracy: TraceAccuracy {
            half_width: stopped.half_width,
            relative,
            rtol: options.rtol,
            confidence: options.confidence,
            looks: stopped.looks,
            rounding,
        },
        trace: stopped.estimate,
        accuracy_reached: stopped.reached,
        diagonal,
        stats: meter.stats(operator, LanczosSeconds { products: begin.elapsed(), ..LanczosSeconds::default() }),
        warnings,
    })
}

/// The most probes that the budget, the dimension and the options allow.
fn affordable<A: CurvatureOperator>(operator: &A, options: &TraceOptions) -> Result<usize> {
    let dim = operator.space().dim();
    let vectors = options.method.host_vectors_per_probe().max(if options.diagonal == Some(DiagonalMethod::XDiag) { 6 } else { 0 });
    if vectors == 0 {
        return Ok(options.max_probes);
    }
    let each = (vectors * dim * size_of::<f64>()) as u64;
    let fitting = usize::try_from(memory::available(operator, options.memory_budget) / each).unwrap_or(usize::MAX);
    if fitting < options.probes {
        return Err(Error::Memory(format!(
            "{} probes need {} on the host ({vectors} vectors of {dim} doubles each), but the budget leaves {}: use fewer --probes, \
             --method hutchinson, or a larger --memory-budget",
            options.probes,
            human_bytes(each.saturating_mul(options.probes as u64)),
            human_bytes(memory::available(operator, options.memory_budget)),
        )));
    }
    Ok(options.max_probes.min(fitting).min(dim))
}

/// [`trace`] for [`backend::run`](crate::backend::run).
pub struct TraceJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a TraceOptions,
}

impl OperatorJob for TraceJob<'_> {
    type Output = TraceReport;

    fn workload(&self, _dim: usize) -> Workload {
        memory::products_workload(self.options.columns, self.options.probes)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<TraceReport> {
        trace(operator, self.context, self.options, spot_check.measure(self.options.seed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    /// tr = Σ i/10 = 43.5 for n = 30, with off-diagonal entries that make probes vary.
    fn operator() -> MatrixOperator {
        let entry = |i: u32, j: u32| if i == j { f64::from(i) / 10.0 } else { (f64::from(i * j) + f64::from(i + j)).sin() };
        MatrixOperator::dense(30, (0..30).flat_map(|i| (0..30).map(move |j| entry(i, j))).collect())
    }

    #[test]
    fn intervals_cover_the_trace_as_often_as_they_claim() {
        for distribution in [Probe::Rademacher, Probe::Gaussian, Probe::Sphere] {
            let covers = |seed: u64| {
                let options = TraceOptions { seed, distribution, probes: 16, ..Default::default() };
                let [low, high] = trace(&operator(), &context(), &options, None).unwrap().trace.ci95.unwrap();
                low <= 43.5 && 43.5 <= high
            };
            // At least 95 % of 400, less four binomial standard deviations of 4.4; an interval that always holds would say nothing.
            let covered = (0..400).filter(|&seed| covers(seed)).count();
            assert!((362..400).contains(&covered), "{distribution:?}: {covered} of 400 intervals cover the trace");
        }
    }

    #[test]
    fn doubles_until_the_accuracy_is_reached_or_says_that_it_is_not() {
        let options = TraceOptions { probes: 8, rtol: Some(0.05), max_probes: 100_000, ..Default::default() };
        let report = trace(&operator(), &context(), &options, None).unwrap();
        let count = report.trace.samples.len();
        assert!(report.accuracy_reached && report.accuracy.relative.unwrap() <= 0.05);
        assert!(count > 64 && count.is_power_of_two() && report.accuracy.looks > 3 && report.stats.hvps == count as u64, "{count}");
        let capped = trace(&operator(), &context(), &TraceOptions { max_probes: 9, ..options }, None).unwrap();
        assert!(!capped.accuracy_reached && capped.trace.samples.len() == 9 && capped.warnings[0].contains("--max-probes"));
        assert_eq!(capped.trace.samples[..], report.trace.samples[..9]);
    }

    #[test]
    fn batches_do_not_change_the_samples_and_cost_a_readback_each() {
        let run = |columns| trace(&operator(), &context(), &TraceOptions { probes: 10, columns, ..Default::default() }, None).unwrap();
        let (at_once, in_threes) = (run(None), run(Some(3)));
        assert_eq!(at_once.trace, in_threes.trace);
        assert_eq!((at_once.stats.readbacks, in_threes.stats.readbacks), (2, 5));
    }

    #[test]
    fn every_method_estimates_the_trace_with_the_products_it_promises() {
        for method in [TraceMethod::Hutchinson, TraceMethod::HutchPlusPlus, TraceMethod::XTrace] {
            let options = TraceOptions { method, probes: 20, columns: Some(6), ..Default::default() };
            let report = trace(&operator(), &context(), &options, None).unwrap();
            assert_eq!(report.stats.hvps, 20 * method.products_per_probe() as u64);
            let [low, high] = report.trace.ci95.unwrap();
            assert!(low <= 43.5 && 43.5 <= high, "{method:?}: {:?}", report.trace);
        }
        let error =
            trace(&operator(), &context(), &TraceOptions { method: TraceMethod::XNysTrace, ..Default::default() }, None).unwrap_err();
        assert!(error.to_string().contains("hessian") && error.to_string().contains("--method xtrace"), "{error}");
    }

    #[test]
    fn the_diagonal_comes_along_and_what_does_not_fit_is_told() {
        for method in [DiagonalMethod::Hutchinson, DiagonalMethod::XDiag] {
            let options = TraceOptions { diagonal: Some(method), probes: 25, ..Default::default() };
            let estimate = trace(&operator(), &context(), &options, None).unwrap().diagonal.unwrap();
            let errors = estimate.std_error.unwrap();
            let within = (0..30).filter(|&i| (estimate.mean[i] - i as f64 / 10.0).abs() <= 3.0 * errors[i]).count();
            assert!(within >= 27, "{method:?}: {within} of 30");
        }
        let options = TraceOptions { method: TraceMethod::XTrace, memory_budget: Some(1000 + 3 * 5 * 30 * 8), ..Default::default() };
        let error = trace(&operator(), &context(), &TraceOptions { probes: 4, ..options.clone() }, None).unwrap_err();
        assert!(matches!(&error, Error::Memory(message) if message.contains("--memory-budget")), "{error}");
        let capped = trace(&operator(), &context(), &TraceOptions { probes: 3, rtol: Some(1e-9), ..options }, None).unwrap();
        assert!(!capped.accuracy_reached && capped.warnings[0].contains("--memory-budget"), "{:?}", capped.warnings);
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [TraceOptions { probes: 0, ..Default::default() }, TraceOptions { rtol: Some(0.0), ..Default::default() }] {
            assert!(matches!(trace(&operator(), &context(), &options, None), Err(Error::Input(_))), "{options:?}");
        }
    }
}
