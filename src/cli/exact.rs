//! `hesper exact`: all eigenvalues of a small problem.

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use crate::backend::{self, BackendKind};
use crate::job::{ExactJob, ExactOptions, JobContext};
use crate::numeric::Precision;
use crate::report::table;

/// All eigenvalues of a small problem, from the whole matrix in float64
///
/// The matrix is n x n for n parameters; with --operator ggn it is N·C x N·C for N samples of C outputs where that is smaller. On the CPU.
#[derive(Args, Debug)]
pub(super) struct ExactArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(super) fn run(args: &ExactArgs) -> Result<Outcome> {
    let reporter = Reporter::new("exact", &args.report, args.folder.out.as_deref())?;
    let mut device = args.device.options()?;
    if device.kind == BackendKind::Gpu || device.precision == Some(Precision::F32) {
        bail!("hesper exact computes in f64: leave out --backend gpu and --precision f32");
    }
    if device.kind == BackendKind::Auto {
        device.kind = BackendKind::Cpu;
    }
    device.precision = Some(Precision::F64);
    let problem = Problem::load(&args.problem)?;
    let options = ExactOptions { memory_budget: args.device.memory_budget };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = ExactJob { context: &context, objective: &problem.objective, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let result = backend::run(&problem.objective, problem.curvature, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::exact(out, &result))?;
    Ok(Outcome::Done)
}
