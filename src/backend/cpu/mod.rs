//! The fast CPU backend, in single or double precision.
//!
//! A product is six matrix products a layer (two in the first) on a linearization that is computed once, or again for each micro-batch
//! where memory does not hold it. Samples come in segments and columns in groups, so that scratch memory is bounded and reused. The
//! sizes of both are fixed by the network and the data, never by the number of threads: neither are the bits.

mod chunks;
mod compressed;
mod forward;
mod instructions;
mod lanes;
mod linearization;
mod loss;
pub mod multiply;
mod norm;
mod operands;
pub mod panels;
mod peak;
mod product;
mod shape;
mod space;
mod weights;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::curvature::{
    BackendInfo, Capacity, Curvature, CurvatureOperator, Demand, Footprint, MemoryPlan, Mode, Objective, OutputCurvature, Peaks, Reach,
    Schedule,
};
use crate::error::{Error, Result};
use crate::krylov::{LinearOperator, Slot};
use crate::numeric::Real;
pub use forward::loss_at;
use linearization::Segment;
use operands::{Operands, Parameters, Role};
use product::{Blocking, Scratch};
use shape::{Kept, LayerShape, Units};
pub use space::{CpuBasis, CpuBlock, CpuScalars, CpuSpace};

/// Samples that a product works on between two rounds of weight products.
const WAVE: usize = 2048;

/// Columns at once at most; more do not make the products faster.
const MAX_COLUMNS: usize = 16;

/// Bytes of scratch that the number of columns at once is chosen for.
const SCRATCH_BYTES: usize = 64 << 20;

/// The curvature of an objective in precision `T`, on the threads of rayon's current pool.
#[derive(Debug)]
pub struct Cpu<T> {
    space: CpuSpace<T>,
    objective: Objective,
    /// Where the parameters are that decay.
    decayed: Vec<Range<usize>>,
    curvature: Curvature,
    schedule: Schedule,
    /// Where exact zeros let units be left out, those that are not, and the places of their parameters.
    reduction: Option<(Units, Kept)>,
    /// Without the units that are left out, as all that follows.
    shapes: Vec<LayerShape>,
    parameters: Vec<T>,
    /// Their weights as the passes take them.
    operands: Operands<T>,
    /// Of all samples where the linearization is cached; else none.
    segments: Vec<Segment<T>>,
    /// f(θ).
    loss: f64,
    /// ∇f/√Σω without weight decay, where its outer product is taken off.
    mean_gradient: Option<Vec<T>>,
    columns_at_once: usize,
    scratch: Mutex<Workspace<T>>,
    products: AtomicU64,
}

/// Arrays of a product, kept from one to the next.
#[derive(Debug, Default)]
struct Workspace<T> {
    passes: Scratch<T>,
    /// The columns of x and y without the units that are left out.
    small_x: Vec<T>,
    small_y: Vec<T>,
}

impl<T: Real> Cpu<T> {
    /// How a job fits into memory, found without allocating anything.
    ///
    /// Data are read where they lie, in the host's memory or in a file mapped into it, so that a streamed linearization takes the same
    /// bytes as one that is recomputed.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not.
    pub fn plan(objective: &Objective, curvature: Curvature, demand: &Demand) -> Result<MemoryPlan> {
        let capacity = Capacity {
            samples: objective.samples(),
            vector_bytes: (objective.dim() * size_of::<T>()) as u64,
            micro_batch: WAVE,
            max_columns: usize::MAX,
        };
        MemoryPlan::choose(demand, &capacity, |schedule| Self::footprint(objective, curvature, schedule))
    }

    /// The operator `curvature` of `objective`, linearized at its network's parameters once.
    ///
    /// # Errors
    /// As [`with_schedule`](Self::with_schedule).
    pub fn new(objective: &Objective, curvature: Curvature) -> Result<Self> {
        Self::with_schedule(objective, curvature, Schedule::cached(objective.samples()))
    }

