//! `hesper track`: the spectrum over a training run.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::{self, Outcome};
use super::output::{OutputFile, to_stdout};
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, ResumeArgs};
use super::track_log::TrackLog;
use super::values;
use crate::backend::Backend;
use crate::data::{self, Checkpoint, checkpoints};
use crate::job::{
    Identity, JobContext, Resumable, SamplingOptions, State, TrackJob, TrackOptions, TrackPoint, TrackReport, Tracked, data_digest,
};
use crate::report::{chart, csv, html, table};

/// The spectrum over a training run: one line a checkpoint
///
/// Largest and smallest eigenvalue, trace, negative share, gradient norm and loss of each checkpoint, and where their course changes by
/// more than the error bars. With --out DIR what was found is kept in DIR/track.jsonl: a checkpoint that is added costs one.
#[derive(Args, Debug)]
pub(super) struct TrackArgs {
    /// Model files, folders of .safetensors files, or patterns; in the order of the numbers in their names
    #[arg(value_name = "CHECKPOINT", required = true)]
    checkpoints: Vec<PathBuf>,
    /// Learning rate: shows lr*max/2, which hovers at 1 at the edge of stability
    #[arg(long, value_name = "LR", value_parser = values::positive, help_heading = "Method")]
    lr: Option<f64>,
    /// Follows the folders or patterns while a training run writes to them, until Ctrl-C
    #[arg(long, help_heading = "Method")]
    watch: bool,
    /// Ends --watch after so long without a new checkpoint
    #[arg(long, value_name = "SECONDS", value_parser = values::positive, requires = "watch", help_heading = "Method")]
    idle: Option<f64>,
    #[command(flatten)]
    method: TrackMethodArgs,
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
    #[command(flatten)]
    resume: ResumeArgs,
}

/// What is found at each checkpoint.
#[derive(Args, Debug)]
#[command(next_help_heading = "Method")]
pub(super) struct TrackMethodArgs {
    /// Largest eigenvalues
    #[arg(long, value_name = "K", value_parser = values::count, default_value_t = TrackOptions::default().top)]
    top: usize,
    /// Smallest eigenvalues
    #[arg(long, value_name = "K", value_parser = values::count, default_value_t = TrackOptions::default().bottom)]
    bottom: usize,
    /// Largest residual of the eigenvalues, relative to the largest magnitude [default: 1e-5 in f32, 1e-10 in f64]
    #[arg(long, value_name = "T", value_parser = values::positive)]
    tol: Option<f64>,
    /// Random probes for trace and negative share
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = TrackOptions::default().sampling.probes)]
    probes: usize,
    /// Lanczos steps of each probe
    #[arg(long, value_name = "M", value_parser = values::count, default_value_t = TrackOptions::default().sampling.steps)]
    lanczos_steps: usize,
}

impl TrackMethodArgs {
    pub(super) fn options(&self, seed: u64, device: &DeviceArgs) -> TrackOptions {
        let sampling = SamplingOptions {
            probes: self.probes,
            steps: self.lanczos_steps,
            seed,
            memory_budget: device.memory_budget,
            ..TrackOptions::default().sampling
        };
        TrackOptions { top: self.top, bottom: self.bottom, tol: self.tol, sampling }
    }
}

/// How often a watched folder is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A file younger than this that cannot be read may still be being written.
const YOUNG: Duration = Duration::from_secs(10);

pub(super) fn run(args: &TrackArgs) -> Result<Outcome> {
    let reporter = Reporter::new("track", &args.report, args.folder.out.as_deref())?
        .with_page("track.html", html::track)?
        .with_figure("track", chart::sharpness)?;
    let csv_file = reporter.file("track.csv")?;
    if let Some(model) = &args.problem.model {
        bail!("{}: track takes its checkpoints without --model", model.display());
    }
    if args.device.plan {
        return plan_first(args);
    }
    let mut tracker = Tracker::new(args)?;
    let (mut seen, mut last_new, mut is_written) = (HashSet::new(), Instant::now(), true);
    loop {
        let found = checkpoints(&args.checkpoints)?;
        let mut came = false;
        for checkpoint in found.into_iter().filter(|checkpoint| !seen.contains(&checkpoint.path)).collect::<Vec<_>>() {
            match tracker.add(&checkpoint) {
                Ok(Added::Known) => (came, is_written) = (true, false),
                Ok(Added::New) => {
                    (came, is_written) = (true, true);
                    // So that the report can be looked at meanwhile, and nothing is lost where the run is ended by Ctrl-C.
                    // What cannot be written now may be at the end.
                    if let Err(error) = tracker.write(&reporter, csv_file.as_ref()) {
                        exit::note(&format!("{error:#}"));
                    }
                }
                Err(error) if args.watch && is_young(&checkpoint.path) => {
                    drop(error);
                    continue;
                }
                Err(error) if args.watch => exit::note(&format!("{error:#}: left out")),
                Err(error) => return Err(error),
            }
            seen.insert(checkpoint.path);
        }
        if came {
            last_new = Instant::now();
        }
        if args.watch && !is_written {
            tracker.write(&reporter, csv_file.as_ref())?;
            is_written = true;
        }
        if !args.watch || args.idle.is_some_and(|idle| last_new.elapsed().as_secs_f64() > idle) {
            break;
        }
        thread::sleep(LOOK);
    }
    tracker.finish(&reporter, csv_file.as_ref())
}

