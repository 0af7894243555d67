//! Products with the Hessian and other operators of the objective: tangent passes forward and backward over the linearization, and the
//! weight products, segment by segment.

mod elsewhere;
mod sums;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::adapter::driver;
use super::array::Array;
use super::clock::{Part, Spent};
use super::cut::{Cut, Terms};
use super::device::Device;
use super::kernel::{Curve, Kernel, Variant};
use super::linearization::{Model, OpModel, Point, is_first_back};
use super::peak;
use super::product::{self, product_cost};
use super::schedule::{self, Held};
use super::segment::Segment;
use super::space::{GpuBlock, GpuScalars, GpuSpace};
use super::unary::{self, Back, NormPass, standard_rows};
use crate::curvature::{
    BackendInfo, Curvature, CurvatureOperator, Demand, KernelTime, MemoryPlan, Objective, OutputCurvature, Peaks, Reach, Schedule,
};
use crate::error::{Error, Result};
use crate::krylov::{LanczosSeconds, LinearOperator, Slot, VectorSpace as _};
use crate::model::{Layout, WeightDecay};
use crate::numeric::{Precision, Real};

/// A curvature operator of an objective on a GPU, in single precision.
#[derive(Debug)]
pub struct Gpu {
    space: GpuSpace,
    model: Model,
    layout: Layout,
    held: Held,
    schedule: Schedule,
    weight_decay: WeightDecay,
    /// (λ/2)·‖θ‖² of what decays.
    penalty: f64,
    /// Whether the parameters and the passes on the device are those of [another point](Self::loss_elsewhere).
    is_away: Cell<bool>,
    /// As many ones as the longest segment has samples.
    ones: Array,
    tangents: RefCell<Tangents>,
    /// The gradients at drawn targets of each segment, [draws, outputs, padded samples], where the operator is made of those.
    drawn: Vec<Array>,
    /// ∇f/√Σω without weight decay in each of the columns that products have had, where its outer product is taken off.
    mean_gradient: RefCell<Option<GpuBlock>>,
    products: Cell<u64>,
    /// Columns of the last products, each with the number of the submission that it ends in.
    under_way: RefCell<VecDeque<(u64, u64)>>,
    bytes: u64,
    column_bytes: usize,
    max_columns: usize,
}

/// Arrays of the tangent passes, [b, width, padded samples] for every layer.
#[derive(Debug, Default)]
struct Tangents {
    columns: usize,
    /// R z.
    values: Vec<Array>,
    /// R s on the way forward, R δ on the way back.
    deltas: Vec<Array>,
    /// R x̂ of the layers that normalize, [b, width + 1, padded samples].
    standards: Vec<Option<Array>>,
}

/// What the passes over one segment read and write.
struct Passes<'a> {
    cut: Cut<'a>,
    segment: &'a Segment,
    /// What the operator's matrix in output space is made of.
    factor: &'a Array,
    input: &'a Array,
    point: &'a Point,
    tangents: &'a Tangents,
    /// Whether the result holds the sums over earlier segments.
    accumulate: bool,
    /// What takes part.
    reach: &'a Reach,
}

impl Passes<'_> {
    /// R z_`value`; none where that is 0, as of the network's input.
    fn tangent(&self, value: usize) -> Option<&Array> {
        value.checked_sub(1).filter(|_| self.reach.moves(value)).map(|layer| &self.tangents.values[layer])
    }
}

impl Gpu {
    /// How a job fits into the memory of `device`, found without allocating anything there.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not.
    pub fn plan(objective: &Objective, curvature: Curvature, device: &Rc<Device>, demand: &Demand) -> Result<MemoryPlan> {
        schedule::plan(objective, curvature, device, demand)
    }

    /// Uploads `objective` to `device` and computes its linearization. Operators on one device share its compiled kernels.
    ///
    /// # Errors
    /// [`Error::Memory`] where an array exceeds the device's limits, [`Error::Device`] where the device fails.
    pub fn new(objective: &Objective, curvature: Curvature, device: &Rc<Device>) -> Result<Self> {
        Self::with_schedule(objective, curvature, device, Schedule::cached(objective.samples()))
    }

