//! A network: layers, each of which reads the input or what earlier layers made.
//!
//! A key design decision: one concept covers plain, normalized and residual networks. Values z_0 (the input) to z_L are made in order,
//! each by one layer from earlier ones; a value may be read several times. A chain of dense layers is the ordinary case, for
//! which the backends keep their fastest code.

use super::activation::Activation;
use super::layer::{Dense, Layer, Norm, NormKind, Op};
use super::layout::{LayerRange, Layout, Tensor};
use crate::error::{Error, Result};

/// Layers in the order in which they are computed, which is that of their parameters as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    layers: Vec<Layer>,
    /// Of z_0 to z_L.
    widths: Vec<usize>,
}

/// A value of a network that is being built: its input, or what a layer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(usize);

/// A network in the making: every layer is checked when it is added.
#[derive(Clone, Debug)]
pub struct NetworkBuilder {
    layers: Vec<Layer>,
    widths: Vec<usize>,
}

impl NetworkBuilder {
    /// Begins with an input of `inputs` numbers.
    pub fn new(inputs: usize) -> Self {
        Self { layers: Vec::new(), widths: vec![inputs] }
    }

    /// z_0.
    pub const fn input(&self) -> Value {
        Value(0)
    }

    /// The last value made so far.
    pub fn last(&self) -> Value {
        Value(self.layers.len())
    }

    /// Width of `value`.
    pub fn width(&self, value: Value) -> usize {
        self.widths[value.0]
    }

    /// Adds φ(op(sources)); `prefix` is what the names of its tensors begin with, where they have names.
    ///
    /// # Errors
    /// [`Error::Input`] where the number or the widths of the sources are not what `op` takes, an array has not the size that the
    /// others promise, or ε is not positive; [`Error::NonFinite`] where a number is not finite. Layers are counted from 0.
    pub fn layer(
        &mut self,
        op: impl Into<Op>,
        sources: impl IntoIterator<Item = Value>,
        activation: Activation,
        prefix: Option<String>,
    ) -> Result<Value> {
        let (op, sources): (Op, Vec<usize>) = (op.into(), sources.into_iter().map(|value| value.0).collect());
        let index = self.layers.len();
        let widths: Vec<usize> = sources.iter().filter_map(|&source| self.widths.get(source).copied()).collect();
        let outputs = output_width(&op, &widths, sources.len()).map_err(|problem| Error::Input(format!("layer {index}: {problem}")))?;
        for (name, values) in arrays(&op) {
            if let Some(at) = values.iter().position(|x| !x.is_finite()) {
                return Err(Error::NonFinite(format!(
                    "layer {index}: {name} element {at} is not finite: the network has diverged or the file is damaged"
                )));
            }
        }
        self.layers.push(Layer { op, sources, activation, prefix });
        self.widths.push(outputs);
        Ok(self.last())
    }

    /// The network, whose output is the last value.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no layer or no parameter, or something is made that no layer reads.
    pub fn finish(self) -> Result<Network> {
        let Self { layers, widths } = self;
        if layers.iter().all(|layer| layer.op.parameters() == [None, None]) {
            return Err(Error::Input("the network has no layer with parameters: give at least one weight matrix".into()));
        }
        let network = Network { layers, widths };
        if let Some(value) = (0..network.layers.len()).find(|&value| network.readers(value).is_empty()) {
            let what = if value == 0 { "the network's input".into() } else { format!("what layer {} makes", value - 1) };
            return Err(Error::Input(format!("{what} is read by no layer, and only the last layer's is the output: leave it out")));
        }
        Ok(network)
    }
}

/// Every array of `op` by name.
fn arrays(op: &Op) -> Vec<(&'static str, &Vec<f64>)> {
    let mut arrays: Vec<_> =
        ["weight", "bias"].into_iter().zip(op.parameters()).filter_map(|(name, values)| Some((name, values?))).collect();
    if let Op::Norm(Norm { kind: NormKind::Batch { mean, variance, .. }, .. }) = op {
        arrays.extend([("running mean", mean), ("running variance", variance)]);
    }
    arrays
}

