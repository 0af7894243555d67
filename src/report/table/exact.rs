//! All eigenvalues: the ends of them, and what they sum to.

use std::io::{self, Write};

use super::parts;
use crate::job::{ExactMatrix, ExactReport};
use crate::report::number::{count, plain};

/// Eigenvalues that are shown at each end.
const SHOWN: usize = 10;

/// Writes the table of `hesper exact`.
///
/// # Errors
/// Whatever the writer meets.
pub fn exact(out: &mut dyn Write, report: &ExactReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    let matrix = match report.matrix {
        ExactMatrix::Dense => format!("{0} x {0}, the operator's own", count(report.order)),
        ExactMatrix::Gram => format!("{0} x {0}, the Gram matrix of the samples' outputs", count(report.order)),
    };
    parts::line(out, "matrix", &matrix)?;
    writeln!(out, "{:<18}{:<31}smallest", "eigenvalues", "largest")?;
    let values = &report.eigenvalues;
    for rank in 0..values.len().min(SHOWN) {
        writeln!(out, "{:>6}{:<12}{:<31}{}", rank + 1, "", plain(values[rank]), plain(values[values.len() - 1 - rank]))?;
    }
    writeln!(out)?;
    if report.others > 0 {
        parts::line(out, "others", &format!("{} eigenvalues are {}", count(report.others), report.other_value))?;
    }
    parts::line(out, "trace", &plain(report.trace))?;
    parts::line(out, "Frobenius norm", &plain(report.frobenius_norm))?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
