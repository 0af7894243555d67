//! The density of eigenvalues on a grid.

use std::f64::consts::PI;

use serde::Serialize;

use super::measure::SpectralMeasure;
use super::quadrature::Quadrature;
use super::sample::mean_and_std_error;
use crate::error::{Error, Result};

/// How to draw a density.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DensityOptions {
    /// Grid points; more are used where their spacing would exceed σ.
    pub points: usize,
    /// σ, the kernel's standard deviation; none for the default, see [`density`].
    pub sigma: Option<f64>,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self { points: 1024, sigma: None }
    }
}

/// A smoothed density of eigenvalues and bounds of their distribution, point by point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Density {
    /// x, ascending and equidistant.
    pub grid: Vec<f64>,
    /// Mean over the probes of Σ_k w_k N(x; θ_k, σ²); its integral is 1.
    pub density: Vec<f64>,
    /// The standard error of that mean; none with one probe.
    pub std_error: Option<Vec<f64>>,
    /// σ.
    pub sigma: f64,
    /// The share of eigenvalues ≤ x (not smoothed) is at least this.
    pub cdf_lower: Vec<f64>,
    /// The share of eigenvalues ≤ x (not smoothed) is at most this.
    pub cdf_upper: Vec<f64>,
    /// Half the width of the sampling error within those two, at 95 %; what is more is truncation.
    pub cdf_sampling: f64,
    /// The eigenvalues that are known by themselves, ascending, each with weight 1/n: what the kernel must not hide.
    pub atoms: Vec<f64>,
}

/// The most grid points there may be.
pub const MAX_POINTS: usize = 1 << 20;

/// Parts of the whole range that the default σ resolves at most: a finer grid than that would be mostly empty.
const FINEST: f64 = 4096.0;

/// Standard deviations that the grid goes beyond the outermost nodes: the tails left out hold 2·10⁻⁹.
const MARGIN: f64 = 6.0;

/// Standard deviations beyond which the kernel (10⁻²² of its peak) is left out.
const REACH: f64 = 10.0;

