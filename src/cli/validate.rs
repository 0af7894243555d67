//! `hesper validate`: this backend against the float64 reference.

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::values;
use crate::backend;
use crate::job::{JobContext, ValidateJob, ValidateOptions};
use crate::report::table;

/// Compares a backend with the float64 reference, on this model and data
///
/// The reference is made for reading, not for speed: take --samples of large data. Exit code 1 where a check fails.
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    /// Products to compare, at least two
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = ValidateOptions::default().probes, help_heading = "Method")]
    probes: usize,
    /// Lanczos steps to compare
    #[arg(long, value_name = "M", value_parser = values::count, default_value_t = ValidateOptions::default().steps, help_heading = "Method")]
    steps: usize,
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

pub(super) fn run(args: &ValidateArgs) -> Result<Outcome> {
    let reporter = Reporter::new("validate", &args.report, args.folder.out.as_deref())?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = ValidateOptions { probes: args.probes, steps: args.steps, seed: args.seed.seed, ..ValidateOptions::default() };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = ValidateJob { context: &context, options: &options, objective: &problem.objective, curvature: problem.curvature };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let result = backend::run(&problem.objective, problem.curvature, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::validate(out, &result))?;
    Ok(Outcome::of(result.passed))
}
