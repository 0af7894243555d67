//! Products over a run of segments: forward over backward (Pearlmutter 1994), b directions at once. Operators without the network's own
//! curvature have the same passes with one product each behind the first (Schraudolph 2002).
//!
//! A key design decision: one task takes one segment along one direction through the forward and the backward pass, so that its
//! activations stay in the cache of the core that works on them, and no thread waits for another in between. Then the weight products:
//! one task takes some rows of one layer for one direction, and sums over all segments in their order. Nothing is summed twice, and the
//! bits do not depend on the number of threads.
//!
//! Where the parameters themselves fit into that cache (a small network), a task takes a run of shorter segments instead, one after
//! another, and their weight products at once, while all is at hand; the runs' sums are added in their order. On a 64-64-64-10 network
//! that is 1.3 times as fast.
//!
//! Where the inputs are mostly zeros, the two products of the first layer are with [compressed](super::compressed) inputs.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::instructions::vectorize;
use super::linearization::{Input, LayerSegment, Segment};
use super::multiply::{Found, Term, multiply};
use super::norm::NormPass;
use super::operands::{Operands, Parameters, Role};
use super::panels::Panels;
use super::shape::{LayerShape, OpShape};
use super::weights::{WeightSums, weight_tasks};
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
    /// For a network of `dim` parameters. Wide layers: enough samples for a tile of the weights to be worth its way to the registers and
    /// back, few enough for a block of them to stay in the second-level cache. Narrow ones: so few that all of a segment's arrays fit it together,
    /// and a multiple of the rows of a tile.
    pub(super) const fn new(dim: usize) -> Self {
        if dim <= SMALL_NETWORK { Self { segment: 60, wave: 36, run: Some(4) } } else { Self { segment: 256, wave: 8, run: None } }
    }

    /// Whether a network is small: taken in runs. Zeros of the inputs are then not worth leaving out, since products are as fast as the
    /// lists.
    pub(super) const fn is_small(self) -> bool {
        self.run.is_some()
    }
}

/// Arrays of a product, kept from one to the next: one of each direction and task.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    tangents: Vec<Tangent<T>>,
    /// The weights of each direction.
    directions: Vec<Operands<T>>,
    /// Of the weight products' tasks, where there are no runs.
    sums: Vec<WeightSums<T>>,
}

/// The derivatives of one segment along one direction.
#[derive(Debug, Default)]
pub(super) struct Tangent<T> {
    pub(super) layers: Vec<LayerTangent<T>>,
    /// Those of the outputs, row by row.
    outputs: Vec<T>,
    /// What the run adds to the product, and the sums of its weight products' tasks; empty where there are no runs.
    run: Vec<T>,
    sums: Vec<WeightSums<T>>,
}

/// [r, outputs] each.
#[derive(Debug, Default)]
pub(super) struct LayerTangent<T> {
    /// R z_{l+1}.
    pub(super) output: Panels<T>,
    /// g ⊙ φ'' ⊙ R a; empty where φ'' vanishes.
    bent: Panels<T>,
    /// R δ_l; before that, what has come back of R g.
    pub(super) delta: Panels<T>,
    /// R x̂ of a layer that normalizes, else empty.
    pub(super) units: Panels<T>,
}

impl<T: Real> Scratch<T> {
    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        let layer =
            |layer: &LayerTangent<T>| [&layer.output, &layer.bent, &layer.delta, &layer.units].map(Panels::bytes).iter().sum::<usize>();
        let sums = |sums: &[WeightSums<T>]| sums.iter().map(WeightSums::bytes).sum::<usize>();
        let tangent = |tangent: &Tangent<T>| {
            let rows = tangent.outputs.capacity() + tangent.run.capacity();
            tangent.layers.iter().map(layer).sum::<usize>() + rows * size_of::<T>() + sums(&tangent.sums)
        };
        let directions: usize = self.directions.iter().map(Operands::bytes).sum();
        self.tangents.iter().map(tangent).sum::<usize>() + directions + sums(&self.sums)
    }

    /// Takes the columns of `x` as the directions of the products that follow.
    pub(super) fn set_directions(&mut self, shapes: &[LayerShape], dim: usize, x: &[T]) {
        let columns = x.len() / dim;
        self.directions.resize_with(self.directions.len().max(columns), Operands::default);
        let directions = self.directions.par_iter_mut().with_max_len(1).zip(x.par_chunks(dim));
        directions.for_each(|(direction, x)| direction.pack(shapes, Role::Direction, x));
    }

    /// Numbers that a wave of segments of up to `rows` samples each needs along one direction.
    pub(super) fn numbers(shapes: &[LayerShape], dim: usize, blocking: Blocking, segments: usize, rows: usize) -> usize {
        let of_layer = |shape: &LayerShape| {
            let units = usize::from(matches!(shape.op, OpShape::Norm(_)));
            Panels::<T>::count(2 + usize::from(shape.curved) + units, shape.outputs)
        };
        let row = shapes.iter().map(of_layer).sum::<usize>() + shapes.last().map_or(0, |shape| shape.outputs);
        let (operands, sums) = (Operands::<T>::numbers(shapes, Role::Direction), WeightSums::<T>::numbers(shapes, !blocking.is_small()));
        operands
            + match blocking.run {
                Some(run) => segments.div_ceil(run) * (rows * row + dim + sums),
                None => segments * rows * row + sums,
            }
    }
}

