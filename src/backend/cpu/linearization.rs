//! What a product needs of the passes at θ, computed once and kept: θ is fixed for a whole job.
//!
//! A key design decision: the passes at θ run in double precision whatever T, and only what is kept is rounded to T. They run once,
//! so the time does not matter, and it does to the accuracy: at a kink a pre-activation that falls on the other side of 0 than the
//! reference's would change φ' of that sample by 1, an error of 1/N rather than one of a rounding.
//!
//! Samples come in segments, each with arrays of its own, so that a product can walk through them with bounded scratch (and one
//! that does not fit in memory could be made again for each walk).

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::compressed::Compressed;
use super::instructions::leave_upper_halves;
use super::loss::{LossCurvature, LossJet};
use super::norm::{self, Standard, StandardPanels};
use super::panels::{LANES, Panels};
use super::shape::{LayerShape, OpShape, Units, dense_inputs};
use crate::curvature::{Curvature, Objective};
use crate::error::{Error, Result};
use crate::model::{Activation, Dense, Layer, Network, Op};
use crate::numeric::Real;

/// The linearization of some consecutive samples, r of them.
#[derive(Debug)]
pub(super) struct Segment<T> {
    pub(super) samples: usize,
    /// 1 for each of them, what a bias is multiplied with, [r, 1].
    pub(super) ones: Panels<T>,
    /// Their summed, weighted loss.
    pub(super) loss: f64,
    /// z_0 to z_L, those that dense layers read.
    pub(super) inputs: Vec<Option<Input<T>>>,
    pub(super) layers: Vec<LayerSegment<T>>,
    pub(super) loss_curvature: LossCurvature,
}

/// One layer's arrays, [r, width].
#[derive(Debug)]
pub(super) struct LayerSegment<T> {
    /// φ'(a); none where it is 1 everywhere.
    pub(super) slope: Option<Panels<T>>,
    /// g ⊙ φ''(a); none where it is 0 everywhere.
    pub(super) bend: Option<Panels<T>>,
    /// δ = g ⊙ φ'(a); empty where a layer without parameters needs none.
    pub(super) delta: Panels<T>,
    /// Of a layer that normalizes.
    pub(super) standard: Option<StandardPanels<T>>,
}

/// The input of dense layers.
#[derive(Debug)]
pub(super) enum Input<T> {
    /// [r, inputs].
    Dense(Panels<T>),
    /// Where most of it is zero: without the zeros that some samples have in common, and transposed, without those that some inputs have.
    Compressed { by_sample: Compressed<T>, by_input: Compressed<T> },
}

/// Numbers that a compressed input lists, of those that it has: so few that the lists take no more bytes than a dense matrix.
const COMPRESSED: f64 = 0.4;

/// The forward pass of one layer, in double precision.
pub(super) struct Forward {
    /// φ'(a); none where it is 1 everywhere.
    slope: Option<Vec<f64>>,
    /// φ''(a); none where it is 0 everywhere.
    second: Option<Vec<f64>>,
    standard: Option<Standard>,
}

