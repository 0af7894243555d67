//! The loss of the outputs and its derivatives, in double precision: [N, C] arrays are small, and at the confident outputs of a
//! trained network the differences in here are what is left of much larger numbers.

use crate::curvature::{Objective, OutputCurvature};
use crate::model::{Activation, Terms};
use crate::numeric::Real;

/// Loss and derivatives of some samples, with their weights multiplied in.
#[derive(Debug)]
pub(super) struct LossJet {
    /// The sum of the samples' losses.
    pub(super) value: f64,
    /// ∂f/∂z_L, [N, C].
    pub(super) gradient: Vec<f64>,
    /// What the operator has between the Jacobians.
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
    /// 0.
    Zero,
    /// diag(q) − q qᵀ/Σq, q [N, C]: the sample's weight times its targets' mass times softmax(o).
    Softmax { masses: Vec<f64>, classes: usize },
    /// diag(d), d [N, C].
    Diagonal(Vec<f64>),
    /// Σ q qᵀ over `count` vectors a sample, q [N, count, C].
    OuterProducts { vectors: Vec<f64>, count: usize, outputs: usize },
}

impl LossJet {
    /// The loss of `outputs` [N, C], those of the samples from `first_sample` on, and A for `curvature`.
    pub(super) fn new(objective: &Objective, curvature: OutputCurvature, first_sample: usize, outputs: &[f64]) -> Self {
        let classes = objective.network().outputs();
        let mut jet = match objective.criterion().terms() {
            Terms::CrossEntropy { .. } => cross_entropy(objective, first_sample, outputs, classes),
            terms => elementwise(objective, terms, first_sample, outputs, classes),
        };
        match curvature {
            OutputCurvature::LossHessian => {}
            OutputCurvature::None => jet.curvature = LossCurvature::Zero,
            OutputCurvature::Gradient => {
                let mut vectors = jet.gradient.clone();
                for (number, q) in (first_sample..).zip(vectors.chunks_exact_mut(classes)) {
                    let weight = objective.sample_weight(number);
                    let scale = if weight > 0.0 { weight.sqrt().recip() } else { 0.0 };
                    q.iter_mut().for_each(|q| *q *= scale);
                }
                jet.curvature = LossCurvature::OuterProducts { vectors, count: 1, outputs: classes };
            }
            OutputCurvature::Sampled(draws) => {
                let of_sample = |(number, outputs)| draws.output_gradients(objective, outputs, number);
                let vectors = (first_sample..).zip(outputs.chunks_exact(classes)).flat_map(of_sample).collect();
                jet.curvature = LossCurvature::OuterProducts { vectors, count: draws.count as usize, outputs: classes };
            }
        }
        jet
    }
}

/// A loss that is a sum over the outputs.
fn elementwise(objective: &Objective, terms: &Terms, first_sample: usize, outputs: &[f64], classes: usize) -> LossJet {
    let mut value = 0.0;
    let (mut gradient, mut diagonal) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
    for (sample, outputs) in (first_sample..).zip(outputs.chunks_exact(classes)) {
        let weight = objective.sample_weight(sample) * objective.output_share();
        for (k, &o) in outputs.iter().enumerate() {
            let [term, first, second] = jet(terms, o, objective.target(sample, k), || objective.criterion().output_weight(k));
            value += weight * term;
            gradient.push(weight * first);
            diagonal.push(weight * second);
        }
    }
    LossJet { value, gradient, curvature: LossCurvature::Diagonal(diagonal) }
}

/// One output's term and its derivatives; `positive` is the weight of a positive target.
fn jet(terms: &Terms, o: f64, y: f64, positive: impl Fn() -> f64) -> [f64; 3] {
    let huber = |r: f64, delta: f64| match r.abs() <= delta {
        true => [0.5 * r * r, r, 1.0],
        false => [delta * (r.abs() - 0.5 * delta), delta.copysign(r), 0.0],
    };
    match *terms {
        Terms::CrossEntropy { .. } => unreachable!("it is no sum over the outputs"),
        Terms::Mse {} => [(o - y) * (o - y), 2.0 * (o - y), 2.0],
        Terms::Huber { delta } => huber(o - y, delta),
        Terms::SmoothL1 { beta } => huber(o - y, beta).map(|x| x / beta),
        // p·y·softplus(−o) + (1 − y)·softplus(o); its derivative has no cancellation at confident outputs.
        Terms::BceWithLogits { .. } => {
            let (on, off, tail) = (positive() * y, 1.0 - y, (-o.abs()).exp().ln_1p());
            let (s, c) = (sigmoid(o), sigmoid(-o));
            [on * ((-o).max(0.0) + tail) + off * (o.max(0.0) + tail), off * s - on * c, (on + off) * s * c]
        }
        Terms::PoissonNll { log_input: true, .. } => [o.exp() - y * o, o.exp() - y, o.exp()],
        Terms::PoissonNll { log_input: false, eps } => [o - y * (o + eps).ln(), 1.0 - y / (o + eps), y / ((o + eps) * (o + eps))],
    }
}

