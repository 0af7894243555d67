//! Products over a run of segments: forward over backward (Pearlmutter 1994), b directions at once. Operators without the network's own
//! curvature have the same passes with one product each behind the first (Schraudolph 2002).
//!
//! A key design decision: one task takes one segment along one direction through the forward and the backward pass, so that its
//! activations stay in the cache of the core that works on them, and no thread waits for another in between. Then the weight products:
//! one task takes some rows of one layer for one direction, and sums over all segments in their order. Nothing is summed twice, and the
//! bits do not depend on the number of threads.
//!
//! Where the parameters themselves fit into that cache (a small network), a task takes a run of shorter segments instead, one after
//! another, and their weight products at once, while all is at hand; the runs' sums are added in their order. Its weights and a
//! direction's are transposed once, so that every right operand lies row by row for the [small](super::small) products. On a 64-64-64-10
//! network each of the two is 1.3 times as fast.
//!
//! Where the inputs are mostly zeros, the two products of the first layer are with [compressed](super::compressed) inputs: the forward one
//! with the direction's transposed weights, which are packed once for all segments, the weight product transposed as well.

use pulp::Arch;
use rayon::prelude::*;

use super::compressed::Panels;
use super::linearization::{Input, LayerSegment, Segment};
use super::matmul::{View, ViewMut, add_product, assign_product, assign_sum};
use super::shape::LayerShape;
use crate::numeric::Real;

/// Most rows of a layer whose weight products one task sums: few enough for several threads to share a layer.
const ROWS: usize = 128;

/// Most parameters of a network that is taken in runs: 128 KiB of single precision.
const SMALL_NETWORK: usize = 1 << 15;

/// How the samples are shared out. Fixed by the network, so that the order of sums is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocking {
    /// Most samples of a segment.
    pub(super) segment: usize,
    /// Segments that a product works on between two rounds of weight products.
    pub(super) wave: usize,
    /// Segments of a run; none where a segment is a task of its own, and its weight products others.
    run: Option<usize>,
}

impl Blocking {
    /// For a network of `dim` parameters. Wide layers: enough rows for the matrix products to be at full speed, few enough for a
    /// second-level cache. Narrow ones: so few that all of a segment's arrays fit it together, and a multiple of a tile's six rows.
    pub(super) const fn new(dim: usize) -> Self {
        if dim <= SMALL_NETWORK { Self { segment: 60, wave: 36, run: Some(4) } } else { Self { segment: 256, wave: 8, run: None } }
    }

    /// Whether a network is small: taken in runs, with its weights transposed. Zeros of the inputs are then not worth leaving out, since
    /// products are as fast as the lists.
    pub(super) const fn is_small(self) -> bool {
        self.run.is_some()
    }
}

/// Arrays of a product, kept from one to the next: one of each direction and task.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    tangents: Vec<Tangent<T>>,
    /// Of a small network the transposed weights of each direction.
    transposed: Vec<T>,
    /// Where inputs are compressed: the transposed weights of the first layer along each direction.
    first: Vec<Panels<T>>,
    /// The same of the weight products' tasks.
    sums: Vec<CompressedSums<T>>,
}

/// Arrays of a task that sums the weight products of compressed inputs.
#[derive(Debug, Default)]
struct CompressedSums<T> {
    /// R δ of a segment.
    delta: Panels<T>,
    /// The sum over the segments, [inputs, rows].
    weight: Panels<T>,
}

/// The derivatives of one segment along one direction.
#[derive(Debug, Default)]
struct Tangent<T> {
    layers: Vec<LayerTangent<T>>,
    /// What the run adds to the product; empty where there are no runs.
    sums: Vec<T>,
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
        let tangent = |tangent: &Tangent<T>| tangent.layers.iter().map(numbers).sum::<usize>() + tangent.sums.capacity();
        let panels: usize = self.first.iter().map(Panels::bytes).sum();
        let sums: usize = self.sums.iter().map(|sums| sums.delta.bytes() + sums.weight.bytes()).sum();
        (self.tangents.iter().map(tangent).sum::<usize>() + self.transposed.capacity()) * size_of::<T>() + panels + sums
    }

    /// Numbers that a wave of segments of up to `rows` samples each needs along one direction.
    pub(super) fn numbers(shapes: &[LayerShape], dim: usize, blocking: Blocking, segments: usize, rows: usize) -> usize {
        let row: usize = shapes.iter().map(|shape| shape.outputs * if shape.curved { 3 } else { 2 }).sum();
        match blocking.run {
            Some(run) => segments.div_ceil(run) * (rows * row + dim) + dim,
            None => {
                let first = shapes.first().map_or(0, |shape| {
                    let tasks = shape.outputs.div_ceil(shape.task_rows());
                    Panels::<T>::numbers(shape.inputs, shape.outputs) + tasks * Panels::<T>::numbers(shape.inputs + rows, shape.task_rows())
                });
                segments * rows * row + first
            }
        }
    }
}

