//! All that is known of the distribution of an operator's n eigenvalues: some of them by themselves, the rest by Gauss rules.
//!
//! A key design decision: outliers are split off before anything is estimated. With orthonormal Ritz vectors V (AV = VΘ + R, VᵀR = 0)
//! and the projection P on their complement, A is Θ and PAP, coupled by R. Three facts make the split safe whatever the vectors'
//! quality. tr A = tr Θ + tr PAP holds exactly. Seen from x, the coupling moves the eigenvalues of PAP by no more than
//! δ(x) = Σ rᵢ²/|θᵢ − x| (Haynsworth 1968, inertia of the Schur complement), which is of second order in the residuals rᵢ; and no
//! eigenvalue moves by more than √Σ rᵢ² (Weyl). What is left to sampling is PAP alone, whose range and variance the outliers no
//! longer dominate.
//!
//! The rest is seen by probes that are uniform on the unit sphere of the complement, so that the share of a probe that lies in any
//! fixed subspace follows a Beta law, whatever the eigenvectors.

use super::floor::Floor;
use super::functionals::frobenius_squared;
use super::quadrature::{Quadrature, quadrature};
use super::sample::{CONFIDENCE, Estimate};
use crate::error::Result;
use crate::krylov::{RitzValue, Tridiagonal};

/// Eigenvalues known by themselves, and the Lanczos runs of independent sphere probes in their complement.
#[derive(Clone, Debug)]
pub struct SpectralMeasure {
    dim: usize,
    pairs: Vec<RitzValue>,
    runs: Vec<Tridiagonal>,
    rules: Vec<Quadrature>,
    floor: Floor,
    scale: f64,
}

impl SpectralMeasure {
    /// The measure of an operator of dimension `dim`, computed as exactly as `floor` says. `pairs` are Θ with the norms rᵢ.
    ///
    /// # Errors
    /// As [`Tridiagonal::eigen`].
    pub fn new(dim: usize, pairs: Vec<RitzValue>, runs: Vec<Tridiagonal>, floor: Floor) -> Result<Self> {
        let rules: Vec<Quadrature> = runs.iter().map(quadrature).collect::<Result<_>>()?;
        let scale = rules.iter().map(Quadrature::scale).chain(pairs.iter().map(|pair| pair.value.abs())).fold(0.0, f64::max);
        Ok(Self { dim, pairs, runs, rules, floor, scale })
    }

