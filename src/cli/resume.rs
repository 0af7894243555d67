//! A job that can be interrupted: its state in the folder of its results.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::args::ReportArgs;
use super::exit;
use super::problem::Problem;
use super::values;
use crate::backend::{Backend, BackendOptions, OperatorJob};
use crate::job::{Identity, Resumable, State, data_digest};

/// Going on where an interrupted run was.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct ResumeArgs {
    /// Goes on where an interrupted run with the same --out was, to the same bits; starts anew where there was none
    #[arg(long, requires = "out")]
    pub(super) resume: bool,
    /// How often the state is written to the folder of --out; it takes a vector of the model's size for each product that is still needed
    #[arg(long, value_name = "SECONDS", value_parser = values::positive, default_value_t = 60.0, requires = "out")]
    pub(super) checkpoint_interval: f64,
}

/// A job as its command knows it.
pub(super) struct Named<'a, O, J> {
    pub(super) command: &'static str,
    pub(super) options: &'a O,
    /// Vectors that the job is given besides.
    pub(super) vectors: &'a [f64],
    pub(super) job: J,
}

/// Runs the job with its state in `folder`, if there is one, which is to be removed when the result is written; the backend may go on.
pub(super) fn run<O: Serialize, J: OperatorJob>(
    problem: &Problem,
    device: BackendOptions,
    (folder, args, report): (Option<&Path>, &ResumeArgs, &ReportArgs),
    named: Named<'_, O, J>,
) -> Result<(J::Output, Option<State>, Backend)> {
    let Named { command, options, vectors, job } = named;
    let open = |folder: &Path| {
        let data = data_digest(&problem.objective);
        let identity = Identity::new(command, options, &problem.subject(), (&problem.objective, &data), vectors)?;
        State::open(&folder.join("state"), Duration::from_secs_f64(args.checkpoint_interval), args.resume, identity)
    };
    let state = folder.map(open).transpose()?;
    if let Some(state) = state.as_ref().filter(|_| !report.quiet) {
        state.notes().iter().for_each(|note| exit::note(note));
    }
    let variants = state.as_ref().and_then(State::variants).map(str::to_owned);
    let backend = Backend::open(&BackendOptions { variants, ..device })?;
    let output = backend.run(&problem.objective, problem.curvature, Resumable { job, state: state.as_ref() })?;
    Ok((output, state, backend))
}

/// Removes the state of a job whose result is written; where that fails the result is there all the same.
pub(super) fn done(state: Option<State>) {
    if let Some(Err(error)) = state.map(State::remove) {
        exit::note(&format!("{:#}: the state of the finished job cannot be removed", anyhow::Error::new(error)));
    }
}