/// y ← y + A x for the part of the operator A that the samples of `segments` make; `x` and `y` are columns of `parameters`' length.
pub(super) fn add_operator_product<T: Real>(
    shapes: &[LayerShape],
    blocking: Blocking,
    parameters: Weights<'_, T>,
    segments: &[Segment<T>],
    scratch: &mut Scratch<T>,
    x: &[T],
    y: &mut [T],
) {
    let dim = parameters.values.len();
    let run = blocking.run.unwrap_or(1);
    let runs = segments.len().div_ceil(run);
    let count = runs * (x.len() / dim);
    if scratch.tangents.len() < count {
        scratch.tangents.resize_with(count, Tangent::default);
    }
    let Scratch { tangents, transposed, first, sums } = scratch;
    if blocking.is_small() {
        transposed.resize(x.len(), T::ZERO);
        x.par_chunks(dim).zip(transposed.par_chunks_mut(dim)).for_each(|(x, transposed)| transpose(shapes, x, transposed));
    }
    let transposed = &*transposed;
    let tangents = &mut tangents[..count];
    if segments.iter().any(Segment::is_compressed) {
        first.resize_with(x.len() / dim, Panels::default);
        first.par_iter_mut().with_max_len(1).zip(x.par_chunks(dim)).for_each(|(panels, x)| {
            panels.pack(View::new(&x[shapes[0].weight.clone()], shapes[0].outputs, shapes[0].inputs).transposed());
        });
    }
    let first = &*first;
    tangents.par_iter_mut().with_max_len(1).enumerate().for_each(|(task, tangent)| {
        let column = task / runs * dim..(task / runs + 1) * dim;
        let weights = Weights { values: &x[column.clone()], transposed: blocking.is_small().then(|| &transposed[column]) };
        let direction = Direction { weights, first: first.get(task / runs) };
        let segments = segments.chunks(run).nth(task % runs).unwrap_or_default();
        if blocking.is_small() {
            tangent.sum_run(shapes, parameters, segments, direction);
        } else {
            segments.iter().for_each(|segment| tangent.compute(shapes, parameters, segment, direction));
        }
    });
    let columns = tangents.chunks(runs).zip(y.chunks_mut(dim));
    if blocking.is_small() {
        columns.par_bridge().for_each(|(tangents, y)| {
            for tangent in tangents {
                y.iter_mut().zip(&tangent.sums).for_each(|(y, &sum)| *y += sum);
            }
        });
        return;
    }
    let tasks: Vec<_> = columns.flat_map(|(tangents, y)| weight_tasks(shapes, y).into_iter().map(move |task| (tangents, task))).collect();
    sums.resize_with(sums.len().max(tasks.len()), CompressedSums::default);
    tasks.into_par_iter().zip(sums).with_max_len(1).for_each(|((tangents, mut task), sums)| {
        let layer = task.layer;
        tangents.iter().zip(segments).for_each(|(tangent, segment)| task.add_segment(segment, tangent));
        task.add_compressed(segments.iter().zip(tangents.iter().map(|tangent| tangent.layers[layer].delta.as_slice())), sums);
    });
}

/// y ← y + ∇f for the part of f that the samples of `segments` make.
pub(super) fn add_gradient<T: Real>(shapes: &[LayerShape], segments: &[Segment<T>], y: &mut [T]) {
    weight_tasks(shapes, y).into_par_iter().with_max_len(1).for_each(|mut task| {
        for segment in segments {
            let layer = &segment.layers[task.layer];
            task.add(segment.samples, &layer.delta, &layer.input);
        }
        let layer = task.layer;
        let deltas = segments.iter().map(|segment| (segment, segment.layers[layer].delta.as_slice()));
        task.add_compressed(deltas, &mut CompressedSums::default());
    });
}

/// A vector of all parameters: θ or a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a, T> {
    pub(super) values: &'a [T],
    /// In the same places the transposed weights, of a small network: its forward products take them without a copy of their own.
    pub(super) transposed: Option<&'a [T]>,
}

