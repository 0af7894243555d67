//! Single numbers of a spectrum, each with bounds: functions of the eigenvalues, summed over all of them.

use serde::Serialize;

use super::measure::SpectralMeasure;
use super::quadrature::{Quadrature, radau};
use super::sample::{Bounded, CONFIDENCE, Estimate, jackknife};
use crate::error::{Error, Result};
use crate::krylov::Tridiagonal;

/// ‖A‖²_F = tr A² = Σθ² + 2Σr² + N·E\[‖PAPq‖²\], where ‖PAPq‖² = α₀² + β₀²: exact for each probe.
pub fn frobenius_squared(measure: &SpectralMeasure) -> Estimate {
    let known: f64 = measure.pairs().iter().map(|pair| pair.value.powi(2) + 2.0 * pair.residual.powi(2)).sum();
    let square = |run: &Tridiagonal| Some(known + measure.rest() * (run.alphas.first()?.powi(2) + run.betas.first()?.powi(2)));
    let estimate = Estimate::from_samples(measure.runs().iter().filter_map(square).collect());
    // ‖A + E‖² with ‖E‖_F the floor's share of ‖A‖_F.
    let rounding = 2.0 * measure.floor().relative * estimate.mean;
    estimate.widened(rounding)
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

/// F(0−), the share of negative eigenvalues.
///
/// `mean` is each probe's [`Quadrature::cdf_estimate`] at 0, or, where a node is within τ of 0 (an eigenvalue 0 with its rounding
/// error), the weight of the nodes below −τ ([`SpectralMeasure::resolution`]). `lower` and `upper` are
/// [`SpectralMeasure::cdf_bounds`] at 0.
pub fn negative_share(measure: &SpectralMeasure) -> NegativeShare {
    let band = measure.resolution();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    let known = measure.pairs().iter().filter(|pair| pair.value < -band).count() as f64;
    let rest = Estimate::from_samples(measure.rules().iter().map(|rule| share_below_zero(rule, band)).collect()).mean;
    let (lower, upper) = measure.cdf_bounds(&[0.0])[0];
    NegativeShare { mean: (known + measure.rest() * rest) / measure.dim(), lower, upper }
}

fn share_below_zero(rule: &Quadrature, band: f64) -> f64 {
    let weight_below = |x: f64| rule.nodes.iter().zip(&rule.weights).filter(|(node, _)| **node < x).map(|(_, weight)| weight).sum();
    if rule.nodes.iter().any(|node| node.abs() <= band) { weight_below(-band) } else { rule.cdf_estimate(0.0) }
}

/// Functions of the whole spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Functionals {
    /// Σ|λ|.
    pub nuclear_norm: Bounded,
    /// Σ λᵖ / n for p = 1 ... 4.
    pub moments: Vec<Moment>,
    /// ‖A‖²_F/‖A‖₂²: how many eigenvalues as large as the largest would make up the Frobenius norm. As [`LearningRate`] it takes the
    /// largest magnitude found for ‖A‖₂.
    ///
    /// [`LearningRate`]: super::LearningRate
    pub stable_rank: Bounded,
    /// (Σλ²)²/Σλ⁴: among how many eigenvalues the squares are spread.
    pub participation_ratio: Bounded,
    /// λmax/λ with the smallest λ for which the bounds of the distribution prove an eigenvalue in (0, λ]: the condition of the
    /// positive part is at least this. None where they prove none.
    pub condition_positive_at_least: Option<f64>,
}

/// A spectral moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// p.
    pub power: i32,
    /// Σ λᵖ / n.
    #[serde(flatten)]
    pub value: Bounded,
}

/// All of [`Functionals`]; `largest` and `norm` are the largest eigenvalue and magnitude with their residuals.
///
/// Each bar holds the sampling error (95 %, see `concentration`), what truncation may hide, and the coupling of the pairs. Moments up
/// to degree 2m−1 have no truncation error, since the Gauss rule is exact for them; Σ|λ| is bounded through each probe's
/// [brackets](super::Brackets).
pub fn functionals(measure: &SpectralMeasure, norm: (f64, f64)) -> Functionals {
    let (value, residual) = norm;
    let squared = power_sum(measure, 2);
    let by_norm = |square: f64, magnitude: f64| if magnitude > 0.0 { square / magnitude.powi(2) } else { 0.0 };
    Functionals {
        nuclear_norm: nuclear_norm(measure),
        moments: (1..=4).map(|power| Moment { power, value: power_sum(measure, power).scaled(measure.dim().recip()) }).collect(),
        stable_rank: Bounded {
            mean: by_norm(squared.mean, value),
            std_error: squared.std_error.map(|error| by_norm(error, value)),
            lower: by_norm(squared.lower.max(0.0), value + residual),
            upper: by_norm(squared.upper, value),
        },
        participation_ratio: participation_ratio(measure),
        condition_positive_at_least: condition_of_positive_part(measure),
    }
}