impl<T: Real> Segment<T> {
    /// Forward and backward over `samples` samples from `first_sample` on, and what products with `curvature` need of them.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a number that is kept is not finite in T.
    pub(super) fn new(objective: &Objective, curvature: Curvature, first_sample: usize, samples: usize) -> Result<Self> {
        let network = objective.network();
        let (values, forward) = forward(objective, network, first_sample, samples);
        let outputs = &values[values.len() - 1];
        let jet = LossJet::new(objective, curvature.output_curvature(), first_sample, outputs);
        let round_rows = |values: &[f64], name: &str, layer: usize| rounded(values, name, layer, first_sample, samples);
        let round = |values: &[f64], name: &str, layer: usize| Ok(Panels::new(&round_rows(values, name, layer)?, values.len() / samples));
        let inputs = values.iter().enumerate().map(|(value, numbers)| {
            let reader = network.readers(value).into_iter().find(|&reader| network.layers()[reader].dense().is_some());
            reader.map(|reader| Ok(Input::Dense(round(numbers, "an input", reader)?))).transpose()
        });
        let inputs = inputs.collect::<Result<_>>()?;
        drop(values);
        let mut upstream = vec![Vec::new(); network.widths().len()];
        upstream[network.layers().len()] = jet.gradient;
        let mut kept = Vec::with_capacity(network.layers().len());
        for (l, (layer, Forward { slope, second, standard })) in network.layers().iter().zip(forward).enumerate().rev() {
            let g = std::mem::take(&mut upstream[l + 1]);
            let bend = second.filter(|_| curvature.has_network_curvature()).map(|second| product_of(&g, &second));
            let delta = match &slope {
                Some(slope) => product_of(&g, slope),
                None => g,
            };
            backward(layer, standard.as_ref(), &delta, samples, &mut upstream);
            kept.push(LayerSegment {
                slope: slope.map(|slope| round(&slope, "a derivative", l)).transpose()?,
                bend: bend.map(|bend| round(&bend, "a second derivative", l)).transpose()?,
                delta: if layer.op == Op::Add { Panels::default() } else { round(&delta, "a gradient", l)? },
                standard: standard
                    .map(|standard| standard.round(samples, |values| round_rows(values, "a normalized number", l)))
                    .transpose()?,
            });
        }
        kept.reverse();
        Ok(Self {
            samples,
            ones: Panels::new(&vec![T::ONE; samples], 1),
            loss: jet.value,
            inputs,
            layers: kept,
            loss_curvature: jet.curvature,
        })
    }

    /// `units` and those that take part in this segment: an input that is not 0, a hidden unit whose value or derivatives are not. Of a chain of
    /// dense layers.
    pub(super) fn taking_part(&self, mut units: Units) -> Units {
        for (l, layer) in self.layers.iter().enumerate() {
            if let Some(Input::Dense(input)) = &self.inputs[l] {
                mark(input, &mut units.0[l]);
            }
            match &layer.slope {
                Some(slope) => mark(slope, &mut units.0[l + 1]),
                None => units.0[l + 1].fill(true),
            }
            if let Some(bend) = &layer.bend {
                mark(bend, &mut units.0[l + 1]);
            }
        }
        units
    }

    /// Leaves out all units but `units`, of a chain of dense layers.
    pub(super) fn keep(&mut self, units: &Units) {
        for (input, level) in self.inputs.iter_mut().zip(&units.0) {
            if let Some(Input::Dense(input)) = input {
                keep(input, level);
            }
        }
        for (layer, level) in self.layers.iter_mut().zip(&units.0[1..]) {
            keep(&mut layer.delta, level);
            [&mut layer.slope, &mut layer.bend].into_iter().flatten().for_each(|array| keep(array, level));
        }
    }

