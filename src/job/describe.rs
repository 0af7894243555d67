//! The network, the data and the loss as they were found.

use serde::Serialize;

use super::context::Subject;
use super::record::{DataRecord, LayerRecord, ModelRecord};
use crate::curvature::Objective;
use crate::model::{Network, Targets};

/// `hesper.describe/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribeReport {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The network.
    pub model: ModelRecord,
    /// Its tensors, in the order of the vector of all parameters.
    pub tensors: Vec<TensorRecord>,
    /// The data; null where only a model was given.
    pub data: Option<DescribedData>,
    /// The loss; null where only a model was given.
    pub loss: Option<DescribedLoss>,
    /// What should be known of how the network was read.
    pub warnings: Vec<String>,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorRecord {
    /// Its name in the file.
    pub name: String,
    /// The number of its layer in `model.layers`, from 0.
    pub layer: usize,
    /// [out, in] of a weight, `[n]` of all others.
    pub shape: Vec<usize>,
    /// Where it begins in the vector of all parameters.
    pub offset: usize,
    /// How many numbers it has.
    pub count: usize,
}

/// The data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribedData {
    /// Samples and source.
    #[serde(flatten)]
    pub record: DataRecord,
    /// Numbers of a sample.
    pub inputs: usize,
    /// `classes`, `values`, or `inputs` of an autoencoder.
    pub targets: &'static str,
}

/// The loss.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribedLoss {
    /// Its name.
    pub kind: String,
    /// λ.
    pub weight_decay: f64,
}

impl DescribeReport {
    /// Of a network alone.
    pub fn of_network(network: &Network, notices: Vec<String>) -> Self {
        let tensors = network.tensors().into_iter().map(|tensor| TensorRecord {
            name: tensor.name,
            layer: tensor.layer,
            shape: tensor.shape,
            offset: tensor.range.start,
            count: tensor.range.len(),
        });
        Self {
            schema: "hesper.describe/1",
            version: env!("CARGO_PKG_VERSION"),
            model: ModelRecord::new(network),
            tensors: tensors.collect(),
            data: None,
            loss: None,
            warnings: notices,
        }
    }

    /// Of a network with its data and its loss.
    pub fn of_objective(objective: &Objective, subject: Subject) -> Self {
        let targets = match objective.targets() {
            Targets::Classes(_) => "classes",
            Targets::Values(_) => "values",
            Targets::Inputs => "inputs",
        };
        Self {
            data: Some(DescribedData { record: subject.data, inputs: objective.inputs().width(), targets }),
            loss: Some(DescribedLoss { kind: subject.criterion.loss().to_string(), weight_decay: subject.weight_decay.factor }),
            ..Self::of_network(objective.network(), subject.notices)
        }
    }

    /// The tensors of a layer.
    pub fn tensors_of(&self, layer: usize) -> impl Iterator<Item = &TensorRecord> {
        self.tensors.iter().filter(move |tensor| tensor.layer == layer)
    }

    /// The layers, numbered.
    pub fn layers(&self) -> impl Iterator<Item = (usize, &LayerRecord)> {
        self.model.layers.iter().enumerate()
    }
}