    /// The operator `curvature` of `objective` at its network's parameters, its linearization held as `schedule` says.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where the loss, a parameter or a number of the linearization is not finite in `T`; [`Error::Input`] where the
    /// objective has no such operator.
    pub fn with_schedule(objective: &Objective, curvature: Curvature, schedule: Schedule) -> Result<Self> {
        curvature.check(objective)?;
        let network = objective.network();
        let decayed = objective.weight_decay().ranges(network);
        let (mut loss, mut units, mut segments) = (0.0, Units::none_of(network), Vec::new());
        for samples in batches(objective, schedule) {
            let made = linearize(objective, curvature, samples, |_| ())?;
            if network.is_chain() {
                let none = || Units::none_of(network);
                units = made.par_iter().map(|segment| segment.taking_part(none())).reduce(none, Units::or).or(units);
            }
            loss += made.iter().map(|segment| segment.loss).sum::<f64>();
            if schedule.mode == Mode::Cached {
                segments.extend(made);
            }
        }
        let exact = network.parameters();
        let mut parameters: Vec<T> = exact.iter().map(|&x| T::from_f64(x)).collect();
        if let Some(at) = parameters.iter().position(|x| !x.to_f64().is_finite()) {
            return Err(Error::NonFinite(format!("parameter {at} is {} in {}: use --precision f64", exact[at], T::PRECISION)));
        }
        let squares: f64 = decayed.iter().flat_map(|range| &exact[range.clone()]).map(|x| x * x).sum();
        loss += 0.5 * objective.weight_decay().factor * squares;
        if !loss.is_finite() {
            return Err(Error::NonFinite(format!(
                "the loss is {loss}: the network has diverged, or its inputs are on another scale than it was trained on"
            )));
        }
        let reduction = units.worth_it(network).map(|units| {
            let kept = units.parameters(network);
            (units, kept)
        });
        segments.par_iter_mut().for_each(|segment| reduce(segment, &reduction, objective));
        if let Some((_, kept)) = &reduction {
            let mut small = vec![T::ZERO; kept.len()];
            kept.gather(&parameters, &mut small);
            parameters = small;
        }
        let shapes = shape::shapes(network, curvature, reduction.as_ref().map(|(units, _)| units));
        let mut operands = Operands::default();
        operands.pack(&shapes, Role::Point, &parameters);
        let mut operator = Self {
            space: CpuSpace::new(objective.dim()),
            objective: objective.clone(),
            decayed,
            curvature,
            schedule,
            shapes,
            reduction,
            parameters,
            operands,
            segments,
            loss,
            mean_gradient: None,
            columns_at_once: columns_at_once::<T>(objective, curvature, schedule),
            scratch: Mutex::default(),
            products: AtomicU64::new(0),
        };
        if curvature.is_centred() {
            let mut gradient = vec![T::ZERO; objective.dim()];
            operator.add_gradient(&mut gradient)?;
            let scale = objective.total_weight().sqrt().recip();
            gradient.iter_mut().for_each(|g| *g = T::from_f64(scale * g.to_f64()));
            operator.mean_gradient = Some(gradient);
        }
        Ok(operator)
    }

    /// The same operator of another `objective`: a new one, before which this one's linearization is let go.
    ///
    /// # Errors
    /// As [`with_schedule`](Self::with_schedule).
    pub fn relinearize(self, objective: &Objective) -> Result<Self> {
        let Self { curvature, schedule, segments, .. } = self;
        drop(segments);
        Self::with_schedule(objective, curvature, schedule)
    }

    /// Bytes of all that [`with_schedule`](Self::with_schedule) and products allocate, where no unit can be left out; at most as many
    /// where some can.
    fn footprint(objective: &Objective, curvature: Curvature, schedule: Schedule) -> Footprint {
        let shapes = shape::shapes(objective.network(), curvature, None);
        let samples = schedule.micro_batch.min(objective.samples());
        let numbers = |count: usize| (count * size_of::<T>()) as u64;
        let factors = match curvature.output_curvature() {
            OutputCurvature::LossHessian => 1,
            other => loss::vectors_per_sample(other),
        };
        let loss = factors * objective.network().outputs() * samples * size_of::<f64>();
        let mean_gradient = if curvature.is_centred() { objective.dim() } else { 0 };
        let operands = Operands::<T>::numbers(&shapes, Role::Point);
        let at_once = samples.div_ceil(segment_size(objective, samples)).min(Blocking::new(objective.dim()).wave);
        let passing = at_once * segment_size(objective, samples) * Segment::<T>::passing_bytes_per_sample(&shapes);
        let columns = columns_at_once::<T>(objective, curvature, schedule);
        Footprint::default()
            .with("parameters", numbers(objective.dim() + operands + mean_gradient), 0)
            .with("linearization", numbers(Segment::<T>::numbers_per_sample(&shapes) * samples), 0)
            .with("loss", loss as u64, 0)
            .with("passes at the point", passing as u64, 0)
            .with("scratch", numbers(columns * scratch_numbers::<T>(objective, curvature, samples)), 0)
    }

    /// The workspace, locked. A product takes it out and puts it back, so that no lock is held while threads work: one that waited for
    /// its share could be given another product of this operator, which then makes a workspace of its own.
    fn scratch(&self) -> MutexGuard<'_, Workspace<T>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments of all samples, batch by batch.
    fn for_each_batch(&self, mut work: impl FnMut(&[Segment<T>])) -> Result<()> {
        if self.schedule.mode == Mode::Cached {
            work(&self.segments);
        } else {
            for samples in batches(&self.objective, self.schedule) {
                work(&linearize(&self.objective, self.curvature, samples, |segment| reduce(segment, &self.reduction, &self.objective))?);
            }
        }
        Ok(())
    }

