//! A spectrum over training: a line for each checkpoint as it comes, and how the numbers moved.

use std::io::{self, Write};

use crate::estimate::Trend;
use crate::job::{Extreme, TrackPoint, Trends};
use crate::report::number::{magnitude, plain, with_bar};

/// What heads the lines of [`track_point`]; with a learning rate the last column is η·λmax/2, 1 at the edge of stability.
///
/// # Errors
/// Whatever the writer meets; so for the others.
pub fn track_head(out: &mut dyn Write, learning_rate: Option<f64>) -> io::Result<()> {
    let edge = learning_rate.map_or("", |_| "lr*max/2");
    writeln!(
        out,
        "{}",
        format!(
            "{:>8} {:<11} {:<10} {:<21} {:<22} {:<17} {:<9} {edge}",
            "step", "loss", "gradient", "largest", "smallest", "trace", "negative"
        )
        .trim_end()
    )
}

/// The line of one checkpoint.
///
/// # Errors
/// As [`track_head`].
pub fn track_point(out: &mut dyn Write, point: &TrackPoint, learning_rate: Option<f64>) -> io::Result<()> {
    let step = point.step.map_or_else(|| "-".to_owned(), |step| step.to_string());
    let extreme = |values: &[Extreme]| values.first().map_or_else(String::new, |extreme| with_bar(extreme.value, extreme.residual));
    let largest = point.largest.first().map_or(f64::NAN, |extreme| extreme.value);
    let trace = with_bar(point.trace.mean, point.trace.std_error.unwrap_or(f64::NAN));
    let edge = learning_rate.map_or_else(String::new, |rate| format!("{:.3}", 0.5 * rate * largest));
    let text = format!(
        "{step:>8} {:<11} {:<10} {:<21} {:<22} {trace:<17} {:<9} {edge}",
        plain(point.loss),
        magnitude(point.gradient_norm),
        extreme(&point.largest),
        extreme(&point.smallest),
        format!("{:.1}%", 100.0 * point.negative_share.mean),
    );
    writeln!(out, "{}", text.trim_end())
}

/// The courses that differ from a single straight line, or rise or fall by more than bars and scatter.
///
/// # Errors
/// As [`track_head`].
pub fn track_trends(out: &mut dyn Write, trends: &Trends) -> io::Result<()> {
    let courses = [
        ("largest", &trends.largest),
        ("smallest", &trends.smallest),
        ("trace", &trends.trace),
        ("negative share", &trends.negative_share),
        ("loss", &trends.loss),
        ("gradient norm", &trends.gradient_norm),
    ];
    for (name, parts) in courses {
        if parts.iter().all(|part| !part.significant) {
            continue;
        }
        let part = |part: &Trend| {
            let how = match part.significant {
                true if part.slope > 0.0 => "rises",
                true => "falls",
                false => "is level",
            };
            format!("{how} {} to {} (steps {} to {})", plain(part.first), plain(part.last), part.from, part.to)
        };
        super::parts::line(out, name, &parts.iter().map(part).collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}
