//! Targets drawn from the model's own distribution, and the loss's gradients at them.

use rand_distr::{Distribution as _, Poisson, StandardNormal, StandardUniform};

use super::Objective;
use crate::model::{Activation, Terms};
use crate::rng::Stream;

/// The targets that are drawn for each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// How many for each sample.
    pub count: u32,
    /// Of the generator.
    pub seed: u64,
}

impl Draws {
    /// q for each draw of sample number `sample`: ∂ℓ/∂z_L at a target drawn from the model's own distribution, z_L = `outputs`, C of them,
    /// scaled so that the sum of q qᵀ over the draws is ∂²f/∂z_L² in the mean. Yields one draw after another.
    ///
    /// Cross-entropy: the class is drawn from the softmax. BCE: each output from its own Bernoulli. MSE: normal about the output, with the
    /// variance whose negative logarithm the loss is. Poisson: of the rate eᵒ. Weights of classes, of positive targets and of samples
    /// weigh q qᵀ, not the draw.
    ///
    /// # Panics
    /// Where the loss has no likelihood, which [`Curvature::check`](super::Curvature::check) refuses.
    pub fn output_gradients(self, objective: &Objective, outputs: &[f64], sample: usize) -> Vec<f64> {
        let weight = objective.sample_weight(sample) * objective.output_share() / f64::from(self.count);
        let number = u32::try_from(sample).unwrap_or(u32::MAX);
        let gradient = |draw| {
            let mut stream = Stream::new(self.seed, draw, number);
            let mut uniform = || -> f64 { StandardUniform.sample(&mut stream) };
            match objective.criterion().terms() {
                Terms::CrossEntropy { .. } => {
                    let mass: f64 = (0..outputs.len()).map(|k| objective.target(sample, k)).sum();
                    let p = softmax(outputs);
                    let mut left: f64 = uniform();
                    let drawn = p.iter().position(|p| {
                        left -= p;
                        left < 0.0
                    });
                    let (class, scale) = (drawn.unwrap_or(p.len() - 1), (weight * mass).sqrt());
                    p.iter().enumerate().map(|(k, p)| scale * (p - f64::from(u8::from(k == class)))).collect::<Vec<_>>()
                }
                Terms::BceWithLogits { pos_weight } => {
                    let gradient = |(k, o): (usize, &f64)| {
                        let p = Activation::Sigmoid.jet(*o).value;
                        let mass = match pos_weight {
                            Some(_) => 1.0 + (objective.criterion().output_weight(k) - 1.0) * objective.target(sample, k),
                            None => 1.0,
                        };
                        (weight * mass).sqrt() * (p - f64::from(u8::from(uniform() < p)))
                    };
                    outputs.iter().enumerate().map(gradient).collect()
                }
                Terms::Mse {} => {
                    let normal = |_| -> f64 { StandardNormal.sample(&mut stream) };
                    outputs.iter().map(normal).map(|normal| (2.0 * weight).sqrt() * normal).collect()
                }
                Terms::PoissonNll { log_input: true, .. } => {
                    let gradient = |o: &f64| {
                        let rate = o.exp();
                        // A rate beyond what can be drawn, or 0, is its own draw.
                        let count = Poisson::new(rate).map_or(rate, |poisson| poisson.sample(&mut stream));
                        weight.sqrt() * (rate - count)
                    };
                    outputs.iter().map(gradient).collect()
                }
                Terms::PoissonNll { .. } | Terms::Huber { .. } | Terms::SmoothL1 { .. } => {
                    unreachable!("{} has no likelihood to draw from", objective.criterion().loss())
                }
            }
        };
        (0..self.count).flat_map(gradient).collect()
    }
}

/// The probabilities that cross-entropy makes of one sample's outputs.
pub(crate) fn softmax(outputs: &[f64]) -> Vec<f64> {
    let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = outputs.iter().map(|o| (o - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Inputs, Storage};
    use super::*;
    use crate::model::{Activation, Dense, Loss, Network, Targets};

    /// One sample of three outputs.
    fn objective(loss: Loss) -> Objective {
        let layer = Dense { inputs: 1, outputs: 3, weight: vec![1.0; 3], bias: None };
        let targets = if loss == Loss::CrossEntropy { Targets::Classes(vec![1]) } else { Targets::Values(vec![0.0, 1.0, 1.0]) };
        let inputs = Inputs::new(Storage::F64(vec![1.0]), 1, 1.0).unwrap();
        Objective::new(Network::chain(1, [(layer, Activation::Identity)]).unwrap(), loss, 0.0, inputs, targets).unwrap()
    }

    /// The mean of q qᵀ over many draws is the loss's Hessian: diag(p) − p pᵀ, diag(p(1 − p))/C, (2/C)·I, diag(eᵒ)/C.
    #[test]
    fn drawn_gradients_have_the_losss_curvature_as_second_moment() {
        const COUNT: u32 = 40_000;
        let outputs = [0.5, -1.0, 0.75];
        let p = softmax(&outputs);
        let s = outputs.map(|o: f64| 1.0 / (1.0 + (-o).exp()));
        for loss in [Loss::CrossEntropy, Loss::BceWithLogits, Loss::Mse, Loss::PoissonNll] {
            let q = Draws { count: COUNT, seed: 3 }.output_gradients(&objective(loss), &outputs, 0);
            for (i, j) in [(0, 0), (0, 1), (1, 2), (2, 2)] {
                let moment = q.chunks(3).map(|q| q[i] * q[j]).sum::<f64>();
                let on_diagonal = f64::from(u8::from(i == j));
                let exact = match loss {
                    Loss::CrossEntropy => on_diagonal * p[i] - p[i] * p[j],
                    Loss::BceWithLogits => on_diagonal * s[i] * (1.0 - s[i]) / 3.0,
                    Loss::PoissonNll => on_diagonal * outputs[i].exp() / 3.0,
                    _ => on_diagonal * 2.0 / 3.0,
                };
                // Five standard errors of a product whose standard deviation is at most 1.2.
                assert!((moment - exact).abs() < 6.0 / 200.0 * exact.abs().max(0.2), "{loss} [{i}, {j}]: {moment} and {exact}");
            }
        }
    }

    #[test]
    fn a_draw_depends_on_its_number_its_sample_and_the_seed() {
        let twins = objective(Loss::Mse);
        let draw = |seed| Draws { count: 2, seed }.output_gradients(&twins, &[0.0; 3], 0);
        let first = draw(1);
        assert_eq!(first, draw(1));
        assert_ne!(first[..3], first[3..]);
        assert_ne!(first, draw(2));
    }
}
