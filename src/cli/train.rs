//! `hesper train`: a dense network, trained where its spectrum can be followed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use super::args::{DeviceArgs, FolderArgs, ProblemArgs, ReportArgs, SeedArgs};
use super::exit::{self, Outcome};
use super::output::{OutputFolder, to_stdout};
use super::plan;
use super::problem::Problem;
use super::progress::Bar;
use super::reporter::Reporter;
use super::resume::{self, ResumeArgs};
use super::track::{TrackMethodArgs, write_points};
use super::values::{self, Shape};
use crate::backend::{Backend, BackendOptions};
use crate::curvature::BackendInfo;
use crate::data::{self, Model, ModelHints, write_network};
use crate::job::{
    GradientJob, Identity, JobContext, Optimizer, Progress as _, Stage, State, TrackJob, Tracked, Train, TrainOptions, TrainReport,
    data_digest, device_of, init,
};
use crate::model::Activation;
use crate::report::{csv, html, table};

/// Trains a network, with its spectrum along the way
///
/// Starts from --model, whatever network that is (normalizations by batches keep their running statistics), or from --shape with PyTorch's default initialization; without either from --shape 64-64-64-10 --activation
/// tanh on the built-in digits. Writes checkpoints that all commands read, and with --track-every the spectrum as it goes. Exit code 1
/// where training diverges.
#[derive(Args, Debug)]
pub(super) struct TrainArgs {
    /// Widths of a new network, the input first, such as 784-512-10
    #[arg(long, value_name = "WIDTHS", value_parser = values::shape, conflicts_with = "model", help_heading = "Method")]
    shape: Option<Shape>,
    /// sgd or adam
    #[arg(long, value_name = "NAME", default_value_t, help_heading = "Method")]
    optimizer: Optimizer,
    /// Learning rate
    #[arg(long, value_name = "LR", value_parser = values::positive, help_heading = "Method")]
    lr: f64,
    /// Momentum of sgd
    #[arg(long, value_name = "M", value_parser = values::finite, default_value_t = 0.0, help_heading = "Method")]
    momentum: f64,
    /// Samples of a step [default: all of them]
    #[arg(long, value_name = "B", value_parser = values::count, help_heading = "Method")]
    batch_size: Option<usize>,
    /// Steps
    #[arg(long, value_name = "N", value_parser = values::count, required_unless_present = "epochs", help_heading = "Method")]
    steps: Option<usize>,
    /// Passes over the data, in place of --steps
    #[arg(long, value_name = "N", value_parser = values::count, conflicts_with = "steps", help_heading = "Method")]
    epochs: Option<usize>,
    /// Looks at the spectrum every K steps
    #[arg(long, value_name = "K", value_parser = values::count, help_heading = "Method")]
    track_every: Option<usize>,
    /// Writes a checkpoint to the folder of --out every K steps [default: at the start and at the end]
    #[arg(long, value_name = "K", value_parser = values::count, requires = "out", help_heading = "Output")]
    save_every: Option<usize>,
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

impl TrainArgs {
    /// The network to start from.
    fn model(&self) -> Result<Model> {
        if let Some(path) = &self.problem.model {
            return Ok(data::load_network(path, &self.problem.network_options())?);
        }
        if self.problem.has_data() && self.shape.is_none() {
            bail!("data without a network: give --shape WIDTHS for a new one, or --model FILE");
        }
        let widths = self.shape.as_ref().map_or_else(|| vec![64, 64, 64, 10], |shape| shape.0.clone());
        let activations = self.problem.activation.as_ref().map_or_else(|| vec![Activation::Tanh], |list| list.0.clone());
        let output = self.problem.output_activation.unwrap_or(Activation::Identity);
        Ok(Model { network: init(&widths, &activations, output, self.seed.seed)?, hints: ModelHints::default(), notices: Vec::new() })
    }

