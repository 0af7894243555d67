//! From the nodes of a graph to layers.
//!
//! Every name stands for a constant, for a value that a layer makes, or for a function of such a value that waits until something else
//! reads it: only then is it told which activation or normalization it is.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::super::file::quoted;
use super::function::{Argument, Functions, Node as Function, NormKind, Step};
use super::graph::{Attributes, Graph};
use super::layers::{Kind, Made, Op};
use super::proto::Node;
use super::step::step;
use super::tensor::Tensor;
use crate::model::Activation;

/// What is understood, for messages.
const SUPPORTED: &str = "supported are Gemm, MatMul, Add, LayerNormalization, RMSNormalization, BatchNormalization, activations and what they \
                         are made of, Flatten, Reshape to the same, Identity, Cast, Dropout and Constant";

/// What a name stands for.
#[derive(Clone, Debug)]
enum Value {
    Constant(Rc<Tensor>),
    Flow(Flow),
}

/// A value of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flow {
    /// The input, 0, or what layer l − 1 makes.
    Made(usize),
    /// A node of the functions.
    Function(usize),
}

/// The import under way.
struct Import<'a> {
    graph: &'a Graph<'a>,
    values: HashMap<&'a str, Value>,
    functions: Functions,
    /// The layer values that functions have become.
    told: HashMap<usize, usize>,
    layers: Vec<Made>,
    /// Of the input and of what each layer makes; the input's may be unknown until a layer reads it.
    widths: Vec<Option<usize>>,
    /// Names of initializers that are parameters already.
    used: HashSet<&'a str>,
}

/// The layers of `graph`, in the order in which their parameters are first used.
pub(super) fn layers(graph: &Graph<'_>) -> Result<Vec<Made>, String> {
    let mut import = Import {
        graph,
        values: HashMap::from([(graph.input, Value::Flow(Flow::Made(0)))]),
        functions: Functions::default(),
        told: HashMap::new(),
        layers: Vec::new(),
        widths: vec![graph.input_width],
        used: HashSet::new(),
    };
    for node in &graph.nodes {
        let value = import.node(node).map_err(|problem| format!("{}: {problem}", describe(node)))?;
        let output = node.output.first().ok_or_else(|| format!("{}: it has no output", describe(node)))?;
        import.values.insert(output, value);
    }
    let output = import.values.get(graph.output).cloned();
    let told = |problem: String| format!("output {}: {problem}", quoted(graph.output));
    match output {
        Some(Value::Flow(flow)) => {
            let value = import.tell(flow).map_err(told)?;
            if value != import.layers.len() || value == 0 {
                return Err(told("it is not what the last layer makes".into()));
            }
            Ok(import.layers)
        }
        _ => Err(told("it does not depend on the input".into())),
    }
}

/// `Gemm 'name' (output 'y')`.
fn describe(node: &Node) -> String {
    let name = if node.name.is_empty() { String::new() } else { format!(" {}", quoted(&node.name)) };
    let output = node.output.first().map_or_else(String::new, |output| format!(" (output {})", quoted(output)));
    let op: String = node.op_type.chars().take(40).filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    format!("{op}{name}{output}")
}

impl<'a> Import<'a> {
    fn node(&mut self, node: &'a Node) -> Result<Value, String> {
        let attributes = Attributes(&node.attribute);
        if !(node.domain.is_empty() || node.domain == "ai.onnx") {
            return Err(format!("an operator of {} is not supported: {SUPPORTED}", quoted(&node.domain)));
        }
        if let Some(step) = step(&node.op_type, &attributes)? {
            return self.elementwise(node, step);
        }
        match node.op_type.as_str() {
            "Constant" => Ok(Value::Constant(Rc::new(self.graph.constant(node)?))),
            "Identity" | "Cast" => self.input(node, 0),
            "Dropout" => match self.optional(node, 2)? {
                Some(Value::Constant(training)) if training.number() == Some(0.0) => self.input(node, 0),
                None => self.input(node, 0),
                _ => Err("it drops at random: export the model in evaluation mode".into()),
            },
            "Flatten" if attributes.int("axis", 1) == 1 => self.flow(node, 0).map(Value::Flow),
            "Reshape" => self.reshape(node),
            "Transpose" => self.transpose(node, &attributes),
            "Clip" => self.clip(node),
            "ReduceMean" => self.mean(node, &attributes),
            "Gemm" => self.gemm(node, &attributes),
            "MatMul" => self.mat_mul(node),
            "LayerNormalization" | "RMSNormalization" => self.sample_norm(node, &attributes),
            "BatchNormalization" => self.batch_norm(node, &attributes),
            "Softmax" | "LogSoftmax" => Err("not supported: export the network without it, the loss has it (--loss cross-entropy)".into()),
            _ => Err(format!("not supported: {SUPPORTED}")),
        }
    }