    /// Leaves out zeros of the network's inputs, where they are most of them.
    pub(super) fn compress(&mut self) {
        let Some(Input::Dense(input)) = &self.inputs[0] else { return };
        let (samples, numbers) = (self.samples, input.to_rows());
        let inputs = numbers.len() / samples;
        let by_sample = Compressed::new(samples, inputs, |sample, i| numbers[sample * inputs + i], COMPRESSED);
        let by_input =
            by_sample.as_ref().and_then(|_| Compressed::new(inputs, samples, |i, sample| numbers[sample * inputs + i], COMPRESSED));
        if let (Some(by_sample), Some(by_input)) = (by_sample, by_input) {
            self.inputs[0] = Some(Input::Compressed { by_sample, by_input });
        }
    }

    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let input = |input: &Input<T>| match input {
            Input::Dense(numbers) => numbers.bytes(),
            Input::Compressed { by_sample, by_input } => by_sample.bytes() + by_input.bytes(),
        };
        let layer = |layer: &LayerSegment<T>| {
            let standard = layer.standard.as_ref().map_or(0, StandardPanels::bytes);
            let factors = [&layer.slope, &layer.bend].into_iter().flatten().map(Panels::bytes).sum::<usize>();
            standard + layer.delta.bytes() + factors
        };
        self.ones.bytes()
            + self.inputs.iter().flatten().map(input).sum::<usize>()
            + self.layers.iter().map(layer).sum::<usize>()
            + self.loss_curvature.bytes()
    }

    /// Numbers that the arrays of one sample have, those of the loss not counted.
    pub(super) fn numbers_per_sample(shapes: &[LayerShape]) -> usize {
        let layer = |shape: &LayerShape| {
            let kept = usize::from(shape.has_delta()) + usize::from(shape.sloped) + usize::from(shape.curved);
            let standard = if let OpShape::Norm(norm) = &shape.op { norm.numbers_per_sample() } else { 0 };
            Panels::<T>::count(kept, shape.outputs) + standard
        };
        Panels::<T>::count(1, 1)
            + dense_inputs(shapes).iter().map(|&(_, width)| Panels::<T>::count(1, width)).sum::<usize>()
            + shapes.iter().map(layer).sum::<usize>()
    }

    /// Bytes that are taken while one sample's arrays are made, and given back.
    pub(super) fn passing_bytes_per_sample(shapes: &[LayerShape]) -> usize {
        let widest = shapes.iter().map(|shape| shape.inputs.max(shape.outputs)).max().unwrap_or(0);
        let outputs = shapes.last().map_or(0, |shape| shape.outputs);
        let is_chain = shapes.iter().enumerate().all(|(l, shape)| matches!(shape.op, OpShape::Dense) && shape.sources[0].value == l);
        let forward = |shape: &LayerShape| match &shape.op {
            _ if is_chain => shape.inputs + 2 * shape.outputs,
            // What comes back to several values is there at once.
            OpShape::Norm(norm) => 4 * shape.outputs + norm.numbers_per_sample(),
            OpShape::Dense | OpShape::Add => 4 * shape.outputs,
        };
        let inputs = if is_chain { 0 } else { shapes.first().map_or(0, |shape| shape.inputs) };
        (shapes.iter().map(forward).sum::<usize>() + inputs + 4 * outputs + 3 * widest) * size_of::<f64>() + widest * size_of::<T>()
    }
}

/// z_0 to z_L that `network` makes of some samples of `objective`, and what each layer leaves besides.
pub(super) fn forward(objective: &Objective, network: &Network, first_sample: usize, samples: usize) -> (Vec<Vec<f64>>, Vec<Forward>) {
    let mut x = vec![0.0; samples * network.inputs()];
    objective.inputs().copy_rows(first_sample..first_sample + samples, &mut x);
    let mut values = vec![x];
    let mut forward = Vec::with_capacity(network.layers().len());
    for layer in network.layers() {
        let source = &values[layer.sources[0]];
        let mut standard = None;
        let mut a = match &layer.op {
            Op::Dense(dense) => affine(dense, source, samples),
            Op::Norm(norm) => norm::affine(norm, standard.insert(Standard::new(norm, source))),
            Op::Add => {
                let mut sum = source.clone();
                layer.sources[1..].iter().for_each(|&source| add_to(&mut sum, &values[source]));
                sum
            }
        };
        let (slope, second) = activate(layer.activation, &mut a);
        values.push(a);
        forward.push(Forward { slope, second, standard });
    }
    (values, forward)
}

