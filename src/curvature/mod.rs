//! The function whose curvature is asked for, and what a backend that knows its products provides.

mod inputs;
mod operator;
mod packed;
mod plan;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::krylov::{Block, LanczosSeconds, LinearOperator, Scalars, Slot, VectorSpace as _};
use crate::model::{Loss, Network, Targets};
use crate::numeric::Precision;
pub use inputs::{Inputs, Storage};
pub use operator::{Curvature, Draws, OutputCurvature};
pub use packed::{Packed, PackedType};
pub use plan::{BufferClass, Capacity, DEFAULT_BUDGET, Demand, Footprint, MemoryPlan, Mode, PlannedBytes, Schedule, Workload};

/// f(θ) = loss(network(x; θ), y) + (λ/2)·‖θ‖², at the network's own θ. A clone shares network and data.
#[derive(Clone, Debug)]
pub struct Objective {
    network: Arc<Network>,
    loss: Loss,
    weight_decay: f64,
    inputs: Arc<Inputs>,
    targets: Arc<Targets>,
}

impl Objective {
    /// An objective whose parts fit together.
    ///
    /// # Errors
    /// [`Error::Input`] where the input's width is not the network's, the targets are not as many as the samples, are of a kind that
    /// the loss does not take, or name a class the network has not; [`Error::NonFinite`] where a target or λ is not finite.
    pub fn new(network: Network, loss: Loss, weight_decay: f64, inputs: Inputs, targets: Targets) -> Result<Self> {
        if !weight_decay.is_finite() {
            return Err(Error::NonFinite(format!("weight decay is {weight_decay}: it must be finite")));
        }
        if inputs.width() != network.inputs() {
            return Err(Error::Input(format!(
                "x has {} numbers a sample, but the network's first layer takes {}",
                inputs.width(),
                network.inputs()
            )));
        }
        check_targets(&network, loss, &inputs, &targets)?;
        Ok(Self { network: Arc::new(network), loss, weight_decay, inputs: Arc::new(inputs), targets: Arc::new(targets) })
    }

    /// The network, whose parameters are θ.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// λ.
    pub fn weight_decay(&self) -> f64 {
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

    /// The same objective on some of the samples: its mean is over those alone.
    ///
    /// # Errors
    /// [`Error::Input`] where `samples` is empty or beyond N.
    pub fn samples_only(&self, samples: Range<usize>) -> Result<Self> {
        if samples.is_empty() || samples.end > self.samples() {
            return Err(Error::Input(format!("samples {samples:?} of {}: at least one that is there is needed", self.samples())));
        }
        let outputs = self.network.outputs();
        let targets = match &*self.targets {
            Targets::Classes(classes) => Targets::Classes(classes[samples.clone()].to_vec()),
            Targets::Values(values) => Targets::Values(values[samples.start * outputs..samples.end * outputs].to_vec()),
            Targets::Inputs => Targets::Inputs,
        };
        let inputs = Arc::new(self.inputs.rows(samples)?);
        Ok(Self { inputs, targets: Arc::new(targets), network: Arc::clone(&self.network), ..*self })
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
        check_targets(&network, self.loss, &self.inputs, &self.targets)?;
        Ok(Self { network: Arc::new(network), inputs: Arc::clone(&self.inputs), targets: Arc::clone(&self.targets), ..*self })
    }

    /// The same objective on `samples`, in that order: its mean is over those alone.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        let outputs = self.network.outputs();
        let targets = match &*self.targets {
            Targets::Classes(classes) => Targets::Classes(samples.iter().map(|&sample| classes[sample]).collect()),
            Targets::Values(values) => {
                Targets::Values(samples.iter().flat_map(|sample| &values[sample * outputs..(sample + 1) * outputs]).copied().collect())
            }
            Targets::Inputs => Targets::Inputs,
        };
        let inputs = Arc::new(self.inputs.select(samples)?);
        Ok(Self { inputs, targets: Arc::new(targets), network: Arc::clone(&self.network), ..*self })
    }

