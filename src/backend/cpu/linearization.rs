//! What a product needs of the passes at θ, computed once and kept: θ is fixed for a whole job.
//!
//! A key design decision: the passes at θ run in double precision whatever T, and only what is kept is rounded to T. They run once,
//! so the time does not matter, and it does to the accuracy: at a kink a pre-activation that falls on the other side of 0 than the
//! reference's would change φ' of that sample by 1, an error of 1/N rather than one of a rounding.
//!
//! Samples come in segments, each with arrays of its own, so that a product can walk through them with bounded scratch (and one
//! that does not fit in memory could be made again for each walk).

use super::compressed::Compressed;
use super::loss::{LossCurvature, LossJet};
use super::matmul::{View, ViewMut, add_product, assign_product};
use super::shape::{LayerShape, Units};
use crate::curvature::{Curvature, Objective};
use crate::error::{Error, Result};
use crate::model::{Activation, Layer};
use crate::numeric::Real;

/// The linearization of some consecutive samples, r of them.
#[derive(Debug)]
pub(super) struct Segment<T> {
    pub(super) samples: usize,
    /// Their summed, weighted loss.
    pub(super) loss: f64,
    pub(super) layers: Vec<LayerSegment<T>>,
    pub(super) loss_curvature: LossCurvature,
}

/// One layer's arrays, [r, width] row by row.
#[derive(Debug)]
pub(super) struct LayerSegment<T> {
    /// The layer's input z_{l−1}.
    pub(super) input: Input<T>,
    /// φ'(a); none where it is 1 everywhere.
    pub(super) slope: Option<Vec<T>>,
    /// g ⊙ φ''(a); none where it is 0 everywhere.
    pub(super) bend: Option<Vec<T>>,
    /// δ = g ⊙ φ'(a).
    pub(super) delta: Vec<T>,
}

/// The input of a layer.
#[derive(Debug)]
pub(super) enum Input<T> {
    /// [r, inputs], row by row.
    Dense(Vec<T>),
    /// Where most of it is zero: without the zeros that some samples have in common, and transposed, without those that some inputs have.
    Compressed { by_sample: Compressed<T>, by_input: Compressed<T> },
}

/// Numbers that a compressed input lists, of those that it has: so few that the lists take no more bytes than a dense matrix.
const COMPRESSED: f64 = 0.4;

/// The forward pass of one layer, in double precision.
struct Forward {
    input: Vec<f64>,
    slope: Vec<f64>,
    second: Vec<f64>,
}

impl<T: Real> Segment<T> {
    /// Forward and backward over `samples` samples from `first_sample` on, and what products with `curvature` need of them.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a number that is kept is not finite in T.
    pub(super) fn new(objective: &Objective, curvature: Curvature, first_sample: usize, samples: usize) -> Result<Self> {
        let layers = objective.network().layers();
        let width = objective.network().inputs();
        let mut z = vec![0.0; samples * width];
        objective.inputs().copy_rows(first_sample..first_sample + samples, &mut z);
        let mut forward = Vec::with_capacity(layers.len());
        for layer in layers {
            let mut a = affine(layer, &z, samples);
            let (slope, second) = activate(layer.activation, &mut a);
            forward.push(Forward { input: std::mem::replace(&mut z, a), slope, second });
        }
        let jet = LossJet::new(objective, curvature.output_curvature(), first_sample, &z);
        let mut upstream = jet.gradient;
        let mut kept = Vec::with_capacity(layers.len());
        for (l, (layer, Forward { input, slope, second })) in layers.iter().zip(forward).enumerate().rev() {
            let bend =
                (curvature.has_network_curvature() && !layer.activation.is_piecewise_linear()).then(|| product_of(&upstream, &second));
            let delta = product_of(&upstream, &slope);
            if l > 0 {
                upstream = vec![0.0; input.len()];
                assign_product(
                    ViewMut::new(&mut upstream, samples, layer.inputs),
                    View::new(&delta, samples, layer.outputs),
                    View::new(&layer.weight, layer.outputs, layer.inputs),
                );
            }
            let round = |values: &[f64], name: &str| rounded(values, name, l, first_sample, samples);
            kept.push(LayerSegment {
                input: Input::Dense(round(&input, "an input")?),
                slope: (layer.activation != Activation::Identity).then(|| round(&slope, "a derivative")).transpose()?,
                bend: bend.map(|bend| round(&bend, "a second derivative")).transpose()?,
                delta: round(&delta, "a gradient")?,
            });
        }
        kept.reverse();
        Ok(Self { samples, loss: jet.value, layers: kept, loss_curvature: jet.curvature })
    }

