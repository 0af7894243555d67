//! `hesper describe`: what was found in the files.

use anyhow::Result;
use clap::Args;

use super::args::{ProblemArgs, ReportArgs};
use super::exit::Outcome;
use super::problem::Problem;
use super::reporter::Reporter;
use crate::job::DescribeReport;
use crate::report::table;

/// The network, its tensors and their places in the vector of parameters, the data and the loss, as found
///
/// A model may be described without data.
#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    #[command(flatten)]
    problem: ProblemArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn run(args: &DescribeArgs) -> Result<Outcome> {
    let reporter = Reporter::new("describe", &args.report, None)?;
    let model = args.problem.load_model()?;
    let result = if args.problem.model.is_some() && !args.problem.has_data() {
        DescribeReport::of_network(&model.network, model.notices)
    } else {
        let problem = Problem::with_model(&args.problem, model)?;
        DescribeReport::of_objective(&problem.objective, problem.subject())
    };
    reporter.finish(&result, |out| table::describe(out, &result))?;
    Ok(Outcome::Done)
}