/// What the first checkpoint will take, and so will the others.
fn plan_first(args: &TrackArgs) -> Result<Outcome> {
    let Some(first) = checkpoints(&args.checkpoints)?.into_iter().next() else { bail!("{NONE}") };
    let problem = Problem::with_model(&args.problem, data::load_network(&first.path, &args.problem.network_options())?)?;
    let (bar, options) = (Bar::new(&args.report), args.method.options(args.seed.seed, &args.device));
    let context = JobContext::new(problem.subject(), &bar);
    let job = TrackJob { context: &context, options: &options, start: &[], step: None, checkpoint: None };
    plan::instead((&args.device, &args.report), &problem, &args.device.options()?, &job)?;
    Ok(Outcome::Done)
}

const NONE: &str = "there is no checkpoint: name files, a folder of .safetensors files, or a pattern";

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    // A file that is gone, or from the future, is looked for again.
    modified.map_or(true, |modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age < YOUNG))
}

/// How the numbers of a checkpoint came.
enum Added {
    /// From the folder's log.
    Known,
    /// By computing them.
    New,
}

/// The checkpoints so far.
struct Tracker<'a> {
    args: &'a TrackArgs,
    options: TrackOptions,
    backend: Backend,
    device: String,
    log: Option<TrackLog>,
    /// That of the first checkpoint, and the digest of its data.
    problem: Option<(Problem, String)>,
    points: Vec<TrackPoint>,
    /// The key and vectors of the last one.
    last: Option<(String, Vec<f64>)>,
}

impl<'a> Tracker<'a> {
    fn new(args: &'a TrackArgs) -> Result<Self> {
        let device = args.device.options()?;
        Ok(Self {
            args,
            options: args.method.options(args.seed.seed, &args.device),
            backend: Backend::open(&device)?,
            device: format!("{} {:?} {:?} {:?}", device.kind, device.adapter, device.precision, device.mode),
            log: args.folder.out.as_deref().map(TrackLog::open).transpose()?,
            problem: None,
            points: Vec::new(),
            last: None,
        })
    }

    fn add(&mut self, checkpoint: &Checkpoint) -> Result<Added> {
        let model = data::load_network(&checkpoint.path, &self.args.problem.network_options())?;
        let name = checkpoint.path.display().to_string();
        let problem = match &self.problem {
            Some((first, _)) => first.with_network(model.network).map_err(|error| anyhow::anyhow!("{name}: {error:#}"))?,
            None => Problem::with_model(&self.args.problem, model)?,
        };
        let digest = self.problem.as_ref().map_or_else(|| data_digest(&problem.objective), |(_, digest)| digest.clone());
        let dim = problem.objective.dim();
        let identity = Identity::new("track", &self.options, &problem.subject(), (&problem.objective, &digest), &[])?;
        let key = identity.key(&self.device);
        let known = self.log.as_ref().and_then(|log| log.get(&key)).cloned();
        let added = if known.is_some() { Added::Known } else { Added::New };
        let tracked = match known {
            Some(point) => {
                let vectors = self.log.as_ref().and_then(|log| log.vectors(&key, dim)).unwrap_or_default();
                let point = TrackPoint { step: checkpoint.step, checkpoint: Some(name), ..point };
                Tracked { point, vectors }
            }
            None => {
                let tracked = self.compute(&problem, identity, checkpoint.step, name)?;
                let before = self.last.as_ref().map(|(key, _)| key.as_str());
                if let Some(Err(error)) = self.log.as_mut().map(|log| log.add(&key, &tracked, before, dim)) {
                    exit::note(&format!("{error:#}: what was found is not kept for later runs"));
                }
                tracked
            }
        };
        if self.prints() {
            let lr = self.args.lr;
            let first = self.points.is_empty();
            to_stdout(|out| {
                if first {
                    table::track_head(out, lr)?;
                }
                table::track_point(out, &tracked.point, lr)
            })?;
        }
        self.problem.get_or_insert((problem, digest));
        self.last = Some((key, tracked.vectors));
        self.points.push(tracked.point);
        Ok(added)
    }

