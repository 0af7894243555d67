//! Slices of the loss.

use std::io::{self, Write};

use super::parts;
use crate::job::{LandscapeReport, Slice};
use crate::report::number::{count, magnitude, plain};

/// Writes the table of `hesper landscape`.
///
/// # Errors
/// Whatever the writer meets.
pub fn landscape(out: &mut dyn Write, report: &LandscapeReport) -> io::Result<()> {
    parts::header(out, &report.header)?;
    writeln!(
        out,
        "{:<14}{:>12}{:>12}{:>10}{:>12}{:>12}  model holds",
        "direction", "curvature", "slope", "range", "loss at -", "loss at +"
    )?;
    for Slice { name, curvature, slope, t, loss, holds, .. } in &report.slices {
        let ends = |values: &[f64]| [values.first(), values.last()].map(|value| value.copied().unwrap_or(f64::NAN));
        let ([_, range], [left, right]) = (ends(t), ends(loss));
        let cells = [short(*curvature), short(*slope), magnitude(range), short(left), short(right)];
        let [curvature, slope, range, left, right] = cells;
        let holds = if holds[0] == t[0] && holds[1] == range_end(t) { "all along".to_owned() } else { between(*holds) };
        writeln!(out, "{name:<14}{curvature:>12}{slope:>12}{range:>10}{left:>12}{right:>12}  {holds}")?;
    }
    writeln!(out)?;
    if let Some(plane) = &report.plane {
        let [first, second] = plane.directions.map(|direction| report.slices[direction - 1].name.as_str());
        parts::line(out, "plane", &format!("{first} and {second}, {} by {} points", plane.a.len(), plane.b.len()))?;
    }
    let precision = match report.loss_error {
        Some(error) => format!("single precision, within {error:.1e} of double"),
        None => "double precision".into(),
    };
    parts::line(out, "losses", &format!("{} in {precision}", count(report.evaluations)))?;
    parts::stats(out, &report.stats)?;
    parts::warnings(out, &report.warnings)
}

fn range_end(t: &[f64]) -> f64 {
    t.last().copied().unwrap_or(f64::NAN)
}

fn between([low, high]: [f64; 2]) -> String {
    format!("{} to {}", signed(low), signed(high))
}

fn signed(value: f64) -> String {
    if value < 0.0 { format!("-{}", magnitude(-value)) } else { magnitude(value) }
}

/// Few enough digits for a column.
fn short(value: f64) -> String {
    let text = plain(value);
    if text.len() <= 10 { text } else { format!("{value:.3e}") }
}
