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

    /// What the rule proves about F(x) = μ((−∞, x]).
    ///
    /// Both bounds are moved outwards by m·`floor`, the relative error of the arithmetic: the weights come out of m steps.
    pub fn brackets(&self, floor: f64) -> Brackets<'_> {
        let mut cumulative = vec![0.0];
        for weight in &self.weights {
            cumulative.push(cumulative[cumulative.len() - 1] + weight);
        }
        // Everything lies below +∞.
        cumulative.push(1.0);
        #[expect(clippy::cast_precision_loss, reason = "m is far below 2⁵³")]
        let slack = self.nodes.len() as f64 * floor;
        Brackets { nodes: &self.nodes, cumulative, slack }
    }
}

/// Bounds of a probe's distribution function F.
///
/// For θ_k ≤ x < θ_{k+1}: Σ_{i<k} wᵢ ≤ F(x) ≤ Σ_{i≤k+1} wᵢ. Proved, not estimated: no measure with the same 2m moments breaks them
/// (Chebyshev, Markov, Stieltjes; Szegő 1939, section 3.41). They hold from the left, for F(x−), as well. Rounding is allowed for, see
/// [`Quadrature::brackets`].
#[derive(Clone, Debug)]
pub struct Brackets<'a> {
    nodes: &'a [f64],
    /// Σ_{i<k} wᵢ at k, then 1.
    cumulative: Vec<f64>,
    slack: f64,
}

impl Brackets<'_> {
    /// F(x) is at least this.
    pub fn lower(&self, x: f64) -> f64 {
        let count = self.nodes.partition_point(|&node| node <= x);
        (self.cumulative[count.saturating_sub(1)] - self.slack).max(0.0)
    }

    /// F(x) is at most this.
    pub fn upper(&self, x: f64) -> f64 {
        let count = self.nodes.partition_point(|&node| node <= x);
        (self.cumulative[count + 1] + self.slack).min(1.0)
    }

    /// Bounds of ∫ |x| dμ = ∫_{x>0} (1 − F) dx + ∫_{x<0} F dx, as far as the measure lies between its outermost nodes: those of a
    /// Lanczos run converge first.
    pub fn absolute_moment(&self) -> (f64, f64) {
        let (mut lower, mut upper) = (0.0, 0.0);
        for (at, pair) in self.nodes.windows(2).enumerate() {
            // Between these nodes F lies between the two sums.
            let (least, most) = ((self.cumulative[at] - self.slack).max(0.0), (self.cumulative[at + 2] + self.slack).min(1.0));
            let (below, above) = (pair[1].min(0.0) - pair[0].min(0.0), pair[1].max(0.0) - pair[0].max(0.0));
            lower += below * least + above * (1.0 - most);
            upper += below * most + above * (1.0 - least);
        }
        // Beyond the outermost nodes towards zero, where all nodes are on one side of it.
        let (first, last) = (self.nodes.first().copied().unwrap_or(0.0), self.nodes.last().copied().unwrap_or(0.0));
        let certain = first.max(0.0) + (-last).max(0.0);
        (lower + certain, upper + certain)
    }
}

/// The Gauss-Radau rule with one node fixed at `a`, below the whole spectrum; none where T − aI is not positive definite, so that the
/// spectrum reaches below `a`.
///
/// T is extended by a row that makes `a` an eigenvalue (Golub and Meurant 2010, section 6.2.3): α̃ = a + β_m²·eᵀ(T − aI)⁻¹e.
///
/// # Errors
/// As [`Tridiagonal::eigen`].
pub fn radau(run: &Tridiagonal, a: f64) -> Result<Option<Quadrature>> {
    let mut pivot = f64::NAN;
    for (step, alpha) in run.alphas.iter().enumerate() {
        pivot = alpha - a - if step > 0 { run.betas[step - 1].powi(2) / pivot } else { 0.0 };
        if pivot.is_nan() || pivot <= 0.0 {
            return Ok(None);
        }
    }
    if run.termination != Termination::Completed {
        // The Gauss rule is the measure itself.
        return quadrature(run).map(Some);
    }
    let mut extended = run.clone();
    extended.alphas.push(a + run.residual().powi(2) / pivot);
    extended.betas.push(0.0);
    quadrature(&extended).map(Some)
}

