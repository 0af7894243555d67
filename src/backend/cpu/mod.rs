//! The fast CPU backend, in single or double precision.
//!
//! A product is six matrix products a layer (two in the first) on a linearization that is computed once. Samples come in segments, so
//! that scratch memory is bounded and reused; columns come in groups for the same reason, as many at once as make the products with
//! the shared weights large. The sizes of both are fixed by the network, never by the number of threads: neither are the bits.

mod chunks;
mod instructions;
mod linearization;
mod loss;
pub mod matmul;
mod peak;
mod product;
mod space;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::curvature::{BackendInfo, Capacity, Curvature, CurvatureOperator, Demand, Footprint, MemoryPlan, Mode, Objective, Schedule};
use crate::error::{Error, Result};
use crate::krylov::{LinearOperator, Slot};
use crate::model::Activation;
use crate::numeric::Real;
use linearization::Segment;
use product::{LayerShape, Scratch};
pub use space::{CpuBasis, CpuBlock, CpuScalars, CpuSpace};

/// Samples of a segment: enough rows for the matrix products to be at full speed, even for a single column.
const SEGMENT: usize = 512;

/// Columns at once at most; more do not make the products faster.
const MAX_COLUMNS: usize = 8;

/// Bytes of scratch that the number of columns at once is chosen for.
const SCRATCH_BYTES: usize = 40 << 20;

/// The curvature of an objective in precision `T`, on the threads of rayon's current pool.
#[derive(Debug)]
pub struct Cpu<T> {
    space: CpuSpace<T>,
    shapes: Vec<LayerShape>,
    parameters: Vec<T>,
    schedule: Schedule,
    segments: Vec<Segment<T>>,
    /// f(θ).
    loss: f64,
    weight_decay: f64,
    columns_at_once: usize,
    scratch: Mutex<Scratch<T>>,
    products: AtomicU64,
}

impl<T: Real> Cpu<T> {
    /// How a job fits into memory, found without allocating anything.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not.
    pub fn plan(objective: &Objective, curvature: Curvature, demand: &Demand) -> Result<MemoryPlan> {
        let capacity = Capacity {
            samples: objective.samples(),
            vector_bytes: (objective.dim() * size_of::<T>()) as u64,
            micro_batch: SEGMENT,
            max_columns: usize::MAX,
        };
        let demand = Demand { mode: Some(Mode::Cached), ..*demand };
        MemoryPlan::choose(&demand, &capacity, |schedule| Self::footprint(objective, curvature, schedule))
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
    /// [`Error::NonFinite`] where the loss, a parameter or a number of the linearization is not finite in `T`.
    pub fn with_schedule(objective: &Objective, curvature: Curvature, schedule: Schedule) -> Result<Self> {
        let _ = curvature;
        let shapes = product::shapes(objective);
        let samples = objective.samples();
        let segments: Vec<_> = (0..samples)
            .step_by(SEGMENT)
            .map(|first| Segment::new(objective, first, SEGMENT.min(samples - first)))
            .collect::<Result<_>>()?;
        let exact = objective.network().parameters();
        let parameters: Vec<T> = exact.iter().map(|&x| T::from_f64(x)).collect();
        if let Some(at) = parameters.iter().position(|x| !x.to_f64().is_finite()) {
            return Err(Error::NonFinite(format!("parameter {at} is {} in {}: use --precision f64", exact[at], T::PRECISION)));
        }
        let weight_decay = objective.weight_decay();
        let squared_norm: f64 = exact.iter().map(|x| x * x).sum();
        let loss = segments.iter().map(|segment| segment.loss).sum::<f64>() + 0.5 * weight_decay * squared_norm;
        if !loss.is_finite() {
            return Err(Error::NonFinite(format!(
                "the loss is {loss}: the network has diverged, or its inputs are on another scale than it was trained on"
            )));
        }
        let columns_at_once = columns_at_once::<T>(&shapes);
        Ok(Self {
            space: CpuSpace::new(objective.dim()),
            schedule,
            scratch: Mutex::default(),
            shapes,
            parameters,
            segments,
            loss,
            weight_decay,
            columns_at_once,
            products: AtomicU64::new(0),
        })
    }

    /// Bytes of all that [`with_schedule`](Self::with_schedule) and products allocate.
    fn footprint(objective: &Objective, curvature: Curvature, schedule: Schedule) -> Footprint {
        let _ = curvature;
        let numbers = |count: usize| (count * size_of::<T>()) as u64;
        let layers = objective.network().layers();
        let kept: usize = layers
            .iter()
            .map(|layer| {
                let slope = usize::from(layer.activation != Activation::Identity);
                let bend = usize::from(!layer.activation.is_piecewise_linear());
                layer.inputs + layer.outputs * (1 + slope + bend)
            })
            .sum();
        let shapes = product::shapes(objective);
        Footprint::default()
            .with("parameters", numbers(objective.dim()), 0)
            .with("linearization", numbers(kept * schedule.micro_batch), 0)
            .with("loss", (objective.network().outputs() * schedule.micro_batch * size_of::<f64>()) as u64, 0)
            .with("scratch", numbers(columns_at_once::<T>(&shapes) * SEGMENT * Scratch::<T>::numbers_per_row(&shapes)), 0)
    }

    /// The scratch, locked. A product takes it out and puts it back, so that no lock is held while threads work: one that waited for
    /// its share could be given another product of this operator, which then makes a scratch of its own.
    fn scratch(&self) -> MutexGuard<'_, Scratch<T>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// y ← λ·x.
    fn assign_weight_decay(&self, x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = T::from_f64(self.weight_decay * x.to_f64()));
    }
}

