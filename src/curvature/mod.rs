//! The function whose curvature is asked for, and what a backend that knows its products provides.

mod draws;
mod inputs;
mod operator;
mod packed;
mod plan;
mod reach;
mod targets;
mod view;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::krylov::{Block, LanczosSeconds, LinearOperator, Scalars, Slot, VectorSpace as _};
use crate::model::{Criterion, Network, Reduction, Targets, Terms, WeightDecay};
use crate::numeric::Precision;
pub use draws::Draws;
pub(crate) use draws::softmax;
pub use inputs::{Inputs, Storage};
pub use operator::{Curvature, OutputCurvature};
pub use packed::{Packed, PackedType};
pub use plan::{BufferClass, Capacity, DEFAULT_BUDGET, Demand, Footprint, MemoryPlan, Mode, PlannedBytes, Schedule, Workload};
pub use reach::{LayerReach, Reach};
pub use view::{View, Viewed};

/// f(θ) = Σ ωₙ ℓₙ(network(xₙ; θ), yₙ) + (λ/2)·‖θ‖², at the network's own θ. A clone shares network and data.
///
/// The reduction makes the samples' weights wₙ (1 unless they are given) to ωₙ = wₙ where it is the sum; where it is the mean, to wₙ over
/// the sum of all weights, each times its class's where classes have weights: a sample of weight 2 counts as two.
#[derive(Clone, Debug)]
pub struct Objective {
    network: Arc<Network>,
    criterion: Arc<Criterion>,
    weight_decay: WeightDecay,
    inputs: Arc<Inputs>,
    targets: Arc<Targets>,
    /// w, where they are given.
    sample_weights: Option<Arc<Vec<f64>>>,
    /// ω of a sample of weight 1.
    unit_weight: f64,
    view: Arc<View>,
}

impl Objective {
    /// An objective whose parts fit together.
    ///
    /// # Errors
    /// [`Error::Input`] where the input's width is not the network's, the targets are not as many as the samples, are of a kind or in a
    /// range that the loss does not take, name a class the network has not, or all are ignored; [`Error::NonFinite`] where a target or λ
    /// is not finite.
    pub fn new(
        network: Network,
        criterion: impl Into<Criterion>,
        weight_decay: impl Into<WeightDecay>,
        inputs: Inputs,
        targets: Targets,
    ) -> Result<Self> {
        let (criterion, weight_decay) = (criterion.into(), weight_decay.into());
        if !weight_decay.factor.is_finite() {
            return Err(Error::NonFinite(format!("weight decay is {}: it must be finite", weight_decay.factor)));
        }
        if inputs.width() != network.inputs() {
            return Err(Error::Input(format!(
                "x has {} numbers a sample, but the network's first layer takes {}",
                inputs.width(),
                network.inputs()
            )));
        }
        targets::check(&network, &criterion, &inputs, &targets)?;
        let view = Arc::new(View::whole(network.layout().dim()));
        let objective = Self {
            network: Arc::new(network),
            criterion: Arc::new(criterion),
            weight_decay,
            inputs: Arc::new(inputs),
            targets: Arc::new(targets),
            sample_weights: None,
            unit_weight: 1.0,
            view,
        };
        objective.reduced()
    }

    /// The same function of the coordinates of `view`.
    #[must_use]
    pub fn in_view(self, view: View) -> Self {
        Self { view: Arc::new(view), ..self }
    }

