//! The parts that the reports share, as they appear in the JSON.

use std::time::Instant;

use serde::Serialize;

use super::context::JobContext;
use super::progress::Stage;
use crate::curvature::{BackendInfo, CurvatureOperator};
use crate::error::{Error, Result};
use crate::estimate::Quadrature;
use crate::krylov::{Block, Extremes, LanczosSeconds, RitzValue, Slot, Termination, VectorSpace as _};
use crate::model::{Decay, Layer, Loss, Network, Reduction, Terms};

/// `model`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelRecord {
    /// In the order in which they are computed.
    pub layers: Vec<LayerRecord>,
    /// n.
    pub parameters: usize,
    /// The widths, `64-64-10`, as [`Network::shape`] says it.
    #[serde(skip)]
    pub shape: String,
    /// The hidden layers' activations, as [`Network::activations`] says them.
    #[serde(skip)]
    pub activation: String,
    /// Both in one line for people.
    #[serde(skip)]
    pub summary: String,
}

impl ModelRecord {
    /// The record of `network`.
    pub fn new(network: &Network) -> Self {
        let layer = |(index, layer): (usize, &Layer)| LayerRecord {
            r#in: network.widths()[layer.sources[0]],
            out: network.widths()[index + 1],
            activation: layer.activation.to_string(),
            bias: layer.op.parameters()[1].is_some(),
            kind: layer.op.name(),
            sources: layer.sources.clone(),
        };
        Self {
            layers: network.layers().iter().enumerate().map(layer).collect(),
            parameters: network.layout().dim(),
            shape: network.shape(),
            activation: network.activations(),
            summary: network.summary(),
        }
    }
}

/// One layer of `model`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerRecord {
    /// Width of the input.
    pub r#in: usize,
    /// Width of the output.
    pub out: usize,
    /// The activation's name.
    pub activation: String,
    /// Whether there is a bias, or a normalization's shift.
    pub bias: bool,
    /// `dense`, `layer-norm`, `rms-norm`, `batch-norm`, or `add`: what several values are added by.
    pub kind: &'static str,
    /// What it reads: 0 is the network's input, l + 1 what layer l makes, layers counted from 0.
    pub sources: Vec<usize>,
}

/// `data`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataRecord {
    /// N.
    pub samples: usize,
    /// Where they came from.
    pub source: String,
}

/// `loss`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossRecord {
    /// The loss's name.
    pub kind: Loss,
    /// How its terms become one number.
    pub reduction: Reduction,
    /// Its parameters.
    #[serde(flatten)]
    pub terms: Terms,
    /// f(θ), weight decay included.
    pub value: f64,
    /// ‖∇f(θ)‖.
    pub gradient_norm: f64,
    /// λ.
    pub weight_decay: f64,
    /// Over which parameters.
    pub decay: Decay,
}

/// What every report begins with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Header {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The network.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// The loss.
    pub loss: LossRecord,
    /// What computed.
    pub backend: BackendInfo,
    /// Which operator: its name.
    pub operator: &'static str,
    /// The coordinates, where they are not all parameters as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewRecord>,
}

/// `view`: the coordinates that an operator was examined in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewRecord {
    /// The chosen tensors.
    pub tensors: Vec<String>,
    /// How many parameters they have; everything in the result is of these alone, vectors and the gradient's norm as well.
    pub parameters: usize,
    /// What their units are made of, where they have units of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditioner: Option<Preconditioner>,
}

/// `view.preconditioner`: P of P^(-1/2) A P^(-1/2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preconditioner {
    /// `adam`: P = diag(√v̂ + ε) with v̂ = v / (1 − β₂^t).
    pub kind: &'static str,
    /// Where v came from.
    pub source: String,
    /// β₁; it only matters to the largest stable step.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// t; none where v is taken for v̂.
    pub step: Option<u64>,
    /// ε.
    pub eps: f64,
}

impl Preconditioner {
    /// By how much momentum, an average with β₁ of the gradients, raises the largest stable step: λmax(P⁻¹H) may be up to
    /// (2 + 2β₁)/((1 − β₁)η) (Cohen et al. 2022, "Adaptive gradient methods at the edge of stability"), 38/η for β₁ = 0.9.
    pub(super) fn momentum_factor(&self) -> f64 {
        (1.0 + self.beta1) / (1.0 - self.beta1)
    }
}

