//! The layers that are no matrix products: normalizations, sums and activations alone; and how a value that several layers read, or
//! one that is not read by a dense layer alone, gets what comes back from all of them.
//!
//! A key design decision: dense layers keep their fused passes. What only one dense layer reads is finished by that layer's pass on the way
//! back, as in a chain. Elsewhere each reader adds its share, to g at the point θ, which [`settle`] then makes δ of, and on the way back
//! of the tangents to Rδ, of which every share is multiplied with φ' as it is added.

use wgpu::Buffer;

use super::array::Array;
use super::cut::Cut;
use super::device::Device;
use super::kernel::{Curve, Kernel, RowNorm};
use super::linearization::{LayerModel, LayerPoint, Model, OpModel};
use super::space::{GpuBlock, groups, vector_cost, word};
use super::uniforms::{Elementwise, NONE, Norm};
use crate::error::Result;
use crate::model::{Activation, NormKind, Op};
use crate::numeric::Real;

/// Vec4 of samples that a workgroup of norm.wgsl works on.
const COLUMNS4: usize = 8;

/// What a normalization standardizes with.
#[derive(Debug)]
pub(super) enum Statistics {
    /// Those of each sample, and ε.
    OfRows(RowNorm, f32),
    /// Mean and 1/√(variance + ε) of each unit, [2, width].
    Constant(Array),
}

impl Statistics {
    /// Those of `op`, where it is a normalization.
    pub(super) fn new(device: &Device, op: &Op) -> Result<Option<Self>> {
        let Op::Norm(norm) = op else { return Ok(None) };
        Ok(Some(match &norm.kind {
            NormKind::Layer { eps } => Self::OfRows(RowNorm::Layer, f32::from_f64(*eps)),
            NormKind::Rms { eps } => Self::OfRows(RowNorm::Rms, f32::from_f64(*eps)),
            NormKind::Batch { mean, variance, eps } => {
                let inverse = variance.iter().map(|variance| (variance + eps).sqrt().recip());
                let constants: Vec<f32> = mean.iter().copied().chain(inverse).map(f32::from_f64).collect();
                Self::Constant(device.buffer_of("running statistics", &constants)?)
            }
        }))
    }
}

/// A normalization's passes over one segment.
pub(super) struct NormPass<'a> {
    model: &'a Model,
    statistics: &'a Statistics,
    cut: &'a Cut<'a>,
    params: Norm,
    shard: usize,
}

/// What a tangent pass back through a layer starts from and ends in.
pub(super) struct Back<'a> {
    /// Of the layer at the point θ.
    pub(super) at: &'a LayerPoint,
    /// R x̂ of the layer.
    pub(super) standard: Option<&'a Array>,
    /// R δ of the layer.
    pub(super) delta: &'a Array,
    /// φ' of what it reads, and where its R δ is added up.
    pub(super) first: &'a Array,
    pub(super) target: &'a Array,
    /// Whether there is something to add to.
    pub(super) accumulate: bool,
}

impl<'a> NormPass<'a> {
    /// That of layer `index`; none where it is no normalization.
    pub(super) fn new(model: &'a Model, cut: &'a Cut<'a>, index: usize) -> Option<Self> {
        let statistics = model.statistics[index].as_ref()?;
        let layer = &model.layers[index];
        let width = layer.extents.outputs;
        let piece = cut.shards.layer(index).first();
        let shard = piece.map_or(0, |piece| piece.shard);
        let params = Norm {
            width: word(width),
            samples4: word(cut.samples4),
            gain_offset: piece.map_or(NONE, |piece| word(piece.weight)),
            shift_offset: piece.and_then(|piece| piece.bias).map_or(NONE, word),
            vector_stride: word(cut.shards.stride(shard)),
            eps: if let Statistics::OfRows(_, eps) = statistics { *eps } else { 0.0 },
            tangent: u32::from(layer.sources[0] > 0),
            mixed: u32::from(model.curvature.has_network_curvature()),
            accumulate: 0,
            groups: word(groups(width * cut.samples4)),
        };
        Some(Self { model, statistics, cut, params, shard })
    }

    /// Records a pass: the kernels for statistics of rows and for constants, and which of the bindings the former alone, or both, have.
    fn dispatch(
        &self,
        params: Norm,
        (of_rows, constant): (impl Fn(RowNorm) -> Kernel, Kernel),
        of_rows_only: &[(u32, &Buffer)],
        bindings: &[(u32, &Buffer)],
        directions: usize,
    ) -> Result<()> {
        let parameters: (u32, &Buffer) = (1, &self.model.parameters.shards[self.shard]);
        let mut all = [&[parameters], bindings].concat();
        let cost = 4.0 * vector_cost(self.params.width as usize * self.cut.samples4 * directions);
        match self.statistics {
            Statistics::OfRows(norm, _) => {
                all.extend(of_rows_only);
                self.cut.device.dispatch(of_rows(*norm), params, &all, [self.cut.samples4.div_ceil(COLUMNS4), 1, directions], cost)
            }
            Statistics::Constant(constants) => {
                all.push((9, constants));
                self.cut.device.dispatch(constant, params, &all, [self.params.groups as usize, 1, directions], cost)
            }
        }
    }

    /// x̂ and a from x.
    pub(super) fn forward(&self, x: &Buffer, standard: &Buffer, a: &Buffer) -> Result<()> {
        let bindings = [(3, x), (10, standard), (11, a)];
        self.dispatch(self.params, (Kernel::NormForward, Kernel::BatchForward), &[], &bindings, 1)
    }

