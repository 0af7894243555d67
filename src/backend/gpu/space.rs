//! Vectors on the device.
//!
//! A block's vectors lie one after another, each padded with zeros to a multiple of 64 numbers: kernels read vec4 without an edge
//! case, and every vector starts where a binding may. Padding stays zero: every kernel maps zeros to zeros there.

use std::cell::RefCell;
use std::rc::Rc;

use wgpu::Buffer;

use super::device::Device;
use super::kernel::Kernel;
use super::uniforms::{self, Krylov};
use crate::error::Result;
use crate::krylov::{Slot, VectorSpace};
use crate::numeric::{Precision, Real};
use crate::rng::{self, Distribution};

/// Numbers that a vector's length is padded to a multiple of.
const ALIGNMENT: usize = 64;

/// Threads of a workgroup in krylov.wgsl and probe.wgsl.
const GROUP: usize = 64;

/// Vec4 that a thread of a Krylov kernel should have to itself before a further workgroup pays.
const VEC4_PER_THREAD: usize = 16;

/// Most workgroups that share a vector: enough to fill any device, and few enough for their sums to be added by one workgroup.
const MAX_GROUPS: usize = 256;

/// Vectors of n numbers in single precision on a device.
#[derive(Debug)]
pub struct GpuSpace {
    device: Rc<Device>,
    dim: usize,
    /// Sums of single workgroups, shared by all reductions and grown when needed.
    partials: RefCell<Option<Buffer>>,
}

/// n × b numbers on the device.
#[derive(Debug)]
pub struct GpuBlock {
    pub(super) buffer: Buffer,
    pub(super) columns: usize,
}

/// slots × b numbers on the device.
#[derive(Debug)]
pub struct GpuScalars {
    buffer: Buffer,
    slots: usize,
    columns: usize,
}

/// Blocks in as many buffers as the device's limits ask for.
#[derive(Debug)]
pub struct GpuBasis {
    buffers: Vec<Buffer>,
    blocks_per_buffer: usize,
    len: usize,
    capacity: usize,
    columns: usize,
    coefficients: Buffer,
}

impl GpuSpace {
    pub(super) fn new(device: Rc<Device>, dim: usize) -> Self {
        Self { device, dim, partials: RefCell::default() }
    }

    /// Numbers from one vector of a block to the next.
    pub(super) fn stride(&self) -> usize {
        self.dim.next_multiple_of(ALIGNMENT)
    }

    pub(super) fn device(&self) -> &Rc<Device> {
        &self.device
    }

    /// Workgroups that share a vector of `vec4` times four numbers.
    fn groups(vec4: usize) -> usize {
        vec4.div_ceil(GROUP * VEC4_PER_THREAD).clamp(1, MAX_GROUPS)
    }

    fn params(&self, columns: usize) -> Krylov {
        let stride4 = self.stride() / 4;
        Krylov { stride4: word(stride4), columns: word(columns), groups: word(Self::groups(stride4)), ..Krylov::default() }
    }

    /// A buffer for `count` partial sums. It is only ever used within one reduction, so one serves all.
    fn partials(&self, count: usize) -> Result<Buffer> {
        let mut partials = self.partials.borrow_mut();
        match &*partials {
            Some(buffer) if buffer.size() >= 4 * count as u64 => Ok(buffer.clone()),
            _ => Ok(partials.insert(self.device.buffer("partial sums", count)?).clone()),
        }
    }

    /// Row `params.slot` of `s` ← the products of the columns of `x` and `y`, of any length; see krylov.wgsl.
    pub(super) fn reduce(&self, params: Krylov, x: &Buffer, y: &Buffer, s: &GpuScalars) -> Result<()> {
        let (columns, groups) = (params.columns as usize, params.groups as usize);
        let partials = self.partials(columns * groups)?;
        let cost = vector_cost(params.stride4 as usize * columns);
        self.device.dispatch(Kernel::DotPartials, params, &[(1, x), (2, y), (5, &partials)], [groups, columns, 1], cost)?;
        self.device.dispatch(Kernel::DotTotal, params, &[(6, &partials), (7, &s.buffer)], [1, columns, 1], 0.0)
    }

    /// Row `slot` of column 0 of `s` ← xᵀy + constant, x and y of `vec4` times four numbers.
    pub(super) fn sum(&self, vec4: usize, x: &Buffer, y: &Buffer, constant: f64, s: &GpuScalars, slot: Slot) -> Result<()> {
        assert_eq!(s.columns, 1, "a sum is one number");
        let groups = word(Self::groups(vec4));
        let params =
            Krylov { stride4: word(vec4), columns: 1, slot: word(slot.0), groups, constant: f32::from_f64(constant), ..Krylov::default() };
        self.reduce(params, x, y, s)
    }