    /// The coordinates in which it is seen; all parameters unless [another](Self::in_view) is given. Operators made by
    /// [`backend::run`](crate::backend::run) are those of the coordinates, a backend's own ones those of all parameters.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The same objective with weights of its samples.
    ///
    /// # Errors
    /// [`Error::Input`] where they are not as many as the samples, one is negative or not finite, or no sample is left.
    pub fn with_sample_weights(self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.samples() {
            return Err(Error::Input(format!("{} sample weights for {} samples: give one for each", weights.len(), self.samples())));
        }
        if let Some(at) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(Error::Input(format!("the weight of sample {at} is {}: it must be finite and not below 0", weights[at])));
        }
        Self { sample_weights: Some(Arc::new(weights)), ..self }.reduced()
    }

    /// The same with the unit weight that its samples make.
    fn reduced(self) -> Result<Self> {
        let total = self.counted_weight(0..self.samples());
        if !(total.is_finite() && total > 0.0) {
            return Err(Error::Input(format!(
                "the samples' weights sum to {total}: at least one sample must be neither ignored nor of weight 0"
            )));
        }
        let unit_weight = match self.criterion.reduction() {
            Reduction::Mean => 1.0 / total,
            Reduction::Sum => 1.0,
        };
        Ok(Self { unit_weight, ..self })
    }

    /// What `samples` weigh together in the mean's denominator.
    pub(crate) fn counted_weight(&self, samples: Range<usize>) -> f64 {
        let of_class = |sample: usize| match &*self.targets {
            Targets::Classes(classes) if classes[sample] != Targets::IGNORED => self.criterion.output_weight(classes[sample] as usize),
            _ => 1.0,
        };
        samples.map(|sample| self.given_weight(sample) * of_class(sample)).sum()
    }

    /// wₙ, 0 where the sample is ignored.
    fn given_weight(&self, sample: usize) -> f64 {
        match &*self.targets {
            Targets::Classes(classes) if classes[sample] == Targets::IGNORED => 0.0,
            _ => self.sample_weights.as_ref().map_or(1.0, |weights| weights[sample]),
        }
    }

    /// ωₙ.
    pub fn sample_weight(&self, sample: usize) -> f64 {
        self.unit_weight * self.given_weight(sample)
    }

    /// Σ ωₙ.
    pub fn total_weight(&self) -> f64 {
        self.unit_weight * (0..self.samples()).map(|sample| self.given_weight(sample)).sum::<f64>()
    }

    /// What the terms of a sample's outputs are multiplied by in its loss: 1, or 1/C.
    pub fn output_share(&self) -> f64 {
        self.criterion.output_share(self.network.outputs())
    }

    /// The network, whose parameters are θ.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The loss and its parameters.
    pub fn criterion(&self) -> &Criterion {
        &self.criterion
    }

    /// λ, and over which parameters.
    pub fn weight_decay(&self) -> WeightDecay {
        self.weight_decay
    }

    /// x.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// y.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// N.
    pub fn samples(&self) -> usize {
        self.inputs.samples()
    }

    /// The same objective on some of the samples, in the order given: its mean is over those alone.
    ///
    /// # Errors
    /// [`Error::Input`] where `samples` is empty or one is beyond N, or none of them has weight.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        if samples.is_empty() || samples.iter().any(|&sample| sample >= self.samples()) {
            let most = samples.iter().max().map_or_else(|| "none".to_owned(), |most| format!("up to number {most}"));
            return Err(Error::Input(format!("samples {most} of {}: at least one that is there is needed", self.samples())));
        }
        let outputs = self.network.outputs();
        let targets = match &*self.targets {
            Targets::Classes(classes) => Targets::Classes(samples.iter().map(|&sample| classes[sample]).collect()),
            Targets::Values(values) => {
                Targets::Values(samples.iter().flat_map(|sample| &values[sample * outputs..(sample + 1) * outputs]).copied().collect())
            }
            Targets::Inputs => Targets::Inputs,
        };
        let sample_weights = self.sample_weights.as_ref().map(|weights| Arc::new(samples.iter().map(|&sample| weights[sample]).collect()));
        let inputs = Arc::new(self.inputs.select(samples)?);
        Self { inputs, targets: Arc::new(targets), sample_weights, ..self.clone() }.reduced()
    }

    /// The numbers of the samples of class `class`.
    ///
    /// # Errors
    /// [`Error::Input`] where the targets are no classes or none is this one.
    pub fn samples_of_class(&self, class: u32) -> Result<Vec<usize>> {
        let Targets::Classes(classes) = &*self.targets else {
            return Err(Error::Input(format!("class {class}: the targets of {} are no classes", self.criterion.loss())));
        };
        let samples: Vec<usize> = (0..classes.len()).filter(|&sample| classes[sample] == class).collect();
        if samples.is_empty() {
            return Err(Error::Input(format!(
                "no sample is of class {class}: the classes of the network are 0 to {}",
                self.network.outputs() - 1
            )));
        }
        Ok(samples)
    }

    /// The same objective of another network.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_network(&self, network: Network) -> Result<Self> {
        if self.inputs.width() != network.inputs() {
            return Err(Error::Input(format!(
                "x has {} numbers a sample, but the network takes {}",
                self.inputs.width(),
                network.inputs()
            )));
        }
        targets::check(&network, &self.criterion, &self.inputs, &self.targets)?;
        let (now, before) = (network.layout().dim(), self.dim());
        let view = if now == before {
            Arc::clone(&self.view)
        } else if self.view.is_whole(before) {
            Arc::new(View::whole(now))
        } else {
            return Err(Error::Input(format!("a network of {now} parameters in the place of one of {before}, of which some were chosen")));
        };
        Ok(Self { network: Arc::new(network), view, ..self.clone() })
    }

    /// Whether `other` differs in numbers alone: in those of the network, the data, the samples' weights or λ.
    pub fn is_shaped_as(&self, other: &Self) -> bool {
        let network = self.network.is_shaped_as(&other.network);
        network && self.criterion == other.criterion && self.samples() == other.samples()
    }

    /// Whether `other` is of the very same data and weights, by whatever network.
    pub(crate) fn shares_data(&self, other: &Self) -> bool {
        let same_weights = match (&self.sample_weights, &other.sample_weights) {
            (None, None) => true,
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            _ => false,
        };
        let same_data = Arc::ptr_eq(&self.inputs, &other.inputs) && Arc::ptr_eq(&self.targets, &other.targets);
        same_data && same_weights && self.criterion == other.criterion
    }

    /// Number of parameters.
    pub fn dim(&self) -> usize {
        self.network.layout().dim()
    }

    /// The target of output `output` of sample `sample`. For cross-entropy it is what its negative logarithm is multiplied by, label
    /// smoothing and class weights included: 0 or 1 for classes without these, 0 for an ignored sample.
    pub fn target(&self, sample: usize, output: usize) -> f64 {
        let outputs = self.network.outputs();
        let indicator = match &*self.targets {
            Targets::Classes(classes) if classes[sample] == Targets::IGNORED => return 0.0,
            Targets::Classes(classes) => f64::from(u8::from(classes[sample] as usize == output)),
            Targets::Values(values) => values[sample * outputs + output],
            Targets::Inputs => self.inputs.at(sample * self.inputs.width() + output),
        };
        match *self.criterion.terms() {
            #[expect(clippy::cast_precision_loss, reason = "outputs are far below 2⁵³")]
            Terms::CrossEntropy { label_smoothing, .. } => {
                self.criterion.output_weight(output) * ((1.0 - label_smoothing) * indicator + label_smoothing / outputs as f64)
            }
            _ => indicator,
        }
    }

    /// The work of one product with the Hessian by the field's convention, 12·N·Σ in·out floating-point operations.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub fn nominal_flop(&self) -> f64 {
        12.0 * self.samples() as f64 * self.network.dense_weights() as f64
    }
}

