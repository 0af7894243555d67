//! The loss of the outputs and its derivatives, in double precision: [N, C] arrays are small, and at the confident outputs of a
//! trained network the differences in here are what is left of much larger numbers.

use crate::curvature::{Objective, OutputCurvature};
use crate::model::{Activation, Loss};
use crate::numeric::Real;

/// Loss and derivatives of some samples, with the weight of the mean multiplied in.
#[derive(Debug)]
pub(super) struct LossJet {
    /// The sum of the samples' losses.
    pub(super) value: f64,
    /// ∂loss/∂z_L, [N, C].
    pub(super) gradient: Vec<f64>,
    /// ∂²loss/∂z_L².
    pub(super) curvature: LossCurvature,
}

/// Vectors q that the operator has for each sample.
pub(super) fn vectors_per_sample(curvature: OutputCurvature) -> usize {
    match curvature {
        OutputCurvature::None | OutputCurvature::LossHessian => 0,
        OutputCurvature::Gradient => 1,
        OutputCurvature::Sampled(draws) => draws.count as usize,
    }
}

/// A, the matrix that an operator has between the Jacobians, for some samples in factors: no [N, C, C] array.
#[derive(Debug)]
pub(super) enum LossCurvature {
    /// w·(diag(p) − p pᵀ), p [N, C].
    Softmax { probabilities: Vec<f64>, classes: usize, weight: f64 },
    /// diag(d), d [N, C].
    Diagonal(Vec<f64>),
    /// d times the identity.
    Scalar(f64),
    /// w·Σ q qᵀ over `count` vectors a sample, q [N, count, C].
    OuterProducts { vectors: Vec<f64>, count: usize, outputs: usize, weight: f64 },
}

impl LossJet {
    /// The loss of `outputs` [N, C], those of the samples from `first_sample` on.
    pub(super) fn new(objective: &Objective, first_sample: usize, outputs: &[f64]) -> Self {
        let classes = objective.network().outputs();
        let weight = objective.loss().weight(objective.samples(), classes);
        let start = first_sample * classes;
        let pairs = || outputs.iter().enumerate().map(|(at, &o)| (o, objective.target((start + at) / classes, (start + at) % classes)));
        match objective.loss() {
            Loss::CrossEntropy => {
                let targets: Vec<f64> = pairs().map(|(_, y)| y).collect();
                cross_entropy(outputs, &targets, classes, weight)
            }
            Loss::Mse => Self {
                value: weight * pairs().map(|(o, y)| (o - y) * (o - y)).sum::<f64>(),
                gradient: pairs().map(|(o, y)| 2.0 * weight * (o - y)).collect(),
                curvature: LossCurvature::Scalar(2.0 * weight),
            },
            Loss::BceWithLogits => Self {
                value: weight * pairs().map(|(o, y)| o.max(0.0) + (-o.abs()).exp().ln_1p() - y * o).sum::<f64>(),
                // s(o) − y, without its cancellation at confident outputs.
                gradient: pairs().map(|(o, y)| weight * ((1.0 - y) * sigmoid(o) - y * sigmoid(-o))).collect(),
                curvature: LossCurvature::Diagonal(outputs.iter().map(|&o| weight * sigmoid(o) * sigmoid(-o)).collect()),
            },
        }
    }
}

impl LossJet {
    /// A for `curvature` in place of ∂²loss/∂z_L²; `outputs` [N, C] as they were given to [`new`](Self::new).
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    pub(super) fn with_curvature(self, curvature: OutputCurvature, objective: &Objective, first_sample: usize, outputs: &[f64]) -> Self {
        let (samples, width) = (objective.samples() as f64, objective.network().outputs());
        let curvature = match curvature {
            OutputCurvature::LossHessian => return self,
            OutputCurvature::None => LossCurvature::Scalar(0.0),
            OutputCurvature::Gradient => {
                LossCurvature::OuterProducts { vectors: self.gradient.clone(), count: 1, outputs: width, weight: samples }
            }
            OutputCurvature::Sampled(draws) => {
                let of_sample = |(number, outputs)| draws.output_gradients(objective.loss(), outputs, number);
                let numbers = u32::try_from(first_sample).unwrap_or(u32::MAX)..;
                let vectors = numbers.zip(outputs.chunks_exact(width)).flat_map(of_sample).collect();
                LossCurvature::OuterProducts {
                    vectors,
                    count: draws.count as usize,
                    outputs: width,
                    weight: (samples * f64::from(draws.count)).recip(),
                }
            }
        };
        Self { curvature, ..self }
    }
}

