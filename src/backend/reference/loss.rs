//! The loss of one sample with its first derivative and its second derivative's product, from the definitions.
//!
//! Everything is for one sample's outputs o, [C], before the sample's weight and the share of an output (1/C) are multiplied in.

use super::activation::logistic;
use crate::model::Terms;

/// What a sample's outputs are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) terms: &'a Terms,
    /// y, [C]; for cross-entropy the multipliers of −log softmax(o).
    pub(super) y: &'a [f64],
    /// The weight of each output's positive target, [C].
    pub(super) positive: &'a [f64],
}

impl Expected<'_> {
    /// loss(o, y).
    pub(super) fn value(self, o: &[f64]) -> f64 {
        let Self { terms, y, positive } = self;
        let sum = |term: &dyn Fn(usize) -> f64| (0..o.len()).map(term).sum::<f64>();
        match *terms {
            // Σⱼ yⱼ·log Σₖ exp(oₖ) − Σₖ yₖoₖ, shifted by the largest output o_m: log(1 + Σ_{k≠m} exp(oₖ − o_m)) and oₖ − o_m.
            Terms::CrossEntropy { .. } => {
                let top = largest(o);
                let others: f64 = (0..o.len()).filter(|&k| k != top).map(|k| (o[k] - o[top]).exp()).sum();
                others.ln_1p() * y.iter().sum::<f64>() - sum(&|k| y[k] * (o[k] - o[top]))
            }
            Terms::Mse {} => sum(&|k| (o[k] - y[k]).powi(2)),
            Terms::Huber { delta } => sum(&|k| {
                let r = (o[k] - y[k]).abs();
                if r <= delta { r * r / 2.0 } else { delta * (r - delta / 2.0) }
            }),
            Terms::SmoothL1 { beta } => sum(&|k| {
                let r = (o[k] - y[k]).abs();
                if r <= beta { r * r / (2.0 * beta) } else { r - beta / 2.0 }
            }),
            // −p·y·log s(o) − (1 − y)·log s(−o), −log s(o) = log(1 + e⁻ᵒ).
            Terms::BceWithLogits { .. } => sum(&|k| positive[k] * y[k] * log_1p_exp(-o[k]) + (1.0 - y[k]) * log_1p_exp(o[k])),
            Terms::PoissonNll { log_input: true, .. } => sum(&|k| o[k].exp() - y[k] * o[k]),
            Terms::PoissonNll { log_input: false, eps } => sum(&|k| o[k] - y[k] * (o[k] + eps).ln()),
        }
    }

    /// ∂loss/∂o, [C].
    pub(super) fn gradient(self, o: &[f64]) -> Vec<f64> {
        let Self { terms, y, positive } = self;
        let each = |derivative: &dyn Fn(usize) -> f64| (0..o.len()).map(derivative).collect::<Vec<f64>>();
        match *terms {
            // pₖ·Σⱼ yⱼ − yₖ = Σ_{j≠k} (yⱼpₖ − yₖpⱼ): 1 − pₖ would lose what a confident network's pₖ is short of 1.
            Terms::CrossEntropy { .. } => {
                let p = softmax(o);
                let but = |x: &[f64], k: usize| -> f64 { (0..x.len()).filter(|&j| j != k).map(|j| x[j]).sum() };
                each(&|k| p[k] * but(y, k) - but(&p, k) * y[k])
            }
            Terms::Mse {} => each(&|k| 2.0 * (o[k] - y[k])),
            Terms::Huber { delta } => each(&|k| (o[k] - y[k]).clamp(-delta, delta)),
            Terms::SmoothL1 { beta } => each(&|k| ((o[k] - y[k]) / beta).clamp(-1.0, 1.0)),
            Terms::BceWithLogits { .. } => each(&|k| (1.0 - y[k]) * logistic(o[k])[0] - positive[k] * y[k] * logistic(-o[k])[0]),
            Terms::PoissonNll { log_input: true, .. } => each(&|k| o[k].exp() - y[k]),
            Terms::PoissonNll { log_input: false, eps } => each(&|k| 1.0 - y[k] / (o[k] + eps)),
        }
    }

    /// (∂²loss/∂o²)·u, [C]; at the kinks of the first derivative that of the inner side.
    pub(super) fn hessian_product(self, o: &[f64], u: &[f64]) -> Vec<f64> {
        let Self { terms, y, positive } = self;
        let each = |product: &dyn Fn(usize) -> f64| (0..o.len()).map(product).collect::<Vec<f64>>();
        match *terms {
            // Σⱼ yⱼ times p ⊙ u − p(p·u) = p ⊙ (u − p·u). A shift of all of u changes nothing; with that of the largest output, the
            // difference does not cancel where one class has nearly all of the mass.
            Terms::CrossEntropy { .. } => {
                let p = softmax(o);
                let top = largest(o);
                let mean: f64 = (0..o.len()).map(|k| p[k] * (u[k] - u[top])).sum();
                let mass: f64 = y.iter().sum();
                each(&|k| mass * p[k] * ((u[k] - u[top]) - mean))
            }
            Terms::Mse {} => each(&|k| 2.0 * u[k]),
            Terms::Huber { delta } => each(&|k| if (o[k] - y[k]).abs() <= delta { u[k] } else { 0.0 }),
            Terms::SmoothL1 { beta } => each(&|k| if (o[k] - y[k]).abs() <= beta { u[k] / beta } else { 0.0 }),
            Terms::BceWithLogits { .. } => each(&|k| (positive[k] * y[k] + (1.0 - y[k])) * logistic(o[k])[1] * u[k]),
            Terms::PoissonNll { log_input: true, .. } => each(&|k| o[k].exp() * u[k]),
            Terms::PoissonNll { log_input: false, eps } => each(&|k| y[k] / (o[k] + eps).powi(2) * u[k]),
        }
    }
}

