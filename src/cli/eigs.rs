//! `hesper eigs`: extreme eigenpairs to a tolerance.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, Named, ResumeArgs};
use super::values;
use super::vectors::{load_vectors, write_eigenvectors};
use crate::backend::Backend;
use crate::job::{self, EigsJob, EigsMethod, EigsOptions, Grouping, JobContext};
use crate::krylov::TolOf;
use crate::report::{html, table};

/// Extreme eigenvalues to a tolerance, with eigenvectors if asked for
///
/// Each pair is measured by one more product, but for --tol-of value. Exit code 1 where not all reach the tolerance within the products.
#[derive(Args, Debug)]
pub(super) struct EigsArgs {
    /// How many of the largest
    #[arg(long, value_name = "K", default_value_t = EigsOptions::default().top, help_heading = "Method")]
    top: usize,
    /// How many of the smallest
    #[arg(long, value_name = "K", default_value_t = EigsOptions::default().bottom, help_heading = "Method")]
    bottom: usize,
    /// So many of largest magnitude in place of both ends
    #[arg(long, value_name = "K", conflicts_with_all = ["top", "bottom"], help_heading = "Method")]
    largest_magnitude: Option<usize>,
    /// thick-restart (Lanczos), or power (iteration, for --largest-magnitude)
    #[arg(long, value_name = "NAME", value_parser = values::eigs_method, default_value = "thick-restart", help_heading = "Method")]
    method: EigsMethod,
    /// Columns of a product: members of a multiple eigenvalue that are found at once
    #[arg(long, value_name = "B", value_parser = values::count, default_value_t = 1, help_heading = "Method")]
    block: usize,
    /// Vectors of the Krylov space, compressed when it is full [default: 1000, or what the memory holds]
    #[arg(long, value_name = "M", value_parser = values::count, help_heading = "Method")]
    basis: Option<usize>,
    /// Starts from vectors of an earlier run: .npz as --vectors writes it, or .npy, [n] or [k, n]
    #[arg(long, value_name = "FILE", help_heading = "Method")]
    start: Option<PathBuf>,
    /// Largest residual or error, relative to the largest magnitude [default: 1e-5 in f32, 1e-10 in f64]
    #[arg(long, value_name = "T", value_parser = values::positive, help_heading = "Method")]
    tol: Option<f64>,
    /// What the tolerance is of: residual, which bounds the values and the vectors, or value, the estimated error of the values alone,
    /// which takes fewer products
    #[arg(long, value_name = "WHAT", value_parser = values::tol_of, default_value = "residual", help_heading = "Method")]
    tol_of: TolOf,
    /// Does not look for eigenvalues that were passed over, such as further members of a multiple one
    #[arg(long, help_heading = "Method")]
    no_confirmation: bool,
    /// The most products of the iteration [default: 5000]
    #[arg(long, value_name = "M", value_parser = values::count, help_heading = "Method")]
    max_steps: Option<usize>,
    /// Writes values [k] and unit vectors [k, n] to a .npz file: the largest descending, then the smallest ascending [default with
    /// --out: eigenvectors.npz in that folder]
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "Output")]
    vectors: Option<Option<PathBuf>>,
    #[command(flatten)]
    seed: SeedArgs,
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

pub(super) fn run(args: &EigsArgs) -> Result<Outcome> {
    let reporter = Reporter::new("eigs", &args.report, args.folder.out.as_deref())?.with_page("eigs.html", html::eigs)?;
    let vectors_file = reporter.vectors_file(args.vectors.as_ref())?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let start = args.start.as_deref().map(|path| load_vectors(path, problem.objective.view().dim())).transpose()?;
    let start = start.map_or_else(Vec::new, |(_, vectors)| vectors);
    let ends = |count| if args.largest_magnitude.is_some() { 0 } else { count };
    let options = EigsOptions {
        top: ends(args.top),
        bottom: ends(args.bottom),
        largest_magnitude: args.largest_magnitude,
        method: args.method,
        block: args.block,
        basis: args.basis,
        tol: args.tol,
        tol_of: args.tol_of,
        confirm: !args.no_confirmation,
        max_steps: args.max_steps,
        seed: args.seed.seed,
        vectors: vectors_file.is_some(),
        memory_budget: args.device.memory_budget,
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let job = EigsJob { context: &context, options: &options, start: &start };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let (result, state, _) = match args.per_layer {
        None => {
            let named = Named { command: "eigs", options: &options, vectors: &start, job };
            resume::run(&problem, device, (args.folder.out.as_deref(), &args.resume, &args.report), named)?
        }
        Some(grouping) => {
            let backend = Backend::open(&device)?;
            (job::eigs_with_blocks(&problem.objective, &backend, &context, (&options, &start), grouping)?, None, backend)
        }
    };
    drop(bar);
    reporter.finish(&result, |out| table::eigs(out, &result))?;
    if let (Some(file), Some(eigenvectors)) = (vectors_file, &result.vectors) {
        write_eigenvectors(&file, eigenvectors, result.header.backend.precision)?;
    }
    resume::done(state);
    Ok(Outcome::of(result.accuracy_reached))
}
