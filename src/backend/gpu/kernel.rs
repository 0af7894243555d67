//! The kernels: an entry point of a shader module and the values of its overrides.

use std::fmt::{self, Display};

use super::shaders::{self, Assembly};
use super::tile::Tile;
use crate::model::{Activation, Terms};

/// An entry point, with what decides which terms it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "an entry point's documentation is the header of its shader")]
pub enum Kernel {
    Forward(Activation, Curve),
    Backward(Curve),
    ForwardOver(Curve),
    BackwardOver(Curve),
    Loss(Formula),
    LossOver(Formula),
    OutputGradient(Formula),
    OuterOver,
    Weights,
    Gradient,
    BiasSums,
    BiasGradient,
    NormForward(RowNorm),
    NormBackward(RowNorm),
    NormForwardOver(RowNorm),
    NormBackwardOver(RowNorm),
    BatchForward,
    BatchBackward,
    BatchForwardOver,
    BatchBackwardOver,
    GainSums,
    GainSumsFirst,
    GainGradient,
    Accumulate,
    AccumulateOver,
    Activate(Activation),
    ActivateOver,
    Settle(Curve),
    DotPartials,
    DotTotal,
    Divide,
    SubtractScaled,
    Multiply,
    BasisPartials,
    BasisTotals,
    BasisJudge,
    BasisSubtract,
    Rademacher,
    Peak,
    Copy,
}

/// Whether a layer keeps terms of φ''.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// It does.
    Curved,
    /// φ'' = 0, and its arrays do not exist.
    Linear,
}

/// A normalization by the statistics of each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowNorm {
    /// Mean and variance.
    Layer,
    /// The mean square.
    Rms,
}

/// The formula of a loss's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "loss.wgsl writes them out")]
pub enum Formula {
    CrossEntropy,
    Mse,
    BceWithLogits,
    Huber,
    SmoothL1,
    PoissonOfLogarithm,
    PoissonOfRate,
}

impl Formula {
    /// All formulas.
    pub const ALL: [Self; 7] =
        [Self::CrossEntropy, Self::Mse, Self::BceWithLogits, Self::Huber, Self::SmoothL1, Self::PoissonOfLogarithm, Self::PoissonOfRate];

    /// That of `terms`, and its parameter where it has one.
    pub fn of(terms: &Terms) -> (Self, f64) {
        match *terms {
            Terms::CrossEntropy { .. } => (Self::CrossEntropy, 0.0),
            Terms::Mse {} => (Self::Mse, 0.0),
            Terms::BceWithLogits { .. } => (Self::BceWithLogits, 0.0),
            Terms::Huber { delta } => (Self::Huber, delta),
            Terms::SmoothL1 { beta } => (Self::SmoothL1, beta),
            Terms::PoissonNll { log_input: true, .. } => (Self::PoissonOfLogarithm, 0.0),
            Terms::PoissonNll { log_input: false, eps } => (Self::PoissonOfRate, eps),
        }
    }

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
            Self::BceWithLogits => "bce-with-logits",
            Self::Huber => "huber",
            Self::SmoothL1 => "smooth-l1",
            Self::PoissonOfLogarithm => "poisson-of-logarithm",
            Self::PoissonOfRate => "poisson-of-rate",
        }
    }

    /// The id that loss.wgsl gives it.
    fn id(self) -> f64 {
        match self {
            Self::CrossEntropy => 0.0,
            Self::Mse => 1.0,
            Self::BceWithLogits => 2.0,
            Self::Huber => 3.0,
            Self::SmoothL1 => 4.0,
            Self::PoissonOfLogarithm => 5.0,
            Self::PoissonOfRate => 6.0,
        }
    }
}

/// A kernel and, where it is a product, the tile that it is made of: what is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// The tile of a product.
    pub tile: Option<Tile>,
}

impl From<Kernel> for Variant {
    fn from(kernel: Kernel) -> Self {
        Self { kernel, tile: None }
    }
}

impl Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.entry_point())?;
        self.tile.map_or(Ok(()), |tile| write!(f, " {tile}"))
    }
}

impl Variant {
    /// All kernels in all variants.
    pub fn all() -> Vec<Self> {
        let variants = |kernel: Kernel| match Tile::of(kernel) {
            [] => vec![kernel.into()],
            tiles => tiles.iter().map(|&tile| Self { kernel, tile: Some(tile) }).collect(),
        };
        Kernel::all().into_iter().flat_map(variants).collect()
    }

    /// The module.
    pub fn assembly(self) -> Assembly {
        shaders::assembly(self.kernel, self.tile.map(|tile| tile.form))
    }

    /// The overrides' values.
    pub fn constants(self) -> Vec<(&'static str, f64)> {
        let mut constants = self.tile.map_or_else(Vec::new, Tile::constants);
        match self.kernel {
            Kernel::Forward(activation, _) | Kernel::Activate(activation) => constants.push(("ACTIVATION", activation_id(activation))),
            Kernel::NormForward(norm) | Kernel::NormBackward(norm) | Kernel::NormForwardOver(norm) | Kernel::NormBackwardOver(norm) => {
                constants.push(("NORM", if norm == RowNorm::Layer { 0.0 } else { 1.0 }));
            }
            Kernel::Loss(formula) | Kernel::LossOver(formula) | Kernel::OutputGradient(formula) => constants.push(("LOSS", formula.id())),
            _ => {}
        }
        constants
    }
}