    /// Number of parameters.
    pub fn dim(&self) -> usize {
        self.network.layout().dim()
    }

    /// The target of output `output` of sample `sample`: 0 or 1 for classes.
    pub fn target(&self, sample: usize, output: usize) -> f64 {
        match &*self.targets {
            Targets::Classes(classes) => f64::from(u8::from(classes[sample] as usize == output)),
            Targets::Values(values) => values[sample * self.network.outputs() + output],
            Targets::Inputs => self.inputs.at(sample * self.inputs.width() + output),
        }
    }

    /// The work of one product with the Hessian by the field's convention, 12·N·Σ in·out floating-point operations.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub fn nominal_flop(&self) -> f64 {
        let weights: usize = self.network.layers().iter().map(|layer| layer.inputs * layer.outputs).sum();
        12.0 * self.samples() as f64 * weights as f64
    }
}

fn check_targets(network: &Network, loss: Loss, inputs: &Inputs, targets: &Targets) -> Result<()> {
    let (samples, outputs) = (inputs.samples(), network.outputs());
    match (targets, loss) {
        (Targets::Classes(classes), Loss::CrossEntropy) => {
            if classes.len() != samples {
                return Err(Error::Input(format!("y has {} classes, x has {samples} samples", classes.len())));
            }
            if let Some(at) = classes.iter().position(|&class| class as usize >= outputs) {
                return Err(Error::Input(format!(
                    "y[{at}] is class {}, but the network has {outputs} outputs (classes 0 to {})",
                    classes[at],
                    outputs - 1
                )));
            }
        }
        (Targets::Values(values), Loss::Mse | Loss::BceWithLogits) => {
            if values.len() != samples * outputs {
                return Err(Error::Input(format!(
                    "y has {} numbers, but {samples} samples of {outputs} outputs need {}",
                    values.len(),
                    samples * outputs
                )));
            }
            if let Some(at) = values.iter().position(|y| !y.is_finite()) {
                return Err(Error::NonFinite(format!(
                    "y[{}, {}] is {}: every target must be finite",
                    at / outputs,
                    at % outputs,
                    values[at]
                )));
            }
        }
        (Targets::Inputs, Loss::Mse | Loss::BceWithLogits) => {
            if inputs.width() != outputs {
                return Err(Error::Input(format!(
                    "an autoencoder's {outputs} outputs are compared with its {} inputs: they must be as many",
                    inputs.width()
                )));
            }
        }
        (Targets::Classes(_), _) => {
            return Err(Error::Input(format!(
                "y holds integer classes, but {loss} compares numbers: store y as floats [N, outputs], or use --loss cross-entropy"
            )));
        }
        (_, Loss::CrossEntropy) => {
            return Err(Error::Input(
                "cross-entropy takes integer classes [N] as y: store y as integers, or use --loss mse or bce-with-logits".into(),
            ));
        }
    }
    Ok(())
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

    /// The speed that products are held against, measured now, in 10⁹ operations a second: on a GPU that of fused multiply-adds
    /// alone, on a processor that of a large square matrix product. None where speed is no aim.
    ///
    /// # Errors
    /// Device failure.
    fn peak_gflops(&self) -> Result<Option<f64>> {
        Ok(None)
    }

    /// What the device's memory gives and takes at best, in GB/s, bytes read and bytes written both counted, measured now by a copy; none
    /// where that is not known.
    ///
    /// # Errors
    /// Device failure.
    fn peak_gigabytes(&self) -> Result<Option<f64>> {
        Ok(None)
    }

    /// What a device that works through a queue has spent on its work so far, by its own clock; none where it has no clock.
    fn device_seconds(&self) -> Option<LanczosSeconds> {
        None
    }

    /// y ← A x as [`apply`](LinearOperator::apply), with the time of each kernel; none, and nothing done, where they cannot be told apart.
    ///
    /// # Errors
    /// Device failure.
    fn kernel_times(&self, _x: &Block<Self>, _y: &mut Block<Self>) -> Result<Option<Vec<KernelTime>>> {
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
