//! From the flags to the function whose curvature is asked for.

use anyhow::{Result, bail};

use super::args::{DeviceArgs, ProblemArgs, Target};
use crate::backend::{BackendKind, BackendOptions};
use crate::curvature::{Curvature, Objective};
use crate::data::{self, DataOptions, Model, NetworkOptions};
use crate::job::Subject;
use crate::model::Network;
use crate::numeric::Precision;

/// The objective and where its data came from.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) objective: Objective,
    pub(super) curvature: Curvature,
    pub(super) source: String,
}

impl Problem {
    /// Reads the files that `args` name, or takes the embedded digits.
    pub(super) fn load(args: &ProblemArgs) -> Result<Self> {
        let has_data = args.data.is_some() || args.x.is_some();
        let model = match &args.model {
            Some(path) if has_data => data::load_network(path, &args.network_options())?,
            Some(path) => bail!("{}: a model without data: give --data FILE, or --x FILE and --y FILE", path.display()),
            None if has_data => bail!("data without a model: give --model FILE (a .safetensors file with PyTorch's names)"),
            None if args.activation.is_some() || args.output_activation.is_some() => {
                bail!("--activation and --output-activation describe a network of your own: give --model FILE as well")
            }
            None => data::digits_network()?,
        };
        Self::of(args, model)
    }

    /// `model` on the data that `args` name, or on the embedded digits.
    pub(super) fn of(args: &ProblemArgs, model: Model) -> Result<Self> {
        let dataset = data::load_dataset(&args.data_options(), &model.network)?;
        let source = dataset.source().to_owned();
        let loss = dataset.choose_loss(args.loss, &model.hints, &model.network)?;
        let objective = dataset.into_objective(model.network, loss, args.weight_decay)?;
        Ok(Self { objective, curvature: args.curvature(), source })
    }

    /// The same of another network.
    pub(super) fn with_network(&self, network: Network) -> Result<Self> {
        let objective = self.objective.with_network(network)?;
        Ok(Self { objective, curvature: self.curvature, source: self.source.clone() })
    }

    /// What reports say about it.
    pub(super) fn subject(&self) -> Subject {
        Subject::new(&self.objective, self.curvature, self.source.as_str())
    }
}

impl ProblemArgs {
    pub(super) fn network_options(&self) -> NetworkOptions {
        NetworkOptions {
            activations: self.activation.as_ref().map_or_else(Vec::new, |list| list.0.clone()),
            output_activation: self.output_activation,
        }
    }

    pub(super) fn data_options(&self) -> DataOptions {
        DataOptions {
            data: self.data.clone(),
            x: self.x.clone(),
            y: self.y.clone(),
            x_scale: self.x_scale.unwrap_or(1.0),
            samples: self.samples,
            target_is_x: self.target == Some(Target::X),
        }
    }
}

impl DeviceArgs {
    /// The backend's options; the number of threads takes effect here, since it is the whole process's.
    pub(super) fn options(&self) -> Result<BackendOptions> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        }
        if self.backend == BackendKind::Gpu && self.precision == Some(Precision::F64) {
            bail!("the gpu computes in f32 only, but --precision f64 was asked for: use --backend cpu --precision f64");
        }
        if self.adapter.is_some() && matches!(self.backend, BackendKind::Cpu | BackendKind::Reference) {
            bail!("--adapter names a GPU, but --backend is {}: leave out one of them", self.backend);
        }
        Ok(BackendOptions {
            kind: self.backend,
            adapter: self.adapter.clone(),
            precision: self.precision,
            memory_budget: self.memory_budget,
            mode: self.linearization,
            tune: self.tune,
            variants: None,
        })
    }
}
