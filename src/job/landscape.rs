//! The loss itself around the point, along eigenvectors: how far the quadratic picture that a Hessian gives holds.

use serde::Serialize;

use super::context::JobContext;
use super::eigs::{Eigenvectors, EigsOptions, eigs};
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::cpu;
use crate::backend::{OperatorJob, ProductError, SpotCheck};
use crate::curvature::{CurvatureOperator, Objective, Workload};
use crate::error::{Error, Result};
use crate::krylov::{LanczosSeconds, Slot, VectorSpace as _, product};
use crate::numeric::Precision;
use crate::rng::{self, Distribution};

/// Which slices of the landscape.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LandscapeOptions {
    /// How many eigenvectors of the largest eigenvalues.
    pub top: usize,
    /// How many of the smallest.
    pub bottom: usize,
    /// Accuracy of the eigenpairs, as [`EigsOptions::tol`].
    pub tol: Option<f64>,
    /// Largest distance from the point, both ways; none for where the quadratic model doubles the loss, direction by direction.
    pub range: Option<f64>,
    /// Points of each curve, made odd so that the middle one is the point itself.
    pub points: usize,
    /// The two directions of the plane, counted from 1 in the order of the report; none for the first two.
    pub plane: Option<[usize; 2]>,
    /// Points of the plane each way, made odd; 0 for no plane.
    pub plane_points: usize,
    /// Of the random direction and of the search.
    pub seed: u64,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
}

impl Default for LandscapeOptions {
    fn default() -> Self {
        Self { top: 2, bottom: 1, tol: None, range: None, points: 41, plane: None, plane_points: 21, seed: 0, memory_budget: None }
    }
}

/// f(θ + t v) for a unit vector v.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// `largest 1`, `smallest 1`, ..., `random`.
    pub name: String,
    /// ∇fᵀv.
    pub slope: f64,
    /// vᵀHv, the eigenvalue where v is an eigenvector.
    pub curvature: f64,
    /// t, ascending, 0 in the middle.
    pub t: Vec<f64>,
    /// f(θ + t v); null where it is not finite.
    pub loss: Vec<f64>,
    /// f + t ∇fᵀv + t²/2 vᵀHv.
    pub quadratic: Vec<f64>,
    /// The points around 0 between which the loss is within a tenth of what the model's terms change it by, its own error left out of account.
    pub holds: [f64; 2],
}

/// f(θ + a v + b w).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plane {
    /// Which slices' directions v and w are, counted from 1.
    pub directions: [usize; 2],
    /// a, ascending.
    pub a: Vec<f64>,
    /// b, ascending.
    pub b: Vec<f64>,
    /// A row for each b; null where it is not finite.
    pub loss: Vec<Vec<f64>>,
    /// The quadratic model in the same places.
    pub quadratic: Vec<Vec<f64>>,
}

/// `hesper.landscape/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LandscapeReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: LandscapeOptions,
    /// Curves along single directions.
    pub slices: Vec<Slice>,
    /// One plane.
    pub plane: Option<Plane>,
    /// How often the loss was evaluated.
    pub evaluations: usize,
    /// In which precision: that of the device on a GPU, double precision elsewhere.
    pub loss_precision: Precision,
    /// The largest difference from double precision at the middle and the ends of the first curve; null where it is that.
    pub loss_error: Option<f64>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The most that a direction of little curvature is followed farther than the sharpest one: by √100.
const FLATTEST: f64 = 0.01;

/// The share of what the model's terms change the loss by, within which the loss must be for the model to hold.
const HOLDS: f64 = 0.1;

/// The generator's number of the random direction; probes count up from 0.
const RANDOM: u32 = u32::MAX - 3;

/// A unit vector with all that the quadratic model needs.
struct Direction {
    name: String,
    vector: Vec<f64>,
    image: Vec<f64>,
    slope: f64,
    curvature: f64,
}

