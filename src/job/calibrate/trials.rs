//! One seed: every estimator once, each bar held against the exact value.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::exact::{Known, Spectrum};
use crate::error::Result;
use crate::estimate::{
    Bounded, CONFIDENCE, DiagonalMethod, Estimate, MIN_PROBES, NegativeShare, Probe, Products, SpectralMeasure, Stopping, TraceMethod,
    damped, diagonal, frobenius_squared, functionals, negative_share, student_quantile,
};
use crate::job::lanczos_run::{Sampled, SamplingPlan, extremes_of, sample};
use crate::job::progress::Silent;

/// A bar and whether it held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) quantity: Cow<'static, str>,
    pub(super) estimator: Cow<'static, str>,
    pub(super) nominal: f64,
    /// 1 or 0; where there are many cases, the share that held.
    pub(super) covered: f64,
    pub(super) half_width: f64,
    pub(super) products: usize,
}

/// Those of one estimator.
struct Judge {
    estimator: &'static str,
    products: usize,
    outcomes: Vec<Outcome>,
}

impl Judge {
    fn new(estimator: &'static str, products: usize) -> Self {
        Self { estimator, products, outcomes: Vec::new() }
    }

    /// A share of cases that held, as it is.
    fn share(&mut self, quantity: &'static str, nominal: f64, covered: f64, half_width: f64) {
        let (quantity, estimator, products) = (quantity.into(), self.estimator.into(), self.products);
        self.outcomes.push(Outcome { quantity, estimator, nominal, covered, half_width, products });
    }

    /// An interval of 95 % for `exact`.
    fn interval(&mut self, quantity: &'static str, [low, high]: [f64; 2], exact: f64) {
        let covered = f64::from(u8::from(low <= exact && exact <= high));
        self.share(quantity, CONFIDENCE, covered, 0.5 * (high - low) / exact.abs().max(f64::MIN_POSITIVE));
    }

    fn bounded(&mut self, quantity: &'static str, bounded: &Bounded, exact: f64) {
        self.interval(quantity, [bounded.lower, bounded.upper], exact);
    }

    fn estimate(&mut self, quantity: &'static str, estimate: &Estimate, exact: f64) {
        self.interval(quantity, estimate.ci95.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]), exact);
    }
}

/// What depends on the eigenvalues alone, and the distance of the quadrature from them.
pub(super) fn spectrum_trials(spectrum: &Spectrum, plan: &SamplingPlan, trace_probes: usize) -> Result<(Vec<Outcome>, f64)> {
    judge(spectrum, spectrum, plan, trace_probes)
}

/// Estimates of `operator`'s spectrum against `truth`.
pub(super) fn judge(operator: &Spectrum, truth: &Spectrum, plan: &SamplingPlan, trace_probes: usize) -> Result<(Vec<Outcome>, f64)> {
    let known = Known::diagonal(operator);
    let Sampled { measure, .. } = sample(&known, &Silent, plan, None)?;
    let mut outcomes = quadrature_outcomes(&measure, truth, plan)?;
    let rules = measure.whole_rules();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    let share = (rules.len() as f64).recip();
    let atoms = rules.iter().flat_map(|rule| rule.nodes.iter().copied().zip(rule.weights.iter().map(|weight| share * weight)));
    let distance = truth.wasserstein(atoms);

    let magnitudes = Known::diagonal(&operator.magnitudes());
    let Sampled { measure: semidefinite, .. } = sample(&magnitudes, &Silent, plan, None)?;
    let gamma = 1e-3 * truth.norm();
    let found = damped(&semidefinite, gamma)?;
    let mut damping = Judge::new("quadrature of |H|", plan.products(semidefinite.pairs().len()));
    damping.bounded("log det(A + cI)", &found.log_det, truth.sum(|x| (x.abs() + gamma).ln()));
    damping.bounded("effective dimension", &found.effective_dimension, truth.sum(|x| x.abs() / (x.abs() + gamma)));
    outcomes.extend(damping.outcomes);

    let trace = truth.sum(|x| x);
    for (estimator, method, probe) in [
        ("hutchinson gaussian", TraceMethod::Hutchinson, Probe::Gaussian),
        ("hutchinson sphere", TraceMethod::Hutchinson, Probe::Sphere),
        ("hutch-plus-plus", TraceMethod::HutchPlusPlus, Probe::Sphere),
        ("xtrace", TraceMethod::XTrace, Probe::Sphere),
    ] {
        outcomes.extend(trace_outcomes(&known, estimator, method, probe, plan.seed(), trace_probes, trace)?);
    }
    let (nystrom, of_magnitudes) = (TraceMethod::XNysTrace, truth.sum(f64::abs));
    outcomes.extend(trace_outcomes(&magnitudes, "xnystrace of |H|", nystrom, Probe::Sphere, plan.seed(), trace_probes, of_magnitudes)?);
    outcomes.extend(stopped_outcomes(&known, plan.seed(), trace)?);
    Ok((outcomes, distance))
}

