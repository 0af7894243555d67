//! How the linearization is held: kept for all segments, or made again for each in every product, with the data on the device or
//! brought there for it.

use super::array::Array;
use super::device::Device;
use super::linearization::{Model, Point, layers, numbers_per_sample};
use super::segment::{Data, Segment, expected_per_sample, tallest, upload};
use super::shards::Shards;
use super::space::GpuSpace;
use super::unary::standard_rows;
use crate::curvature::{Capacity, Curvature, Demand, Footprint, MemoryPlan, Mode, Objective, OutputCurvature, Schedule};
use crate::error::Result;
use crate::model::{Network, NormKind, Op};

/// The linearization at θ, segment by segment.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) segments: Vec<Segment>,
    /// Whose data it is of.
    pub(super) objective: Objective,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    /// The data and the point of each segment.
    Cached(Vec<(Data, Point)>),
    /// The data of each segment, and room for one point.
    Recomputed { data: Vec<Data>, point: Point },
    /// Room for the data of two segments, so that one is brought in while the device works on the other, and for one point.
    Streamed { data: Vec<Data>, point: Point },
}

impl Held {
    /// Brings to the device what `schedule` keeps there of `objective`.
    pub(super) fn new(space: &GpuSpace, model: &Model, objective: &Objective, schedule: Schedule) -> Result<Self> {
        let (device, network) = (space.device(), objective.network());
        let segments = cut(network, device, objective.samples(), schedule)?;
        let longest = segments[0].padded;
        let storage = match schedule.mode {
            Mode::Cached => {
                let cached = segments
                    .iter()
                    .map(|segment| Ok((Data::new(device, network, segment.padded)?, Point::new(device, &model.layers, segment.padded)?)));
                Storage::Cached(cached.collect::<Result<_>>()?)
            }
            Mode::Recomputed => {
                let data = segments.iter().map(|segment| Data::new(device, network, segment.padded));
                Storage::Recomputed { data: data.collect::<Result<_>>()?, point: Point::new(device, &model.layers, longest)? }
            }
            Mode::Streamed => {
                let data = (0..2).map(|_| Data::new(device, network, longest)).collect::<Result<_>>()?;
                Storage::Streamed { data, point: Point::new(device, &model.layers, longest)? }
            }
        };
        let held = Self { segments, objective: objective.clone(), storage };
        held.fill(space, model, true)?;
        Ok(held)
    }

    /// Moves to the point of `model` and to the data of `objective`, which are brought to the device where they are not there already.
    pub(super) fn relinearize(&mut self, space: &GpuSpace, model: &Model, objective: &Objective) -> Result<()> {
        let brings = !self.objective.shares_data(objective);
        self.objective = objective.clone();
        self.fill(space, model, brings)
    }

    /// Makes what is kept between products; `brings` the data to the device first.
    pub(super) fn fill(&self, space: &GpuSpace, model: &Model, brings: bool) -> Result<()> {
        if matches!(self.storage, Storage::Streamed { .. }) {
            return Ok(());
        }
        for (index, segment) in self.segments.iter().enumerate() {
            let (data, point) = self.room(space, index)?;
            if brings {
                upload(&self.objective, space.device(), segment, data)?;
            }
            if matches!(self.storage, Storage::Cached(_)) {
                model.linearize(space, segment, data, point)?;
            }
        }
        Ok(())
    }

    /// The data of segment `index` and room for its passes, whatever it holds. Valid until the next segment is asked for.
    pub(super) fn room(&self, space: &GpuSpace, index: usize) -> Result<(&Data, &Point)> {
        Ok(match &self.storage {
            Storage::Cached(cached) => (&cached[index].0, &cached[index].1),
            Storage::Recomputed { data, point } => (&data[index], point),
            Storage::Streamed { data, point } => {
                let data = &data[index % data.len()];
                upload(&self.objective, space.device(), &self.segments[index], data)?;
                (data, point)
            }
        })
    }

    /// The input and the point of segment `index`, made now where they are not kept. Valid until the next segment is asked for.
    pub(super) fn at(&self, space: &GpuSpace, model: &Model, index: usize) -> Result<(&Array, &Point)> {
        let (data, point) = self.room(space, index)?;
        if !matches!(self.storage, Storage::Cached(_)) {
            model.linearize(space, &self.segments[index], data, point)?;
        }
        Ok((&data.input, point))
    }
}