/// Losses along the eigenvectors of `operator`, found here or given as `vectors`, and along one random direction for comparison.
///
/// Losses are those of `objective` where the operator computes: on a GPU in single precision, so that a large network does not wait for the
/// processor, elsewhere in double precision. What single precision makes of them is measured at three points, and told where it hides the
/// curve.
///
/// # Errors
/// [`Error::Input`] for options that make no sense, and as [`eigs`].
pub fn landscape<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &LandscapeOptions,
    objective: &Objective,
    vectors: Option<Vec<f64>>,
    product: Option<ProductError>,
) -> Result<LandscapeReport> {
    let meter = Meter::start(operator, context);
    check(options)?;
    let header = Header::new("hesper.landscape/1", operator, context)?;
    let (vectors, mut warnings) = match vectors {
        Some(vectors) => (vectors, operator.warnings()),
        None => found(operator, context, options, product)?,
    };
    let directions = directions(operator, options, vectors)?;
    let loss = header.loss.value;
    let sharpest = directions.iter().map(|direction| direction.curvature.abs()).fold(f64::MIN_POSITIVE, f64::max);
    // 2·rise/κ = t²: where the quadratic term alone doubles the loss.
    let reach = |direction: &Direction| {
        let curvature = direction.curvature.abs().max(FLATTEST * sharpest);
        options.range.unwrap_or_else(|| (2.0 * loss.abs().max(1e-6) / curvature).sqrt())
    };
    let plane = plane_of(options, directions.len())?;
    let (points, side) = (options.points | 1, options.plane_points | 1);
    let total = directions.len() * points + plane.map_or(0, |_| side * side);
    let mut evaluations = 0;
    let theta = objective.network().parameters();
    let at = |steps: &[(f64, &Direction)]| {
        let mut parameters = theta.clone();
        steps.iter().for_each(|(t, direction)| objective.view().step(&mut parameters, *t, &direction.vector));
        parameters
    };
    let on_device = operator.loss_at(&theta)?.is_some();
    let mut evaluate = |steps: &[(f64, &Direction)]| -> Result<f64> {
        evaluations += 1;
        context.progress.update(Stage::Losses, evaluations as u64, total as u64);
        let parameters = at(steps);
        operator.loss_at(&parameters)?.map_or_else(|| cpu::loss_at(objective, &parameters), Ok)
    };
    let mut curves = Vec::new();
    for direction in &directions {
        let t = symmetric(reach(direction), points);
        let losses = t.iter().map(|&t| evaluate(&[(t, direction)])).collect::<Result<Vec<_>>>()?;
        curves.push((t, losses));
    }
    let plane = plane
        .map(|[first, second]| {
            let (v, w) = (&directions[first - 1], &directions[second - 1]);
            let (a, b) = (symmetric(reach(v), side), symmetric(reach(w), side));
            let mixed: f64 = v.image.iter().zip(&w.vector).map(|(x, y)| x * y).sum();
            let model = |a: f64, b: f64| v.model(loss, a) + w.model(loss, b) - loss + a * b * mixed;
            let losses = b.iter().map(|&b| a.iter().map(|&a| evaluate(&[(a, v), (b, w)])).collect()).collect::<Result<_>>()?;
            let quadratic = b.iter().map(|&b| a.iter().map(|&a| model(a, b)).collect()).collect();
            Ok::<_, Error>(Plane { directions: [first, second], a, b, loss: losses, quadratic })
        })
        .transpose()?;
    let loss_error = on_device.then(|| {
        let (t, losses) = &curves[0];
        let off = |&index: &usize| Ok((losses[index] - cpu::loss_at(objective, &at(&[(t[index], &directions[0])]))?).abs());
        [0, points / 2, points - 1].iter().map(off).try_fold(0.0_f64, |worst, off: Result<f64>| Ok::<_, Error>(worst.max(off?)))
    });
    let loss_error = loss_error.transpose()?;
    let slices: Vec<Slice> =
        directions.iter().zip(curves).map(|(direction, (t, losses))| direction.slice(loss, t, losses, loss_error)).collect();
    warnings.extend(loss_error.and_then(|error| blurred(&slices, error)));
    Ok(LandscapeReport {
        header,
        options: options.clone(),
        slices,
        plane,
        evaluations,
        loss_precision: if on_device { operator.info().precision } else { Precision::F64 },
        loss_error,
        stats: meter.stats(operator, LanczosSeconds::default()),
        warnings,
    })
}

/// The curves whose losses differ by little more than their error.
fn blurred(slices: &[Slice], error: f64) -> Option<String> {
    let height = |slice: &Slice| slice.loss.iter().map(|loss| (loss - slice.loss[slice.loss.len() / 2]).abs()).fold(0.0, f64::max);
    let names: Vec<_> = slices.iter().filter(|slice| height(slice) < CLEAR * error).map(|slice| slice.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "along {} the loss changes by less than {CLEAR} times what single precision makes of it, {error:.1e}: use --backend cpu, or a wider \
             --range",
            names.join(", ")
        )
    })
}

/// Multiples of the losses' error by which a curve should rise or fall.
const CLEAR: f64 = 20.0;

fn check(options: &LandscapeOptions) -> Result<()> {
    if options.points < 3 {
        return Err(Error::Input(format!("{} points: a curve needs at least 3", options.points)));
    }
    Ok(())
}