/// y ← y + A x for the part of the operator A that the samples of `segments` make; `x` and `y` are columns of `parameters`' length, and those
/// of `x` have been [set](Scratch::set_directions) as directions.
pub(super) fn add_operator_product<T: Real>(
    shapes: &[LayerShape],
    blocking: Blocking,
    parameters: Parameters<'_, T>,
    segments: &[Segment<T>],
    scratch: &mut Scratch<T>,
    x: &[T],
    y: &mut [T],
) {
    let dim = parameters.values.len();
    let run = blocking.run.unwrap_or(1);
    let columns = x.len() / dim;
    let count = segments.len().div_ceil(run) * columns;
    let Scratch { tangents, directions, sums } = scratch;
    tangents.resize_with(tangents.len().max(count), Tangent::default);
    let (directions, tangents) = (&*directions, &mut tangents[..count]);
    // The columns of a run one after another: what they read of the linearization is then in a cache for all but the first.
    tangents.par_iter_mut().with_max_len(1).enumerate().for_each(|(task, tangent)| {
        let (run_number, number) = (task / columns, task % columns);
        let direction = Parameters { values: &x[number * dim..][..dim], operands: &directions[number] };
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
                y.iter_mut().zip(&tangent.run).for_each(|(y, &sum)| *y += sum);
            }
        });
        return;
    }
    let tasks = |(column, y)| weight_tasks(shapes, y).into_iter().map(move |task| (column, task));
    let mut tasks: Vec<_> = y.chunks_mut(dim).enumerate().flat_map(tasks).collect();
    sums.resize_with(sums.len().max(tasks.len()), WeightSums::default);
    // One queue, the longest first: what is left to wait for at the end is then little.
    tasks.sort_by_key(|(_, task)| Reverse(task.work()));
    tasks.into_iter().zip(sums).par_bridge().for_each(|((column, mut task), sums)| {
        of_column(column).zip(segments).for_each(|(tangent, segment)| task.add_segment(segment, tangent, sums));
        task.finish(sums);
    });
}

impl<T: Real> Tangent<T> {
    /// The sum of the products of `segments` along `direction`, as long as the parameters.
    fn sum_run(&mut self, shapes: &[LayerShape], parameters: Parameters<'_, T>, segments: &[Segment<T>], direction: Parameters<'_, T>) {
        let (mut run, mut sums) = (std::mem::take(&mut self.run), std::mem::take(&mut self.sums));
        run.clear();
        run.resize(parameters.values.len(), T::ZERO);
        let mut tasks = weight_tasks(shapes, &mut run);
        sums.resize_with(sums.len().max(tasks.len()), WeightSums::default);
        for segment in segments {
            self.compute(shapes, parameters, segment, direction);
            tasks.iter_mut().zip(&mut sums).for_each(|(task, sums)| task.add_segment(segment, self, sums));
        }
        tasks.iter_mut().zip(&mut sums).for_each(|(task, sums)| task.finish(sums));
        (self.run, self.sums) = (run, sums);
    }

    /// R z and R δ of all layers along `direction`.
    fn compute(&mut self, shapes: &[LayerShape], parameters: Parameters<'_, T>, segment: &Segment<T>, direction: Parameters<'_, T>) {
        self.layers.resize_with(shapes.len(), LayerTangent::default);
        for (l, (shape, layer)) in shapes.iter().zip(&segment.layers).enumerate().filter(|(_, (shape, _))| shape.reach.moves) {
            let (before, from) = self.layers.split_at_mut(l);
            let this = &mut from[0];
            this.reserve(shape, segment.samples);
            let source = shape.sources[0].layer.map(|source| &before[source].output);
            match (&shape.op, &layer.standard) {
                (OpShape::Dense, _) => {
                    let input = segment.inputs[shape.sources[0].value].as_ref().filter(|_| shape.reach.weight);
                    let along_source = source.map(|source| Term { lhs: source.view(), rhs: parameters.forward(l).view() });
                    let bias = shape.bias.then(|| Term { lhs: segment.ones.view(), rhs: direction.bias(l).view() });
                    this.forward(along_source, input, direction.forward(l), bias);
                }
                (OpShape::Norm(norm), Some(standard)) => {
                    let (parameters, x) = (parameters.values, direction.values);
                    let pass = NormPass { norm, shape, layer, standard, parameters, x, source };
                    pass.forward(&mut this.units, &mut this.output);
                }
                _ => this.add_up(shape, before),
            }
            this.finish_output(layer);
        }
        if let Some(last) = self.layers.last_mut() {
            last.output.read_rows(&mut self.outputs);
            segment.loss_curvature.multiply(&mut self.outputs);
            last.delta.pack(&self.outputs, self.outputs.len() / segment.samples);
        }
        for (l, shape) in shapes.iter().enumerate().rev().filter(|(_, shape)| shape.reach.moves) {
            self.layers[l].finish_delta(&segment.layers[l]);
            self.back(shape, l, parameters, segment, direction);
        }
    }

