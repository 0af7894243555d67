//! Training, so that a spectrum can be followed from the first step: full-batch or mini-batch, by the gradient of any backend.
//!
//! A key design decision: parameters are rounded to the backend's precision after every step, as where everything is computed in that
//! precision, so that a checkpoint holds exactly what trains. Random numbers depend on seed and position alone, and the gradient does
//! not depend on the number of threads: neither does the course of training.

use std::fmt::{self, Display};
use std::str::FromStr;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::context::Subject;
use super::record::{DataRecord, ModelRecord, loss_and_gradient};
use super::track::{Edge, TrackOptions, TrackPoint, Trends};
use crate::backend::{Backend, OperatorJob, SpotCheck};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator, Objective, Workload};
use crate::error::{Error, Result};
use crate::model::{Activation, Dense, Network};
use crate::numeric::Precision;
use crate::rng::Stream;

/// How a step follows from the gradient g.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// v ← μv + g, θ ← θ − ηv, with momentum μ, as PyTorch's SGD.
    #[default]
    Sgd,
    /// Adam (Kingma and Ba 2015) with β = (0.9, 0.999) and ε = 10⁻⁸.
    Adam,
}

impl Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Sgd { "sgd" } else { "adam" })
    }
}

impl FromStr for Optimizer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Sgd, Self::Adam].into_iter().find(|optimizer| optimizer.to_string() == text).ok_or_else(|| "sgd or adam".into())
    }
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainOptions {
    /// How a step follows from the gradient.
    pub optimizer: Optimizer,
    /// η.
    pub learning_rate: f64,
    /// μ, of SGD.
    pub momentum: f64,
    /// Samples of a step; none for all of them.
    pub batch_size: Option<usize>,
    /// Steps in all.
    pub steps: u64,
    /// Of the initialization and the order of samples.
    pub seed: u64,
    /// Steps from one checkpoint to the next; none for the first and the last alone.
    pub save_every: Option<u64>,
    /// Steps from one look at the spectrum to the next; none for no look.
    pub track_every: Option<u64>,
    /// What is looked at.
    pub track: TrackOptions,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::Sgd,
            learning_rate: 0.1,
            momentum: 0.0,
            batch_size: None,
            steps: 100,
            seed: 0,
            save_every: None,
            track_every: None,
            track: TrackOptions::default(),
        }
    }
}

/// One step: of the parameters before it, on the samples that it used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 0.
    pub step: u64,
    /// f of its samples.
    pub loss: f64,
    /// ‖∇f‖ of them.
    pub gradient_norm: f64,
}

/// A network that trains; what it holds decides all that follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// Steps made.
    pub step: u64,
    /// θ.
    pub parameters: Vec<f64>,
    /// v of SGD, or Adam's first moment.
    first: Vec<f64>,
    /// Adam's second moment.
    second: Vec<f64>,
    /// All steps.
    pub history: Vec<StepRecord>,
    /// Looks at the spectrum.
    pub points: Vec<TrackPoint>,
    /// The vectors of the last look.
    pub vectors: Vec<f64>,
    /// Where and how it diverged.
    pub diverged: Option<String>,
}

impl Train {
    /// At the parameters of `network`, in `precision`.
    pub fn new(network: &Network, precision: Precision) -> Self {
        let parameters: Vec<f64> = network.parameters().into_iter().map(|value| precision.round(value)).collect();
        let zeros = vec![0.0; parameters.len()];
        Self {
            step: 0,
            first: zeros.clone(),
            second: zeros,
            parameters,
            history: Vec::new(),
            points: Vec::new(),
            vectors: Vec::new(),
            diverged: None,
        }
    }

