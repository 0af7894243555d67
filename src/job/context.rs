//! What every job is told besides its options: what is examined, whom to tell, and when it all began.

use std::time::Instant;

use super::progress::Progress;
use super::record::{DataRecord, ModelRecord, Preconditioner, ViewRecord};
use crate::curvature::{Curvature, Objective, Reach};
use crate::model::{Criterion, Tensor, WeightDecay};

/// What a report says about the model, its data and its loss; the operator itself does not know.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The network.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// The loss and its parameters.
    pub criterion: Criterion,
    /// λ, and over which parameters.
    pub weight_decay: WeightDecay,
    /// Which operator of the objective.
    pub curvature: Curvature,
    /// The coordinates of θ: its chosen parameters in their units, in the order of `torch.nn.utils.parameters_to_vector`.
    pub parameters: Vec<f64>,
    /// The chosen tensors, with their ranges among the coordinates.
    pub tensors: Vec<Tensor>,
    /// What a product along the coordinates needs of each layer.
    pub reach: Reach,
    /// What reports say of the coordinates.
    pub view: Option<ViewRecord>,
    /// What a user should know of how the network was read: part of every report's warnings.
    pub notices: Vec<String>,
}

impl Subject {
    /// The record of `objective`, whose data came from `source` (a file's name, or `embedded digits`).
    pub fn new(objective: &Objective, curvature: Curvature, source: impl Into<String>) -> Self {
        let (network, view) = (objective.network(), objective.view());
        let tensors = view.tensors(&network.tensors());
        Self {
            model: ModelRecord::new(network),
            data: DataRecord { samples: objective.samples(), source: source.into() },
            criterion: objective.criterion().clone(),
            weight_decay: objective.weight_decay(),
            curvature,
            parameters: view.coordinates(&network.parameters()),
            reach: Reach::of(network, view.ranges()),
            view: (!view.is_whole(objective.dim())).then(|| ViewRecord {
                tensors: tensors.iter().map(|tensor| tensor.name.clone()).collect(),
                parameters: view.dim(),
                preconditioner: None,
            }),
            tensors,
            notices: Vec::new(),
        }
    }

    /// The same where the view's units come from `preconditioner`.
    #[must_use]
    pub fn preconditioned(mut self, preconditioner: Option<Preconditioner>) -> Self {
        if let Some(view) = &mut self.view {
            view.preconditioner = preconditioner;
        }
        self
    }

    /// The same with the preconditioner of `other`, a subject in the same units.
    #[must_use]
    pub(super) fn preconditioned_as(self, other: &Self) -> Self {
        self.preconditioned(other.view.as_ref().and_then(|view| view.preconditioner.clone()))
    }

    /// The operator's name: `adam` is the Hessian with an optimizer's preconditioner around it.
    pub fn operator(&self) -> &'static str {
        match (self.curvature, self.view.as_ref().and_then(|view| view.preconditioner.as_ref())) {
            (Curvature::Hessian, Some(preconditioner)) => preconditioner.kind,
            (curvature, _) => curvature.name(),
        }
    }
}

/// The surroundings of one job.
pub struct JobContext<'a> {
    /// What is examined.
    pub subject: Subject,
    /// Whom to tell how far the job is.
    pub progress: &'a dyn Progress,
    /// When the whole thing began: the time from here to the job's start is reported as `setup`.
    pub started: Instant,
}

impl<'a> JobContext<'a> {
    /// A context whose clock starts now; make it before the operator is built, so that `setup` covers that.
    pub fn new(subject: Subject, progress: &'a dyn Progress) -> Self {
        Self { subject, progress, started: Instant::now() }
    }
}