    /// Adds what comes back through layer `l` to R g of what it reads.
    fn back(&mut self, shape: &LayerShape, l: usize, parameters: Parameters<'_, T>, segment: &Segment<T>, direction: Parameters<'_, T>) {
        let (before, from) = self.layers.split_at_mut(l);
        let (this, layer) = (&from[0], &segment.layers[l]);
        for source in &shape.sources {
            let Some(target) = source.layer.map(|source| &mut before[source]) else { continue };
            match (&shape.op, &layer.standard) {
                (OpShape::Dense, _) => {
                    let first = Term { lhs: this.delta.view(), rhs: parameters.backward(l).view() };
                    let second = Term { lhs: layer.delta.view(), rhs: direction.backward(l).view() };
                    let count = if shape.mixed && shape.reach.weight { 2 } else { 1 };
                    let found = if source.is_first_back { Found::Lost } else { Found::Kept };
                    multiply(&mut target.delta, found, &[first, second][..count]);
                }
                (OpShape::Norm(norm), Some(standard)) => {
                    let (parameters, x) = (parameters.values, direction.values);
                    let pass = NormPass { norm, shape, layer, standard, parameters, x, source: Some(&target.output) };
                    pass.backward(&this.delta, &this.units, &mut target.delta, source.is_first_back);
                }
                _ if source.is_first_back => target.delta.numbers_mut().copy_from_slice(this.delta.numbers()),
                _ => target.delta.add(&this.delta),
            }
        }
    }
}

impl<T: Real> LayerTangent<T> {
    fn reserve(&mut self, shape: &LayerShape, samples: usize) {
        let is_norm = matches!(shape.op, OpShape::Norm(_));
        let arrays = [(&mut self.output, true), (&mut self.delta, true), (&mut self.bent, shape.curved), (&mut self.units, is_norm)];
        arrays.into_iter().filter(|(_, taken)| *taken).for_each(|(array, _)| array.resize(samples, shape.outputs));
    }

    /// R a ← R z Wᵀ + z Vᵀ + v of a dense layer: the term along what the layer reads, none where that does not move, its `input`, none where
    /// V is not reached, and the term along the biases.
    fn forward(&mut self, along_source: Option<Term<'_, T>>, input: Option<&Input<T>>, direction: &Panels<T>, bias: Option<Term<'_, T>>) {
        let (along_input, found) = match input {
            Some(Input::Dense(input)) => (Some(Term { lhs: input.view(), rhs: direction.view() }), Found::Lost),
            Some(Input::Compressed { by_sample, .. }) => {
                by_sample.multiply(direction.view(), &mut self.output);
                (None, Found::Kept)
            }
            None => (None, Found::Lost),
        };
        let terms: Vec<_> = [along_source, along_input, bias].into_iter().flatten().collect();
        multiply(&mut self.output, found, &terms);
    }

    /// R a ← Σ R z of what the layer reads.
    fn add_up(&mut self, shape: &LayerShape, before: &[Self]) {
        self.output.numbers_mut().fill(T::ZERO);
        for source in shape.sources.iter().filter_map(|source| source.layer) {
            self.output.add(&before[source].output);
        }
    }

    /// g ⊙ φ'' ⊙ R a, and R z = φ' ⊙ R a in the place of R a.
    fn finish_output(&mut self, layer: &LayerSegment<T>) {
        vectorize(
            #[inline(always)]
            || {
                if let Some(bend) = &layer.bend {
                    let factors = bend.numbers().iter().zip(self.output.numbers());
                    self.bent.numbers_mut().iter_mut().zip(factors).for_each(|(bent, (&bend, &a))| *bent = bend * a);
                }
                if let Some(slope) = &layer.slope {
                    self.output.numbers_mut().iter_mut().zip(slope.numbers()).for_each(|(a, &slope)| *a *= slope);
                }
            },
        );
    }

    /// R δ ← R g ⊙ φ' + g ⊙ φ'' ⊙ R a, where R δ holds R g.
    fn finish_delta(&mut self, layer: &LayerSegment<T>) {
        let Some(slope) = &layer.slope else { return };
        vectorize(
            #[inline(always)]
            || {
                let deltas = self.delta.numbers_mut().iter_mut().zip(slope.numbers());
                if layer.bend.is_some() {
                    deltas.zip(self.bent.numbers()).for_each(|((delta, &slope), &bent)| *delta = *delta * slope + bent);
                } else {
                    deltas.for_each(|(delta, &slope)| *delta *= slope);
                }
            },
        );
    }
}
