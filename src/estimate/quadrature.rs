//! The Gauss rule of a probe's spectral measure, and what it proves about that measure's distribution.

use serde::Serialize;

use crate::error::Result;
use crate::krylov::{Termination, Tridiagonal};

/// The m-point Gauss rule of the measure μ(λ) = Σᵢ (uᵢᵀ q)² δ(λ − λᵢ) of a unit start q: exact for polynomials of degree 2m−1.
///
/// Golub and Welsch 1969; Golub and Meurant 2010, theorem 6.2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quadrature {
    /// θ₀ ≤ ... ≤ θ_{m−1}, the eigenvalues of T.
    pub nodes: Vec<f64>,
    /// The squared first components of T's unit eigenvectors; their sum is 1.
    pub weights: Vec<f64>,
    /// Whether the measure consists of just these atoms, since the run ended in an invariant subspace.
    #[serde(skip)]
    pub is_exact: bool,
}

/// The Gauss rule that T holds.
///
/// # Errors
/// As [`Tridiagonal::eigen`].
pub fn quadrature(tridiagonal: &Tridiagonal) -> Result<Quadrature> {
    let eigen = tridiagonal.eigen(if tridiagonal.steps() == 0 { &[] } else { &[0] })?;
    let weights = (0..eigen.values.len()).map(|k| eigen.vector(k)[0].powi(2)).collect();
    Ok(Quadrature { nodes: eigen.values, weights, is_exact: tridiagonal.termination != Termination::Completed })
}

impl Quadrature {
    /// The largest magnitude of a node.
    pub fn scale(&self) -> f64 {
        self.nodes.iter().fold(0.0, |largest, node| largest.max(node.abs()))
    }

    /// An estimate of μ((−∞, x)) within its proved bounds.
    ///
    /// A node stands for mass on both of its sides: half of its weight is taken to lie below it, and in between F is interpolated
    /// linearly. Where the nodes are all there is, F is the step function itself.
    pub fn cdf_estimate(&self, x: f64) -> f64 {
        let below = self.nodes.partition_point(|&node| node < x);
        let total: f64 = self.weights[..below].iter().sum();
        if self.is_exact || below == 0 || below == self.nodes.len() {
            return total;
        }
        let (left, right) = (self.nodes[below - 1], self.nodes[below]);
        let (at_left, at_right) = (total - 0.5 * self.weights[below - 1], total + 0.5 * self.weights[below]);
        at_left + (at_right - at_left) * ((x - left) / (right - left)).clamp(0.0, 1.0)
    }

    /// τ = 10·ε·max|θ|: rounding errors of products in a precision of `epsilon` ε move an eigenvalue by a few ε·‖A‖, so numbers that
    /// are closer than this cannot be told apart.
    pub fn resolution(&self, epsilon: f64) -> f64 {
        ROUNDING * epsilon * self.scale()
    }

    /// Bounds of F(x) = μ((−∞, x]) for each of the ascending `points`, as (lower, upper).
    ///
    /// For θ_k ≤ x < θ_{k+1}: Σ_{i<k} wᵢ ≤ F(x) ≤ Σ_{i≤k+1} wᵢ. Proved, not estimated: no measure with the same 2m moments breaks
    /// them (Chebyshev, Markov, Stieltjes; Szegő 1939, section 3.41). They hold from the left, for F(x−), as well. For rounding in a
    /// precision of `epsilon`, the lower bound is taken at x − τ, the upper one at x + τ ([`Self::resolution`]), and both are moved
    /// outwards by 10·m·ε: the weights come out of m steps and O(m) rotations.
    #[expect(clippy::cast_precision_loss, reason = "m is far below 2⁵³")]
    pub fn cdf_brackets(&self, points: &[f64], epsilon: f64) -> Vec<(f64, f64)> {
        let (band, slack) = (self.resolution(epsilon), ROUNDING * self.nodes.len() as f64 * epsilon);
        // cumulative[k] = Σ_{i<k} wᵢ; everything lies below +∞.
        let mut cumulative = vec![0.0];
        for weight in &self.weights {
            cumulative.push(cumulative[cumulative.len() - 1] + weight);
        }
        cumulative.push(1.0);
        let (mut surely, mut possibly) = (0, 0);
        let advance = |count: &mut usize, x: f64| {
            while self.nodes.get(*count).is_some_and(|&node| node <= x) {
                *count += 1;
            }
        };
        let bracket = |&x: &f64| {
            // The counts of nodes at or below x: the last of them is θ_k with k = count − 1.
            advance(&mut surely, x - band);
            advance(&mut possibly, x + band);
            ((cumulative[surely.saturating_sub(1)] - slack).max(0.0), (cumulative[possibly + 1] + slack).min(1.0))
        };
        points.iter().map(bracket).collect()
    }
}

