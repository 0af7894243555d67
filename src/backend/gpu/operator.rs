//! Products with the Hessian: tangent passes forward and backward over the cached linearization, and the weight products.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wgpu::Buffer;

use super::adapter::driver;
use super::device::Device;
use super::kernel::Kernel;
use super::linearization::Linearization;
use super::peak;
use super::product::{self, product_cost};
use super::space::{GpuBlock, GpuScalars, GpuSpace, word};
use super::uniforms;
use crate::curvature::{BackendInfo, Capacity, Curvature, CurvatureOperator, Demand, Footprint, MemoryPlan, Mode, Objective, Schedule};
use crate::error::Result;
use crate::krylov::{LinearOperator, Slot};
use crate::numeric::{Precision, Real};

/// The Hessian of an objective on a GPU, in single precision.
#[derive(Debug)]
pub struct Gpu {
    space: GpuSpace,
    point: Linearization,
    schedule: Schedule,
    weight_decay: f64,
    /// (λ/2)·‖θ‖².
    penalty: f64,
    tangents: RefCell<Tangents>,
    products: Cell<u64>,
    bytes: u64,
}

/// Arrays of the tangent passes, [b, width, padded samples] for every layer.
#[derive(Debug, Default)]
struct Tangents {
    columns: usize,
    /// R z.
    values: Vec<Buffer>,
    /// R s on the way forward, R δ on the way back.
    deltas: Vec<Buffer>,
}

impl Gpu {
    /// How a job fits into the memory of `device`, found without allocating anything there.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) where it does not.
    pub fn plan(objective: &Objective, curvature: Curvature, device: &Rc<Device>, demand: &Demand) -> Result<MemoryPlan> {
        let demand = Demand { mode: Some(Mode::Cached), ..*demand };
        let space = GpuSpace::new(Rc::clone(device), objective.dim());
        let capacity = Capacity {
            samples: objective.samples(),
            vector_bytes: 4 * space.stride() as u64,
            micro_batch: objective.samples(),
            max_columns: usize::MAX,
        };
        MemoryPlan::choose(&demand, &capacity, |schedule| Self::footprint(objective, curvature, space.stride(), schedule))
    }

    /// Bytes of all that [`with_schedule`](Self::with_schedule) and products allocate.
    fn footprint(objective: &Objective, curvature: Curvature, stride: usize, schedule: Schedule) -> Footprint {
        let Curvature::Hessian = curvature;
        let (network, padded) = (objective.network(), schedule.micro_batch.next_multiple_of(4));
        let layers = network.layers();
        let curved = |index: usize| index + 1 == layers.len() || !layers[index].activation.is_piecewise_linear();
        let kept: usize = layers.iter().enumerate().map(|(index, layer)| layer.outputs * (3 + usize::from(curved(index)))).sum();
        let outputs: usize = layers.iter().map(|layer| layer.outputs).sum();
        let bytes = |numbers: usize| 4 * numbers as u64;
        Footprint::default()
            .with("parameters", bytes(stride), 0)
            .with("data", bytes(network.inputs() * padded), 0)
            .with("linearization", bytes(kept * padded), 0)
            .with("loss", bytes((network.outputs() + 2) * padded), 0)
            .with("tangents", 0, bytes(2 * outputs * padded))
    }

    /// Uploads `objective` to `device` and computes its linearization. Operators on one device share its compiled kernels.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) where an array exceeds the device's limits, [`Error::Device`](crate::error::Error::Device) where the device fails.
    pub fn new(objective: &Objective, curvature: Curvature, device: &Rc<Device>) -> Result<Self> {
        Self::with_schedule(objective, curvature, device, Schedule::cached(objective.samples()))
    }

