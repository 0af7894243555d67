//! `hesper adapters`: what GPUs there are.

use anyhow::Result;
use clap::Args;

use super::args::ReportArgs;
use super::exit::Outcome;
use super::reporter::Reporter;
use crate::backend::gpu::adapters;
use crate::report::table::{self, AdaptersReport};

/// The GPUs of this machine and what each can do
#[derive(Args, Debug)]
pub(super) struct AdaptersArgs {
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn run(args: &AdaptersArgs) -> Result<Outcome> {
    let reporter = Reporter::new("adapters", &args.report, None)?;
    let result = AdaptersReport::new(adapters());
    reporter.finish(&result, |out| table::adapters(out, &result))?;
    Ok(Outcome::Done)
}