/// The density of the spectrum, smoothed by a Gaussian kernel (stochastic Lanczos quadrature; Lin, Saad, Yang 2016; Ubaru, Chen, Saad
/// 2017).
///
/// The default is σ = (θmax − θmin) / ((m − 1)·√(8 ln 3)) over the complement of the known pairs: m nodes resolve about
/// range/(m−1), and with this σ two kernels at that distance merge (Lin, Saad, Yang 2016; κ = 3 as Papyan 2020). It is never below
/// 1/4096 of the whole range or 10⁻⁶·max|θ|, single precision's own resolution. A grid of spacing ≤ σ reaches six σ beyond all nodes, so that its trapezoid sum is
/// 1 within 10⁻⁶.
///
/// There are two error bars, kept apart. `std_error` is the spread of the curve over the probes. `cdf_lower` and `cdf_upper` bound
/// the distribution that is not smoothed, see [`SpectralMeasure::cdf_bounds`]; `cdf_sampling` is the part of them that more probes
/// would narrow, the rest that which more steps would.
///
/// # Errors
/// [`Error::Input`] where there is no rule, σ is not positive, or the grid would need more than [`MAX_POINTS`] points.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
pub fn density(measure: &SpectralMeasure, options: &DensityOptions) -> Result<Density> {
    let rules = measure.whole_rules();
    let nodes = || rules.iter().flat_map(|rule| rule.nodes.iter().copied());
    let (first, last) = (nodes().fold(f64::INFINITY, f64::min), nodes().fold(f64::NEG_INFINITY, f64::max));
    let sigma = options.sigma.unwrap_or_else(|| default_sigma(measure));
    if !(first <= last && sigma > 0.0 && sigma.is_finite()) {
        return Err(Error::Input(format!("density: {} Gauss rules and sigma {sigma}: both must be positive", rules.len())));
    }
    let (start, span) = (first - MARGIN * sigma, last - first + 2.0 * MARGIN * sigma);
    let needed = (span / sigma).ceil() + 1.0;
    if needed > MAX_POINTS as f64 || options.points > MAX_POINTS {
        return Err(Error::Input(format!(
            "density: sigma {sigma:e} over the range {first:e} to {last:e} needs {needed:.0} grid points ({} asked for), the most are \
             {MAX_POINTS}: use a larger --sigma",
            options.points
        )));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 13 and MAX_POINTS")]
    let points = options.points.max(needed as usize);
    let spacing = span / (points - 1) as f64;
    let grid: Vec<f64> = (0..points).map(|i| start + spacing * i as f64).collect();

    let curves: Vec<Vec<f64>> = rules.iter().map(|rule| smooth(rule, &grid, spacing, sigma)).collect();
    let (density, std_error) = mean_and_error(&curves);
    let (cdf_lower, cdf_upper) = measure.cdf_bounds(&grid).into_iter().unzip();
    let mut atoms: Vec<f64> = measure.pairs().iter().map(|pair| pair.value).collect();
    atoms.sort_by(f64::total_cmp);
    let cdf_sampling = measure.cdf_half_width() * measure.rest() / measure.dim();
    Ok(Density { grid, density, std_error, sigma, cdf_lower, cdf_upper, cdf_sampling, atoms })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
fn default_sigma(measure: &SpectralMeasure) -> f64 {
    let rules = measure.rules();
    let nodes = || rules.iter().flat_map(|rule| rule.nodes.iter().copied());
    let (first, last) = (nodes().fold(f64::INFINITY, f64::min), nodes().fold(f64::NEG_INFINITY, f64::max));
    let order = rules.iter().map(|rule| rule.nodes.len()).max().unwrap_or(0);
    let resolution = (last - first) / (order.saturating_sub(1).max(1) as f64 * (8.0 * 3.0_f64.ln()).sqrt());
    let ends = || nodes().chain(measure.pairs().iter().map(|pair| pair.value));
    let whole = ends().fold(f64::NEG_INFINITY, f64::max) - ends().fold(f64::INFINITY, f64::min);
    let floor = (whole / FINEST).max(1e-6 * measure.scale());
    // The zero operator has no scale of its own.
    if resolution.max(floor) > 0.0 { resolution.max(floor) } else { 1e-6 }
}

/// Σ_k w_k N(x; θ_k, σ²) over the grid.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "indices into the grid")]
fn smooth(rule: &Quadrature, grid: &[f64], spacing: f64, sigma: f64) -> Vec<f64> {
    let mut curve = vec![0.0; grid.len()];
    let peak = 1.0 / ((2.0 * PI).sqrt() * sigma);
    for (node, weight) in rule.nodes.iter().zip(&rule.weights) {
        let centre = (node - grid[0]) / spacing;
        let reach = REACH * sigma / spacing;
        let from = (centre - reach).ceil().max(0.0) as usize;
        let to = ((centre + reach).floor() as usize + 1).min(grid.len());
        for (i, value) in curve.iter_mut().enumerate().take(to).skip(from) {
            let z = (i as f64 - centre) * spacing / sigma;
            *value += weight * peak * (-0.5 * z * z).exp();
        }
    }
    curve
}

/// Mean and standard error of equally long samples, place by place.
fn mean_and_error(samples: &[Vec<f64>]) -> (Vec<f64>, Option<Vec<f64>>) {
    let at = |i: usize| mean_and_std_error(&samples.iter().map(|sample| sample[i]).collect::<Vec<_>>());
    let (means, errors): (Vec<f64>, Vec<Option<f64>>) = (0..samples.first().map_or(0, Vec::len)).map(at).unzip();
    (means, errors.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::measure::tests::measure;
    use super::*;

    fn integral(density: &Density) -> f64 {
        let values = &density.density;
        let ends = 0.5 * (values[0] + values[values.len() - 1]);
        (values.iter().sum::<f64>() - ends) * (density.grid[1] - density.grid[0])
    }

    #[test]
    fn the_integral_is_one_at_any_width() {
        let known = measure(50, &[(100.0, 0.0), (-3.0, 0.01)], &[[0.1, 0.5, 1.0], [0.2, 0.4, 3.0]]);
        for sigma in [None, Some(1e-3), Some(0.0173), Some(1.0), Some(1e4)] {
            for points in [0, 13, 1024] {
                let density = density(&known, &DensityOptions { points, sigma }).unwrap();
                assert!((integral(&density) - 1.0).abs() < 1e-7, "sigma {sigma:?}: {}", integral(&density));
                assert!(density.grid.len() >= points && density.grid[1] - density.grid[0] <= density.sigma * 1.000_001);
                assert!(density.grid[0] <= -3.0 - 6.0 * density.sigma && density.cdf_upper.last() == Some(&1.0));
                assert_eq!(density.atoms, [-3.0, 100.0]);
            }
        }
    }

    /// Without the outlier at 100 the range is 3.4, and so much narrower is the kernel.
    #[test]
    fn known_pairs_do_not_widen_the_kernel() {
        let runs = [[0.1, 0.5, 1.0]];
        let plain = density(&measure(50, &[], &runs), &DensityOptions::default()).unwrap();
        let with_outlier = density(&measure(50, &[(100.0, 0.0)], &runs), &DensityOptions::default()).unwrap();
        assert_eq!(plain.sigma, with_outlier.sigma);
    }

    #[test]
    fn degenerate_spectra_have_a_density() {
        for node in [0.0, 1.0, -1e30, 1e-30] {
            let density = density(&measure(5, &[], &[[node, 0.0, node]]), &DensityOptions::default()).unwrap();
            assert!((integral(&density) - 1.0).abs() < 1e-7, "{node}");
            assert_eq!(density.std_error, None);
        }
    }

    #[test]
    fn a_width_too_small_to_draw_is_an_error_that_says_so() {
        let known = measure(5, &[], &[[0.0, 0.0, 1.0]]);
        let message = density(&known, &DensityOptions { points: 10, sigma: Some(1e-9) }).unwrap_err().to_string();
        assert!(message.contains("--sigma") && message.contains("1048576"), "{message}");
        for sigma in [0.0, -1.0, f64::NAN] {
            assert!(density(&known, &DensityOptions { points: 10, sigma: Some(sigma) }).is_err());
        }
        assert!(density(&measure(5, &[], &[]), &DensityOptions::default()).is_err());
    }

    #[test]
    fn the_error_comes_from_the_spread_over_probes_and_the_bounds_from_their_number() {
        let same = |count| density(&measure(500, &[], &vec![[0.5, 0.5, 0.5]; count]), &DensityOptions::default()).unwrap();
        let (few, many) = (same(4), same(400));
        assert!(few.std_error.unwrap().iter().all(|&error| error == 0.0));
        assert!((few.cdf_sampling / many.cdf_sampling - 10.0).abs() < 1e-9);
        let differing = measure(500, &[], &[[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]]);
        assert!(density(&differing, &DensityOptions::default()).unwrap().std_error.unwrap().iter().any(|&error| error > 0.0));
    }
}
