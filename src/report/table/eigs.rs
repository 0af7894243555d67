//! Extreme eigenvalues.

use std::io::{self, Write};

use super::parts;
use crate::job::{EigsProducts, EigsReport};
use crate::report::number::{count, magnitude};

/// Writes the table of `hesper eigs`.
///
/// # Errors
/// Whatever the writer meets.
pub fn eigs(out: &mut dyn Write, report: &EigsReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::eigenvalues(out, &report.eigenvalues, report.header.backend.precision)?;
    writeln!(out)?;
    mass(out, report)?;
    parts::blocks(out, &report.blocks, report.header.backend.precision)?;
    let values = report.eigenvalues.largest.iter().chain(&report.eigenvalues.smallest);
    if let Some(worst) = values.filter_map(|value| value.measured_residual).reduce(f64::max) {
        let text = format!("largest |H y - value y| {}, largest |Y'Y - I| {}", magnitude(worst), magnitude(report.orthogonality));
        parts::line(out, "vectors", &text)?;
    }
    let errors = report.eigenvalues.largest.iter().chain(&report.eigenvalues.smallest).filter_map(|value| value.value_error);
    if let Some(worst) = errors.reduce(f64::max) {
        parts::line(out, "values", &format!("off by about {} at most", magnitude(worst)))?;
    }
    let EigsProducts { search, confirmation, certification } = report.products;
    let restarts = if report.restarts == 0 { String::new() } else { format!(" with {} restarts", report.restarts) };
    let text = format!("{}{restarts}, {confirmation} to confirm, {certification} to measure", count(search));
    parts::line(out, "Lanczos steps", &text)?;
    if let Some(probability) = report.miss_probability {
        let text = if probability == 0.0 {
            "none: the whole space was searched".to_owned()
        } else {
            format!("probability {}", magnitude(probability))
        };
        parts::line(out, "passed over", &text)?;
    }
    parts::floor(out, &report.floor)?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}

/// Where each vector lies, in per cent of its sum of squares; as many columns as fit.
fn mass(out: &mut dyn Write, report: &EigsReport) -> io::Result<()> {
    const WIDTH: usize = 10;
    let columns = report.tensors.len().min((80 - parts::LABEL) / WIDTH);
    if columns == 0 {
        return Ok(());
    }
    let heads: String = report.tensors.iter().take(columns).map(|name| format!("{:>WIDTH$}", parts::shortened(name, WIDTH - 1))).collect();
    parts::line(out, "mass in", &heads)?;
    for (title, values) in [("largest", &report.eigenvalues.largest), ("smallest", &report.eigenvalues.smallest)] {
        for (rank, mass) in values.iter().enumerate().filter_map(|(rank, value)| value.mass.as_ref().map(|mass| (rank, mass))) {
            let cells: String = mass.iter().take(columns).map(|share| format!("{:>1$.1}%", 100.0 * share, WIDTH - 1)).collect();
            parts::line(out, &format!("{:>6}  {title}", rank + 1), &cells)?;
        }
    }
    writeln!(out)
}