impl<'a, T> Weights<'a, T> {
    /// W, [outputs, inputs].
    fn weight(self, shape: &LayerShape) -> View<'a, T> {
        View::new(&self.values[shape.weight.clone()], shape.outputs, shape.inputs)
    }

    /// Wᵀ, [inputs, outputs].
    fn weight_transposed(self, shape: &LayerShape) -> View<'a, T> {
        match self.transposed {
            Some(transposed) => View::new(&transposed[shape.weight.clone()], shape.inputs, shape.outputs),
            None => self.weight(shape).transposed(),
        }
    }
}

/// `to` ← the transposed weights of `values`, in the same places; the biases are left.
pub(super) fn transpose<T: Real>(shapes: &[LayerShape], values: &[T], to: &mut [T]) {
    for shape in shapes {
        let (from, to) = (&values[shape.weight.clone()], &mut to[shape.weight.clone()]);
        for (column, to) in to.chunks_exact_mut(shape.outputs).enumerate() {
            to.iter_mut().zip(from[column..].iter().step_by(shape.inputs)).for_each(|(to, &from)| *to = from);
        }
    }
}

/// A direction, and where inputs are compressed, its transposed weights of the first layer.
#[derive(Clone, Copy)]
struct Direction<'a, T> {
    weights: Weights<'a, T>,
    first: Option<&'a Panels<T>>,
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
        let rows = shape.task_rows();
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

impl LayerShape {
    /// Rows whose weight products one task sums.
    fn task_rows(&self) -> usize {
        self.outputs.div_ceil(self.outputs.div_ceil(ROWS).max(2))
    }
}