/// The width of what `op` makes of `count` sources of these widths.
fn output_width(op: &Op, widths: &[usize], count: usize) -> Result<usize, String> {
    if widths.len() < count {
        return Err("reads a value that no earlier layer makes: layers come in the order in which they are computed".into());
    }
    let takes = |width: usize| match widths {
        [found] if *found == width => Ok(()),
        [found] => Err(format!("takes {width} inputs, but what it reads has {found}: layers must chain")),
        _ => Err(format!("reads {count} values: it takes one")),
    };
    match op {
        Op::Dense(Dense { inputs, outputs, weight, bias }) => {
            if *inputs == 0 || *outputs == 0 || Some(weight.len()) != inputs.checked_mul(*outputs) {
                return Err(format!("{} weights for shape [{outputs}, {inputs}]: sizes must be positive and agree", weight.len()));
            }
            if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != *outputs) {
                return Err(format!("bias has {} elements, its weight {outputs} rows", bias.len()));
            }
            takes(*inputs).map(|()| *outputs)
        }
        Op::Norm(norm) => {
            norm_fits(norm)?;
            takes(norm.width).map(|()| norm.width)
        }
        Op::Add => match *widths {
            [width] => Ok(width),
            [first, second] if first == second => Ok(first),
            [first, second] => Err(format!("adds values of {first} and {second} numbers: a projected skip is a dense layer of its own")),
            _ => Err(format!("adds {count} values: a sum is of one or two")),
        },
    }
}

fn norm_fits(norm: &Norm) -> Result<(), String> {
    let (name, width, eps) = (norm.kind.name(), norm.width, norm.kind.eps());
    let constants = match &norm.kind {
        NormKind::Batch { mean, variance, .. } => vec![("running mean", mean), ("running variance", variance)],
        _ => Vec::new(),
    };
    let parameters = [("weight", norm.gain.as_ref()), ("bias", norm.shift.as_ref())];
    for (what, values) in parameters.into_iter().filter_map(|(what, values)| Some((what, values?))).chain(constants) {
        if values.len() != width || width == 0 {
            return Err(format!("{name} of width {width} has a {what} of {} elements: they must be as many", values.len()));
        }
    }
    if norm.shift.is_some() && norm.gain.is_none() {
        return Err(format!("{name} has a bias but no weight: PyTorch has both, the weight alone, or none"));
    }
    if !eps.is_finite() || eps < f64::from(f32::MIN_POSITIVE) {
        return Err(format!("{name} has eps {eps}: it must be positive, as 1e-5 is"));
    }
    if let NormKind::Batch { variance, .. } = &norm.kind
        && let Some(at) = variance.iter().position(|&variance| variance < 0.0)
    {
        return Err(format!("{name} has running variance {} of unit {at}: it must not be negative", variance[at]));
    }
    Ok(())
}

impl Network {
    /// A network of layers that each read what the one before makes.
    ///
    /// # Errors
    /// As [`NetworkBuilder::layer`] and [`NetworkBuilder::finish`].
    pub fn chain<O: Into<Op>>(inputs: usize, layers: impl IntoIterator<Item = (O, Activation)>) -> Result<Self> {
        let mut builder = NetworkBuilder::new(inputs);
        for (op, activation) in layers {
            builder.layer(op, [builder.last()], activation, None)?;
        }
        builder.finish()
    }

