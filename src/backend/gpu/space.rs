//! Vectors on the device.
//!
//! A block has a buffer for each shard of its vectors, in which they lie one after another, each padded with zeros to a multiple of 64
//! numbers: kernels read vec4 without an edge case, and every vector starts where a binding may. Padding stays zero: every kernel maps
//! zeros to zeros there. A reduction leaves the sums of all workgroups of all shards, and a last dispatch adds them up.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use wgpu::Buffer;

use super::array::Array;
use super::basis::GpuBasis;
use super::clock::Part;
use super::device::Device;
use super::kernel::Kernel;
use super::schedule;
use super::shards::{Shard, Shards, Shared};
use super::uniforms::{self, Krylov};
use crate::error::Result;
use crate::krylov::{Slot, VectorSpace};
use crate::numeric::{Precision, Real};
use crate::rng::{self, Distribution};

/// Threads of a workgroup in krylov.wgsl, on hardware, and in probe.wgsl.
const GROUP: usize = 64;

/// Vec4 that a thread of a Krylov kernel should have to itself before a further workgroup pays.
const VEC4_PER_THREAD: usize = 16;

/// How many times as much a workgroup takes of a vector on a software driver, which has few to run at a time.
const SOFTWARE_SHARE: usize = 4;

/// Most workgroups that share a vector: enough to fill any device, and few enough for their sums to be added by one workgroup.
const MAX_GROUPS: usize = 256;

/// Vectors of n numbers in single precision on a device.
#[derive(Debug)]
pub struct GpuSpace {
    device: Rc<Device>,
    shards: Rc<Shards>,
    /// Workgroups that share a vector's part, shard by shard.
    groups: Vec<usize>,
    /// Sums of single workgroups, shared by all reductions and grown when needed.
    partials: RefCell<Option<Rc<Array>>>,
}

/// n × b numbers on the device.
#[derive(Debug)]
pub struct GpuBlock {
    pub(super) shards: Vec<Array>,
    pub(super) columns: usize,
}

/// slots × b numbers on the device.
#[derive(Debug)]
pub struct GpuScalars {
    pub(super) buffer: Array,
    slots: usize,
    columns: usize,
}

impl GpuSpace {
    pub(super) fn new(device: Rc<Device>, shards: Rc<Shards>) -> Self {
        let most = (MAX_GROUPS / shards.len()).max(1);
        let share = if device.is_software() { SOFTWARE_SHARE } else { 1 };
        let groups = shards.iter().map(|shard| groups((shard.stride / 4).div_ceil(share)).min(most)).collect();
        Self { device, shards, groups, partials: RefCell::default() }
    }

    pub(super) fn device(&self) -> &Rc<Device> {
        &self.device
    }

    pub(super) fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Workgroups that share a vector, in all shards.
    pub(super) fn all_groups(&self) -> usize {
        self.groups.iter().sum()
    }

    /// What the kernels of each shard are told about blocks of `columns` columns.
    pub(super) fn params(&self, columns: usize) -> impl Iterator<Item = Krylov> {
        let all_groups = word(self.all_groups());
        let mut first_group = 0;
        self.shards.iter().zip(&self.groups).map(move |(shard, &groups)| {
            let params = Krylov {
                stride4: word(shard.stride / 4),
                columns: word(columns),
                groups: word(groups),
                first_group: word(first_group),
                all_groups,
                ..Krylov::default()
            };
            first_group += groups;
            params
        })
    }

    /// A buffer for `count` partial sums. It is only ever used within one reduction, so one serves all.
    pub(super) fn partials(&self, count: usize) -> Result<Rc<Array>> {
        let mut partials = self.partials.borrow_mut();
        match &*partials {
            Some(buffer) if buffer.size() >= 4 * count as u64 => Ok(Rc::clone(buffer)),
            _ => Ok(Rc::clone(partials.insert(Rc::new(self.device.buffer("partial sums", count)?)))),
        }
    }