/// What a device reaches at best, measured: what products are held against.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Peaks {
    /// 10⁹ operations a second: on a GPU of fused multiply-adds alone, on a processor of a large square matrix product.
    pub gflops: Option<f64>,
    /// GB/s of its memory by a copy, bytes read and bytes written both counted.
    pub gigabytes: Option<f64>,
    /// The fastest of the kernels that the device can choose from, where there are several.
    pub product: Option<PlainProduct>,
}

/// A product of two square matrices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlainProduct {
    /// Rows and columns.
    pub size: usize,
    /// The kernel and its tile.
    pub kernel: String,
    /// 10⁹ operations a second.
    pub gflops: f64,
}

/// What one of a device's kernels took of a product.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelTime {
    /// Its name, and the tile where it is a matrix product.
    pub kernel: String,
    /// How often it ran.
    pub runs: u64,
    /// All runs together, by the device's clock.
    pub seconds: f64,
    /// 10⁹ operations a second of a matrix product.
    pub gflops: Option<f64>,
}

/// What computes the products, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// `gpu`, `cpu` or `reference`.
    pub kind: String,
    /// Name of the GPU, or of the processor's instruction set.
    pub adapter: Option<String>,
    /// The GPU's driver and its version.
    pub driver: Option<String>,
    /// Precision of vectors and products.
    pub precision: Precision,
    /// Threads of the host that compute.
    pub threads: usize,
    /// How the linearization is held.
    pub linearization: Schedule,
    /// The variants of its kernels that a GPU runs: with the same ones a run repeats to the bit.
    pub variants: Option<String>,
}

