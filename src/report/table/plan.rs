//! What a job will take.

use std::io::{self, Write};

use super::parts::line;
use crate::curvature::Mode;
use crate::job::PlanReport;
use crate::numeric::human_bytes;
use crate::report::number::count;

/// Writes the table of `hesper plan`.
///
/// # Errors
/// Whatever the writer meets.
pub fn plan(out: &mut dyn Write, report: &PlanReport) -> io::Result<()> {
    let PlanReport { model, data, plan, .. } = report;
    line(out, "model", &format!("{}, {} parameters", model.summary, count(model.parameters)))?;
    line(out, "data", &format!("{}, {} samples", data.source, count(data.samples)))?;
    line(out, "backend", &format!("{} {}", report.backend, report.precision))?;
    let batch = count(plan.schedule.micro_batch);
    let how = match plan.schedule.mode {
        Mode::Cached => "cached for all samples".into(),
        Mode::Recomputed => format!("recomputed in micro-batches of {batch} samples"),
        Mode::Streamed => format!("recomputed in micro-batches of {batch} samples, data streamed"),
    };
    line(out, "linearization", &how)?;
    line(out, "columns", &count(plan.columns))?;
    writeln!(out)?;
    for class in &plan.classes {
        line(
            out,
            class.name,
            &format!("{:>14}  {:>10}", count(usize::try_from(class.bytes).unwrap_or(usize::MAX)), human_bytes(class.bytes)),
        )?;
    }
    let total = count(usize::try_from(plan.total).unwrap_or(usize::MAX));
    line(out, "total bytes", &format!("{total:>14}  {:>10} of {}", human_bytes(plan.total), human_bytes(plan.budget)))
}