    /// The same network with other parameters, θ as one vector in the order of [`Layout`].
    ///
    /// # Errors
    /// [`Error::Input`] where these are not as many, [`Error::NonFinite`] where one is not finite.
    pub fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        let layout = self.layout();
        if parameters.len() != layout.dim() {
            return Err(Error::Input(format!("{} numbers for a network of {} parameters", parameters.len(), layout.dim())));
        }
        if let Some(at) = parameters.iter().position(|x| !x.is_finite()) {
            return Err(Error::NonFinite(format!("parameter {at} is {}", parameters[at])));
        }
        let mut network = self.clone();
        for (layer, range) in network.layers.iter_mut().zip(layout.layers()) {
            let bias = range.bias.clone().unwrap_or_default();
            layer.op = layer.op.with_parameters(&parameters[range.weight.clone()], &parameters[bias]);
        }
        Ok(network)
    }

    /// Whether `other` differs in numbers alone: in parameters, running statistics or ε.
    pub fn is_shaped_as(&self, other: &Self) -> bool {
        let same = |(one, other): (&Layer, &Layer)| {
            one.sources == other.sources && one.activation == other.activation && one.op.name() == other.op.name()
        };
        self.widths == other.widths && self.layout() == other.layout() && self.layers.iter().zip(&other.layers).all(same)
    }

    /// The layers in the order in which they are computed.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// Widths of z_0 to z_L.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Numbers of the layers that read z_`value`, ascending; one that adds it to itself comes twice.
    pub fn readers(&self, value: usize) -> Vec<usize> {
        let reads =
            |(index, layer): (usize, &Layer)| layer.sources.iter().filter(|&&source| source == value).map(|_| index).collect::<Vec<_>>();
        self.layers.iter().enumerate().flat_map(reads).collect()
    }

    /// Whether it consists of dense layers, each fed by the one before.
    pub fn is_chain(&self) -> bool {
        self.layers.iter().enumerate().all(|(index, layer)| layer.dense().is_some() && layer.sources == [index])
    }

    /// Weights of the dense layers, Σ in·out: what a product's work is counted by.
    pub fn dense_weights(&self) -> usize {
        self.layers.iter().filter_map(Layer::dense).map(|dense| dense.inputs * dense.outputs).sum()
    }

    /// Where each layer's parameters are in a vector of all of them.
    pub fn layout(&self) -> Layout {
        Layout::new(self.layers.iter().map(|layer| layer.op.parameters().map(|values| values.map_or(0, Vec::len))))
    }

    /// All tensors of parameters, in the order of [`Layout`].
    pub fn tensors(&self) -> Vec<Tensor> {
        // A chain's layers are named as in an nn.Sequential with an activation behind each.
        let step = if self.is_chain() { 2 } else { 1 };
        let of_layer = |(index, (layer, range)): (usize, (&Layer, &LayerRange))| {
            let prefix = layer.prefix.clone().unwrap_or_else(|| format!("{}.", step * index));
            let shape = layer.dense().map_or_else(|| vec![range.weight.len()], |dense| vec![dense.outputs, dense.inputs]);
            let weight = Tensor { name: format!("{prefix}weight"), layer: index, shape, range: range.weight.clone() };
            let bias =
                range.bias.clone().map(|range| Tensor { name: format!("{prefix}bias"), layer: index, shape: vec![range.len()], range });
            [Some(weight).filter(|weight| !weight.range.is_empty()), bias]
        };
        self.layers.iter().zip(self.layout().layers()).enumerate().flat_map(of_layer).flatten().collect()
    }

    /// All parameters as one vector θ, in the order of [`Layout`].
    pub fn parameters(&self) -> Vec<f64> {
        self.layers.iter().flat_map(|layer| layer.op.parameters()).flatten().map(Vec::as_slice).collect::<Vec<_>>().concat()
    }

    /// The numbers besides the parameters that the function depends on: ε of each normalization and running statistics, layer by layer.
    pub fn constants(&self) -> Vec<f64> {
        let of_layer = |layer: &Layer| match &layer.op {
            Op::Norm(Norm { kind: NormKind::Batch { mean, variance, eps }, .. }) => [&[*eps], &mean[..], variance].concat(),
            Op::Norm(norm) => vec![norm.kind.eps()],
            Op::Dense(_) | Op::Add => Vec::new(),
        };
        self.layers.iter().flat_map(of_layer).collect()
    }

    /// Shape and activations in one line, such as `64-64-10 tanh`; an output activation is named where it is not the identity.
    pub fn summary(&self) -> String {
        let output = match self.layers[self.layers.len() - 1].activation {
            Activation::Identity => String::new(),
            output => format!(", {output} output"),
        };
        let activations = self.activations();
        let gap = if activations.is_empty() { "" } else { " " };
        format!("{}{gap}{activations}{output}", self.shape())
    }

    /// The hidden layers' activations of a chain, one where all are the same; elsewhere those that occur, but the identity.
    pub fn activations(&self) -> String {
        let hidden = &self.layers[..self.layers.len() - 1];
        let mut names: Vec<_> = hidden.iter().map(|layer| layer.activation.name()).collect();
        if !self.is_chain() {
            names.retain(|&name| name != "identity");
            names.sort_unstable();
            names.dedup();
        } else if names.windows(2).all(|pair| pair[0] == pair[1]) {
            names.truncate(1);
        }
        names.join(",")
    }

    /// The widths of a chain, `64-64-10`; elsewhere input, output, and how many layers of which kind, `64-10 (3 dense, 2 layer-norm)`.
    pub fn shape(&self) -> String {
        let join = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
        if self.is_chain() {
            return join(&self.widths);
        }
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for layer in &self.layers {
            match kinds.iter_mut().find(|(name, _)| *name == layer.op.name()) {
                Some((_, count)) => *count += 1,
                None => kinds.push((layer.op.name(), 1)),
            }
        }
        let kinds: Vec<_> = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect();
        format!("{} ({})", join(&[self.inputs(), self.outputs()]), kinds.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(inputs: usize, outputs: usize) -> Dense {
        Dense { inputs, outputs, weight: vec![0.5; inputs * outputs], bias: Some(vec![0.1; outputs]) }
    }

    fn layer_norm(width: usize) -> Norm {
        Norm { kind: NormKind::Layer { eps: 1e-5 }, width, gain: Some(vec![1.0; width]), shift: Some(vec![0.0; width]) }
    }

    #[test]
    fn a_residual_block_is_built_and_laid_out() {
        let mut builder = NetworkBuilder::new(3);
        let x = builder.layer(dense(3, 4), [builder.input()], Activation::Identity, None).unwrap();
        let h = builder.layer(layer_norm(4), [x], Activation::Gelu, None).unwrap();
        let f = builder.layer(dense(4, 4), [h], Activation::Identity, None).unwrap();
        let sum = builder.layer(Op::Add, [x, f], Activation::Relu, None).unwrap();
        builder.layer(dense(4, 2), [sum], Activation::Identity, None).unwrap();
        let network = builder.finish().unwrap();
        assert!(!network.is_chain());
        assert_eq!((network.readers(1), network.widths()), (vec![1, 3], &[3, 4, 4, 4, 4, 2][..]));
        assert_eq!((network.layout().dim(), network.parameters().len(), network.dense_weights()), (16 + 8 + 20 + 10, 54, 36));
        assert_eq!(network.constants(), [1e-5]);
        assert_eq!(network.summary(), "3-2 (3 dense, 1 layer-norm, 1 add) gelu,relu");
        let tensors = network.tensors();
        let names: Vec<_> = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.range.start)).collect();
        assert_eq!(names[..4], [("0.weight", 0), ("0.bias", 12), ("1.weight", 16), ("1.bias", 20)]);
        assert_eq!((tensors.len(), &tensors[6].shape), (8, &vec![2, 4]));
        let theta: Vec<f64> = (0..54_u8).map(f64::from).collect();
        assert_eq!(network.with_parameters(&theta).unwrap().parameters(), theta);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |op: Op, sources: &[usize]| {
            let mut builder = NetworkBuilder::new(3);
            builder.layer(dense(3, 4), [Value(0)], Activation::Relu, None).unwrap();
            builder.layer(op, sources.iter().map(|&source| Value(source)), Activation::Relu, None).unwrap_err().to_string()
        };
        let batch = |variance: f64| NormKind::Batch { mean: vec![0.0; 4], variance: vec![variance; 4], eps: 1e-5 };
        for (op, sources, expected) in [
            (dense(3, 4).into(), &[1][..], "layer 1: takes 3 inputs, but what it reads has 4"),
            (dense(4, 4).into(), &[2], "no earlier layer makes"),
            (dense(4, 4).into(), &[1, 1], "reads 2 values"),
            (Op::Add, &[0, 1], "adds values of 3 and 4 numbers"),
            (Op::Add, &[1, 1, 1], "adds 3 values"),
            (Norm { kind: NormKind::Rms { eps: 0.0 }, ..layer_norm(4) }.into(), &[1], "rms-norm has eps 0"),
            (Norm { gain: None, ..layer_norm(4) }.into(), &[1], "a bias but no weight"),
            (Norm { gain: Some(vec![1.0; 3]), ..layer_norm(4) }.into(), &[1], "a weight of 3 elements"),
            (Norm { kind: batch(-1.0), ..layer_norm(4) }.into(), &[1], "running variance -1 of unit 0"),
            (Norm { kind: batch(f64::NAN), ..layer_norm(4) }.into(), &[1], "running variance element 0 is not finite"),
        ] {
            let message = with(op, sources);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let mut builder = NetworkBuilder::new(3);
        builder.layer(dense(3, 4), [Value(0)], Activation::Relu, None).unwrap();
        builder.layer(dense(3, 2), [Value(0)], Activation::Relu, None).unwrap();
        assert!(builder.finish().unwrap_err().to_string().contains("what layer 0 makes is read by no layer"));
        assert!(Network::chain(3, Vec::<(Op, Activation)>::new()).unwrap_err().to_string().contains("at least one weight matrix"));
        assert!(Network::chain(3, [(Op::Add, Activation::Relu)]).is_err());
    }
}