/// Rounding errors of products in a precision ε move an eigenvalue by a few ε·‖A‖: so many ε·max|θ| are allowed for where nobody has
/// measured them.
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
        let brackets = rule.brackets(f64::EPSILON);
        for x in &points {
            let (lower, upper) = (brackets.lower(x - 1e-14), brackets.upper(x + 1e-14));
            let exact = v.iter().zip(&spectrum).filter(|(_, l)| *l <= x).map(|(v, _)| v * v).sum::<f64>() / total;
            assert!(lower <= exact && exact <= upper, "F({x}) = {exact} outside {lower} .. {upper}");
            widest = widest.max(upper - lower);
        }
        assert!(widest < 0.95, "the brackets say something");
        let exact: f64 = v.iter().zip(&spectrum).map(|(v, l)| v * v * l.abs()).sum::<f64>() / total;
        let (lower, upper) = brackets.absolute_moment();
        assert!(lower < exact && exact < upper && upper - lower < 0.15, "{exact} outside {lower} .. {upper}");
    }

    #[test]
    fn brackets_of_a_hand_made_rule() {
        let rule = Quadrature { nodes: vec![-1.0, 0.0, 2.0], weights: vec![0.25, 0.5, 0.25], is_exact: false };
        let brackets = rule.brackets(0.0);
        let bounds = [-2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 3.0].map(|x| (brackets.lower(x), brackets.upper(x)));
        assert_eq!(bounds, [(0.0, 0.25), (0.0, 0.75), (0.0, 0.75), (0.25, 1.0), (0.25, 1.0), (0.75, 1.0), (0.75, 1.0)]);
        // ∫_{−1}^0 F + ∫_0^2 (1 − F) with F between 0 and 0.75, then between 0.25 and 1.
        assert_eq!(brackets.absolute_moment(), (0.0, 0.75 + 1.5));
        assert_eq!([-1.5, -0.5, 0.0, 1.0, 2.5].map(|x| rule.cdf_estimate(x)), [0.0, 0.3125, 0.5, 0.6875, 1.0]);
        let exact = Quadrature { is_exact: true, ..rule };
        assert_eq!([-1.5, -0.5, 0.0, 1.0, 2.5].map(|x| exact.cdf_estimate(x)), [0.0, 0.25, 0.25, 0.75, 1.0]);
    }

    /// For log the Gauss rule lies above the integral and the Radau rule with a node at the left end below; both close in.
    #[test]
    fn gauss_and_radau_rules_enclose_a_logarithm() {
        let n = 200;
        let spectrum: Vec<f64> = (0..n).map(|i| (f64::from(i) / 200.0).powi(3)).collect();
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let mut start = operator.space().block(1).unwrap();
        operator.space().fill(&mut start, Distribution::Gaussian, 0, 0).unwrap();
        let v = start[0].clone();
        let total: f64 = v.iter().map(|x| x * x).sum();
        let exact = v.iter().zip(&spectrum).map(|(v, l)| v * v * (l + 0.01).ln()).sum::<f64>() / total;
        let mut lanczos = Lanczos::new(&operator, start, 1, LanczosOptions { capacity: 12, ..Default::default() }).unwrap();
        let mut widths = Vec::new();
        while lanczos.step().unwrap() {
            let run = lanczos.coefficients().unwrap().swap_remove(0);
            let log = |rule: &Quadrature| rule.nodes.iter().zip(&rule.weights).map(|(t, w)| w * (t + 0.01).ln()).sum::<f64>();
            let (gauss, left) = (quadrature(&run).unwrap(), radau(&run, 0.0).unwrap().unwrap());
            assert!(left.nodes[0].abs() < 1e-13 && left.nodes.len() == run.steps() + 1);
            assert!(log(&left) < exact && exact < log(&gauss), "step {}", run.steps());
            widths.push(log(&gauss) - log(&left));
        }
        assert!(widths[11] < 1e-2 * widths[0], "{widths:?}");
        let shifted = Tridiagonal { alphas: vec![-1.0], betas: vec![0.5], termination: Termination::Completed };
        assert_eq!(radau(&shifted, 0.0).unwrap(), None);
    }
}