    fn options(&self, samples: usize) -> TrainOptions {
        let per_epoch = self.batch_size.map_or(1, |size| (samples / size).max(1));
        let count = |count: usize| count as u64;
        TrainOptions {
            optimizer: self.optimizer,
            learning_rate: self.lr,
            momentum: self.momentum,
            batch_size: self.batch_size,
            steps: count(self.steps.unwrap_or_else(|| self.epochs.unwrap_or(1).saturating_mul(per_epoch))),
            seed: self.seed.seed,
            save_every: self.save_every.map(count),
            track_every: self.track_every.map(count),
            track: self.method.options(self.seed.seed, &self.device),
        }
    }
}

pub(super) fn run(args: &TrainArgs) -> Result<Outcome> {
    let begin = Instant::now();
    let reporter = Reporter::new("train", &args.report, args.folder.out.as_deref())?.with_page("train.html", html::train)?;
    let files = [reporter.file("loss.csv")?, reporter.file("track.csv")?];
    let device = args.device.options()?;
    let mut problem = Problem::with_model(&args.problem, args.model()?)?;
    if !problem.objective.view().is_whole(problem.objective.dim()) {
        bail!("training changes all parameters in their own units: leave out --params and --second-moments");
    }
    let options = args.options(problem.objective.samples());
    if args.device.plan {
        return plan_most(args, &problem, &device, &options);
    }
    let mut state = match &args.folder.out {
        Some(folder) => {
            let data = data_digest(&problem.objective);
            let identity = Identity::new("train", &options, &problem.subject(), (&problem.objective, &data), &[])?;
            let interval = Duration::from_secs_f64(args.resume.checkpoint_interval);
            Some(State::open(&folder.join("state"), interval, args.resume.resume, identity)?)
        }
        None => None,
    };
    let kept = state.as_mut().and_then(State::kept::<Train>);
    if let Some(state) = state.as_ref().filter(|_| !args.report.quiet) {
        state.notes().iter().for_each(|note| exit::note(note));
    }
    let variants = state.as_ref().and_then(State::variants).map(str::to_owned);
    let backend = Backend::open(&BackendOptions { variants, ..device })?;
    let info = device_of(&backend, &problem.objective)?;
    state.as_ref().map_or(Ok(()), |state| state.confirm(&info))?;
    let train = kept.unwrap_or_else(|| Train::new(problem.objective.network(), info.precision));
    let subject = problem.subject();
    let mut trainer = Trainer { args, options: &options, backend: &backend, info: &info, state: state.as_ref(), train, unwritten: None };
    trainer.run(&mut problem)?;
    let Trainer { train, unwritten, .. } = trainer;
    let report = TrainReport::new(&subject, &info, &options, &train, begin.elapsed().as_secs_f64());
    reporter.finish(&report, |out| table::train(out, &report))?;
    let [loss_file, track_file] = files;
    if let Some(file) = loss_file {
        file.write(|file| csv::write(file, &history(&report).each_ref().map(|(name, values)| (*name, values.as_slice()))))?;
    }
    if let Some(file) = track_file.filter(|_| !report.track.is_empty()) {
        write_points(&file, &report.track)?;
    }
    unwritten.map_or(Ok(()), Err)?;
    resume::done(state);
    Ok(Outcome::of(!report.diverged))
}

/// What the largest part will take: a look at the spectrum where there are any, else a gradient of all samples.
fn plan_most(args: &TrainArgs, problem: &Problem, device: &BackendOptions, options: &TrainOptions) -> Result<Outcome> {
    let bar = Bar::new(&args.report);
    let context = JobContext::new(problem.subject(), &bar);
    let asked = (&args.device, &args.report);
    match options.track_every {
        Some(_) => {
            let job = TrackJob { context: &context, options: &options.track, start: &[], step: None, checkpoint: None };
            plan::instead(asked, problem, device, &job)?
        }
        None => plan::instead(asked, problem, device, &GradientJob)?,
    };
    Ok(Outcome::Done)
}

#[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵³")]
fn history(report: &TrainReport) -> [(&'static str, Vec<f64>); 3] {
    let column = |of: &dyn Fn(&crate::job::StepRecord) -> f64| report.history.iter().map(of).collect();
    [
        ("step", column(&|record| record.step as f64)),
        ("loss", column(&|record| record.loss)),
        ("gradient_norm", column(&|record| record.gradient_norm)),
    ]
}

struct Trainer<'a> {
    args: &'a TrainArgs,
    options: &'a TrainOptions,
    backend: &'a Backend,
    info: &'a BackendInfo,
    state: Option<&'a State>,
    train: Train,
    /// Why a checkpoint could not be written; training goes on without it.
    unwritten: Option<anyhow::Error>,
}

impl Trainer<'_> {
    /// All steps that are left, with checkpoints and looks at the spectrum in between.
    fn run(&mut self, problem: &mut Problem) -> Result<()> {
        let bar = Bar::new(&self.args.report);
        let interval = Duration::from_secs_f64(self.args.resume.checkpoint_interval);
        let (prints, mut saved) = (!self.args.report.quiet && !self.args.report.json_to_stdout(), Instant::now());
        if prints && self.options.track_every.is_some() {
            to_stdout(|out| table::track_head(out, Some(self.options.learning_rate)))?;
        }
        loop {
            let (step, last) = (self.train.step, self.train.step == self.options.steps);
            if (step % self.options.save_every.unwrap_or(u64::MAX) == 0 || last)
                && let Err(error) = self.save(problem)
            {
                self.unwritten.get_or_insert(error);
            }
            let due = self.options.track_every.is_some_and(|every| step % every == 0 || last);
            // A state that was kept after its look has it.
            if due && self.train.points.last().is_none_or(|point| point.step != Some(step)) {
                self.look(problem, &bar)?;
                let point = self.train.points.last().filter(|_| prints);
                point.map_or(Ok(()), |point| to_stdout(|out| table::track_point(out, point, Some(self.options.learning_rate))))?;
            }
            if let Some(state) = self.state.filter(|_| saved.elapsed() >= interval) {
                if let Err(error) = state.keep(self.info, &self.train) {
                    exit::note(&format!("{:#}: the state cannot be written any more, training goes on without", anyhow::Error::new(error)));
                    self.state = None;
                }
                saved = Instant::now();
            }
            if last || !self.train.advance(self.backend, &problem.objective, self.options)? {
                return Ok(());
            }
            bar.update(Stage::Training, self.train.step, self.options.steps);
        }
    }

    fn save(&self, problem: &Problem) -> Result<()> {
        let Some(folder) = &self.args.folder.out else { return Ok(()) };
        let file = OutputFolder::new(folder)?.file(&PathBuf::from(format!("step-{:06}.safetensors", self.train.step)).to_string_lossy())?;
        let network = problem.objective.network().with_parameters(&self.train.parameters)?;
        file.write(|file| write_network(file, &network, problem.objective.criterion().loss(), self.info.precision))
    }

    fn look(&mut self, problem: &Problem, bar: &Bar) -> Result<()> {
        let network = problem.objective.network().with_parameters(&self.train.parameters)?;
        let now = problem.with_network(network)?;
        let context = JobContext::new(now.subject(), bar);
        let (options, step) = (&self.options.track, Some(self.train.step));
        let job = TrackJob { context: &context, options, start: &self.train.vectors, step, checkpoint: None };
        let Tracked { point, vectors } = self.backend.run(&now.objective, now.curvature, job)?;
        self.train.points.push(point);
        self.train.vectors = vectors;
        Ok(())
    }
}
