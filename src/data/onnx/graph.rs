//! A graph whose names are resolved: the nodes that the output needs, in their order, and its constants.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::file::quoted;
use super::proto::{self, Attribute, Node};
use super::tensor::Tensor;

/// The oldest operator set whose operators are known here.
const OLDEST: i64 = 13;

/// What the import walks through.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) input: &'a str,
    /// Numbers of a sample, where the file says.
    pub(super) input_width: Option<usize>,
    pub(super) output: &'a str,
    /// Those that the output depends on.
    pub(super) nodes: Vec<&'a Node>,
    initializers: HashMap<&'a str, &'a proto::Tensor>,
    /// How often each name is read by those nodes.
    reads: HashMap<&'a str, usize>,
    folder: &'a Path,
}

impl<'a> Graph<'a> {
    /// The graph of `model`, whose external data lie in `folder`.
    pub(super) fn new(model: &'a proto::Model, folder: &'a Path) -> Result<Self, String> {
        let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let opset = model.opset_import.iter().filter(|set| standard(&set.domain)).map(|set| set.version).max();
        match opset {
            Some(version) if version >= OLDEST => {}
            Some(version) => return Err(format!("operator set {version}: export with opset_version={OLDEST} or newer")),
            None => return Err("no operator set is named: is it an ONNX model?".into()),
        }
        let graph = model.graph.as_ref().ok_or("it has no graph: is it an ONNX model?")?;
        let initializers: HashMap<_, _> = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let inputs: Vec<_> = graph.input.iter().filter(|input| !initializers.contains_key(input.name.as_str())).collect();
        let ([input], [output]) = (&inputs[..], &graph.output[..]) else {
            return Err(format!("the graph has {} inputs and {} outputs: one of each is taken", inputs.len(), graph.output.len()));
        };
        let nodes = needed(graph, &output.name)?;
        let mut reads = HashMap::from([(output.name.as_str(), 1)]);
        nodes.iter().flat_map(|node| &node.input).for_each(|name| *reads.entry(name.as_str()).or_insert(0) += 1);
        Ok(Self { input: &input.name, input_width: width(input), output: &output.name, nodes, initializers, reads, folder })
    }

    /// The initializer of this name, read now.
    pub(super) fn initializer(&self, name: &str) -> Option<Result<Tensor, String>> {
        self.initializers.get(name).map(|tensor| Tensor::read(tensor, self.folder))
    }

    /// Whether there is an initializer of this name.
    pub(super) fn initializer_exists(&self, name: &str) -> bool {
        self.initializers.contains_key(name)
    }

    /// The tensor that a `Constant` node holds.
    pub(super) fn constant(&self, node: &Node) -> Result<Tensor, String> {
        let attribute = node.attribute.first().ok_or("it holds nothing")?;
        let row = |values: Vec<f64>| Tensor { shape: vec![values.len()], values };
        #[expect(clippy::cast_precision_loss, reason = "axes and extents are far below 2⁵³")]
        match (attribute.name.as_str(), &attribute.t) {
            ("value", Some(tensor)) => Tensor::read(tensor, self.folder),
            ("value_float", _) => Ok(Tensor::scalar(attribute.f.into())),
            ("value_int", _) => Ok(Tensor::scalar(attribute.i as f64)),
            ("value_floats", _) => Ok(row(attribute.floats.iter().copied().map(f64::from).collect())),
            ("value_ints", _) => Ok(row(attribute.ints.iter().map(|&i| i as f64).collect())),
            (name, _) => Err(format!("its value is a {}, no number", quoted(name))),
        }
    }

    /// How often `name` is read.
    pub(super) fn reads(&self, name: &str) -> usize {
        self.reads.get(name).copied().unwrap_or(0)
    }
}

/// The nodes that `output` depends on, in the order of the file, in which each reads only what earlier ones have made.
fn needed<'a>(graph: &'a proto::Graph, output: &'a str) -> Result<Vec<&'a Node>, String> {
    let mut names = HashSet::from([output]);
    let mut made = HashSet::new();
    let mut nodes = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| !name.is_empty() && names.contains(name.as_str())) {
            names.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
            nodes.push(node);
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !made.insert(name.as_str()) {
                return Err(format!("two nodes make {}", quoted(name)));
            }
        }
    }
    nodes.reverse();
    Ok(nodes)
}

/// Numbers of a sample of `value`, all extents after the first, where they are numbers.
fn width(value: &proto::ValueInfo) -> Option<usize> {
    let dimensions = &value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim;
    let extents = dimensions.iter().skip(1).map(|dimension| usize::try_from(dimension.dim_value?).ok());
    extents.collect::<Option<Vec<_>>>().filter(|extents| !extents.is_empty())?.into_iter().try_fold(1_usize, usize::checked_mul)
}

/// The attributes of a node, with the defaults of the operators.
pub(super) struct Attributes<'a>(pub(super) &'a [Attribute]);

impl Attributes<'_> {
    fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    /// A number.
    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        self.get(name).map_or(default, |attribute| attribute.f).into()
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |attribute| attribute.i)
    }

    /// Whole numbers.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.get(name).map(|attribute| &attribute.ints[..])
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(|attribute| &attribute.s[..])
    }
}
