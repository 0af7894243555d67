//! `hesper run`: jobs from a file.
//!
//! A key design decision: a job's keys are the flags of its command, found in clap's own definitions. So nothing is listed twice, every
//! flag works here as it does on the command line, and a mistake is told in the same words. Each job is a process of its own: one that
//! fails, or is killed for its memory, leaves the others alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::builder::ValueParser;
use clap::{ArgAction, Args, CommandFactory as _, Parser as _};
use serde::Serialize;

use super::Cli;
use super::args::ReportArgs;
use super::exit::{self, Outcome};
use super::invocation::join;
use super::jobs::{Job, read};
use super::output::to_stdout;
use super::reporter::Reporter;

/// Runs the jobs of a file, one after another
///
/// The file is TOML: [[job]] tables with command = "..." and the command's flags as keys, [defaults] for all of them, and in
/// [job.matrix] lists of values of which every combination is run. Paths are relative to the file. Exit code: the worst of the jobs'.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The job file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Prints the command lines and their memory plans, and runs nothing
    #[arg(long, help_heading = "Method")]
    dry_run: bool,
    /// Stops at the first job that ends with an error
    #[arg(long, help_heading = "Method")]
    fail_fast: bool,
    /// Lets interrupted jobs go on where they were; those that have an out folder
    #[arg(long, help_heading = "Method")]
    resume: bool,
    #[command(flatten)]
    report: ReportArgs,
}

/// `hesper.run/1`.
#[derive(Debug, Serialize)]
struct RunReport {
    schema: &'static str,
    version: &'static str,
    jobs: Vec<JobRecord>,
}

#[derive(Debug, Serialize)]
struct JobRecord {
    name: String,
    /// The command line without the program.
    arguments: Vec<String>,
    /// The folder of its files.
    out: Option<String>,
    /// Null where it was killed by a signal, or was not run.
    exit_code: Option<i32>,
    seconds: f64,
}

/// The exit code of an error.
const FAILED: i32 = 2;

pub(super) fn run(args: &RunArgs) -> Result<Outcome> {
    let reporter = Reporter::new("run", &args.report, None)?;
    let folder = args.file.parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut planned = Vec::new();
    for job in read(&args.file)? {
        // All mistakes are found before the first job runs.
        let arguments = arguments(&job, &folder, args.resume).with_context(|| format!("{}: job '{}'", args.file.display(), job.name))?;
        planned.push((job, arguments));
    }
    let program = std::env::current_exe().context("the program's own file")?;
    if args.dry_run {
        return dry_run(&program, &planned);
    }
    let mut records = Vec::new();
    for (job, arguments) in planned {
        let stopped = args.fail_fast && records.iter().any(|record: &JobRecord| record.exit_code.is_none_or(|code| code >= FAILED));
        if !args.report.quiet && !stopped {
            exit::note(&format!("{}: {}", job.name, join(arguments.clone())));
        }
        let begin = Instant::now();
        let exit_code = if stopped { None } else { execute(&program, &arguments, &args.report)? };
        let out = job.value("out").map(|_| value_of(&arguments, "--out="));
        records.push(JobRecord { name: job.name, arguments, out: out.flatten(), exit_code, seconds: begin.elapsed().as_secs_f64() });
    }
    let worst = records.iter().map(|record| record.exit_code.unwrap_or(FAILED)).max().unwrap_or(0);
    let report = RunReport { schema: "hesper.run/1", version: env!("CARGO_PKG_VERSION"), jobs: records };
    reporter.finish(&report, |out| {
        report.jobs.iter().try_for_each(|job| {
            let code = job.exit_code.map_or_else(|| "not run, or killed".to_owned(), |code| format!("exit code {code}"));
            writeln!(out, "{:<24}{code}, {:.1} s", job.name, job.seconds)
        })
    })?;
    match worst {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Inaccurate),
        _ => bail!("{}: a job failed; what it said is above", args.file.display()),
    }
}

fn execute(program: &Path, arguments: &[String], report: &ReportArgs) -> Result<Option<i32>> {
    let mut command = Command::new(program);
    command.args(arguments);
    if report.quiet || report.json_to_stdout() {
        command.stdout(Stdio::null());
    }
    Ok(command.status().with_context(|| program.display().to_string())?.code())
}