impl<T: Real> WeightTask<'_, T> {
    /// Adds what `segment` makes of the product along the direction of `tangent`.
    fn add_segment(&mut self, segment: &Segment<T>, tangent: &Tangent<T>) {
        let layer = &segment.layers[self.layer];
        self.add(segment.samples, &tangent.layers[self.layer].delta, &layer.input);
        if let Some(before) = self.layer.checked_sub(1).filter(|_| self.shape.mixed) {
            self.add_weights(segment.samples, &layer.delta, &tangent.layers[before].output);
        }
    }

    /// weights += δᵀ z, biases += Σ δ, for the task's rows.
    fn add(&mut self, samples: usize, delta: &[T], input: &Input<T>) {
        if let Input::Dense(input) = input {
            self.add_weights(samples, delta, input);
        }
        if let Some(bias) = &mut self.bias {
            let mut sums = [0.0; ROWS];
            for row in delta.chunks_exact(self.shape.outputs) {
                sums.iter_mut().zip(&row[self.first_row..][..bias.len()]).for_each(|(sum, x)| *sum += x.to_f64());
            }
            bias.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(out.to_f64() + sum));
        }
    }

    /// weights += Σ δᵀ z over those of the segments, each with its δ, whose input is compressed.
    fn add_compressed<'a>(&mut self, deltas: impl Iterator<Item = (&'a Segment<T>, &'a [T])>, sums: &mut CompressedSums<T>) {
        let rows = self.weight.len() / self.shape.inputs;
        let mut found = false;
        for (segment, delta) in deltas {
            let Input::Compressed { by_input, .. } = &segment.layers[self.layer].input else { continue };
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

impl<T: Real> Tangent<T> {
    /// The sum of the products of `segments` along `direction`, as long as the parameters.
    fn sum_run(&mut self, shapes: &[LayerShape], parameters: Weights<'_, T>, segments: &[Segment<T>], direction: Direction<'_, T>) {
        let mut sums = std::mem::take(&mut self.sums);
        sums.clear();
        sums.resize(parameters.values.len(), T::ZERO);
        for segment in segments {
            self.compute(shapes, parameters, segment, direction);
            weight_tasks(shapes, &mut sums).iter_mut().for_each(|task| task.add_segment(segment, self));
        }
        self.sums = sums;
    }

    /// R z and R δ of all layers along `direction`.
    fn compute(&mut self, shapes: &[LayerShape], parameters: Weights<'_, T>, segment: &Segment<T>, direction: Direction<'_, T>) {
        self.layers.resize_with(shapes.len(), LayerTangent::default);
        for (l, (shape, layer)) in shapes.iter().zip(&segment.layers).enumerate() {
            let (before, from) = self.layers.split_at_mut(l);
            from[0].reserve(shape, segment.samples);
            from[0].forward(shape, parameters, segment.samples, layer, before.last(), direction);
        }
        if let (Some(last), Some(layer)) = (self.layers.last_mut(), segment.layers.last()) {
            last.delta.copy_from_slice(&last.output);
            segment.loss_curvature.multiply(&mut last.delta);
            last.finish_delta(layer);
        }
        for l in (1..shapes.len()).rev() {
            let (before, from) = self.layers.split_at_mut(l);
            before[l - 1].backward(&shapes[l], parameters, segment, l, &from[0].delta, direction.weights);
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
    fn forward(
        &mut self,
        shape: &LayerShape,
        parameters: Weights<'_, T>,
        samples: usize,
        layer: &LayerSegment<T>,
        before: Option<&Self>,
        direction: Direction<'_, T>,
    ) {
        let before = before.map(|before| View::new(&before.output, samples, shape.inputs));
        let out = ViewMut::new(&mut self.output, samples, shape.outputs);
        match (&layer.input, before) {
            (Input::Dense(input), None) => {
                assign_product(out, View::new(input, samples, shape.inputs), direction.weights.weight_transposed(shape));
            }
            (Input::Dense(input), Some(before)) => assign_sum(
                out,
                [
                    (before, parameters.weight_transposed(shape)),
                    (View::new(input, samples, shape.inputs), direction.weights.weight_transposed(shape)),
                ],
            ),
            (Input::Compressed { by_sample, .. }, _) => {
                let Some(first) = direction.first else { unreachable!("where an input is compressed, the direction is packed") };
                by_sample.multiply(first, &mut self.output, shape.outputs);
            }
        }
        self.finish_output(shape, layer, shape.bias.then(|| &direction.weights.values[shape.weight.end..][..shape.outputs]));
    }

    /// R a ← R a + v, then what is made of it.
    fn finish_output(&mut self, shape: &LayerShape, layer: &LayerSegment<T>, bias: Option<&[T]>) {
        vectorize(
            #[inline(always)]
            || {
                let width = shape.outputs;
                for (row, a) in self.output.chunks_exact_mut(width).enumerate() {
                    let row = row * width..(row + 1) * width;
                    if let Some(bias) = bias {
                        a.iter_mut().zip(bias).for_each(|(a, &b)| *a += b);
                    }
                    if let Some(bend) = &layer.bend {
                        let factors = bend[row.clone()].iter().zip(&*a);
                        self.bent[row.clone()].iter_mut().zip(factors).for_each(|(bent, (&bend, &a))| *bent = bend * a);
                    }
                    if let Some(slope) = &layer.slope {
                        a.iter_mut().zip(&slope[row]).for_each(|(a, &slope)| *a *= slope);
                    }
                }
            },
        );
    }

    /// R δ of this layer, the one before layer `l` of R δ `delta`: (R δ W + δ V) ⊙ φ' + g ⊙ φ'' ⊙ R a, without the network's own curvature
    /// R δ W ⊙ φ'.
    fn backward(
        &mut self,
        shape: &LayerShape,
        parameters: Weights<'_, T>,
        segment: &Segment<T>,
        l: usize,
        delta: &[T],
        direction: Weights<'_, T>,
    ) {
        let out = ViewMut::new(&mut self.delta, segment.samples, shape.inputs);
        let delta = View::new(delta, segment.samples, shape.outputs);
        if shape.mixed {
            let at_the_point = View::new(&segment.layers[l].delta, segment.samples, shape.outputs);
            assign_sum(out, [(delta, parameters.weight(shape)), (at_the_point, direction.weight(shape))]);
        } else {
            assign_product(out, delta, parameters.weight(shape));
        }
        self.finish_delta(&segment.layers[l - 1]);
    }

    /// R δ ← R g ⊙ φ' + g ⊙ φ'' ⊙ R a, where R δ holds R g.
    fn finish_delta(&mut self, layer: &LayerSegment<T>) {
        vectorize(
            #[inline(always)]
            || match &layer.slope {
                Some(slope) if layer.bend.is_some() => {
                    let terms = slope.iter().zip(&self.bent);
                    self.delta.iter_mut().zip(terms).for_each(|(delta, (&slope, &bent))| *delta = *delta * slope + bent);
                }
                Some(slope) => self.delta.iter_mut().zip(slope).for_each(|(delta, &slope)| *delta *= slope),
                None => {}
            },
        );
    }
}

/// Does `work`, compiled for the vector instructions that the processor has.
fn vectorize(work: impl FnOnce()) {
    Arch::new().dispatch(work);
}