    /// As [`new`](Self::new), the linearization held as `schedule` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_schedule(objective: &Objective, curvature: Curvature, device: &Rc<Device>, schedule: Schedule) -> Result<Self> {
        curvature.check(objective)?;
        let before = device.allocated();
        let network = objective.network();
        let space = GpuSpace::new(Rc::clone(device), Rc::new(schedule::shards(network, device)?));
        let model = Model::new(&space, objective, curvature, schedule.mode)?;
        let held = Held::new(&space, &model, objective, schedule)?;
        let longest = held.segments[0].padded;
        let ones = device.buffer_of("sample weights", &vec![1.0; longest])?;
        let drawn = drawn_targets(&space, &model, &held, objective)?;
        let mut operator = Self {
            column_bytes: schedule::column_bytes(network, longest),
            max_columns: schedule::max_columns(network, device, space.shards(), longest),
            space,
            model,
            layout: network.layout(),
            held,
            schedule,
            weight_decay: objective.weight_decay(),
            penalty: penalty(objective, &network.parameters()),
            is_away: Cell::default(),
            ones,
            tangents: RefCell::default(),
            products: Cell::new(0),
            under_way: RefCell::default(),
            bytes: 0,
            drawn,
            mean_gradient: RefCell::default(),
        };
        if curvature.is_centred() {
            operator.mean_gradient = RefCell::new(Some(operator.mean_gradient(objective.total_weight())?));
        }
        operator.bytes = device.allocated() - before;
        Ok(operator)
    }

    /// The same operator of another `objective`, which differs in numbers alone, to the same bits as a new one: buffers stay, and so do the
    /// data where it is [the same objective at other parameters](Objective::with_network).
    ///
    /// # Errors
    /// [`Error::Input`] where it differs in more, and as [`new`](Self::new).
    pub fn relinearize(mut self, objective: &Objective) -> Result<Self> {
        let curvature = self.model.curvature;
        curvature.check(objective)?;
        if !self.held.objective.is_shaped_as(objective) {
            return Err(Error::Input("an operator moves to other parameters and data of the same network and loss: make a new one".into()));
        }
        self.model.relinearize(&self.space, objective.network())?;
        self.held.relinearize(&self.space, &self.model, objective)?;
        (self.weight_decay, self.penalty) = (objective.weight_decay(), penalty(objective, &objective.network().parameters()));
        self.is_away.set(false);
        self.drawn.clear();
        self.drawn = drawn_targets(&self.space, &self.model, &self.held, objective)?;
        if curvature.is_centred() {
            *self.mean_gradient.get_mut() = None;
            self.mean_gradient = RefCell::new(Some(self.mean_gradient(objective.total_weight())?));
        }
        self.products.set(0);
        Ok(self)
    }

    /// Whether it can [move](Self::relinearize) to `curvature` of `objective`, held as `schedule` says.
    pub(in crate::backend) fn can_move_to(&self, objective: &Objective, curvature: Curvature, schedule: Schedule) -> bool {
        self.model.curvature == curvature && self.schedule == schedule && self.held.objective.is_shaped_as(objective)
    }

    fn device(&self) -> &Device {
        self.space.device()
    }

    /// Makes room for the tangents of `columns` directions.
    fn grow(&self, columns: usize) -> Result<()> {
        let mut tangents = self.tangents.borrow_mut();
        if tangents.columns >= columns {
            return Ok(());
        }
        *tangents = Tangents::default();
        let array = |outputs: usize| self.device().buffer("tangent activations", columns * outputs * self.held.segments[0].padded);
        for layer in &self.model.layers {
            tangents.values.push(array(layer.extents.outputs)?);
            tangents.deltas.push(array(layer.extents.outputs)?);
            let rows = standard_rows(layer);
            tangents.standards.push(if rows > 0 { Some(array(rows)?) } else { None });
        }
        tangents.columns = columns;
        Ok(())
    }

    /// R z and R s, layer by layer, then R δ of the last layer.
    fn forward(&self, passes: &Passes<'_>, vector: &GpuBlock) -> Result<()> {
        let &Passes { ref cut, segment, factor, input, point, tangents, .. } = passes;
        for (index, (layer, at)) in self.model.layers.iter().zip(&point.layers).enumerate() {
            let reach = passes.reach.layers()[index];
            if !reach.moves {
                continue;
            }
            if layer.op != OpModel::Dense {
                self.forward_unary(passes, index, vector)?;
                continue;
            }
            // The data have no tangent: what is bound in its place is not read.
            let below = passes.tangent(layer.sources[0]);
            let depths = [reach.weight, below.is_some()].map(|there| if there { layer.extents.inputs } else { 0 });
            let (below, incoming) = (below.unwrap_or(input), point.value(layer.sources[0], input));
            for step in cut.forward(index, layer.extents, depths) {
                let (weights, vector) = (&self.model.parameters.shards[step.shard], &vector.shards[step.shard]);
                let read = [(1, &**weights), (2, &**incoming), (3, &**vector), (4, &**below), (5, &*at.first)];
                let mut bindings = Vec::from(read);
                bindings.push((7, &*tangents.values[index]));
                if let (Curve::Curved, Some(bend)) = (layer.tangent_curve, &at.bend) {
                    bindings.extend([(6, &**bend), (8, &*tangents.deltas[index])]);
                }
                product::pass_with(
                    cut.device,
                    Kernel::ForwardOver(layer.tangent_curve),
                    step.tile,
                    step.params,
                    step.directions,
                    &bindings,
                )?;
            }
        }
        let (last, (kernel, params)) = (point.layers.len() - 1, self.model.output_curvature(segment));
        let read = [(2, &*point.layers[last].first), (5, &**factor), (8, &*tangents.values[last])];
        let bindings = [&read[..], &[(9, &*tangents.deltas[last])]].concat();
        let cost = product_cost(params.outputs as usize, 10 * params.vectors.max(1) as usize, cut.directions * segment.padded);
        let grid = [segment.padded.div_ceil(64), 1, cut.directions];
        cut.device.dispatch(kernel, params, &bindings, grid, cost)
    }

    /// R z and R s of a layer that is not dense.
    fn forward_unary(&self, passes: &Passes<'_>, index: usize, vector: &GpuBlock) -> Result<()> {
        let &Passes { ref cut, input, point, tangents, .. } = passes;
        let (layer, at, tangent) = (&self.model.layers[index], &point.layers[index], &tangents.values[index]);
        match (NormPass::new(&self.model, cut, index), &tangents.standards[index]) {
            (Some(pass), Some(standard)) => {
                pass.forward_over(vector, passes.tangent(layer.sources[0]), input, at, (standard, tangent))?;
            }
            _ => {
                let sources: Vec<_> = layer.sources.iter().filter_map(|&source| passes.tangent(source)).collect();
                unary::add_up(cut, layer.extents.outputs, cut.directions, &sources, tangent)?;
            }
        }
        unary::activate_over(cut, layer, at, tangent, &tangents.deltas[index])
    }

    /// R δ, layer by layer, and each layer's part of the product.
    fn backward(&self, passes: &Passes<'_>, vector: &GpuBlock, result: &GpuBlock) -> Result<()> {
        let &Passes { ref cut, point, tangents, .. } = passes;
        for (index, layer) in self.model.layers.iter().enumerate().rev() {
            self.weights(passes, index, vector, result)?;
            for (turn, &source) in layer.sources.iter().enumerate().filter(|(_, source)| passes.reach.moves(**source)) {
                let source = source - 1;
                let curve = self.model.layers[source].tangent_curve;
                let back = Back {
                    at: &point.layers[index],
                    standard: tangents.standards[index].as_ref(),
                    delta: &tangents.deltas[index],
                    first: &point.layers[source].first,
                    target: &tangents.deltas[source],
                    accumulate: curve == Curve::Curved || !is_first_back(&self.model.layers, index, turn),
                };
                match (layer.op, NormPass::new(&self.model, cut, index)) {
                    (OpModel::Dense, _) => self.backward_product(passes, index, vector, &back)?,
                    (_, Some(pass)) => pass.backward_over(vector, &back)?,
                    _ => unary::add_back_over(cut, layer.extents.outputs, &back)?,
                }
            }
        }
        Ok(())
    }

    /// The share of R δ that dense layer `index` gives to what it reads.
    fn backward_product(&self, passes: &Passes<'_>, index: usize, vector: &GpuBlock, back: &Back<'_>) -> Result<()> {
        let (cut, layer) = (&passes.cut, &self.model.layers[index]);
        let curve = self.model.layers[layer.sources[0] - 1].tangent_curve;
        let mixed = self.model.curvature.has_network_curvature() && passes.reach.layers()[index].weight;
        let terms = if mixed { Terms::Both } else { Terms::Tangent };
        for mut step in cut.backward(index, layer.extents, terms) {
            step.params.accumulate |= u32::from(back.accumulate);
            let (weights, vector) = (&self.model.parameters.shards[step.shard], &vector.shards[step.shard]);
            let bindings =
                [(1, &**weights), (2, &*back.at.delta), (3, &**vector), (4, &**back.delta), (5, &**back.first), (6, &**back.target)];
            product::pass_with(cut.device, Kernel::BackwardOver(curve), step.tile, step.params, step.directions, &bindings)?;
        }
        Ok(())
    }

    /// ∇f/√Σω without weight decay, one column.
    fn mean_gradient(&self, total_weight: f64) -> Result<GpuBlock> {
        let mut gradient = self.space.block(1)?;
        for (index, segment) in self.held.segments.iter().enumerate() {
            let at = self.held.at(&self.space, &self.model, index)?;
            self.gradient(&self.cut(segment, 1), at, WeightDecay::default(), index > 0, &gradient)?;
        }
        let scaled: Vec<f64> = self.space.download(&gradient)?.into_iter().map(|g| g / total_weight.sqrt()).collect();
        self.space.upload(&scaled, &mut gradient)?;
        Ok(gradient)
    }

    /// y ← y − g (gᵀx) with the mean gradient g, which is brought to the width of x first.
    fn subtract_mean(&self, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        let mut held = self.mean_gradient.borrow_mut();
        let Some(gradient) = held.as_mut() else { return Ok(()) };
        if gradient.columns != x.columns {
            let column = self.space.download(gradient)?.split_off((gradient.columns - 1) * self.space.dim());
            *gradient = self.space.block(x.columns)?;
            self.space.upload(&column.repeat(x.columns), gradient)?;
        }
        let mut along = self.space.scalars(1, x.columns)?;
        self.space.dot(gradient, x, &mut along, Slot(0))?;
        self.space.sub_scaled(y, &along, Slot(0), gradient)
    }

    /// y ← A x for an x that is 0 outside of the `reach`, where alone y is made.
    fn multiply(&self, reach: &Reach, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        assert_eq!(x.columns, y.columns, "operands of equal width");
        let _clocked = self.device().clocked(Part::Product);
        self.come_back()?;
        self.grow(x.columns)?;
        let tangents = self.tangents.borrow();
        for (index, segment) in self.held.segments.iter().enumerate() {
            let (input, point) = self.held.at(&self.space, &self.model, index)?;
            let cut = self.cut(segment, x.columns);
            let factor = self.drawn.get(index).unwrap_or(&point.factor);
            let passes = Passes { cut, segment, factor, input, point, tangents: &tangents, accumulate: index > 0, reach };
            self.forward(&passes, x)?;
            self.backward(&passes, x, y)?;
        }
        self.products.set(self.products.get() + x.columns as u64);
        self.subtract_mean(x, y)?;
        self.under_way.borrow_mut().push_back((self.device().latest_submission(), x.columns as u64));
        self.forget_what_is_done();
        Ok(())
    }

    fn forget_what_is_done(&self) {
        let ended = self.device().ended_submission();
        let mut under_way = self.under_way.borrow_mut();
        while under_way.front().is_some_and(|(submission, _)| *submission <= ended) {
            under_way.pop_front();
        }
    }

    fn cut(&self, segment: &Segment, directions: usize) -> Cut<'_> {
        Cut { device: self.space.device(), shards: self.space.shards(), samples4: segment.padded / 4, directions, once: false }
    }
}

