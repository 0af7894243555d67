//! The trace alone, by products with random probes, to a requested accuracy.

use std::time::Instant;

use serde::Serialize;

use super::context::JobContext;
use super::lanczos_run::probe_count;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::OperatorJob;
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::krylov::{LanczosSeconds, Slot, VectorSpace as _};
use crate::rng::Distribution;

/// How to estimate a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceOptions {
    /// Probes; with `rtol` those before the first look at the accuracy.
    pub probes: usize,
    /// Go on until the half-width of the 95 % interval is at most `rtol`·|mean|.
    pub rtol: Option<f64>,
    /// The most probes there may be where `rtol` is given.
    pub max_probes: usize,
    /// What probes are drawn from.
    pub distribution: Distribution,
    /// The seed of the probes.
    pub seed: u64,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for up to 32, as the memory allows. The result does not depend on it.
    pub columns: Option<usize>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            probes: 32,
            rtol: None,
            max_probes: 8192,
            distribution: Distribution::Rademacher,
            seed: 0,
            memory_budget: None,
            columns: None,
        }
    }
}

/// What accuracy was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TraceAccuracy {
    /// Half the width of the 95 % interval; null with one probe.
    pub half_width: Option<f64>,
    /// half_width / |mean|.
    pub relative: Option<f64>,
    /// What was asked for.
    pub rtol: Option<f64>,
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
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// tr H = `E[vᵀHv]` over random probes v (Girard 1989; Hutchinson 1990).
///
/// With `rtol` the number of probes is doubled until the interval is narrow enough: few looks, so that the interval keeps nearly its
/// nominal coverage. One readback a batch.
///
/// # Errors
/// [`Error::Input`] for options that make no sense, [`Error::NonFinite`] where a product is, and device failures.
pub fn trace<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &TraceOptions) -> Result<TraceReport> {
    let meter = Meter::start(operator, context);
    let (first, most) = (probe_count(options.probes)?, probe_count(options.max_probes.max(options.probes))?);
    if options.columns == Some(0) || options.rtol.is_some_and(|rtol| rtol.is_nan() || rtol <= 0.0) {
        return Err(Error::Input("--columns must be at least 1 and --rtol positive".into()));
    }
    let header = Header::new("hesper.trace/1", operator, context)?;
    let mut sampler = Sampler::new(operator, context, options);
    let mut target = first;
    let estimate = loop {
        sampler.extend(target)?;
        let estimate = Estimate::from_samples(sampler.samples.clone());
        if target == most || options.rtol.is_none_or(|rtol| reaches(&estimate, rtol)) {
            break estimate;
        }
        target = target.saturating_mul(2).min(most);
    };
    let half_width = estimate.std_error.map(|_| estimate.half_width());
    let relative = half_width.map(|half_width| half_width / estimate.mean.abs()).filter(|relative| relative.is_finite());
    let accuracy_reached = options.rtol.is_none_or(|rtol| reaches(&estimate, rtol));
    let mut warnings = Vec::new();
    if !accuracy_reached {
        warnings.push(format!(
            "the 95 % interval is not within {:e} of the mean after {} probes: raise --max-probes or --rtol",
            options.rtol.unwrap_or_default(),
            estimate.samples.len()
        ));
    }
    if half_width.is_none() {
        warnings.push("one probe tells no spread: the standard error is null; use --probes 2 or more".into());
    }
    Ok(TraceReport {
        header,
        options: options.clone(),
        accuracy: TraceAccuracy { half_width, relative, rtol: options.rtol },
        trace: estimate,
        accuracy_reached,
        stats: meter.stats(operator, sampler.seconds),
        warnings,
    })
}

fn reaches(estimate: &Estimate, rtol: f64) -> bool {
    estimate.half_width() <= rtol * estimate.mean.abs()
}

/// Makes samples vᵀHv in batches; probes are numbered through.
struct Sampler<'a, A> {
    operator: &'a A,
    context: &'a JobContext<'a>,
    options: &'a TraceOptions,
    columns: usize,
    samples: Vec<f64>,
    seconds: LanczosSeconds,
}

