//! The main job and the density alone.

use std::io::{self, Write};

use super::parts;
use crate::estimate::{Count, Damped, Functionals, LearningRate, OutlierSplit, TailFit};
use crate::job::{BatchSummary, DensityReport, Diagnostics, Eigenvalue, GradientCurvature, RelativeSharpness, SpectrumReport, Spread};
use crate::numeric::Precision;
use crate::report::number::{count, magnitude, plain, rounded, with_bar};

/// Writes the table of `hesper spectrum`.
///
/// # Errors
/// Whatever the writer meets.
pub fn spectrum(out: &mut dyn Write, report: &SpectrumReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::eigenvalues(out, &report.eigenvalues, report.header.backend.precision)?;
    writeln!(out)?;
    parts::line(out, "trace", &parts::estimate(&report.trace))?;
    parts::line(out, "Frobenius norm", &parts::frobenius_norm(&report.frobenius_squared))?;
    let share = &report.negative_share;
    parts::line(out, "negative share", &parts::share(share.mean, share.lower, share.upper))?;
    parts::line(out, "stable step 2/max", &stable_step(report))?;
    if let Some(rate) = &report.adam_stable_learning_rate {
        parts::line(out, "stable Adam step", &learning_rate(rate, report.header.backend.precision))?;
    }
    functionals(out, report)?;
    diagnostics(out, &report.diagnostics)?;
    writeln!(out)?;
    parts::blocks(out, &report.blocks, report.header.backend.precision)?;
    if let Some(summary) = &report.batch_summary {
        batches(out, summary, report)?;
    }
    parts::density(out, &report.density, report.header.dim())?;
    parts::floor(out, &report.floor)?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}

/// Mean and spread over the mini-batches, beside the whole.
fn batches(out: &mut dyn Write, summary: &BatchSummary, report: &SpectrumReport) -> io::Result<()> {
    let BatchSummary { options, largest, smallest, trace, gradient_norm } = summary;
    writeln!(out, "{} batches of {} samples", count(options.count), count(options.size))?;
    writeln!(out, "{:<18}{:<26}{:<16}all samples", "", "mean", "between batches")?;
    let first = |values: &[Eigenvalue]| values.first().map_or_else(|| "-".to_owned(), |value| plain(value.value));
    let rows = [
        ("largest", largest, first(&report.eigenvalues.largest)),
        ("smallest", smallest, first(&report.eigenvalues.smallest)),
        ("trace", trace, plain(report.trace.mean)),
        ("gradient norm", gradient_norm, plain(report.header.loss.gradient_norm)),
    ];
    for (label, Spread { mean, std_dev, std_error }, whole) in rows {
        let mean = std_error.map_or_else(|| plain(*mean), |error| with_bar(*mean, error));
        let deviation = std_dev.map_or_else(|| "-".to_owned(), magnitude);
        writeln!(out, "{label:<18}{mean:<26}{deviation:<16}{whole}")?;
    }
    writeln!(out)
}

/// The largest stable learning rate of plain gradient descent, with its bounds.
fn stable_step(report: &SpectrumReport) -> String {
    let any = || "any: no positive eigenvalue was found".into();
    report.max_stable_learning_rate.map_or_else(any, |rate| learning_rate(&rate, report.header.backend.precision))
}

fn learning_rate(rate: &LearningRate, precision: Precision) -> String {
    match rate.upper {
        Some(upper) => {
            let bar = (upper - rate.lower).max(precision.epsilon() * rate.value);
            format!("{} (between {} and {})", rounded(rate.value, bar), rounded(rate.lower, bar), rounded(upper, bar))
        }
        None => format!("{} (no upper bound: the largest eigenvalue may be zero)", with_bar(rate.value, rate.value - rate.lower)),
    }
}

fn functionals(out: &mut dyn Write, report: &SpectrumReport) -> io::Result<()> {
    let Functionals { nuclear_norm, stable_rank, participation_ratio, condition_positive_at_least, .. } = &report.functionals;
    parts::line(out, "sum of magnitudes", &parts::bounded(nuclear_norm))?;
    parts::line(out, "stable rank", &parts::bounded(stable_rank))?;
    parts::line(out, "participation", &parts::bounded(participation_ratio))?;
    if let Some(Damped { damping, log_det, effective_dimension }) = &report.damped {
        parts::line(out, "log det", &format!("{} of A + {damping}", parts::bounded(log_det)))?;
        parts::line(out, "effective dim", &format!("{} with {damping}", parts::bounded(effective_dimension)))?;
    }
    match condition_positive_at_least {
        Some(condition) => parts::line(out, "condition", &format!("at least {} on the positive part", magnitude(*condition))),
        None => Ok(()),
    }
}

fn diagnostics(out: &mut dyn Write, diagnostics: &Diagnostics) -> io::Result<()> {
    let Diagnostics { saddle_index, outliers, tail, gradient_curvature, relative_sharpness, counts } = diagnostics;
    parts::line(out, "surely negative", &format!("at least {} eigenvalues", count(saddle_index.certified_negative)))?;
    if let Some(OutlierSplit { count: above, smallest_outlier, bulk_edge, ratio, .. }) = outliers {
        let text = format!(
            "{} above the widest gap, {} to {} (ratio {})",
            count(*above),
            magnitude(*bulk_edge),
            magnitude(*smallest_outlier),
            magnitude(*ratio)
        );
        parts::line(out, "outliers", &text)?;
    }
    if let Some(TailFit { exponent, from, eigenvalues, ks_distance }) = tail {
        let fit = exponent.std_error.map_or_else(|| plain(exponent.mean), |error| with_bar(exponent.mean, error));
        let text = format!("exponent {fit} above {} ({eigenvalues:.0} eigenvalues, KS {})", magnitude(*from), magnitude(*ks_distance));
        parts::line(out, "bulk's tail", &text)?;
    }
    if let Some(GradientCurvature { value, residual }) = gradient_curvature {
        parts::line(out, "along gradient", &format!("{} (distance from an eigenvector {})", plain(*value), magnitude(*residual)))?;
    }
    if let Some(RelativeSharpness { value, residual }) = relative_sharpness {
        parts::line(out, "relative max", &format!("{}, with each parameter's size as its unit", with_bar(*value, *residual)))?;
    }
    for Count { above, at_least, at_most } in counts {
        parts::line(out, &format!("above {above}"), &format!("{} to {} eigenvalues", count(*at_least), count(*at_most)))?;
    }
    Ok(())
}

/// Writes the table of `hesper density`.
///
/// # Errors
/// Whatever the writer meets.
pub fn density(out: &mut dyn Write, report: &DensityReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::density(out, &report.density, report.header.dim())?;
    parts::floor(out, &report.floor)?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
