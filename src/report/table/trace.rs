//! The trace alone.

use std::io::{self, Write};

use super::parts;
use crate::job::TraceReport;
use crate::report::number::{count, magnitude};

/// Writes the table of `hesper trace`.
///
/// # Errors
/// Whatever the writer meets.
pub fn trace(out: &mut dyn Write, report: &TraceReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    parts::line(out, "trace", &parts::estimate(&report.trace))?;
    if let Some(relative) = report.accuracy.relative {
        let asked = report.accuracy.rtol.map_or_else(String::new, |rtol| format!(", {} asked for", magnitude(rtol)));
        let level = 100.0 * report.accuracy.confidence;
        parts::line(out, "accuracy", &format!("{} of the trace with {level}% confidence{asked}", magnitude(relative)))?;
    }
    parts::line(out, "probes", &count(report.trace.samples.len()))?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}
