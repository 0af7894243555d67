//! One checkpoint of a training run, and what many of them say together.
//!
//! Each checkpoint is known by what it holds, so that adding one costs one: the numbers of the others are kept by whoever calls. The
//! search for the extreme pairs starts from the vectors of the checkpoint before, which turn little from one to the next.

use serde::{Deserialize, Serialize};

use super::context::JobContext;
use super::eigs::{EigsOptions, eigs};
use super::lanczos_run::{Sampled, SamplingOptions, sample};
use super::record::{DataRecord, Meter, ModelRecord};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator, Workload};
use crate::error::Result;
use crate::estimate::{Reading, Trend, negative_share, trends};

/// What is found at each checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrackOptions {
    /// Largest eigenvalues.
    pub top: usize,
    /// Smallest eigenvalues.
    pub bottom: usize,
    /// Their largest residual relative to the largest magnitude; none for the default of [`EigsOptions`].
    pub tol: Option<f64>,
    /// For trace and negative share.
    pub sampling: SamplingOptions,
}

impl Default for TrackOptions {
    fn default() -> Self {
        let sampling = SamplingOptions { probes: 6, steps: 40, deflate: 16, ..SamplingOptions::default() };
        Self { top: 1, bottom: 1, tol: None, sampling }
    }
}

/// An extreme eigenvalue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extreme {
    /// θ.
    pub value: f64,
    /// Some eigenvalue lies within this of it, rounding included.
    pub residual: f64,
}

/// A mean with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ci {
    /// The estimate.
    pub mean: f64,
    /// Its standard error; none with one probe.
    pub std_error: Option<f64>,
    /// Student's interval at 95 %.
    pub ci95: Option<[f64; 2]>,
}

/// A share between bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The estimate.
    pub mean: f64,
    /// At least.
    pub lower: f64,
    /// At most.
    pub upper: f64,
}

/// The numbers of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackPoint {
    /// The step of training.
    pub step: Option<u64>,
    /// The file, or none for a network that trains.
    pub checkpoint: Option<String>,
    /// f(θ).
    pub loss: f64,
    /// ‖∇f(θ)‖.
    pub gradient_norm: f64,
    /// Descending.
    pub largest: Vec<Extreme>,
    /// Ascending.
    pub smallest: Vec<Extreme>,
    /// tr A.
    pub trace: Ci,
    /// The share of negative eigenvalues.
    pub negative_share: Share,
    /// Whether the eigenvalues reached their tolerance.
    pub accuracy_reached: bool,
    /// Products that it took.
    pub hvps: u64,
    /// Time that it took.
    pub seconds: f64,
    /// What computed.
    pub backend: BackendInfo,
}

/// A checkpoint's numbers, and the unit vectors of its extreme eigenvalues, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// The numbers.
    pub point: TrackPoint,
    /// [top + bottom, n].
    pub vectors: Vec<f64>,
}

/// Finds the numbers of one checkpoint.
pub struct TrackJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a TrackOptions,
    /// Vectors of the checkpoint before, or nothing.
    pub start: &'a [f64],
    /// The step of training.
    pub step: Option<u64>,
    /// The file.
    pub checkpoint: Option<String>,
}

impl TrackJob<'_> {
    fn eigs_options(&self) -> EigsOptions {
        let TrackOptions { top, bottom, tol, sampling } = self.options;
        EigsOptions {
            top: *top,
            bottom: *bottom,
            tol: *tol,
            seed: sampling.seed,
            vectors: true,
            memory_budget: sampling.memory_budget,
            ..EigsOptions::default()
        }
    }
}

impl OperatorJob for TrackJob<'_> {
    type Output = Tracked;

    fn workload(&self, dim: usize) -> Workload {
        self.options.sampling.workload(dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<Tracked> {
        let meter = Meter::start(operator, self.context);
        let product = spot_check.measure(self.options.sampling.seed)?;
        let plan = self.options.sampling.plan(operator)?;
        let found = eigs(operator, self.context, &self.eigs_options(), self.start, product)?;
        let Sampled { measure, seconds, .. } = sample(operator, self.context.progress, &plan, product)?;
        let extreme = |eigenvalue: &super::Eigenvalue| Extreme { value: eigenvalue.value, residual: eigenvalue.residual };
        let (trace, share, stats) = (measure.trace(), negative_share(&measure), meter.stats(operator, seconds));
        let point = TrackPoint {
            step: self.step,
            checkpoint: self.checkpoint,
            loss: found.header.loss.value,
            gradient_norm: found.header.loss.gradient_norm,
            largest: found.eigenvalues.largest.iter().map(extreme).collect(),
            smallest: found.eigenvalues.smallest.iter().map(extreme).collect(),
            trace: Ci { mean: trace.mean, std_error: trace.std_error, ci95: trace.ci95 },
            negative_share: Share { mean: share.mean, lower: share.lower, upper: share.upper },
            accuracy_reached: found.accuracy_reached,
            hvps: stats.hvps,
            seconds: stats.seconds.total,
            backend: operator.info(),
        };
        Ok(Tracked { point, vectors: found.vectors.map_or_else(Vec::new, |vectors| vectors.vectors) })
    }
}

/// The course of each number, in straight parts that differ by more than bars and scatter; see [`trends`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trends {
    /// Of the largest eigenvalue.
    pub largest: Vec<Trend>,
    /// Of the smallest eigenvalue.
    pub smallest: Vec<Trend>,
    /// Of the trace.
    pub trace: Vec<Trend>,
    /// Of the negative share.
    pub negative_share: Vec<Trend>,
    /// Of the loss.
    pub loss: Vec<Trend>,
    /// Of the gradient's norm.
    pub gradient_norm: Vec<Trend>,
}