    /// What comes back to x, into `g` or added to it.
    pub(super) fn backward(&self, at: &LayerPoint, g: &Buffer, accumulate: bool) -> Result<()> {
        let params = Norm { accumulate: u32::from(accumulate), ..self.params };
        let standard: Vec<(u32, &Buffer)> = at.standard.iter().map(|standard| (4, &**standard)).collect();
        self.dispatch(params, (Kernel::NormBackward, Kernel::BatchBackward), &standard, &[(6, &at.delta), (11, g)], 1)
    }

    /// R x̂ and R a from R x, none where that is 0; `stand_in` is then bound in its place, and not read.
    pub(super) fn forward_over(
        &self,
        vector: &GpuBlock,
        rx: Option<&Array>,
        stand_in: &Array,
        at: &LayerPoint,
        (rstandard, ra): (&Array, &Array),
    ) -> Result<()> {
        let params = Norm { tangent: u32::from(rx.is_some()), ..self.params };
        let mut bindings: Vec<(u32, &Buffer)> =
            vec![(2, &vector.shards[self.shard]), (3, rx.unwrap_or(stand_in)), (10, rstandard), (11, ra)];
        bindings.extend(at.standard.iter().map(|standard| (4, &**standard)));
        self.dispatch(params, (Kernel::NormForwardOver, Kernel::BatchForwardOver), &[], &bindings, self.cut.directions)
    }

    /// R of what comes back to x, times φ'.
    pub(super) fn backward_over(&self, vector: &GpuBlock, back: &Back<'_>) -> Result<()> {
        let params = Norm { accumulate: u32::from(back.accumulate), ..self.params };
        let bindings: [(u32, &Buffer); 5] =
            [(2, &vector.shards[self.shard]), (6, &back.at.delta), (7, back.delta), (8, back.first), (11, back.target)];
        let mut standards: Vec<(u32, &Buffer)> = back.at.standard.iter().map(|standard| (4, &**standard)).collect();
        standards.extend(back.standard.map(|standard| (5, &**standard)));
        self.dispatch(params, (Kernel::NormBackwardOver, Kernel::BatchBackwardOver), &standards, &bindings, self.cut.directions)
    }
}

/// Records an elementwise kernel on arrays of `rows` rows in `directions` directions.
fn elementwise(cut: &Cut<'_>, kernel: Kernel, rows: usize, directions: usize, flags: [bool; 2], bindings: &[(u32, &Buffer)]) -> Result<()> {
    let count4 = rows * cut.samples4;
    let [accumulate, kept] = flags.map(u32::from);
    let params = Elementwise { count4: word(count4), groups: word(groups(count4)), accumulate, kept };
    cut.device.dispatch(kernel, params, bindings, [groups(count4), 1, directions], vector_cost(count4 * directions))
}

/// result ← the sum of `sources`, arrays of `rows` rows in `directions` directions; 0 where there are none.
pub(super) fn add_up(cut: &Cut<'_>, rows: usize, directions: usize, sources: &[&Array], result: &Array) -> Result<()> {
    if sources.is_empty() {
        cut.device.clear(result);
    }
    for (turn, source) in sources.iter().enumerate() {
        add(cut, rows, directions, source, result, turn > 0)?;
    }
    Ok(())
}

/// result ← source, or added to it.
pub(super) fn add(cut: &Cut<'_>, rows: usize, directions: usize, source: &Array, result: &Array, accumulate: bool) -> Result<()> {
    elementwise(cut, Kernel::Accumulate, rows, directions, [accumulate, false], &[(1, source), (4, result)])
}

/// φ, φ' and φ'' of a, which `at.value` holds.
pub(super) fn activate(cut: &Cut<'_>, layer: &LayerModel, activation: Activation, at: &LayerPoint) -> Result<()> {
    let mut bindings: Vec<(u32, &Buffer)> = vec![(4, &at.value), (5, &at.first)];
    bindings.extend(at.bend.iter().map(|bend| (6, &**bend)));
    elementwise(cut, Kernel::Activate(activation), layer.extents.outputs, 1, [false; 2], &bindings)
}

/// R z and R s from R a, which `tangent` holds.
pub(super) fn activate_over(cut: &Cut<'_>, layer: &LayerModel, at: &LayerPoint, tangent: &Array, curved: &Array) -> Result<()> {
    let mut bindings: Vec<(u32, &Buffer)> = vec![(2, &at.first), (4, tangent), (7, curved)];
    bindings.extend(at.bend.iter().map(|bend| (3, &**bend)));
    let kept = layer.tangent_curve == Curve::Curved;
    elementwise(cut, Kernel::ActivateOver, layer.extents.outputs, cut.directions, [false, kept], &bindings)
}

/// δ and g ⊙ φ'' from g, which `at.delta` holds.
pub(super) fn settle(cut: &Cut<'_>, layer: &LayerModel, at: &LayerPoint) -> Result<()> {
    let mut bindings: Vec<(u32, &Buffer)> = vec![(2, &at.first), (4, &at.delta)];
    bindings.extend(at.bend.iter().map(|bend| (6, &**bend)));
    elementwise(cut, Kernel::Settle(layer.curve), layer.extents.outputs, 1, [false; 2], &bindings)
}

/// The share of R δ that a sum's own R δ gives to what it adds.
pub(super) fn add_back_over(cut: &Cut<'_>, rows: usize, back: &Back<'_>) -> Result<()> {
    let bindings: [(u32, &Buffer); 3] = [(1, back.delta), (2, back.first), (4, back.target)];
    elementwise(cut, Kernel::AccumulateOver, rows, cut.directions, [back.accumulate, false], &bindings)
}

/// Numbers of x̂ for each sample: with one row more.
pub(super) fn standard_rows(layer: &LayerModel) -> usize {
    if layer.op == OpModel::Norm { layer.extents.outputs + 1 } else { 0 }
}
