//! A dense network: weights, biases and activations, layer by layer.

use super::activation::Activation;
use super::layout::Layout;
use crate::error::{Error, Result};

/// One dense layer, z = φ(W x + b).
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// W, [outputs, inputs] row by row, exactly as stored (every format's numbers are doubles).
    pub weight: Vec<f64>,
    /// b, as many numbers as outputs.
    pub bias: Option<Vec<f64>>,
    /// φ.
    pub activation: Activation,
}

/// Dense layers, each fed by the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    layers: Vec<Layer>,
}

impl Network {
    /// A network of `layers`.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no layer, an array has not the size of its layer, or two neighbours do not fit;
    /// [`Error::NonFinite`] where a parameter is not finite. Layers are counted from 0.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::Input("the network has no layer: give at least one weight matrix".into()));
        }
        for (index, layer) in layers.iter().enumerate() {
            let Layer { inputs, outputs, weight, bias, .. } = layer;
            if *inputs == 0 || *outputs == 0 || weight.len() != inputs * outputs {
                return Err(Error::Input(format!(
                    "layer {index}: {} weights for shape [{outputs}, {inputs}]: sizes must be positive and agree",
                    weight.len()
                )));
            }
            if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != *outputs) {
                return Err(Error::Input(format!("layer {index}: bias has {} elements, its weight {outputs} rows", bias.len())));
            }
            for (name, values) in [("weight", Some(weight)), ("bias", bias.as_ref())] {
                if let Some(at) = values.and_then(|values| values.iter().position(|x| !x.is_finite())) {
                    return Err(Error::NonFinite(format!(
                        "layer {index}: {name} element {at} is not finite: the network has diverged or the file is damaged"
                    )));
                }
            }
        }
        for (index, pair) in layers.windows(2).enumerate() {
            if pair[0].outputs != pair[1].inputs {
                return Err(Error::Input(format!(
                    "layer {index} has {} outputs but layer {} takes {} inputs: layers must chain",
                    pair[0].outputs,
                    index + 1,
                    pair[1].inputs
                )));
            }
        }
        Ok(Self { layers })
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Where each layer's parameters are in a vector of all of them.
    pub fn layout(&self) -> Layout {
        Layout::new(self.layers.iter().map(|layer| (layer.outputs, layer.inputs, layer.bias.is_some())))
    }

    /// All parameters as one vector θ, in the order of [`Layout`].
    pub fn parameters(&self) -> Vec<f64> {
        let tensors = self.layers.iter().flat_map(|layer| [Some(&layer.weight), layer.bias.as_ref()]);
        tensors.flatten().flatten().copied().collect()
    }

    /// The same network with other parameters, in the order of [`Layout`].
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        let layout = self.layout();
        let layers = self.layers.iter().zip(layout.layers()).map(|(layer, range)| Layer {
            weight: parameters[range.weight.clone()].to_vec(),
            bias: range.bias.clone().map(|bias| parameters[bias].to_vec()),
            ..*layer
        });
        Self::new(layers.collect())
    }

    /// The widths and the activations in one line, such as `64-64-10 tanh`.
    pub fn summary(&self) -> String {
        let mut widths = vec![self.inputs().to_string()];
        widths.extend(self.layers.iter().map(|layer| layer.outputs.to_string()));
        let hidden: Vec<_> = self.layers[..self.layers.len() - 1].iter().map(|layer| layer.activation.name()).collect();
        let mut names = hidden.clone();
        names.dedup();
        let mut summary = widths.join("-");
        if !names.is_empty() {
            summary = format!("{summary} {}", if names.len() == 1 { names.join(",") } else { hidden.join(",") });
        }
        match self.layers[self.layers.len() - 1].activation {
            Activation::Identity => summary,
            output => format!("{summary}, {output} output"),
        }
    }
}
