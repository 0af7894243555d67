//! The weight products, sums over the samples: δᵀ z of the gradient, R δᵀ z + δᵀ R z of a product, in tasks of some rows of one layer.

use rayon::prelude::*;

use super::instructions::vectorize;
use super::linearization::{Input, Segment};
use super::multiply::{Found, Term, multiply_transposed};
use super::panels::{LANES, Panels};
use super::product::Tangent;
use super::shape::{LayerShape, OpShape};
use crate::numeric::Real;

/// Most rows of a layer whose weight products one task sums: few enough for several threads to share a layer.
const ROWS: usize = 128;

/// The sums of one task, until they are added to its parameters.
#[derive(Debug, Default)]
pub(super) struct WeightSums<T> {
    /// [rows, inputs].
    dense: Panels<T>,
    /// Of compressed inputs, [inputs, rows].
    compressed: Panels<T>,
    /// Whether a segment has added to each.
    has_dense: bool,
    has_compressed: bool,
}

impl<T: Real> WeightSums<T> {
    /// Numbers that the sums of all tasks have, where inputs may be compressed or where none is.
    pub(super) fn numbers(shapes: &[LayerShape], compressed: bool) -> usize {
        let layer = |(l, shape): (usize, &LayerShape)| {
            let rows = shape.task_rows();
            let task = |first: usize| {
                let rows = rows.min(shape.outputs - first);
                let compressed = if compressed && l == 0 { Panels::<T>::count(shape.inputs, rows) } else { 0 };
                Panels::<T>::count(rows, shape.inputs) + compressed
            };
            let tasks = (0..shape.outputs).step_by(rows).map(task);
            if matches!(shape.op, OpShape::Dense) { tasks.sum() } else { 0 }
        };
        shapes.iter().enumerate().map(layer).sum()
    }

    /// Bytes of the sums.
    pub(super) fn bytes(&self) -> usize {
        self.dense.bytes() + self.compressed.bytes()
    }
}

/// y ← y + ∇f for the part of f that the samples of `segments` make.
pub(super) fn add_gradient<T: Real>(shapes: &[LayerShape], segments: &[Segment<T>], y: &mut [T]) {
    weight_tasks(shapes, y).into_par_iter().with_max_len(1).for_each(|mut task| {
        let mut sums = WeightSums::default();
        for segment in segments {
            task.add(segment, &segment.layers[task.layer].delta, None, &mut sums);
        }
        task.finish(&mut sums);
    });
}

/// Some rows of a layer's weights and biases, or of one of both.
pub(super) struct WeightTask<'a, T> {
    layer: usize,
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
    /// Rows whose weight products one task sums: whole panels of δ.
    fn task_rows(&self) -> usize {
        self.outputs.div_ceil(self.outputs.div_ceil(ROWS).max(2)).next_multiple_of(LANES)
    }
}

impl<T: Real> WeightTask<'_, T> {
    /// Multiplications for each sample, by which tasks can be told long from short.
    pub(super) fn work(&self) -> usize {
        let moves = self.shape.mixed && self.shape.sources[0].layer.is_some();
        self.weight.len() * if moves { 2 } else { 1 }
    }

    /// Adds what `segment` makes of the product along the direction of `tangent`.
    pub(super) fn add_segment(&mut self, segment: &Segment<T>, tangent: &Tangent<T>, sums: &mut WeightSums<T>) {
        self.add(segment, &tangent.layers[self.layer].delta, Some(tangent).filter(|_| self.shape.mixed), sums);
    }

    /// Adds δᵀ z, of a normalization Σ δ ⊙ x̂, and Σ δ to the biases; then what mixes the gradient with the direction of `tangent`.
    fn add(&mut self, segment: &Segment<T>, delta: &Panels<T>, tangent: Option<&Tangent<T>>, sums: &mut WeightSums<T>) {
        let (layer, source) = (&segment.layers[self.layer], self.shape.sources[0]);
        match (&self.shape.op, &layer.standard) {
            _ if self.weight.is_empty() => {}
            (OpShape::Dense, _) => {
                let moved = tangent.zip(source.layer).map(|(tangent, source)| (&layer.delta, &tangent.layers[source].output));
                self.add_weights(delta, segment.inputs[source.value].as_ref(), moved, sums);
            }
            (OpShape::Norm(_), Some(standard)) => {
                self.add_unit_products(delta, &standard.units);
                if let Some(tangent) = tangent {
                    self.add_unit_products(&layer.delta, &tangent.layers[self.layer].units);
                }
            }
            _ => {}
        }
        self.add_biases(delta);
    }

    /// δᵀ z, and δᵀ z of what is `moved`.
    fn add_weights(&self, delta: &Panels<T>, input: Option<&Input<T>>, moved: Option<(&Panels<T>, &Panels<T>)>, sums: &mut WeightSums<T>) {
        let (inputs, rows) = (self.shape.inputs, self.weight.len() / self.shape.inputs);
        let dense = match input {
            Some(Input::Compressed { by_input, .. }) => {
                if !std::mem::replace(&mut sums.has_compressed, true) {
                    sums.compressed.reset(inputs, rows);
                }
                by_input.add_product(delta.view().columns(self.first_row, rows), &mut sums.compressed);
                None
            }
            Some(Input::Dense(input)) => Some((delta, input)),
            None => None,
        };
        let pairs = [dense, moved].into_iter().flatten();
        let terms: Vec<_> = pairs.map(|(delta, z)| Term { lhs: delta.view().columns(self.first_row, rows), rhs: z.view() }).collect();
        if terms.is_empty() {
            return;
        }
        let found = if std::mem::replace(&mut sums.has_dense, true) { Found::Kept } else { Found::Lost };
        sums.dense.resize(rows, inputs);
        multiply_transposed(&mut sums.dense, found, &terms);
    }

    /// weights += Σ x ⊙ y over the samples, for the task's rows.
    fn add_unit_products(&mut self, x: &Panels<T>, y: &Panels<T>) {
        let panels = x.panels().zip(y.panels()).skip(self.first_row / LANES);
        for (out, (x, y)) in self.weight.chunks_mut(LANES).zip(panels) {
            let mut sums = [0.0; LANES];
            for (x, y) in x.iter().zip(y) {
                sums.iter_mut().zip(x.0.iter().zip(&y.0)).for_each(|(sum, (x, y))| *sum += x.to_f64() * y.to_f64());
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
        }
    }

    /// biases += Σ δ over the samples, for the task's rows.
    fn add_biases(&mut self, delta: &Panels<T>) {
        let Some(bias) = &mut self.bias else { return };
        vectorize(
            #[inline(always)]
            || {
                for (out, lines) in bias.chunks_mut(LANES).zip(delta.panels().skip(self.first_row / LANES)) {
                    let mut sums = [0.0; LANES];
                    for line in lines {
                        sums.iter_mut().zip(&line.0).for_each(|(sum, x)| *sum += x.to_f64());
                    }
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
                }
            },
        );
    }

    /// Adds `sums` to the task's weights; they are then ready for another.
    pub(super) fn finish(&mut self, sums: &mut WeightSums<T>) {
        if std::mem::take(&mut sums.has_dense) {
            sums.dense.add_to(self.weight);
        }
        if std::mem::take(&mut sums.has_compressed) {
            sums.compressed.add_transposed_to(self.weight);
        }
    }
}
