//! The product with the Hessian over one segment of samples: forward over backward (Pearlmutter 1994), b directions at once.
//!
//! Arrays of the derivatives along the directions are [b, r, width]: the products with a shared W are one product with b·r rows; those
//! with a direction's own V, and the sums over the samples, are one for each column. Both products of a pass go into one
//! accumulator; the elementwise work between them is done in place.

use rayon::prelude::*;

use super::linearization::{LayerSegment, Segment};
use super::matmul::{View, ViewMut, add_product, assign_product};
use crate::curvature::Objective;
use crate::model::LayerRange;
use crate::numeric::Real;

/// Numbers that one task of an elementwise pass takes at least.
const TASK: usize = 8192;

/// One layer's place among the parameters.
#[derive(Clone, Debug)]
pub(super) struct LayerShape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) range: LayerRange,
    /// Whether φ'' does not vanish.
    curved: bool,
}

/// The layers' shapes, first to last.
pub(super) fn shapes(objective: &Objective) -> Vec<LayerShape> {
    let layout = objective.network().layout();
    let layers = objective.network().layers().iter().zip(layout.layers());
    layers
        .map(|(layer, range)| LayerShape {
            inputs: layer.inputs,
            outputs: layer.outputs,
            range: range.clone(),
            curved: !layer.activation.is_piecewise_linear(),
        })
        .collect()
}

/// Arrays of a product, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    layers: Vec<LayerScratch<T>>,
}

/// [b, r, outputs] each.
#[derive(Debug, Default)]
struct LayerScratch<T> {
    /// R z_l.
    output: Vec<T>,
    /// g ⊙ φ'' ⊙ R a; empty where φ'' vanishes.
    bent: Vec<T>,
    /// R δ_l.
    delta: Vec<T>,
}

impl<T: Real> Scratch<T> {
    /// Makes room for `rows` = b·r rows.
    fn reserve(&mut self, shapes: &[LayerShape], rows: usize) {
        self.layers.resize_with(shapes.len(), LayerScratch::default);
        for (layer, shape) in self.layers.iter_mut().zip(shapes) {
            let len = rows * shape.outputs;
            layer.output.resize(len, T::ZERO);
            layer.delta.resize(len, T::ZERO);
            layer.bent.resize(if shape.curved { len } else { 0 }, T::ZERO);
        }
    }

    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let numbers = |layer: &LayerScratch<T>| layer.output.capacity() + layer.bent.capacity() + layer.delta.capacity();
        self.layers.iter().map(numbers).sum::<usize>() * size_of::<T>()
    }

    /// Numbers that one row needs.
    pub(super) fn numbers_per_row(shapes: &[LayerShape]) -> usize {
        shapes.iter().map(|shape| shape.outputs * if shape.curved { 3 } else { 2 }).sum()
    }
}

/// y ← y + H x for the part of H that `segment`'s samples make; `x` and `y` are columns of `parameters`' length.
pub(super) fn add_hessian_product<T: Real>(
    shapes: &[LayerShape],
    parameters: &[T],
    segment: &Segment<T>,
    scratch: &mut Scratch<T>,
    x: &[T],
    y: &mut [T],
) {
    let dim = parameters.len();
    scratch.reserve(shapes, x.len() / dim * segment.samples);
    forward(shapes, parameters, segment, scratch, x);
    for l in (0..shapes.len()).rev() {
        let (before, from) = scratch.layers.split_at_mut(l);
        let (layer, shape) = (&segment.layers[l], &shapes[l]);
        let delta = &from[0].delta;
        for ((delta, y), column) in delta.chunks_exact(segment.samples * shape.outputs).zip(y.chunks_exact_mut(dim)).zip(0..) {
            let output_before = before.last().map(|before| column_of(&before.output, column, segment.samples * shape.inputs));
            add_parameter_product(shape, layer, segment.samples, delta, output_before, y);
        }
        if let Some(before) = before.last_mut() {
            backward(shape, parameters, segment, l, delta, before, x);
        }
    }
}

/// R a = R z Wᵀ + z Vᵀ + v, R z = φ' ⊙ R a layer by layer; at the end R δ_L.
fn forward<T: Real>(shapes: &[LayerShape], parameters: &[T], segment: &Segment<T>, scratch: &mut Scratch<T>, x: &[T]) {
    let (samples, dim) = (segment.samples, parameters.len());
    for (l, (shape, layer)) in shapes.iter().zip(&segment.layers).enumerate() {
        let (before, from) = scratch.layers.split_at_mut(l);
        let LayerScratch { output, bent, .. } = &mut from[0];
        if let Some(before) = before.last() {
            let rows = output.len() / shape.outputs;
            assign_product(
                ViewMut::new(output, rows, shape.outputs),
                View::new(&before.output, rows, shape.inputs),
                View::new(&parameters[shape.range.weight.clone()], shape.outputs, shape.inputs).transposed(),
            );
        }
        for (output, x) in output.chunks_exact_mut(samples * shape.outputs).zip(x.chunks_exact(dim)) {
            let multiply = if l > 0 { add_product } else { assign_product };
            multiply(
                ViewMut::new(output, samples, shape.outputs),
                View::new(&layer.input, samples, shape.inputs),
                View::new(&x[shape.range.weight.clone()], shape.outputs, shape.inputs).transposed(),
            );
            if let Some(bias) = &shape.range.bias {
                let bias = &x[bias.clone()];
                for_each_row(output, shape.outputs, |row| row.iter_mut().zip(bias).for_each(|(a, &b)| *a += b));
            }
        }
        if let Some(bend) = &layer.bend {
            assign_scaled(bent, bend, output);
        }
        if let Some(slope) = &layer.slope {
            scale(output, slope);
        }
    }
    if let Some(last) = scratch.layers.last_mut() {
        let width = segment.layers[segment.layers.len() - 1].delta.len();
        last.delta.copy_from_slice(&last.output);
        last.delta.par_chunks_mut(width).for_each(|u| segment.loss_curvature.multiply(u));
        finish_delta(&segment.layers[segment.layers.len() - 1], last);
    }
}