/// The plane's directions, which must be there and differ; none where there is no plane to draw.
fn plane_of(options: &LandscapeOptions, directions: usize) -> Result<Option<[usize; 2]>> {
    match options.plane {
        _ if options.plane_points == 0 => Ok(None),
        None => Ok((directions >= 2).then_some([1, 2])),
        Some([first, second]) if first != second && (1..=directions).contains(&first) && (1..=directions).contains(&second) => {
            Ok(Some([first, second]))
        }
        Some([first, second]) => Err(Error::Input(format!(
            "--plane {first},{second}: two different directions from 1 to {directions} are needed, the last of which is the random one"
        ))),
    }
}

/// Eigenvectors, one after another, and what the search has to say.
fn found<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &LandscapeOptions,
    product: Option<ProductError>,
) -> Result<(Vec<f64>, Vec<String>)> {
    let LandscapeOptions { top, bottom, tol, seed, memory_budget, .. } = *options;
    if top + bottom == 0 {
        return Ok((Vec::new(), operator.warnings()));
    }
    let eigs_options = EigsOptions { top, bottom, tol, seed, memory_budget, vectors: true, ..EigsOptions::default() };
    let report = eigs(operator, context, &eigs_options, &[], product)?;
    let vectors = report.vectors.map_or_else(Vec::new, |Eigenvectors { vectors, .. }| vectors);
    Ok((vectors, report.warnings))
}

/// The asked ones of `vectors` by their curvature, then a random one; one product each, and one readback of the gradient.
fn directions<A: CurvatureOperator>(operator: &A, options: &LandscapeOptions, vectors: Vec<f64>) -> Result<Vec<Direction>> {
    let space = operator.space();
    let dim = space.dim();
    let (mut block, mut scalars) = (space.block(1)?, space.scalars(1, 1)?);
    operator.loss_and_gradient(&mut block, &mut scalars, Slot(0))?;
    let gradient = space.download(&block)?;
    let direction = |name: String, vector: &[f64]| -> Result<Direction> {
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !norm.is_normal() {
            return Err(Error::Input(format!("direction {name} has norm {norm}: it must be finite and not zero")));
        }
        let vector: Vec<f64> = vector.iter().map(|x| x / norm).collect();
        let image = product(operator, &vector)?;
        let dot = |x: &[f64]| x.iter().zip(&vector).map(|(x, v)| x * v).sum::<f64>();
        let (slope, curvature) = (dot(&gradient), dot(&image));
        Ok(Direction { name, image, slope, curvature, vector })
    };
    let given = vectors.chunks_exact(dim).enumerate().map(|(at, vector)| direction(format!("vector {}", at + 1), vector));
    let mut given = given.collect::<Result<Vec<_>>>()?;
    given.sort_by(|x, y| y.curvature.total_cmp(&x.curvature));
    let (top, bottom) = (options.top.min(given.len()), options.bottom.min(given.len().saturating_sub(options.top)));
    let lower = given.split_off(given.len() - bottom);
    given.truncate(top);
    (1..).zip(&mut given).for_each(|(rank, direction)| direction.name = format!("largest {rank}"));
    for (rank, direction) in (1..).zip(lower.into_iter().rev()) {
        given.push(Direction { name: format!("smallest {rank}"), ..direction });
    }
    let mut random = vec![0.0; dim];
    rng::fill(Distribution::Gaussian, options.seed, RANDOM, &mut random);
    given.push(direction("random".into(), &random)?);
    Ok(given)
}

impl Direction {
    /// f + t ∇fᵀv + t²/2 vᵀHv.
    fn model(&self, loss: f64, t: f64) -> f64 {
        loss + t * self.slope + 0.5 * t * t * self.curvature
    }

    /// The curve of `losses`, each known to `error`.
    fn slice(&self, loss: f64, t: Vec<f64>, losses: Vec<f64>, error: Option<f64>) -> Slice {
        let quadratic: Vec<f64> = t.iter().map(|&t| self.model(loss, t)).collect();
        let holds = |at: usize| {
            let change = (t[at] * self.slope).abs() + 0.5 * t[at] * t[at] * self.curvature.abs();
            // The model's own constant is such a loss as well.
            (losses[at] - quadratic[at]).abs() <= HOLDS * change + 2.0 * error.unwrap_or(0.0)
        };
        let middle = t.len() / 2;
        let upper = (middle + 1..t.len()).take_while(|&at| holds(at)).last().unwrap_or(middle);
        let lower = (0..middle).rev().take_while(|&at| holds(at)).last().unwrap_or(middle);
        let holds = [t[lower], t[upper]];
        Slice { name: self.name.clone(), slope: self.slope, curvature: self.curvature, t, loss: losses, quadratic, holds }
    }
}

