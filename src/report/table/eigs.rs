//! Extreme eigenvalues.

use std::io::{self, Write};

use super::parts;
use crate::job::EigsReport;
use crate::report::number::{count, magnitude};

/// Writes the table of `hesper eigs`.
///
/// # Errors
/// Whatever the writer meets.
pub fn eigs(out: &mut dyn Write, report: &EigsReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::eigenvalues(out, &report.eigenvalues, report.header.backend.precision)?;
    writeln!(out)?;
    let measured = report.eigenvalues.largest.iter().chain(&report.eigenvalues.smallest).filter_map(|value| value.measured_residual);
    if let Some(worst) = measured.reduce(f64::max) {
        parts::line(out, "vectors", &format!("largest measured |H y - value y|: {}", magnitude(worst)))?;
    }
    parts::line(out, "Lanczos steps", &count(report.steps))?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
