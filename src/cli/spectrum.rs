//! `hesper spectrum`: the main job.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::args::{DensityArgs, DeviceArgs, FolderArgs, LanczosArgs, ProblemArgs, ReportArgs};
use super::density::columns;
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, Named, ResumeArgs};
use super::values;
use super::vectors::write_eigenvectors;
use crate::backend::Backend;
use crate::job::{self, BatchOptions, Grouping, JobContext, SpectrumJob, SpectrumOptions};
use crate::report::{chart, csv, html, table};

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
    /// Counts the eigenvalues above X, between what is certain and what is possible; may be given several times
    #[arg(long, value_name = "X", value_parser = values::finite, allow_negative_numbers = true, help_heading = "Method")]
    above: Vec<f64>,
    /// γ of log det(A + γI) and the effective dimension; for operators that are positive semidefinite, such as ggn
    #[arg(long, value_name = "G", value_parser = values::positive, help_heading = "Method")]
    damping: Option<f64>,
    /// Also examines random mini-batches of B samples each
    #[arg(long, value_name = "B", value_parser = values::count, help_heading = "Method")]
    batch_size: Option<usize>,
    /// How many mini-batches
    #[arg(long, value_name = "M", value_parser = values::count, default_value_t = 10, requires = "batch_size", help_heading = "Method")]
    batches: usize,
    /// Of the samples drawn for the mini-batches
    #[arg(long, value_name = "S", default_value_t = 0, requires = "batch_size", help_heading = "Method")]
    batch_seed: u64,
    /// Writes values [k] and unit vectors [k, n] of the eigenpairs that are found first (--deflate) to a .npz file: the positive ones
    /// descending, then the negative ones ascending [default with --out: eigenvectors.npz in that folder]
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "Output")]
    vectors: Option<Option<PathBuf>>,
    #[command(flatten)]
    lanczos: LanczosArgs,
    #[command(flatten)]
    density: DensityArgs,
    /// Also examines each diagonal block by itself: tensor for one a tensor, layer for one a layer
    #[arg(
        long,
        value_name = "GROUPING",
        value_parser = values::grouping,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "tensor",
        conflicts_with = "resume",
        help_heading = "Method"
    )]
    per_layer: Option<Grouping>,
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

pub(super) fn run(args: &SpectrumArgs) -> Result<Outcome> {
    let reporter = Reporter::new("spectrum", &args.report, args.folder.out.as_deref())?
        .with_page("report.html", html::spectrum)?
        .with_figure("density", chart::density)?;
    let csv_file = reporter.file("density.csv")?;
    let vectors_file = reporter.vectors_file(args.vectors.as_ref())?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let options = SpectrumOptions {
        sampling: args.lanczos.options(&args.device),
        top: args.top,
        bottom: args.bottom,
        tol: args.tol.unwrap_or(SpectrumOptions::default().tol),
        density: args.density.options(),
        above: args.above.clone(),
        damping: args.damping,
        vectors: vectors_file.is_some(),
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = SpectrumJob { context: &context, options: &options };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let (mut result, state, backend) = match args.per_layer {
        None => {
            let named = Named { command: "spectrum", options: &options, vectors: &[], job };
            resume::run(&problem, device, (args.folder.out.as_deref(), &args.resume, &args.report), named)?
        }
        Some(grouping) => {
            let backend = Backend::open(&device)?;
            (job::spectrum_with_blocks(&problem.objective, &backend, &context, &options, grouping)?, None, backend)
        }
    };
    if let Some(size) = args.batch_size {
        let batches = BatchOptions { size, count: args.batches, seed: args.batch_seed };
        job::add_batches(&mut result, &problem.objective, &backend, &context, &options, batches)?;
    }
    drop(bar);
    reporter.finish(&result, |out| table::spectrum(out, &result))?;
    if let Some(file) = csv_file {
        file.write(|file| csv::write(file, &columns(&result.density)))?;
    }
    if let (Some(file), Some(eigenvectors)) = (vectors_file, &result.vectors) {
        write_eigenvectors(&file, eigenvectors, result.header.backend.precision)?;
    }
    resume::done(state);
    Ok(Outcome::of(args.tol.is_none() || result.eigenvalues.unconverged() == 0))
}
