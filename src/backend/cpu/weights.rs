//! The weight products, sums over the samples: δᵀ z of the gradient, R δᵀ z + δᵀ R z of a product, in tasks of some rows of one layer.

use rayon::prelude::*;

use super::compressed::Panels;
use super::instructions::vectorize;
use super::linearization::{Input, Segment};
use super::matmul::{View, ViewMut, add_product};
use super::product::Tangent;
use super::shape::{LayerShape, OpShape};
use crate::numeric::Real;

/// Most rows of a layer whose weight products one task sums: few enough for several threads to share a layer.
const ROWS: usize = 128;

/// Arrays of a task that sums the weight products of compressed inputs.
#[derive(Debug, Default)]
pub(super) struct CompressedSums<T> {
    /// R δ of a segment.
    pub(super) delta: Panels<T>,
    /// The sum over the segments, [inputs, rows].
    pub(super) weight: Panels<T>,
}

/// y ← y + ∇f for the part of f that the samples of `segments` make.
pub(super) fn add_gradient<T: Real>(shapes: &[LayerShape], segments: &[Segment<T>], y: &mut [T]) {
    weight_tasks(shapes, y).into_par_iter().with_max_len(1).for_each(|mut task| {
        for segment in segments {
            task.add(segment, &segment.layers[task.layer].delta);
        }
        let layer = task.layer;
        let deltas = segments.iter().map(|segment| (segment, segment.layers[layer].delta.as_slice()));
        task.add_compressed(deltas, &mut CompressedSums::default());
    });
}

/// Some rows of a layer's weights and biases, or of one of both.
pub(super) struct WeightTask<'a, T> {
    pub(super) layer: usize,
    shape: &'a LayerShape,
    first_row: usize,
    weight: &'a mut [T],
    bias: Option<&'a mut [T]>,
}

/// The parameters of `y` that are reached, in tasks of up to [`ROWS`] rows.
pub(super) fn weight_tasks<'a, T: Real>(shapes: &'a [LayerShape], mut y: &'a mut [T]) -> Vec<WeightTask<'a, T>> {
    let mut tasks = Vec::new();
    for (layer, shape) in shapes.iter().enumerate() {
        if shape.weight.is_empty() {
            continue;
        }
        let rows = shape.task_rows();
        let (weight, rest) = y.split_at_mut(shape.weight.len());
        let (bias, rest) = rest.split_at_mut(if shape.bias { shape.outputs } else { 0 });
        y = rest;
        let mut weights = weight.chunks_mut(rows * shape.row_length()).filter(|_| shape.reach.weight);
        let mut biases = bias.chunks_mut(rows).filter(|_| shape.reach.bias);
        for first_row in (0..shape.outputs).step_by(rows) {
            let (weight, bias) = (weights.next().unwrap_or_default(), biases.next());
            if !weight.is_empty() || bias.is_some() {
                tasks.push(WeightTask { layer, shape, first_row, weight, bias });
            }
        }
    }
    tasks
}

impl LayerShape {
    /// Rows whose weight products one task sums.
    pub(super) fn task_rows(&self) -> usize {
        self.outputs.div_ceil(self.outputs.div_ceil(ROWS).max(2))
    }
}

impl<T: Real> WeightTask<'_, T> {
    /// Adds what `segment` makes of the product along the direction of `tangent`.
    pub(super) fn add_segment(&mut self, segment: &Segment<T>, tangent: &Tangent<T>) {
        let (layer, tangents) = (&segment.layers[self.layer], &tangent.layers);
        self.add(segment, &tangents[self.layer].delta);
        if !self.shape.mixed || self.weight.is_empty() {
            return;
        }
        match (&self.shape.op, self.shape.sources[0].layer) {
            (OpShape::Dense, Some(source)) => self.add_weights(segment.samples, &layer.delta, &tangents[source].output),
            (OpShape::Norm(_), _) => self.add_unit_products(&layer.delta, &tangents[self.layer].units),
            _ => {}
        }
    }

    /// weights += δᵀ z, of a normalization Σ δ ⊙ x̂, and biases += Σ δ, for the task's rows.
    fn add(&mut self, segment: &Segment<T>, delta: &[T]) {
        match (&self.shape.op, &segment.inputs[self.shape.sources[0].value], &segment.layers[self.layer].standard) {
            _ if self.weight.is_empty() => {}
            (OpShape::Dense, Some(Input::Dense(input)), _) => self.add_weights(segment.samples, delta, input),
            (OpShape::Norm(_), _, Some(standard)) => self.add_unit_products(delta, &standard.units),
            _ => {}
        }
        if let Some(bias) = &mut self.bias {
            let mut sums = [0.0; ROWS];
            vectorize(
                #[inline(always)]
                || {
                    for row in delta.chunks_exact(self.shape.outputs) {
                        sums.iter_mut().zip(&row[self.first_row..][..bias.len()]).for_each(|(sum, x)| *sum += x.to_f64());
                    }
                },
            );
            bias.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
        }
    }

    /// weights += Σ x ⊙ y over the samples, for the task's rows.
    fn add_unit_products(&mut self, x: &[T], y: &[T]) {
        let (width, rows) = (self.shape.outputs, self.weight.len());
        let mut sums = [0.0; ROWS];
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact(width)) {
            let pairs = x[self.first_row..][..rows].iter().zip(&y[self.first_row..][..rows]);
            sums.iter_mut().zip(pairs).for_each(|(sum, (x, y))| *sum += x.to_f64() * y.to_f64());
        }
        self.weight.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
    }

    /// weights += Σ δᵀ z over those of the segments, each with its δ, whose input is compressed.
    pub(super) fn add_compressed<'a>(&mut self, deltas: impl Iterator<Item = (&'a Segment<T>, &'a [T])>, sums: &mut CompressedSums<T>) {
        let rows = self.weight.len() / self.shape.row_length();
        let mut found = false;
        for (segment, delta) in deltas.take_while(|_| rows > 0) {
            let Some(Input::Compressed { by_input, .. }) = &segment.inputs[self.shape.sources[0].value] else { continue };
            if !std::mem::replace(&mut found, true) {
                sums.weight.reset(self.shape.inputs, rows);
            }
            sums.delta.pack(View::new(delta, segment.samples, self.shape.outputs).columns(self.first_row, rows));
            by_input.add_product(&sums.delta, &mut sums.weight);
        }
        if found {
            sums.weight.add_transposed_to(self.weight);
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
