//! How often each bar holds.

use std::io::{self, Write};

use super::parts;
use crate::job::CalibrateReport;
use crate::report::number::{count, magnitude};

/// Writes the table of `hesper calibrate`.
///
/// # Errors
/// Whatever the writer meets.
pub fn calibrate(out: &mut dyn Write, report: &CalibrateReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    writeln!(out, "{:<30}{:<29}{:>9}{:>9}{:>9}{:>10}", "bar", "estimator", "products", "nominal", "holds", "half width")?;
    for bar in &report.coverage {
        writeln!(
            out,
            "{:<30}{:<29}{:>9}{:>8.0}%{:>8.1}%{:>10}",
            bar.quantity,
            bar.estimator,
            count(bar.products),
            100.0 * bar.nominal,
            100.0 * bar.coverage,
            magnitude(bar.half_width)
        )?;
    }
    writeln!(out)?;
    let distance = &report.wasserstein;
    let text = format!(
        "median {}, largest {} of the width, {} products",
        magnitude(distance.median),
        magnitude(distance.largest),
        count(distance.products)
    );
    parts::line(out, "Wasserstein-1", &text)?;
    parts::line(out, "seeds", &count(report.options.seeds))?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
