//! The main job and the density alone.

use std::io::{self, Write};

use super::parts;
use crate::job::{DensityReport, SpectrumReport};
use crate::report::number::{rounded, with_bar};

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
    writeln!(out)?;
    parts::density(out, &report.density, report.header.model.parameters)?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}

/// The largest stable learning rate of plain gradient descent, with its bounds.
fn stable_step(report: &SpectrumReport) -> String {
    let Some(rate) = &report.max_stable_learning_rate else {
        return "any: no positive eigenvalue was found".into();
    };
    match rate.upper {
        Some(upper) => {
            let bar = (upper - rate.lower).max(report.header.backend.precision.epsilon() * rate.value);
            format!("{} (between {} and {})", rounded(rate.value, bar), rounded(rate.lower, bar), rounded(upper, bar))
        }
        None => format!("{} (no upper bound: the largest eigenvalue may be zero)", with_bar(rate.value, rate.value - rate.lower)),
    }
}

/// Writes the table of `hesper density`.
///
/// # Errors
/// Whatever the writer meets.
pub fn density(out: &mut dyn Write, report: &DensityReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::density(out, &report.density, report.header.model.parameters)?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
