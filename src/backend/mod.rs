//! Where products are computed: `reference` (float64, from the formulas), `cpu` (fast, f32 and f64) and `gpu` (wgpu).
//!
//! The backends share nothing but the traits they implement and never import one another; this file alone knows all three and
//! turns a user's choice into an operator.

pub mod cpu;
pub mod gpu;
pub mod reference;
mod spot_check;

use std::cell::{OnceCell, RefCell};
use std::fmt::{self, Display};
use std::rc::Rc;
use std::str::FromStr;

use self::cpu::Cpu;
use self::gpu::{Device, Gpu, Software, Tune};
use self::reference::Reference;
pub use self::spot_check::ProductError;
use crate::curvature::{Curvature, CurvatureOperator, Demand, MemoryPlan, Mode, Objective, View, Viewed, Workload};
use crate::error::{Error, Result};
use crate::model::{Layout, Network};
use crate::numeric::{Precision, Real};

/// The user's choice of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// A hardware GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU through wgpu; a software driver where there is no other.
    Gpu,
    /// The fast CPU backend.
    Cpu,
    /// The float64 reference.
    Reference,
}

impl BackendKind {
    /// All choices.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Gpu, Self::Cpu, Self::Reference];

    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
            Self::Reference => "reference",
        }
    }
}

impl Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("unknown backend '{text}': one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Where and how to compute.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BackendOptions {
    /// Which backend.
    pub kind: BackendKind,
    /// A GPU by (part of) its name or by its index in `hesper adapters`.
    pub adapter: Option<String>,
    /// Precision; where none is asked for, f64 on the reference and f32 elsewhere.
    pub precision: Option<Precision>,
    /// Bytes that a job may use; none for [`DEFAULT_BUDGET`](crate::curvature::DEFAULT_BUDGET).
    pub memory_budget: Option<u64>,
    /// How the linearization is held; none for the fastest mode that fits.
    pub mode: Option<Mode>,
    /// How long a GPU looks for its fastest kernels.
    pub tune: Tune,
    /// The variants of its kernels that a GPU runs in place of a search, as [`BackendInfo`](crate::curvature::BackendInfo) names them.
    pub variants: Option<String>,
}

impl BackendOptions {
    /// What is wanted of the memory by a job of `workload` in the view of `objective`, counted in vectors of all parameters: each column
    /// takes two of those more where the view is not the whole.
    fn demand(&self, objective: &Objective, workload: Workload) -> Demand {
        let (dim, view) = (objective.dim() as u64, objective.view());
        let vectors = match view.is_whole(objective.dim()) {
            true => workload.vectors,
            false => workload.vectors.saturating_mul(view.dim() as u64).div_ceil(dim).saturating_add(2),
        };
        Demand { workload: Workload { vectors, ..workload }, budget: self.memory_budget, mode: self.mode }
    }
}

/// Work to be done with an operator, whatever its backend.
pub trait OperatorJob {
    /// What the work yields.
    type Output;

    /// What the work keeps in memory beside its operator, for `dim` parameters.
    fn workload(&self, dim: usize) -> Workload;

    /// Does the work; `spot_check` measures, where the work asks it, how exact the operator's products are.
    ///
    /// # Errors
    /// Whatever the work meets.
    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<Self::Output>;
}

/// A backend and its precision, chosen; a GPU is open.
enum Choice {
    CpuF32,
    CpuF64,
    Gpu(Rc<Device>),
    Reference,
}

impl Choice {
    fn new(options: &BackendOptions) -> Result<Self> {
        let gpu = || Ok(Self::Gpu(Rc::new(Device::open(options.adapter.as_deref(), Software::Allowed)?)));
        match (options.kind, options.precision) {
            (BackendKind::Auto, Some(Precision::F64)) if options.adapter.is_none() => Ok(Self::CpuF64),
            (BackendKind::Auto, None | Some(Precision::F32)) if options.adapter.is_none() => {
                Ok(Device::open(None, Software::Refused).map_or(Self::CpuF32, |device| Self::Gpu(Rc::new(device))))
            }
            (BackendKind::Auto | BackendKind::Gpu, None | Some(Precision::F32)) => gpu(),
            (BackendKind::Auto | BackendKind::Gpu, Some(Precision::F64)) => {
                Err(Error::Input("a GPU computes in f32 only, but f64 was asked for: leave out --precision, or use --backend cpu".into()))
            }
            (BackendKind::Cpu, None | Some(Precision::F32)) => Ok(Self::CpuF32),
            (BackendKind::Cpu, Some(Precision::F64)) => Ok(Self::CpuF64),
            (BackendKind::Reference, None | Some(Precision::F64)) => Ok(Self::Reference),
            (BackendKind::Reference, Some(Precision::F32)) => Err(Error::Input(
                "the reference computes in f64 only, but f32 was asked for: leave out --precision, or use --backend cpu".into(),
            )),
        }
    }

