//! `hesper bench`: how fast this machine makes products.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::report::Reporter;
use super::synthetic::Synthetic;
use super::values::{self, Shape};
use crate::backend::{self, OperatorJob};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator, Objective};
use crate::error;
use crate::krylov::{Slot, VectorSpace as _};
use crate::model::{Activation, Loss};
use crate::report::{BenchReport, BenchResult};
use crate::rng::Distribution;

/// Throughput of Hessian-vector products, on a synthetic network or on your own
///
/// Nominal work of one product is 12·N·Σ in·out operations for every program, so nominal figures compare times; executed work is
/// what the matrix products of this program really do.
#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// Widths of a synthetic network, input first
    #[arg(long, value_name = "WIDTHS", value_parser = values::shape, default_value = "784-512-512-10", conflicts_with_all = ["model", "data", "x"])]
    shape: Shape,
    /// Vectors multiplied at once; a comma list gives one result each
    #[arg(long, value_name = "B", value_delimiter = ',', value_parser = values::count, default_value = "1,8")]
    columns: Vec<usize>,
    /// Timed products of each
    #[arg(long, value_name = "R", value_parser = values::count, default_value_t = 9)]
    runs: usize,
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Samples of a synthetic data set where no number is given.
const SAMPLES: usize = 2048;

pub(super) fn run(args: &BenchArgs) -> Result<Outcome> {
    let reporter = Reporter::new("hesper.bench/1", &args.report, None)?;
    let options = args.device.options()?;
    let objective = objective(args)?;
    let job = Timing { objective: &objective, columns: &args.columns, runs: args.runs };
    let result = BenchReport { results: backend::run(&objective, Curvature::Hessian, &options, job)? };
    reporter.finish(&result, |table| result.write_table(table))?;
    Ok(Outcome::Done)
}

fn objective(args: &BenchArgs) -> Result<Objective> {
    let problem = &args.problem;
    if problem.model.is_some() || problem.data.is_some() || problem.x.is_some() {
        return Ok(Problem::load(problem)?.objective);
    }
    if problem.target.is_some() || problem.x_scale.is_some() {
        bail!("--target and --x-scale describe data of your own: give --model and --data as well");
    }
    let synthetic = Synthetic {
        widths: args.shape.0.clone(),
        activations: problem.activation.as_ref().map_or_else(|| vec![Activation::Relu], |list| list.0.clone()),
        output_activation: problem.output_activation.unwrap_or(Activation::Identity),
        loss: problem.loss.unwrap_or(Loss::CrossEntropy),
        weight_decay: problem.weight_decay,
        samples: problem.samples.unwrap_or(SAMPLES),
    };
    synthetic.objective()
}

struct Timing<'a> {
    objective: &'a Objective,
    columns: &'a [usize],
    runs: usize,
}

impl OperatorJob for Timing<'_> {
    type Output = Vec<BenchResult>;

    fn run<A: CurvatureOperator>(self, operator: &A) -> error::Result<Self::Output> {
        self.columns.iter().map(|&columns| self.time(operator, columns)).collect()
    }
}

impl Timing<'_> {
    /// Times `runs` products with `columns` vectors at once, after as many unrecorded ones as warm the caches and clocks up.
    fn time<A: CurvatureOperator>(&self, operator: &A, columns: usize) -> error::Result<BenchResult> {
        const WARM_UP: usize = 2;
        let space = operator.space();
        let (mut x, mut y) = (space.block(columns)?, space.block(columns)?);
        let mut scalars = space.scalars(1, columns)?;
        space.fill(&mut x, Distribution::Rademacher, 0, 0)?;
        let mut seconds = Vec::with_capacity(self.runs);
        for run in 0..WARM_UP + self.runs {
            let start = Instant::now();
            operator.apply(&x, &mut y)?;
            // A device computes while the host goes on: reading a number that needs all of y waits for the end.
            space.dot(&x, &y, &mut scalars, Slot(0))?;
            let products = space.read(&scalars)?;
            let elapsed = start.elapsed().as_secs_f64();
            if let Some(column) = products.iter().position(|value| !value.is_finite()) {
                return Err(error::Error::NonFinite(format!("v'Hv of probe {column} is {}", products[column])));
            }
            if run >= WARM_UP {
                seconds.push(elapsed);
            }
        }
        let info: BackendInfo = operator.info();
        let block_bytes = 2 * columns * space.dim() * space.precision().bytes();
        Ok(BenchResult::new(self.objective, info, columns, &seconds, operator.bytes() + block_bytes))
    }
}