    /// What input `index` stands for.
    fn input(&mut self, node: &'a Node, index: usize) -> Result<Value, String> {
        self.optional(node, index)?.ok_or_else(|| format!("input {index} is missing"))
    }

    fn optional(&mut self, node: &'a Node, index: usize) -> Result<Option<Value>, String> {
        let Some(name) = node.input.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        if !self.values.contains_key(name.as_str()) {
            let tensor = self.graph.initializer(name).ok_or_else(|| format!("input {} is made by no earlier node", quoted(name)))??;
            self.values.insert(name, Value::Constant(Rc::new(tensor)));
        }
        Ok(self.values.get(name.as_str()).cloned())
    }

    fn flow(&mut self, node: &'a Node, index: usize) -> Result<Flow, String> {
        match self.input(node, index)? {
            Value::Flow(flow) => Ok(flow),
            Value::Constant(_) => Err(format!("input {index} is constant, not a value of the network")),
        }
    }

    fn constant(&mut self, node: &'a Node, index: usize) -> Result<Rc<Tensor>, String> {
        match self.input(node, index)? {
            Value::Constant(tensor) => Ok(tensor),
            Value::Flow(_) => Err(format!("input {index} must be constant: products of the network's values are not supported")),
        }
    }

    /// A constant whose numbers become parameters, once.
    fn parameter(&mut self, node: &'a Node, index: usize) -> Result<Rc<Tensor>, String> {
        let tensor = self.constant(node, index)?;
        let name = node.input[index].as_str();
        if self.graph.initializer_exists(name) && !self.used.insert(name) {
            return Err(format!("parameters {} are used twice: tied parameters are not supported", quoted(name)));
        }
        Ok(tensor)
    }

    /// A row of `width` parameters; a single number is spread over them.
    fn row(&mut self, node: &'a Node, index: usize, width: usize) -> Result<Vec<f64>, String> {
        let tensor = self.parameter(node, index)?;
        match (tensor.row(), tensor.number()) {
            (Some(row), _) if row.len() == width => Ok(row.to_vec()),
            (_, Some(number)) => Ok(vec![number; width]),
            _ => Err(format!("input {index} has shape {:?}, [{width}] is needed", tensor.shape)),
        }
    }

    /// Adds a layer and yields its value.
    fn push(&mut self, node: String, op: Op, sources: Vec<usize>, activation: Activation, width: Option<usize>) -> usize {
        self.layers.push(Made { op, sources, activation, node });
        self.widths.push(width);
        self.layers.len()
    }

    /// The width of a value that is read as `expected` numbers, which the input then has.
    fn expect_width(&mut self, value: usize, expected: usize) -> Result<(), String> {
        match self.widths[value] {
            Some(width) if width != expected => Err(format!("it takes {expected} numbers, but what it reads has {width}")),
            _ => {
                self.widths[value] = Some(expected);
                Ok(())
            }
        }
    }

    /// The value that `flow` is, the layers that it takes made.
    fn tell(&mut self, flow: Flow) -> Result<usize, String> {
        let root = match flow {
            Flow::Made(value) => return Ok(value),
            Flow::Function(root) => root,
        };
        if let Some(&value) = self.told.get(&root) {
            return Ok(value);
        }
        let Function { step, of, .. } = self.functions.0[root];
        let value = if let Some(activation) = self.functions.activation(root, None) {
            self.activated(of, activation)
        } else if let Some((kind, eps)) = self.functions.normalization(root) {
            let width = self.widths[of].ok_or("it normalizes values whose number is not known")?;
            let op = Op::Norm { kind: Kind::OfSample(kind), width, eps, gain: None, shift: None };
            self.push("a normalization".into(), op, vec![of], Activation::Identity, Some(width))
        } else if let Some((inner, activation)) = self.functions.outer_activation(root) {
            let inner = self.tell(Flow::Function(inner))?;
            self.activated(inner, activation)
        } else if let (Step::Add, Some(terms)) = (step, self.terms(root)) {
            self.sum("Add".into(), terms)?
        } else {
            return Err(self.unknown());
        };
        self.told.insert(root, value);
        Ok(value)
    }

