//! A mean over independent samples with its standard error.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The confidence of every interval for which none is asked.
pub const CONFIDENCE: f64 = 0.95;

/// The mean of independent, equally distributed samples, how sure it is, and the samples themselves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Σ xᵢ / N.
    pub mean: f64,
    /// √(Σ (xᵢ − mean)² / (N (N−1))), the standard deviation of the mean; none where one sample tells no spread.
    pub std_error: Option<f64>,
    /// mean ± t·std_error with Student's t at 95 % and N−1 degrees of freedom: exact for normal samples.
    pub ci95: Option<[f64; 2]>,
    /// x₀ ... x_{N−1}, one for each probe.
    pub samples: Vec<f64>,
}

impl Estimate {
    /// The mean of `samples`; of none at all it is NaN.
    pub fn from_samples(samples: Vec<f64>) -> Self {
        Self::with_confidence(samples, CONFIDENCE)
    }

    /// The same with an interval `ci95` of another level, for an estimate that keeps 95 % only with a stricter one (see
    /// [`Stopping`](super::Stopping)).
    pub fn with_confidence(samples: Vec<f64>, confidence: f64) -> Self {
        let (mean, std_error) = mean_and_std_error(&samples);
        let ci95 = std_error.map(|error| {
            let half_width = student_quantile(samples.len(), confidence) * error;
            [mean - half_width, mean + half_width]
        });
        Self { mean, std_error, ci95, samples }
    }

    /// The same with an interval that reaches `by` further on both sides, for a systematic error.
    #[must_use]
    pub fn widened(self, by: f64) -> Self {
        Self { ci95: self.ci95.map(|[low, high]| [low - by, high + by]), ..self }
    }

    /// Half the width of the interval of level `confidence`; infinite where there is none.
    pub fn half_width(&self, confidence: f64) -> f64 {
        self.std_error.map_or(f64::INFINITY, |error| student_quantile(self.samples.len(), confidence) * error)
    }
}

/// A number with its standard error and an interval that also holds what is known of its systematic error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The estimate.
    pub mean: f64,
    /// The standard error over the probes; none with one probe.
    pub std_error: Option<f64>,
    /// What it is at least, at 95 %; −∞ (null in JSON) with one probe.
    pub lower: f64,
    /// What it is at most, at 95 %; ∞ with one probe.
    pub upper: f64,
}

impl Bounded {
    /// From a lower bound, an estimate and an upper bound of each probe: the means of the bounds, moved outwards by the half-width of
    /// their 95 % intervals (Student's t), or by `concentration` where that is more, and by `slack`.
    pub(super) fn from_probes(probes: &[[f64; 3]], concentration: f64, slack: f64) -> Self {
        let estimate = |at: usize| Estimate::from_samples(probes.iter().map(|probe| probe[at]).collect());
        let [lower, middle, upper] = [0, 1, 2].map(estimate);
        Self {
            mean: middle.mean,
            std_error: middle.std_error,
            lower: lower.mean - lower.half_width(CONFIDENCE).max(concentration) - slack,
            upper: upper.mean + upper.half_width(CONFIDENCE).max(concentration) + slack,
        }
    }

    /// The same with bounds that reach `by` further on both sides, for a systematic error.
    #[must_use]
    pub fn widened(self, by: f64) -> Self {
        Self { lower: self.lower - by, upper: self.upper + by, ..self }
    }

    /// The same times `factor` > 0.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let Self { mean, std_error, lower, upper } = self;
        Self { mean: factor * mean, std_error: std_error.map(|error| factor * error), lower: factor * lower, upper: factor * upper }
    }
}

/// f(mean of the rows of `samples`) with the jackknife's standard error (Quenouille 1956; Tukey 1958) and Student's interval: for
/// ratios of means and other smooth functions of them.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub(super) fn jackknife<const K: usize>(samples: &[[f64; K]], f: impl Fn([f64; K]) -> f64) -> Bounded {
    let count = samples.len() as f64;
    let totals: [f64; K] = std::array::from_fn(|at| samples.iter().map(|sample| sample[at]).sum());
    let whole = f(totals.map(|total| total / count));
    if samples.len() < 2 {
        return Bounded { mean: whole, std_error: None, lower: f64::NEG_INFINITY, upper: f64::INFINITY };
    }
    let without = |sample: &[f64; K]| f(std::array::from_fn(|at| (totals[at] - sample[at]) / (count - 1.0)));
    let estimate = Estimate::from_samples(samples.iter().map(|sample| count * whole - (count - 1.0) * without(sample)).collect());
    let half_width = estimate.half_width(CONFIDENCE);
    Bounded { mean: whole, std_error: estimate.std_error, lower: whole - half_width, upper: whole + half_width }
}

/// The mean and, of two samples or more, its standard error.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub(super) fn mean_and_std_error(samples: &[f64]) -> (f64, Option<f64>) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (samples.len() > 1).then(|| (squares / (count * (count - 1.0))).sqrt()))
}

/// t with P(|T| ≤ t) = `confidence` for the mean of `samples` samples; infinite below two.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub fn student_quantile(samples: usize, confidence: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, samples.saturating_sub(1) as f64) {
        Ok(distribution) => distribution.inverse_cdf(0.5 + 0.5 * confidence),
        Err(_) => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fisher's table.
    #[test]
    fn quantiles_are_those_of_the_table() {
        for (samples, quantile) in [(2, 12.7062), (3, 4.3027), (10, 2.2622), (31, 2.0423), (1001, 1.9623)] {
            assert!((student_quantile(samples, 0.95) - quantile).abs() < 1e-4, "{samples}: {}", student_quantile(samples, 0.95));
        }
        assert!((student_quantile(11, 0.99) - 3.1693).abs() < 1e-4);
        assert_eq!(student_quantile(1, 0.95), f64::INFINITY);
    }

    #[test]
    fn one_sample_has_no_spread_and_two_have_theirs() {
        let one = Estimate::from_samples(vec![3.0]);
        assert_eq!((one.mean, one.std_error, one.ci95), (3.0, None, None));
        let two = Estimate::from_samples(vec![1.0, 3.0]);
        assert_eq!((two.mean, two.std_error), (2.0, Some(1.0)));
        assert!((two.half_width(0.95) - 12.7062).abs() < 1e-4);
    }

    #[test]
    fn bounds_of_the_probes_come_on_top_of_their_spread() {
        let bounded = Bounded::from_probes(&[[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]], 1.0, 0.5);
        assert_eq!((bounded.mean, bounded.std_error), (2.0, Some(1.0)));
        assert!((bounded.lower - (1.0 - 12.7062 - 0.5)).abs() < 1e-4 && (bounded.upper - (3.0 + 12.7062 + 0.5)).abs() < 1e-4);
        assert_eq!(Bounded::from_probes(&[[0.0, 1.0, 2.0]; 2], 3.0, 0.5).lower, -3.5);
        assert_eq!(Bounded::from_probes(&[[0.0, 1.0, 2.0]], 0.0, 0.0).upper, f64::INFINITY);
    }

    /// For a mean itself the jackknife is the textbook's standard error.
    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let samples = [1.0, 4.0, 2.0, 9.0];
        let plain = Estimate::from_samples(samples.to_vec());
        let jack = jackknife(&samples.map(|x| [x]), |[mean]| mean);
        assert!((jack.mean - plain.mean).abs() < 1e-14 && (jack.std_error.unwrap() - plain.std_error.unwrap()).abs() < 1e-13);
    }
}