/// R δ of the layer before: (R δ W + δ V) ⊙ φ' + g ⊙ φ'' ⊙ R a.
fn backward<T: Real>(
    shape: &LayerShape,
    parameters: &[T],
    segment: &Segment<T>,
    l: usize,
    delta: &[T],
    before: &mut LayerScratch<T>,
    x: &[T],
) {
    let (samples, rows) = (segment.samples, delta.len() / shape.outputs);
    assign_product(
        ViewMut::new(&mut before.delta, rows, shape.inputs),
        View::new(delta, rows, shape.outputs),
        View::new(&parameters[shape.range.weight.clone()], shape.outputs, shape.inputs),
    );
    for (target, x) in before.delta.chunks_exact_mut(samples * shape.inputs).zip(x.chunks_exact(parameters.len())) {
        add_product(
            ViewMut::new(target, samples, shape.inputs),
            View::new(&segment.layers[l].delta, samples, shape.outputs),
            View::new(&x[shape.range.weight.clone()], shape.outputs, shape.inputs),
        );
    }
    finish_delta(&segment.layers[l - 1], before);
}

/// R δ ← R g ⊙ φ' + g ⊙ φ'' ⊙ R a, where R δ holds R g.
fn finish_delta<T: Real>(layer: &LayerSegment<T>, scratch: &mut LayerScratch<T>) {
    if let Some(slope) = &layer.slope {
        scale(&mut scratch.delta, slope);
    }
    if layer.bend.is_some() {
        let pieces = scratch.delta.par_chunks_mut(TASK).zip(scratch.bent.par_chunks(TASK));
        pieces.for_each(|(delta, bent)| delta.iter_mut().zip(bent).for_each(|(delta, &bent)| *delta += bent));
    }
}

/// (H v)_l += R δᵀ z + δᵀ R z and Σ R δ, for one column; the first layer's R z vanishes.
fn add_parameter_product<T: Real>(
    shape: &LayerShape,
    layer: &LayerSegment<T>,
    samples: usize,
    delta: &[T],
    input_derivative: Option<&[T]>,
    y: &mut [T],
) {
    let weight = &mut y[shape.range.weight.clone()];
    add_outer_products(shape, samples, delta, &layer.input, weight);
    if let Some(input_derivative) = input_derivative {
        add_outer_products(shape, samples, &layer.delta, input_derivative, weight);
    }
    if let Some(bias) = &shape.range.bias {
        add_column_sums(delta, &mut y[bias.clone()]);
    }
}

/// W += δᵀ z: the sum of the samples' outer products, [outputs, inputs].
pub(super) fn add_outer_products<T: Real>(shape: &LayerShape, samples: usize, delta: &[T], input: &[T], weight: &mut [T]) {
    add_product(
        ViewMut::new(weight, shape.outputs, shape.inputs),
        View::new(delta, samples, shape.outputs).transposed(),
        View::new(input, samples, shape.inputs),
    );
}

/// out += Σ over the rows of `values`, in double precision, first row to last.
pub(super) fn add_column_sums<T: Real>(values: &[T], out: &mut [T]) {
    /// Columns that one task sums.
    const COLUMNS: usize = 64;
    let width = out.len();
    out.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, out)| {
        let mut sums = [0.0; COLUMNS];
        for row in values.chunks_exact(width) {
            sums.iter_mut().zip(&row[block * COLUMNS..][..out.len()]).for_each(|(sum, x)| *sum += x.to_f64());
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
    });
}

fn column_of<T>(values: &[T], column: usize, len: usize) -> &[T] {
    &values[column * len..(column + 1) * len]
}

fn for_each_row<T: Real>(values: &mut [T], width: usize, work: impl Fn(&mut [T]) + Send + Sync) {
    values.par_chunks_mut(width).with_min_len(TASK.div_ceil(width)).for_each(work);
}

/// values ← values ⊙ factors, for each column's [r, width] in turn.
fn scale<T: Real>(values: &mut [T], factors: &[T]) {
    for values in values.chunks_exact_mut(factors.len()) {
        let pieces = values.par_chunks_mut(TASK).zip(factors.par_chunks(TASK));
        pieces.for_each(|(values, factors)| values.iter_mut().zip(factors).for_each(|(x, &factor)| *x *= factor));
    }
}

/// out ← values ⊙ factors, for each column's [r, width] in turn.
fn assign_scaled<T: Real>(out: &mut [T], factors: &[T], values: &[T]) {
    for (out, values) in out.chunks_exact_mut(factors.len()).zip(values.chunks_exact(factors.len())) {
        let pieces = out.par_chunks_mut(TASK).zip(factors.par_chunks(TASK)).zip(values.par_chunks(TASK));
        pieces.for_each(|((out, factors), values)| {
            for ((out, &factor), &value) in out.iter_mut().zip(factors).zip(values) {
                *out = factor * value;
            }
        });
    }
}