    /// y ← y + ∇f without the weight decay.
    fn add_gradient(&self, y: &mut [T]) -> Result<()> {
        let mut sum = vec![T::ZERO; self.parameters.len()];
        self.for_each_batch(|segments| weights::add_gradient(&self.shapes, segments, &mut sum))?;
        match &self.reduction {
            Some((_, kept)) => kept.put_back(&sum, y),
            None => y.iter_mut().zip(sum).for_each(|(y, g)| *y += g),
        }
        Ok(())
    }

    /// y ← λ·x where x decays, 0 elsewhere, column by column.
    fn assign_decay(&self, factor: f64, x: &[T], y: &mut [T]) {
        chunks::par_clear(y);
        if factor == 0.0 {
            return;
        }
        let dim = self.objective.dim();
        for (x, y) in x.chunks(dim).zip(y.chunks_mut(dim)) {
            for range in &self.decayed {
                let columns = y[range.clone()].iter_mut().zip(&x[range.clone()]);
                columns.for_each(|(y, x)| *y = T::from_f64(factor * x.to_f64()));
            }
        }
    }

    /// y ← y + A x without what is not a sum over samples, for the samples of `segments` and columns of the whole network; `shapes` say
    /// which parameters are examined.
    fn add_product(&self, shapes: &[LayerShape], segments: &[Segment<T>], workspace: &mut Workspace<T>, x: &[T], y: &mut [T]) {
        let Workspace { passes, small_x, small_y } = workspace;
        let blocking = Blocking::new(self.objective.dim());
        let parameters = Parameters { values: &self.parameters, operands: &self.operands };
        let mut multiply = |x: &[T], y: &mut [T]| {
            passes.set_directions(shapes, self.parameters.len(), x);
            for wave in segments.chunks(blocking.wave) {
                product::add_operator_product(shapes, blocking, parameters, wave, passes, x, y);
            }
        };
        let Some((_, kept)) = &self.reduction else {
            return multiply(x, y);
        };
        let (dim, small) = (self.objective.dim(), kept.len());
        small_x.resize(x.len() / dim * small, T::ZERO);
        small_y.clear();
        small_y.resize(small_x.len(), T::ZERO);
        x.chunks(dim).zip(small_x.chunks_mut(small)).for_each(|(x, small_x)| kept.gather(x, small_x));
        multiply(small_x, small_y);
        small_y.chunks(small).zip(y.chunks_mut(dim)).for_each(|(small_y, y)| kept.put_back(small_y, y));
    }

    /// y ← A x, with `shapes` that say which parameters are examined.
    fn multiply(&self, shapes: &[LayerShape], x: &CpuBlock<T>, y: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        let decay = if self.curvature.has_weight_decay() { self.objective.weight_decay().factor } else { 0.0 };
        self.assign_decay(decay, &x.values, &mut y.values);
        let group = self.columns_at_once * self.objective.dim();
        let mut workspace = std::mem::take(&mut *self.scratch());
        let mut outcome = Ok(());
        // On a thread of the pool: from outside, each of the parallel loops in there would wait for a thread to wake.
        rayon::scope(|_| {
            outcome = self.for_each_batch(|segments| {
                for (x, y) in x.values.chunks(group).zip(y.values.chunks_mut(group)) {
                    self.add_product(shapes, segments, &mut workspace, x, y);
                }
            });
        });
        *self.scratch() = workspace;
        if let Some(gradient) = &self.mean_gradient {
            let columns = x.values.chunks(gradient.len()).zip(y.values.chunks_mut(gradient.len()));
            columns.for_each(|(x, y)| subtract_projection(gradient, x, y));
        }
        self.products.fetch_add(x.columns as u64, Ordering::Relaxed);
        outcome
    }
}

/// The samples, in the batches that are linearized at once.
fn batches(objective: &Objective, schedule: Schedule) -> impl Iterator<Item = Range<usize>> {
    let samples = objective.samples();
    let size = schedule.micro_batch.clamp(1, samples);
    (0..samples).step_by(size).map(move |first| first..samples.min(first + size))
}

/// Samples of a segment of a batch: as many in each.
fn segment_size(objective: &Objective, batch: usize) -> usize {
    batch.div_ceil(batch.div_ceil(Blocking::new(objective.dim()).segment))
}

/// Leaves out what has no part in products.
fn reduce<T: Real>(segment: &mut Segment<T>, reduction: &Option<(Units, Kept)>, objective: &Objective) {
    if let Some((units, _)) = reduction {
        segment.keep(units);
    }
    // The lists are made for the one product of a first layer.
    let network = objective.network();
    if !Blocking::new(objective.dim()).is_small() && network.readers(0) == [0] && network.layers()[0].dense().is_some() {
        segment.compress();
    }
}

