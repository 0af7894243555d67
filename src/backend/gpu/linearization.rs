//! The passes at the point θ: what every product with the Hessian reads, computed once and kept on the device.

use wgpu::Buffer;

use super::device::Device;
use super::kernel::{Curve, Kernel};
use super::product::{self, product_cost};
use super::space::word;
use super::uniforms::{self, NONE};
use crate::curvature::Objective;
use crate::error::Result;
use crate::model::{LayerRange, Loss};
use crate::numeric::Real;

/// One layer at θ. Arrays are [width, padded samples].
#[derive(Debug)]
pub(super) struct LayerPoint {
    pub inputs: usize,
    pub outputs: usize,
    pub range: LayerRange,
    /// Whether the layer keeps `bend`: it has φ'' terms or is the last, whose kernels have one form only.
    pub curve: Curve,
    /// z = φ(a).
    pub value: Buffer,
    /// φ'(a).
    pub first: Buffer,
    /// g ⊙ φ''(a).
    pub bend: Option<Buffer>,
    /// δ.
    pub delta: Buffer,
}

/// The forward and backward pass at θ.
#[derive(Debug)]
pub(super) struct Linearization {
    /// θ, in the space's layout of one vector.
    pub parameters: Buffer,
    /// z₀ = x, [inputs, padded samples].
    pub input: Buffer,
    pub layers: Vec<LayerPoint>,
    pub loss: Loss,
    /// What the loss's second derivative needs, [outputs, padded samples].
    pub factor: Buffer,
    /// The samples' shares of the loss, [padded samples].
    pub losses: Buffer,
    /// As many ones.
    pub ones: Buffer,
    pub samples: usize,
    pub padded: usize,
}

impl Linearization {
    /// Runs both passes for `objective`, whose vectors are padded to `stride` numbers.
    pub(super) fn new(device: &Device, objective: &Objective, stride: usize) -> Result<Self> {
        let (network, samples) = (objective.network(), objective.samples());
        let padded = samples.next_multiple_of(4);
        let parameters = device.buffer("the parameters", stride)?;
        let theta: Vec<_> = network.parameters().into_iter().map(f32::from_f64).collect();
        device.write(&parameters, 0, &theta)?;
        let inputs = network.inputs();
        let input = device
            .buffer_of("the inputs", &transposed(inputs, samples, padded, |row, column| objective.inputs().at(column * inputs + row)))?;
        let ones = device.buffer_of("sample weights", &vec![1.0; padded])?;
        let losses = device.buffer("losses", padded)?;
        let factor = device.buffer("loss factors", network.outputs() * padded)?;
        let last = network.layers().len() - 1;
        let mut layers = Vec::with_capacity(network.layers().len());
        for (index, (layer, range)) in network.layers().iter().zip(network.layout().layers()).enumerate() {
            let curve = if layer.activation.is_piecewise_linear() && index < last { Curve::Linear } else { Curve::Curved };
            let array = || device.buffer("activations", layer.outputs * padded);
            layers.push(LayerPoint {
                inputs: layer.inputs,
                outputs: layer.outputs,
                range: range.clone(),
                curve,
                value: array()?,
                first: array()?,
                bend: if curve == Curve::Curved { Some(array()?) } else { None },
                delta: array()?,
            });
        }
        let linearization = Self { parameters, input, layers, loss: objective.loss(), factor, losses, ones, samples, padded };
        linearization.forward(device, objective, stride)?;
        linearization.loss(device, objective)?;
        linearization.backward(device, stride)?;
        Ok(linearization)
    }

    /// z of the layer below layer `index`.
    pub(super) fn incoming(&self, index: usize) -> &Buffer {
        match index {
            0 => &self.input,
            _ => &self.layers[index - 1].value,
        }
    }

    /// Parameters of a product with layer `index`'s weight as it is, for vectors and tangents of one direction after another.
    pub(super) fn forward_params(&self, index: usize, stride: usize) -> uniforms::Product {
        let layer = &self.layers[index];
        uniforms::Product {
            rows: word(layer.outputs),
            depth: word(layer.inputs),
            tangent_depth: if index == 0 { 0 } else { word(layer.inputs) },
            row_stride: word(layer.inputs),
            depth_stride: 1,
            bias_offset: layer.range.bias.as_ref().map_or(NONE, |bias| word(bias.start)),
            ..self.product_params(layer, layer.inputs, layer.outputs, stride)
        }
    }