/// The samples in segments that neither exceed the device's bindings nor the schedule's micro-batch.
fn cut(network: &Network, device: &Device, samples: usize, schedule: Schedule) -> Result<Vec<Segment>> {
    let most = Segment::most(network, device)?.min(schedule.micro_batch.next_multiple_of(4));
    Ok(Segment::cut(samples, most))
}

/// The parameters of `network` in shards that hold several columns in a binding.
pub(super) fn shards(network: &Network, device: &Device) -> Result<Shards> {
    Shards::new(network, preferred_shard(device), device.array_bytes() / 4)
}

/// Numbers of a shard of which several columns fit a binding.
pub(super) fn preferred_shard(device: &Device) -> usize {
    device.array_bytes() / 4 / SHARD_COLUMNS
}

/// Columns of a shard that should fit a binding.
const SHARD_COLUMNS: usize = 8;

/// Most columns of vectors in `shards` and of activations in segments of `padded` samples.
pub(super) fn max_columns(network: &Network, device: &Device, shards: &Shards, padded: usize) -> usize {
    let width = tallest(network);
    (device.array_bytes() / (4 * shards.longest().max(width * padded))).clamp(1, device.max_workgroups())
}

/// Bytes of the tangents of one column.
pub(super) fn column_bytes(network: &Network, padded: usize) -> usize {
    let outputs: usize = network.widths()[1..].iter().sum();
    let standards: usize = layers(network, Curvature::Hessian).iter().map(standard_rows).sum();
    4 * (2 * outputs + standards) * padded
}

/// How a job fits into the memory of `device`, found without allocating anything there.
///
/// # Errors
/// [`Error::Memory`](crate::error::Error::Memory) where it does not.
pub(super) fn plan(objective: &Objective, curvature: Curvature, device: &Device, demand: &Demand) -> Result<MemoryPlan> {
    let (network, samples) = (objective.network(), objective.samples());
    let shards = shards(network, device)?;
    let most = Segment::most(network, device)?;
    let padded = Segment::cut(samples, most)[0].padded;
    let capacity = Capacity {
        samples,
        vector_bytes: 4 * shards.padded() as u64,
        micro_batch: most,
        max_columns: max_columns(network, device, &shards, padded),
    };
    MemoryPlan::choose(demand, &capacity, |schedule| footprint(network, curvature, &shards, samples, most, schedule))
}

/// Numbers of the constants of batch normalizations.
fn running_statistics(network: &Network) -> usize {
    let constants = |op: &Op| matches!(op, Op::Norm(norm) if matches!(norm.kind, NormKind::Batch { .. }));
    let norms = network.layers().iter().zip(&network.widths()[1..]).filter(|(layer, _)| constants(&layer.op));
    norms.map(|(_, width)| 2 * width).sum()
}

/// Bytes of all that an operator and its products allocate.
fn footprint(network: &Network, curvature: Curvature, shards: &Shards, samples: usize, most: usize, schedule: Schedule) -> Footprint {
    let segments = Segment::cut(samples, most.min(schedule.micro_batch.next_multiple_of(4)));
    let (longest, all): (usize, usize) = (segments[0].padded, segments.iter().map(|segment| segment.padded).sum());
    let (inputs, outputs, expected) = (network.inputs(), network.outputs(), expected_per_sample(network));
    let (data, points) = match schedule.mode {
        Mode::Cached => ((inputs + expected) * all, all),
        Mode::Recomputed => ((inputs + expected) * all, longest),
        Mode::Streamed => (2 * (inputs + expected) * longest, longest),
    };
    let bytes = |numbers: usize| 4 * numbers as u64;
    let drawn = match curvature.output_curvature() {
        OutputCurvature::Sampled(draws) => draws.count as usize * outputs * all,
        _ => 0,
    };
    let mean_gradients = if curvature.is_centred() { bytes(shards.padded()) } else { 0 };
    Footprint::default()
        .with("parameters", bytes(shards.padded() + running_statistics(network)), 0)
        .with("data", bytes(data), 0)
        .with("linearization", bytes(numbers_per_sample(&layers(network, curvature)) * points), 0)
        .with("loss", bytes(longest + outputs), 0)
        .with("drawn targets", bytes(drawn), 0)
        .with("mean gradient", mean_gradients, mean_gradients)
        .with("tangents", 0, column_bytes(network, longest) as u64)
}