    /// What it is called in a plan.
    const fn name(&self) -> (BackendKind, Precision) {
        match self {
            Self::CpuF32 => (BackendKind::Cpu, Precision::F32),
            Self::CpuF64 => (BackendKind::Cpu, Precision::F64),
            Self::Gpu(_) => (BackendKind::Gpu, Precision::F32),
            Self::Reference => (BackendKind::Reference, Precision::F64),
        }
    }

    fn plan(&self, objective: &Objective, curvature: Curvature, demand: &Demand) -> Result<MemoryPlan> {
        curvature.check(objective)?;
        match self {
            Self::CpuF32 => Cpu::<f32>::plan(objective, curvature, demand),
            Self::CpuF64 => Cpu::<f64>::plan(objective, curvature, demand),
            Self::Gpu(device) => Gpu::plan(objective, curvature, device, demand),
            Self::Reference => Reference::plan(objective, demand),
        }
    }
}

/// The means to measure how exact the products of the operator are that a job is given.
#[derive(Clone, Copy)]
pub struct SpotCheck<'a> {
    objective: &'a Objective,
    curvature: Curvature,
    choice: &'a Choice,
    view: &'a View,
    pair: &'a OnceCell<Pair>,
}

/// The operator under test and the reference on some of the samples, made when they are first asked for, once for all views.
enum Pair {
    CpuF32(Box<Cpu<f32>>, Reference),
    CpuF64(Box<Cpu<f64>>, Reference),
    Gpu(Box<Gpu>, Reference),
    Reference,
}

impl SpotCheck<'_> {
    /// The error of two products on some of the samples: with a Gaussian vector, which all eigenvectors share, and with its image, where
    /// the largest eigenvalues dominate.
    ///
    /// None on the reference itself, and where the network is so large that a single sample takes the reference too long.
    ///
    /// # Errors
    /// As the construction of both operators.
    pub fn measure(&self, seed: u64) -> Result<Option<ProductError>> {
        let samples = spot_check::samples(self.objective);
        // Of samples that are all ignored there is no loss.
        if samples == 0 || self.objective.counted_weight(0..samples) == 0.0 {
            return Ok(None);
        }
        if self.pair.get().is_none() {
            let _made_now = self.pair.set(self.make_pair(samples)?);
        }
        let (relative, magnitude) = match self.pair.get() {
            Some(Pair::CpuF32(operator, reference)) => self.worst_error(&**operator, reference, seed)?,
            Some(Pair::CpuF64(operator, reference)) => self.worst_error(&**operator, reference, seed)?,
            Some(Pair::Gpu(operator, reference)) => self.worst_error(&**operator, reference, seed)?,
            Some(Pair::Reference) | None => return Ok(None),
        };
        Ok(Some(ProductError { relative, magnitude, samples }))
    }

    fn make_pair(&self, samples: usize) -> Result<Pair> {
        let (subset, curvature) = (self.objective.select(&(0..samples).collect::<Vec<_>>())?, self.curvature);
        Ok(match self.choice {
            Choice::CpuF32 => cpu_pair(&subset, curvature, Pair::CpuF32)?,
            Choice::CpuF64 => cpu_pair(&subset, curvature, Pair::CpuF64)?,
            Choice::Gpu(device) => Pair::Gpu(Box::new(Gpu::new(&subset, curvature, device)?), Reference::new(&subset, curvature)?),
            Choice::Reference => Pair::Reference,
        })
    }

    fn worst_error<A: CurvatureOperator>(&self, operator: &A, reference: &Reference, seed: u64) -> Result<(f64, f64)> {
        spot_check::worst_error(&Viewed::new(operator, self.view)?, &Viewed::new(reference, self.view)?, seed)
    }
}

/// Both operators of a pair on the CPU, made at once.
fn cpu_pair<T: Real>(objective: &Objective, curvature: Curvature, pair: impl FnOnce(Box<Cpu<T>>, Reference) -> Pair) -> Result<Pair> {
    let (operator, reference) = rayon::join(|| Cpu::new(objective, curvature), || Reference::new(objective, curvature));
    Ok(pair(Box::new(operator?), reference?))
}

/// Where a job will run, and how it fits into the memory there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Never [`BackendKind::Auto`].
    pub backend: BackendKind,
    /// Of vectors and products.
    pub precision: Precision,
    /// The bytes.
    pub memory: MemoryPlan,
}

/// A backend that is open: a GPU is found, opened and tuned once for all jobs that it is given.
pub struct Backend {
    choice: Choice,
    options: BackendOptions,
    /// The network that a GPU has been tuned for.
    tuned: RefCell<Option<Layout>>,
    /// The last operator on a GPU: where the next one differs from it in numbers alone, it moves there with its buffers and data.
    last: RefCell<Option<Gpu>>,
}