/// (λ/2)·‖θ‖² of what decays, at θ = `parameters`.
fn penalty(objective: &Objective, parameters: &[f64]) -> f64 {
    let decay = objective.weight_decay();
    let squares: f64 = decay.ranges(objective.network()).into_iter().flat_map(|range| &parameters[range]).map(|x| x * x).sum();
    0.5 * decay.factor * squares
}

/// The gradients at drawn targets of each segment; none for operators that are not made of those.
///
/// They are drawn on the host, in double precision, from the outputs as the device has them: once, since θ is fixed.
fn drawn_targets(space: &GpuSpace, model: &Model, held: &Held, objective: &Objective) -> Result<Vec<Array>> {
    let OutputCurvature::Sampled(draws) = model.curvature.output_curvature() else { return Ok(Vec::new()) };
    let outputs = objective.network().outputs();
    let of_segment = |(index, segment): (usize, &Segment)| {
        let (_, point) = held.at(space, model, index)?;
        let values = space.device().read(&point.layers[point.layers.len() - 1].value, outputs * segment.padded)?;
        let mut drawn = vec![0.0; draws.count as usize * outputs * segment.padded];
        for (at, sample) in segment.samples.clone().enumerate() {
            let of_sample: Vec<f64> = (0..outputs).map(|output| f64::from(values[output * segment.padded + at])).collect();
            for (row, q) in draws.output_gradients(objective, &of_sample, sample).into_iter().enumerate() {
                drawn[row * segment.padded + at] = f32::from_f64(q);
            }
        }
        space.device().buffer_of("drawn targets", &drawn)
    };
    held.segments.iter().enumerate().map(of_segment).collect()
}

