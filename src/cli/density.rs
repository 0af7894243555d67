//! `hesper density`: a part of the main job.

use anyhow::Result;
use clap::Args;

use super::args::{DensityArgs, DeviceArgs, FolderArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, Named, ResumeArgs};
use crate::estimate::Density;
use crate::job::{DensityJob, DensityJobOptions, JobContext};
use crate::report::{chart, csv, html, table};

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
    #[command(flatten)]
    resume: ResumeArgs,
}

pub(super) fn run(args: &DensityCommandArgs) -> Result<Outcome> {
    let reporter = Reporter::new("density", &args.report, args.folder.out.as_deref())?
        .with_page("density.html", html::density)?
        .with_figure("density", chart::density)?;
    let csv_file = reporter.file("density.csv")?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = DensityJobOptions { sampling: args.lanczos.options(&args.device), density: args.density.options() };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = DensityJob { context: &context, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let named = Named { command: "density", options: &options, vectors: &[], job };
    let (result, state, _) = resume::run(&problem, device, (args.folder.out.as_deref(), &args.resume, &args.report), named)?;
    drop(bar);
    reporter.finish(&result, |out| table::density(out, &result))?;
    if let Some(file) = csv_file {
        file.write(|file| csv::write(file, &columns(&result.density)))?;
    }
    resume::done(state);
    Ok(Outcome::Done)
}

/// The curve with all that bounds it.
pub(super) fn columns(density: &Density) -> Vec<csv::Column<'_>> {
    let mut columns: Vec<csv::Column<'_>> = vec![("grid", &density.grid), ("density", &density.density)];
    columns.extend(density.std_error.as_deref().map(|error| ("std_error", error)));
    columns.extend([("cdf_lower", density.cdf_lower.as_slice()), ("cdf_upper", density.cdf_upper.as_slice())]);
    columns
}
