//! Where products are computed: `reference` (float64, from the formulas), `cpu` (fast, f32 and f64) and `gpu` (wgpu).
//!
//! The backends share nothing but the traits they implement and never import one another; this file alone knows all three and
//! turns a user's choice into an operator.

pub mod cpu;
pub mod gpu;
pub mod reference;

use std::fmt::{self, Display};
use std::rc::Rc;
use std::str::FromStr;

use self::cpu::Cpu;
use self::gpu::{Device, Gpu, Software};
use self::reference::Reference;
use crate::curvature::{Curvature, CurvatureOperator, Objective};
use crate::error::{Error, Result};
use crate::numeric::Precision;

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
}

/// Work to be done with an operator, whatever its backend.
pub trait OperatorJob {
    /// What the work yields.
    type Output;

    /// Does the work.
    ///
    /// # Errors
    /// Whatever the work meets.
    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<Self::Output>;
}

/// Builds the operator that `options` ask for and runs `job` with it.
///
/// # Errors
/// [`Error::Input`] for a precision that the backend has not, [`Error::Device`] where no GPU fits, [`Error::NonFinite`] where the
/// loss is not finite, and whatever the job meets.
pub fn run<J: OperatorJob>(objective: &Objective, curvature: Curvature, options: &BackendOptions, job: J) -> Result<J::Output> {
    match (options.kind, options.precision) {
        (BackendKind::Auto, Some(Precision::F64)) if options.adapter.is_none() => job.run(&Cpu::<f64>::new(objective, curvature)?),
        (BackendKind::Auto, None | Some(Precision::F32)) if options.adapter.is_none() => match Device::open(None, Software::Refused) {
            Ok(device) => job.run(&Gpu::new(objective, curvature, &Rc::new(device))?),
            Err(_) => job.run(&Cpu::<f32>::new(objective, curvature)?),
        },
        (BackendKind::Auto | BackendKind::Gpu, None | Some(Precision::F32)) => {
            let device = Rc::new(Device::open(options.adapter.as_deref(), Software::Allowed)?);
            job.run(&Gpu::new(objective, curvature, &device)?)
        }
        (BackendKind::Auto | BackendKind::Gpu, Some(Precision::F64)) => {
            Err(Error::Input("a GPU computes in f32 only, but f64 was asked for: leave out --precision, or use --backend cpu".into()))
        }
        (BackendKind::Cpu, None | Some(Precision::F32)) => job.run(&Cpu::<f32>::new(objective, curvature)?),
        (BackendKind::Cpu, Some(Precision::F64)) => job.run(&Cpu::<f64>::new(objective, curvature)?),
        (BackendKind::Reference, None | Some(Precision::F64)) => job.run(&Reference::new(objective, curvature)?),
        (BackendKind::Reference, Some(Precision::F32)) => Err(Error::Input(
            "the reference computes in f64 only, but f32 was asked for: leave out --precision, or use --backend cpu".into(),
        )),
    }
}