fn sigmoid(o: f64) -> f64 {
    Activation::Sigmoid.jet(o).value
}

/// −Σ t·log softmax(o).
///
/// The derivative s·p − t, s = Σt, is written p·(s − t) − t·(1 − p), and what a number close to 1 or s is short of it is the sum of the
/// others: the difference would lose it.
fn cross_entropy(objective: &Objective, first_sample: usize, outputs: &[f64], classes: usize) -> LossJet {
    let mut value = 0.0;
    let mut masses = vec![0.0; outputs.len()];
    let mut gradient = vec![0.0; outputs.len()];
    let mut t = vec![0.0; classes];
    let derivatives = masses.chunks_exact_mut(classes).zip(gradient.chunks_exact_mut(classes));
    for ((sample, o), (p, g)) in (first_sample..).zip(outputs.chunks_exact(classes)).zip(derivatives) {
        let weight = objective.sample_weight(sample);
        t.iter_mut().enumerate().for_each(|(k, t)| *t = objective.target(sample, k));
        let (top, own) = (index_of_largest(o), index_of_largest(&t));
        let largest = o[top];
        let (mass, other_mass) = (t.iter().sum::<f64>(), sum_but(&t, own));
        p.iter_mut().zip(o).for_each(|(p, o)| *p = (o - largest).exp());
        let others = sum_but(p, top);
        value += weight * (mass * others.ln_1p() + t.iter().zip(o).map(|(t, o)| t * (largest - o)).sum::<f64>());
        p.iter_mut().for_each(|p| *p /= 1.0 + others);
        for k in 0..classes {
            let short = if k == top { others / (1.0 + others) } else { 1.0 - p[k] };
            let rest = if k == own { other_mass } else { mass - t[k] };
            g[k] = weight * (p[k] * rest - t[k] * short);
        }
        p.iter_mut().for_each(|p| *p *= weight * mass);
    }
    LossJet { value, gradient, curvature: LossCurvature::Softmax { masses, classes } }
}

impl LossCurvature {
    /// u ← A u, [N, C].
    pub(super) fn multiply<T: Real>(&self, u: &mut [T]) {
        match self {
            Self::Zero => u.fill(T::ZERO),
            Self::Softmax { masses, classes } => {
                for (u, q) in u.chunks_exact_mut(*classes).zip(masses.chunks_exact(*classes)) {
                    // q ⊙ (u − q·u/Σq) is the same for u − c; with c that of the likeliest class nothing cancels where it has nearly all.
                    let shift = u[index_of_largest(q)].to_f64();
                    let mass = q.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                    let mean = u.iter().zip(q).map(|(u, q)| q * (u.to_f64() - shift)).sum::<f64>() / mass;
                    u.iter_mut().zip(q).for_each(|(u, q)| *u = T::from_f64(q * (u.to_f64() - shift - mean)));
                }
            }
            Self::Diagonal(diagonal) => u.iter_mut().zip(diagonal).for_each(|(u, d)| *u = T::from_f64(u.to_f64() * d)),
            Self::OuterProducts { vectors, count, outputs } => {
                let mut product = vec![0.0; *outputs];
                for (u, vectors) in u.chunks_exact_mut(*outputs).zip(vectors.chunks_exact(count * outputs)) {
                    product.fill(0.0);
                    for q in vectors.chunks_exact(*outputs) {
                        let along: f64 = q.iter().zip(&*u).map(|(q, u)| q * u.to_f64()).sum();
                        product.iter_mut().zip(q).for_each(|(product, q)| *product += along * q);
                    }
                    u.iter_mut().zip(&product).for_each(|(u, product)| *u = T::from_f64(*product));
                }
            }
        }
    }

    /// Bytes of the factors.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Softmax { masses: factors, .. } | Self::Diagonal(factors) | Self::OuterProducts { vectors: factors, .. } => {
                size_of_val(factors.as_slice())
            }
            Self::Zero => 0,
        }
    }
}

fn index_of_largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

fn sum_but(values: &[f64], left_out: usize) -> f64 {
    values[..left_out].iter().chain(&values[left_out + 1..]).sum()
}