/// The tightest coupling-safe bar of a sum of f over the eigenvalues: by Mirsky (1960) the eigenvalues of A and of Θ ⊕ PAP differ by
/// no more than the coupling's nuclear norm in sum, 2Σr.
fn coupling(measure: &SpectralMeasure, lipschitz: f64) -> f64 {
    2.0 * lipschitz * measure.pairs().iter().map(|pair| pair.residual).sum::<f64>()
}

/// What a sum of f over the complement's eigenvalues may be off by, at 95 %, as far as it is known without the spread of the samples:
/// with a = f(λᵢ) less their mean (which no probe of the sphere sees), t = ln(2/5 %) and n_v probes, 2‖a‖₂√(t/n_v) + 2‖a‖_∞ t/n_v
/// (Laurent and Massart 2000, lemma 1, for Gaussian probes; on the sphere up to a factor 1 + O(1/√N)).
///
/// Student's t alone takes the samples for normal. Where few eigenvalues dominate f they are skewed, and then few samples tend to miss
/// both the value and how far off they are. ‖a‖ comes from the quadrature.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
fn concentration(measure: &SpectralMeasure, f: impl Fn(f64) -> f64) -> f64 {
    let probes = measure.rules().len() as f64;
    let mean = measure.rules().iter().map(|rule| integral(rule, &f)).sum::<f64>() / probes;
    let square = measure.rules().iter().map(|rule| integral(rule, |x| (f(x) - mean).powi(2))).sum::<f64>() / probes;
    let nodes = measure.rules().iter().flat_map(|rule| rule.nodes.iter());
    let largest = nodes.map(|&node| (f(node) - mean).abs()).fold(0.0, f64::max);
    let t = (2.0 / (1.0 - CONFIDENCE)).ln();
    2.0 * (measure.rest() * square * t / probes).sqrt() + 2.0 * largest * t / probes
}

/// Σ|λ|.
pub fn nuclear_norm(measure: &SpectralMeasure) -> Bounded {
    let known: f64 = measure.pairs().iter().map(|pair| pair.value.abs()).sum();
    let probe = |rule: &Quadrature| {
        let (lower, upper) = rule.brackets(measure.floor().relative).absolute_moment();
        [lower, integral(rule, f64::abs), upper].map(|value| known + measure.rest() * value)
    };
    let probes: Vec<[f64; 3]> = measure.rules().iter().map(probe).collect();
    Bounded::from_probes(&probes, concentration(measure, f64::abs), coupling(measure, 1.0) + measure.sum_resolution())
}

/// Σ λᵖ: exact for each probe where p ≤ 2m−1. The coupling enters from p = 2 on, with at most p(p−1)·max|λ|^{p−2}·Σr².
fn power_sum(measure: &SpectralMeasure, power: i32) -> Bounded {
    let samples: Vec<[f64; 3]> = power_samples(measure, power).into_iter().map(|sample| [sample; 3]).collect();
    let squares: f64 = measure.pairs().iter().map(|pair| pair.residual.powi(2)).sum();
    let slack = if power < 2 { 0.0 } else { f64::from(power * (power - 1)) * measure.scale().powi(power - 2) * squares };
    // |Σ ((λ+e)ᵖ − λᵖ)| ≤ p·max|λ|^{p−2}·Σ|λ||e| ≤ p·max|λ|^{p−2}·‖A‖_F·‖E‖_F.
    let rounding = match power {
        1 => measure.sum_resolution(),
        _ => f64::from(power) * measure.scale().powi(power - 2) * measure.floor().relative * frobenius_squared(measure).mean,
    };
    Bounded::from_probes(&samples, concentration(measure, |x| x.powi(power)), slack + rounding)
}

