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

use rayon::prelude::*;

use super::compressed::Panels;
use super::instructions::vectorize;
use super::linearization::{Input, LayerSegment, Segment};
use super::matmul::{View, ViewMut, add_product, assign_product, assign_sum};
use super::norm::NormPass;
use super::shape::{LayerShape, OpShape};
use super::weights::{CompressedSums, weight_tasks};
use crate::numeric::Real;

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

/// The derivatives of one segment along one direction.
#[derive(Debug, Default)]
pub(super) struct Tangent<T> {
    pub(super) layers: Vec<LayerTangent<T>>,
    /// What the run adds to the product; empty where there are no runs.
    sums: Vec<T>,
}

/// [r, outputs] each.
#[derive(Debug, Default)]
pub(super) struct LayerTangent<T> {
    /// R z_{l+1}.
    pub(super) output: Vec<T>,
    /// g ⊙ φ'' ⊙ R a; empty where φ'' vanishes.
    bent: Vec<T>,
    /// R δ_l; before that, what has come back of R g.
    pub(super) delta: Vec<T>,
    /// R x̂ of a layer that normalizes, else empty.
    pub(super) units: Vec<T>,
}

impl<T: Real> Scratch<T> {
    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let numbers =
            |layer: &LayerTangent<T>| layer.output.capacity() + layer.bent.capacity() + layer.delta.capacity() + layer.units.capacity();
        let tangent = |tangent: &Tangent<T>| tangent.layers.iter().map(numbers).sum::<usize>() + tangent.sums.capacity();
        let panels: usize = self.first.iter().map(Panels::bytes).sum();
        let sums: usize = self.sums.iter().map(|sums| sums.delta.bytes() + sums.weight.bytes()).sum();
        (self.tangents.iter().map(tangent).sum::<usize>() + self.transposed.capacity()) * size_of::<T>() + panels + sums
    }

    /// Numbers that a wave of segments of up to `rows` samples each needs along one direction.
    pub(super) fn numbers(shapes: &[LayerShape], dim: usize, blocking: Blocking, segments: usize, rows: usize) -> usize {
        let of_norms = |shape: &LayerShape| usize::from(matches!(shape.op, OpShape::Norm(_)));
        let row: usize = shapes.iter().map(|shape| shape.outputs * (2 + usize::from(shape.curved) + of_norms(shape))).sum();
        match blocking.run {
            Some(run) => segments.div_ceil(run) * (rows * row + dim) + dim,
            None => {
                let first = shapes.first().filter(|shape| matches!(shape.op, OpShape::Dense)).map_or(0, |shape| {
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
    let columns = x.len() / dim;
    let count = runs * columns;
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
    if shapes[0].reach.weight && segments.iter().any(Segment::is_compressed) {
        first.resize_with(x.len() / dim, Panels::default);
        first.par_iter_mut().with_max_len(1).zip(x.par_chunks(dim)).for_each(|(panels, x)| {
            panels.pack(View::new(&x[shapes[0].weight.clone()], shapes[0].outputs, shapes[0].inputs).transposed());
        });
    }
    let first = &*first;
    // The columns of a run one after another: what they read of the linearization is then in a cache for all but the first.
    tangents.par_iter_mut().with_max_len(1).enumerate().for_each(|(task, tangent)| {
        let (run_number, number) = (task / columns, task % columns);
        let column = number * dim..(number + 1) * dim;
        let weights = Weights { values: &x[column.clone()], transposed: blocking.is_small().then(|| &transposed[column]) };
        let direction = Direction { weights, first: first.get(number) };
        let segments = segments.chunks(run).nth(run_number).unwrap_or_default();
        if blocking.is_small() {
            tangent.sum_run(shapes, parameters, segments, direction);
        } else {
            segments.iter().for_each(|segment| tangent.compute(shapes, parameters, segment, direction));
        }
    });
    let of_column = |column: usize| tangents.iter().skip(column).step_by(columns);
    if blocking.is_small() {
        y.par_chunks_mut(dim).with_max_len(1).enumerate().for_each(|(column, y)| {
            for tangent in of_column(column) {
                y.iter_mut().zip(&tangent.sums).for_each(|(y, &sum)| *y += sum);
            }
        });
        return;
    }
    let tasks = |(column, y)| weight_tasks(shapes, y).into_iter().map(move |task| (column, task));
    let tasks: Vec<_> = y.chunks_mut(dim).enumerate().flat_map(tasks).collect();
    sums.resize_with(sums.len().max(tasks.len()), CompressedSums::default);
    tasks.into_par_iter().zip(sums).with_max_len(1).for_each(|((column, mut task), sums)| {
        let layer = task.layer;
        of_column(column).zip(segments).for_each(|(tangent, segment)| task.add_segment(segment, tangent));
        task.add_compressed(segments.iter().zip(of_column(column).map(|tangent| tangent.layers[layer].delta.as_slice())), sums);
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

    /// The bias, or a normalization's shift; none where there is none.
    fn bias(self, shape: &LayerShape) -> Option<&'a [T]> {
        shape.bias.then(|| &self.values[shape.weight.end..][..shape.outputs])
    }
}

/// `to` ← the transposed weights of `values`, in the same places; all other parameters are left.
pub(super) fn transpose<T: Real>(shapes: &[LayerShape], values: &[T], to: &mut [T]) {
    for shape in shapes.iter().filter(|shape| matches!(shape.op, OpShape::Dense)) {
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
        for (l, (shape, layer)) in shapes.iter().zip(&segment.layers).enumerate().filter(|(_, (shape, _))| shape.reach.moves) {
            let (before, from) = self.layers.split_at_mut(l);
            let this = &mut from[0];
            this.reserve(shape, segment.samples);
            let source = shape.sources[0].layer.map(|source| &before[source]);
            match (&shape.op, &layer.standard) {
                (OpShape::Dense, _) => this.forward(shape, parameters, segment, layer, source, direction),
                (OpShape::Norm(norm), Some(standard)) => {
                    let source = source.map(|source| source.output.as_slice());
                    let (parameters, x) = (parameters.values, direction.weights.values);
                    let pass = NormPass { norm, shape, layer, standard, parameters, x, source };
                    pass.forward(&mut this.units, &mut this.output);
                    this.finish_output(shape, layer, direction.weights.bias(shape));
                }
                _ => this.add_up(shape, layer, before),
            }
        }
        if let Some(last) = self.layers.last_mut() {
            last.delta.copy_from_slice(&last.output);
            segment.loss_curvature.multiply(&mut last.delta);
        }
        for (l, shape) in shapes.iter().enumerate().rev().filter(|(_, shape)| shape.reach.moves) {
            self.layers[l].finish_delta(&segment.layers[l]);
            self.back(shape, l, parameters, segment, direction.weights);
        }
    }

    /// Adds what comes back through layer `l` to R g of what it reads.
    fn back(&mut self, shape: &LayerShape, l: usize, parameters: Weights<'_, T>, segment: &Segment<T>, direction: Weights<'_, T>) {
        let (before, from) = self.layers.split_at_mut(l);
        let (this, layer) = (&from[0], &segment.layers[l]);
        for source in &shape.sources {
            let Some(target) = source.layer.map(|source| &mut before[source]) else { continue };
            match (&shape.op, &layer.standard) {
                (OpShape::Dense, _) => {
                    let deltas = [&this.delta, &layer.delta].map(|delta| View::new(delta, segment.samples, shape.outputs));
                    target.backward(shape, parameters, direction, deltas, source.is_first_back);
                }
                (OpShape::Norm(norm), Some(standard)) => {
                    let (parameters, x) = (parameters.values, direction.values);
                    let pass = NormPass { norm, shape, layer, standard, parameters, x, source: Some(&target.output) };
                    pass.backward(&this.delta, &this.units, &mut target.delta, source.is_first_back);
                }
                _ if source.is_first_back => target.delta.copy_from_slice(&this.delta),
                _ => target.delta.iter_mut().zip(&this.delta).for_each(|(target, &delta)| *target += delta),
            }
        }
    }
}

impl<T: Real> LayerTangent<T> {
    fn reserve(&mut self, shape: &LayerShape, samples: usize) {
        let len = samples * shape.outputs;
        let arrays = [
            (&mut self.output, len),
            (&mut self.delta, len),
            (&mut self.bent, if shape.curved { len } else { 0 }),
            (&mut self.units, if matches!(shape.op, OpShape::Norm(_)) { len } else { 0 }),
        ];
        for (array, len) in arrays {
            if array.len() != len {
                array.reserve_exact(len.saturating_sub(array.len()));
                array.resize(len, T::ZERO);
            }
        }
    }

    /// R a = R z Wᵀ + z Vᵀ + v, R z = φ' ⊙ R a; `before` holds the R z of what the layer reads, none where that vanishes. So does V where it
    /// is not reached.
    fn forward(
        &mut self,
        shape: &LayerShape,
        parameters: Weights<'_, T>,
        segment: &Segment<T>,
        layer: &LayerSegment<T>,
        before: Option<&Self>,
        direction: Direction<'_, T>,
    ) {
        let samples = segment.samples;
        let before = before.map(|before| View::new(&before.output, samples, shape.inputs));
        let out = ViewMut::new(&mut self.output, samples, shape.outputs);
        let along_input = (&segment.inputs[shape.sources[0].value], shape.reach.weight);
        match (along_input, before) {
            ((_, false), None) => self.output.fill(T::ZERO),
            ((_, false), Some(before)) => assign_product(out, before, parameters.weight_transposed(shape)),
            ((Some(Input::Dense(input)), true), None) => {
                assign_product(out, View::new(input, samples, shape.inputs), direction.weights.weight_transposed(shape));
            }
            ((Some(Input::Dense(input)), true), Some(before)) => assign_sum(
                out,
                [
                    (before, parameters.weight_transposed(shape)),
                    (View::new(input, samples, shape.inputs), direction.weights.weight_transposed(shape)),
                ],
            ),
            ((Some(Input::Compressed { by_sample, .. }), true), _) => {
                let Some(first) = direction.first else { unreachable!("where an input is compressed, the direction is packed") };
                by_sample.multiply(first, &mut self.output, shape.outputs);
            }
            ((None, true), _) => unreachable!("what a dense layer reads is kept"),
        }
        self.finish_output(shape, layer, direction.weights.bias(shape));
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

    /// R a = Σ R z of what the layer reads.
    fn add_up(&mut self, shape: &LayerShape, layer: &LayerSegment<T>, before: &[Self]) {
        self.output.fill(T::ZERO);
        for source in shape.sources.iter().filter_map(|source| source.layer) {
            self.output.iter_mut().zip(&before[source].output).for_each(|(a, &z)| *a += z);
        }
        self.finish_output(shape, layer, None);
    }

    /// R g of what a dense layer reads ← R δ W + δ V, without the network's own curvature R δ W; added to it where another layer came before
    /// on the way back. The deltas are R δ and δ of the dense layer.
    fn backward(
        &mut self,
        shape: &LayerShape,
        parameters: Weights<'_, T>,
        direction: Weights<'_, T>,
        [rdelta, delta]: [View<'_, T>; 2],
        is_first: bool,
    ) {
        let samples = rdelta.extents().0;
        let (first, second) = ((rdelta, parameters.weight(shape)), (delta, direction.weight(shape)));
        match (is_first, shape.mixed && shape.reach.weight) {
            (true, true) => assign_sum(ViewMut::new(&mut self.delta, samples, shape.inputs), [first, second]),
            (true, false) => assign_product(ViewMut::new(&mut self.delta, samples, shape.inputs), first.0, first.1),
            (false, mixed) => {
                for (lhs, rhs) in [Some(first), Some(second).filter(|_| mixed)].into_iter().flatten() {
                    add_product(ViewMut::new(&mut self.delta, samples, shape.inputs), lhs, rhs);
                }
            }
        }
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
