//! Which symmetric operator of an objective.
//!
//! All of them are a Jacobian's products around a matrix A in the space of one sample's outputs, with or without the terms of the
//! network's own curvature. With ℓₙ the loss of sample n, f = Σ ωₙ ℓₙ + (λ/2)‖θ‖² (ωₙ = 1/N in a mean without weights) and
//! Jₙ = ∂z_L/∂θ:
//!
//! | operator | | |
//! | --- | --- | --- |
//! | `hessian` | ∇²f | λI included |
//! | `ggn` | Σ ωₙ Jₙᵀ ∇²ℓₙ Jₙ + λI | generalized Gauss-Newton (Schraudolph 2002); the Fisher matrix where that is of the targets' distribution in its natural parameters (Martens 2020): cross-entropy, MSE, BCE, Poisson of a logarithm |
//! | `residual` | ∇²f − GGN | Σ over outputs of ∂ℓ/∂z times the network's Hessian |
//! | `fisher-mc` | Σ ωₙ ∇ log p(ŷₙ) ∇ log p(ŷₙ)ᵀ, ŷₙ ~ p(·|xₙ) | estimates the Fisher matrix without λ from sampled targets |
//! | `empirical-fisher` | Σ ωₙ ∇ℓₙ ∇ℓₙᵀ | the second moment of the gradients (Kunstner, Hennig, Balles 2019) |
//! | `gradient-covariance` | the same less (Σ ωₙ∇ℓₙ)(Σ ωₙ∇ℓₙ)ᵀ/Σ ωₙ | the gradient noise of one-sample batches |

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use super::Objective;
use super::draws::Draws;
use crate::error::{Error, Result};

/// A symmetric operator of the objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curvature {
    /// H = ∇²f(θ).
    #[default]
    Hessian,
    /// The generalized Gauss-Newton matrix.
    Ggn,
    /// H − GGN.
    Residual,
    /// The Fisher matrix by sampled targets.
    FisherMc(Draws),
    /// The second moment of the samples' gradients.
    EmpiricalFisher,
    /// The covariance of the samples' gradients.
    GradientCovariance,
}

/// A: the matrix in output space that stands between Jᵀ and J, weighted so that the operator is Σ Jᵀ A J.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputCurvature {
    /// 0.
    None,
    /// ∂²f/∂z_L².
    LossHessian,
    /// q qᵀ with q = √ωₙ ∂ℓₙ/∂z_L.
    Gradient,
    /// The sum of q qᵀ over draws of q, see [`Draws::output_gradients`].
    Sampled(Draws),
}

impl Curvature {
    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::Ggn => "ggn",
            Self::Residual => "residual",
            Self::FisherMc(_) => "fisher-mc",
            Self::EmpiricalFisher => "empirical-fisher",
            Self::GradientCovariance => "gradient-covariance",
        }
    }

    /// Whether the network's own curvature takes part: the terms with φ'', with Vᵀδ and with δ·Rzᵀ.
    pub const fn has_network_curvature(self) -> bool {
        matches!(self, Self::Hessian | Self::Residual)
    }

    /// What stands between the Jacobians.
    pub const fn output_curvature(self) -> OutputCurvature {
        match self {
            Self::Hessian | Self::Ggn => OutputCurvature::LossHessian,
            Self::Residual => OutputCurvature::None,
            Self::FisherMc(draws) => OutputCurvature::Sampled(draws),
            Self::EmpiricalFisher | Self::GradientCovariance => OutputCurvature::Gradient,
        }
    }

    /// Checks that `objective` has this operator.
    ///
    /// # Errors
    /// [`Error::Input`] where targets are to be drawn and the loss has no likelihood.
    pub fn check(self, objective: &Objective) -> Result<()> {
        let terms = objective.criterion().terms();
        if matches!(self, Self::FisherMc(_)) && !terms.has_likelihood() {
            let loss = terms.loss();
            return Err(Error::Input(format!(
                "fisher-mc draws targets from the model's distribution, but {loss} as it is here has none: use --operator ggn"
            )));
        }
        Ok(())
    }

    /// Whether λI is part of it.
    pub const fn has_weight_decay(self) -> bool {
        matches!(self, Self::Hessian | Self::Ggn)
    }

    /// Whether the mean gradient's outer product is taken off.
    pub const fn is_centred(self) -> bool {
        matches!(self, Self::GradientCovariance)
    }

    /// Whether no eigenvalue is below 0 (below λ, where λ is part of it).
    pub const fn is_positive_semidefinite(self) -> bool {
        !self.has_network_curvature()
    }
}

impl Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Curvature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
