//! The loss of one sample with its first derivative and its second derivative's product, from the definitions.
//!
//! Everything is for one sample's outputs o, [C], before the weight of the mean (1/N or 1/(N·C)) is multiplied in.

use super::activation::logistic;
use crate::model::Loss;

/// loss(o, y). `y` is one-hot for cross-entropy.
pub(super) fn value(loss: Loss, o: &[f64], y: &[f64]) -> f64 {
    match loss {
        // log Σₖ exp(oₖ) − Σₖ yₖoₖ, shifted by the largest output o_m: log(1 + Σ_{k≠m} exp(oₖ − o_m)) − Σₖ yₖ(oₖ − o_m).
        Loss::CrossEntropy => {
            let top = largest(o);
            let others: f64 = (0..o.len()).filter(|&k| k != top).map(|k| (o[k] - o[top]).exp()).sum();
            let chosen: f64 = (0..o.len()).map(|k| y[k] * (o[k] - o[top])).sum();
            others.ln_1p() - chosen
        }
        Loss::Mse => o.iter().zip(y).map(|(o, y)| (o - y) * (o - y)).sum(),
        // log(1 + eᵒ) − y·o = max(o, 0) + log(1 + exp(−|o|)) − y·o.
        Loss::BceWithLogits => o.iter().zip(y).map(|(o, y)| o.max(0.0) + (-o.abs()).exp().ln_1p() - y * o).sum(),
    }
}

/// ∂loss/∂o, [C].
pub(super) fn gradient(loss: Loss, o: &[f64], y: &[f64]) -> Vec<f64> {
    match loss {
        // p_k − y_k, for the sample's class written −Σ_{j≠k} p_j: 1 − p_k would lose what a confident network's p_k is short of 1.
        Loss::CrossEntropy => {
            let p = softmax(o);
            let but = |k: usize| -> f64 { (0..p.len()).filter(|&j| j != k).map(|j| p[j]).sum() };
            (0..o.len()).map(|k| p[k] * (1.0 - y[k]) - but(k) * y[k]).collect()
        }
        Loss::Mse => o.iter().zip(y).map(|(o, y)| 2.0 * (o - y)).collect(),
        // s(o) − y = (1 − y)·s(o) − y·s(−o).
        Loss::BceWithLogits => o.iter().zip(y).map(|(&o, y)| (1.0 - y) * logistic(o)[0] - y * logistic(-o)[0]).collect(),
    }
}

/// (∂²loss/∂o²)·u, [C].
pub(super) fn hessian_product(loss: Loss, o: &[f64], u: &[f64]) -> Vec<f64> {
    match loss {
        // p ⊙ u − p(p·u) = p ⊙ (u − p·u). A shift of all of u changes nothing; with that of the largest output, the difference does
        // not cancel where one class has nearly all of the mass.
        Loss::CrossEntropy => {
            let p = softmax(o);
            let top = largest(o);
            let mean: f64 = (0..o.len()).map(|k| p[k] * (u[k] - u[top])).sum();
            (0..o.len()).map(|k| p[k] * ((u[k] - u[top]) - mean)).collect()
        }
        Loss::Mse => u.iter().map(|u| 2.0 * u).collect(),
        Loss::BceWithLogits => o.iter().zip(u).map(|(&o, u)| logistic(o)[1] * u).collect(),
    }
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

    #[test]
    fn derivatives_agree_with_central_differences() {
        let (o, u, h) = ([0.3, -1.2, 2.0, 0.7], [1.0, -0.5, 0.25, 2.0], 1e-5);
        for loss in Loss::ALL {
            let y = if loss == Loss::CrossEntropy { [0.0, 0.0, 1.0, 0.0] } else { [0.25, 1.0, 0.0, -0.5] };
            let at = |t: f64| -> Vec<f64> { o.iter().zip(u).map(|(o, u)| o + t * u).collect() };
            let slope: f64 = gradient(loss, &o, &y).iter().zip(u).map(|(g, u)| g * u).sum();
            let difference = (value(loss, &at(h), &y) - value(loss, &at(-h), &y)) / (2.0 * h);
            assert!((slope - difference).abs() < 1e-9, "{loss}: {slope} and {difference}");
            let (above, below) = (gradient(loss, &at(h), &y), gradient(loss, &at(-h), &y));
            for (k, product) in hessian_product(loss, &o, &u).into_iter().enumerate() {
                let difference = (above[k] - below[k]) / (2.0 * h);
                assert!((product - difference).abs() < 1e-9, "{loss} [{k}]: {product} and {difference}");
            }
        }
    }

    /// −log p of outputs (50, 0) with class 0 is e⁻⁵⁰ to first order: lost entirely if computed as log Σ − o.
    #[test]
    fn a_confident_sample_keeps_its_digits() {
        let (o, y, tiny) = ([50.0, 0.0], [1.0, 0.0], (-50.0_f64).exp());
        let relative = |x: f64, expected: f64| ((x - expected) / expected).abs();
        assert!(relative(value(Loss::CrossEntropy, &o, &y), tiny) < 1e-15);
        assert!(relative(gradient(Loss::CrossEntropy, &o, &y)[0], -tiny) < 1e-15);
        assert!(relative(hessian_product(Loss::CrossEntropy, &o, &[1.0, 0.0])[0], tiny) < 1e-15);
    }
}
