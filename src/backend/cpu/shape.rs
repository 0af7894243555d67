//! The layers' shapes, and the units that can be left out of them.
//!
//! A key design decision: exact zeros are skipped by whole units. An input that is zero in every sample (the dark border of images), or a
//! hidden unit that no sample switches on (φ = φ' = φ'' = 0 throughout, as ReLUs die), has no part in any product: the network without
//! it is a smaller dense network, and its products run at the full speed of dense ones. Directions are gathered into its parameters and
//! products put back. Zeros of single samples are skipped in the network's inputs alone (see [`compressed`](super::compressed)): trained
//! ReLU layers are more than half on (measured: 0.62 and 0.70 of a network on MNIST), where there is less to win.

use rayon::prelude::*;

use super::norm::NormShape;
use crate::curvature::{Curvature, LayerReach, Reach};
use crate::model::{Activation, Network, Op};
use crate::numeric::Real;

/// One layer's extents and its place among the parameters.
#[derive(Clone, Debug)]
pub(super) struct LayerShape {
    pub(super) op: OpShape,
    pub(super) sources: Vec<Source>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Where the weights lie, row by row, or a normalization's gain; the biases follow.
    pub(super) weight: std::ops::Range<usize>,
    pub(super) bias: bool,
    /// Whether terms with φ'' take part.
    pub(super) curved: bool,
    /// Whether φ' is not 1 everywhere.
    pub(super) sloped: bool,
    /// Whether the terms that mix a direction with the gradient take part, δ V and δᵀ Rz.
    pub(super) mixed: bool,
    /// Its part in products; a layer that does not move has none.
    pub(super) reach: LayerReach,
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub(super) enum OpShape {
    Dense,
    Norm(NormShape),
    Add,
}

/// A value that a layer reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Its number: 0 for the network's input.
    pub(super) value: usize,
    /// Whether, on the way back, the layer is the first that reaches it.
    pub(super) is_first_back: bool,
    /// The layer that makes it, where it has a tangent: the network's input has none.
    pub(super) layer: Option<usize>,
}

/// For z_0 to z_L, which units take part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Units(pub(super) Vec<Vec<bool>>);

/// The parameters of the network without the units that are left out, by their places among all parameters, in order.
#[derive(Debug)]
pub(super) struct Kept(Vec<u32>);

/// Operations saved that pay for gathering and putting back.
const WORTH_IT: f64 = 0.03;

/// Parameters that one task puts back.
const CHUNK: usize = 1 << 14;

/// The shapes of the layers of `network` between the units that `units` keeps, all units where there is none, for products with
/// `curvature` along all parameters.
pub(super) fn shapes(network: &Network, curvature: Curvature, units: Option<&Units>) -> Vec<LayerShape> {
    let reach = Reach::whole(&network.layout());
    let mut start = 0;
    let count = |level: usize, all: usize| units.map_or(all, |units| units.0[level].iter().filter(|&&kept| kept).count());
    let layer = |(l, layer): (usize, &crate::model::Layer)| {
        let (first, widths) = (layer.sources[0], network.widths());
        let (inputs, outputs) = (count(first, widths[first]), count(l + 1, widths[l + 1]));
        let [weights, biases] = match &layer.op {
            Op::Dense(dense) => [inputs * outputs, if dense.bias.is_some() { outputs } else { 0 }],
            op => op.parameters().map(|values| values.map_or(0, Vec::len)),
        };
        let weight = start..start + weights;
        start = weight.end + biases;
        LayerShape {
            op: match &layer.op {
                Op::Dense(_) => OpShape::Dense,
                Op::Norm(norm) => OpShape::Norm(NormShape::new(norm)),
                Op::Add => OpShape::Add,
            },
            sources: sources(network, l, &layer.sources),
            reach: reach.layers()[l],
            inputs,
            outputs,
            weight,
            bias: biases > 0,
            curved: curvature.has_network_curvature() && !layer.activation.is_piecewise_linear(),
            sloped: layer.activation != Activation::Identity,
            mixed: curvature.has_network_curvature(),
        }
    };
    network.layers().iter().enumerate().map(layer).collect()
}

/// What layer `l` reads.
fn sources(network: &Network, l: usize, values: &[usize]) -> Vec<Source> {
    let source = |(at, &value): (usize, &usize)| {
        let last_reader = network.readers(value).last() == Some(&l);
        Source { value, is_first_back: last_reader && !values[..at].contains(&value), layer: value.checked_sub(1) }
    };
    values.iter().enumerate().map(source).collect()
}

