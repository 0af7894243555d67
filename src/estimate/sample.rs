//! A mean over independent samples with its standard error.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

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
        let (mean, std_error) = mean_and_std_error(&samples);
        let ci95 = std_error.map(|error| {
            let half_width = student_quantile(samples.len()) * error;
            [mean - half_width, mean + half_width]
        });
        Self { mean, std_error, ci95, samples }
    }

    /// Half the width of the 95 % interval; infinite where there is none.
    pub fn half_width(&self) -> f64 {
        self.std_error.map_or(f64::INFINITY, |error| student_quantile(self.samples.len()) * error)
    }
}

/// The mean and, of two samples or more, its standard error.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub(super) fn mean_and_std_error(samples: &[f64]) -> (f64, Option<f64>) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (samples.len() > 1).then(|| (squares / (count * (count - 1.0))).sqrt()))
}

/// t with P(|T| ≤ t) = 95 % for the mean of `samples` samples; infinite below two.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub fn student_quantile(samples: usize) -> f64 {
    match StudentsT::new(0.0, 1.0, samples.saturating_sub(1) as f64) {
        Ok(distribution) => distribution.inverse_cdf(0.975),
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
            assert!((student_quantile(samples) - quantile).abs() < 1e-4, "{samples}: {}", student_quantile(samples));
        }
        assert_eq!(student_quantile(1), f64::INFINITY);
    }

    #[test]
    fn one_sample_has_no_spread_and_two_have_theirs() {
        let one = Estimate::from_samples(vec![3.0]);
        assert_eq!((one.mean, one.std_error, one.ci95), (3.0, None, None));
        let two = Estimate::from_samples(vec![1.0, 3.0]);
        assert_eq!((two.mean, two.std_error), (2.0, Some(1.0)));
        assert!((two.half_width() - 12.7062).abs() < 1e-4);
    }
}
