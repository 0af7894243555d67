//! `hesper hvp`: exact products with the user's own vectors.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::output::OutputFile;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::vectors::{load_vectors, write_npy};
use crate::backend;
use crate::job::{HvpJob, HvpOptions, JobContext};
use crate::report::table;

/// Exact products of the Hessian with given vectors
///
/// Parameters are in the order of torch's parameters_to_vector: layer by layer, weight row by row, then bias. The result has the
/// shape of the input and the precision of the backend.
#[derive(Args, Debug)]
pub(super) struct HvpArgs {
    /// Vectors: .npy, [n] or [k, n]
    #[arg(long, value_name = "FILE")]
    vector: PathBuf,
    /// Where the products go: .npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn run(args: &HvpArgs) -> Result<Outcome> {
    let reporter = Reporter::new("hvp", &args.report, None)?;
    let out = OutputFile::new(&args.out)?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let (shape, vectors) = load_vectors(&args.vector, problem.objective.view().dim())?;
    let options = HvpOptions { memory_budget: args.device.memory_budget, ..HvpOptions::default() };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = HvpJob { context: &context, options: &options, vectors: &vectors };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let result = backend::run(&problem.objective, problem.curvature, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::hvp(out, &result))?;
    out.write(|file| write_npy(file, &shape, &result.products, result.header.backend.precision))?;
    Ok(Outcome::Done)
}
