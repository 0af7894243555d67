//! A backend against the reference.

use std::io::{self, Write};

use super::parts;
use crate::job::{Compared, ValidateReport, ValueComparison};
use crate::report::number::{magnitude, plain};

/// Writes the table of `hesper validate`.
///
/// # Errors
/// Whatever the writer meets.
pub fn validate(out: &mut dyn Write, report: &ValidateReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    writeln!(out, "{:<18}{:>16}{:>16}{:>12}", "", report.header.backend.kind, report.reference.kind, "difference")?;
    compared(out, "loss", report.loss)?;
    compared(out, "gradient norm", report.gradient_norm)?;
    for (at, (alpha, beta)) in report.lanczos.alphas.iter().zip(&report.lanczos.betas).enumerate() {
        compared(out, &format!("alpha {}", at + 1), *alpha)?;
        compared(out, &format!("beta {}", at + 1), *beta)?;
    }
    for (title, values) in [("largest", &report.largest), ("smallest", &report.smallest)] {
        for (at, &ValueComparison { candidate, reference, .. }) in values.iter().enumerate() {
            compared(out, &format!("{title} {}", at + 1), Compared { candidate, reference })?;
        }
    }
    writeln!(out, "\n{:>10}  {:>10}", "error", "tolerance")?;
    for check in &report.checks {
        let verdict = if check.passed { "ok " } else { "BAD" };
        writeln!(out, "{:>10}  {:>10}  {verdict}  {}", magnitude(check.error), magnitude(check.tolerance), check.name)?;
    }
    writeln!(out)?;
    parts::line(out, "verdict", if report.passed { "passed" } else { "FAILED: see the lines marked BAD" })?;
    parts::stats(out, &report.stats)
}

/// A number by both.
fn compared(out: &mut dyn Write, label: &str, compared: Compared) -> io::Result<()> {
    let Compared { candidate, reference } = compared;
    let difference = magnitude((candidate - reference).abs());
    writeln!(out, "{label:<18}{:>16}{:>16}{difference:>12}", plain(candidate), plain(reference))
}
