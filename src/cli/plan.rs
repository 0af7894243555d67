//! `hesper plan` and `--plan`: what a job will take, before it runs.

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::reporter::Reporter;
use crate::backend::{BackendOptions, OperatorJob};
use crate::curvature::Workload;
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
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let workload = args.lanczos.options(&args.device).workload(problem.objective.view().dim());
    show(&args.report, &problem, &device, workload)?;
    Ok(Outcome::Done)
}

/// With `--plan` prints what `job` will take, and says that this was all that is wanted.
pub(super) fn instead<J: OperatorJob>(
    (args, report): (&DeviceArgs, &ReportArgs),
    problem: &Problem,
    device: &BackendOptions,
    job: &J,
) -> Result<bool> {
    if args.plan {
        show(report, problem, device, job.workload(problem.objective.view().dim()))?;
    }
    Ok(args.plan)
}

fn show(report: &ReportArgs, problem: &Problem, device: &BackendOptions, workload: Workload) -> Result<()> {
    let reporter = Reporter::new("plan", report, None)?;
    let result = job::plan(&problem.objective, problem.subject(), device, workload)?;
    reporter.finish(&result, |out| table::plan(out, &result))
}
