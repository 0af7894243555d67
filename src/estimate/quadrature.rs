//! The Gauss rule of a probe's spectral measure, and what it proves about that measure's distribution.

use serde::Serialize;

use crate::error::Result;
use crate::krylov::Tridiagonal;

/// The m-point Gauss rule of the measure μ(λ) = Σᵢ (uᵢᵀ q)² δ(λ − λᵢ) of a unit start q: exact for polynomials of degree 2m−1.
///
/// Golub and Welsch 1969; Golub and Meurant 2010, theorem 6.2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quadrature {
    /// θ₀ ≤ ... ≤ θ_{m−1}, the eigenvalues of T.
    pub nodes: Vec<f64>,
    /// The squared first components of T's unit eigenvectors; their sum is 1.
    pub weights: Vec<f64>,
}

/// The Gauss rule that T holds.
///
/// # Errors
/// As [`Tridiagonal::eigen`].
pub fn quadrature(tridiagonal: &Tridiagonal) -> Result<Quadrature> {
    let eigen = tridiagonal.eigen(if tridiagonal.steps() == 0 { &[] } else { &[0] })?;
    let weights = (0..eigen.values.len()).map(|k| eigen.vector(k)[0].powi(2)).collect();
    Ok(Quadrature { nodes: eigen.values, weights })
}

impl Quadrature {
    /// The largest magnitude of a node.
    pub fn scale(&self) -> f64 {
        self.nodes.iter().fold(0.0, |largest, node| largest.max(node.abs()))
    }

    /// The weight of the nodes below `x`.
    pub fn weight_below(&self, x: f64) -> f64 {
        self.weights[..self.nodes.partition_point(|&node| node < x)].iter().sum()
    }

    /// Bounds of F(x) = μ((−∞, x]) for each of the ascending `points`, as (lower, upper).
    ///
    /// For θ_k ≤ x < θ_{k+1}: Σ_{i<k} wᵢ ≤ F(x) ≤ Σ_{i≤k+1} wᵢ. Proved, not estimated: no measure with the same 2m moments breaks
    /// them (Chebyshev, Markov, Stieltjes; Szegő 1939, section 3.41). They hold at x from the left, F(x−), as well.
    pub fn cdf_brackets(&self, points: &[f64]) -> Vec<(f64, f64)> {
        // cumulative[k] = Σ_{i<k} wᵢ
        let mut cumulative = vec![0.0];
        for weight in &self.weights {
            cumulative.push(cumulative[cumulative.len() - 1] + weight);
        }
        let mut below = 0;
        let bracket = |&x: &f64| {
            while below < self.nodes.len() && self.nodes[below] <= x {
                below += 1;
            }
            // `below` nodes are at or below x, the last of them is θ_k with k = below − 1.
            let lower = cumulative[below.saturating_sub(1)];
            let upper = if below < self.nodes.len() { cumulative[below + 1] } else { 1.0 };
            (lower.min(1.0), upper.min(1.0))
        };
        points.iter().map(bracket).collect()
    }
}

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
        for (x, (lower, upper)) in points.iter().zip(rule.cdf_brackets(&points)) {
            let exact = v.iter().zip(&spectrum).filter(|(_, l)| *l <= x).map(|(v, _)| v * v).sum::<f64>() / total;
            assert!(lower <= exact + 1e-12 && exact <= upper + 1e-12, "F({x}) = {exact} outside {lower} .. {upper}");
            widest = widest.max(upper - lower);
        }
        assert!(widest < 0.95, "the brackets say something");
    }

    #[test]
    fn brackets_of_a_hand_made_rule() {
        let rule = Quadrature { nodes: vec![-1.0, 0.0, 2.0], weights: vec![0.25, 0.5, 0.25] };
        let brackets = rule.cdf_brackets(&[-2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(brackets, [(0.0, 0.25), (0.0, 0.75), (0.0, 0.75), (0.25, 1.0), (0.25, 1.0), (0.75, 1.0), (0.75, 1.0)]);
        assert_eq!((rule.weight_below(0.0), rule.weight_below(0.1), rule.scale()), (0.25, 0.75, 2.0));
    }
}