fn power_samples(measure: &SpectralMeasure, power: i32) -> Vec<f64> {
    let known: f64 = measure.pairs().iter().map(|pair| pair.value.powi(power)).sum();
    measure.rules().iter().map(|rule| known + measure.rest() * integral(rule, |x| x.powi(power))).collect()
}

fn participation_ratio(measure: &SpectralMeasure) -> Bounded {
    let samples: Vec<[f64; 2]> =
        power_samples(measure, 2).into_iter().zip(power_samples(measure, 4)).map(|(second, fourth)| [second, fourth]).collect();
    let ratio = jackknife(&samples, |[second, fourth]| if fourth > 0.0 { second * second / fourth } else { 0.0 });
    // The numerator's relative error is at most 4, the denominator's 4 floors in a spectrum of one sign; see `power_sum`.
    ratio.widened(8.0 * measure.floor().relative * ratio.mean)
}

fn condition_of_positive_part(measure: &SpectralMeasure) -> Option<f64> {
    let values = measure.pairs().iter().map(|pair| pair.value).chain(measure.rules().iter().flat_map(|rule| rule.nodes.iter().copied()));
    let mut candidates: Vec<f64> = values.filter(|&value| value > measure.resolution()).collect();
    candidates.sort_by(f64::total_cmp);
    let largest = *candidates.last()?;
    let (_, not_positive) = measure.cdf_bounds(&[0.0])[0];
    // Just above each, where its own weight counts.
    let points: Vec<f64> = candidates.iter().map(|value| value + 2.0 * measure.resolution()).collect();
    let first = measure.cdf_bounds(&points).iter().position(|(lower, _)| *lower > not_positive)?;
    Some(largest / points[first])
}

/// How many eigenvalues lie above a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Count {
    /// The threshold.
    pub above: f64,
    /// Known pairs that are above it by more than their residual.
    pub at_least: usize,
    /// From the upper end of the distribution's bounds, at 95 %.
    pub at_most: usize,
}

/// The number of eigenvalues above `threshold`: at least the certified pairs there, at most what the distribution's bounds leave.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
pub fn count_above(measure: &SpectralMeasure, threshold: f64) -> Count {
    let band = measure.resolution();
    let at_least = measure.pairs().iter().filter(|pair| pair.value - pair.residual - band > threshold).count();
    let (lower, _) = measure.cdf_bounds(&[threshold])[0];
    let at_most = (measure.dim() * (1.0 - lower) + 1e-6).floor() as usize;
    Count { above: threshold, at_least, at_most: at_most.max(at_least) }
}

/// Functions of a positive semidefinite operator plus γI, between Gauss and Gauss-Radau rules.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Damped {
    /// γ.
    pub damping: f64,
    /// log det(A + γI).
    pub log_det: Bounded,
    /// Σ λ/(λ + γ).
    pub effective_dimension: Bounded,
}

/// log det(A + γI) and the effective dimension Σ λ/(λ+γ) of a positive semidefinite A.
///
/// Both functions have odd derivatives of one sign and even ones of the other on [0, ∞), so that for each probe the Gauss rule is an
/// upper and the Radau rule with a node at 0 a lower bound (Golub and Meurant 2010, theorems 6.4 and 6.5): the interval holds whatever
/// the number of steps.
///
/// # Errors
/// [`Error::Input`] where γ is not positive or a run shows a negative eigenvalue.
pub fn damped(measure: &SpectralMeasure, damping: f64) -> Result<Damped> {
    let least = measure.pairs().iter().map(|pair| pair.value).fold(0.0, f64::min);
    if damping.is_nan() || damping <= 0.0 || least < -measure.resolution() {
        return Err(Error::Input(format!(
            "log det and effective dimension need a positive semidefinite operator and a positive damping: the smallest eigenvalue \
             known is {least:e}, the damping {damping:e}"
        )));
    }
    let left: Vec<Quadrature> = measure
        .runs()
        .iter()
        .map(|run| {
            // Rounding may put a zero eigenvalue below zero; its node moves by no more than that.
            radau(run, -measure.resolution())?.ok_or_else(|| {
                Error::Input(
                    "log det and effective dimension need a positive semidefinite operator, but a run has a negative Ritz value".into(),
                )
            })
        })
        .collect::<Result<_>>()?;
    let bounded = |f: &dyn Fn(f64) -> f64, lipschitz: f64| {
        let f = |x: f64| f(x.max(0.0));
        let known: f64 = measure.pairs().iter().map(|pair| f(pair.value)).sum();
        let probe = |(gauss, radau): (&Quadrature, &Quadrature)| {
            let (upper, lower) = (integral(gauss, f), integral(radau, f));
            [lower, 0.5 * (lower + upper), upper].map(|value| known + measure.rest() * value)
        };
        let probes: Vec<[f64; 3]> = measure.rules().iter().zip(&left).map(probe).collect();
        Bounded::from_probes(&probes, concentration(measure, f), coupling(measure, lipschitz) + lipschitz * measure.sum_resolution())
    };
    Ok(Damped {
        damping,
        log_det: bounded(&|x| (x + damping).ln(), damping.recip()),
        effective_dimension: bounded(&|x| x / (x + damping), damping.recip()),
    })
}

