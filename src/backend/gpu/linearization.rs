//! The passes at the point θ over one segment of samples: what every product with the Hessian reads.

use super::array::Array;
use super::cut::{Cut, Extents, Terms};
use super::device::Device;
use super::kernel::{Curve, Formula, Kernel};
use super::product::{self, product_cost};
use super::segment::Segment;
use super::space::{GpuBlock, GpuSpace, word};
use super::uniforms;
use crate::curvature::{Curvature, Objective, OutputCurvature};
use crate::error::Result;
use crate::krylov::VectorSpace as _;
use crate::model::{Activation, Network};
use crate::numeric::Real;

/// The network and its loss at θ, as the kernels see them.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) layers: Vec<LayerModel>,
    loss: Formula,
    pub(super) curvature: Curvature,
    /// Of a term in its sample's loss.
    share: f32,
    /// The loss's, where it has one.
    parameter: f32,
    /// The weights of the outputs' positive targets.
    positive: Array,
    /// θ, one column.
    pub(super) parameters: GpuBlock,
}

/// A layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerModel {
    pub(super) extents: Extents,
    activation: Activation,
    /// Whether `bend` is kept: terms with φ'' take part, or the layer is the last, whose kernel at θ has one form only.
    pub(super) curve: Curve,
    /// Whether terms with φ'' take part in products.
    pub(super) tangent_curve: Curve,
}

/// The layers of `network` for products with `curvature`.
pub(super) fn layers(network: &Network, curvature: Curvature) -> Vec<LayerModel> {
    let last = network.layers().len() - 1;
    let layers = network.layers().iter().enumerate().map(|(index, layer)| {
        let bends = curvature.has_network_curvature() && !layer.activation.is_piecewise_linear();
        let tangent_curve = if bends { Curve::Curved } else { Curve::Linear };
        LayerModel {
            extents: Extents { inputs: layer.inputs, outputs: layer.outputs },
            activation: layer.activation,
            curve: if index < last { tangent_curve } else { Curve::Curved },
            tangent_curve,
        }
    });
    layers.collect()
}

/// What both passes leave of one segment.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) layers: Vec<LayerPoint>,
    /// What the loss's second derivative needs, or its gradient where the operator is made of those, [outputs, padded samples].
    pub(super) factor: Array,
    /// The samples' shares of the loss, [padded samples].
    pub(super) losses: Array,
}

/// One layer at θ. Arrays are [width, padded samples].
#[derive(Debug)]
pub(super) struct LayerPoint {
    /// z = φ(a).
    pub(super) value: Array,
    /// φ'(a).
    pub(super) first: Array,
    /// g ⊙ φ''(a).
    pub(super) bend: Option<Array>,
    /// δ.
    pub(super) delta: Array,
}

/// Numbers of a [`Point`] for each padded sample.
pub(super) fn numbers_per_sample(layers: &[LayerModel]) -> usize {
    let kept = |layer: &LayerModel| layer.extents.outputs * if layer.curve == Curve::Curved { 4 } else { 3 };
    layers.iter().map(kept).sum::<usize>() + layers.last().map_or(0, |last| last.extents.outputs) + 1
}

impl Point {
    /// Room for segments of up to `padded` samples.
    pub(super) fn new(device: &Device, layers: &[LayerModel], padded: usize) -> Result<Self> {
        let layer = |layer: &LayerModel| {
            let array = || device.buffer("activations", layer.extents.outputs * padded);
            let bend = if layer.curve == Curve::Curved { Some(array()?) } else { None };
            Ok(LayerPoint { value: array()?, first: array()?, bend, delta: array()? })
        };
        let outputs = layers.last().map_or(0, |last| last.extents.outputs);
        Ok(Self {
            layers: layers.iter().map(layer).collect::<Result<_>>()?,
            factor: device.buffer("loss factors", outputs * padded)?,
            losses: device.buffer("losses", padded)?,
        })
    }

    /// z of the layer below layer `index`, `input` being that of the network.
    pub(super) fn incoming<'a>(&'a self, index: usize, input: &'a Array) -> &'a Array {
        match index {
            0 => input,
            _ => &self.layers[index - 1].value,
        }
    }
}

impl Model {
    /// Uploads θ.
    pub(super) fn new(space: &GpuSpace, objective: &Objective, curvature: Curvature) -> Result<Self> {
        let network = objective.network();
        let mut parameters = space.block(1)?;
        space.upload(&network.parameters(), &mut parameters)?;
        let (loss, parameter) = Formula::of(objective.criterion().terms());
        let positive: Vec<f32> = (0..network.outputs()).map(|output| f32::from_f64(objective.criterion().output_weight(output))).collect();
        Ok(Self {
            layers: layers(network, curvature),
            loss,
            curvature,
            share: f32::from_f64(objective.output_share()),
            parameter: f32::from_f64(parameter),
            positive: space.device().buffer_of("weights of outputs", &positive)?,
            parameters,
        })
    }

