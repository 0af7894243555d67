//! The kernels: an entry point of a shader module and the values of its overrides.

use std::fmt::{self, Display};

use super::shaders::{self, Assembly};
use crate::model::{Activation, Loss};

/// One compiled variant of one entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "an entry point's documentation is the header of its shader")]
pub enum Kernel {
    Forward(Activation, Curve),
    Backward(Curve),
    ForwardOver(Curve),
    BackwardOver(Curve),
    Loss(Loss),
    LossOver(Loss),
    Weights,
    WeightsFirst,
    Gradient,
    BiasSums,
    BiasGradient,
    DotPartials,
    DotTotal,
    Divide,
    SubtractScaled,
    BasisPartials,
    BasisTotals,
    BasisSubtract,
    Rademacher,
    Peak,
}

/// Whether a layer keeps terms of φ''.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// It does.
    Curved,
    /// φ'' = 0, and its arrays do not exist.
    Linear,
}

/// The workgroup extents that suit a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workgroups {
    /// Lanes along the samples in `(weights) x (activations)`.
    pub product_lanes: u32,
    /// Lanes along the columns and along the rows in the weight products.
    pub weights_lanes: [u32; 2],
}

impl Display for Workgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y] = self.weights_lanes;
        write!(f, "product 16x8 on {} lanes, weights 8x8 on {x}x{y} lanes", self.product_lanes)
    }
}

impl Workgroups {
    /// Whole waves.
    pub const HARDWARE: Self = Self { product_lanes: 64, weights_lanes: [8, 8] };
    /// The eight lanes of a software driver's vectors.
    pub const SOFTWARE: Self = Self { product_lanes: 8, weights_lanes: [8, 1] };

    /// Whole waves for hardware; for a software driver, the eight lanes of its vectors, so that small products still fill the cores.
    pub fn suited_to(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::Cpu => Self::SOFTWARE,
            _ => Self::HARDWARE,
        }
    }
}

impl Kernel {
    /// Every kernel in every variant.
    pub fn all() -> Vec<Self> {
        let curves = [Curve::Curved, Curve::Linear];
        let forward = Activation::ALL.into_iter().flat_map(|activation| curves.map(|curve| Self::Forward(activation, curve)));
        let passes = curves.into_iter().flat_map(|curve| [Self::Backward(curve), Self::ForwardOver(curve), Self::BackwardOver(curve)]);
        let losses = Loss::ALL.into_iter().flat_map(|loss| [Self::Loss(loss), Self::LossOver(loss)]);
        let fixed = [
            Self::Weights,
            Self::WeightsFirst,
            Self::Gradient,
            Self::BiasSums,
            Self::BiasGradient,
            Self::DotPartials,
            Self::DotTotal,
            Self::Divide,
            Self::SubtractScaled,
            Self::BasisPartials,
            Self::BasisTotals,
            Self::BasisSubtract,
            Self::Rademacher,
            Self::Peak,
        ];
        forward.chain(passes).chain(losses).chain(fixed).collect()
    }

    /// The module.
    pub fn assembly(self) -> &'static Assembly {
        match self {
            Self::Forward(..) => &shaders::FORWARD,
            Self::Backward(_) => &shaders::BACKWARD,
            Self::ForwardOver(_) => &shaders::FORWARD_OVER,
            Self::BackwardOver(_) => &shaders::BACKWARD_OVER,
            Self::Loss(_) | Self::LossOver(_) => &shaders::LOSS,
            Self::Weights | Self::WeightsFirst | Self::Gradient | Self::BiasSums | Self::BiasGradient => &shaders::WEIGHTS,
            Self::DotPartials
            | Self::DotTotal
            | Self::Divide
            | Self::SubtractScaled
            | Self::BasisPartials
            | Self::BasisTotals
            | Self::BasisSubtract => &shaders::KRYLOV,
            Self::Rademacher => &shaders::PROBE,
            Self::Peak => &shaders::PEAK,
        }
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
            Self::Weights => "weights",
            Self::WeightsFirst => "weights_first",
            Self::Gradient => "gradient",
            Self::BiasSums => "bias_sums",
            Self::BiasGradient => "bias_gradient",
            Self::DotPartials => "dot_partials",
            Self::DotTotal => "dot_total",
            Self::Divide => "divide",
            Self::SubtractScaled => "subtract_scaled",
            Self::BasisPartials => "basis_partials",
            Self::BasisTotals => "basis_totals",
            Self::BasisSubtract => "basis_subtract",
            Self::Rademacher => "rademacher",
            Self::Peak => "peak",
        }
    }

    /// The overrides' values. Every override of the module is given, whichever entry point uses it.
    pub fn constants(self, workgroups: Workgroups) -> Vec<(&'static str, f64)> {
        let lanes = ("LANES", f64::from(workgroups.product_lanes));
        match self {
            Self::Forward(activation, _) => vec![lanes, ("ACTIVATION", activation_id(activation))],
            Self::Backward(_) | Self::ForwardOver(_) | Self::BackwardOver(_) => vec![lanes],
            Self::Loss(loss) | Self::LossOver(loss) => vec![("LOSS", loss_id(loss))],
            Self::Weights | Self::WeightsFirst | Self::Gradient => {
                let [x, y] = workgroups.weights_lanes;
                vec![("LANES", f64::from(x)), ("LANES_Y", f64::from(y))]
            }
            _ => vec![],
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
    }
}

/// The id that loss.wgsl gives a loss.
fn loss_id(loss: Loss) -> f64 {
    match loss {
        Loss::CrossEntropy => 0.0,
        Loss::Mse => 1.0,
        Loss::BceWithLogits => 2.0,
    }
}