/// Σ w f(θ).
fn integral(rule: &Quadrature, f: impl Fn(f64) -> f64) -> f64 {
    rule.nodes.iter().zip(&rule.weights).map(|(node, weight)| weight * f(*node)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::measure::tests::measure;
    use super::*;

    #[test]
    fn a_node_within_rounding_of_zero_is_not_negative_but_may_be() {
        let share = negative_share(&measure(40, &[(-1.0, 0.0)], &[[-1e-17, 0.0, 1.0]]));
        assert!((share.mean - 0.025).abs() < 1e-15);
        assert!((share.lower - 0.025).abs() < 1e-12 && share.upper > 0.9, "{share:?}");
    }

    #[test]
    fn frobenius_is_the_squared_norm_of_the_product() {
        let known = measure(12, &[(5.0, 1.0), (2.0, 0.0)], &[[3.0, 4.0, 9.0]]);
        assert_eq!(frobenius_squared(&known).mean, 25.0 + 2.0 + 4.0 + 10.0 * 25.0);
    }

    /// PAP = I·2 on ten dimensions, pairs 5 and −3: every functional in closed form.
    #[test]
    fn functionals_of_a_known_spectrum() {
        let known = measure(12, &[(5.0, 0.0), (-3.0, 0.0)], &[[2.0, 0.0, 2.0]; 3]);
        let found = functionals(&known, (5.0, 0.0));
        assert!((found.nuclear_norm.mean - 28.0).abs() < 1e-12, "{found:?}");
        assert!(found.nuclear_norm.lower <= 28.0 && found.nuclear_norm.upper >= 28.0);
        for (moment, exact) in found.moments.iter().zip([22.0, 74.0, 178.0, 866.0]) {
            assert!((12.0 * moment.value.mean - exact).abs() < 1e-9, "{moment:?}");
        }
        assert!((found.stable_rank.mean - 74.0 / 25.0).abs() < 1e-12);
        assert!((found.participation_ratio.mean - 74.0_f64.powi(2) / 866.0).abs() < 1e-9);
        let count = count_above(&known, 4.0);
        // Three probes in ten dimensions leave the distribution uncertain by a third.
        assert!(count.at_least == 1 && (1..=5).contains(&count.at_most), "{count:?}");
        assert_eq!(count_above(&known, 6.0).at_least, 0);
        let many = measure(12, &[(5.0, 0.0), (-3.0, 0.0)], &[[2.0, 1e-9, 2.1]; 3000]);
        assert_eq!((count_above(&many, 4.0).at_least, count_above(&many, 4.0).at_most), (1, 1));
    }

    #[test]
    fn damped_functionals_hold_the_truth_between_both_rules_and_need_a_semidefinite_operator() {
        let known = measure(12, &[(5.0, 0.0)], &[[2.0, 0.5, 2.0]; 3]);
        let found = damped(&known, 0.1).unwrap();
        assert!(found.log_det.lower < found.log_det.upper && found.effective_dimension.upper < 12.0, "{found:?}");
        for (pairs, damping) in [(&[(-1.0, 0.0)][..], 0.1), (&[][..], 0.0), (&[][..], f64::NAN)] {
            assert!(damped(&measure(12, pairs, &[[2.0, 0.5, 2.0]]), damping).is_err());
        }
        assert!(damped(&measure(12, &[], &[[-2.0, 0.5, 2.0]]), 0.1).is_err());
    }
}
