//! Layers in the order in which a graph computes them, and the network that they make up.

use super::function::NormKind;
use crate::model::{self, Activation, Dense, Network, NetworkBuilder, Norm};

/// One layer: φ(op(sources)). Values are counted from the input, 0; layer l makes value l + 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    pub(super) op: Op,
    pub(super) sources: Vec<usize>,
    pub(super) activation: Activation,
    /// The node that it comes from, for messages.
    pub(super) node: String,
}

/// What a layer does to its sources.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// W x + b, W [outputs, inputs] row by row.
    Dense { inputs: usize, outputs: usize, weight: Vec<f64>, bias: Option<Vec<f64>> },
    /// A normalization of `width` numbers.
    Norm { kind: Kind, width: usize, eps: f64, gain: Option<Vec<f64>>, shift: Option<Vec<f64>> },
    /// The sum of two values.
    Add,
    /// One value as it is, for its activation.
    Same,
}

/// A kind of normalization.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Over a sample's numbers.
    OfSample(NormKind),
    /// With statistics of the training data.
    Batch { mean: Vec<f64>, variance: Vec<f64> },
}

/// The layers with each activation put to the layer that it is of, where nothing else reads that.
pub(super) fn fused(layers: Vec<Made>) -> Vec<Made> {
    let mut reads = vec![0_usize; layers.len() + 1];
    layers.iter().flat_map(|layer| &layer.sources).for_each(|&source| reads[source] += 1);
    // Where each value is afterwards.
    let mut places = vec![0_usize];
    let mut fused: Vec<Made> = Vec::with_capacity(layers.len());
    for layer in layers {
        let sources: Vec<usize> = layer.sources.iter().map(|&source| places[source]).collect();
        if layer.op == Op::Same
            && let ([read], [at]) = (&layer.sources[..], &sources[..])
            && reads[*read] == 1
            && *at > 0
            && fused[at - 1].activation == Activation::Identity
        {
            fused[at - 1].activation = layer.activation;
            places.push(*at);
            continue;
        }
        fused.push(Made { sources, ..layer });
        places.push(fused.len());
    }
    fused
}

/// The network of `layers`, the last of which makes its output.
pub(super) fn network(layers: Vec<Made>) -> Result<Network, String> {
    let layers = fused(layers);
    let inputs = layers.iter().find(|layer| layer.sources.contains(&0)).map(|layer| match &layer.op {
        Op::Dense { inputs, .. } => Ok(*inputs),
        Op::Norm { width, .. } => Ok(*width),
        Op::Add | Op::Same => Err(format!("{}: the input's width is not known before its first dense layer or normalization", layer.node)),
    });
    let mut builder = NetworkBuilder::new(inputs.transpose()?.unwrap_or_default());
    let mut values = vec![builder.input()];
    for Made { op, sources, activation, node } in layers {
        let op = match op {
            Op::Dense { inputs, outputs, weight, bias } => model::Op::Dense(Dense { inputs, outputs, weight, bias }),
            Op::Norm { kind, width, eps, gain, shift } => {
                let kind = match kind {
                    Kind::OfSample(NormKind::Layer) => model::NormKind::Layer { eps },
                    Kind::OfSample(NormKind::Rms) => model::NormKind::Rms { eps },
                    Kind::Batch { mean, variance } => model::NormKind::Batch { mean, variance, eps },
                };
                model::Op::Norm(Norm { kind, width, gain, shift })
            }
            Op::Add | Op::Same => model::Op::Add,
        };
        let made = builder.layer(op, sources.iter().map(|&source| values[source]), activation, None);
        values.push(made.map_err(|error| format!("{node}: {error}"))?);
    }
    builder.finish().map_err(|error| error.to_string())
}