/// The segments of `samples`, each after `finish`.
fn linearize<T: Real>(
    objective: &Objective,
    curvature: Curvature,
    samples: Range<usize>,
    finish: impl Fn(&mut Segment<T>) + Sync,
) -> Result<Vec<Segment<T>>> {
    let size = segment_size(objective, samples.len());
    let starts: Vec<usize> = samples.clone().step_by(size).collect();
    let make = |first: usize| {
        let mut segment = Segment::new(objective, curvature, first, size.min(samples.end - first))?;
        finish(&mut segment);
        Ok(segment)
    };
    // A wave at a time, so that what the passes take for themselves, and with it the plan, does not depend on the number of threads.
    // Collected before the errors are looked at: the first one is told, whatever thread comes first.
    let mut made: Vec<Result<_>> = Vec::with_capacity(starts.len());
    for wave in starts.chunks(Blocking::new(objective.dim()).wave) {
        made.par_extend(wave.par_iter().with_max_len(1).map(|&first| make(first)));
    }
    made.into_iter().collect()
}

/// Columns whose scratch stays within [`SCRATCH_BYTES`].
fn columns_at_once<T: Real>(objective: &Objective, curvature: Curvature, schedule: Schedule) -> usize {
    let samples = schedule.micro_batch.clamp(1, objective.samples());
    (SCRATCH_BYTES / (scratch_numbers::<T>(objective, curvature, samples) * size_of::<T>())).clamp(1, MAX_COLUMNS)
}

/// Numbers of scratch that each column takes where `samples` are linearized at once.
fn scratch_numbers<T: Real>(objective: &Objective, curvature: Curvature, samples: usize) -> usize {
    let (blocking, rows) = (Blocking::new(objective.dim()), segment_size(objective, samples));
    let segments = samples.div_ceil(rows).min(blocking.wave);
    Scratch::<T>::numbers(&shape::shapes(objective.network(), curvature, None), objective.dim(), blocking, segments, rows)
}

/// y ← y − g (gᵀx).
fn subtract_projection<T: Real>(g: &[T], x: &[T], y: &mut [T]) {
    let along: f64 = g.iter().zip(x).map(|(g, x)| g.to_f64() * x.to_f64()).sum();
    y.iter_mut().zip(g).for_each(|(y, g)| *y = T::from_f64(y.to_f64() - along * g.to_f64()));
}

impl<T: Real> LinearOperator for Cpu<T> {
    type Space = CpuSpace<T>;

    fn space(&self) -> &CpuSpace<T> {
        &self.space
    }

    fn apply(&self, x: &CpuBlock<T>, y: &mut CpuBlock<T>) -> Result<()> {
        self.multiply(&self.shapes, x, y)
    }
}

impl<T: Real> CurvatureOperator for Cpu<T> {
    fn apply_within(&self, chosen: &[Range<usize>], x: &CpuBlock<T>, y: &mut CpuBlock<T>) -> Result<()> {
        self.multiply(&shape::within(&self.shapes, &Reach::of(self.objective.network(), chosen)), x, y)
    }

    fn loss_and_gradient(&self, gradient: &mut CpuBlock<T>, s: &mut CpuScalars, loss: Slot) -> Result<()> {
        assert_eq!(gradient.columns, 1, "the gradient is one column");
        let theta: Vec<T> = self.objective.network().parameters().iter().map(|&x| T::from_f64(x)).collect();
        self.assign_decay(self.objective.weight_decay().factor, &theta, &mut gradient.values);
        self.add_gradient(&mut gradient.values)?;
        s.set(loss, 0, self.loss);
        Ok(())
    }

    fn products(&self) -> u64 {
        self.products.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        let linearization: usize = self.segments.iter().map(Segment::bytes).sum();
        let places = self.reduction.as_ref().map_or(0, |(_, kept)| kept.bytes());
        let workspace = self.scratch();
        let small = size_of::<T>() * (workspace.small_x.capacity() + workspace.small_y.capacity());
        size_of_val(self.parameters.as_slice())
            + self.operands.bytes()
            + self.mean_gradient.as_ref().map_or(0, |g| size_of_val(g.as_slice()))
            + linearization
            + places
            + workspace.passes.bytes()
            + small
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    fn peaks(&self) -> Result<Peaks> {
        Ok(peak::peaks::<T>())
    }

    fn info(&self) -> BackendInfo {
        BackendInfo {
            kind: "cpu".into(),
            adapter: Some(instructions::name()),
            driver: None,
            precision: T::PRECISION,
            threads: rayon::current_num_threads(),
            linearization: self.schedule,
            variants: None,
        }
    }
}