    fn unknown(&self) -> String {
        let names: Vec<_> = Activation::ALL.iter().map(|activation| activation.name()).collect();
        format!("the function that it reads is no activation known here ({}) and no normalization", names.join(", "))
    }

    /// The two values that an Add of functions of one value sums.
    fn terms(&self, root: usize) -> Option<[Flow; 2]> {
        let Function { arguments, of, .. } = &self.functions.0[root];
        let flow = |argument: &Argument| match *argument {
            Argument::Source => Some(Flow::Made(*of)),
            Argument::Node(node) => Some(Flow::Function(node)),
            Argument::Number(_) => None,
        };
        match &arguments[..] {
            [x, y] => Some([flow(x)?, flow(y)?]),
            _ => None,
        }
    }

    fn activated(&mut self, value: usize, activation: Activation) -> usize {
        match activation {
            Activation::Identity => value,
            _ => self.push(activation.name().into(), Op::Same, vec![value], activation, self.widths[value]),
        }
    }

    /// A residual connection.
    fn sum(&mut self, node: String, terms: [Flow; 2]) -> Result<usize, String> {
        let [x, y] = [self.tell(terms[0])?, self.tell(terms[1])?];
        match (self.widths[x], self.widths[y]) {
            (Some(first), Some(second)) if first != second => return Err(format!("it adds values of {first} and {second} numbers")),
            (Some(width), None) | (None, Some(width)) => [x, y].iter().for_each(|&value| self.widths[value] = Some(width)),
            _ => {}
        }
        Ok(self.push(node, Op::Add, vec![x, y], Activation::Identity, self.widths[x]))
    }

    /// A step of a function, a residual connection, or the bias or gain of the layer before.
    fn elementwise(&mut self, node: &'a Node, step: Step) -> Result<Value, String> {
        let inputs = (0..node.input.len()).map(|index| self.input(node, index)).collect::<Result<Vec<_>, _>>()?;
        if !step.takes(inputs.len()) {
            return Err(format!("it has {} inputs", inputs.len()));
        }
        let row = inputs.iter().position(|input| matches!(input, Value::Constant(tensor) if tensor.number().is_none()));
        let flows: Vec<Flow> = inputs.iter().filter_map(|input| if let Value::Flow(flow) = input { Some(*flow) } else { None }).collect();
        if let &[flow] = &flows[..]
            && inputs.len() == 2
            && matches!(step, Step::Add | Step::Mul)
        {
            let constant = usize::from(matches!(inputs[0], Value::Flow(_)));
            if row.is_some() || self.takes_row(node, flow, constant, step) {
                return self.affine(node, step, flow, constant);
            }
        }
        if row.is_some() {
            return Err("it combines the network's values with a row of constants: that is only supported as a bias or a gain".into());
        }
        let number = |input: &Value| if let Value::Constant(tensor) = input { tensor.number() } else { None };
        let Some(first) = flows.first() else {
            let numbers: Vec<f64> = inputs.iter().filter_map(number).collect();
            return Ok(Value::Constant(Rc::new(Tensor::scalar(step.value(&numbers)))));
        };
        let of = |flow: &Flow| match *flow {
            Flow::Made(value) => value,
            Flow::Function(function) => self.functions.0[function].of,
        };
        if flows.iter().any(|flow| of(flow) != of(first)) {
            return match (step, &flows[..]) {
                (Step::Add, &[x, y]) => Ok(Value::Flow(Flow::Made(self.sum(describe(node), [x, y])?))),
                _ => Err("it combines two values of the network: only their sum is supported".into()),
            };
        }
        let argument = |input: &Value| match input {
            Value::Flow(Flow::Made(_)) => Argument::Source,
            Value::Flow(Flow::Function(function)) => Argument::Node(*function),
            Value::Constant(_) => Argument::Number(number(input).unwrap_or(f64::NAN)),
        };
        Ok(Value::Flow(self.function(step, inputs.iter().map(argument).collect(), of(first))))
    }

    fn function(&mut self, step: Step, arguments: Vec<Argument>, of: usize) -> Flow {
        self.functions.0.push(Function { step, arguments, of });
        Flow::Function(self.functions.0.len() - 1)
    }

