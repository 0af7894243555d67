//! Outliers found beside those that the means of the classes predict.

use std::io::{self, Write};

use super::parts;
use crate::job::{ClassRecord, HierarchyReport, HierarchyTraces, OutlierRecord};
use crate::report::number::{count, magnitude, plain, with_bar};

/// Writes the table of `hesper hierarchy`.
///
/// # Errors
/// Whatever the writer meets.
pub fn hierarchy(out: &mut dyn Write, report: &HierarchyReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    writeln!(out, "{:<18}{:<24}{:<18}cross-class means", "outliers", "found", "class means")?;
    for (rank, OutlierRecord { found, class_means, cross_class_means }) in report.outliers.iter().enumerate() {
        let star = if found.converged { "" } else { " *" };
        let cell = format!("{}{star}", with_bar(found.value, found.residual.max(f64::MIN_POSITIVE)));
        writeln!(out, "{:>6}{:<12}{cell:<24}{:<18}{}", rank + 1, "", plain(*class_means), plain(*cross_class_means))?;
    }
    writeln!(out, "\n{:<18}{:<24}{:<18}squared norm of the mean", "class", "samples", "weight")?;
    for ClassRecord { class, samples, weight, squared_norm } in &report.classes {
        writeln!(out, "{class:>6}{:<12}{:<24}{:<18}{}", "", count(*samples), magnitude(*weight), plain(*squared_norm))?;
    }
    writeln!(out)?;
    let HierarchyTraces { total, class, cross_class, within_class, own_class } = &report.traces;
    parts::line(out, "trace", &plain(*total))?;
    let terms = [("  class means", class), ("  cross-class", cross_class), ("  within classes", within_class), ("  own class", own_class)];
    for (label, part) in terms {
        parts::line(out, label, &format!("{} ({:.1}%)", plain(*part), 100.0 * part / total))?;
    }
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