/// See [`Quadrature::resolution`].
pub(super) const ROUNDING: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::test_support::MatrixOperator;
    use crate::krylov::{Lanczos, LanczosOptions, LinearOperator as _, VectorSpace as _};
    use crate::rng::Distribution;

    /// ∫ λᵏ dμ = vᵀAᵏv/vᵀv for k ≤ 2m−1, and not for k = 2m.
    #[test]
    fn moments_are_exact_up_to_degree_2m_minus_1() {
        let (n, m) = (40, 6_i32);
        let spectrum: Vec<f64> = (0..n).map(|i| (1.7 * f64::from(i)).sin()).collect();
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let mut start = operator.space().block(1).unwrap();
        operator.space().fill(&mut start, Distribution::Gaussian, 3, 0).unwrap();
        let v = start[0].clone();
        let mut lanczos = Lanczos::new(&operator, start, 1, LanczosOptions { capacity: 6, ..Default::default() }).unwrap();
        while lanczos.step().unwrap() {}
        let rule = quadrature(&lanczos.coefficients().unwrap()[0]).unwrap();
        let total: f64 = v.iter().map(|x| x * x).sum();
        for degree in 0..=2 * m {
            let exact = v.iter().zip(&spectrum).map(|(x, l)| x * x * l.powi(degree)).sum::<f64>() / total;
            let gauss: f64 = rule.nodes.iter().zip(&rule.weights).map(|(t, w)| w * t.powi(degree)).sum();
            if degree < 2 * m {
                assert!((gauss - exact).abs() < 1e-14, "moment {degree}: {gauss}, exactly {exact}");
            } else {
                assert!((gauss - exact).abs() > 1e-8, "degree 2m cannot be exact");
            }
        }
    }

    #[test]
    fn brackets_hold_the_distribution_of_the_probe() {
        let n = 200;
        let spectrum: Vec<f64> = (0..n).map(|i| (f64::from(i) / 200.0).powi(3)).collect();
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let mut start = operator.space().block(1).unwrap();
        operator.space().fill(&mut start, Distribution::Gaussian, 0, 0).unwrap();
        let v = start[0].clone();
        let mut lanczos = Lanczos::new(&operator, start, 1, LanczosOptions { capacity: 12, ..Default::default() }).unwrap();
        while lanczos.step().unwrap() {}
        let rule = quadrature(&lanczos.coefficients().unwrap()[0]).unwrap();
        let total: f64 = v.iter().map(|x| x * x).sum();
        let points: Vec<f64> = (-10..=1010).map(|i| f64::from(i) / 1000.0).collect();
        let mut widest: f64 = 0.0;
        for (x, (lower, upper)) in points.iter().zip(rule.cdf_brackets(&points, f64::EPSILON)) {
            let exact = v.iter().zip(&spectrum).filter(|(_, l)| *l <= x).map(|(v, _)| v * v).sum::<f64>() / total;
            assert!(lower <= exact && exact <= upper, "F({x}) = {exact} outside {lower} .. {upper}");
            widest = widest.max(upper - lower);
        }
        assert!(widest < 0.95, "the brackets say something");
    }

    #[test]
    fn brackets_of_a_hand_made_rule() {
        let rule = Quadrature { nodes: vec![-1.0, 0.0, 2.0], weights: vec![0.25, 0.5, 0.25], is_exact: false };
        let brackets = rule.cdf_brackets(&[-2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 3.0], 0.0);
        assert_eq!(brackets, [(0.0, 0.25), (0.0, 0.75), (0.0, 0.75), (0.25, 1.0), (0.25, 1.0), (0.75, 1.0), (0.75, 1.0)]);
        // τ = 0.1: both bounds of x = −0.1 see the node at 0 on their side.
        let (lower, upper) = rule.cdf_brackets(&[-0.1], 0.005)[0];
        assert!((lower, upper) == (0.0, 1.0));
        assert_eq!([-1.5, -0.5, 0.0, 1.0, 2.5].map(|x| rule.cdf_estimate(x)), [0.0, 0.3125, 0.5, 0.6875, 1.0]);
        let exact = Quadrature { is_exact: true, ..rule };
        assert_eq!([-1.5, -0.5, 0.0, 1.0, 2.5].map(|x| exact.cdf_estimate(x)), [0.0, 0.25, 0.25, 0.75, 1.0]);
    }
}
