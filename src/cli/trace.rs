//! `hesper trace`: the trace alone.

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::values;
use crate::backend;
use crate::curvature::Curvature;
use crate::job::{JobContext, TraceJob, TraceOptions};
use crate::report::table;

/// The trace, to the accuracy asked for
///
/// Exit code 1 where --rtol is not reached with --max-probes.
#[derive(Args, Debug)]
pub(super) struct TraceArgs {
    /// Random probes; with --rtol those before the first look
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = TraceOptions::default().probes, help_heading = "Method")]
    probes: usize,
    /// Adds probes until half the width of the 95% interval is at most R times the trace
    #[arg(long, value_name = "R", value_parser = values::positive, help_heading = "Method")]
    rtol: Option<f64>,
    /// The most probes with --rtol
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = TraceOptions::default().max_probes, help_heading = "Method")]
    max_probes: usize,
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
}

pub(super) fn run(args: &TraceArgs) -> Result<Outcome> {
    let reporter = Reporter::new("trace", &args.report, args.folder.out.as_deref())?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = TraceOptions {
        probes: args.probes,
        rtol: args.rtol,
        max_probes: args.max_probes,
        seed: args.seed.seed,
        memory_budget: args.device.memory_budget,
        ..TraceOptions::default()
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(Curvature::Hessian), &bar);
    let job = TraceJob { context: &context, options: &options };
    let result = backend::run(&problem.objective, Curvature::Hessian, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::trace(out, &result))?;
    Ok(Outcome::of(result.accuracy_reached))
}
