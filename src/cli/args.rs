//! The flags that several commands share. Each group becomes one value of the library in one place.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::loss::LossArgs;
use super::values::{self, ActivationList};
use crate::backend::BackendKind;
use crate::backend::gpu::Tune;
use crate::curvature::{Curvature, Draws, Mode};
use crate::estimate::DensityOptions;
use crate::job::SamplingOptions;
use crate::krylov::Reorthogonalization;
use crate::model::Activation;
use crate::numeric::Precision;

/// The network, the data and the loss.
#[derive(Args, Debug)]
#[command(next_help_heading = "Problem (without --model and --data: digits, built in)")]
pub(super) struct ProblemArgs {
    /// Network: .safetensors with PyTorch's names (0.weight, 0.bias, 2.weight, ...), or .onnx
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// What the tensors of --model make up, layer by layer: a .toml file, see docs/networks.md [default: what the model file says]
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with_all = ["activation", "output_activation"])]
    pub(super) network: Option<PathBuf>,
    /// Data: .npz or .safetensors with x and y, or .csv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["x", "y"])]
    pub(super) data: Option<PathBuf>,
    /// Inputs alone: .npy or IDX, also .gz
    #[arg(long, value_name = "FILE")]
    pub(super) x: Option<PathBuf>,
    /// Targets alone: .npy or IDX, also .gz
    #[arg(long, value_name = "FILE", requires = "x")]
    pub(super) y: Option<PathBuf>,
    /// Multiplies x; for images in bytes 0.00392156862745098
    #[arg(long, value_name = "S", value_parser = values::finite, allow_negative_numbers = true)]
    pub(super) x_scale: Option<f64>,
    /// Takes the first N samples only
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) samples: Option<usize>,
    /// Takes the samples of class K only, of those
    #[arg(long, value_name = "K")]
    pub(super) class: Option<u32>,
    /// Takes the inputs as targets: an autoencoder
    #[arg(long, value_enum, value_name = "x")]
    pub(super) target: Option<Target>,
    /// Only these tensors' parameters, the others held: globs as a comma list, such as '0.*,2.weight' or '*.bias'
    #[arg(long, value_name = "GLOBS", value_delimiter = ',')]
    pub(super) params: Vec<String>,
    /// Of all hidden layers, or a comma list with one a layer: relu, leaky-relu, elu, gelu, gelu-tanh, silu, tanh, sigmoid,
    /// softplus, mish, hardswish, selu, identity [default: what the model file says]
    #[arg(long, value_name = "NAME", value_parser = values::activations)]
    pub(super) activation: Option<ActivationList>,
    /// Of the last layer [default: what the model file says, else identity]
    #[arg(long, value_name = "NAME")]
    pub(super) output_activation: Option<Activation>,
    /// The operator whose spectrum is asked for
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Operator::Hessian)]
    pub(super) operator: Operator,
    /// Targets drawn for each sample, for fisher-mc
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 1)]
    pub(super) draws: u32,
    /// Of the drawn targets
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) draw_seed: u64,
    #[command(flatten)]
    pub(super) loss: LossArgs,
    #[command(flatten)]
    pub(super) adam: AdamArgs,
}

/// An optimizer's preconditioner around the operator.
#[derive(Args, Debug)]
#[command(next_help_heading = "Adam's preconditioner (for --operator adam, and around others with --second-moments)")]
pub(super) struct AdamArgs {
    /// exp_avg_sq of each tensor, as .safetensors: under the tensor's name with .exp_avg_sq behind, or its name alone [default: those
    /// in the model file]
    #[arg(long, value_name = "FILE")]
    pub(super) second_moments: Option<PathBuf>,
    /// Decay of the second moments
    #[arg(long, value_name = "B", value_parser = values::decay, default_value_t = 0.999)]
    pub(super) beta2: f64,
    /// Steps that the optimizer has made, for its bias correction [default: none is made]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) step: Option<u64>,
    /// Added to the root of the second moments
    #[arg(long, value_name = "E", value_parser = values::not_negative, default_value_t = 1e-8)]
    pub(super) adam_eps: f64,
    /// Decay of the momentum: only the largest stable step depends on it
    #[arg(long, value_name = "B", value_parser = values::decay, default_value_t = 0.9)]
    pub(super) beta1: f64,
}

impl ProblemArgs {
    /// The operator that is asked for.
    pub(super) fn curvature(&self) -> Curvature {
        match self.operator {
            Operator::Hessian | Operator::Adam => Curvature::Hessian,
            Operator::Ggn => Curvature::Ggn,
            Operator::Residual => Curvature::Residual,
            Operator::FisherMc => Curvature::FisherMc(Draws { count: self.draws, seed: self.draw_seed }),
            Operator::EmpiricalFisher => Curvature::EmpiricalFisher,
            Operator::GradientCovariance => Curvature::GradientCovariance,
        }
    }
}

