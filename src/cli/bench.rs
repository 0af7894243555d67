//! `hesper bench`: how fast this machine makes products.

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, Operator, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::sweep::{self, Case};
use super::synthetic::Synthetic;
use super::values::{self, Shape};
use crate::backend::{self, BackendKind, OperatorJob, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error;
use crate::job::{self, BenchOptions, BenchRecord, BenchReport, JobContext};
use crate::model::{Activation, Loss};
use crate::report::{html, table};

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
    /// Backends to compare on the same problem, as a comma list such as cpu,gpu
    #[arg(
        long,
        value_name = "BACKENDS",
        value_delimiter = ',',
        conflicts_with_all = ["backend", "precision", "adapter"],
        help_heading = "Method"
    )]
    compare: Vec<BackendKind>,
    /// Varies samples, width, depth and columns of a synthetic network, one at a time, the last of --columns being where it starts
    #[arg(long, conflicts_with_all = ["model", "data", "x"], help_heading = "Method")]
    sweep: bool,
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
    let reporter = Reporter::new("bench", &args.report, args.folder.out.as_deref())?.with_page("bench.html", html::bench)?;
    let mut device = args.device.options()?;
    let bar = Bar::new(&args.report);
    let (mut results, mut warnings) = (Vec::new(), Vec::new());
    let backends = if args.compare.is_empty() { vec![device.kind] } else { args.compare.clone() };
    for kind in backends {
        device.kind = kind;
        for case in cases(args)? {
            let context = JobContext::new(case.problem.subject(), &bar);
            let job = Timing { context: &context, case: &case, runs: args.runs, memory_budget: device.memory_budget };
            if plan::instead((&args.device, &args.report), &case.problem, &device, &job)? {
                continue;
            }
            let (records, said) = backend::run(&case.problem.objective, case.problem.curvature, &device, job)?;
            results.extend(records);
            warnings.extend(said);
        }
    }
    if args.device.plan {
        return Ok(Outcome::Done);
    }
    let result = BenchReport::new(results, warnings);
    drop(bar);
    reporter.finish(&result, |out| table::bench(out, &result))?;
    Ok(Outcome::Done)
}

/// What is timed on one backend.
fn cases(args: &BenchArgs) -> Result<Vec<Case>> {
    let problem = &args.problem;
    if problem.model.is_some() || problem.has_data() {
        return Ok(vec![Case { problem: Problem::load(problem)?, columns: args.columns.clone(), swept: None }]);
    }
    let synthetic = synthetic(args)?;
    if args.sweep {
        return sweep::cases(&synthetic, args.columns.last().copied().unwrap_or(1));
    }
    Ok(vec![Case { problem: synthetic.problem()?, columns: args.columns.clone(), swept: None }])
}

fn synthetic(args: &BenchArgs) -> Result<Synthetic> {
    let problem = &args.problem;
    if problem.target.is_some() || problem.x_scale.is_some() || problem.class.is_some() || problem.loss.sample_weights.is_some() {
        bail!("--target, --class, --x-scale and --sample-weights describe data of your own: give --model and --data as well");
    }
    if !problem.params.is_empty() || problem.operator == Operator::Adam || problem.adam.second_moments.is_some() {
        bail!("--params and Adam's preconditioner are of a network of your own: give --model and --data as well");
    }
    Ok(Synthetic {
        widths: args.shape.as_ref().map_or_else(|| SHAPE.to_vec(), |shape| shape.0.clone()),
        activations: problem.activation.as_ref().map_or_else(|| vec![Activation::Relu], |list| list.0.clone()),
        output_activation: problem.output_activation.unwrap_or(Activation::Identity),
        criterion: problem.loss.criterion(problem.loss.kind.unwrap_or(Loss::CrossEntropy))?,
        weight_decay: problem.loss.weight_decay(),
        samples: problem.samples.unwrap_or(SAMPLES),
        curvature: problem.curvature(),
    })
}

/// A case on one operator, with each number of columns: what the operator keeps is computed once.
struct Timing<'a> {
    context: &'a JobContext<'a>,
    case: &'a Case,
    runs: usize,
    memory_budget: Option<u64>,
}

impl OperatorJob for Timing<'_> {
    type Output = (Vec<BenchRecord>, Vec<String>);

    fn workload(&self, _dim: usize) -> Workload {
        job::bench_workload(self.case.columns.iter().copied().max().unwrap_or(1))
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> error::Result<Self::Output> {
        let peaks = operator.peaks()?;
        let (mut records, mut warnings) = (Vec::new(), [operator.warnings(), self.context.subject.notices.clone()].concat());
        for &columns in &self.case.columns {
            let (columns, fewer) = job::bench_columns(operator, self.memory_budget, columns);
            warnings.extend(fewer);
            let options = BenchOptions { columns, runs: self.runs, peaks: peaks.clone(), ..BenchOptions::default() };
            records.push(BenchRecord { swept: self.case.swept, ..job::bench(operator, self.context, &options)? });
        }
        Ok((records, warnings))
    }
}
