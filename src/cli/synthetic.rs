//! A network and data of any shape, for timing: the time of a product does not depend on what the numbers are.

use anyhow::{Result, bail};

use super::problem::Problem;
use crate::curvature::{Curvature, Inputs, Objective, Storage};
use crate::model::{Activation, Criterion, Dense, Loss, Network, Targets, WeightDecay};
use crate::rng::{self, Distribution};

/// What to make.
#[derive(Clone, Debug)]
pub(super) struct Synthetic {
    /// Input first.
    pub(super) widths: Vec<usize>,
    /// One for all hidden layers, or one for each.
    pub(super) activations: Vec<Activation>,
    pub(super) output_activation: Activation,
    pub(super) criterion: Criterion,
    pub(super) weight_decay: WeightDecay,
    pub(super) samples: usize,
    pub(super) curvature: Curvature,
}

/// The seed of everything synthetic: two benchmarks of one shape are of the same network.
const SEED: u64 = 0x6865_7370_6572;

impl Synthetic {
    /// It, as the commands take one.
    pub(super) fn problem(&self) -> Result<Problem> {
        Ok(Problem {
            objective: self.objective()?,
            curvature: self.curvature,
            preconditioner: None,
            source: "synthetic".into(),
            notices: Vec::new(),
        })
    }

    /// Weights of variance 1/in and standard normal inputs, so that activations are neither all saturated nor all zero.
    pub(super) fn objective(&self) -> Result<Objective> {
        let hidden = self.widths.len() - 2;
        if hidden > 0 && self.activations.len() != 1 && self.activations.len() != hidden {
            bail!("{} activations for {hidden} hidden layers: give one for all, or one for each", self.activations.len());
        }
        let mut stream = 0;
        let mut normal = |count: usize, scale: f64| {
            let mut values = vec![0.0_f64; count];
            rng::fill(Distribution::Gaussian, SEED, stream, &mut values);
            stream += 1;
            values.iter_mut().for_each(|value| *value *= scale);
            values
        };
        let mut layers = Vec::new();
        for (at, pair) in self.widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let activation = match at {
                _ if at == hidden => self.output_activation,
                _ if self.activations.len() == 1 => self.activations[0],
                _ => self.activations[at],
            };
            let weight = normal(inputs * outputs, to_f64(inputs).sqrt().recip());
            layers.push((Dense { inputs, outputs, weight, bias: Some(normal(outputs, 0.1)) }, activation));
        }
        let network = Network::chain(self.widths[0], layers)?;
        let (width, outputs) = (network.inputs(), network.outputs());
        let inputs = Inputs::new(Storage::F64(normal(self.samples * width, 1.0)), width, 1.0)?;
        let targets = match self.criterion.loss() {
            Loss::CrossEntropy => {
                let classes = u32::try_from(outputs)?;
                Targets::Classes((0..self.samples).map(|sample| u32::try_from(sample).map_or(0, |sample| sample % classes)).collect())
            }
            // Numbers that are probabilities and counts alike.
            Loss::BceWithLogits | Loss::PoissonNll => {
                Targets::Values(normal(self.samples * outputs, 1.0).into_iter().map(|value| f64::from(u8::from(value > 0.0))).collect())
            }
            _ => Targets::Values(normal(self.samples * outputs, 1.0)),
        };
        Ok(Objective::new(network, self.criterion.clone(), self.weight_decay, inputs, targets)?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a scale needs no 53 bits")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_losses_and_activations_fit() {
        for loss in Loss::ALL {
            let synthetic = Synthetic {
                widths: vec![5, 7, 6, 3],
                activations: vec![Activation::Relu, Activation::Tanh],
                output_activation: Activation::Identity,
                criterion: loss.into(),
                curvature: Curvature::Hessian,
                weight_decay: 0.0.into(),
                samples: 11,
            };
            let objective = synthetic.objective().unwrap();
            assert_eq!(objective.dim(), 5 * 7 + 7 + 7 * 6 + 6 + 6 * 3 + 3);
            assert_eq!(objective.network().summary(), "5-7-6-3 relu,tanh");
            let wrong = Synthetic { activations: vec![Activation::Relu; 3], ..synthetic };
            assert!(wrong.objective().is_err());
        }
    }
}
