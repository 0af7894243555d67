//! `hesper spectrum`, the main job, and `hesper density`, a part of it.

use anyhow::Result;
use clap::Args;

use super::args::{DensityArgs, DeviceArgs, FolderArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::values;
use crate::backend;
use crate::curvature::Curvature;
use crate::estimate::Density;
use crate::job::{DensityJob, DensityJobOptions, JobContext, SpectrumJob, SpectrumOptions};
use crate::report::{csv, table};

/// The spectrum: extreme eigenvalues, trace, density, negative share, largest stable step
#[derive(Args, Debug)]
pub(super) struct SpectrumArgs {
    /// Largest eigenvalues to report
    #[arg(long, value_name = "K", default_value_t = SpectrumOptions::default().top, help_heading = "Method")]
    top: usize,
    /// Smallest eigenvalues to report
    #[arg(long, value_name = "K", default_value_t = SpectrumOptions::default().bottom, help_heading = "Method")]
    bottom: usize,
    /// Accuracy that is asked of the eigenvalues, relative to the largest magnitude; exit code 1 where it is not reached [default: none
    /// is asked; 1e-5 is marked]
    #[arg(long, value_name = "T", value_parser = values::positive, help_heading = "Method")]
    tol: Option<f64>,
    #[command(flatten)]
    lanczos: LanczosArgs,
    #[command(flatten)]
    density: DensityArgs,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(super) fn run(args: &SpectrumArgs) -> Result<Outcome> {
    let reporter = Reporter::new("spectrum", &args.report, args.folder.out.as_deref())?;
    let csv_file = reporter.file("density.csv")?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let defaults = SpectrumOptions::default();
    let options = SpectrumOptions {
        probes: args.lanczos.probes,
        steps: args.lanczos.steps,
        top: args.top,
        bottom: args.bottom,
        seed: args.lanczos.seed.seed,
        reorthogonalization: args.lanczos.reorthogonalize,
        tol: args.tol.unwrap_or(defaults.tol),
        density: args.density.options(),
        memory_budget: args.device.memory_budget,
        columns: args.lanczos.columns,
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(Curvature::Hessian), &bar);
    let job = SpectrumJob { context: &context, options: &options };
    let result = backend::run(&problem.objective, Curvature::Hessian, &device, job)?;
    drop(bar);
    if let Some(file) = csv_file {
        file.write(|file| csv::write(file, &columns(&result.density)))?;
    }
    reporter.finish(&result, |out| table::spectrum(out, &result))?;
    Ok(Outcome::of(args.tol.is_none() || result.eigenvalues.unconverged() == 0))
}

/// The density of eigenvalues alone
#[derive(Args, Debug)]
pub(super) struct DensityCommandArgs {
    #[command(flatten)]
    lanczos: LanczosArgs,
    #[command(flatten)]
    density: DensityArgs,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(super) fn run_density(args: &DensityCommandArgs) -> Result<Outcome> {
    let reporter = Reporter::new("density", &args.report, args.folder.out.as_deref())?;
    let csv_file = reporter.file("density.csv")?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = DensityJobOptions {
        probes: args.lanczos.probes,
        steps: args.lanczos.steps,
        seed: args.lanczos.seed.seed,
        reorthogonalization: args.lanczos.reorthogonalize,
        density: args.density.options(),
        memory_budget: args.device.memory_budget,
        columns: args.lanczos.columns,
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(Curvature::Hessian), &bar);
    let result = backend::run(&problem.objective, Curvature::Hessian, &device, DensityJob { context: &context, options: &options })?;
    drop(bar);
    if let Some(file) = csv_file {
        file.write(|file| csv::write(file, &columns(&result.density)))?;
    }
    reporter.finish(&result, |out| table::density(out, &result))?;
    Ok(Outcome::Done)
}

/// The curve with all that bounds it.
fn columns(density: &Density) -> Vec<csv::Column<'_>> {
    let mut columns: Vec<csv::Column<'_>> = vec![("grid", &density.grid), ("density", &density.density)];
    columns.extend(density.std_error.as_deref().map(|error| ("std_error", error)));
    columns.extend([("cdf_lower", density.cdf_lower.as_slice()), ("cdf_upper", density.cdf_upper.as_slice())]);
    columns
}