    /// Row `slot` of `s` ← xᵀy for each column, or its root.
    fn reduce(&self, x: &GpuBlock, y: &GpuBlock, s: &GpuScalars, slot: Slot, root: bool) -> Result<()> {
        assert!(x.columns == y.columns && x.columns == s.columns, "operands of equal width");
        let all_groups = self.all_groups();
        let partials = self.partials(x.columns * all_groups)?;
        for (params, (x, y)) in self.params(x.columns).zip(x.shards.iter().zip(&y.shards)) {
            self.partial_sum(params, x, y, &partials)?;
        }
        let total = Krylov {
            columns: word(x.columns),
            all_groups: word(all_groups),
            slot: word(slot.0),
            root: u32::from(root),
            ..Krylov::default()
        };
        self.total(total, &partials, s)
    }

    /// One part of a sum, to be followed by the others and [`total`](Self::total).
    pub(super) fn partial_sum(&self, params: Krylov, x: &Buffer, y: &Buffer, partials: &Buffer) -> Result<()> {
        let (columns, groups) = (params.columns as usize, params.groups as usize);
        let cost = vector_cost(params.stride4 as usize * columns);
        self.device.dispatch(Kernel::DotPartials, params, &[(1, x), (2, y), (5, partials)], [groups, columns, 1], cost)
    }

    /// Adds up the partial sums.
    pub(super) fn total(&self, params: Krylov, partials: &Buffer, s: &GpuScalars) -> Result<()> {
        let grid = [1, params.columns as usize, 1];
        self.device.dispatch(Kernel::DotTotal, params, &[(6, partials), (7, &s.buffer)], grid, 0.0)
    }

    fn fill_rademacher(&self, x: &GpuBlock, shard: (&Shard, &Array), seed: u64, first_probe: u32) -> Result<()> {
        let (shard, buffer) = shard;
        for run in &shard.runs {
            let params = uniforms::Probe {
                key: rng::key(seed),
                first_probe,
                source: word(run.source),
                target_first: word(run.target),
                length: word(run.len),
                stride4: word(shard.stride / 4),
                groups: word(groups(run.len.div_ceil(4))),
            };
            let grid = [params.groups as usize, x.columns, 1];
            let cost = vector_cost(x.columns * run.len.div_ceil(4));
            self.device.dispatch(Kernel::Rademacher, params, &[(1, buffer)], grid, cost)?;
        }
        Ok(())
    }

    /// Records copies of the elements `ranges` between the columns of `x` and those of `y`, a block of `part`.
    fn exchange(&self, x: &GpuBlock, part: &Self, y: &GpuBlock, ranges: &[Range<usize>], into_part: bool) {
        assert_eq!(x.columns, y.columns, "blocks of equal width");
        for Shared { at: (shard, first), part: (part_shard, part_first), len } in self.shards.shared_with(&part.shards, ranges) {
            for column in 0..x.columns {
                let whole = (&*x.shards[shard], column * self.shards.stride(shard) + first);
                let small = (&*y.shards[part_shard], column * part.shards.stride(part_shard) + part_first);
                let (from, to) = if into_part { (whole, small) } else { (small, whole) };
                self.device.copy(from, to, len);
            }
        }
    }

    /// Column `column` of `x` ← `values`, n numbers.
    /// The numbers of all columns, one after another, into `x`.
    pub(super) fn write(&self, values: &[f64], x: &GpuBlock) -> Result<()> {
        let mut columns = values.chunks_exact(self.dim()).enumerate();
        columns.try_for_each(|(column, values)| self.upload_column(x, column, values, f32::from_f64))
    }

    fn upload_column<T: Copy>(&self, x: &GpuBlock, column: usize, values: &[T], to_f32: impl Fn(T) -> f32) -> Result<()> {
        for (shard, buffer) in self.shards.iter().zip(&x.shards) {
            self.device.write(buffer, column * shard.stride, &shard.take(values, &to_f32))?;
        }
        Ok(())
    }
}

/// Workgroups that share `vec4` times four numbers.
pub(super) fn groups(vec4: usize) -> usize {
    vec4.div_ceil(GROUP * VEC4_PER_THREAD).clamp(1, MAX_GROUPS)
}