impl Header {
    /// Computes loss and gradient norm, in one readback.
    pub(super) fn new<A: CurvatureOperator>(schema: &'static str, operator: &A, context: &JobContext<'_>) -> Result<Self> {
        Ok(Self::with_gradient(schema, operator, context)?.0)
    }

    /// The same, and the gradient's direction: a unit vector, or 0.
    pub(super) fn with_gradient<A: CurvatureOperator>(
        schema: &'static str,
        operator: &A,
        context: &JobContext<'_>,
    ) -> Result<(Self, Block<A>)> {
        let subject = &context.subject;
        context.progress.update(Stage::Loss, 0, 1);
        let (value, gradient_norm, direction) = loss_and_direction(operator)?;
        context.progress.update(Stage::Loss, 1, 1);
        let header = Self {
            schema,
            version: env!("CARGO_PKG_VERSION"),
            model: subject.model.clone(),
            data: subject.data.clone(),
            loss: LossRecord {
                kind: subject.criterion.loss(),
                reduction: subject.criterion.reduction(),
                terms: subject.criterion.terms().clone(),
                value,
                gradient_norm,
                weight_decay: subject.weight_decay.factor,
                decay: subject.weight_decay.over,
            },
            backend: operator.info(),
            operator: subject.operator(),
            view: subject.view.clone(),
        };
        Ok((header, direction))
    }

    /// n, the dimension of the operator.
    pub fn dim(&self) -> usize {
        self.view.as_ref().map_or(self.model.parameters, |view| view.parameters)
    }
}

/// f(θ) and ∇f(θ). Two readbacks.
pub(super) fn loss_and_gradient<A: CurvatureOperator>(operator: &A) -> Result<(f64, Vec<f64>)> {
    let space = operator.space();
    let (mut gradient, mut scalars) = (space.block(1)?, space.scalars(1, 1)?);
    operator.loss_and_gradient(&mut gradient, &mut scalars, Slot(0))?;
    Ok((space.read(&scalars)?[0], space.download(&gradient)?))
}

/// f(θ), ‖∇f(θ)‖ and ∇f(θ)/‖∇f(θ)‖, 0 where the gradient is. One readback.
pub(super) fn loss_and_direction<A: CurvatureOperator>(operator: &A) -> Result<(f64, f64, Block<A>)> {
    let space = operator.space();
    let (loss, norm) = (Slot(0), Slot(1));
    let (mut gradient, mut scalars) = (space.block(1)?, space.scalars(2, 1)?);
    operator.loss_and_gradient(&mut gradient, &mut scalars, loss)?;
    space.normalize(&mut gradient, &mut scalars, norm)?;
    let values = space.read(&scalars)?;
    let (loss, norm) = (values[0], values[1]);
    if !loss.is_finite() || !norm.is_finite() {
        return Err(Error::NonFinite(format!(
            "loss is {loss}, gradient norm {norm}: the network has diverged on this data; check the weights and --x-scale"
        )));
    }
    Ok((loss, norm, gradient))
}

/// One extreme eigenvalue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Eigenvalue {
    /// θ.
    pub value: f64,
    /// Some eigenvalue lies within this of θ.
    pub residual: f64,
    /// residual ≤ tol·max|θ|.
    pub converged: bool,
    /// ‖H y − θ y‖/‖y‖ of the vector y, measured by a further product; where that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_residual: Option<f64>,
    /// What the value can be off by where that was held against the tolerance: r²/gap and the error of a product. The gap to the other
    /// eigenvalues is taken from the other Ritz values: an estimate, where `interval` is a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_error: Option<f64>,
    /// Some eigenvalue lies in it: θ with the residual, the measured one if there is one, and the error of a product to either side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The shares of the vector's sum of squares in the network's tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mass: Option<Vec<f64>>,
}

impl Eigenvalue {
    pub(super) fn new(ritz: RitzValue, threshold: f64) -> Self {
        let RitzValue { value, residual } = ritz;
        Self { value, residual, converged: residual <= threshold, measured_residual: None, value_error: None, interval: None, mass: None }
    }
}