impl LinearOperator for Gpu {
    type Space = GpuSpace;

    fn space(&self) -> &GpuSpace {
        &self.space
    }

    fn apply(&self, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        self.multiply(&Reach::whole(&self.layout), x, y)
    }

    fn under_way(&self) -> u64 {
        self.forget_what_is_done();
        self.under_way.borrow().iter().map(|(_, columns)| columns).sum()
    }
}

impl CurvatureOperator for Gpu {
    fn apply_within(&self, chosen: &[Range<usize>], x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        let sources = self.model.layers.iter().map(|layer| layer.sources.as_slice());
        self.multiply(&Reach::new(&self.layout, sources, chosen), x, y)
    }

    fn loss_and_gradient(&self, gradient: &mut GpuBlock, s: &mut GpuScalars, loss: Slot) -> Result<()> {
        self.come_back()?;
        self.total_loss(s, loss, self.penalty, |index, segment| {
            let (input, point) = self.held.at(&self.space, &self.model, index)?;
            self.gradient(&self.cut(segment, 1), (input, point), self.weight_decay, index > 0, gradient)?;
            Ok(point)
        })
    }

    fn loss_at(&self, parameters: &[f64]) -> Result<Option<f64>> {
        self.loss_elsewhere(parameters).map(Some)
    }