/// Columns whose scratch stays within [`SCRATCH_BYTES`].
fn columns_at_once<T: Real>(shapes: &[LayerShape]) -> usize {
    let column_bytes = SEGMENT * Scratch::<T>::numbers_per_row(shapes) * size_of::<T>();
    (SCRATCH_BYTES / column_bytes).clamp(1, MAX_COLUMNS)
}

impl<T: Real> LinearOperator for Cpu<T> {
    type Space = CpuSpace<T>;

    fn space(&self) -> &CpuSpace<T> {
        &self.space
    }

    fn apply(&self, x: &CpuBlock<T>, y: &mut CpuBlock<T>) -> Result<()> {
        assert_eq!(x.columns, y.columns, "columns");
        self.assign_weight_decay(&x.values, &mut y.values);
        let group = self.columns_at_once * self.parameters.len();
        let mut scratch = std::mem::take(&mut *self.scratch());
        // On a thread of the pool: from outside, each of the many small parallel loops in there would wait for a thread to wake.
        rayon::scope(|_| {
            for (x, y) in x.values.chunks(group).zip(y.values.chunks_mut(group)) {
                for segment in &self.segments {
                    product::add_hessian_product(&self.shapes, &self.parameters, segment, &mut scratch, x, y);
                }
            }
        });
        *self.scratch() = scratch;
        self.products.fetch_add(x.columns as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl<T: Real> CurvatureOperator for Cpu<T> {
    fn loss_and_gradient(&self, gradient: &mut CpuBlock<T>, s: &mut CpuScalars, loss: Slot) -> Result<()> {
        assert_eq!(gradient.columns, 1, "the gradient is one column");
        let gradient = &mut gradient.values;
        self.assign_weight_decay(&self.parameters, gradient);
        for segment in &self.segments {
            for (shape, layer) in self.shapes.iter().zip(&segment.layers) {
                product::add_outer_products(shape, segment.samples, &layer.delta, &layer.input, &mut gradient[shape.range.weight.clone()]);
                if let Some(bias) = &shape.range.bias {
                    product::add_column_sums(&layer.delta, &mut gradient[bias.clone()]);
                }
            }
        }
        s.set(loss, 0, self.loss);
        Ok(())
    }

    fn products(&self) -> u64 {
        self.products.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        let linearization: usize = self.segments.iter().map(Segment::bytes).sum();
        size_of_val(self.parameters.as_slice()) + linearization + self.scratch().bytes()
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    fn peak_gflops(&self) -> Result<Option<f64>> {
        Ok(Some(peak::gflops::<T>()))
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