    /// Parameters of a product with layer `index`'s weight transposed.
    pub(super) fn backward_params(&self, index: usize, stride: usize) -> uniforms::Product {
        let layer = &self.layers[index];
        uniforms::Product {
            rows: word(layer.inputs),
            depth: word(layer.outputs),
            tangent_depth: word(layer.outputs),
            row_stride: 1,
            depth_stride: word(layer.inputs),
            bias_offset: NONE,
            ..self.product_params(layer, layer.outputs, layer.inputs, stride)
        }
    }

    fn product_params(&self, layer: &LayerPoint, depth: usize, rows: usize, stride: usize) -> uniforms::Product {
        let samples4 = self.padded / 4;
        uniforms::Product {
            samples4: word(samples4),
            stride4: word(samples4),
            weight_offset: word(layer.range.weight.start),
            vector_offset: word(layer.range.weight.start),
            vector_stride: word(stride),
            tangent_stride4: word(depth * samples4),
            result_stride4: word(rows * samples4),
            finish: 1,
            ..uniforms::Product::default()
        }
    }

    /// Parameters of the loss kernels.
    pub(super) fn loss_params(&self, outputs: usize) -> uniforms::Loss {
        uniforms::Loss {
            outputs: word(outputs),
            padded: word(self.padded),
            samples: word(self.samples),
            weight: f32::from_f64(self.loss.weight(self.samples, outputs)),
        }
    }

    fn forward(&self, device: &Device, objective: &Objective, stride: usize) -> Result<()> {
        for (index, (point, layer)) in self.layers.iter().zip(objective.network().layers()).enumerate() {
            let kernel = Kernel::Forward(layer.activation, point.curve);
            let mut bindings = vec![(1, &self.parameters), (2, self.incoming(index)), (5, &point.value), (6, &point.first)];
            bindings.extend(point.bend.as_ref().map(|bend| (7, bend)));
            let params = uniforms::Product { tangent_depth: 0, ..self.forward_params(index, stride) };
            product::pass(device, kernel, params, 1, &bindings)?;
        }
        Ok(())
    }

    fn loss(&self, device: &Device, objective: &Objective) -> Result<()> {
        let outputs = objective.network().outputs();
        let expected = device
            .buffer_of("the targets", &transposed(outputs, self.samples, self.padded, |row, column| objective.target(column, row)))?;
        let last = &self.layers[self.layers.len() - 1];
        let mut bindings = vec![(1, &last.value), (2, &last.first), (4, &expected), (5, &self.factor), (6, &last.delta), (7, &self.losses)];
        bindings.extend(last.bend.as_ref().map(|bend| (3, bend)));
        let cost = product_cost(outputs, 20, self.padded);
        device.dispatch(Kernel::Loss(self.loss), self.loss_params(outputs), &bindings, [self.padded.div_ceil(64), 1, 1], cost)
    }

    fn backward(&self, device: &Device, stride: usize) -> Result<()> {
        for index in (1..self.layers.len()).rev() {
            let (below, layer) = (&self.layers[index - 1], &self.layers[index]);
            let mut bindings = vec![(1, &self.parameters), (2, &layer.delta), (5, &below.first), (7, &below.delta)];
            bindings.extend(below.bend.as_ref().map(|bend| (6, bend)));
            let params = uniforms::Product { tangent_depth: 0, ..self.backward_params(index, stride) };
            product::pass(device, Kernel::Backward(below.curve), params, 1, &bindings)?;
        }
        Ok(())
    }
}

/// The numbers `at(row, column)` of `rows` × `columns`, row by row, each row padded with zeros to `padded`.
fn transposed(rows: usize, columns: usize, padded: usize, at: impl Fn(usize, usize) -> f64) -> Vec<f32> {
    let mut values = vec![0.0; rows * padded];
    for (row, values) in values.chunks_exact_mut(padded).enumerate() {
        for (column, value) in values[..columns].iter_mut().enumerate() {
            *value = f32::from_f64(at(row, column));
        }
    }
    values
}