    /// One step on `objective`'s data; false, with the parameters as they were, where loss, gradient or next parameters are not finite.
    ///
    /// # Errors
    /// Whatever the backend meets but a number that is not finite.
    pub fn advance(&mut self, backend: &Backend, objective: &Objective, options: &TrainOptions) -> Result<bool> {
        let network = objective.network().with_parameters(&self.parameters)?;
        let objective = match batch(objective.samples(), options, self.step) {
            Some(samples) => objective.select(&samples)?.with_network(network)?,
            None => objective.with_network(network)?,
        };
        // Of all operators the one that needs the least besides the gradient.
        let (info, loss, gradient) = match backend.run(&objective, Curvature::Ggn, GradientJob) {
            Ok(found) => found,
            Err(Error::NonFinite(why)) => return Ok(self.diverge(&why)),
            Err(error) => return Err(error),
        };
        let gradient_norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
        let next = self.moved(&gradient, options, info.precision);
        if !(loss.is_finite() && gradient_norm.is_finite() && next.iter().all(|x| x.is_finite())) {
            return Ok(self.diverge(&format!("loss {loss}, gradient norm {gradient_norm}")));
        }
        self.parameters = next;
        self.history.push(StepRecord { step: self.step, loss, gradient_norm });
        self.step += 1;
        Ok(true)
    }

    fn diverge(&mut self, why: &str) -> bool {
        self.diverged = Some(format!("training diverged at step {}: {why}; use a smaller --lr", self.step));
        false
    }

    /// θ after a step along `gradient`.
    fn moved(&mut self, gradient: &[f64], options: &TrainOptions, precision: Precision) -> Vec<f64> {
        const BETAS: [f64; 2] = [0.9, 0.999];
        const EPSILON: f64 = 1e-8;
        let rate = options.learning_rate;
        match options.optimizer {
            Optimizer::Sgd => {
                self.first.iter_mut().zip(gradient).for_each(|(v, g)| *v = options.momentum * *v + g);
                self.parameters.iter().zip(&self.first).map(|(x, v)| precision.round(x - rate * v)).collect()
            }
            Optimizer::Adam => {
                self.first.iter_mut().zip(gradient).for_each(|(m, g)| *m = BETAS[0] * *m + (1.0 - BETAS[0]) * g);
                self.second.iter_mut().zip(gradient).for_each(|(v, g)| *v = BETAS[1] * *v + (1.0 - BETAS[1]) * g * g);
                #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵³")]
                let [first, second] = BETAS.map(|beta| 1.0 - beta.powf(self.step as f64 + 1.0));
                let moments = self.first.iter().zip(&self.second);
                let step = |(m, v): (&f64, &f64)| rate * (m / first) / ((v / second).sqrt() + EPSILON);
                self.parameters.iter().zip(moments).map(|(x, moments)| precision.round(x - step(moments))).collect()
            }
        }
    }
}

/// The samples of step `step`: those of one epoch after another, each in an order of its own; a last batch that is not full is left out.
/// None for all.
fn batch(samples: usize, options: &TrainOptions, step: u64) -> Option<Vec<usize>> {
    let size = options.batch_size.filter(|&size| size < samples)?;
    let batches = (samples / size) as u64;
    let (epoch, at) = (step / batches, usize::try_from(step % batches).unwrap_or(0));
    let mut order: Vec<usize> = (0..samples).collect();
    let mut stream = Stream::new(options.seed, ORDER, u32::try_from(epoch).unwrap_or(u32::MAX));
    // Fisher and Yates.
    for last in (1..samples).rev() {
        order.swap(last, stream.random_range(0..=last));
    }
    Some(order[at * size..(at + 1) * size].to_vec())
}

/// The generator's numbers of the order of samples and of the initialization.
const ORDER: u32 = u32::MAX - 10;
const INIT: u32 = u32::MAX - 11;