impl Kernel {
    /// Every kernel in every variant.
    pub fn all() -> Vec<Self> {
        let curves = [Curve::Curved, Curve::Linear];
        let forward = Activation::ALL.into_iter().flat_map(|activation| curves.map(|curve| Self::Forward(activation, curve)));
        let passes = curves.into_iter().flat_map(|curve| [Self::Backward(curve), Self::ForwardOver(curve), Self::BackwardOver(curve)]);
        let of_formula = |formula| [Self::Loss(formula), Self::LossOver(formula), Self::OutputGradient(formula)];
        let losses = Formula::ALL.into_iter().flat_map(of_formula);
        let fixed = [
            Self::OuterOver,
            Self::Weights,
            Self::Gradient,
            Self::BiasSums,
            Self::BiasGradient,
            Self::BatchForward,
            Self::BatchBackward,
            Self::BatchForwardOver,
            Self::BatchBackwardOver,
            Self::GainSums,
            Self::GainSumsFirst,
            Self::GainGradient,
            Self::Accumulate,
            Self::AccumulateOver,
            Self::ActivateOver,
            Self::DotPartials,
            Self::DotTotal,
            Self::Divide,
            Self::SubtractScaled,
            Self::Multiply,
            Self::BasisPartials,
            Self::BasisTotals,
            Self::BasisJudge,
            Self::BasisSubtract,
            Self::Rademacher,
            Self::Peak,
            Self::Copy,
        ];
        let norms = [RowNorm::Layer, RowNorm::Rms].into_iter().flat_map(|norm| {
            [Self::NormForward(norm), Self::NormBackward(norm), Self::NormForwardOver(norm), Self::NormBackwardOver(norm)]
        });
        let others = Activation::ALL.map(Self::Activate).into_iter().chain(curves.map(Self::Settle));
        forward.chain(passes).chain(losses).chain(norms).chain(others).chain(fixed).collect()
    }

    /// The entry point.
    pub fn entry_point(self) -> &'static str {
        use Curve::{Curved, Linear};
        match self {
            Self::Forward(_, Curved) => "forward",
            Self::Forward(_, Linear) => "forward_linear",
            Self::Backward(Curved) => "backward",
            Self::Backward(Linear) => "backward_linear",
            Self::ForwardOver(Curved) => "forward_over",
            Self::ForwardOver(Linear) => "forward_over_linear",
            Self::BackwardOver(Curved) => "backward_over",
            Self::BackwardOver(Linear) => "backward_over_linear",
            Self::Loss(_) => "loss",
            Self::LossOver(_) => "loss_over",
            Self::OutputGradient(_) => "output_gradient",
            Self::OuterOver => "outer_over",
            Self::Weights => "weights",
            Self::Gradient => "gradient",
            Self::BiasSums => "bias_sums",
            Self::BiasGradient => "bias_gradient",
            Self::NormForward(_) => "norm_forward",
            Self::NormBackward(_) => "norm_backward",
            Self::NormForwardOver(_) => "norm_forward_over",
            Self::NormBackwardOver(_) => "norm_backward_over",
            Self::BatchForward => "batch_forward",
            Self::BatchBackward => "batch_backward",
            Self::BatchForwardOver => "batch_forward_over",
            Self::BatchBackwardOver => "batch_backward_over",
            Self::GainSums => "gain_sums",
            Self::GainSumsFirst => "gain_sums_first",
            Self::GainGradient => "gain_gradient",
            Self::Accumulate => "accumulate",
            Self::AccumulateOver => "accumulate_over",
            Self::Activate(_) => "activate",
            Self::ActivateOver => "activate_over",
            Self::Settle(Curved) => "settle",
            Self::Settle(Linear) => "settle_linear",
            Self::DotPartials => "dot_partials",
            Self::DotTotal => "dot_total",
            Self::Divide => "divide",
            Self::SubtractScaled => "subtract_scaled",
            Self::Multiply => "multiply",
            Self::BasisPartials => "basis_partials",
            Self::BasisTotals => "basis_totals",
            Self::BasisJudge => "basis_judge",
            Self::BasisSubtract => "basis_subtract",
            Self::Rademacher => "rademacher",
            Self::Peak => "peak",
            Self::Copy => "copy",
        }
    }
}

/// The id that common/activation.wgsl gives an activation.
fn activation_id(activation: Activation) -> f64 {
    match activation {
        Activation::Identity => 0.0,
        Activation::Relu => 1.0,
        Activation::LeakyRelu => 2.0,
        Activation::Elu => 3.0,
        Activation::Gelu => 4.0,
        Activation::GeluTanh => 5.0,
        Activation::Silu => 6.0,
        Activation::Tanh => 7.0,
        Activation::Sigmoid => 8.0,
        Activation::Softplus => 9.0,
        Activation::Mish => 10.0,
        Activation::Hardswish => 11.0,
        Activation::Selu => 12.0,
    }
}
