//! `hesper bench`: how fast this machine makes products.

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::synthetic::Synthetic;
use super::values::{self, Shape};
use crate::backend::{self, OperatorJob, SpotCheck};
use crate::curvature::{Curvature, CurvatureOperator, Workload};
use crate::error;
use crate::job::{self, BenchOptions, BenchRecord, BenchReport, JobContext};
use crate::model::{Activation, Loss};
use crate::report::table;

/// Throughput of Hessian-vector products, on a synthetic network or on your own
///
/// Nominal work of one product is 12·N·Σ in·out operations for every program, so that nominal figures compare times; executed work
/// is what the matrix products of this program really do.
#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// Widths of a synthetic network, input first [default: 784-512-512-10]
    #[arg(long, value_name = "WIDTHS", value_parser = values::shape, conflicts_with_all = ["model", "data", "x"], help_heading = "Method")]
    shape: Option<Shape>,
    /// Vectors multiplied at once; a comma list gives one result each
    #[arg(long, value_name = "B", value_delimiter = ',', value_parser = values::count, default_value = "1,8", help_heading = "Method")]
    columns: Vec<usize>,
    /// Timed products of each
    #[arg(long, value_name = "R", value_parser = values::count, default_value_t = BenchOptions::default().runs, help_heading = "Method")]
    runs: usize,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// A hidden layer's fair share of MNIST-sized work.
const SHAPE: [usize; 4] = [784, 512, 512, 10];

/// Samples of a synthetic data set where no number is given.
const SAMPLES: usize = 2048;

pub(super) fn run(args: &BenchArgs) -> Result<Outcome> {
    let reporter = Reporter::new("bench", &args.report, args.folder.out.as_deref())?;
    let device = args.device.options()?;
    let problem = problem(args)?;
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(Curvature::Hessian), &bar);
    let cases = Cases { context: &context, columns: &args.columns, runs: args.runs };
    let result = BenchReport::new(backend::run(&problem.objective, Curvature::Hessian, &device, cases)?);
    drop(bar);
    reporter.finish(&result, |out| table::bench(out, &result))?;
    Ok(Outcome::Done)
}

/// The user's own problem where files are named, else a synthetic one.
fn problem(args: &BenchArgs) -> Result<Problem> {
    let problem = &args.problem;
    if problem.model.is_some() || problem.data.is_some() || problem.x.is_some() {
        return Problem::load(problem);
    }
    if problem.target.is_some() || problem.x_scale.is_some() {
        bail!("--target and --x-scale describe data of your own: give --model and --data as well");
    }
    let synthetic = Synthetic {
        widths: args.shape.as_ref().map_or_else(|| SHAPE.to_vec(), |shape| shape.0.clone()),
        activations: problem.activation.as_ref().map_or_else(|| vec![Activation::Relu], |list| list.0.clone()),
        output_activation: problem.output_activation.unwrap_or(Activation::Identity),
        loss: problem.loss.unwrap_or(Loss::CrossEntropy),
        weight_decay: problem.weight_decay,
        samples: problem.samples.unwrap_or(SAMPLES),
    };
    Ok(Problem { objective: synthetic.objective()?, source: "synthetic".into() })
}

/// All cases on one operator: what it keeps is computed once.
struct Cases<'a> {
    context: &'a JobContext<'a>,
    columns: &'a [usize],
    runs: usize,
}

impl OperatorJob for Cases<'_> {
    type Output = Vec<BenchRecord>;

    fn workload(&self, _dim: usize) -> Workload {
        job::bench_workload(self.columns.iter().copied().max().unwrap_or(1))
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> error::Result<Self::Output> {
        let peak_gflops = operator.peak_gflops()?;
        let case = |&columns: &usize| {
            let options = BenchOptions { columns, runs: self.runs, peak_gflops, ..BenchOptions::default() };
            job::bench(operator, self.context, &options)
        };
        self.columns.iter().map(case).collect()
    }
}
