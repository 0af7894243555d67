//! What a spectrum says about training at its point.

use serde::Serialize;

use super::functionals::NegativeShare;
use super::measure::SpectralMeasure;
use super::sample::{Bounded, jackknife};
use crate::krylov::RitzValue;

/// The largest step 2/λmax at which gradient descent is stable along the sharpest direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LearningRate {
    /// 2/θ with the largest Ritz value θ.
    pub value: f64,
    /// 2/(θ + residual): an eigenvalue lies within the residual of θ, and if it is the largest one, 2/λmax is no less than this.
    pub lower: f64,
    /// 2/(θ − τ): λmax is never below θ, but for the rounding errors' τ. None where they may have made θ positive.
    pub upper: Option<f64>,
}

impl LearningRate {
    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { value: factor * self.value, lower: factor * self.lower, upper: self.upper.map(|upper| factor * upper) }
    }
}

/// 2/λmax with its bar; none where λmax ≤ 0 (no step is too large) or no value is known. `resolution` is τ, and part of the residual.
pub fn max_stable_learning_rate(largest: Option<RitzValue>, resolution: f64) -> Option<LearningRate> {
    let RitzValue { value, residual } = largest.filter(|ritz| ritz.value > 0.0)?;
    let surely = value - resolution;
    Some(LearningRate { value: 2.0 / value, lower: 2.0 / (value + residual), upper: (surely > 0.0).then(|| 2.0 / surely) })
}

/// How much of a saddle the point is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SaddleIndex {
    /// The share of negative eigenvalues.
    pub negative_share: NegativeShare,
    /// So many negative eigenvalues there are at least, each a direction of descent that surely exists.
    pub certified_negative: usize,
}

/// The negative share with the number of eigenvalues that are surely negative: the known pairs below 0, and the most Ritz values that
/// any run of orthogonal vectors has below −δ(0) − τ.
///
/// By Courant-Fischer a subspace on which the form is negative proves as many negative eigenvalues as it has dimensions. Runs without
/// reorthogonalization hold copies and prove nothing: then only the pairs count.
pub fn saddle_index(measure: &SpectralMeasure, negative_share: NegativeShare, orthogonal_runs: bool) -> SaddleIndex {
    let band = measure.resolution();
    let bound = -measure.coupling_at(0.0) - band;
    let in_rest = measure.rules().iter().map(|rule| rule.nodes.iter().filter(|&&node| node < bound).count()).max();
    let known = measure.pairs().iter().filter(|pair| pair.value < -band).count();
    SaddleIndex { negative_share, certified_negative: known + in_rest.filter(|_| orthogonal_runs).unwrap_or(0) }
}

/// Where the large positive eigenvalues part from the bulk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OutlierSplit {
    /// Eigenvalues above the gap.
    pub count: usize,
    /// The smallest of them.
    pub smallest_outlier: f64,
    /// The largest eigenvalue found below the gap.
    pub bulk_edge: f64,
    /// How wide the gap is at least, residuals taken off.
    pub gap: f64,
    /// smallest_outlier/bulk_edge: near 1 there is no split worth the name.
    pub ratio: f64,
}

/// The widest gap, by the ratio of neighbours, among the largest eigenvalues (descending; the last of them can only be a bulk's edge).
///
/// For a softmax classifier the outliers tend to be as many as classes less one (Sagun et al. 2018; Papyan 2020).
pub fn outlier_split(largest: &[RitzValue]) -> Option<OutlierSplit> {
    let splits = largest.windows(2).enumerate().filter(|(_, pair)| pair[1].value > 0.0);
    let (at, pair) = splits.max_by(|x, y| (x.1[0].value / x.1[1].value).total_cmp(&(y.1[0].value / y.1[1].value)))?;
    let (above, below) = (pair[0], pair[1]);
    Some(OutlierSplit {
        count: at + 1,
        smallest_outlier: above.value,
        bulk_edge: below.value,
        gap: (above.value - above.residual - below.value - below.residual).max(0.0),
        ratio: above.value / below.value,
    })
}

/// A power law p(λ) ∝ λ^−α for the upper tail of the bulk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TailFit {
    /// α, with the uncertainty that the choice of the probes gives it.
    pub exponent: Bounded,
    /// The fit is to eigenvalues above this.
    pub from: f64,
    /// How many eigenvalues that are, about.
    pub eigenvalues: f64,
    /// The Kolmogorov-Smirnov distance of the tail from its fit: a power law describes it well only where this is small.
    pub ks_distance: f64,
}

/// The share of the bulk's positive eigenvalues that make up the tail.
const TAIL: f64 = 0.1;

