//! Products over a run of segments: forward over backward (Pearlmutter 1994), b directions at once. Operators without the network's own
//! curvature have the same passes with one product each behind the first (Schraudolph 2002).
//!
//! A key design decision: one task takes one segment along one direction through the forward and the backward pass, so that its
//! activations stay in the cache of the core that works on them, and no thread waits for another in between. Then the weight products:
//! one task takes some rows of one layer for one direction, and sums over all segments in their order. Nothing is summed twice, and the
//! bits do not depend on the number of threads.

use rayon::prelude::*;

use super::linearization::{LayerSegment, Segment};
use super::matmul::{View, ViewMut, add_product, assign_product};
use super::shape::LayerShape;
use crate::numeric::Real;

/// Rows of a layer whose weight products one task sums: few enough for several threads to share a layer.
const ROWS: usize = 128;

/// Arrays of a product, kept from one to the next: one of each direction and segment.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    tangents: Vec<Tangent<T>>,
}

/// The derivatives of one segment along one direction.
#[derive(Debug, Default)]
struct Tangent<T> {
    layers: Vec<LayerTangent<T>>,
}

/// [r, outputs] each.
#[derive(Debug, Default)]
struct LayerTangent<T> {
    /// R z_l.
    output: Vec<T>,
    /// g ⊙ φ'' ⊙ R a; empty where φ'' vanishes.
    bent: Vec<T>,
    /// R δ_l.
    delta: Vec<T>,
}

impl<T: Real> Scratch<T> {
    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let numbers = |layer: &LayerTangent<T>| layer.output.capacity() + layer.bent.capacity() + layer.delta.capacity();
        self.tangents.iter().flat_map(|tangent| &tangent.layers).map(numbers).sum::<usize>() * size_of::<T>()
    }

    /// Numbers that one sample needs along one direction.
    pub(super) fn numbers_per_row(shapes: &[LayerShape]) -> usize {
        shapes.iter().map(|shape| shape.outputs * if shape.curved { 3 } else { 2 }).sum()
    }
}

/// y ← y + A x for the part of the operator A that the samples of `segments` make; `x` and `y` are columns of `parameters`' length.
pub(super) fn add_operator_product<T: Real>(
    shapes: &[LayerShape],
    parameters: &[T],
    segments: &[Segment<T>],
    scratch: &mut Scratch<T>,
    x: &[T],
    y: &mut [T],
) {
    let dim = parameters.len();
    let count = segments.len() * (x.len() / dim);
    if scratch.tangents.len() < count {
        scratch.tangents.resize_with(count, Tangent::default);
    }
    let tangents = &mut scratch.tangents[..count];
    tangents.par_iter_mut().with_max_len(1).enumerate().for_each(|(task, tangent)| {
        let x = &x[task / segments.len() * dim..][..dim];
        tangent.compute(shapes, parameters, &segments[task % segments.len()], x);
    });
    let columns = tangents.chunks(segments.len()).zip(y.chunks_mut(dim));
    let tasks: Vec<_> = columns.flat_map(|(tangents, y)| weight_tasks(shapes, y).into_iter().map(move |task| (tangents, task))).collect();
    tasks.into_par_iter().with_max_len(1).for_each(|(tangents, mut task)| {
        for (tangent, segment) in tangents.iter().zip(segments) {
            let layer = &segment.layers[task.layer];
            task.add(segment.samples, &tangent.layers[task.layer].delta, &layer.input);
            if let Some(before) = task.layer.checked_sub(1).filter(|_| task.shape.mixed) {
                task.add_weights(segment.samples, &layer.delta, &tangent.layers[before].output);
            }
        }
    });
}

/// y ← y + ∇f for the part of f that the samples of `segments` make.
pub(super) fn add_gradient<T: Real>(shapes: &[LayerShape], segments: &[Segment<T>], y: &mut [T]) {
    weight_tasks(shapes, y).into_par_iter().with_max_len(1).for_each(|mut task| {
        for segment in segments {
            let layer = &segment.layers[task.layer];
            task.add(segment.samples, &layer.delta, &layer.input);
        }
    });
}

/// Some rows of a layer's weights and biases.
struct WeightTask<'a, T> {
    layer: usize,
    shape: &'a LayerShape,
    first_row: usize,
    weight: &'a mut [T],
    bias: Option<&'a mut [T]>,
}

/// All parameters of `y`, in tasks of up to [`ROWS`] rows.
fn weight_tasks<'a, T: Real>(shapes: &'a [LayerShape], mut y: &'a mut [T]) -> Vec<WeightTask<'a, T>> {
    let mut tasks = Vec::new();
    for (layer, shape) in shapes.iter().enumerate() {
        let rows = shape.outputs.div_ceil(shape.outputs.div_ceil(ROWS).max(2));
        let (weight, rest) = y.split_at_mut(shape.outputs * shape.inputs);
        let (bias, rest) = rest.split_at_mut(if shape.bias { shape.outputs } else { 0 });
        y = rest;
        let mut biases = bias.chunks_mut(rows);
        for (block, weight) in weight.chunks_mut(rows * shape.inputs).enumerate() {
            tasks.push(WeightTask { layer, shape, first_row: block * rows, weight, bias: biases.next() });
        }
    }
    tasks
}

