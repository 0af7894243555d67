//! The model file: a safetensors file with the tensors of PyTorch's `nn.Linear` layers.
//!
//! Only names and shapes tell what the tensors are, so that everything that is no weight or bias of a dense layer is refused by name: a
//! normalization or a convolution left out in silence would give the spectrum of another network.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ::safetensors::SafeTensors;
use ::safetensors::tensor::TensorView;

use super::array::Values;
use super::chain::{chains, natural_order, unique_chain};
use super::file::{has_ending, quoted};
use super::hints::ModelHints;
use super::moments::is_optimizer_state;
use super::onnx;
use super::safetensors::{metadata, parse, to_array};
use crate::error::{Error, Result};
use crate::model::{Activation, Layer, Network};

/// What a model file does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The hidden layers' activations: one for all, or one for each; where empty, the file's hint.
    pub activations: Vec<Activation>,
    /// The last layer's activation; where absent, the file's hint, or else the identity.
    pub output_activation: Option<Activation>,
}

/// A network and what its file says beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// The file's metadata as far as it is understood; activations are already in the network.
    pub hints: ModelHints,
}

/// Reads a network from an ONNX file, or from a safetensors file with tensors `<prefix>weight` (out × in) and `<prefix>bias` (out), the bias optional, any
/// prefix: `0.weight`, `net.10.bias`, `fc1.weight`.
///
/// The layers' order is the natural order of their names (2 before 10). Where that does not chain but exactly one order by the shapes
/// does, it is that order. Numbers are F32, F64, F16 or BF16, all widened exactly. A file `.onnx` says all that itself: dense layers,
/// normalizations, sums and activations, of operator set 13 or newer, parameters in the order in which its graph uses them.
///
/// # Errors
/// [`Error::File`] and [`Error::Format`] where the file cannot be read, or a tensor is missing, misshapen, of another type or of
/// another kind of layer; [`Error::Input`] where the activations are not known or not as many as the hidden layers;
/// [`Error::NonFinite`] where a parameter is not finite.
pub fn load_network(path: &Path, options: &NetworkOptions) -> Result<Model> {
    if has_ending(path, "onnx") {
        return onnx::load(path, options);
    }
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    parse_network(path, &bytes, options)
}

/// Reads a network from a file's content; `path` is its name in messages.
pub(super) fn parse_network(path: &Path, bytes: &[u8], options: &NetworkOptions) -> Result<Model> {
    let tensors = parse(path, bytes)?;
    let hints = ModelHints::parse(metadata(bytes));
    let in_format = |problem: String| Error::format(path, problem);
    let dense = in_order(dense_layers(&tensors).map_err(in_format)?).map_err(in_format)?;
    let activations =
        activations(dense.len(), options, &hints).map_err(|problem| Error::Input(format!("{}: {problem}", path.display())))?;
    let layers = dense.iter().zip(activations).map(|(layer, activation)| layer.read(path, activation)).collect::<Result<_>>()?;
    let network = Network::new(layers).map_err(|error| in_format(error.to_string()))?;
    let network = network.named(dense.into_iter().map(|layer| layer.prefix).collect());
    Ok(Model { network, hints })
}

/// The tensors of one layer, their shapes checked against each other.
struct Dense<'a> {
    prefix: String,
    outputs: usize,
    inputs: usize,
    weight: TensorView<'a>,
    bias: Option<TensorView<'a>>,
}

/// The layers that the tensors make up, in the natural order of their names.
fn dense_layers<'a>(tensors: &SafeTensors<'a>) -> Result<Vec<Dense<'a>>, String> {
    let mut named = tensors.tensors();
    named.retain(|(name, _)| !is_optimizer_state(name));
    named.sort_by(|(a, _), (b, _)| natural_order(a, b));
    let (mut weights, mut biases) = (Vec::new(), BTreeMap::new());
    for (name, tensor) in named {
        match (name.strip_suffix("weight"), name.strip_suffix("bias"), tensor.shape()) {
            (Some(prefix), _, &[outputs, inputs]) => weights.push((prefix.to_owned(), outputs, inputs, tensor)),
            (_, Some(prefix), &[_]) => _ = biases.insert(prefix.to_owned(), tensor),
            (_, _, shape) => {
                return Err(format!(
                    "tensor {} of shape {shape:?} is no weight [out, in] and no bias [out] of a dense layer: only networks of nn.Linear \
                     layers with elementwise activations are supported",
                    quoted(&name)
                ));
            }
        }
    }
    if weights.is_empty() {
        return Err("holds no tensor '...weight' [out, in]: save the network's state_dict as safetensors".into());
    }
    let mut layers = Vec::with_capacity(weights.len());
    for (prefix, outputs, inputs, weight) in weights {
        let name = quoted(&format!("{prefix}weight"));
        if outputs == 0 || inputs == 0 {
            return Err(format!("tensor {name} has shape [{outputs}, {inputs}]: a layer has at least one input and one output"));
        }
        let bias = biases.remove(&prefix);
        if let Some(&[length]) = bias.as_ref().map(TensorView::shape).filter(|&shape| shape != [outputs]) {
            let bias = quoted(&format!("{prefix}bias"));
            return Err(format!("tensor {bias} has {length} elements, but {name} of shape [{outputs}, {inputs}] has {outputs} rows"));
        }
        layers.push(Dense { prefix, outputs, inputs, weight, bias });
    }
    match biases.first_key_value() {
        Some((prefix, _)) => {
            let [bias, weight] = ["bias", "weight"].map(|kind| quoted(&format!("{prefix}{kind}")));
            Err(format!("tensor {bias} has no {weight} [out, in] beside it: save the whole state_dict"))
        }
        None => Ok(layers),
    }
}

