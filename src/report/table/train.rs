//! What became of a network that was trained.

use std::io::{self, Write};

use super::{parts, track_trends};
use crate::job::{Edge, TrainReport};
use crate::report::number::{count, plain, seconds};

/// Writes the summary of `hesper train`; looks at the spectrum have been written as they came.
///
/// # Errors
/// Whatever the writer meets.
pub fn train(out: &mut dyn Write, report: &TrainReport) -> io::Result<()> {
    if !report.track.is_empty() {
        writeln!(out)?;
    }
    parts::line(out, "model", &format!("{}, {} parameters", report.model.summary, count(report.model.parameters)))?;
    parts::line(out, "data", &format!("{}, {} samples", report.data.source, count(report.data.samples)))?;
    let batch = report.options.batch_size.map_or_else(|| "full batch".to_owned(), |size| format!("batches of {}", count(size)));
    parts::line(
        out,
        "training",
        &format!("{} steps of {}, lr {}, {batch}", report.steps, report.options.optimizer, report.options.learning_rate),
    )?;
    if let (Some(first), Some(last)) = (report.history.first(), report.history.last()) {
        parts::line(out, "loss", &format!("{} to {}", plain(first.loss), plain(last.loss)))?;
    }
    if let Some(threshold) = report.stability_threshold {
        parts::line(out, "edge of stability", &format!("largest eigenvalue {}{}", plain(threshold), since(report)))?;
    }
    track_trends(out, &report.trends)?;
    parts::line(out, "took", &seconds(report.seconds))?;
    parts::warnings(out, &report.warnings)
}

/// Where the largest eigenvalue came to the edge, and what it did there.
fn since(report: &TrainReport) -> String {
    let Some(Edge { reached: Some(at), lowest: Some(lowest), highest: Some(highest), mean: Some(mean), within_tenth: Some(share), .. }) =
        report.edge
    else {
        return String::new();
    };
    let step = report.track.get(at).and_then(|point| point.step).unwrap_or(0);
    let percent = 100.0 * share;
    format!(
        "; reached at step {step}, since then {mean:.3} times that in the mean ({lowest:.3} to {highest:.3}), {percent:.0}% of the looks \
         within a tenth of it"
    )
}
