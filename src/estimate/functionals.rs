//! Single numbers of a spectrum.

use serde::Serialize;

use super::quadrature::{Quadrature, ROUNDING};
use super::sample::Estimate;
use crate::krylov::{RitzValue, Tridiagonal};

/// ‖A‖²_F = tr A² = `E[‖Av‖²]` from runs whose starts are Rademacher probes v: ‖Av‖² = n(α₀² + β₀²), exact for each probe.
#[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
pub fn frobenius_squared(runs: &[Tridiagonal], dim: usize) -> Estimate {
    let square = |run: &Tridiagonal| Some(dim as f64 * (run.alphas.first()?.powi(2) + run.betas.first()?.powi(2)));
    Estimate::from_samples(runs.iter().filter_map(square).collect())
}

/// The share of negative eigenvalues among all n.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NegativeShare {
    /// The estimate, a mean over the probes.
    pub mean: f64,
    /// What the share is at least; see [`negative_share`].
    pub lower: f64,
    /// What the share is at most.
    pub upper: f64,
}

/// F(0−), the share of negative eigenvalues, from the Gauss rules of independent probes.
///
/// `mean` is each probe's [`Quadrature::cdf_estimate`] at 0, or, where a node is within τ of 0 (an eigenvalue 0 with its rounding
/// error), the weight of the nodes below −τ ([`Quadrature::resolution`] with ε = `epsilon`, that of the vectors' precision).
///
/// `lower` and `upper` start from the proved bounds of each probe's F(0) ([`Quadrature::cdf_brackets`]), rounding included; they are
/// averaged over the probes and then moved outwards by the half-width of their 95 % interval (Student's t), which accounts for the
/// choice of the probes. One probe tells no spread: its bounds are 0 and 1.
pub fn negative_share(rules: &[Quadrature], epsilon: f64) -> NegativeShare {
    let estimate = |value: &dyn Fn(&Quadrature) -> f64| Estimate::from_samples(rules.iter().map(value).collect());
    let lower = estimate(&|rule| rule.cdf_brackets(&[0.0], epsilon)[0].0);
    let upper = estimate(&|rule| rule.cdf_brackets(&[0.0], epsilon)[0].1);
    NegativeShare {
        mean: estimate(&|rule| share_below_zero(rule, epsilon)).mean,
        lower: (lower.mean - lower.half_width()).clamp(0.0, 1.0),
        upper: (upper.mean + upper.half_width()).clamp(0.0, 1.0),
    }
}

fn share_below_zero(rule: &Quadrature, epsilon: f64) -> f64 {
    let band = rule.resolution(epsilon);
    let weight_below = |x: f64| rule.nodes.iter().zip(&rule.weights).filter(|(node, _)| **node < x).map(|(_, weight)| weight).sum();
    if rule.nodes.iter().any(|node| node.abs() <= band) { weight_below(-band) } else { rule.cdf_estimate(0.0) }
}

/// The largest step 2/λmax at which gradient descent is stable along the sharpest direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LearningRate {
    /// 2/θ with the largest Ritz value θ.
    pub value: f64,
    /// 2/(θ + residual): an eigenvalue lies within the residual of θ, and if it is the largest one, 2/λmax is no less than this.
    pub lower: f64,
    /// 2/(θ − 10·ε·max|θ|): λmax is never below θ, rounding aside. None where rounding may have made θ positive.
    pub upper: Option<f64>,
}

/// 2/λmax with its bar; none where λmax ≤ 0 (no step is too large) or no value is known.
pub fn max_stable_learning_rate(largest: Option<RitzValue>, scale: f64, epsilon: f64) -> Option<LearningRate> {
    let RitzValue { value, residual } = largest.filter(|ritz| ritz.value > 0.0)?;
    let surely = value - ROUNDING * epsilon * scale;
    Some(LearningRate { value: 2.0 / value, lower: 2.0 / (value + residual), upper: (surely > 0.0).then(|| 2.0 / surely) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(nodes: &[f64], weights: &[f64]) -> Quadrature {
        Quadrature { nodes: nodes.to_vec(), weights: weights.to_vec(), is_exact: false }
    }

    #[test]
    fn a_node_within_rounding_of_zero_is_not_negative_but_may_be() {
        let rules = vec![rule(&[-1.0, -1e-16, 1.0, 2.0], &[0.1, 0.3, 0.2, 0.4]); 2];
        let share = negative_share(&rules, f64::EPSILON);
        assert!((share.mean - 0.1).abs() < 1e-15);
        assert!(share.lower == 0.0 && (share.upper - 0.6).abs() < 1e-14, "{share:?}");
    }

    #[test]
    fn one_probe_proves_nothing_about_the_spectrum() {
        let share = negative_share(&[rule(&[-1.0, 1.0], &[0.5, 0.5])], f64::EPSILON);
        assert_eq!((share.mean, share.lower, share.upper), (0.5, 0.0, 1.0));
    }

    #[test]
    fn bounds_widen_with_the_spread_over_probes() {
        let rules =
            |a: f64, b: f64| -> Vec<_> { [a, b, a, b].iter().map(|&w| rule(&[-2.0, -1.0, 1.0, 2.0], &[w, w, 0.5 - w, 0.5 - w])).collect() };
        let (calm, spread) = (negative_share(&rules(0.2, 0.2), 0.0), negative_share(&rules(0.18, 0.22), 0.0));
        assert!((calm.lower - 0.2).abs() < 1e-12 && (calm.upper - 0.7).abs() < 1e-12, "{calm:?}");
        assert!(spread.lower < calm.lower - 0.02 && spread.upper > calm.upper + 0.02 && spread.lower > 0.0, "{spread:?}");
    }

    #[test]
    fn learning_rate_has_a_bar_and_needs_positive_curvature() {
        let rate = max_stable_learning_rate(Some(RitzValue { value: 4.0, residual: 1.0 }), 4.0, 0.0).unwrap();
        assert_eq!(rate, LearningRate { value: 0.5, lower: 0.4, upper: Some(0.5) });
        assert_eq!(max_stable_learning_rate(Some(RitzValue { value: -1.0, residual: 0.0 }), 4.0, 0.0), None);
        let unsure = max_stable_learning_rate(Some(RitzValue { value: 1e-9, residual: 0.0 }), 4.0, 1e-7).unwrap();
        assert_eq!(unsure.upper, None);
    }

    #[test]
    fn frobenius_is_the_squared_norm_of_the_product() {
        let run = Tridiagonal { alphas: vec![3.0, 9.0], betas: vec![4.0, 1.0], termination: crate::krylov::Termination::Completed };
        assert_eq!(frobenius_squared(&[run], 10).mean, 250.0);
    }
}
