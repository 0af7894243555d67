//! What every job is told besides its options: what is examined, whom to tell, and when it all began.

use std::time::Instant;

use super::progress::Progress;
use super::record::{DataRecord, LayerRecord, ModelRecord};
use crate::curvature::{Curvature, Objective};
use crate::model::{Layout, Loss};

/// What a report says about the model, its data and its loss; the operator itself does not know.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The network.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// The loss.
    pub loss: Loss,
    /// λ.
    pub weight_decay: f64,
    /// Which operator of the objective.
    pub curvature: Curvature,
    /// θ, in the order of `torch.nn.utils.parameters_to_vector`.
    pub parameters: Vec<f64>,
}

impl Subject {
    /// The record of `objective`, whose data came from `source` (a file's name, or `embedded digits`).
    pub fn new(objective: &Objective, curvature: Curvature, source: impl Into<String>) -> Self {
        let layer = |layer: &crate::model::Layer| LayerRecord {
            r#in: layer.inputs,
            out: layer.outputs,
            activation: layer.activation.to_string(),
            bias: layer.bias.is_some(),
        };
        Self {
            model: ModelRecord { layers: objective.network().layers().iter().map(layer).collect(), parameters: objective.dim() },
            data: DataRecord { samples: objective.samples(), source: source.into() },
            loss: objective.loss(),
            weight_decay: objective.weight_decay(),
            curvature,
            parameters: objective.network().parameters(),
        }
    }

    /// Where each tensor is in a vector of all parameters.
    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.model.layers.iter().map(|layer| (layer.out, layer.r#in, layer.bias)))
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
