//! `hesper trace`: the trace alone, and the diagonal.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::output::OutputFile;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, Named, ResumeArgs};
use super::values;
use super::vectors::{NamedArray, write_npz};
use crate::estimate::{CONFIDENCE, DiagonalEstimate, DiagonalMethod, Probe, TraceMethod};
use crate::job::{JobContext, TraceJob, TraceOptions};
use crate::numeric::Precision;
use crate::report::{html, table};

/// The trace, to the accuracy asked for, and the diagonal
///
/// Exit code 1 where --rtol is not reached with --max-probes.
#[derive(Args, Debug)]
pub(super) struct TraceArgs {
    /// hutchinson: one product a probe; hutch++ (three) and xtrace (two) find the large eigenvalues first; xnystrace (one) does so for
    /// positive semidefinite operators
    #[arg(long, value_name = "NAME", value_parser = values::trace_method, default_value = "hutchinson", help_heading = "Method")]
    method: TraceMethod,
    /// Hutchinson's probes: rademacher, gaussian or sphere
    #[arg(long, value_name = "NAME", value_parser = values::probe, default_value = "rademacher", help_heading = "Method")]
    distribution: Probe,
    /// Random probes; with --rtol those before the first look, at least 8
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = TraceOptions::default().probes, help_heading = "Method")]
    probes: usize,
    /// Adds probes until half the width of the interval is at most R times the trace
    #[arg(long, value_name = "R", value_parser = values::positive, help_heading = "Method")]
    rtol: Option<f64>,
    /// The most probes with --rtol
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = TraceOptions::default().max_probes, help_heading = "Method")]
    max_probes: usize,
    /// Level of that interval, whatever the number of looks
    #[arg(long, value_name = "C", value_parser = values::confidence, default_value_t = CONFIDENCE, help_heading = "Method")]
    confidence: f64,
    /// How --diagonal is estimated: hutchinson, or xdiag with two products a probe
    #[arg(long, value_name = "NAME", value_parser = values::diagonal_method, default_value = "xdiag", requires = "diagonal",
        help_heading = "Method")]
    diagonal_method: DiagonalMethod,
    /// Estimates the diagonal as well, from --probes probes, and writes mean [n] and std_error [n] to a .npz file
    #[arg(long, value_name = "FILE", help_heading = "Method")]
    diagonal: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    resume: ResumeArgs,
}

pub(super) fn run(args: &TraceArgs) -> Result<Outcome> {
    let reporter = Reporter::new("trace", &args.report, args.folder.out.as_deref())?.with_page("trace.html", html::trace)?;
    let diagonal_file = args.diagonal.as_deref().map(OutputFile::new).transpose()?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = TraceOptions {
        method: args.method,
        distribution: args.distribution,
        probes: args.probes,
        rtol: args.rtol,
        confidence: args.confidence,
        max_probes: args.max_probes,
        diagonal: diagonal_file.is_some().then_some(args.diagonal_method),
        seed: args.seed.seed,
        memory_budget: args.device.memory_budget,
        ..TraceOptions::default()
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = TraceJob { context: &context, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let named = Named { command: "trace", options: &options, vectors: &[], job };
    let (result, state, _) = resume::run(&problem, device, (args.folder.out.as_deref(), &args.resume, &args.report), named)?;
    drop(bar);
    reporter.finish(&result, |out| table::trace(out, &result))?;
    if let (Some(file), Some(diagonal)) = (diagonal_file, &result.diagonal) {
        write_diagonal(&file, diagonal)?;
    }
    resume::done(state);
    Ok(Outcome::of(result.accuracy_reached))
}

fn write_diagonal(file: &OutputFile, diagonal: &DiagonalEstimate) -> Result<()> {
    let shape = [diagonal.mean.len() as u64];
    let array = |name, values| NamedArray { name, shape: &shape, values, precision: Precision::F64 };
    let mut arrays = vec![array("mean", &diagonal.mean)];
    arrays.extend(diagonal.std_error.as_deref().map(|error| array("std_error", error)));
    file.write(|file| write_npz(file, &arrays))
}