/// `eigenvalues`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Eigenvalues {
    /// Descending.
    pub largest: Vec<Eigenvalue>,
    /// Ascending.
    pub smallest: Vec<Eigenvalue>,
}

impl Eigenvalues {
    pub(super) fn new(extremes: &Extremes, threshold: f64) -> Self {
        let mark = |values: &[RitzValue]| values.iter().map(|&ritz| Eigenvalue::new(ritz, threshold)).collect();
        Self { largest: mark(&extremes.largest), smallest: mark(&extremes.smallest) }
    }

    /// The same with residuals that hold the rounding errors' `by` as well. What is converged stays so.
    #[must_use]
    pub(super) fn widened(mut self, by: f64) -> Self {
        self.largest.iter_mut().chain(&mut self.smallest).for_each(|eigenvalue| eigenvalue.residual += by);
        self
    }

    /// How many of both ends are not converged.
    pub fn unconverged(&self) -> usize {
        self.largest.iter().chain(&self.smallest).filter(|eigenvalue| !eigenvalue.converged).count()
    }
}

/// One of `probes`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeRecord {
    /// Its Gauss rule.
    #[serde(flatten)]
    pub rule: Quadrature,
    /// Why its run ended.
    pub termination: Termination,
}

/// `stats`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Products with single vectors, those of the job only.
    pub hvps: u64,
    /// Times that the host waited for numbers from the device.
    pub readbacks: u64,
    /// Of the products, those that an interrupted run had made; where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<u64>,
    /// Wall-clock times.
    pub seconds: Seconds,
}

impl Stats {
    /// Adds what a later part of the same job took.
    pub(super) fn add(&mut self, later: &Self) {
        let sum = |x: Option<f64>, y: Option<f64>| x.zip(y).map(|(x, y)| x + y);
        self.hvps += later.hvps;
        self.readbacks += later.readbacks;
        self.seconds.total = self.seconds.total.max(later.seconds.total);
        self.seconds.hvp = sum(self.seconds.hvp, later.seconds.hvp);
        self.seconds.orthogonalization = sum(self.seconds.orthogonalization, later.seconds.orthogonalization);
    }
}

/// `stats.seconds`. Parts are null where a device works asynchronously and has no clock of its own, since the host cannot tell them apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// From the context's start to the job's: reading, preparing, building the operator.
    pub setup: f64,
    /// From the context's start to the end, and what interrupted runs took until their state was last saved.
    pub total: f64,
    /// Products.
    pub hvp: Option<f64>,
    /// Reorthogonalization.
    pub orthogonalization: Option<f64>,
}

/// Counts from a job's start.
pub(super) struct Meter {
    setup: f64,
    products: u64,
    readbacks: u64,
    device: Option<LanczosSeconds>,
    started: Instant,
}

impl Meter {
    pub(super) fn start<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>) -> Self {
        Self {
            setup: context.started.elapsed().as_secs_f64(),
            products: operator.products(),
            readbacks: operator.readbacks(),
            device: operator.device_seconds(),
            started: context.started,
        }
    }

    /// The counts so far; `parts` are the host's times, which count where the operator is synchronous. Elsewhere a device's clock does.
    pub(super) fn stats<A: CurvatureOperator>(&self, operator: &A, parts: LanczosSeconds) -> Stats {
        let of_device = || {
            let (before, now) = (self.device?, operator.device_seconds()?);
            Some(LanczosSeconds {
                products: now.products.saturating_sub(before.products),
                orthogonalization: now.orthogonalization.saturating_sub(before.orthogonalization),
            })
        };
        let resumed = operator.resumed();
        let parts = if operator.is_synchronous() { Some(parts) } else { of_device() };
        Stats {
            hvps: operator.products() - self.products,
            readbacks: operator.readbacks() - self.readbacks,
            resumed: (resumed.products > 0).then_some(resumed.products),
            seconds: Seconds {
                setup: self.setup,
                total: resumed.seconds + self.started.elapsed().as_secs_f64(),
                hvp: parts.map(|parts| parts.products.as_secs_f64()),
                orthogonalization: parts.map(|parts| parts.orthogonalization.as_secs_f64()),
            },
        }
    }
}