/// Each command line, and how those that compute will fit into memory.
fn dry_run(program: &Path, planned: &[(Job, Vec<String>)]) -> Result<Outcome> {
    let mut all_fit = true;
    for (job, arguments) in planned {
        to_stdout(|out| writeln!(out, "{}: hesper {}", job.name, join(arguments.clone())))?;
        let root = Cli::command();
        let Some(command) = root.find_subcommand(&job.command).filter(|command| flag(command, "plan").is_some()) else { continue };
        // A plan has no results that could go anywhere.
        let is_destination = |argument: &String| {
            let arg = flag_of(argument).and_then(|name| flag(command, name));
            arg.is_some_and(|arg| arg.get_help_heading() == Some("Output") && !arg.is_required_set())
        };
        let mut planning = Command::new(program);
        planning.args(arguments.iter().filter(|argument| !is_destination(argument))).arg("--plan");
        all_fit &= planning.status().with_context(|| program.display().to_string())?.success();
    }
    if all_fit { Ok(Outcome::Done) } else { bail!("a job cannot run as it is: what is wrong is said above") }
}

fn flag<'a>(command: &'a clap::Command, long: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(long))
}

fn flag_of(argument: &str) -> Option<&str> {
    argument.strip_prefix("--").map(|rest| rest.split_once('=').map_or(rest, |(flag, _)| flag))
}

fn value_of(arguments: &[String], prefix: &str) -> Option<String> {
    arguments.iter().find_map(|argument| argument.strip_prefix(prefix)).map(str::to_owned)
}

/// The command line of `job`, checked; paths are relative to `folder`.
fn arguments(job: &Job, folder: &Path, resume: bool) -> Result<Vec<String>> {
    let mut root = Cli::command();
    root.build();
    let Some(command) =
        root.find_subcommand(&job.command).filter(|command| !["run", "help", "completions", "man"].contains(&command.get_name()))
    else {
        bail!("there is no command '{}' to run", job.command);
    };
    let (mut flags, mut positional) = (vec![job.command.clone()], Vec::new());
    for (key, values) in &job.flags {
        let long = key.replace('_', "-");
        let arg =
            command.get_arguments().find(|arg| arg.get_long() == Some(&long) || (arg.is_positional() && arg.get_id() == key.as_str()));
        let is_path = arg.is_some_and(|arg| is_path(arg.get_value_parser()));
        let is_switch = arg.is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
        for value in values {
            let value = if is_path && value != "-" { folder.join(value).display().to_string() } else { value.clone() };
            match (is_switch, arg.is_some_and(clap::Arg::is_positional), value.as_str()) {
                (true, _, "true") => flags.push(format!("--{long}")),
                (true, _, "false") => {}
                (_, true, _) => positional.push(value),
                _ => flags.push(format!("--{long}={value}")),
            }
        }
    }
    if resume && job.value("out").is_some() && command.get_arguments().any(|arg| arg.get_long() == Some("resume")) {
        flags.push("--resume".into());
    }
    flags.extend(positional);
    match Cli::try_parse_from(std::iter::once("hesper".to_owned()).chain(flags.clone())) {
        Ok(_) => Ok(flags),
        Err(error) => bail!("{}", super::usage::message(&error)),
    }
}

fn is_path(parser: &ValueParser) -> bool {
    parser.type_id() == std::any::TypeId::of::<PathBuf>()
}

#[cfg(test)]
mod tests {
    use super::super::jobs::parse;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        parse(text)
            .unwrap()
            .iter()
            .map(|job| arguments(job, Path::new("/data"), false).map_or_else(|error| format!("{error:#}"), join))
            .collect()
    }

    #[test]
    fn keys_are_flags() {
        let text = "[defaults]\nbackend = 'cpu'\n[[job]]\ncommand = 'spectrum'\nmodel = 'm.safetensors'\nprobes = 20\nabove = [0.5, -1]\nquiet = true\n\
                    [[job]]\ncommand = 'track'\ncheckpoints = ['run', '/abs/x.safetensors']\nlr = 0.1\nbackend = 'reference'\n";
        assert_eq!(
            lines(text),
            [
                "spectrum '--backend=cpu' '--above=0.5' '--above=-1' '--model=/data/m.safetensors' '--probes=20' --quiet",
                "track '--backend=reference' '--lr=0.1' /data/run /abs/x.safetensors"
            ]
        );
    }

    #[test]
    fn mistakes_are_told_in_claps_words() {
        let told = lines("[[job]]\ncommand = 'spectrum'\nprobs = 3\n[[job]]\ncommand = 'run'\n[[job]]\ncommand = 'trace'\nprobes = 'x'\n");
        assert!(told[0].contains("--probs") && told[0].contains("--probes"), "{}", told[0]);
        assert!(told[1].contains("no command 'run'") && told[2].contains("--probes"), "{told:?}");
    }
}