fn sigmoid(o: f64) -> f64 {
    Activation::Sigmoid.jet(o).value
}

/// −Σ y·log softmax(o) for one-hot y.
///
/// The derivative p − y is −Σ of the other classes' p at the sample's own: 1 − p would lose what p is short of 1.
fn cross_entropy(outputs: &[f64], targets: &[f64], classes: usize, weight: f64) -> LossJet {
    let mut value = 0.0;
    let mut probabilities = vec![0.0; outputs.len()];
    let mut gradient = vec![0.0; outputs.len()];
    let samples = outputs.chunks_exact(classes).zip(targets.chunks_exact(classes));
    let derivatives = probabilities.chunks_exact_mut(classes).zip(gradient.chunks_exact_mut(classes));
    for ((o, y), (p, g)) in samples.zip(derivatives) {
        let top = index_of_largest(o);
        let own = index_of_largest(y);
        let shift = o[top];
        p.iter_mut().zip(o).for_each(|(p, o)| *p = (o - shift).exp());
        let others = sum_but(p, top);
        value += others.ln_1p() + (o[top] - o[own]);
        p.iter_mut().for_each(|p| *p /= 1.0 + others);
        g.iter_mut().zip(p.iter()).for_each(|(g, p)| *g = weight * p);
        g[own] = -weight * sum_but(p, own);
    }
    LossJet { value: weight * value, gradient, curvature: LossCurvature::Softmax { probabilities, classes, weight } }
}

impl LossCurvature {
    /// u ← A u, [N, C].
    pub(super) fn multiply<T: Real>(&self, u: &mut [T]) {
        match self {
            Self::Softmax { probabilities, classes, weight } => {
                for (u, p) in u.chunks_exact_mut(*classes).zip(probabilities.chunks_exact(*classes)) {
                    // p ⊙ u − p(p·u) is the same for u − c; with c that of the likeliest class nothing cancels where p is nearly 1.
                    let shift = u[index_of_largest(p)].to_f64();
                    let mean: f64 = u.iter().zip(p).map(|(u, p)| p * (u.to_f64() - shift)).sum();
                    u.iter_mut().zip(p).for_each(|(u, p)| *u = T::from_f64(weight * p * (u.to_f64() - shift - mean)));
                }
            }
            Self::Diagonal(diagonal) => u.iter_mut().zip(diagonal).for_each(|(u, d)| *u = T::from_f64(u.to_f64() * d)),
            Self::Scalar(factor) => u.iter_mut().for_each(|u| *u = T::from_f64(u.to_f64() * factor)),
            Self::OuterProducts { vectors, count, outputs, weight } => {
                let mut product = vec![0.0; *outputs];
                for (u, vectors) in u.chunks_exact_mut(*outputs).zip(vectors.chunks_exact(count * outputs)) {
                    product.fill(0.0);
                    for q in vectors.chunks_exact(*outputs) {
                        let along: f64 = q.iter().zip(&*u).map(|(q, u)| q * u.to_f64()).sum();
                        product.iter_mut().zip(q).for_each(|(product, q)| *product += weight * along * q);
                    }
                    u.iter_mut().zip(&product).for_each(|(u, product)| *u = T::from_f64(*product));
                }
            }
        }
    }

    /// Bytes of the factors.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Softmax { probabilities: factors, .. } | Self::Diagonal(factors) | Self::OuterProducts { vectors: factors, .. } => {
                size_of_val(factors.as_slice())
            }
            Self::Scalar(_) => 0,
        }
    }
}

fn index_of_largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

fn sum_but(values: &[f64], left_out: usize) -> f64 {
    values[..left_out].iter().chain(&values[left_out + 1..]).sum()
}
