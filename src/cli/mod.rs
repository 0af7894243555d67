//! The command line: one file a command or a group of commands, the flags that they share in `args`.
//!
//! Every command does the same in the same order: probe where the result goes, build a problem from the files, let the library
//! compute, write. All that can be wrong with flags, paths and files is found before the first product.

mod adapters;
mod args;
mod bench;
mod calibrate;
mod density;
mod describe;
mod eigs;
mod exact;
mod exit;
mod hierarchy;
mod hvp;
mod invocation;
mod jobs;
mod landscape;
mod log;
mod loss;
mod output;
mod plan;
mod problem;
mod progress;
mod reporter;
mod resume;
mod run;
mod shell;
mod spectrum;
mod sweep;
mod synthetic;
mod trace;
mod track;
mod track_log;
mod train;
mod usage;
mod validate;
mod values;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Hessian spectra of dense networks, with error bars
///
/// How curved is the loss of a trained network? hesper finds the extreme eigenvalues, the trace, the density and the negative share
/// of the loss Hessian, on a GPU or on the CPU. Without --model and --data it works on a digits network that is built in.
///
/// Exit code: 0 done; 1 done, but the accuracy asked for was not reached (the result is written and says so); 2 error.
#[derive(Debug, Parser)]
#[command(name = "hesper", version)]
struct Cli {
    /// Says on standard error what is chosen and done; twice: each batch and restart as well
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Spectrum(spectrum::SpectrumArgs),
    Eigs(eigs::EigsArgs),
    Trace(trace::TraceArgs),
    Density(density::DensityCommandArgs),
    Exact(exact::ExactArgs),
    Hierarchy(hierarchy::HierarchyArgs),
    Landscape(landscape::LandscapeArgs),
    Hvp(hvp::HvpArgs),
    Validate(validate::ValidateArgs),
    Calibrate(calibrate::CalibrateArgs),
    Track(track::TrackArgs),
    Train(train::TrainArgs),
    Run(run::RunArgs),
    Bench(bench::BenchArgs),
    Plan(plan::PlanArgs),
    Describe(describe::DescribeArgs),
    Adapters(adapters::AdaptersArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    // Its sums would depend on the number of threads, and so would the last bits of results.
    faer::set_global_parallelism(faer::Par::Seq);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error),
    };
    log::start(cli.verbose);
    let outcome = match &cli.command {
        Command::Spectrum(args) => spectrum::run(args),
        Command::Eigs(args) => eigs::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Density(args) => density::run(args),
        Command::Exact(args) => exact::run(args),
        Command::Hierarchy(args) => hierarchy::run(args),
        Command::Landscape(args) => landscape::run(args),
        Command::Hvp(args) => hvp::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Track(args) => track::run(args),
        Command::Train(args) => train::run(args),
        Command::Run(args) => run::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Adapters(args) => adapters::run(args),
        Command::Completions(args) => shell::completions::<Cli>(args),
        Command::Man(args) => shell::man::<Cli>(args),
    };
    outcome.map_or_else(|error| exit::failed(&error), ExitCode::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    /// What clap itself checks in builds with debug assertions only.
    #[test]
    fn no_flag_is_there_twice() {
        let mut program = super::Cli::command();
        program.build();
        for command in program.get_subcommands() {
            let mut names = BTreeSet::new();
            for flag in command.get_arguments() {
                let all = [
                    Some(flag.get_id().to_string()),
                    flag.get_long().map(|long| format!("--{long}")),
                    flag.get_short().map(|c| format!("-{c}")),
                ];
                for name in all.into_iter().flatten() {
                    assert!(names.insert(name.clone()), "{} has {name} twice", command.get_name());
                }
            }
        }
    }
}