    /// The buffers of `basis` that hold blocks, as (buffer, blocks in it, index of the first).
    fn parts<'a>(&self, basis: &'a GpuBasis) -> impl Iterator<Item = (&'a Buffer, usize, usize)> {
        let per_buffer = basis.blocks_per_buffer;
        let len = basis.len;
        let counted = basis.buffers.iter().enumerate().map(move |(index, buffer)| {
            let first = index * per_buffer;
            (buffer, len.saturating_sub(first).min(per_buffer), first)
        });
        counted.filter(|(_, count, _)| *count > 0)
    }

    /// y ← y − Q c, c being what the basis's coefficients hold.
    fn subtract_basis(&self, basis: &GpuBasis, y: &Buffer, blocks: usize) -> Result<()> {
        for (buffer, count, first) in self.parts(basis) {
            let count = count.min(blocks.saturating_sub(first));
            if count == 0 {
                break;
            }
            let params = Krylov { blocks: word(count), row: word(first), ..self.params(basis.columns) };
            let bindings = [(3, y), (4, buffer), (10, &basis.coefficients)];
            let cost = vector_cost(count * basis.columns * params.stride4 as usize);
            self.device.dispatch(Kernel::BasisSubtract, params, &bindings, [params.groups as usize, basis.columns, 1], cost)?;
        }
        Ok(())
    }
}

/// A count as the kernels take it.
pub(super) fn word(count: usize) -> u32 {
    u32::try_from(count).expect("buffers are below 2³² elements by the device's limits")
}

/// Operations that take as long as streaming `vec4` vec4 through a vector kernel: it is the memory that they wait for.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn vector_cost(vec4: usize) -> f64 {
    40.0 * vec4 as f64
}

impl VectorSpace for GpuSpace {
    type Block = GpuBlock;
    type Scalars = GpuScalars;
    type Basis = GpuBasis;