impl<'a, A: CurvatureOperator> Sampler<'a, A> {
    fn new(operator: &'a A, context: &'a JobContext<'a>, options: &'a TraceOptions) -> Self {
        let wanted = options.columns.unwrap_or(memory::MAX_COLUMNS);
        let columns = memory::columns(operator, options.memory_budget, memory::PRODUCT_VECTORS, wanted);
        Self { operator, context, options, columns, samples: Vec::new(), seconds: LanczosSeconds::default() }
    }

    /// Goes on until there are `target` samples.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most `target` samples")]
    fn extend(&mut self, target: u32) -> Result<()> {
        let space = self.operator.space();
        while self.samples.len() < target as usize {
            let first_probe = self.samples.len() as u32;
            let columns = self.columns.min((target - first_probe) as usize);
            let (mut x, mut y, mut scalars) = (space.block(columns)?, space.block(columns)?, space.scalars(1, columns)?);
            space.fill(&mut x, self.options.distribution, self.options.seed, first_probe)?;
            let begin = Instant::now();
            self.operator.apply(&x, &mut y)?;
            self.seconds.products += begin.elapsed();
            space.dot(&x, &y, &mut scalars, Slot(0))?;
            let values = space.read(&scalars)?;
            if let Some(column) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::NonFinite(format!(
                    "trace: probe {} gave {}: a product is not finite; check the weights and the data's scale",
                    first_probe as usize + column,
                    values[column]
                )));
            }
            self.samples.extend(values);
            self.context.progress.update(Stage::Probes, self.samples.len() as u64, u64::from(target));
        }
        Ok(())
    }
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

    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<TraceReport> {
        trace(operator, self.context, self.options)
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
        for distribution in [Distribution::Rademacher, Distribution::Gaussian] {
            let covers = |seed: u64| {
                let options = TraceOptions { seed, distribution, probes: 16, ..Default::default() };
                let [low, high] = trace(&operator(), &context(), &options).unwrap().trace.ci95.unwrap();
                low <= 43.5 && 43.5 <= high
            };
            // 95 % of 400 with a binomial standard deviation of 4.4: four of them either way.
            let covered = (0..400).filter(|&seed| covers(seed)).count();
            assert!((362..=398).contains(&covered), "{distribution:?}: {covered} of 400 intervals cover the trace");
        }
    }

    #[test]
    fn doubles_until_the_accuracy_is_reached_or_says_that_it_is_not() {
        let options = TraceOptions { probes: 4, rtol: Some(0.05), max_probes: 100_000, ..Default::default() };
        let report = trace(&operator(), &context(), &options).unwrap();
        let count = report.trace.samples.len();
        assert!(report.accuracy_reached && report.accuracy.relative.unwrap() <= 0.05);
        assert!(count > 64 && count.is_power_of_two() && report.stats.hvps == count as u64, "{count}");
        let capped = trace(&operator(), &context(), &TraceOptions { max_probes: 9, ..options }).unwrap();
        assert!(!capped.accuracy_reached && capped.trace.samples.len() == 9 && capped.warnings[0].contains("--max-probes"));
        assert_eq!(capped.trace.samples[..], report.trace.samples[..9]);
    }

    #[test]
    fn batches_do_not_change_the_samples_and_cost_a_readback_each() {
        let run = |columns| trace(&operator(), &context(), &TraceOptions { probes: 10, columns, ..Default::default() }).unwrap();
        let (at_once, in_threes) = (run(None), run(Some(3)));
        assert_eq!(at_once.trace, in_threes.trace);
        assert_eq!((at_once.stats.readbacks, in_threes.stats.readbacks), (2, 5));
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [TraceOptions { probes: 0, ..Default::default() }, TraceOptions { rtol: Some(0.0), ..Default::default() }] {
            assert!(matches!(trace(&operator(), &context(), &options), Err(Error::Input(_))), "{options:?}");
        }
    }
}
