//! Which symmetric operator of an objective.
//!
//! All of them are a Jacobian's products around a matrix A in the space of one sample's outputs, with or without the terms of the
//! network's own curvature. With ℓₙ the loss of sample n, f = (1/N) Σ ℓₙ + (λ/2)‖θ‖² and Jₙ = ∂z_L/∂θ:
//!
//! | operator | | |
//! | --- | --- | --- |
//! | `hessian` | ∇²f | λI included |
//! | `ggn` | (1/N) Σ Jₙᵀ ∇²ℓₙ Jₙ + λI | generalized Gauss-Newton (Schraudolph 2002); the Fisher matrix for these losses (Martens 2020) |
//! | `residual` | ∇²f − GGN | Σ over outputs of ∂ℓ/∂z times the network's Hessian |
//! | `fisher-mc` | (1/N) Σ ∇ log p(ŷₙ) ∇ log p(ŷₙ)ᵀ, ŷₙ ~ p(·|xₙ) | estimates the Fisher matrix without λ from sampled targets |
//! | `empirical-fisher` | (1/N) Σ ∇ℓₙ ∇ℓₙᵀ | the second moment of the gradients (Kunstner, Hennig, Balles 2019) |
//! | `gradient-covariance` | the same less ∇ℓ̄ ∇ℓ̄ᵀ | the gradient noise of one-sample batches |

use std::fmt::{self, Display};

use rand_distr::{Distribution as _, StandardNormal, StandardUniform};
use serde::{Serialize, Serializer};

use crate::model::{Activation, Loss};
use crate::rng::Stream;

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

/// The targets that are drawn for each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// How many for each sample.
    pub count: u32,
    /// Of the generator.
    pub seed: u64,
}

/// A: the matrix in output space that stands between Jᵀ and J, weighted so that the operator is Σ Jᵀ A J.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputCurvature {
    /// 0.
    None,
    /// ∂²f/∂z_L².
    LossHessian,
    /// N·q qᵀ with q = ∂f/∂z_L.
    Gradient,
    /// The mean of (1/N)·q qᵀ over draws of q, see [`Draws::output_gradients`].
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

impl Draws {
    /// q for each draw of sample number `sample`: ∂ℓ/∂z_L at a target drawn from the model's own distribution, z_L = `outputs`, C of them,
    /// scaled so that the mean of q qᵀ is ∂²ℓ/∂z_L². Yields one draw after another.
    ///
    /// Cross-entropy: the class is drawn from the softmax. BCE: each output from its own Bernoulli. MSE: normal about the output, with the
    /// variance whose negative logarithm the loss is.
    pub fn output_gradients(self, loss: Loss, outputs: &[f64], sample: u32) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "outputs are few")]
        let share = (1.0 / outputs.len() as f64).sqrt();
        let gradient = |draw| {
            let mut stream = Stream::new(self.seed, draw, sample);
            let mut uniform = || -> f64 { StandardUniform.sample(&mut stream) };
            match loss {
                Loss::CrossEntropy => {
                    let p = softmax(outputs);
                    let mut left: f64 = uniform();
                    let drawn = p.iter().position(|p| {
                        left -= p;
                        left < 0.0
                    });
                    let class = drawn.unwrap_or(p.len() - 1);
                    p.iter().enumerate().map(|(k, p)| p - f64::from(u8::from(k == class))).collect::<Vec<_>>()
                }
                Loss::BceWithLogits => outputs
                    .iter()
                    .map(|o| {
                        let p = Activation::Sigmoid.jet(*o).value;
                        share * (p - f64::from(u8::from(uniform() < p)))
                    })
                    .collect(),
                Loss::Mse => outputs
                    .iter()
                    .map(|_| {
                        let normal: f64 = StandardNormal.sample(&mut stream);
                        share * std::f64::consts::SQRT_2 * normal
                    })
                    .collect(),
            }
        };
        (0..self.count).flat_map(gradient).collect()
    }
}

fn softmax(outputs: &[f64]) -> Vec<f64> {
    let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = outputs.iter().map(|o| (o - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of q qᵀ over many draws is the loss's Hessian: diag(p) − p pᵀ, diag(p(1 − p))/C, (2/C)·I.
    #[test]
    fn drawn_gradients_have_the_losss_curvature_as_second_moment() {
        const COUNT: u32 = 40_000;
        let outputs = [0.5, -1.0, 1.5];
        let p = softmax(&outputs);
        let s = outputs.map(|o: f64| 1.0 / (1.0 + (-o).exp()));
        for loss in Loss::ALL {
            let q = Draws { count: COUNT, seed: 3 }.output_gradients(loss, &outputs, 7);
            for (i, j) in [(0, 0), (0, 1), (1, 2), (2, 2)] {
                let moment = q.chunks(3).map(|q| q[i] * q[j]).sum::<f64>() / f64::from(COUNT);
                let on_diagonal = f64::from(u8::from(i == j));
                let exact = match loss {
                    Loss::CrossEntropy => on_diagonal * p[i] - p[i] * p[j],
                    Loss::BceWithLogits => on_diagonal * s[i] * (1.0 - s[i]) / 3.0,
                    Loss::Mse => on_diagonal * 2.0 / 3.0,
                };
                // Five standard errors of a product whose standard deviation is at most 1.
                assert!((moment - exact).abs() < 5.0 / 200.0 * exact.abs().max(0.2), "{loss} [{i}, {j}]: {moment} and {exact}");
            }
        }
    }

    #[test]
    fn a_draw_depends_on_its_number_its_sample_and_the_seed() {
        let draw = |seed, sample| Draws { count: 2, seed }.output_gradients(Loss::Mse, &[0.0; 4], sample);
        let first = draw(1, 0);
        assert_eq!(first, draw(1, 0));
        assert_ne!(first[..4], first[4..]);
        assert_ne!(first, draw(1, 1));
        assert_ne!(first, draw(2, 0));
    }
}