    /// Adds to `units` those that take part in this segment: an input that is not 0, a hidden unit whose value or derivatives are not.
    pub(super) fn mark(&self, units: &mut Units) {
        for (l, layer) in self.layers.iter().enumerate() {
            if let Input::Dense(input) = &layer.input {
                mark(input, &mut units.0[l]);
            }
            match &layer.slope {
                Some(slope) => mark(slope, &mut units.0[l + 1]),
                None => units.0[l + 1].fill(true),
            }
            mark(layer.bend.as_deref().unwrap_or_default(), &mut units.0[l + 1]);
        }
    }

    /// Leaves out all units but `units`.
    pub(super) fn keep(&mut self, units: &Units) {
        for (layer, levels) in self.layers.iter_mut().zip(units.0.windows(2)) {
            if let Input::Dense(input) = &mut layer.input {
                keep(input, &levels[0]);
            }
            keep(&mut layer.delta, &levels[1]);
            [&mut layer.slope, &mut layer.bend].into_iter().flatten().for_each(|array| keep(array, &levels[1]));
        }
    }

    /// Whether zeros of the network's inputs are left out.
    pub(super) fn is_compressed(&self) -> bool {
        self.layers.first().is_some_and(|layer| matches!(layer.input, Input::Compressed { .. }))
    }

    /// Leaves out zeros of the network's inputs, where they are most of them.
    pub(super) fn compress(&mut self) {
        let Some(layer) = self.layers.first_mut() else { return };
        let Input::Dense(input) = &layer.input else { return };
        let matrix = View::new(input, self.samples, input.len() / self.samples);
        let by_sample = Compressed::new(matrix, COMPRESSED);
        let by_input = by_sample.is_some().then(|| Compressed::new(matrix.transposed(), COMPRESSED)).flatten();
        if let (Some(by_sample), Some(by_input)) = (by_sample, by_input) {
            layer.input = Input::Compressed { by_sample, by_input };
        }
    }

    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let of = |array: &Vec<T>| array.capacity() * size_of::<T>();
        let input = |input: &Input<T>| match input {
            Input::Dense(values) => of(values),
            Input::Compressed { by_sample, by_input } => by_sample.bytes() + by_input.bytes(),
        };
        let layer = |layer: &LayerSegment<T>| {
            input(&layer.input) + of(&layer.delta) + layer.slope.as_ref().map_or(0, of) + layer.bend.as_ref().map_or(0, of)
        };
        self.layers.iter().map(layer).sum::<usize>() + self.loss_curvature.bytes()
    }

    /// Numbers that the arrays of one sample have, those of the loss not counted.
    pub(super) fn numbers_per_sample(shapes: &[LayerShape]) -> usize {
        shapes.iter().map(|shape| shape.inputs + shape.outputs * (1 + usize::from(shape.sloped) + usize::from(shape.curved))).sum()
    }

    /// Bytes that are taken while one sample's arrays are made, and given back.
    pub(super) fn passing_bytes_per_sample(shapes: &[LayerShape]) -> usize {
        let widest = shapes.iter().map(|shape| shape.inputs.max(shape.outputs)).max().unwrap_or(0);
        let outputs = shapes.last().map_or(0, |shape| shape.outputs);
        let forward: usize = shapes.iter().map(|shape| shape.inputs + 2 * shape.outputs).sum();
        (forward + 4 * outputs + 3 * widest) * size_of::<f64>()
    }
}

/// Sets what is not 0 in some row of `values`.
fn mark<T: Real>(values: &[T], found: &mut [bool]) {
    for row in values.chunks_exact(found.len()) {
        found.iter_mut().zip(row).for_each(|(found, &value)| *found |= value != T::ZERO);
    }
}

/// Leaves the columns of `values` that are `kept`.
fn keep<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut column = kept.iter().cycle();
    values.retain(|_| column.next().is_some_and(|&kept| kept));
    values.shrink_to_fit();
}

/// a = z Wᵀ + b, [samples, outputs].
fn affine(layer: &Layer, z: &[f64], samples: usize) -> Vec<f64> {
    let mut a = match &layer.bias {
        Some(bias) => bias.repeat(samples),
        None => vec![0.0; samples * layer.outputs],
    };
    add_product(
        ViewMut::new(&mut a, samples, layer.outputs),
        View::new(z, samples, layer.inputs),
        View::new(&layer.weight, layer.outputs, layer.inputs).transposed(),
    );
    a
}

/// a ← φ(a); yields φ'(a) and φ''(a).
fn activate(activation: Activation, a: &mut [f64]) -> (Vec<f64>, Vec<f64>) {
    a.iter_mut()
        .map(|a| {
            let jet = activation.jet(*a);
            *a = jet.value;
            (jet.first, jet.second)
        })
        .unzip()
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