    fn products(&self) -> u64 {
        self.products.get()
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    fn column_bytes(&self) -> usize {
        self.column_bytes
    }

    fn max_columns(&self) -> usize {
        self.max_columns
    }

    fn peaks(&self) -> Result<Peaks> {
        peak::measure(self.device())
    }

    fn device_seconds(&self) -> Option<LanczosSeconds> {
        let [products, orthogonalization] = self.device().seconds([Part::Product, Part::Orthogonalization])?.map(Duration::from_secs_f64);
        Some(LanczosSeconds { products, orthogonalization })
    }

    fn kernel_times(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Vec<KernelTime>>> {
        let spent = self.device().kernels_of(work)?;
        let times = |(variant, spent): (Variant, Spent)| KernelTime {
            kernel: variant.to_string(),
            runs: spent.passes,
            seconds: spent.seconds,
            gflops: variant.tile.is_some().then(|| spent.operations / spent.seconds.max(f64::MIN_POSITIVE) / 1e9),
        };
        Ok(spent.map(|spent| spent.into_iter().map(times).collect()))
    }

    fn warnings(&self) -> Vec<String> {
        self.device().tiles().warning().map(str::to_owned).into_iter().collect()
    }

    fn info(&self) -> BackendInfo {
        let info = self.device().info();
        BackendInfo {
            kind: "gpu".into(),
            adapter: Some(info.name.clone()),
            driver: Some(driver(info)),
            precision: Precision::F32,
            threads: 1,
            linearization: self.schedule,
            variants: Some(self.device().tiles().to_string()),
        }
    }
}