/// A count as the kernels take it.
pub(super) fn word(count: usize) -> u32 {
    u32::try_from(count).expect("buffers are below 2³² elements by the device's limits")
}

/// Operations that take as long as streaming `vec4` vec4 through a vector kernel: it is the memory that they wait for.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn vector_cost(vec4: usize) -> f64 {
    40.0 * vec4 as f64
}

impl VectorSpace for GpuSpace {
    type Block = GpuBlock;
    type Scalars = GpuScalars;
    type Basis = GpuBasis;

    fn dim(&self) -> usize {
        self.shards.dim()
    }

    fn columns(&self, x: &GpuBlock) -> usize {
        x.columns
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn block(&self, columns: usize) -> Result<GpuBlock> {
        let shards = self.shards.iter().map(|shard| self.device.buffer("a block of vectors", columns * shard.stride));
        Ok(GpuBlock { shards: shards.collect::<Result<_>>()?, columns })
    }

    fn scalars(&self, slots: usize, columns: usize) -> Result<GpuScalars> {
        Ok(GpuScalars { buffer: self.device.buffer("scalars", slots * columns)?, slots, columns })
    }

    fn basis(&self, capacity: usize, columns: usize) -> Result<GpuBasis> {
        GpuBasis::new(self, capacity, columns)
    }

    fn fill(&self, x: &mut GpuBlock, distribution: Distribution, seed: u64, first_probe: u32) -> Result<()> {
        match distribution {
            Distribution::Rademacher => {
                self.shards.iter().zip(&x.shards).try_for_each(|shard| self.fill_rademacher(x, shard, seed, first_probe))
            }
            Distribution::Gaussian => {
                let mut values = vec![0.0_f32; self.dim()];
                for (column, probe) in (0..x.columns).zip(first_probe..) {
                    rng::fill(distribution, seed, probe, &mut values);
                    self.upload_column(x, column, &values, |value| value)?;
                }
                Ok(())
            }
        }
    }

    fn upload(&self, values: &[f64], x: &mut GpuBlock) -> Result<()> {
        assert_eq!(values.len(), self.dim() * x.columns, "a block of {} columns of {}", x.columns, self.dim());
        self.write(values, x)
    }

    fn download(&self, x: &GpuBlock) -> Result<Vec<f64>> {
        let mut values = vec![0.0; self.dim() * x.columns];
        let shards: Vec<_> = self.shards.iter().collect();
        let parts = x.shards.iter().zip(&shards).map(|(buffer, shard)| (&**buffer, x.columns * shard.stride));
        self.device.read_parts(parts, |index, padded| {
            let columns = padded.chunks_exact(shards[index].stride).zip(values.chunks_exact_mut(self.dim()));
            columns.for_each(|(padded, values)| shards[index].put(padded, values));
        })?;
        Ok(values)
    }

    fn copy(&self, x: &GpuBlock, y: &mut GpuBlock) -> Result<()> {
        assert_eq!(x.columns, y.columns, "blocks of equal width");
        for ((x_part, y_part), shard) in x.shards.iter().zip(&y.shards).zip(self.shards.iter()) {
            self.device.copy((x_part, 0), (y_part, 0), x.columns * shard.stride);
        }
        Ok(())
    }

    fn dot(&self, x: &GpuBlock, y: &GpuBlock, s: &mut GpuScalars, out: Slot) -> Result<()> {
        self.reduce(x, y, s, out, false)
    }

    fn normalize(&self, x: &mut GpuBlock, s: &mut GpuScalars, out: Slot) -> Result<()> {
        self.reduce(x, x, s, out, true)?;
        for (params, part) in self.params(x.columns).zip(&x.shards) {
            let params = Krylov { slot: word(out.0), ..params };
            let cost = vector_cost(x.columns * params.stride4 as usize);
            let grid = [params.groups as usize, x.columns, 1];
            self.device.dispatch(Kernel::Divide, params, &[(3, part), (8, &s.buffer)], grid, cost)?;
        }
        Ok(())
    }

    fn sub_scaled(&self, y: &mut GpuBlock, s: &GpuScalars, a: Slot, x: &GpuBlock) -> Result<()> {
        assert!(x.columns == y.columns && x.columns == s.columns, "operands of equal width");
        for (params, (x_part, y_part)) in self.params(x.columns).zip(x.shards.iter().zip(&y.shards)) {
            let params = Krylov { slot: word(a.0), ..params };
            let cost = vector_cost(x.columns * params.stride4 as usize);
            let grid = [params.groups as usize, x.columns, 1];
            self.device.dispatch(Kernel::SubtractScaled, params, &[(1, x_part), (3, y_part), (8, &s.buffer)], grid, cost)?;
        }
        Ok(())
    }

    fn push(&self, basis: &mut GpuBasis, x: &GpuBlock) -> Result<()> {
        basis.push(self, x)
    }

    fn truncate(&self, basis: &mut GpuBasis, len: usize) {
        basis.truncate(len);
    }

    fn gather(&self, columns: &[GpuBlock], x: &mut GpuBlock) -> Result<()> {
        assert_eq!(x.columns, columns.len(), "columns");
        for (j, column) in columns.iter().enumerate() {
            for ((from, to), shard) in column.shards.iter().zip(&x.shards).zip(self.shards.iter()) {
                self.device.copy((from, 0), (to, j * shard.stride), shard.stride);
            }
        }
        Ok(())
    }

    fn scatter(&self, x: &GpuBlock, columns: &mut [GpuBlock]) -> Result<()> {
        assert_eq!(x.columns, columns.len(), "columns");
        for (j, column) in columns.iter().enumerate() {
            for ((from, to), shard) in x.shards.iter().zip(&column.shards).zip(self.shards.iter()) {
                self.device.copy((from, j * shard.stride), (to, 0), shard.stride);
            }
        }
        Ok(())
    }

    fn orthogonalize(&self, basis: &GpuBasis, y: &mut GpuBlock) -> Result<()> {
        let _clocked = self.device.clocked(Part::Orthogonalization);
        basis.orthogonalize(self, y)
    }

    fn combine(&self, basis: &GpuBasis, coefficients: &[f64], x: &mut GpuBlock) -> Result<()> {
        let negated: Vec<_> = coefficients.iter().map(|&c| f32::from_f64(-c)).collect();
        basis.set_coefficients(self, &negated)?;
        x.shards.iter().for_each(|shard| self.device.clear(shard));
        basis.subtract(self, x, coefficients.len() / x.columns)
    }

    fn multiply(&self, d: &GpuBlock, x: &mut GpuBlock) -> Result<()> {
        assert_eq!(d.columns, 1, "one column of factors");
        for (params, (d, x_part)) in self.params(x.columns).zip(d.shards.iter().zip(&x.shards)) {
            let cost = vector_cost(x.columns * params.stride4 as usize);
            let grid = [params.groups as usize, x.columns, 1];
            self.device.dispatch(Kernel::Multiply, params, &[(1, d), (3, x_part)], grid, cost)?;
        }
        Ok(())
    }

    fn of_length(&self, dim: usize) -> Result<Self> {
        Ok(Self::new(Rc::clone(&self.device), Rc::new(Shards::plain(dim, schedule::preferred_shard(&self.device)))))
    }

    fn take(&self, x: &GpuBlock, ranges: &[Range<usize>], part: &Self, y: &mut GpuBlock) -> Result<()> {
        self.exchange(x, part, y, ranges, true);
        Ok(())
    }

    fn put(&self, y: &GpuBlock, part: &Self, ranges: &[Range<usize>], x: &mut GpuBlock) -> Result<()> {
        self.exchange(x, part, y, ranges, false);
        Ok(())
    }

    fn read(&self, s: &GpuScalars) -> Result<Vec<f64>> {
        Ok(self.device.read(&s.buffer, s.slots * s.columns)?.into_iter().map(f64::from).collect())
    }

    fn readbacks(&self) -> u64 {
        self.device.readbacks()
    }
}