    /// Records both passes at θ over `segment`, whose data `input` and `expected` hold.
    pub(super) fn linearize(&self, space: &GpuSpace, segment: &Segment, input: &Array, expected: &Array, point: &Point) -> Result<()> {
        let cut = Cut { device: space.device(), shards: space.shards(), samples4: segment.padded / 4, directions: 1 };
        self.forward(&cut, input, point)?;
        self.loss(&cut, segment, expected, point)?;
        self.backward(&cut, point)
    }

    /// Parameters of the loss kernels.
    pub(super) fn loss_params(&self, segment: &Segment) -> uniforms::Loss {
        uniforms::Loss {
            outputs: word(self.layers[self.layers.len() - 1].extents.outputs),
            padded: word(segment.padded),
            share: self.share,
            parameter: self.parameter,
            vectors: 0,
            kept: 0,
        }
    }

    /// Parameters of the kernel that multiplies by the operator's matrix in output space, and that kernel.
    pub(super) fn output_curvature(&self, segment: &Segment) -> (Kernel, uniforms::Loss) {
        let kept = u32::from(self.layers[self.layers.len() - 1].tangent_curve == Curve::Curved);
        let params = uniforms::Loss { kept, ..self.loss_params(segment) };
        let outer = |vectors: u32| (Kernel::OuterOver, uniforms::Loss { vectors, ..params });
        match self.curvature.output_curvature() {
            OutputCurvature::LossHessian => (Kernel::LossOver(self.loss), params),
            OutputCurvature::None => (Kernel::LossOver(self.loss), uniforms::Loss { share: 0.0, ..params }),
            OutputCurvature::Gradient => outer(1),
            OutputCurvature::Sampled(draws) => outer(draws.count),
        }
    }

    fn forward(&self, cut: &Cut<'_>, input: &Array, point: &Point) -> Result<()> {
        for (index, (layer, at)) in self.layers.iter().zip(&point.layers).enumerate() {
            for step in cut.forward(index, layer.extents, 0) {
                let weights = &self.parameters.shards[step.shard];
                let mut bindings = vec![(1, &**weights), (2, &**point.incoming(index, input)), (5, &*at.value), (6, &*at.first)];
                bindings.extend(at.bend.as_deref().map(|bend| (7, bend)));
                product::pass_with(cut.device, Kernel::Forward(layer.activation, layer.curve), step.tile, step.params, 1, &bindings)?;
            }
        }
        Ok(())
    }

    fn loss(&self, cut: &Cut<'_>, segment: &Segment, expected: &Array, point: &Point) -> Result<()> {
        let params = self.loss_params(segment);
        let last = &point.layers[point.layers.len() - 1];
        let outputs = [(5, &*point.factor), (6, &*last.delta), (7, &*point.losses)];
        let mut bindings = vec![(1, &*last.value), (2, &*last.first), (4, &**expected), (10, &*self.positive)];
        bindings.extend(outputs);
        bindings.extend(last.bend.as_deref().map(|bend| (3, bend)));
        let cost = product_cost(params.outputs as usize, 20, segment.padded);
        let grid = [segment.padded.div_ceil(64), 1, 1];
        cut.device.dispatch(Kernel::Loss(self.loss), params, &bindings, grid, cost)?;
        if self.curvature.output_curvature() == OutputCurvature::Gradient {
            let bindings = [(1, &*last.value), (4, &**expected), (5, &*point.factor), (10, &*self.positive)];
            cut.device.dispatch(Kernel::OutputGradient(self.loss), params, &bindings, grid, cost)?;
        }
        Ok(())
    }

    fn backward(&self, cut: &Cut<'_>, point: &Point) -> Result<()> {
        for index in (1..self.layers.len()).rev() {
            let (below, curve) = (&point.layers[index - 1], self.layers[index - 1].curve);
            for step in cut.backward(index, self.layers[index].extents, Terms::Point) {
                let weights = &self.parameters.shards[step.shard];
                let mut bindings = vec![(1, &**weights), (2, &*point.layers[index].delta), (5, &*below.first), (7, &*below.delta)];
                bindings.extend(below.bend.as_deref().map(|bend| (6, bend)));
                product::pass_with(cut.device, Kernel::Backward(curve), step.tile, step.params, 1, &bindings)?;
            }
        }
        Ok(())
    }
}
