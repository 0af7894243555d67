//! From the flags to the function whose curvature is asked for.

use anyhow::{Context as _, Result, bail};

use super::args::{AdamArgs, DeviceArgs, Operator, ProblemArgs, Target};
use crate::backend::{BackendKind, BackendOptions};
use crate::curvature::{Curvature, Objective, View};
use crate::data::{self, DataOptions, Model, NetworkOptions};
use crate::job::{Preconditioner, Subject};
use crate::model::Network;
use crate::numeric::Precision;

/// The objective and where its data came from.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) objective: Objective,
    pub(super) curvature: Curvature,
    pub(super) preconditioner: Option<Preconditioner>,
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
        let mut source = dataset.source().to_owned();
        let criterion = args.loss.criterion(dataset.choose_loss(args.loss.kind, &model.hints, &model.network)?)?;
        let mut objective = dataset.into_objective(model.network, criterion, args.loss.weight_decay())?;
        if let Some(class) = args.class {
            let samples = objective.samples_of_class(class).context(source.clone())?;
            objective = objective.select(&samples)?;
            source = format!("{source}, class {class}");
        }
        if !args.params.is_empty() {
            let view = View::matching(&objective.network().tensors(), &args.params).context("--params")?;
            objective = objective.in_view(view);
        }
        let preconditioner = precondition(args, &mut objective)?;
        let mut notices = model.notices;
        if args.has_data() && args.x_scale.is_none() && objective.inputs().are_bytes() {
            notices.push(format!(
                "x is of bytes and used as they are, 0 to 255: for a network trained on 0 to 1 say --x-scale {}, else --x-scale 1",
                1.0 / 255.0
            ));
        }
        Ok(Self { objective, curvature: args.curvature(), preconditioner, source, notices })
    }

    /// The same of another network.
    pub(super) fn with_network(&self, network: Network) -> Result<Self> {
        let objective = self.objective.with_network(network)?;
        let (preconditioner, source) = (self.preconditioner.clone(), self.source.clone());
        Ok(Self { objective, curvature: self.curvature, preconditioner, source, notices: self.notices.clone() })
    }

    /// What reports say about it.
    pub(super) fn subject(&self) -> Subject {
        let subject = Subject::new(&self.objective, self.curvature, self.source.as_str()).preconditioned(self.preconditioner.clone());
        Subject { notices: self.notices.clone(), ..subject }
    }
}

/// Gives the objective's coordinates the units P^(-1/2) with Adam's P = diag(√v̂ + ε), where that is asked for.
fn precondition(args: &ProblemArgs, objective: &mut Objective) -> Result<Option<Preconditioner>> {
    let AdamArgs { second_moments, beta1, beta2, step, adam_eps: eps } = &args.adam;
    let (path, the_model) = match (second_moments, &args.model) {
        (None, _) if args.operator != Operator::Adam => return Ok(None),
        (Some(path), model) => (path, model.as_ref() == Some(path)),
        (None, Some(model)) => (model, true),
        (None, None) => bail!("--operator adam needs the optimizer's second moments: give --second-moments FILE"),
    };
    let tensors = objective.view().tensors(&objective.network().tensors());
    let moments = data::load_second_moments(path, &tensors, the_model)?;
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2⁵³")]
    let correction = step.map_or(1.0, |step| 1.0 - beta2.powf(step as f64));
    let units: Vec<f64> = moments.iter().map(|v| ((v / correction).sqrt() + eps).sqrt().recip()).collect();
    if let Some(at) = units.iter().position(|unit| !unit.is_finite()) {
        let name = tensors.iter().find(|tensor| tensor.range.contains(&at)).map_or("", |tensor| tensor.name.as_str());
        bail!("{}: the second moment of a parameter of {name} is 0, and so is --adam-eps: give one above 0", path.display());
    }
    let view = objective.view().clone().scaled(units)?;
    *objective = objective.clone().in_view(view);
    let source = path.display().to_string();
    Ok(Some(Preconditioner { kind: "adam", source, beta1: *beta1, beta2: *beta2, step: *step, eps: *eps }))
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

    pub(super) fn network_options(&self) -> NetworkOptions {
        NetworkOptions {
            activations: self.activation.as_ref().map_or_else(Vec::new, |list| list.0.clone()),
            output_activation: self.output_activation,
            description: self.network.clone(),
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
