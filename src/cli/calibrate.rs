//! `hesper calibrate`: whether the bars hold.

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, Named, ResumeArgs};
use super::values;
use crate::job::{CalibrateJob, CalibrateOptions, JobContext};
use crate::report::table;

/// How often each error bar holds, against the exact spectrum of a small network
///
/// Forms the Hessian of a network of up to 5,000 parameters, finds all its eigenvalues, and runs every estimator with one seed after
/// another.
#[derive(Args, Debug)]
pub(super) struct CalibrateArgs {
    /// Runs of each estimator
    #[arg(long, value_name = "S", value_parser = values::count, default_value_t = CalibrateOptions::default().seeds, help_heading = "Method")]
    seeds: usize,
    /// Products of each estimator of trace and diagonal
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = CalibrateOptions::default().trace_probes,
        help_heading = "Method")]
    trace_probes: usize,
    #[command(flatten)]
    lanczos: LanczosArgs,
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

pub(super) fn run(args: &CalibrateArgs) -> Result<Outcome> {
    let reporter = Reporter::new("calibrate", &args.report, args.folder.out.as_deref())?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = CalibrateOptions { seeds: args.seeds, sampling: args.lanczos.options(&args.device), trace_probes: args.trace_probes };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = CalibrateJob { context: &context, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let named = Named { command: "calibrate", options: &options, vectors: &[], job };
    let (result, state, _) = resume::run(&problem, device, (args.folder.out.as_deref(), &args.resume, &args.report), named)?;
    drop(bar);
    reporter.finish(&result, |out| table::calibrate(out, &result))?;
    resume::done(state);
    Ok(Outcome::Done)
}