/// What an operator has of earlier runs of its job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resumed {
    /// Products that were made by them.
    pub products: u64,
    /// Seconds that they took.
    pub seconds: f64,
}

/// A curvature operator of an [`Objective`] on some backend.
pub trait CurvatureOperator: LinearOperator {
    /// Column 0 of `gradient` ← ∇f(θ); column 0 of `loss` in `s` ← f(θ). `gradient` and `s` have one column.
    ///
    /// # Errors
    /// Device failure.
    fn loss_and_gradient(&self, gradient: &mut Block<Self>, s: &mut Scalars<Self>, loss: Slot) -> Result<()>;

    /// f at `parameters`, all of them, in place of the operator's own θ, which it keeps: in the precision in which it computes. None from
    /// an operator that has no faster way than a pass in double precision on the host, whose accuracy is better. Not finite is no
    /// error: far from a minimum a loss may overflow.
    ///
    /// # Errors
    /// Device failure.
    fn loss_at(&self, _parameters: &[f64]) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Products with single vectors so far.
    fn products(&self) -> u64;

    /// Times that the job has waited for numbers from the device so far.
    fn readbacks(&self) -> u64 {
        self.space().readbacks()
    }

    /// What was there from earlier runs when this one began.
    fn resumed(&self) -> Resumed {
        Resumed::default()
    }

    /// Bytes that the operator holds for its linearization and for scratch that does not grow with the columns.
    fn bytes(&self) -> usize;

    /// Bytes of scratch that each column of a product takes.
    fn column_bytes(&self) -> usize {
        0
    }

    /// Most columns that the device can multiply at once.
    fn max_columns(&self) -> usize {
        usize::MAX
    }

    /// What products are held against, measured now; nothing where speed is no aim.
    ///
    /// # Errors
    /// Device failure.
    fn peaks(&self) -> Result<Peaks> {
        Ok(Peaks::default())
    }

    /// What a device that works through a queue has spent on its work so far, by its own clock; none where it has no clock.
    fn device_seconds(&self) -> Option<LanczosSeconds> {
        None
    }

    /// y ← A x at the parameters in `chosen`, ascending ranges, for an x that is 0 at all others; y is anything there. An operator that
    /// knows its passes leaves out those that no chosen parameter needs (see [`Reach`]).
    ///
    /// # Errors
    /// As [`apply`](LinearOperator::apply).
    fn apply_within(&self, _chosen: &[Range<usize>], x: &Block<Self>, y: &mut Block<Self>) -> Result<()> {
        self.apply(x, y)
    }

    /// The time of each kernel that `work` runs on the device; none, and nothing done, where they cannot be told apart.
    ///
    /// # Errors
    /// Those of `work`; device failure.
    fn kernel_times(&self, _work: impl FnOnce() -> Result<()>) -> Result<Option<Vec<KernelTime>>> {
        Ok(None)
    }

    /// What a user should know of how the operator came about.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What computes.
    fn info(&self) -> BackendInfo;

    /// Whether an operation has been carried out when its call returns, so that the host's clock can time it. False on a device
    /// that works through a queue.
    fn is_synchronous(&self) -> bool {
        false
    }
}
