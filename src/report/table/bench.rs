//! Throughput of products.

use std::io::{self, Write};

use super::parts::line;
use crate::job::{BenchRecord, BenchReport};
use crate::numeric::human_bytes;
use crate::report::number::{count, seconds};

/// Writes the table of `hesper bench`.
///
/// # Errors
/// Whatever the writer meets.
pub fn bench(out: &mut dyn Write, report: &BenchReport) -> io::Result<()> {
    let Some(first) = report.results.first() else { return Ok(()) };
    let BenchRecord { shape, activation, samples, parameters, backend, adapter, precision, .. } = first;
    line(out, "network", &format!("{shape} {activation}, {} parameters", count(*parameters)))?;
    line(out, "samples", &count(*samples))?;
    let adapter = adapter.as_deref().map_or_else(String::new, |name| format!(", {name}"));
    line(out, "backend", &format!("{backend} {precision}{adapter}"))?;
    writeln!(out)?;
    writeln!(out, "          seconds for one product                         Gflop/s")?;
    writeln!(
        out,
        "{:>7}  {:>10}  {:>10}  {:>10}  {:>8}  {:>8}  {:>8}  {:>5}",
        "columns", "median", "fastest", "slowest", "HVP/s", "nominal", "executed", "peak"
    )?;
    for result in &report.results {
        let share = result.share_of_peak.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share));
        writeln!(
            out,
            "{:>7}  {:>10}  {:>10}  {:>10}  {:>8.1}  {:>8.1}  {:>8.1}  {share:>5}",
            result.columns,
            seconds(result.median_seconds_per_hvp),
            seconds(result.min),
            seconds(result.max),
            result.hvps_per_second,
            result.nominal_gflops,
            result.executed_gflops,
        )?;
    }
    writeln!(out)?;
    let held = report.results.iter().map(|result| result.peak_bytes).max().unwrap_or(0);
    line(out, "runs", &format!("{} each, after warm-up", first.runs))?;
    line(out, "memory", &format!("{} for the operator and its vectors", human_bytes(held)))
}