/// The same shapes for products along chosen parameters.
pub(super) fn within(shapes: &[LayerShape], reach: &Reach) -> Vec<LayerShape> {
    let layer = |(shape, &reach_of_layer): (&LayerShape, &LayerReach)| {
        let source = |&source: &Source| Source { layer: source.layer.filter(|_| reach.moves(source.value)), ..source };
        LayerShape { reach: reach_of_layer, sources: shape.sources.iter().map(source).collect(), ..shape.clone() }
    };
    shapes.iter().zip(reach.layers()).map(layer).collect()
}

impl LayerShape {
    /// Numbers of a row of the weight.
    pub(super) fn row_length(&self) -> usize {
        match self.op {
            OpShape::Dense => self.inputs,
            OpShape::Norm(_) | OpShape::Add => 1,
        }
    }

    /// Whether δ takes part in products or the gradient.
    pub(super) fn has_delta(&self) -> bool {
        !matches!(self.op, OpShape::Add)
    }
}

/// The values that dense layers read, with their widths: those whose numbers products need.
pub(super) fn dense_inputs(shapes: &[LayerShape]) -> Vec<(usize, usize)> {
    let dense = shapes.iter().filter(|shape| matches!(shape.op, OpShape::Dense));
    let mut values: Vec<_> = dense.map(|shape| (shape.sources[0].value, shape.inputs)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Multiplications of one product and one sample, of a chain of dense layers.
fn work(shapes: &[LayerShape]) -> f64 {
    shapes.iter().enumerate().map(|(l, shape)| if l == 0 { 2.0 } else { 6.0 } * (shape.inputs as f64) * (shape.outputs as f64)).sum()
}

impl Units {
    /// No hidden unit and no input yet; all outputs.
    pub(super) fn none_of(network: &Network) -> Self {
        let mut levels: Vec<_> = network.widths().iter().map(|&width| vec![false; width]).collect();
        if let Some(outputs) = levels.last_mut() {
            outputs.fill(true);
        }
        Self(levels)
    }

    /// Those of either.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.0.iter_mut().flatten().zip(other.0.into_iter().flatten()).for_each(|(unit, other)| *unit |= other);
        self
    }

    /// These units, where leaving out the others is worth it and a unit remains in every layer. Only a chain of dense layers can do without
    /// some of its units: a normalization takes its mean over all.
    pub(super) fn worth_it(self, network: &Network) -> Option<Self> {
        if !network.is_chain() {
            return None;
        }
        let shapes = |units| shapes(network, Curvature::Hessian, units);
        let reduced = shapes(Some(&self));
        let possible = reduced.iter().all(|shape| shape.inputs > 0) && u32::try_from(network.layout().dim()).is_ok();
        (possible && work(&reduced) <= (1.0 - WORTH_IT) * work(&shapes(None))).then_some(self)
    }

    /// The places of their parameters.
    pub(super) fn parameters(&self, network: &Network) -> Kept {
        let mut kept = Vec::new();
        let mut places = 0_u32..;
        for (layer, levels) in network.layers().iter().zip(self.0.windows(2)) {
            let (columns, rows) = (&levels[0], &levels[1]);
            let mut keep = |units: &[bool], row: bool| {
                kept.extend(units.iter().zip(places.by_ref()).filter(|&(&unit, _)| unit && row).map(|(_, place)| place));
            };
            rows.iter().for_each(|&row| keep(columns, row));
            if layer.op.parameters()[1].is_some() {
                keep(rows, true);
            }
        }
        kept.shrink_to_fit();
        Kept(kept)
    }
}

impl Kept {
    /// How many parameters.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of the places.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }

    /// `small` ← the kept ones of `all`.
    pub(super) fn gather<T: Real>(&self, all: &[T], small: &mut [T]) {
        let chunks = small.par_chunks_mut(CHUNK).zip(self.0.par_chunks(CHUNK));
        chunks.for_each(|(small, places)| small.iter_mut().zip(places).for_each(|(small, &place)| *small = all[place as usize]));
    }

    /// The kept ones of `all` += `small`.
    pub(super) fn put_back<T: Real>(&self, small: &[T], all: &mut [T]) {
        all.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, all)| {
            let first = chunk * CHUNK;
            let at = |limit: usize| self.0.partition_point(|&place| (place as usize) < limit);
            let range = at(first)..at(first + all.len());
            self.0[range.clone()].iter().zip(&small[range]).for_each(|(&place, &value)| all[place as usize - first] += value);
        });
    }
}