impl Backend {
    /// Opens what `options` ask for.
    ///
    /// # Errors
    /// [`Error::Input`] for a precision that the backend has not, [`Error::Device`] where no GPU fits.
    pub fn open(options: &BackendOptions) -> Result<Self> {
        Ok(Self { choice: Choice::new(options)?, options: options.clone(), tuned: RefCell::default(), last: RefCell::default() })
    }

    /// How a job that keeps `workload` will fit into memory. Nothing is computed.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not fit.
    pub fn plan(&self, objective: &Objective, curvature: Curvature, workload: Workload) -> Result<Planned> {
        let (backend, precision) = self.choice.name();
        Ok(Planned { backend, precision, memory: self.choice.plan(objective, curvature, &self.options.demand(objective, workload))? })
    }

    /// Builds the operator as the memory plan says, and runs `job` with it in the objective's view.
    ///
    /// # Errors
    /// [`Error::Memory`] where the job does not fit, [`Error::NonFinite`] where the loss is not finite, and whatever the job meets.
    pub fn run<J: OperatorJob>(&self, objective: &Objective, curvature: Curvature, job: J) -> Result<J::Output> {
        let mut outputs = self.run_each(objective, curvature, vec![(objective.view().clone(), job)])?;
        Ok(outputs.swap_remove(0))
    }

    /// Runs several jobs, each in a view of its own, with one operator, whose linearization they share. The memory plan is that of the
    /// first one, which is the largest.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_each<J: OperatorJob>(&self, objective: &Objective, curvature: Curvature, jobs: Vec<(View, J)>) -> Result<Vec<J::Output>> {
        let Some((view, first)) = jobs.first() else { return Ok(Vec::new()) };
        let planned = objective.clone().in_view(view.clone());
        let Planned { backend, precision, memory } = self.plan(&planned, curvature, first.workload(view.dim()))?;
        let MemoryPlan { schedule, columns, total, budget, .. } = memory;
        let (parameters, samples) = (view.dim(), objective.samples());
        tracing::info!(%backend, %precision, operator = %curvature, parameters, samples, "backend chosen");
        tracing::info!(linearization = %schedule.mode, columns, bytes = total, budget, "plan");
        let pair = OnceCell::new();
        let check = SpotCheck { objective, curvature, choice: &self.choice, view: planned.view(), pair: &pair };
        match &self.choice {
            Choice::CpuF32 => run_with(&Cpu::<f32>::with_schedule(objective, curvature, schedule)?, jobs, check),
            Choice::CpuF64 => run_with(&Cpu::<f64>::with_schedule(objective, curvature, schedule)?, jobs, check),
            Choice::Gpu(device) => {
                self.tune(device, objective.network())?;
                let last = self.last.take().filter(|last| last.can_move_to(objective, curvature, schedule));
                let operator = match last {
                    Some(last) => last.relinearize(objective)?,
                    None => Gpu::with_schedule(objective, curvature, device, schedule)?,
                };
                let outputs = run_with(&operator, jobs, check);
                self.last.replace(Some(operator));
                outputs
            }
            Choice::Reference => run_with(&Reference::new(objective, curvature)?, jobs, check),
        }
    }

    /// Chooses the kernels' variants, once for networks of one layout.
    fn tune(&self, device: &Device, network: &Network) -> Result<()> {
        let layout = network.layout();
        if self.tuned.borrow().as_ref() != Some(&layout) {
            match &self.options.variants {
                Some(variants) => device.run_variants(variants)?,
                None => device.tune(network, self.options.tune)?,
            }
            self.tuned.replace(Some(layout));
        }
        Ok(())
    }
}

fn run_with<A: CurvatureOperator, J: OperatorJob>(operator: &A, jobs: Vec<(View, J)>, check: SpotCheck<'_>) -> Result<Vec<J::Output>> {
    jobs.into_iter().map(|(view, job)| job.run(&Viewed::new(operator, &view)?, &SpotCheck { view: &view, ..check })).collect()
}

/// [`Backend::plan`] on a backend that is opened for it.
///
/// # Errors
/// Those of [`Backend::open`] and [`Backend::plan`].
pub fn plan(objective: &Objective, curvature: Curvature, options: &BackendOptions, workload: Workload) -> Result<Planned> {
    Backend::open(options)?.plan(objective, curvature, workload)
}

/// [`Backend::run`] on a backend that is opened for it.
///
/// # Errors
/// Those of [`Backend::open`] and [`Backend::run`].
pub fn run<J: OperatorJob>(objective: &Objective, curvature: Curvature, options: &BackendOptions, job: J) -> Result<J::Output> {
    Backend::open(options)?.run(objective, curvature, job)
}
