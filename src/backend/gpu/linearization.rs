//! The passes at the point θ over one segment of samples: what every product with the Hessian reads.

use super::array::Array;
use super::cut::{Cut, Extents, Terms};
use super::device::Device;
use super::kernel::{Curve, Formula, Kernel};
use super::product::{self, product_cost};
use super::segment::{Data, Segment};
use super::space::{GpuBlock, GpuSpace, word};
use super::unary::{self, NormPass, Statistics, standard_rows};
use super::uniforms;
use crate::curvature::{Curvature, Mode, Objective, OutputCurvature};
use crate::error::Result;
use crate::krylov::VectorSpace as _;
use crate::model::{Activation, Network, Op};
use crate::numeric::Real;

/// The network and its loss at θ, as the kernels see them.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) layers: Vec<LayerModel>,
    /// Of the layers that normalize.
    pub(super) statistics: Vec<Option<Statistics>>,
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
    /// Whether the passes at θ are made once, and not again for every product.
    once: bool,
}

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct LayerModel {
    pub(super) op: OpModel,
    /// The values that it reads: 0 the network's input, l + 1 what layer l makes.
    pub(super) sources: Vec<usize>,
    pub(super) extents: Extents,
    pub(super) activation: Activation,
    /// Whether `bend` is kept: terms with φ'' take part, or the layer's kernel at θ has one form only, as those of the last layer and of
    /// layers that are not dense.
    pub(super) curve: Curve,
    /// Whether terms with φ'' take part in products.
    pub(super) tangent_curve: Curve,
    /// Layers that read what it makes.
    readers: Vec<usize>,
    /// Whether one dense layer alone reads it, whose pass on the way back then finishes it.
    pub(super) is_fused: bool,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpModel {
    Dense,
    Norm,
    Add,
}

/// The layers of `network` for products with `curvature`.
pub(super) fn layers(network: &Network, curvature: Curvature) -> Vec<LayerModel> {
    let last = network.layers().len() - 1;
    let layers = network.layers().iter().enumerate().map(|(index, layer)| {
        let bends = curvature.has_network_curvature() && !layer.activation.is_piecewise_linear();
        let tangent_curve = if bends { Curve::Curved } else { Curve::Linear };
        let op = match layer.op {
            Op::Dense(_) => OpModel::Dense,
            Op::Norm(_) => OpModel::Norm,
            Op::Add => OpModel::Add,
        };
        let readers = network.readers(index + 1);
        LayerModel {
            extents: Extents { inputs: network.widths()[layer.sources[0]], outputs: network.widths()[index + 1] },
            activation: layer.activation,
            curve: if index < last && op == OpModel::Dense { tangent_curve } else { Curve::Curved },
            tangent_curve,
            is_fused: matches!(readers[..], [reader] if network.layers()[reader].dense().is_some()),
            readers,
            op,
            sources: layer.sources.clone(),
        }
    });
    layers.collect()
}

/// What each layer standardizes with, where it normalizes.
fn statistics(space: &GpuSpace, network: &Network) -> Result<Vec<Option<Statistics>>> {
    network.layers().iter().map(|layer| Statistics::new(space.device(), &layer.op)).collect()
}

/// Whether layer `index` is the first on the way back to reach what layer `source` makes, by its source number `turn`.
pub(super) fn is_first_back(layers: &[LayerModel], index: usize, turn: usize) -> bool {
    let LayerModel { sources, .. } = &layers[index];
    let Some(made_by) = sources[turn].checked_sub(1) else { return true };
    layers[made_by].readers.last() == Some(&index) && !sources[..turn].contains(&sources[turn])
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
    /// δ; before all that reads the layer has been gone back through, g.
    pub(super) delta: Array,
    /// x̂ of a normalization, [width + 1, padded samples]: the last row is for what the statistics leave of each sample.
    pub(super) standard: Option<Array>,
}

/// Numbers of a [`Point`] for each padded sample.
pub(super) fn numbers_per_sample(layers: &[LayerModel]) -> usize {
    let kept = |layer: &LayerModel| layer.extents.outputs * if layer.curve == Curve::Curved { 4 } else { 3 } + standard_rows(layer);
    layers.iter().map(kept).sum::<usize>() + layers.last().map_or(0, |last| last.extents.outputs) + 1
}

impl Point {
    /// Room for segments of up to `padded` samples.
    pub(super) fn new(device: &Device, layers: &[LayerModel], padded: usize) -> Result<Self> {
        let layer = |layer: &LayerModel| {
            let array = || device.buffer("activations", layer.extents.outputs * padded);
            let bend = if layer.curve == Curve::Curved { Some(array()?) } else { None };
            let standard = match standard_rows(layer) {
                0 => None,
                rows => Some(device.buffer("normalized activations", rows * padded)?),
            };
            Ok(LayerPoint { value: array()?, first: array()?, bend, delta: array()?, standard })
        };
        let outputs = layers.last().map_or(0, |last| last.extents.outputs);
        Ok(Self {
            layers: layers.iter().map(layer).collect::<Result<_>>()?,
            factor: device.buffer("loss factors", outputs * padded)?,
            losses: device.buffer("losses", padded)?,
        })
    }

    /// z_`value`, `input` being that of the network.
    pub(super) fn value<'a>(&'a self, value: usize, input: &'a Array) -> &'a Array {
        value.checked_sub(1).map_or(input, |layer| &self.layers[layer].value)
    }
}

impl Model {
    /// Uploads θ.
    pub(super) fn new(space: &GpuSpace, objective: &Objective, curvature: Curvature, mode: Mode) -> Result<Self> {
        let network = objective.network();
        let mut parameters = space.block(1)?;
        space.upload(&network.parameters(), &mut parameters)?;
        let (loss, parameter) = Formula::of(objective.criterion().terms());
        let positive: Vec<f32> = (0..network.outputs()).map(|output| f32::from_f64(objective.criterion().output_weight(output))).collect();
        Ok(Self {
            layers: layers(network, curvature),
            statistics: statistics(space, network)?,
            loss,
            curvature,
            share: f32::from_f64(objective.output_share()),
            parameter: f32::from_f64(parameter),
            positive: space.device().buffer_of("weights of outputs", &positive)?,
            parameters,
            once: mode == Mode::Cached,
        })
    }

    /// Moves to the parameters and constants of `network`, which differs in numbers alone.
    pub(super) fn relinearize(&mut self, space: &GpuSpace, network: &Network) -> Result<()> {
        space.upload(&network.parameters(), &mut self.parameters)?;
        self.statistics = statistics(space, network)?;
        Ok(())
    }

    /// Records both passes at θ over `segment` with its data.
    pub(super) fn linearize(&self, space: &GpuSpace, segment: &Segment, data: &Data, point: &Point) -> Result<()> {
        self.evaluate(space, segment, data, point)?;
        self.backward(&self.cut(space, segment), point)
    }

    fn cut<'a>(&self, space: &'a GpuSpace, segment: &Segment) -> Cut<'a> {
        Cut { device: space.device(), shards: space.shards(), samples4: segment.padded / 4, directions: 1, once: self.once }
    }

    /// Records the pass forward alone, and the losses.
    pub(super) fn evaluate(&self, space: &GpuSpace, segment: &Segment, data: &Data, point: &Point) -> Result<()> {
        let cut = self.cut(space, segment);
        self.forward(&cut, &data.input, point)?;
        self.loss(&cut, segment, &data.expected, point)
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
            let incoming = point.value(layer.sources[0], input);
            if layer.op == OpModel::Dense {
                for step in cut.forward(index, layer.extents, [layer.extents.inputs, 0]) {
                    let weights = &self.parameters.shards[step.shard];
                    let mut bindings = vec![(1, &**weights), (2, &**incoming), (5, &*at.value), (6, &*at.first)];
                    bindings.extend(at.bend.as_deref().map(|bend| (7, bend)));
                    product::pass_with(cut.device, Kernel::Forward(layer.activation, layer.curve), step.tile, step.params, 1, &bindings)?;
                }
                continue;
            }
            match (NormPass::new(self, cut, index), &at.standard) {
                (Some(pass), Some(standard)) => pass.forward(incoming, standard, &at.value)?,
                _ => {
                    let sources: Vec<_> = layer.sources.iter().map(|&source| point.value(source, input)).collect();
                    unary::add_up(cut, layer.extents.outputs, 1, &sources, &at.value)?;
                }
            }
            unary::activate(cut, layer, layer.activation, at)?;
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
        let last = self.layers.len() - 1;
        for (index, (layer, at)) in self.layers.iter().zip(&point.layers).enumerate().rev() {
            if !layer.is_fused && index < last {
                unary::settle(cut, layer, at)?;
            }
            for (turn, source) in layer.sources.iter().enumerate() {
                let Some(source) = source.checked_sub(1) else { continue };
                let (below, model) = (&point.layers[source], &self.layers[source]);
                let accumulate = !is_first_back(&self.layers, index, turn);
                match layer.op {
                    OpModel::Dense => self.backward_product(cut, index, (model, below), &at.delta, accumulate)?,
                    OpModel::Norm => {
                        if let Some(pass) = NormPass::new(self, cut, index) {
                            pass.backward(at, &below.delta, accumulate)?;
                        }
                    }
                    OpModel::Add => unary::add(cut, layer.extents.outputs, 1, &at.delta, &below.delta, accumulate)?,
                }
            }
        }
        Ok(())
    }

    /// Wᵀ δ of dense layer `index` for what layer `below` makes: finished, or its share of g.
    fn backward_product(
        &self,
        cut: &Cut<'_>,
        index: usize,
        (model, below): (&LayerModel, &LayerPoint),
        delta: &Array,
        accumulate: bool,
    ) -> Result<()> {
        for mut step in cut.backward(index, self.layers[index].extents, Terms::Point) {
            if !model.is_fused {
                step.params.finish = 0;
                step.params.accumulate |= u32::from(accumulate);
            }
            let weights = &self.parameters.shards[step.shard];
            let mut bindings = vec![(1, &**weights), (2, &**delta), (5, &*below.first), (7, &*below.delta)];
            bindings.extend(below.bend.as_deref().map(|bend| (6, bend)));
            product::pass_with(cut.device, Kernel::Backward(model.curve), step.tile, step.params, 1, &bindings)?;
        }
        Ok(())
    }
}