/// The operators by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Operator {
    // No documentation, as below.
    Hessian,
    Ggn,
    Residual,
    FisherMc,
    EmpiricalFisher,
    GradientCovariance,
    Adam,
}

/// What takes the place of y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Target {
    // No documentation: with it clap would spread the whole help over twice the lines.
    X,
}

/// Where and how to compute.
#[derive(Args, Debug)]
#[command(next_help_heading = "Device")]
pub(super) struct DeviceArgs {
    /// auto, gpu, cpu or reference; auto takes a hardware GPU if there is one, else the cpu
    #[arg(long, default_value_t)]
    pub(super) backend: BackendKind,
    /// A GPU by part of its name or by its index in `hesper adapters`
    #[arg(long, value_name = "NAME-OR-INDEX")]
    pub(super) adapter: Option<String>,
    /// How long a GPU looks for its fastest kernels: off takes the defaults, the same bits in every run; quick takes two seconds at
    /// most, once; full tries all
    #[arg(long, default_value_t = Tune::Quick)]
    pub(super) tune: Tune,
    /// f32, or f64 on the cpu; the reference is always f64
    #[arg(long)]
    pub(super) precision: Option<Precision>,
    /// Threads of the cpu [default: all]
    #[arg(long, value_name = "T", value_parser = values::count)]
    pub(super) threads: Option<usize>,
    /// The most memory to use, such as 2GiB or 500MB
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(super) memory_budget: Option<u64>,
    /// How the linearization is held: cached, recomputed or streamed [default: the fastest that fits]
    #[arg(long, value_name = "MODE")]
    pub(super) linearization: Option<Mode>,
    /// Prints how the job will fit into memory, and runs nothing
    #[arg(long)]
    pub(super) plan: bool,
}

/// What a command says, and where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct ReportArgs {
    /// Writes the result as JSON; - for standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Prints neither table nor progress
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl ReportArgs {
    /// Whether JSON takes the place of the table.
    pub(super) fn json_to_stdout(&self) -> bool {
        self.json.as_deref() == Some(std::path::Path::new("-"))
    }
}

/// A folder for all files of a command that has several.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct FolderArgs {
    /// Writes all result files into a folder, a report to look at among them
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// The random starts and the Lanczos runs from them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Method")]
pub(super) struct LanczosArgs {
    /// Random probes; the spread over them is the error bar
    #[arg(long, value_name = "P", value_parser = values::count, default_value_t = SamplingOptions::default().probes)]
    pub(super) probes: usize,
    /// Lanczos steps of each probe
    #[arg(long, value_name = "M", value_parser = values::count, default_value_t = SamplingOptions::default().steps)]
    pub(super) steps: usize,
    /// Most eigenpairs found first, so that outliers add no noise; 0 for none
    #[arg(long, value_name = "K", default_value_t = SamplingOptions::default().deflate)]
    pub(super) deflate: usize,
    /// full keeps all vectors orthogonal; none keeps three vectors and sees copies of converged eigenvalues
    #[arg(long, value_name = "HOW", value_parser = values::reorthogonalization, default_value = "full")]
    pub(super) reorthogonalize: Reorthogonalization,
    /// Probes that run at once; the result does not depend on it [default: as many as the memory holds]
    #[arg(long, value_name = "B", value_parser = values::count)]
    pub(super) columns: Option<usize>,
    #[command(flatten)]
    pub(super) seed: SeedArgs,
}

impl LanczosArgs {
    pub(super) fn options(&self, device: &DeviceArgs) -> SamplingOptions {
        SamplingOptions {
            probes: self.probes,
            steps: self.steps,
            deflate: self.deflate,
            seed: self.seed.seed,
            reorthogonalization: self.reorthogonalize,
            memory_budget: device.memory_budget,
            columns: self.columns,
        }
    }
}

/// The seed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Method")]
pub(super) struct SeedArgs {
    /// Of the random probes: the same seed gives the same result
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
}

/// The density's grid and kernel.
#[derive(Args, Debug)]
#[command(next_help_heading = "Method")]
pub(super) struct DensityArgs {
    /// Standard deviation of the Gaussian kernel [default: what the Lanczos steps resolve]
    #[arg(long, value_name = "S", value_parser = values::positive)]
    pub(super) sigma: Option<f64>,
    /// Grid points; more where sigma needs them
    #[arg(long, value_name = "N", value_parser = values::count, default_value_t = DensityOptions::default().points)]
    pub(super) points: usize,
}

impl DensityArgs {
    pub(super) fn options(&self) -> DensityOptions {
        DensityOptions { points: self.points, sigma: self.sigma }
    }
}