/// `count` equal steps from −`reach` to `reach`, 0 exactly in the middle.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
fn symmetric(reach: f64, count: usize) -> Vec<f64> {
    let half = count / 2;
    (0..count).map(|at| reach * (at as f64 - half as f64) / half as f64).collect()
}

/// [`landscape`] for [`backend::run`](crate::backend::run).
pub struct LandscapeJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// Which slices.
    pub options: &'a LandscapeOptions,
    /// Whose loss.
    pub objective: &'a Objective,
    /// Vectors from a file, one after another, in place of a search.
    pub vectors: Option<Vec<f64>>,
}

impl OperatorJob for LandscapeJob<'_> {
    type Output = LandscapeReport;

    fn workload(&self, dim: usize) -> Workload {
        let options = EigsOptions { top: self.options.top, bottom: self.options.bottom, ..EigsOptions::default() };
        options.workload(dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<LandscapeReport> {
        let product = spot_check.measure(self.options.seed)?;
        landscape(operator, self.context, self.options, self.objective, self.vectors, product)
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::Subject;
    use super::super::progress::Silent;
    use super::*;
    use crate::backend::reference::Reference;
    use crate::curvature::{Curvature, Inputs, Storage};
    use crate::model::{Activation, Dense, Loss, Network, Targets};

    /// A tanh network whose derivatives are all of order one.
    fn objective() -> Objective {
        let wave = |count: usize, phase: f64| (0_u32..).take(count).map(|i| (f64::from(i) * 0.7 + phase).sin()).collect::<Vec<_>>();
        let layer = |inputs: usize, outputs: usize, activation| {
            (Dense { inputs, outputs, weight: wave(inputs * outputs, 0.3), bias: Some(wave(outputs, 0.1)) }, activation)
        };
        let network = Network::chain(3, [layer(3, 4, Activation::Tanh), layer(4, 2, Activation::Identity)]).unwrap();
        let inputs = Inputs::new(Storage::F64(wave(30, 0.5)), 3, 1.0).unwrap();
        Objective::new(network, Loss::Mse, 0.01, inputs, Targets::Values(wave(20, 0.9))).unwrap()
    }

    fn run(options: &LandscapeOptions) -> Result<LandscapeReport> {
        let objective = objective();
        let context = JobContext::new(Subject::new(&objective, Curvature::Hessian, "waves"), &Silent);
        landscape(&Reference::new(&objective, Curvature::Hessian)?, &context, options, &objective, None, None)
    }

    /// Loss, gradient and products come from the reference, the losses along the curve from the forward pass: a Taylor series joins them.
    #[test]
    fn near_the_point_the_model_is_off_by_the_third_order_alone() {
        let off = |range: f64| {
            let report = run(&LandscapeOptions { range: Some(range), points: 5, ..LandscapeOptions::default() }).unwrap();
            assert_eq!(report.slices.len(), 4);
            let names: Vec<_> = report.slices.iter().map(|slice| slice.name.as_str()).collect();
            assert_eq!(names, ["largest 1", "largest 2", "smallest 1", "random"]);
            assert!(report.slices.iter().all(|slice| slice.t[2] == 0.0 && (slice.loss[2] - slice.quadratic[2]).abs() < 1e-14));
            let plane = report.plane.unwrap();
            let corner = (plane.loss[0][0] - plane.quadratic[0][0]).abs();
            let ends = report.slices.iter().map(|slice| (slice.loss[4] - slice.quadratic[4]).abs());
            ends.chain([corner]).collect::<Vec<_>>()
        };
        for (wide, narrow) in off(0.02).into_iter().zip(off(0.01)) {
            assert!((wide / narrow).log2() > 2.8 && wide < 1e-4, "{wide:e} {narrow:e}");
        }
    }

    #[test]
    fn the_model_holds_near_and_fails_far() {
        let near = run(&LandscapeOptions { range: Some(1e-3), ..LandscapeOptions::default() }).unwrap();
        assert!(near.slices.iter().all(|slice| slice.holds == [-1e-3, 1e-3]));
        let far = run(&LandscapeOptions { range: Some(30.0), plane_points: 0, ..LandscapeOptions::default() }).unwrap();
        assert!(far.plane.is_none() && far.slices.iter().any(|slice| slice.holds[1] < 30.0));
        assert_eq!(far.evaluations, 4 * 41);
    }

    #[test]
    fn impossible_planes_are_refused() {
        for plane in [[1, 1], [0, 1], [1, 9]] {
            let error = run(&LandscapeOptions { plane: Some(plane), ..LandscapeOptions::default() }).unwrap_err();
            assert!(error.to_string().contains("from 1 to 4"), "{error}");
        }
    }
}