/// The layers in the order in which they feed each other.
fn in_order(layers: Vec<Dense<'_>>) -> Result<Vec<Dense<'_>>, String> {
    let shapes: Vec<_> = layers.iter().map(|layer| (layer.outputs, layer.inputs)).collect();
    if chains(&shapes) {
        return Ok(layers);
    }
    let Some(order) = unique_chain(&shapes) else {
        const SHOWN: usize = 8;
        let shown = layers.iter().take(SHOWN).map(|layer| {
            let Dense { prefix, outputs, inputs, .. } = layer;
            format!("{} [{outputs}, {inputs}]", quoted(&format!("{prefix}weight")))
        });
        let mut shown: Vec<_> = shown.collect();
        if layers.len() > SHOWN {
            shown.push(format!("{} more", layers.len() - SHOWN));
        }
        return Err(format!(
            "the layers do not chain in the order of their names and their shapes [out, in] allow no other single order: {}; rename the \
             tensors so that each layer takes as many inputs as the one before has outputs",
            shown.join(", ")
        ));
    };
    let mut layers: Vec<_> = layers.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| layers[index].take()).collect())
}

/// The activation of each of `layers` layers: as asked, else as the file hints.
fn activations(layers: usize, options: &NetworkOptions, hints: &ModelHints) -> Result<Vec<Activation>, String> {
    let hidden = layers - 1;
    let fits = |activations: &[Activation]| activations.len() == 1 || activations.len() == hidden;
    let asked = &options.activations;
    if !asked.is_empty() && !fits(asked) {
        return Err(format!(
            "{} activations are given, but the network has {hidden} hidden layers: give one for all, or one for each",
            asked.len()
        ));
    }
    let chosen = if asked.is_empty() { &hints.activations } else { asked };
    let mut activations = match chosen.as_slice() {
        _ if hidden == 0 => Vec::new(),
        &[one] => vec![one; hidden],
        each if fits(each) => each.to_vec(),
        _ => {
            let names = Activation::ALL.map(Activation::name).join(", ");
            return Err(format!(
                "the file does not say which activation its {hidden} hidden layers have: give --activation, one of {names}"
            ));
        }
    };
    activations.push(options.output_activation.or(hints.output_activation).unwrap_or(Activation::Identity));
    Ok(activations)
}

impl Dense<'_> {
    fn read(&self, path: &Path, activation: Activation) -> Result<Layer> {
        let weight = self.parameters(path, "weight", &self.weight)?;
        let bias = self.bias.as_ref().map(|bias| self.parameters(path, "bias", bias)).transpose()?;
        Ok(Layer { inputs: self.inputs, outputs: self.outputs, weight, bias, activation })
    }

    /// The tensor's numbers, all of them finite.
    fn parameters(&self, path: &Path, kind: &str, tensor: &TensorView<'_>) -> Result<Vec<f64>> {
        let name = quoted(&format!("{}{kind}", self.prefix));
        let values = to_array(tensor).map_err(|problem| Error::format(path, format!("tensor {name}: {problem}")))?.values;
        if !matches!(values, Values::F32(_) | Values::F64(_)) {
            let dtype = tensor.dtype();
            return Err(Error::format(path, format!("tensor {name} is of type {dtype:?}: parameters are F32, F64, F16 or BF16")));
        }
        let values = values.into_f64();
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                let index = if kind == "weight" { format!("{}, {}", at / self.inputs, at % self.inputs) } else { at.to_string() };
                Err(Error::NonFinite(format!(
                    "{}: tensor {name} is {} at [{index}]: the network has diverged or the file is damaged",
                    path.display(),
                    values[at]
                )))
            }
            None => Ok(values),
        }
    }
}