fn quadrature_outcomes(measure: &SpectralMeasure, truth: &Spectrum, plan: &SamplingPlan) -> Result<Vec<Outcome>> {
    let mut judge = Judge::new("quadrature", plan.products(measure.pairs().len()));
    let count = truth.sum(|_| 1.0);
    judge.estimate("trace", &measure.trace(), truth.sum(|x| x));
    judge.estimate("Frobenius norm squared", &frobenius_squared(measure), truth.sum(|x| x * x));
    let ends = extremes_of(measure, plan.reorthogonalization, 1, 1)?;
    let norm = ends
        .largest
        .iter()
        .chain(&ends.smallest)
        .map(|ritz| (ritz.value.abs(), ritz.residual))
        .fold((0.0, 0.0), |x, y| if y.0 > x.0 { y } else { x });
    let found = functionals(measure, norm);
    judge.bounded("sum of magnitudes", &found.nuclear_norm, truth.sum(f64::abs));
    for (moment, name) in found.moments.iter().zip(["moment 1", "moment 2", "moment 3", "moment 4"]) {
        judge.bounded(name, &moment.value, truth.sum(|x| x.powi(moment.power)) / count);
    }
    judge.bounded("stable rank", &found.stable_rank, truth.sum(|x| x * x) / truth.norm().powi(2));
    judge.bounded("participation ratio", &found.participation_ratio, truth.sum(|x| x * x).powi(2) / truth.sum(|x| x.powi(4)));
    let NegativeShare { lower, upper, .. } = negative_share(measure);
    let negative = truth.sum(|x| f64::from(u8::from(x < 0.0))) / count;
    judge.share("negative share", CONFIDENCE, f64::from(u8::from(lower <= negative && negative <= upper)), 0.5 * (upper - lower));

    let points = truth.points(POINTS);
    let bounds = measure.cdf_bounds(&points);
    let inside: Vec<bool> = points.iter().zip(&bounds).map(|(&x, &(low, high))| low <= truth.cdf(x) && truth.cdf(x) <= high).collect();
    let width = mean(bounds.iter().map(|(low, high)| 0.5 * (high - low)));
    judge.share("distribution at any x", CONFIDENCE, mean(inside.iter().map(|&inside| f64::from(u8::from(inside)))), width);
    judge.share("distribution at all x at once", CONFIDENCE, f64::from(u8::from(inside.iter().all(|&inside| inside))), width);

    let nearest = |value: f64| truth.eigenvalues().iter().map(|exact| (exact - value).abs()).fold(f64::INFINITY, f64::min);
    let held = |value: f64, residual: f64| f64::from(u8::from(nearest(value) <= residual + measure.resolution()));
    let pairs = measure.pairs();
    let shares = pairs.iter().map(|pair| held(pair.value, pair.residual));
    judge.share(
        "known eigenvalues' residuals",
        1.0,
        if pairs.is_empty() { 1.0 } else { mean(shares) },
        mean_or_zero(pairs.iter().map(|pair| pair.residual)) / truth.norm(),
    );
    Ok(judge.outcomes)
}

/// Places at which a distribution is judged, of each kind.
const POINTS: usize = 100;

fn trace_outcomes(
    operator: &Known,
    estimator: &'static str,
    method: TraceMethod,
    probe: Probe,
    seed: u64,
    probes: usize,
    exact: f64,
) -> Result<Vec<Outcome>> {
    // All methods are given the same number of products.
    let probes = probes / method.products_per_probe();
    let products = Products::new(operator, probes, &|_| {});
    let stopping = Stopping { probes, rtol: None, confidence: CONFIDENCE, max_probes: probes, rounding: 0.0 };
    let stopped = stopping.run(method.estimator(products, probe, seed).as_mut())?;
    let mut judge = Judge::new(estimator, probes * method.products_per_probe());
    judge.estimate("trace", &stopped.estimate, exact);
    Ok(judge.outcomes)
}

/// The relative accuracy at which a stopped estimate is judged.
const RTOL: f64 = 0.2;

fn stopped_outcomes(operator: &Known, seed: u64, exact: f64) -> Result<Vec<Outcome>> {
    let products = Products::new(operator, 32, &|_| {});
    let stopping = Stopping { probes: MIN_PROBES, rtol: Some(RTOL), confidence: CONFIDENCE, max_probes: 2048, rounding: 0.0 };
    let stopped = stopping.run(TraceMethod::Hutchinson.estimator(products, Probe::Gaussian, seed).as_mut())?;
    let mut judge = Judge::new("hutchinson gaussian, rtol 0.2", stopped.estimate.samples.len());
    judge.estimate("trace", &stopped.estimate, exact);
    Ok(judge.outcomes)
}

/// What depends on the basis.
pub(super) fn matrix_trials(matrix: &Known, spectrum: &Spectrum, seed: u64, probes: usize) -> Result<Vec<Outcome>> {
    let mut outcomes =
        trace_outcomes(matrix, "hutchinson rademacher", TraceMethod::Hutchinson, Probe::Rademacher, seed, probes, spectrum.sum(|x| x))?;
    let exact = matrix.diagonal_elements();
    let scale = mean(exact.iter().map(|element| element.abs()));
    for (estimator, method, count) in
        [("hutchinson rademacher", DiagonalMethod::Hutchinson, probes), ("xdiag", DiagonalMethod::XDiag, probes / 2)]
    {
        let found = diagonal(Products::new(matrix, count, &|_| {}), method, seed, count)?;
        let quantile = student_quantile(count, CONFIDENCE);
        let errors = found.std_error.unwrap_or_else(|| vec![f64::INFINITY; exact.len()]);
        let held = found
            .mean
            .iter()
            .zip(&errors)
            .zip(&exact)
            .map(|((mean, error), exact)| f64::from(u8::from((mean - exact).abs() <= quantile * error + f64::EPSILON * scale)));
        let mut judge = Judge::new(estimator, probes);
        judge.share("each element of the diagonal", CONFIDENCE, mean(held), quantile * mean(errors.iter().copied()) / scale);
        outcomes.extend(judge.outcomes);
    }
    Ok(outcomes)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn mean_or_zero(values: impl Iterator<Item = f64>) -> f64 {
    let mean = mean(values);
    if mean.is_nan() { 0.0 } else { mean }
}
