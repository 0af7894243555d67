//! Where a series with error bars changes its course.

use serde::Serialize;

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Where: a step of training.
    pub at: f64,
    /// What was found there.
    pub value: f64,
    /// Its standard error or what it may be off by.
    pub error: f64,
}

/// A straight line through a part of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Where the part begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// The line's value at its begin.
    pub first: f64,
    /// And at its end.
    pub last: f64,
    /// Its rise by a unit of the abscissa.
    pub slope: f64,
    /// The slope's standard error.
    pub std_error: f64,
    /// Whether the slope differs from 0 by more than [`SIGNIFICANT`] standard errors.
    pub significant: bool,
}

/// Standard errors by which a slope must differ from zero.
pub const SIGNIFICANT: f64 = 3.0;

/// Fewest readings of a part.
const SHORTEST: usize = 4;

/// The series in parts that straight lines describe, as many as it takes; between them are its change points.
///
/// Of all segmentations the one of least Σ (residual/σ)² + 3·p·ln n over p parts (the Bayesian information criterion: two numbers of a
/// line and the place where it begins), found exactly by dynamic programming (Bellman and Roth 1969). σ² is the square of the reading's
/// error plus the series' own noise, estimated by the median absolute second difference, so that neither bars nor scatter make a
/// change. Fewer than two readings have no trend.
pub fn trends(series: &[Reading]) -> Vec<Trend> {
    let count = series.len();
    if count < 2 {
        return Vec::new();
    }
    let noise = noise(series);
    let sums = Sums::new(series, noise);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    let penalty = 3.0 * (count as f64).ln();
    // The least cost of the first readings, and where the last part of that segmentation begins.
    let mut best = vec![(f64::INFINITY, 0); count + 1];
    best[0].0 = 0.0;
    for end in 1..=count {
        for begin in (0..=end.saturating_sub(SHORTEST.min(count))).rev() {
            let cost = best[begin].0 + sums.line(series, begin, end).cost + penalty;
            if cost < best[end].0 {
                best[end] = (cost, begin);
            }
        }
    }
    let (mut parts, mut end) = (Vec::new(), count);
    while end > 0 {
        let begin = best[end].1;
        parts.push(sums.line(series, begin, end).trend(series, begin, end));
        end = begin;
    }
    parts.reverse();
    parts
}

/// The readings' own scatter: a second difference of independent noise has √6 of its standard deviation.
fn noise(series: &[Reading]) -> f64 {
    let mut seconds: Vec<f64> = series.windows(3).map(|three| (three[0].value - 2.0 * three[1].value + three[2].value).abs()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).map_or(0.0, |median| median / (0.6745 * 6.0_f64.sqrt()))
}

/// Running sums of 1, x, y, x², xy and y² with the weights 1/σ².
struct Sums(Vec<[f64; 6]>);

struct Line {
    intercept: f64,
    slope: f64,
    variance: f64,
    cost: f64,
}

impl Sums {
    fn new(series: &[Reading], noise: f64) -> Self {
        let scale = series.iter().fold(f64::MIN_POSITIVE, |scale: f64, reading| scale.max(reading.value.abs()));
        let mut sums = vec![[0.0; 6]];
        for reading in series {
            let variance = reading.error.powi(2) + noise.powi(2) + (1e-9 * scale).powi(2);
            let (x, y) = (reading.at - series[0].at, reading.value - series[0].value);
            let terms = [1.0, x, y, x * x, x * y, y * y].map(|term| term / variance);
            let before = sums[sums.len() - 1];
            sums.push(std::array::from_fn(|k| before[k] + terms[k]));
        }
        Self(sums)
    }

    /// The weighted least squares line through the readings `begin` to `end`.
    fn line(&self, series: &[Reading], begin: usize, end: usize) -> Line {
        let [w, x, y, xx, xy, yy] = std::array::from_fn(|k| self.0[end][k] - self.0[begin][k]);
        let (mean_x, mean_y) = (x / w, y / w);
        let (sxx, sxy, syy) = (xx - x * mean_x, xy - x * mean_y, yy - y * mean_y);
        let slope = if sxx > 0.0 { sxy / sxx } else { 0.0 };
        let intercept = series[0].value + mean_y - slope * (mean_x + series[0].at);
        Line { intercept, slope, variance: sxx.max(f64::MIN_POSITIVE).recip(), cost: (syy - slope * sxy).max(0.0) }
    }
}

impl Line {
    fn trend(&self, series: &[Reading], begin: usize, end: usize) -> Trend {
        let (from, to) = (series[begin].at, series[end - 1].at);
        let at = |x: f64| self.intercept + self.slope * x;
        let std_error = self.variance.sqrt();
        let significant = self.slope.abs() > SIGNIFICANT * std_error;
        Trend { from, to, first: at(from), last: at(to), slope: self.slope, std_error, significant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{self, Distribution};

    fn series(count: u32, error: f64, f: impl Fn(f64) -> f64) -> Vec<Reading> {
        let mut noise = vec![0.0; count as usize];
        rng::fill(Distribution::Gaussian, 5, 0, &mut noise);
        (0..count).zip(noise).map(|(at, noise)| Reading { at: at.into(), value: f(at.into()) + error * noise, error }).collect()
    }

    #[test]
    fn a_rise_that_ends_is_found_where_it_ends() {
        let found = trends(&series(60, 0.3, |x| if x < 30.0 { x } else { 30.0 }));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[1].from - 30.0).abs() <= 3.0 && found[0].significant && !found[1].significant, "{found:?}");
        assert!((found[0].slope - 1.0).abs() < 0.05 && (found[1].last - 30.0).abs() < 0.5);
    }

    #[test]
    fn noise_within_the_bars_is_no_change() {
        for error in [0.0, 0.1, 3.0] {
            let found = trends(&series(60, error, |_| 2.0));
            assert!(found.len() == 1 && !found[0].significant, "{error}: {found:?}");
        }
        let jump = trends(&series(40, 0.1, |x| f64::from(u8::from(x > 19.5))));
        assert!(jump.len() == 2 && jump[1].from == 20.0, "{jump:?}");
        // The same jump under bars that hide it.
        let hidden: Vec<_> = series(40, 0.1, |x| f64::from(u8::from(x > 19.5))).iter().map(|r| Reading { error: 2.0, ..*r }).collect();
        assert_eq!(trends(&hidden).len(), 1);
        assert!(trends(&series(1, 0.1, |_| 1.0)).is_empty() && trends(&series(2, 0.1, |x| x)).len() == 1);
    }
}
