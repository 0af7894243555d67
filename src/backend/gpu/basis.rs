//! A Krylov basis in as many buffers as the device's limits ask for, and what is done with all of it at once.

use std::ops::Range;

use super::array::Array;
use super::kernel::Kernel;
use super::space::{GpuBlock, GpuSpace, vector_cost, word};
use super::uniforms::Krylov;
use crate::error::Result;

/// Blocks that a thread of the basis kernels in krylov.wgsl goes through at a time.
const AT_A_TIME: usize = 4;

/// Blocks q₀, q₁, ... on the device.
#[derive(Debug)]
pub struct GpuBasis {
    shards: Vec<BasisShard>,
    len: usize,
    capacity: usize,
    columns: usize,
    /// [capacity + 2, b]: one row more for yᵀy, and one for what follows from it.
    coefficients: Array,
}

/// A shard of all blocks.
#[derive(Debug)]
struct BasisShard {
    buffers: Vec<Array>,
    blocks_per_buffer: usize,
    stride: usize,
}

impl BasisShard {
    /// The first `blocks` blocks, as (buffer, index of its first block, how many are in it).
    fn parts(&self, blocks: usize) -> impl Iterator<Item = (&Array, usize, usize)> {
        let firsts = (0..blocks).step_by(self.blocks_per_buffer);
        self.buffers.iter().zip(firsts).map(move |(buffer, first)| (buffer, first, self.blocks_per_buffer.min(blocks - first)))
    }
}

impl GpuBasis {
    pub(super) fn new(space: &GpuSpace, capacity: usize, columns: usize) -> Result<Self> {
        let device = space.device();
        let shard = |stride: usize| BasisShard {
            buffers: Vec::new(),
            blocks_per_buffer: (device.array_bytes() / (4 * columns * stride)).clamp(1, capacity.max(1)),
            stride,
        };
        Ok(Self {
            shards: space.shards().iter().map(|part| shard(part.stride)).collect(),
            len: 0,
            capacity,
            columns,
            coefficients: device.buffer("coefficients", (capacity + 2) * columns)?,
        })
    }

    pub(super) fn push(&mut self, space: &GpuSpace, x: &GpuBlock) -> Result<()> {
        assert!(self.len < self.capacity && self.columns == x.columns, "a block of the basis's width and room for it");
        for (shard, part) in self.shards.iter_mut().zip(&x.shards) {
            let block = self.columns * shard.stride;
            let (buffer, at) = (self.len / shard.blocks_per_buffer, self.len % shard.blocks_per_buffer);
            if buffer == shard.buffers.len() {
                let blocks = shard.blocks_per_buffer.min(self.capacity - self.len);
                shard.buffers.push(space.device().buffer("the Krylov basis", blocks * block)?);
            }
            space.device().copy((part, 0), (&shard.buffers[buffer], at * block), block);
        }
        self.len += 1;
        Ok(())
    }

    /// Keeps the first `len` blocks; the buffers stay for those to come.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// y ← y − QQᵀy, and that once more for the columns of which so much was taken that rounding errors count: the device sees for itself
    /// which these are, and nobody waits for it.
    pub(super) fn orthogonalize(&self, space: &GpuSpace, y: &GpuBlock) -> Result<()> {
        assert_eq!(self.columns, y.columns, "operands of equal width");
        if self.len == 0 {
            return Ok(());
        }
        self.project(space, y, 0)?;
        let params = Krylov { blocks: word(self.len), columns: word(self.columns), ..Krylov::default() };
        space.device().dispatch(Kernel::BasisJudge, params, &[(9, &*self.coefficients)], [1, self.columns, 1], 0.0)?;
        self.subtract_part(space, y, self.len, 0)?;
        let guard = self.len + 1;
        self.project(space, y, guard)?;
        self.subtract_part(space, y, self.len, guard)
    }

    /// The basis's coefficients ← Qᵀy, and yᵀy in the row after them: one pass over the basis, and one dispatch that adds up.
    fn project(&self, space: &GpuSpace, y: &GpuBlock, guard: usize) -> Result<()> {
        let device = space.device();
        let rows = self.len + 1;
        let partials = space.partials(space.all_groups() * rows * self.columns)?;
        for ((params, shard), y) in space.params(self.columns).zip(&self.shards).zip(&y.shards) {
            if guard == 0 {
                space.partial_sum(Krylov { row: word(self.len), ..params }, y, y, &partials)?;
            }
            for (buffer, first, count) in shard.parts(self.len) {
                let groups = params.groups as usize;
                let params = Krylov { blocks: word(count), row: word(first), guard: word(guard), ..params };
                let cost = vector_cost(count * self.columns * params.stride4 as usize);
                let bindings = [(1, &**y), (4, &**buffer), (5, &**partials), (10, &*self.coefficients)];
                device.dispatch(Kernel::BasisPartials, params, &bindings, [groups, self.columns, count.div_ceil(AT_A_TIME)], cost)?;
            }
        }
        // Of what is left out the sums are those of the first pass.
        for rows in windows(if guard == 0 { rows } else { self.len }, device.max_workgroups()) {
            let params =
                Krylov { row: word(rows.start), columns: word(self.columns), all_groups: word(space.all_groups()), ..Krylov::default() };
            let bindings = [(6, &**partials), (9, &*self.coefficients)];
            device.dispatch(Kernel::BasisTotals, params, &bindings, [rows.len(), self.columns, 1], 0.0)?;
        }
        Ok(())
    }

    /// y ← y − Q c for the first `blocks` blocks, c being what the basis's coefficients hold: one pass over them.
    pub(super) fn subtract(&self, space: &GpuSpace, y: &GpuBlock, blocks: usize) -> Result<()> {
        assert!(self.columns == y.columns && blocks <= self.len, "operands of equal width");
        self.subtract_part(space, y, blocks, 0)
    }

    fn subtract_part(&self, space: &GpuSpace, y: &GpuBlock, blocks: usize, guard: usize) -> Result<()> {
        let device = space.device();
        for ((params, shard), y) in space.params(self.columns).zip(&self.shards).zip(&y.shards) {
            for (buffer, first, count) in shard.parts(blocks) {
                let params = Krylov { blocks: word(count), row: word(first), guard: word(guard), ..params };
                let cost = vector_cost(count * self.columns * params.stride4 as usize);
                let bindings = [(3, &**y), (4, &**buffer), (10, &*self.coefficients)];
                device.dispatch(Kernel::BasisSubtract, params, &bindings, [params.groups as usize, self.columns, 1], cost)?;
            }
        }
        Ok(())
    }

    /// Overwrites the coefficients, [blocks, b].
    pub(super) fn set_coefficients(&self, space: &GpuSpace, values: &[f32]) -> Result<()> {
        assert!(values.len() <= self.len * self.columns, "at most one coefficient for each vector of the basis");
        space.device().write(&self.coefficients, 0, values)
    }
}

/// `count` in windows of at most `most`.
fn windows(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(most).map(move |first| first..count.min(first + most))
}