    /// Whether a single number is the bias of a layer of one output, or the gain or shift of a normalization of one number.
    fn takes_row(&self, node: &Node, flow: Flow, constant: usize, step: Step) -> bool {
        let is_parameter = node.input.get(constant).is_some_and(|name| self.graph.initializer_exists(name));
        let Flow::Made(value @ 1..) = flow else { return false };
        let one = self.widths[value] == Some(1) && is_parameter;
        match &self.layers[value - 1].op {
            Op::Dense { bias, .. } => one && bias.is_none() && step == Step::Add,
            _ => false,
        }
    }

    /// The bias of a dense layer without one, or the gain or shift of a normalization without one.
    fn affine(&mut self, node: &'a Node, step: Step, flow: Flow, constant: usize) -> Result<Value, String> {
        let value = self.tell(flow)?;
        let place = "a row of constants is only supported as the bias of a dense layer, or the gain and then the shift of a normalization";
        let Some(width) = self.widths[value].filter(|_| value > 0 && self.graph.reads(&node.input[1 - constant]) == 1) else {
            return Err(place.into());
        };
        let row = self.row(node, constant, width)?;
        let layer = &mut self.layers[value - 1];
        let slot = match (&mut layer.op, step) {
            (Op::Dense { bias, .. }, Step::Add) => bias,
            (Op::Norm { gain, shift: None, .. }, Step::Mul) => gain,
            (Op::Norm { gain: Some(_), shift, .. }, Step::Add) => shift,
            _ => return Err(place.into()),
        };
        if slot.is_some() || layer.activation != Activation::Identity {
            return Err(place.into());
        }
        *slot = Some(row);
        Ok(Value::Flow(Flow::Made(value)))
    }

    /// α·x Wᵀ + β·b as a dense layer.
    fn gemm(&mut self, node: &'a Node, attributes: &Attributes<'_>) -> Result<Value, String> {
        if attributes.int("transA", 0) != 0 {
            return Err("the network's values are transposed (transA = 1): not supported".into());
        }
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let dense = self.dense(node, attributes.int("transB", 0) != 0, alpha)?;
        if self.optional(node, 2)?.is_some() {
            let width = self.widths[dense].unwrap_or(0);
            let row = self.row(node, 2, width)?.into_iter().map(|b| beta * b).collect();
            if let Op::Dense { bias, .. } = &mut self.layers[dense - 1].op {
                *bias = Some(row);
            }
        }
        Ok(Value::Flow(Flow::Made(dense)))
    }

    fn mat_mul(&mut self, node: &'a Node) -> Result<Value, String> {
        Ok(Value::Flow(Flow::Made(self.dense(node, false, 1.0)?)))
    }

    /// A dense layer whose weight is input 1, [in, out], or [out, in] where it is transposed.
    fn dense(&mut self, node: &'a Node, transposed: bool, alpha: f64) -> Result<usize, String> {
        let flow = self.flow(node, 0)?;
        let source = self.tell(flow)?;
        let tensor = self.parameter(node, 1)?;
        let weight = if transposed { Some(Tensor::clone(&tensor)) } else { tensor.transposed() };
        let Some((&[outputs, inputs], mut weight)) =
            weight.as_ref().and_then(|w| Some((<&[usize; 2]>::try_from(&w.shape[..]).ok()?, w.values.clone())))
        else {
            return Err(format!("its weight has shape {:?}, not two extents", tensor.shape));
        };
        self.expect_width(source, inputs)?;
        weight.iter_mut().for_each(|w| *w *= alpha);
        let op = Op::Dense { inputs, outputs, weight, bias: None };
        Ok(self.push(describe(node), op, vec![source], Activation::Identity, Some(outputs)))
    }

    fn sample_norm(&mut self, node: &'a Node, attributes: &Attributes<'_>) -> Result<Value, String> {
        let flow = self.flow(node, 0)?;
        let source = self.tell(flow)?;
        if !matches!(attributes.int("axis", -1), -1 | 1) {
            return Err("it normalizes over another axis than the last: not supported".into());
        }
        let gain = self.constant(node, 1)?;
        let width = self.widths[source].unwrap_or(gain.values.len());
        self.expect_width(source, width)?;
        let gain = Some(self.row(node, 1, width)?);
        let shift = if self.optional(node, 2)?.is_some() { Some(self.row(node, 2, width)?) } else { None };
        let kind = if node.op_type == "RMSNormalization" { NormKind::Rms } else { NormKind::Layer };
        let op = Op::Norm { kind: Kind::OfSample(kind), width, eps: attributes.float("epsilon", 1e-5), gain, shift };
        Ok(Value::Flow(Flow::Made(self.push(describe(node), op, vec![source], Activation::Identity, Some(width)))))
    }