    fn compute(&self, problem: &Problem, identity: Identity, step: Option<u64>, name: String) -> Result<Tracked> {
        let dim = problem.objective.dim();
        let start = self.last.as_ref().map_or(&[][..], |(_, vectors)| vectors).get(..).filter(|start| start.len().is_multiple_of(dim));
        let bar = Bar::new(&self.args.report);
        let context = JobContext::new(problem.subject(), &bar);
        let state = self.args.folder.out.as_ref().map(|folder| {
            let (folder, interval) = (folder.join("state"), Duration::from_secs_f64(self.args.resume.checkpoint_interval));
            // A state of another checkpoint is that of one that is done.
            let resumed = State::open(&folder, interval, self.args.resume.resume, identity.clone());
            resumed.or_else(|_| State::open(&folder, interval, false, identity))
        });
        let state = state.transpose()?;
        let job = TrackJob { context: &context, options: &self.options, start: start.unwrap_or_default(), step, checkpoint: Some(name) };
        let tracked = self.backend.run(&problem.objective, problem.curvature, Resumable { job, state: state.as_ref() })?;
        resume::done(state);
        Ok(tracked)
    }

    fn prints(&self) -> bool {
        !self.args.report.quiet && !self.args.report.json_to_stdout()
    }

    fn report(&self) -> Option<TrackReport> {
        let (problem, _) = self.problem.as_ref()?;
        let bar = Bar::new(&self.args.report);
        let context = JobContext::new(problem.subject(), &bar);
        Some(TrackReport::new(&context, &self.options, self.args.lr, self.points.clone(), Vec::new()))
    }

    /// Writes the files as they are by now.
    fn write(&self, reporter: &Reporter, csv_file: Option<&OutputFile>) -> Result<()> {
        let Some(report) = self.report() else { return Ok(()) };
        reporter.files(&report).and(csv_file.map_or(Ok(()), |file| write_points(file, &self.points)))
    }

    fn finish(self, reporter: &Reporter, csv_file: Option<&OutputFile>) -> Result<Outcome> {
        let Some(report) = self.report() else { bail!("{NONE}") };
        reporter.finish(&report, |out| table::track_trends(out, &report.trends))?;
        csv_file.map_or(Ok(()), |file| write_points(file, &self.points))?;
        Ok(Outcome::of(report.accuracy_reached))
    }
}

/// Writes the points' numbers as columns.
pub(super) fn write_points(file: &OutputFile, points: &[TrackPoint]) -> Result<()> {
    let columns = columns(points);
    let columns: Vec<csv::Column<'_>> = columns.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    file.write(|file| csv::write(file, &columns))
}

/// The points' numbers by name.
#[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵³")]
fn columns(points: &[TrackPoint]) -> Vec<(&'static str, Vec<f64>)> {
    let column = |of: &dyn Fn(&TrackPoint) -> Option<f64>| points.iter().map(|point| of(point).unwrap_or(f64::NAN)).collect();
    vec![
        ("step", column(&|point| point.step.map(|step| step as f64))),
        ("loss", column(&|point| Some(point.loss))),
        ("gradient_norm", column(&|point| Some(point.gradient_norm))),
        ("largest", column(&|point| point.largest.first().map(|extreme| extreme.value))),
        ("largest_residual", column(&|point| point.largest.first().map(|extreme| extreme.residual))),
        ("smallest", column(&|point| point.smallest.first().map(|extreme| extreme.value))),
        ("smallest_residual", column(&|point| point.smallest.first().map(|extreme| extreme.residual))),
        ("trace", column(&|point| Some(point.trace.mean))),
        ("trace_std_error", column(&|point| point.trace.std_error)),
        ("negative_share", column(&|point| Some(point.negative_share.mean))),
        ("negative_share_lower", column(&|point| Some(point.negative_share.lower))),
        ("negative_share_upper", column(&|point| Some(point.negative_share.upper))),
    ]
}
