//! `hesper hierarchy`: class and cross-class structure.

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, Operator, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::values;
use crate::backend;
use crate::curvature::Curvature;
use crate::job::{HierarchyJob, HierarchyOptions, JobContext};
use crate::report::table;

/// The outliers of the Gauss-Newton matrix, beside those that the classes' mean gradients predict
///
/// For cross-entropy (Papyan 2020). The mean gradients are exact, in float64, on the CPU; the eigenvalues are found by the backend.
#[derive(Args, Debug)]
pub(super) struct HierarchyArgs {
    /// Outliers to set side by side [default: as many as there are classes]
    #[arg(long, value_name = "K", value_parser = values::count, help_heading = "Method")]
    top: Option<usize>,
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

pub(super) fn run(args: &HierarchyArgs) -> Result<Outcome> {
    let reporter = Reporter::new("hierarchy", &args.report, args.folder.out.as_deref())?;
    if !matches!(args.problem.operator, Operator::Hessian | Operator::Ggn) {
        bail!("the hierarchy is one of the Gauss-Newton matrix: leave out --operator");
    }
    let device = args.device.options()?;
    let mut problem = Problem::load(&args.problem)?;
    problem.curvature = Curvature::Ggn;
    let options = HierarchyOptions { top: args.top, seed: args.seed.seed, memory_budget: args.device.memory_budget };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = HierarchyJob { context: &context, objective: &problem.objective, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let result = backend::run(&problem.objective, problem.curvature, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::hierarchy(out, &result))?;
    Ok(Outcome::of(result.accuracy_reached))
}
