//! What is said about exact products; the products themselves go to a file.

use std::io::{self, Write};

use super::parts;
use crate::job::HvpReport;
use crate::report::number::{count, plain};

/// Products that are listed; of more the first ones.
const SHOWN: usize = 20;

/// Writes the table of `hesper hvp`.
///
/// # Errors
/// Whatever the writer meets.
pub fn hvp(out: &mut dyn Write, report: &HvpReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    writeln!(out, "{:>6}  {:>14}  {:>14}", "vector", "norm of H v", "v'H v")?;
    for (at, (norm, form)) in report.norms.iter().zip(&report.quadratic_forms).take(SHOWN).enumerate() {
        writeln!(out, "{at:>6}  {:>14}  {:>14}", plain(*norm), plain(*form))?;
    }
    if let Some(more) = report.norms.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        writeln!(out, "{:>6}  and {} more", "", count(more))?;
    }
    writeln!(out)?;
    parts::stats(out, &report.stats)
}