impl<T: Real> WeightTask<'_, T> {
    /// weights += δᵀ z, biases += Σ δ, for the task's rows.
    fn add(&mut self, samples: usize, delta: &[T], input: &[T]) {
        self.add_weights(samples, delta, input);
        if let Some(bias) = &mut self.bias {
            let mut sums = [0.0; ROWS];
            for row in delta.chunks_exact(self.shape.outputs) {
                sums.iter_mut().zip(&row[self.first_row..][..bias.len()]).for_each(|(sum, x)| *sum += x.to_f64());
            }
            bias.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
        }
    }

    /// weights += δᵀ z for the task's rows: the sum of the samples' outer products.
    fn add_weights(&mut self, samples: usize, delta: &[T], input: &[T]) {
        let rows = self.weight.len() / self.shape.inputs;
        add_product(
            ViewMut::new(self.weight, rows, self.shape.inputs),
            View::new(delta, samples, self.shape.outputs).columns(self.first_row, rows).transposed(),
            View::new(input, samples, self.shape.inputs),
        );
    }
}

impl<T: Real> Tangent<T> {
    /// R z and R δ of all layers along `x`.
    fn compute(&mut self, shapes: &[LayerShape], parameters: &[T], segment: &Segment<T>, x: &[T]) {
        self.layers.resize_with(shapes.len(), LayerTangent::default);
        for (l, (shape, layer)) in shapes.iter().zip(&segment.layers).enumerate() {
            let (before, from) = self.layers.split_at_mut(l);
            from[0].reserve(shape, segment.samples);
            from[0].forward(shape, parameters, segment.samples, layer, before.last(), x);
        }
        if let (Some(last), Some(layer)) = (self.layers.last_mut(), segment.layers.last()) {
            last.delta.copy_from_slice(&last.output);
            segment.loss_curvature.multiply(&mut last.delta);
            last.finish_delta(layer);
        }
        for l in (1..shapes.len()).rev() {
            let (before, from) = self.layers.split_at_mut(l);
            before[l - 1].backward(&shapes[l], parameters, segment, l, &from[0].delta, x);
        }
    }
}

impl<T: Real> LayerTangent<T> {
    fn reserve(&mut self, shape: &LayerShape, samples: usize) {
        let len = samples * shape.outputs;
        for (array, len) in [(&mut self.output, len), (&mut self.delta, len), (&mut self.bent, if shape.curved { len } else { 0 })] {
            if array.len() != len {
                array.reserve_exact(len.saturating_sub(array.len()));
                array.resize(len, T::ZERO);
            }
        }
    }

    /// R a = R z Wᵀ + z Vᵀ + v, R z = φ' ⊙ R a; `before` holds the R z of the layer before, which vanishes for the first.
    fn forward(&mut self, shape: &LayerShape, parameters: &[T], samples: usize, layer: &LayerSegment<T>, before: Option<&Self>, x: &[T]) {
        if let Some(before) = before {
            assign_product(
                ViewMut::new(&mut self.output, samples, shape.outputs),
                View::new(&before.output, samples, shape.inputs),
                View::new(&parameters[shape.weight.clone()], shape.outputs, shape.inputs).transposed(),
            );
        }
        let multiply = if before.is_some() { add_product } else { assign_product };
        multiply(
            ViewMut::new(&mut self.output, samples, shape.outputs),
            View::new(&layer.input, samples, shape.inputs),
            View::new(&x[shape.weight.clone()], shape.outputs, shape.inputs).transposed(),
        );
        if shape.bias {
            let bias = &x[shape.weight.end..][..shape.outputs];
            for row in self.output.chunks_exact_mut(shape.outputs) {
                row.iter_mut().zip(bias).for_each(|(a, &b)| *a += b);
            }
        }
        if let Some(bend) = &layer.bend {
            let factors = bend.iter().zip(&self.output);
            self.bent.iter_mut().zip(factors).for_each(|(bent, (&bend, &a))| *bent = bend * a);
        }
        if let Some(slope) = &layer.slope {
            self.output.iter_mut().zip(slope).for_each(|(a, &slope)| *a *= slope);
        }
    }

    /// R δ of this layer, the one before layer `l` of R δ `delta`: (R δ W + δ V) ⊙ φ' + g ⊙ φ'' ⊙ R a, without the network's own curvature
    /// R δ W ⊙ φ'.
    fn backward(&mut self, shape: &LayerShape, parameters: &[T], segment: &Segment<T>, l: usize, delta: &[T], x: &[T]) {
        let samples = segment.samples;
        assign_product(
            ViewMut::new(&mut self.delta, samples, shape.inputs),
            View::new(delta, samples, shape.outputs),
            View::new(&parameters[shape.weight.clone()], shape.outputs, shape.inputs),
        );
        if shape.mixed {
            add_product(
                ViewMut::new(&mut self.delta, samples, shape.inputs),
                View::new(&segment.layers[l].delta, samples, shape.outputs),
                View::new(&x[shape.weight.clone()], shape.outputs, shape.inputs),
            );
        }
        self.finish_delta(&segment.layers[l - 1]);
    }

    /// R δ ← R g ⊙ φ' + g ⊙ φ'' ⊙ R a, where R δ holds R g.
    fn finish_delta(&mut self, layer: &LayerSegment<T>) {
        if let Some(slope) = &layer.slope {
            self.delta.iter_mut().zip(slope).for_each(|(delta, &slope)| *delta *= slope);
        }
        if layer.bend.is_some() {
            self.delta.iter_mut().zip(&self.bent).for_each(|(delta, &bent)| *delta += bent);
        }
    }
}
