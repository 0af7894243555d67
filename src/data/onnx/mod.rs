//! Networks as ONNX files, as `torch.onnx.export` and others write them.
//!
//! A file is hostile until proved otherwise: prost bounds the depth of messages and what they allocate by the bytes that are there, and
//! every name, shape and number is checked before it is used.

mod function;
mod graph;
mod import;
mod layers;
mod proto;
mod step;
mod tensor;

use std::path::Path;

use prost::Message as _;

use super::hints::ModelHints;
use super::weights::{Model, NetworkOptions};
use crate::error::{Error, Result};

/// Reads a network from an ONNX file: dense layers, normalizations, sums and activations; operator sets 13 and newer; weights in the file
/// or beside it.
///
/// Parameters are in the order in which the graph uses them, each weight as [out, in]; a factor α of a Gemm is multiplied in.
///
/// # Errors
/// [`Error::File`] and [`Error::Format`] where the file cannot be read or a node is not supported, which is named with its output;
/// [`Error::Input`] where activations are given, which the graph has.
pub(super) fn load(path: &Path, options: &NetworkOptions) -> Result<Model> {
    if !options.activations.is_empty() || options.output_activation.is_some() {
        let problem = "the graph has its activations: leave out --activation and --output-activation";
        return Err(Error::Input(format!("{}: {problem}", path.display())));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let in_format = |problem: String| Error::format(path, problem);
    let model = proto::Model::decode(&bytes[..]).map_err(|error| in_format(format!("damaged ONNX file: {error}")))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let graph = graph::Graph::new(&model, folder).map_err(in_format)?;
    let network = import::layers(&graph).and_then(layers::network).map_err(in_format)?;
    Ok(Model { network, hints: ModelHints::default(), notices: Vec::new() })
}