impl Trends {
    /// Of `points` in their order, at their steps where all have one.
    pub fn of(points: &[TrackPoint]) -> Self {
        let has_steps = points.iter().all(|point| point.step.is_some());
        let course = |reading: &dyn Fn(&TrackPoint) -> Option<(f64, f64)>| {
            #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵³")]
            let at = |index: usize, point: &TrackPoint| point.step.filter(|_| has_steps).map_or(index as f64, |step| step as f64);
            let readings = points
                .iter()
                .enumerate()
                .filter_map(|(index, point)| reading(point).map(|(value, error)| Reading { at: at(index, point), value, error }));
            trends(&readings.collect::<Vec<_>>())
        };
        Self {
            largest: course(&|point| point.largest.first().map(|extreme| (extreme.value, extreme.residual))),
            smallest: course(&|point| point.smallest.first().map(|extreme| (extreme.value, extreme.residual))),
            trace: course(&|point| Some((point.trace.mean, point.trace.std_error?))),
            // Bounds at 95 %: two standard errors to either side.
            negative_share: course(&|point| {
                Some((point.negative_share.mean, 0.25 * (point.negative_share.upper - point.negative_share.lower)))
            }),
            loss: course(&|point| Some((point.loss, 0.0))),
            gradient_norm: course(&|point| Some((point.gradient_norm, 0.0))),
        }
    }
}

/// Where the largest eigenvalue is beside the edge of stability, as shares of it: 1 is at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// At the last checkpoint.
    pub last: f64,
    /// The first checkpoint at or above the edge, counted from 0.
    pub reached: Option<usize>,
    /// The least from there on.
    pub lowest: Option<f64>,
    /// The most from there on.
    pub highest: Option<f64>,
    /// The mean from there on.
    pub mean: Option<f64>,
    /// The share of the checkpoints from there on that are within a tenth of the edge.
    pub within_tenth: Option<f64>,
}

impl Edge {
    /// Of `points` in their order; none where no largest eigenvalue is asked for.
    pub fn of(points: &[TrackPoint], threshold: f64) -> Option<Self> {
        Self::of_shares(&points.iter().filter_map(|point| Some(point.largest.first()?.value / threshold)).collect::<Vec<_>>())
    }

    fn of_shares(shares: &[f64]) -> Option<Self> {
        let reached = shares.iter().position(|&share| share >= 1.0);
        let since = || shares[reached.unwrap_or(shares.len())..].iter().copied();
        #[expect(clippy::cast_precision_loss, reason = "checkpoints are few")]
        let mean = |values: &mut dyn Iterator<Item = f64>| reached.map(|first| values.sum::<f64>() / (shares.len() - first) as f64);
        Some(Self {
            last: *shares.last()?,
            reached,
            lowest: since().reduce(f64::min),
            highest: since().reduce(f64::max),
            mean: mean(&mut since()),
            within_tenth: mean(&mut since().map(|share| f64::from(u8::from((share - 1.0).abs() <= 0.1)))),
        })
    }
}

/// `hesper.track/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackReport {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The network.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// The loss's name.
    pub loss: String,
    /// λ.
    pub weight_decay: f64,
    /// Which operator.
    pub operator: Curvature,
    /// How.
    pub options: TrackOptions,
    /// The learning rate η, where it is known: λmax hovers at 2/η at the edge of stability (Cohen et al. 2021).
    pub learning_rate: Option<f64>,
    /// 2/η.
    pub stability_threshold: Option<f64>,
    /// The largest eigenvalue beside that.
    pub edge: Option<Edge>,
    /// In their order.
    pub checkpoints: Vec<TrackPoint>,
    /// How the numbers move.
    pub trends: Trends,
    /// Whether all eigenvalues reached their tolerance.
    pub accuracy_reached: bool,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

impl TrackReport {
    /// The report of `points`, all of the subject of `context`.
    pub fn new(
        context: &JobContext<'_>,
        options: &TrackOptions,
        learning_rate: Option<f64>,
        points: Vec<TrackPoint>,
        mut warnings: Vec<String>,
    ) -> Self {
        let subject = &context.subject;
        let threshold = learning_rate.map(|rate| 2.0 / rate);
        let inaccurate = points.iter().filter(|point| !point.accuracy_reached).count();
        if inaccurate > 0 {
            warnings.push(format!("the eigenvalues of {inaccurate} of {} checkpoints did not reach --tol", points.len()));
        }
        Self {
            schema: "hesper.track/1",
            version: env!("CARGO_PKG_VERSION"),
            model: subject.model.clone(),
            data: subject.data.clone(),
            loss: subject.criterion.loss().to_string(),
            weight_decay: subject.weight_decay.factor,
            operator: subject.curvature,
            options: options.clone(),
            learning_rate,
            stability_threshold: threshold,
            edge: threshold.and_then(|threshold| Edge::of(&points, threshold)),
            trends: Trends::of(&points),
            accuracy_reached: inaccurate == 0,
            checkpoints: points,
            warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_scored_from_where_it_is_reached() {
        let edge = Edge::of_shares(&[0.2, 0.95, 1.05, 1.2, 0.75, 1.0]).unwrap();
        let expected =
            Edge { last: 1.0, reached: Some(2), lowest: Some(0.75), highest: Some(1.2), mean: Some(1.0), within_tenth: Some(0.5) };
        assert_eq!(edge, expected);
        let below = Edge::of_shares(&[0.2, 0.95]).unwrap();
        assert_eq!((below.last, below.reached, below.mean, below.within_tenth), (0.95, None, None, None));
        assert_eq!(Edge::of_shares(&[]), None);
    }
}
