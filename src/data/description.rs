//! The text that describes a network layer by layer, as `network.toml` does.

use std::fmt::Write as _;

use serde_json::json;

use crate::model::{Layer, Network, Norm, NormKind, Op};

/// What [`described::build`](super::described::build) reads, with the network's tensors, to the same network.
pub(super) fn description(network: &Network) -> String {
    let mut text = format!("inputs = {}\n", network.inputs());
    for (index, layer) in network.layers().iter().enumerate() {
        let kind = match &layer.op {
            Op::Add if layer.sources.len() == 1 => "activation",
            op => op.name(),
        };
        let name = |value: usize| value.checked_sub(1).map_or_else(|| "input".to_owned(), |layer| format!("layer {layer}"));
        let from = layer.sources.iter().map(|&source| name(source)).collect::<Vec<_>>();
        // Texts, and lists of them, are written in TOML as they are in JSON.
        let mut line = |key: &str, value: serde_json::Value| _ = writeln!(text, "{key} = {value}");
        line("\n[[layer]]\nkind", json!(kind));
        line("name", json!(name(index + 1)));
        line("from", if let [single] = &from[..] { json!(single) } else { json!(from) });
        line("activation", json!(layer.activation.name()));
        if has_tensors(layer) {
            line("tensors", json!(prefix(network, index)));
        }
        if let Op::Norm(norm) = &layer.op {
            _ = writeln!(text, "eps = {:e}", norm.kind.eps());
        }
    }
    text
}

/// The running statistics of its batch normalizations, which are no parameters, by the names of their tensors.
pub(super) fn statistics(network: &Network) -> Vec<(String, &[f64])> {
    let mut found = Vec::new();
    for (index, layer) in network.layers().iter().enumerate() {
        if let Op::Norm(Norm { kind: NormKind::Batch { mean, variance, .. }, .. }) = &layer.op {
            let prefix = prefix(network, index);
            found.push((format!("{prefix}running_mean"), &mean[..]));
            found.push((format!("{prefix}running_var"), &variance[..]));
        }
    }
    found
}

fn has_tensors(layer: &Layer) -> bool {
    layer.op.parameters()[0].is_some() || matches!(&layer.op, Op::Norm(Norm { kind: NormKind::Batch { .. }, .. }))
}

/// What the names of a layer's tensors begin with, as in [`Network::tensors`].
fn prefix(network: &Network, index: usize) -> String {
    let of_tensor = network.tensors().into_iter().find(|tensor| tensor.layer == index);
    let of_tensor = of_tensor.and_then(|tensor| tensor.name.strip_suffix("weight").map(str::to_owned));
    of_tensor.or_else(|| network.layers()[index].prefix.clone()).unwrap_or_else(|| format!("{index}."))
}
