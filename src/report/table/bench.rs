//! Throughput of products.

use std::io::{self, Write};

use super::parts::{line, warnings};
use crate::job::{BenchRecord, BenchReport, Swept};
use crate::numeric::human_bytes;
use crate::report::number::{count, seconds};

/// Writes the table of `hesper bench`.
///
/// # Errors
/// Whatever the writer meets.
pub fn bench(out: &mut dyn Write, report: &BenchReport) -> io::Result<()> {
    let one_table = |a: &BenchRecord, b: &BenchRecord| a.backend == b.backend && a.adapter == b.adapter && a.swept == b.swept;
    for (at, results) in report.results.chunk_by(one_table).enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        match results[0].swept {
            Some(swept) => sweep(out, swept, results)?,
            None => cases(out, results)?,
        }
    }
    warnings(out, &report.warnings)
}

/// The cases of one backend.
fn cases(out: &mut dyn Write, results: &[BenchRecord]) -> io::Result<()> {
    let BenchRecord { shape, activation, samples, parameters, .. } = &results[0];
    line(out, "network", &format!("{shape} {activation}, {} parameters", count(*parameters)))?;
    line(out, "samples", &count(*samples))?;
    line(out, "backend", &backend(&results[0]))?;
    writeln!(out)?;
    writeln!(out, "          seconds for one product                         Gflop/s")?;
    writeln!(
        out,
        "{:>7}  {:>10}  {:>10}  {:>10}  {:>8}  {:>8}  {:>8}  {:>5}",
        "columns", "median", "fastest", "slowest", "HVP/s", "nominal", "executed", "peak"
    )?;
    for result in results {
        writeln!(
            out,
            "{:>7}  {:>10}  {:>10}  {:>10}  {:>8.1}  {:>8.1}  {:>8.1}  {:>5}",
            result.columns,
            seconds(result.median_seconds_per_hvp),
            seconds(result.min),
            seconds(result.max),
            result.hvps_per_second,
            result.nominal_gflops,
            result.executed_gflops,
            share(result.share_of_peak),
        )?;
    }
    writeln!(out)?;
    let last = &results[results.len() - 1];
    kernels(out, last)?;
    if let Some(plain) = &last.plain_product {
        let executed = last.executed_gflops;
        let reached = share(last.share_of_plain_product);
        let held = format!("{executed:.1} Gflop/s, {reached} of the {:.1} of {} at {}³", plain.gflops, plain.kernel, plain.size);
        line(out, "best product", &held)?;
    }
    if let Some(peak) = last.peak_gigabytes {
        let moved =
            format!("{:.1} GB/s of operands, {} of a copy's {peak:.1} GB/s", last.streamed_gigabytes, share(last.share_of_bandwidth));
        line(out, "memory moved", &moved)?;
    }
    let held = results.iter().map(|result| result.peak_bytes).max().unwrap_or(0);
    line(out, "runs", &format!("{} each, after warm-up", results[0].runs))?;
    line(out, "memory", &format!("{} for the operator and its vectors", human_bytes(held)))
}

/// Where the time of a product goes, by the device's clock.
fn kernels(out: &mut dyn Write, result: &BenchRecord) -> io::Result<()> {
    let all: f64 = result.kernels.iter().map(|kernel| kernel.seconds).sum();
    if result.kernels.is_empty() || all <= 0.0 {
        return Ok(());
    }
    writeln!(out, "{:<40} {:>4}  {:>10}  {:>5}  {:>8}", format!("kernels, {} columns", result.columns), "runs", "all", "share", "Gflop/s")?;
    for kernel in &result.kernels {
        let rate = kernel.gflops.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        let (time, share) = (seconds(kernel.seconds), share(Some(kernel.seconds / all)));
        writeln!(out, "{:<40} {:>4}  {time:>10}  {share:>5}  {rate:>8}", kernel.kernel, kernel.runs)?;
    }
    writeln!(out)
}

/// Characters of the longest bar.
const BAR: f64 = 20.0;

/// Cost against one extent, each with a bar in proportion.
fn sweep(out: &mut dyn Write, swept: Swept, results: &[BenchRecord]) -> io::Result<()> {
    let name = match swept {
        Swept::Samples => "samples",
        Swept::Width | Swept::Depth => "network",
        Swept::Columns => "columns",
    };
    let value = |result: &BenchRecord| match swept {
        Swept::Samples => count(result.samples),
        Swept::Width | Swept::Depth => result.shape.clone(),
        Swept::Columns => result.columns.to_string(),
    };
    let first = &results[0];
    let fixed = match swept {
        Swept::Samples => format!("{} {}, {} columns", first.shape, first.activation, first.columns),
        Swept::Width | Swept::Depth => format!("{}, {} samples, {} columns", first.activation, count(first.samples), first.columns),
        Swept::Columns => format!("{} {}, {} samples", first.shape, first.activation, count(first.samples)),
    };
    line(out, "cost against", &format!("{}: {fixed}", format!("{swept:?}").to_lowercase()))?;
    line(out, "backend", &backend(first))?;
    writeln!(out, "{name:<24}  {:>10}  {:>10}  {:>7}  {:>8}", "a product", "a sample", "change", "Gflop/s")?;
    let longest = results.iter().map(|result| result.median_seconds_per_hvp).fold(f64::MIN_POSITIVE, f64::max);
    let of_sample = |result: &BenchRecord| result.median_seconds_per_hvp / as_f64(result.samples);
    for (at, result) in results.iter().enumerate() {
        let median = result.median_seconds_per_hvp;
        let bar = bar(median / longest);
        // Of a network of another shape a sample costs something else anyway.
        let before = results[..at].last().filter(|_| matches!(swept, Swept::Samples | Swept::Columns));
        let change = before.map_or_else(String::new, |before| format!("{:+.0}%", 100.0 * (of_sample(result) / of_sample(before) - 1.0)));
        let (product, sample) = (seconds(median), seconds(of_sample(result)));
        writeln!(out, "{:<24}  {product:>10}  {sample:>10}  {change:>7}  {:>8.1}  {bar}", value(result), result.executed_gflops)?;
    }
    Ok(())
}

fn backend(result: &BenchRecord) -> String {
    let adapter = result.adapter.as_deref().map_or_else(String::new, |name| format!(", {name}"));
    format!("{} {}{adapter}", result.backend, result.precision)
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and the longest")]
fn bar(share: f64) -> String {
    "█".repeat((BAR * share).round().max(1.0) as usize)
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
