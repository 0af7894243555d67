//! From the flags to the function whose curvature is asked for.

use anyhow::{Result, bail};

use super::args::{DeviceArgs, ProblemArgs, Target};
use crate::backend::{BackendKind, BackendOptions};
use crate::curvature::{Curvature, Objective};
use crate::data::{self, DataOptions, Model, NetworkOptions};
use crate::job::Subject;
use crate::numeric::Precision;

/// The objective and where its data came from.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) objective: Objective,
    pub(super) curvature: Curvature,
    pub(super) source: String,
    /// What the user should know of how the network was read.
    pub(super) notices: Vec<String>,
}

impl Problem {
    /// Reads the files that `args` name, or takes the embedded digits.
    pub(super) fn load(args: &ProblemArgs) -> Result<Self> {
        if let (Some(path), false) = (&args.model, args.has_data()) {
            bail!("{}: a model without data: give --data FILE, or --x FILE and --y FILE", path.display());
        }
        Self::with_model(args, args.load_model()?)
    }

    /// Reads the data that `args` name for `model`.
    pub(super) fn with_model(args: &ProblemArgs, model: Model) -> Result<Self> {
        let dataset = data::load_dataset(&args.data_options(), &model.network)?;
        let source = dataset.source().to_owned();
        let criterion = args.loss.criterion(dataset.choose_loss(args.loss.kind, &model.hints, &model.network)?)?;
        let objective = dataset.into_objective(model.network, criterion, args.loss.weight_decay())?;
        Ok(Self { objective, curvature: args.curvature(), source, notices: model.notices })
    }

    /// What reports say about it.
    pub(super) fn subject(&self) -> Subject {
        let subject = Subject::new(&self.objective, self.curvature, self.source.as_str());
        Subject { notices: self.notices.clone(), ..subject }
    }
}

impl ProblemArgs {
    pub(super) fn has_data(&self) -> bool {
        self.data.is_some() || self.x.is_some()
    }

    /// The network alone.
    pub(super) fn load_model(&self) -> Result<Model> {
        Ok(match &self.model {
            Some(path) => data::load_network(path, &self.network_options())?,
            None if self.has_data() => bail!("data without a model: give --model FILE (a .safetensors file with PyTorch's names)"),
            None if self.activation.is_some() || self.output_activation.is_some() => {
                bail!("--activation and --output-activation describe a network of your own: give --model FILE as well")
            }
            None => data::digits_network()?,
        })
    }

    fn network_options(&self) -> NetworkOptions {
        NetworkOptions {
            activations: self.activation.as_ref().map_or_else(Vec::new, |list| list.0.clone()),
            output_activation: self.output_activation,
            description: self.network.clone(),
        }
    }

    fn data_options(&self) -> DataOptions {
        DataOptions {
            data: self.data.clone(),
            x: self.x.clone(),
            y: self.y.clone(),
            x_scale: self.x_scale.unwrap_or(1.0),
            samples: self.samples,
            target_is_x: self.target == Some(Target::X),
            sample_weights: self.loss.sample_weights.clone(),
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