    fn batch_norm(&mut self, node: &'a Node, attributes: &Attributes<'_>) -> Result<Value, String> {
        if attributes.int("training_mode", 0) != 0 {
            return Err("it is in training mode: export the model in evaluation mode".into());
        }
        let flow = self.flow(node, 0)?;
        let source = self.tell(flow)?;
        let width = self.widths[source].map_or_else(|| self.constant(node, 1).map(|gain| gain.values.len()), Ok)?;
        self.expect_width(source, width)?;
        let (gain, shift) = (Some(self.row(node, 1, width)?), Some(self.row(node, 2, width)?));
        let (mean, variance) = (self.row(node, 3, width)?, self.row(node, 4, width)?);
        let op = Op::Norm { kind: Kind::Batch { mean, variance }, width, eps: attributes.float("epsilon", 1e-5), gain, shift };
        Ok(Value::Flow(Flow::Made(self.push(describe(node), op, vec![source], Activation::Identity, Some(width)))))
    }

    /// The mean over a sample's numbers.
    fn mean(&mut self, node: &'a Node, attributes: &Attributes<'_>) -> Result<Value, String> {
        let axes = match self.optional(node, 1)? {
            Some(Value::Constant(axes)) => axes.values.clone(),
            _ => attributes.ints("axes").unwrap_or_default().iter().map(|&axis| f64::from(i8::try_from(axis).unwrap_or(i8::MAX))).collect(),
        };
        if !matches!(axes[..], [axis] if axis == -1.0 || axis == 1.0) || attributes.int("keepdims", 1) != 1 {
            return Err("a mean over anything but a sample's numbers, with keepdims=1, is not supported".into());
        }
        let (argument, of) = match self.flow(node, 0)? {
            Flow::Made(value) => (Argument::Source, value),
            Flow::Function(function) => (Argument::Node(function), self.functions.0[function].of),
        };
        Ok(Value::Flow(self.function(Step::Mean, vec![argument], of)))
    }

    /// max(low, min(high, x)), either of which may be missing.
    fn clip(&mut self, node: &'a Node) -> Result<Value, String> {
        let (mut argument, of) = match self.flow(node, 0)? {
            Flow::Made(value) => (Argument::Source, value),
            Flow::Function(function) => (Argument::Node(function), self.functions.0[function].of),
        };
        let mut flow = None;
        for (index, step) in [(1, Step::Max), (2, Step::Min)] {
            if self.optional(node, index)?.is_none() {
                continue;
            }
            let bound = self.constant(node, index)?.number().ok_or("its bounds must be single numbers")?;
            let clipped = self.function(step, vec![argument, Argument::Number(bound)], of);
            if let Flow::Function(function) = clipped {
                argument = Argument::Node(function);
            }
            flow = Some(clipped);
        }
        flow.map(Value::Flow).ok_or_else(|| "it has no bounds".into())
    }

    /// A reshape that leaves rows of samples as they are.
    fn reshape(&mut self, node: &'a Node) -> Result<Value, String> {
        let shape = self.constant(node, 1)?.values.clone();
        let flow = self.flow(node, 0)?;
        let base = match flow {
            Flow::Made(value) => value,
            Flow::Function(function) => self.functions.0[function].of,
        };
        #[expect(clippy::cast_precision_loss, reason = "extents are far below 2⁵³")]
        let same = matches!(shape[..], [_, width] if width == -1.0 || self.widths[base].is_none_or(|found| found as f64 == width));
        if same { Ok(Value::Flow(flow)) } else { Err(format!("a reshape to {shape:?} is not supported: [N, width] is")) }
    }

    /// The transpose of a weight.
    fn transpose(&mut self, node: &'a Node, attributes: &Attributes<'_>) -> Result<Value, String> {
        if !matches!(attributes.ints("perm"), None | Some([1, 0])) {
            return Err("it permutes other than two axes: not supported".into());
        }
        let transposed = self.parameter(node, 0)?.transposed();
        transposed.map(|tensor| Value::Constant(Rc::new(tensor))).ok_or_else(|| "it transposes what is no matrix: not supported".into())
    }
}

#[cfg(test)]
mod tests;