/// log(1 + eᵒ) = max(o, 0) + log(1 + exp(−|o|)).
fn log_1p_exp(o: f64) -> f64 {
    o.max(0.0) + (-o.abs()).exp().ln_1p()
}

/// pₖ = exp(oₖ − max o) / Σⱼ exp(oⱼ − max o).
fn softmax(o: &[f64]) -> Vec<f64> {
    let shift = o[largest(o)];
    let exponentials: Vec<f64> = o.iter().map(|o| (o - shift).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

fn largest(o: &[f64]) -> usize {
    (0..o.len()).fold(0, |best, k| if o[k] > o[best] { k } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Loss;

    /// Every kind of term, at outputs on both sides of the kinks.
    #[test]
    fn derivatives_agree_with_central_differences() {
        let (o, u, h) = ([0.3, -1.2, 2.0, 0.7], [1.0, -0.5, 0.25, 2.0], 1e-5);
        let more = [Terms::Huber { delta: 0.4 }, Terms::SmoothL1 { beta: 0.4 }, Terms::PoissonNll { log_input: false, eps: 2.5 }];
        for terms in Loss::ALL.into_iter().map(Terms::from).chain(more) {
            let y = match terms {
                Terms::CrossEntropy { .. } => [0.1, 0.0, 1.5, 0.25],
                _ => [0.25, 1.0, 0.0, 3.0],
            };
            let expected = Expected { terms: &terms, y: &y, positive: &[1.0, 2.5, 1.0, 0.5] };
            let at = |t: f64| -> Vec<f64> { o.iter().zip(u).map(|(o, u)| o + t * u).collect() };
            let slope: f64 = expected.gradient(&o).iter().zip(u).map(|(g, u)| g * u).sum();
            let difference = (expected.value(&at(h)) - expected.value(&at(-h))) / (2.0 * h);
            assert!((slope - difference).abs() < 1e-9, "{terms:?}: {slope} and {difference}");
            let (above, below) = (expected.gradient(&at(h)), expected.gradient(&at(-h)));
            for (k, product) in expected.hessian_product(&o, &u).into_iter().enumerate() {
                let difference = (above[k] - below[k]) / (2.0 * h);
                assert!((product - difference).abs() < 1e-9, "{terms:?} [{k}]: {product} and {difference}");
            }
        }
    }

    /// −log p of outputs (50, 0) with class 0 is e⁻⁵⁰ to first order: lost entirely if computed as log Σ − o.
    #[test]
    fn a_confident_sample_keeps_its_digits() {
        let (o, tiny) = ([50.0, 0.0], (-50.0_f64).exp());
        let expected = Expected { terms: &Loss::CrossEntropy.into(), y: &[1.0, 0.0], positive: &[1.0; 2] };
        let relative = |x: f64, expected: f64| ((x - expected) / expected).abs();
        assert!(relative(expected.value(&o), tiny) < 1e-15);
        assert!(relative(expected.gradient(&o)[0], -tiny) < 1e-15);
        assert!(relative(expected.hessian_product(&o, &[1.0, 0.0])[0], tiny) < 1e-15);
    }
}