/// The heavy-tail fit: α = 1 + Σw / Σw·ln(λ/λ₀) over the nodes λ > λ₀ (maximum likelihood; Hill 1975; Clauset, Shalizi, Newman 2009,
/// equation 3.1), with λ₀ at the upper tenth of the bulk's positive mass. The bulk is what lies below `edge`.
///
/// None where the bulk has no tail of three nodes.
pub fn tail_fit(measure: &SpectralMeasure, edge: f64) -> Option<TailFit> {
    let rules = measure.whole_rules();
    let positive = |node: f64| node > measure.resolution() && node < edge;
    let mut nodes: Vec<(f64, f64)> = rules.iter().flat_map(|rule| rule.nodes.iter().copied().zip(rule.weights.iter().copied())).collect();
    nodes.retain(|(node, _)| positive(*node));
    nodes.sort_by(|x, y| y.0.total_cmp(&x.0));
    let wanted = TAIL * nodes.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut mass = 0.0;
    let from = nodes
        .iter()
        .find(|(_, weight)| {
            mass += weight;
            mass > wanted
        })?
        .0;
    let samples: Vec<[f64; 2]> = rules
        .iter()
        .map(|rule| {
            let tail = rule.nodes.iter().zip(&rule.weights).filter(|(node, _)| **node > from && **node < edge);
            tail.fold([0.0, 0.0], |[mass, log], (node, weight)| [mass + weight, log + weight * (node / from).ln()])
        })
        .collect();
    nodes.retain(|(node, _)| *node > from);
    if nodes.len() < 3 || samples.iter().any(|[mass, _]| *mass <= 0.0) {
        return None;
    }
    let exponent = jackknife(&samples, |[mass, log]| 1.0 + mass / log);
    let total: f64 = nodes.iter().map(|(_, weight)| weight).sum();
    let (mut above, mut ks_distance) = (0.0, 0.0_f64);
    for (node, weight) in &nodes {
        // P(λ > node) of the fit, against the nodes before and after this one's own weight.
        let fitted = (node / from).powf(1.0 - exponent.mean);
        ks_distance = ks_distance.max((fitted - above / total).abs());
        above += weight;
        ks_distance = ks_distance.max((fitted - above / total).abs());
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    let eigenvalues = measure.dim() * total / rules.len() as f64;
    Some(TailFit { exponent, from, eigenvalues, ks_distance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::{Termination, Tridiagonal};

    #[test]
    fn learning_rate_has_a_bar_and_needs_positive_curvature() {
        let rate = max_stable_learning_rate(Some(RitzValue { value: 4.0, residual: 1.0 }), 0.0).unwrap();
        assert_eq!(rate, LearningRate { value: 0.5, lower: 0.4, upper: Some(0.5) });
        assert_eq!(max_stable_learning_rate(Some(RitzValue { value: -1.0, residual: 0.0 }), 0.0), None);
        let unsure = max_stable_learning_rate(Some(RitzValue { value: 1e-9, residual: 0.0 }), 4e-7).unwrap();
        assert_eq!(unsure.upper, None);
    }

    #[test]
    fn the_split_is_at_the_widest_ratio() {
        let values: Vec<RitzValue> = [9.0, 8.0, 7.0, 1.0, 0.9, 0.8].map(|value| RitzValue { value, residual: 0.1 }).to_vec();
        let split = outlier_split(&values).unwrap();
        assert_eq!((split.count, split.smallest_outlier, split.bulk_edge, split.ratio), (3, 7.0, 1.0, 7.0));
        assert!((split.gap - 5.8).abs() < 1e-12);
        assert_eq!(outlier_split(&values[..1]), None);
        assert_eq!(outlier_split(&[RitzValue { value: 1.0, residual: 0.0 }, RitzValue { value: -1.0, residual: 0.0 }]), None);
    }

    /// Diagonal T: β = 0 would end the run, so rules are made of nodes of nearly uncoupled steps instead: quantiles of a power law
    /// with α = 3, λ = (1 − u)^{−1/2}, each probe with equal weights.
    #[test]
    fn a_power_law_is_recovered() {
        let known = measure_of_equal_weights(&|u: f64| (1.0 - u).powf(-0.5));
        let fit = tail_fit(&known, f64::INFINITY).unwrap();
        assert!((fit.exponent.mean - 3.0).abs() < 0.35, "{fit:?}");
        assert!((fit.eigenvalues - 100.0).abs() < 10.0 && fit.ks_distance < 0.15, "{fit:?}");
        let uniform = tail_fit(&measure_of_equal_weights(&|u: f64| 1.0 + u), f64::INFINITY).unwrap();
        assert!(uniform.exponent.mean > 10.0, "no heavy tail: {uniform:?}");
    }

    /// The Lanczos matrix of a start with equal weights on `quantile`((i + ½)/200), run to its end.
    fn measure_of_equal_weights(quantile: &dyn Fn(f64) -> f64) -> SpectralMeasure {
        use super::super::floor::Floor;
        use crate::krylov::test_support::MatrixOperator;
        use crate::krylov::{Lanczos, LanczosOptions};
        let values: Vec<f64> = (0..200).map(|i| quantile((f64::from(i) + 0.5) / 200.0)).collect();
        let operator = MatrixOperator::diagonal(values);
        let options = LanczosOptions { capacity: 200, ..Default::default() };
        let mut lanczos = Lanczos::new(&operator, vec![vec![1.0; 200]; 2], 2, options).unwrap();
        while lanczos.step().unwrap() {}
        let runs: Vec<Tridiagonal> = lanczos.coefficients().unwrap();
        assert!(runs.iter().all(|run| run.steps() > 100 || run.termination != Termination::Completed));
        SpectralMeasure::new(1000, Vec::new(), runs, Floor::assumed(f64::EPSILON)).unwrap()
    }
}