/// A network of `widths` with PyTorch's default initialization of `nn.Linear`: weights and biases uniform in ±1/√inputs, from hesper's
/// own generator.
///
/// # Errors
/// [`Error::Input`] where widths and activations do not fit.
pub fn init(widths: &[usize], activations: &[Activation], output: Activation, seed: u64) -> Result<Network> {
    let hidden = widths.len().saturating_sub(2);
    if hidden > 0 && activations.len() != 1 && activations.len() != hidden {
        return Err(Error::Input(format!(
            "{} activations for {hidden} hidden layers: give one for all, or one for each",
            activations.len()
        )));
    }
    let layer = |(index, pair): (usize, &[usize])| {
        let (inputs, outputs) = (pair[0], pair[1]);
        let mut stream = Stream::new(seed, INIT, u32::try_from(index).unwrap_or(u32::MAX));
        #[expect(clippy::cast_precision_loss, reason = "widths are far below 2⁵³")]
        let bound = (inputs as f64).sqrt().recip();
        let mut draw = |count: usize| (0..count).map(|_| bound * (2.0 * stream.random::<f64>() - 1.0)).collect::<Vec<_>>();
        let (weight, bias) = (draw(inputs * outputs), draw(outputs));
        let activation = if index == hidden { output } else { activations[index.min(activations.len() - 1)] };
        (Dense { inputs, outputs, weight, bias: Some(bias) }, activation)
    };
    Network::chain(widths[0], widths.windows(2).enumerate().map(layer))
}

/// Finds what computes, f and ∇f.
pub struct GradientJob;

impl OperatorJob for GradientJob {
    type Output = (BackendInfo, f64, Vec<f64>);

    fn workload(&self, _dim: usize) -> Workload {
        Workload { columns: 1, vectors: 2, kept_bytes: 0 }
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<Self::Output> {
        let (loss, gradient) = loss_and_gradient(operator)?;
        Ok((operator.info(), loss, gradient))
    }
}

/// What computes the gradients of `objective` on `backend`.
///
/// # Errors
/// Whatever the backend meets.
pub fn device_of(backend: &Backend, objective: &Objective) -> Result<BackendInfo> {
    backend.run(objective, Curvature::Ggn, GradientJob).map(|(info, ..)| info)
}

/// `hesper.train/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
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
    /// What computed.
    pub backend: BackendInfo,
    /// Whose spectrum is looked at.
    pub operator: Curvature,
    /// How.
    pub options: TrainOptions,
    /// Steps made.
    pub steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// 2/η where that is the edge of stability: full-batch gradient descent without momentum; with momentum (2+2μ)/η.
    pub stability_threshold: Option<f64>,
    /// The largest eigenvalue beside that.
    pub edge: Option<Edge>,
    /// All steps.
    pub history: Vec<StepRecord>,
    /// Looks at the spectrum.
    pub track: Vec<TrackPoint>,
    /// How the numbers move.
    pub trends: Trends,
    /// Whether loss or parameters ceased to be finite.
    pub diverged: bool,
    /// Wall-clock time, interrupted runs not counted.
    pub seconds: f64,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

impl TrainReport {
    /// The report of `train` on the data of `subject`, computed by `backend`.
    pub fn new(subject: &Subject, backend: &BackendInfo, options: &TrainOptions, train: &Train, seconds: f64) -> Self {
        let samples = subject.data.samples;
        let full = options.batch_size.is_none_or(|size| size >= samples);
        let threshold = (full && options.optimizer == Optimizer::Sgd).then(|| (2.0 + 2.0 * options.momentum) / options.learning_rate);
        Self {
            schema: "hesper.train/1",
            version: env!("CARGO_PKG_VERSION"),
            model: subject.model.clone(),
            data: subject.data.clone(),
            loss: subject.criterion.loss().to_string(),
            weight_decay: subject.weight_decay.factor,
            backend: backend.clone(),
            operator: subject.curvature,
            options: options.clone(),
            steps: train.step,
            steps_per_epoch: options.batch_size.filter(|_| !full).map_or(1, |size| (samples / size) as u64),
            stability_threshold: threshold,
            edge: threshold.and_then(|threshold| Edge::of(&train.points, threshold)),
            history: train.history.clone(),
            track: train.points.clone(),
            trends: Trends::of(&train.points),
            diverged: train.diverged.is_some(),
            seconds,
            warnings: train.diverged.clone().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
