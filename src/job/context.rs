//! What every job is told besides its options: what is examined, whom to tell, and when it all began.

use std::time::Instant;

use super::progress::Progress;
use super::record::{DataRecord, ModelRecord};
use crate::curvature::{Curvature, Objective};
use crate::model::{Criterion, Layout, WeightDecay};

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
    /// Where the parameters of each layer are in θ.
    pub layout: Layout,
    /// θ, in the order of `torch.nn.utils.parameters_to_vector`.
    pub parameters: Vec<f64>,
    /// What a user should know of how the network was read: part of every report's warnings.
    pub notices: Vec<String>,
}

impl Subject {
    /// The record of `objective`, whose data came from `source` (a file's name, or `embedded digits`).
    pub fn new(objective: &Objective, curvature: Curvature, source: impl Into<String>) -> Self {
        let network = objective.network();
        Self {
            model: ModelRecord::new(network),
            layout: network.layout(),
            data: DataRecord { samples: objective.samples(), source: source.into() },
            criterion: objective.criterion().clone(),
            weight_decay: objective.weight_decay(),
            curvature,
            parameters: network.parameters(),
            notices: Vec::new(),
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