/// Adds to `upstream`, ∂loss/∂z by value, what comes back through `layer`; an empty one is 0.
fn backward(layer: &Layer, standard: Option<&Standard>, delta: &[f64], samples: usize, upstream: &mut [Vec<f64>]) {
    for &source in layer.sources.iter().filter(|&&source| source > 0) {
        let g = &mut upstream[source];
        let is_first = g.is_empty();
        match (&layer.op, standard) {
            (Op::Dense(dense), _) => {
                g.resize(samples * dense.inputs, 0.0);
                let (delta, weight) = (matrix(delta, dense.outputs), matrix(&dense.weight, dense.inputs));
                let accumulate = if is_first { Accum::Replace } else { Accum::Add };
                product(MatMut::from_row_major_slice_mut(g, samples, dense.inputs), accumulate, delta, weight);
            }
            (Op::Norm(norm), Some(standard)) => {
                g.resize(delta.len(), 0.0);
                standard.add_pulled_back(norm, delta, g);
            }
            _ => {
                g.resize(delta.len(), 0.0);
                add_to(g, delta);
            }
        }
    }
}

/// x ← x + y.
fn add_to(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Sets what is not 0 in some row of `numbers`.
fn mark<T: Real>(numbers: &Panels<T>, found: &mut [bool]) {
    for (lines, found) in numbers.panels().zip(found.chunks_mut(LANES)) {
        for line in lines {
            found.iter_mut().zip(line.0).for_each(|(found, number)| *found |= number != T::ZERO);
        }
    }
}

/// Leaves the columns of `numbers` that are `kept`.
fn keep<T: Real>(numbers: &mut Panels<T>, kept: &[bool]) {
    if kept.iter().all(|&kept| kept) {
        return;
    }
    let (mut rows, mut column) = (numbers.to_rows(), kept.iter().cycle());
    rows.retain(|_| column.next().is_some_and(|&kept| kept));
    *numbers = Panels::new(&rows, kept.iter().filter(|&&kept| kept).count());
}

/// a = z Wᵀ + b, [samples, outputs].
fn affine(layer: &Dense, z: &[f64], samples: usize) -> Vec<f64> {
    let mut a = match &layer.bias {
        Some(bias) => bias.repeat(samples),
        None => vec![0.0; samples * layer.outputs],
    };
    let (z, weight) = (matrix(z, layer.inputs), matrix(&layer.weight, layer.inputs));
    product(MatMut::from_row_major_slice_mut(&mut a, samples, layer.outputs), Accum::Add, z, weight.transpose());
    a
}

/// `out` ← `lhs` · `rhs`, or that added to it.
fn product(out: MatMut<'_, f64>, accumulate: Accum, lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) {
    matmul(out, accumulate, lhs, rhs, 1.0, Par::Seq);
    leave_upper_halves();
}

/// The matrix of `columns` columns stored in `values` row by row.
fn matrix(values: &[f64], columns: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(values, values.len() / columns, columns)
}

/// a ← φ(a); yields φ'(a), none where it is 1 everywhere, and φ''(a), none where it is 0 everywhere.
fn activate(activation: Activation, a: &mut [f64]) -> (Option<Vec<f64>>, Option<Vec<f64>>) {
    if activation == Activation::Identity {
        return (None, None);
    }
    let jets = a.iter_mut().map(|a| {
        let jet = activation.jet(*a);
        *a = jet.value;
        jet
    });
    if activation.is_piecewise_linear() {
        return (Some(jets.map(|jet| jet.first).collect()), None);
    }
    let (first, second) = jets.map(|jet| (jet.first, jet.second)).unzip();
    (Some(first), Some(second))
}

fn product_of(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x * y).collect()
}

fn rounded<T: Real>(values: &[f64], name: &str, layer: usize, first_sample: usize, samples: usize) -> Result<Vec<T>> {
    let rounded: Vec<T> = values.iter().map(|&value| T::from_f64(value)).collect();
    match rounded.iter().position(|value| !value.to_f64().is_finite()) {
        None => Ok(rounded),
        Some(at) => Err(Error::NonFinite(format!(
            "layer {layer}, sample {}: {name} is {} in {}: the network has diverged, or its inputs are on another scale than it was trained on",
            first_sample + at / (values.len() / samples),
            rounded[at],
            T::PRECISION
        ))),
    }
}
