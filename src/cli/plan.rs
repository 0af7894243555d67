//! `hesper plan`: what the main job will take, before it runs.

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::reporter::Reporter;
use crate::job;
use crate::report::table;

/// Exact bytes of a spectrum or density job and how it fits into memory, before anything runs
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    lanczos: LanczosArgs,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn run(args: &PlanArgs) -> Result<Outcome> {
    let reporter = Reporter::new("plan", &args.report, None)?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let workload = args.lanczos.options(&args.device).workload(problem.objective.view().dim());
    let result = job::plan(&problem.objective, problem.subject(), &device, workload)?;
    reporter.finish(&result, |out| table::plan(out, &result))?;
    Ok(Outcome::Done)
}