    /// n.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    pub fn dim(&self) -> f64 {
        self.dim as f64
    }

    /// N = n − k, the dimension of the complement.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    pub fn rest(&self) -> f64 {
        (self.dim - self.pairs.len()) as f64
    }

    /// Θ and its residuals.
    pub fn pairs(&self) -> &[RitzValue] {
        &self.pairs
    }

    /// The probes' runs.
    pub fn runs(&self) -> &[Tridiagonal] {
        &self.runs
    }

    /// The probes' Gauss rules in the complement.
    pub fn rules(&self) -> &[Quadrature] {
        &self.rules
    }

    /// How exact the arithmetic was.
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// The largest magnitude met, pairs and nodes alike.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// τ, the [`Floor`] times max|θ|: by no more do rounding errors E move an eigenvalue (Weyl), and closer numbers cannot be told
    /// apart.
    pub fn resolution(&self) -> f64 {
        self.floor.relative * self.scale
    }

    /// What E may change Σ|λ|, and with it the trace, by: ‖E‖_* ≤ √n·‖E‖_F (Mirsky 1960), where ‖E‖_F is the floor's share of ‖A‖_F.
    pub fn sum_resolution(&self) -> f64 {
        self.dim().sqrt() * self.floor.relative * frobenius_squared(self).mean.sqrt()
    }

    /// Each probe's rule of the whole spectrum: the pairs with weight 1/n each, the complement's nodes with weights N/n·w.
    pub fn whole_rules(&self) -> Vec<Quadrature> {
        let share = self.rest() / self.dim();
        let whole = |rule: &Quadrature| {
            let pairs = self.pairs.iter().map(|pair| (pair.value, self.dim().recip()));
            let mut atoms: Vec<(f64, f64)> = pairs.chain(rule.nodes.iter().zip(&rule.weights).map(|(t, w)| (*t, share * w))).collect();
            atoms.sort_by(|x, y| x.0.total_cmp(&y.0));
            let (nodes, weights) = atoms.into_iter().unzip();
            Quadrature { nodes, weights, is_exact: rule.is_exact }
        };
        self.rules.iter().map(whole).collect()
    }

    /// tr A = Σθ + N·E(qᵀAq): exact but for the choice of the probes, with Student's interval over them, and rounding.
    pub fn trace(&self) -> Estimate {
        let known: f64 = self.pairs.iter().map(|pair| pair.value).sum();
        Estimate::from_samples(self.runs.iter().filter_map(|run| run.alphas.first()).map(|alpha| known + self.rest() * alpha).collect())
            .widened(self.sum_resolution())
    }

    /// Half the width of the 95 % interval of the complement's F(x) around its mean over the probes, for any one x:
    /// √(ln(2/δ)/(n_v (N+2))).
    ///
    /// A probe's F(x) follows the Beta law with parameters that sum to N/2, which is sub-Gaussian with variance proxy 1/(2(N+2))
    /// (Marchal and Arbel 2017). It holds for one probe as for many, with no assumption on A.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    pub fn cdf_half_width(&self) -> f64 {
        ((2.0 / (1.0 - CONFIDENCE)).ln() / (self.rules.len() as f64 * (self.rest() + 2.0))).sqrt()
    }

    /// δ(x), by which the known pairs may move the eigenvalues of the rest as they are counted from x.
    pub fn coupling_at(&self, x: f64) -> f64 {
        // 0/0: a pair without residual is coupled to nothing.
        let part = |pair: &RitzValue| match pair.residual {
            0.0 => 0.0,
            residual => residual.powi(2) / ((pair.value - x).abs() - self.resolution()).max(0.0),
        };
        self.pairs.iter().map(part).sum()
    }

    /// Bounds of the share of eigenvalues ≤ x for each of `points`, as (lower, upper); they hold for < x as well.
    ///
    /// Truncation: each probe's Chebyshev-Markov-Stieltjes [brackets](super::Brackets), proved. Sampling:
    /// [`cdf_half_width`](Self::cdf_half_width), at 95 % for each x by itself. Coupling and rounding: x is moved by δ(x) and τ.
    pub fn cdf_bounds(&self, points: &[f64]) -> Vec<(f64, f64)> {
        let brackets: Vec<_> = self.rules.iter().map(|rule| rule.brackets(self.floor.relative)).collect();
        let half_width = self.cdf_half_width();
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
        let probes = brackets.len() as f64;
        let (band, weyl) = (self.resolution(), self.pairs.iter().map(|pair| pair.residual.powi(2)).sum::<f64>().sqrt());
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
        let pairs_up_to = |x: f64| self.pairs.iter().filter(|pair| pair.value <= x).count() as f64;
        let lower = |pairs_at: f64, rest_at: f64| {
            let share = brackets.iter().map(|bracket| bracket.lower(rest_at)).sum::<f64>() / probes - half_width;
            pairs_up_to(pairs_at) + self.rest() * share.max(0.0)
        };
        let upper = |pairs_at: f64, rest_at: f64| {
            let share = brackets.iter().map(|bracket| bracket.upper(rest_at)).sum::<f64>() / probes + half_width;
            pairs_up_to(pairs_at) + self.rest() * share.min(1.0)
        };
        let bounds = |&x: &f64| {
            // Both views are proved: near a pair Weyl's is the narrower one, far from all of them the other.
            let (near, far) = (weyl + band, self.coupling_at(x) + band);
            let low = lower(x - near, x - near).max(lower(x - band, x - far));
            let high = upper(x + near, x + near).min(upper(x + band, x + far));
            ((low / self.dim()).clamp(0.0, 1.0), (high / self.dim()).clamp(0.0, 1.0))
        };
        points.iter().map(bounds).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::krylov::Termination;

    /// A measure of `dim` eigenvalues from runs of one or two steps each, (α₀, β₀, α₁).
    pub(crate) fn measure(dim: usize, pairs: &[(f64, f64)], runs: &[[f64; 3]]) -> SpectralMeasure {
        let pairs = pairs.iter().map(|&(value, residual)| RitzValue { value, residual }).collect();
        let run = |&[first, beta, second]: &[f64; 3]| Tridiagonal {
            alphas: vec![first, second],
            betas: vec![beta, 0.25],
            termination: Termination::Completed,
        };
        SpectralMeasure::new(dim, pairs, runs.iter().map(run).collect(), Floor::assumed(f64::EPSILON)).unwrap()
    }

    #[test]
    fn pairs_count_as_they_are_and_the_rest_by_its_rules() {
        let known = measure(10, &[(5.0, 0.0), (4.0, 0.0)], &[[1.0, 0.0, 2.0], [0.5, 0.0, 2.0]]);
        assert_eq!(known.trace().samples, [17.0, 13.0]);
        let whole = &known.whole_rules()[0];
        assert!(whole.nodes.is_sorted() && (whole.weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        let bounds = known.cdf_bounds(&[-1.0, 3.9, 4.5, 6.0]);
        assert!(bounds[0].0 == 0.0 && bounds[2].0 >= 0.1 && (bounds[3].1 - 1.0).abs() < 1e-15, "{bounds:?}");
        assert!(bounds[1].1 <= 0.8 + 1e-12 && bounds[2].1 <= 0.9 + 1e-12, "above 3.9 there are two eigenvalues at least: {bounds:?}");
    }

    #[test]
    fn coupling_matters_near_a_pair_and_is_of_second_order_elsewhere() {
        // All weight at 1, and a node without weight at 0.95: F stays 0 up to there.
        let at = |residual: f64, x: f64| {
            let known = measure(1000, &[(5.0, residual)], &[[1.0, 1e-9, 0.95]; 1000]);
            known.cdf_bounds(&[x])[0]
        };
        assert!(at(0.0, 0.9).1 < 0.1 && at(0.1, 0.9).1 < 0.1, "0.1²/4.1 is less than the distance");
        assert!(at(1.0, 0.9).1 > 0.9, "1²/4.1 is more");
        assert!((at(0.1, 5.01).0 - 0.001).abs() < 1e-12, "above the pair it is counted, whatever its residual");
    }

    /// The bound's probability: never less than 95 % for a Beta law with the largest variance.
    #[test]
    fn the_half_width_is_the_sub_gaussian_one() {
        let half_width = measure(102, &[], &[[0.0, 0.0, 0.0]; 4]).cdf_half_width();
        assert!((half_width - (40.0_f64.ln() / (4.0 * 104.0)).sqrt()).abs() < 1e-15);
    }
}