    fn dim(&self) -> usize {
        self.dim
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn block(&self, columns: usize) -> Result<GpuBlock> {
        Ok(GpuBlock { buffer: self.device.buffer("a block of vectors", columns * self.stride())?, columns })
    }

    fn scalars(&self, slots: usize, columns: usize) -> Result<GpuScalars> {
        Ok(GpuScalars { buffer: self.device.buffer("scalars", slots * columns)?, slots, columns })
    }

    fn basis(&self, capacity: usize, columns: usize) -> Result<GpuBasis> {
        let block = columns * self.stride();
        let fitting = usize::try_from(self.device.max_binding_bytes()).unwrap_or(usize::MAX) / (4 * block);
        let blocks_per_buffer = fitting.clamp(1, capacity.max(1));
        let coefficients = self.device.buffer("coefficients", capacity * columns)?;
        Ok(GpuBasis { buffers: Vec::new(), blocks_per_buffer, len: 0, capacity, columns, coefficients })
    }

    fn fill(&self, x: &mut GpuBlock, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()> {
        match distribution {
            Distribution::Rademacher => {
                let Krylov { stride4, groups, .. } = self.params(x.columns);
                let params = uniforms::Probe { key: rng::key(seed), first_probe, length: word(self.dim), stride4, groups };
                let cost = vector_cost(x.columns * stride4 as usize);
                self.device.dispatch(Kernel::Rademacher, params, &[(1, &x.buffer)], [groups as usize, x.columns, 1], cost)
            }
            Distribution::Gaussian => {
                let mut values = vec![0.0_f32; self.dim];
                for (column, probe) in (0..x.columns).zip(first_probe..) {
                    rng::fill(distribution, seed, probe, &mut values);
                    self.device.write(&x.buffer, column * self.stride(), &values)?;
                }
                Ok(())
            }
        }
    }

    fn upload(&self, values: &[f64], x: &mut GpuBlock) -> Result<()> {
        assert_eq!(values.len(), self.dim * x.columns, "a block of {} columns of {}", x.columns, self.dim);
        for (column, values) in values.chunks_exact(self.dim).enumerate() {
            let values: Vec<_> = values.iter().map(|&value| f32::from_f64(value)).collect();
            self.device.write(&x.buffer, column * self.stride(), &values)?;
        }
        Ok(())
    }

    fn download(&self, x: &GpuBlock) -> Result<Vec<f64>> {
        let padded = self.device.read(&x.buffer, x.columns * self.stride())?;
        let columns = padded.chunks_exact(self.stride());
        Ok(columns.flat_map(|column| &column[..self.dim]).map(|&value| f64::from(value)).collect())
    }

    fn copy(&self, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        assert_eq!(x.columns, y.columns, "blocks of equal width");
        self.device.copy(&x.buffer, &y.buffer, 0, x.columns * self.stride());
        Ok(())
    }

    fn dot(&self, x: &GpuBlock, y: &GpuBlock, s: &mut GpuScalars, out: Slot) -> Result<()> {
        assert!(x.columns == y.columns && x.columns == s.columns, "operands of equal width");
        self.reduce(Krylov { slot: word(out.0), ..self.params(x.columns) }, &x.buffer, &y.buffer, s)
    }

    fn normalize(&self, x: &mut GpuBlock, s: &mut GpuScalars, out: Slot) -> Result<()> {
        assert_eq!(x.columns, s.columns, "operands of equal width");
        let params = Krylov { slot: word(out.0), root: 1, ..self.params(x.columns) };
        self.reduce(params, &x.buffer, &x.buffer, s)?;
        let bindings = [(3, &x.buffer), (8, &s.buffer)];
        let cost = vector_cost(x.columns * params.stride4 as usize);
        self.device.dispatch(Kernel::Divide, params, &bindings, [params.groups as usize, x.columns, 1], cost)
    }

    fn sub_scaled(&self, y: &mut GpuBlock, s: &GpuScalars, a: Slot, x: &GpuBlock) -> Result<()> {
        assert!(x.columns == y.columns && x.columns == s.columns, "operands of equal width");
        let params = Krylov { slot: word(a.0), ..self.params(x.columns) };
        let bindings = [(1, &x.buffer), (3, &y.buffer), (8, &s.buffer)];
        let cost = vector_cost(x.columns * params.stride4 as usize);
        self.device.dispatch(Kernel::SubtractScaled, params, &bindings, [params.groups as usize, x.columns, 1], cost)
    }

    fn push(&self, basis: &mut GpuBasis, x: &GpuBlock) -> Result<()> {
        assert!(basis.len < basis.capacity && basis.columns == x.columns, "a block of the basis's width and room for it");
        let block = x.columns * self.stride();
        let (buffer, at) = (basis.len / basis.blocks_per_buffer, basis.len % basis.blocks_per_buffer);
        if buffer == basis.buffers.len() {
            let blocks = basis.blocks_per_buffer.min(basis.capacity - basis.len);
            basis.buffers.push(self.device.buffer("the Krylov basis", blocks * block)?);
        }
        self.device.copy(&x.buffer, &basis.buffers[buffer], at * block, block);
        basis.len += 1;
        Ok(())
    }

    fn orthogonalize(&self, basis: &GpuBasis, y: &mut GpuBlock) -> Result<()> {
        assert_eq!(basis.columns, y.columns, "operands of equal width");
        for _ in 0..2 {
            for (buffer, count, first) in self.parts(basis) {
                let params = Krylov { blocks: word(count), row: word(first), ..self.params(basis.columns) };
                let groups = params.groups as usize;
                let partials = self.partials(groups * count * basis.columns)?;
                let cost = vector_cost(count * basis.columns * params.stride4 as usize);
                let bindings = [(1, &y.buffer), (4, buffer), (5, &partials)];
                self.device.dispatch(Kernel::BasisPartials, params, &bindings, [groups, basis.columns, count], cost)?;
                let bindings = [(6, &partials), (9, &basis.coefficients)];
                self.device.dispatch(Kernel::BasisTotals, params, &bindings, [count, basis.columns, 1], 0.0)?;
            }
            self.subtract_basis(basis, &y.buffer, basis.len)?;
        }
        Ok(())
    }

    fn combine(&self, basis: &GpuBasis, coefficients: &[f64], x: &mut GpuBlock) -> Result<()> {
        assert_eq!(basis.columns, x.columns, "operands of equal width");
        assert!(coefficients.len() <= basis.len * basis.columns, "at most one coefficient for each vector of the basis");
        let negated: Vec<_> = coefficients.iter().map(|&c| f32::from_f64(-c)).collect();
        self.device.write(&basis.coefficients, 0, &negated)?;
        self.device.clear(&x.buffer);
        self.subtract_basis(basis, &x.buffer, coefficients.len() / basis.columns)
    }

    fn read(&self, s: &GpuScalars) -> Result<Vec<f64>> {
        Ok(self.device.read(&s.buffer, s.slots * s.columns)?.into_iter().map(f64::from).collect())
    }

    fn readbacks(&self) -> u64 {
        self.device.readbacks()
    }
}
