//! The model file: a safetensors file with the tensors of a PyTorch network, and where they do not tell what they make up, a text that
//! does.
//!
//! Only names and shapes tell what the tensors are, so that everything that is not understood is refused by name: a layer left out in
//! silence would give the spectrum of another network.

use std::fs;
use std::path::{Path, PathBuf};

use super::chain::{chains, unique_chain};
use super::described;
use super::file::{has_ending, quoted};
use super::hints::ModelHints;
use super::inferred::{Module, ModuleKind, activation_places, modules, notice};
use super::onnx;
use super::safetensors::metadata;
use super::tensors::Tensors;
use crate::error::{Error, Result};
use crate::model::{Activation, Network, NetworkBuilder};

/// What a model file does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The hidden layers' activations: one for all, or one for each; where empty, the file's hint.
    pub activations: Vec<Activation>,
    /// The last layer's activation; where absent, the file's hint, or else the identity.
    pub output_activation: Option<Activation>,
    /// A file that describes the network layer by layer; where absent, the text in the model file's metadata under `network`, if any.
    pub description: Option<PathBuf>,
}

/// A network and what its file says beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// The file's metadata as far as it is understood; activations are already in the network.
    pub hints: ModelHints,
    /// What the user should know of how the network was read.
    pub notices: Vec<String>,
}

/// Reads a network from an ONNX file, or from a safetensors file with tensors `<prefix>weight` (out × in) and `<prefix>bias` (out), the bias optional, any
/// prefix: `0.weight`, `net.10.bias`, `fc1.weight`; or one that is described layer by layer.
///
/// Without a description the layers' order is the natural order of their names (2 before 10). Where that does not chain but exactly one
/// order by the shapes does, it is that order. Numbers are F32, F64, F16 or BF16, all widened exactly. A file `.onnx` says all
/// that itself: dense layers, normalizations, sums and activations, of operator set 13 or newer, parameters in the order in which its
/// graph uses them.
///
/// # Errors
/// [`Error::File`] and [`Error::Format`] where a file cannot be read, or a tensor is missing, misshapen, of another type or of
/// another kind of layer; [`Error::Input`] where the description is not understood, or the activations are not known or not as many as
/// the hidden layers; [`Error::NonFinite`] where a parameter is not finite.
pub fn load_network(path: &Path, options: &NetworkOptions) -> Result<Model> {
    if has_ending(path, "onnx") {
        return onnx::load(path, options);
    }
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    parse_network(path, &bytes, options)
}

/// Reads a network from a file's content; `path` is its name in messages.
pub(super) fn parse_network(path: &Path, bytes: &[u8], options: &NetworkOptions) -> Result<Model> {
    let tensors = Tensors::parse(path, bytes)?;
    let hints = ModelHints::parse(metadata(bytes));
    let given = options.description.as_ref();
    let text = given.map(|file| fs::read_to_string(file).map_err(|error| Error::file(file, error))).transpose()?;
    let described = match (text, given, &hints.network) {
        (Some(text), Some(file), _) => Some((file.display().to_string(), text)),
        (_, _, Some(text)) => Some((format!("{}, its metadata 'network'", path.display()), text.clone())),
        _ => None,
    };
    let (network, notices) = match described {
        Some((name, _)) if !options.activations.is_empty() || options.output_activation.is_some() => {
            return Err(Error::Input(format!("{name} states the activations: leave out --activation and --output-activation")));
        }
        Some((name, text)) => described::build(&name, &text, &tensors)?,
        None => infer(path, &tensors, options, &hints)?,
    };
    Ok(Model { network, hints, notices })
}

/// The network that the tensors make up by themselves.
fn infer(path: &Path, tensors: &Tensors<'_>, options: &NetworkOptions, hints: &ModelHints) -> Result<(Network, Vec<String>)> {
    let in_format = |problem: String| tensors.error(problem);
    let modules = in_order(modules(tensors).map_err(in_format)?).map_err(in_format)?;
    let places = activation_places(&modules).map_err(in_format)?;
    let mut chosen = activations(places.len(), options, hints).map_err(|problem| Error::Input(format!("{}: {problem}", path.display())))?;
    let output = chosen.pop();
    let mut activation = vec![Activation::Identity; modules.len()];
    places.iter().zip(chosen).for_each(|(&place, chosen)| activation[place] = chosen);
    if let (Some(last), Some(output)) = (activation.last_mut(), output) {
        *last = output;
    }
    let ops = modules.iter().map(|module| module.read(tensors)).collect::<Result<Vec<_>>>()?;
    let inputs = modules.iter().find_map(|module| if let ModuleKind::Dense(_, inputs) = module.kind { Some(inputs) } else { None });
    let mut builder = NetworkBuilder::new(inputs.unwrap_or(0));
    for ((module, op), activation) in modules.iter().zip(ops).zip(activation) {
        let added = builder.layer(op, [builder.last()], activation, Some(module.prefix.clone()));
        added.map_err(|error| in_format(error.to_string()))?;
    }
    let network = builder.finish().map_err(|error| in_format(error.to_string()))?;
    Ok((network, notice(&modules).into_iter().collect()))
}

/// The modules in the order in which they feed each other. Only dense layers have shapes that tell it where the names do not.
fn in_order(modules: Vec<Module>) -> Result<Vec<Module>, String> {
    let shape = |module: &Module| if let ModuleKind::Dense(outputs, inputs) = module.kind { Some((outputs, inputs)) } else { None };
    let shapes: Vec<_> = modules.iter().filter_map(shape).collect();
    if chains(&shapes) {
        return Ok(modules);
    }
    let order = if shapes.len() == modules.len() { unique_chain(&shapes) } else { None };
    let Some(order) = order else {
        const SHOWN: usize = 8;
        let dense = modules.iter().zip(&shapes).filter(|_| shapes.len() == modules.len());
        let shown = dense
            .take(SHOWN)
            .map(|(module, (outputs, inputs))| format!("{} [{outputs}, {inputs}]", quoted(&format!("{}weight", module.prefix))));
        let mut shown: Vec<_> = shown.collect();
        if shown.is_empty() {
            return Err(
                "the layers do not chain in the order of their names: say what reads what in a network.toml (--network FILE)".into()
            );
        }
        if modules.len() > SHOWN {
            shown.push(format!("{} more", modules.len() - SHOWN));
        }
        return Err(format!(
            "the layers do not chain in the order of their names and their shapes [out, in] allow no other single order: {}; rename the \
             tensors so that each layer takes as many inputs as the one before has outputs, or say what reads what in a network.toml \
             (--network FILE)",
            shown.join(", ")
        ));
    };
    Ok(order.into_iter().map(|index| modules[index].clone()).collect())
}

/// The activations of `hidden` places and of the last layer: as asked, else as the file hints.
fn activations(hidden: usize, options: &NetworkOptions, hints: &ModelHints) -> Result<Vec<Activation>, String> {
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