    /// As [`new`](Self::new), the linearization held as `schedule` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_schedule(objective: &Objective, curvature: Curvature, device: &Rc<Device>, schedule: Schedule) -> Result<Self> {
        match curvature {
            Curvature::Hessian => {}
        }
        let before = device.allocated();
        let space = GpuSpace::new(Rc::clone(device), objective.dim());
        let point = Linearization::new(device, objective, space.stride())?;
        let squares: f64 = objective.network().parameters().iter().map(|x| x * x).sum();
        Ok(Self {
            space,
            point,
            schedule,
            weight_decay: objective.weight_decay(),
            penalty: 0.5 * objective.weight_decay() * squares,
            tangents: RefCell::default(),
            products: Cell::new(0),
            bytes: device.allocated() - before,
        })
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
        let array = |outputs: usize| self.device().buffer("tangent activations", columns * outputs * self.point.padded);
        for layer in &self.point.layers {
            tangents.values.push(array(layer.outputs)?);
            tangents.deltas.push(array(layer.outputs)?);
        }
        tangents.columns = columns;
        Ok(())
    }

    /// R z and R s, layer by layer, then R δ of the last layer.
    fn forward(&self, vector: &GpuBlock, tangents: &Tangents) -> Result<()> {
        let (point, columns) = (&self.point, vector.columns);
        for (index, layer) in point.layers.iter().enumerate() {
            let params = point.forward_params(index, self.space.stride());
            let below = if index == 0 { &point.input } else { &tangents.values[index - 1] };
            let mut bindings = vec![
                (1, &point.parameters),
                (2, point.incoming(index)),
                (3, &vector.buffer),
                (4, below),
                (5, &layer.first),
                (7, &tangents.values[index]),
            ];
            if let Some(bend) = &layer.bend {
                bindings.extend([(6, bend), (8, &tangents.deltas[index])]);
            }
            product::pass(self.device(), Kernel::ForwardOver(layer.curve), params, columns, &bindings)?;
        }
        let last = point.layers.len() - 1;
        let outputs = point.layers[last].outputs;
        let bindings = [(2, &point.layers[last].first), (5, &point.factor), (8, &tangents.values[last]), (9, &tangents.deltas[last])];
        let cost = product_cost(outputs, 10, columns * point.padded);
        let grid = [point.padded.div_ceil(64), 1, columns];
        self.device().dispatch(Kernel::LossOver(point.loss), point.loss_params(outputs), &bindings, grid, cost)
    }

    /// R δ, layer by layer, and each layer's part of the product.
    fn backward(&self, vector: &GpuBlock, result: &GpuBlock, tangents: &Tangents) -> Result<()> {
        let (point, columns) = (&self.point, vector.columns);
        for (index, layer) in point.layers.iter().enumerate().rev() {
            self.weights(index, vector, result, tangents)?;
            if index == 0 {
                break;
            }
            let below = &point.layers[index - 1];
            let bindings = [
                (1, &point.parameters),
                (2, &layer.delta),
                (3, &vector.buffer),
                (4, &tangents.deltas[index]),
                (5, &below.first),
                (6, &tangents.deltas[index - 1]),
            ];
            let params = point.backward_params(index, self.space.stride());
            product::pass(self.device(), Kernel::BackwardOver(below.curve), params, columns, &bindings)?;
        }
        Ok(())
    }

    /// Layer `index`'s part of the product, Rδ zᵀ + δ Rzᵀ + λV, and of its bias.
    fn weights(&self, index: usize, vector: &GpuBlock, result: &GpuBlock, tangents: &Tangents) -> Result<()> {
        let (point, layer) = (&self.point, &self.point.layers[index]);
        let params = self.weights_params(index);
        let mut bindings = vec![(1, &tangents.deltas[index]), (2, point.incoming(index)), (5, &vector.buffer), (6, &result.buffer)];
        let mut kernel = Kernel::WeightsFirst;
        if index > 0 {
            kernel = Kernel::Weights;
            bindings.extend([(3, &layer.delta), (4, &tangents.values[index - 1])]);
        }
        product::weights(self.device(), kernel, params, vector.columns, &bindings)?;
        if let Some(params) = self.bias_params(index) {
            let bindings = [(1, &tangents.deltas[index]), (5, &vector.buffer), (6, &result.buffer)];
            product::bias(self.device(), Kernel::BiasSums, params, vector.columns, &bindings)?;
        }
        Ok(())
    }

    fn weights_params(&self, index: usize) -> uniforms::Weights {
        let (layer, samples4) = (&self.point.layers[index], self.point.padded / 4);
        uniforms::Weights {
            rows: word(layer.outputs),
            columns: word(layer.inputs),
            samples4: word(samples4),
            stride4: word(samples4),
            row_stride: word(layer.inputs),
            vector_offset: word(layer.range.weight.start),
            result_offset: word(layer.range.weight.start),
            block_stride: word(self.space.stride()),
            tangent_delta_stride4: word(layer.outputs * samples4),
            tangent_input_stride4: word(layer.inputs * samples4),
            decay: f32::from_f64(self.weight_decay),
            ..uniforms::Weights::default()
        }
    }

    /// The same for the layer's bias, if it has one.
    fn bias_params(&self, index: usize) -> Option<uniforms::Weights> {
        let bias = word(self.point.layers[index].range.bias.as_ref()?.start);
        Some(uniforms::Weights { columns: 1, row_stride: 1, vector_offset: bias, result_offset: bias, ..self.weights_params(index) })
    }
}

impl LinearOperator for Gpu {
    type Space = GpuSpace;

    fn space(&self) -> &GpuSpace {
        &self.space
    }

    fn apply(&self, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        assert_eq!(x.columns, y.columns, "operands of equal width");
        self.grow(x.columns)?;
        let tangents = self.tangents.borrow();
        self.forward(x, &tangents)?;
        self.backward(x, y, &tangents)?;
        self.products.set(self.products.get() + x.columns as u64);
        Ok(())
    }
}

impl CurvatureOperator for Gpu {
    fn loss_and_gradient(&self, gradient: &mut GpuBlock, s: &mut GpuScalars, loss: Slot) -> Result<()> {
        let point = &self.point;
        self.space.sum(point.padded / 4, &point.losses, &point.ones, self.penalty, s, loss)?;
        for (index, layer) in point.layers.iter().enumerate() {
            let params = self.weights_params(index);
            let bindings = [(2, point.incoming(index)), (3, &layer.delta), (5, &point.parameters), (6, &gradient.buffer)];
            product::weights(self.device(), Kernel::Gradient, params, 1, &bindings)?;
            if let Some(params) = self.bias_params(index) {
                let bindings = [(3, &layer.delta), (5, &point.parameters), (6, &gradient.buffer)];
                product::bias(self.device(), Kernel::BiasGradient, params, 1, &bindings)?;
            }
        }
        Ok(())
    }

    fn products(&self) -> u64 {
        self.products.get()
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    fn column_bytes(&self) -> usize {
        let outputs: usize = self.point.layers.iter().map(|layer| layer.outputs).sum();
        2 * 4 * outputs * self.point.padded
    }

    fn max_columns(&self) -> usize {
        let activations = self.point.layers.iter().map(|layer| layer.outputs * self.point.padded).max().unwrap_or(0);
        let largest = 4 * activations.max(self.space.stride());
        usize::try_from(self.device().max_binding_bytes()).unwrap_or(usize::MAX) / largest
    }

    fn peak_gflops(&self) -> Result<Option<f64>> {
        peak::gflops(self.device()).map(Some)
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
            variants: Some(self.device().workgroups().to_string()),
        }
    }
}
