//! `hesper landscape`: the loss along eigenvectors.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::values;
use super::vectors::load_vectors;
use crate::backend;
use crate::job::{JobContext, LandscapeJob, LandscapeOptions};
use crate::report::{chart, html, table};

/// The loss along eigenvectors, and how far its quadratic model holds
///
/// One forward pass for each point of a curve, N² of them for a plane of N points each way: on a GPU in single precision, whose error is
/// measured and told, elsewhere in double precision.
#[derive(Args, Debug)]
pub(super) struct LandscapeArgs {
    /// Eigenvectors of so many of the largest eigenvalues
    #[arg(long, value_name = "K", default_value_t = LandscapeOptions::default().top, help_heading = "Method")]
    top: usize,
    /// Eigenvectors of so many of the smallest
    #[arg(long, value_name = "K", default_value_t = LandscapeOptions::default().bottom, help_heading = "Method")]
    bottom: usize,
    /// Takes the vectors from a file in place of a search: .npz as `hesper eigs --vectors` writes it, or .npy, [n] or [k, n]
    #[arg(long, value_name = "FILE", help_heading = "Method")]
    vectors: Option<PathBuf>,
    /// Largest residual of the eigenvectors, relative to the largest magnitude [default: 1e-5 in f32, 1e-10 in f64]
    #[arg(long, value_name = "T", value_parser = values::positive, help_heading = "Method")]
    tol: Option<f64>,
    /// Distance from the point, both ways, along unit vectors [default: where the quadratic model doubles the loss]
    #[arg(long, value_name = "R", value_parser = values::positive, help_heading = "Method")]
    range: Option<f64>,
    /// Points of each curve; one more where it is even
    #[arg(long, value_name = "N", value_parser = values::count, default_value_t = LandscapeOptions::default().points, help_heading = "Method")]
    points: usize,
    /// The two directions of the plane, counted from 1: the largest, the smallest, the random one last [default: 1,2]
    #[arg(long, value_name = "I,J", value_parser = values::plane, help_heading = "Method")]
    plane: Option<[usize; 2]>,
    /// Points of the plane each way; 0 for no plane
    #[arg(long, value_name = "N", default_value_t = LandscapeOptions::default().plane_points, help_heading = "Method")]
    plane_points: usize,
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

pub(super) fn run(args: &LandscapeArgs) -> Result<Outcome> {
    let reporter = Reporter::new("landscape", &args.report, args.folder.out.as_deref())?
        .with_page("landscape.html", html::landscape)?
        .with_figure("landscape", chart::slice_of_largest)?;
    let device = args.device.options()?;
    let problem = Problem::load(&args.problem)?;
    let vectors = args.vectors.as_deref().map(|path| load_vectors(path, problem.objective.view().dim())).transpose()?;
    let options = LandscapeOptions {
        top: args.top,
        bottom: args.bottom,
        tol: args.tol,
        range: args.range,
        points: args.points,
        plane: args.plane,
        plane_points: args.plane_points,
        seed: args.seed.seed,
        memory_budget: args.device.memory_budget,
    };
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let vectors = vectors.map(|(_, vectors)| vectors);
    let job = LandscapeJob { context: &context, options: &options, objective: &problem.objective, vectors };
    if plan::instead((&args.device, &args.report), &problem, &device, &job)? {
        return Ok(Outcome::Done);
    }
    let result = backend::run(&problem.objective, problem.curvature, &device, job)?;
    drop(bar);
    reporter.finish(&result, |out| table::landscape(out, &result))?;
    Ok(Outcome::Done)
}
