//! A GPU opened for computing: buffers within its limits, compiled kernels, one stream of recorded work, and readbacks.
//!
//! wgpu reports mistakes and failures asynchronously, and its default handlers panic. Here they are kept and returned by the next
//! submission or readback as [`Error::Device`]; so is a lost device, after which wgpu itself would silently go on.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::Pod;
use futures::channel::oneshot;
use wgpu::{Buffer, BufferUsages, ComputePipeline, ErrorFilter, Features, PollType, ShaderModule};

use super::adapter::{self, Software};
use super::array::{Array, Memory};
use super::ceilings::Ceilings;
use super::clock::{Clock, Label, Part, Spent};
use super::kernel::Variant;
use super::recorder::{Dispatch, Recorder};
use super::tiles::Tiles;
use super::tuner::{self, Tune};
use crate::error::{Error, Result};
use crate::model::Network;

/// Features that are used where there are any; each has a fallback.
const OPTIONAL: Features = Features::SUBGROUP.union(Features::TIMESTAMP_QUERY);

/// An opened GPU.
#[derive(Debug)]
pub struct Device {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    tiles: RefCell<Tiles>,
    /// By their text: modules share files, and kernels modules.
    modules: RefCell<HashMap<String, ShaderModule>>,
    pipelines: RefCell<HashMap<Variant, ComputePipeline>>,
    recorder: RefCell<Recorder>,
    fault: Fault,
    memory: Rc<Memory>,
    readbacks: Cell<u64>,
}

/// The part of a product that one dispatch makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) rows: Range<usize>,
    pub(super) directions: Range<usize>,
}

/// Windows of rows are multiples of this where they are not short: whole tiles of any product kernel.
const WINDOW_ROWS: usize = 128;

/// Fewest rows worth a dispatch of their own: one tile of the smallest kernel.
const LEAST_ROWS: usize = 16;

/// Rows that a workgroup of any product kernel makes at least.
const ROWS_OF_A_WORKGROUP: usize = 8;

/// Threads of a workgroup of sums on a software driver: it runs as many at a time, and each bundle of them all the way before the next,
/// so that larger workgroups would go through memory in as many strides as they have bundles.
const SOFTWARE_GROUP: f64 = 8.0;

/// Bytes of the largest array where nothing else limits it: at 2.6 GB/s, less than any device's memory moves, a tenth of a second.
const MAX_ARRAY_BYTES: u64 = 256 << 20;

/// The first thing that went wrong on the device, if anything did.
#[derive(Clone, Debug, Default)]
struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    fn set(&self, message: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(message) => Err(Error::Device(message.clone())),
            None => Ok(()),
        }
    }
}

/// A message of wgpu on one line.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Device {
    /// Opens the adapter with that index or name; without one the best there is. `HESPER_GPU_BINDING_BYTES` in the environment lowers its
    /// largest binding.
    ///
    /// # Errors
    /// [`Error::Device`] where no adapter fits or it cannot be opened, [`Error::Input`] where the environment's limit is no number.
    pub fn open(name_or_index: Option<&str>, software: Software) -> Result<Self> {
        Self::open_within(name_or_index, software, Ceilings::default())
    }

    /// As [`open`](Self::open), with lower limits than the adapter's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_within(name_or_index: Option<&str>, software: Software, ceilings: Ceilings) -> Result<Self> {
        let (adapter, ceilings) = (adapter::choose(name_or_index, software)?, ceilings.within_environment()?);
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("hesper"),
            required_features: adapter.features() & OPTIONAL,
            required_limits: ceilings.apply(adapter.limits()),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::Device(format!("{}: cannot be opened: {}", info.name, one_line(&error.to_string()))))?;
        tracing::info!(adapter = info.name, driver = info.driver_info, "GPU opened");
        let fault = Fault::default();
        let (on_error, on_loss) = (fault.clone(), fault.clone());
        let (name, lost_name) = (info.name.clone(), info.name.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.set(format!("{name}: {}", one_line(&error.to_string())));
        }));
        device.set_device_lost_callback(move |reason, message| {
            on_loss.set(format!("{lost_name}: device lost ({reason:?}): {}", one_line(&message)));
        });
        let memory = Rc::<Memory>::default();
        let clock = device.features().contains(Features::TIMESTAMP_QUERY).then(|| Clock::new(&queue));
        Ok(Self {
            recorder: RefCell::new(Recorder::new(Rc::clone(&memory), clock)),
            limits: device.limits(),
            tiles: RefCell::new(Tiles::suited_to(info.device_type, has_subgroups(&device, &info))),
            device,
            queue,
            info,
            modules: RefCell::default(),
            pipelines: RefCell::default(),
            fault,
            memory,
            readbacks: Cell::new(0),
        })
    }

    /// Looks for the fastest kernels for products with the Hessian of `network`.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn tune(&self, network: &Network, tune: Tune) -> Result<()> {
        if let Some(warning) = tuner::tune(self, network, tune)? {
            self.tiles().warn(warning);
        }
        Ok(())
    }

    /// Runs the kernels' variants that an earlier run has named in its record.
    ///
    /// # Errors
    /// [`Error::Input`] where there are no such ones.
    pub fn run_variants(&self, variants: &str) -> Result<()> {
        self.tiles().choose_named(variants)
    }

    /// Counts work as `part` on the device's clock until the guard is dropped.
    pub(super) fn clocked(&self, part: Part) -> Clocked<'_> {
        Clocked { device: self, before: self.recorder.borrow_mut().belongs_to(part) }
    }

    /// Seconds that the device has spent on `parts`, as far as it is known to be done with them; none without a clock.
    pub(super) fn seconds<const N: usize>(&self, parts: [Part; N]) -> Option<[f64; N]> {
        let mut recorder = self.recorder.borrow_mut();
        let seconds = recorder.clock()?.seconds();
        Some(parts.map(|part| seconds.get(&part).copied().unwrap_or(0.0)))
    }

    /// What each kernel takes of `work`, all of it awaited; none without a clock.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Device`] where anything has failed on the device so far.
    pub(super) fn kernels_of(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Vec<(Variant, Spent)>>> {
        self.wait()?;
        let spent = |recorder: &mut Recorder| recorder.clock().map(|clock| clock.spent().to_vec());
        let Some(before) = spent(&mut self.recorder.borrow_mut()) else { return Ok(None) };
        self.recorder.borrow_mut().clock_kernels(true);
        let done = work().and_then(|()| self.wait());
        self.recorder.borrow_mut().clock_kernels(false);
        done?;
        let after = spent(&mut self.recorder.borrow_mut()).unwrap_or_default();
        let of_work = |(label, spent): (Label, Spent)| {
            let earlier = before.iter().find(|(known, _)| *known == label).map(|(_, spent)| *spent).unwrap_or_default();
            Some((label.variant?, spent.since(earlier))).filter(|(_, spent)| spent.passes > 0)
        };
        Ok(Some(after.into_iter().filter_map(of_work).collect()))
    }

    /// The adapter's description.
    pub(super) fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// What the products are made of.
    pub(super) fn tiles(&self) -> RefMut<'_, Tiles> {
        self.tiles.borrow_mut()
    }

    /// Whether it is a software driver.
    pub(super) fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Whether the lanes of a tile can share what they load through their subgroup.
    #[cfg(test)]
    pub(super) fn has_subgroups(&self) -> bool {
        has_subgroups(&self.device, &self.info)
    }

    /// Most bytes of a buffer that one kernel can see.
    pub(super) fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// Most workgroups in a dimension.
    pub(super) fn max_workgroups(&self) -> usize {
        self.limits.max_compute_workgroups_per_dimension as usize
    }

    /// Bytes of all buffers that exist.
    pub fn allocated(&self) -> u64 {
        self.memory.live()
    }

    /// The most that [`allocated`](Self::allocated) has been.
    pub fn peak_allocated(&self) -> u64 {
        self.memory.peak()
    }

    /// `rows` × `directions` of a product in windows that neither take more than half a submission nor exceed the device's grid, where
    /// one row in one direction costs `cost` operations. Each number of the result is made as without windows, so that no bit
    /// depends on how fast the device is.
    ///
    /// Windows have all rows of few directions rather than few rows of all: what belongs to one direction stays in a cache from one row to
    /// the next (measured: 8 directions of 784-512-512-10 over 2,048 samples take 1.27 times as long where windows are of few rows).
    pub(super) fn windows(&self, rows: Range<usize>, directions: usize, cost: f64) -> Vec<Window> {
        let affordable = whole(self.recorder.borrow().most() / cost.max(1.0)).max(LEAST_ROWS);
        let height = affordable.min(rows.len()).min(ROWS_OF_A_WORKGROUP * self.max_workgroups()).max(1);
        let at_once = (affordable / rows.len().max(1)).clamp(1, directions.min(self.max_workgroups()).max(1));
        let even = rows.len().div_ceil(rows.len().div_ceil(height));
        let granule = if even >= WINDOW_ROWS { WINDOW_ROWS } else { LEAST_ROWS };
        let height = even.next_multiple_of(granule).min(ROWS_OF_A_WORKGROUP * self.max_workgroups());
        let starts = (0..directions).step_by(at_once).flat_map(|first| rows.clone().step_by(height).map(move |row| (first, row)));
        starts
            .map(|(first, row)| Window { rows: row..rows.end.min(row + height), directions: first..directions.min(first + at_once) })
            .collect()
    }

    /// Bytes that arrays are cut to: what a binding holds, and no more than any device streams in a tenth of a second.
    pub(super) fn array_bytes(&self) -> usize {
        usize::try_from(self.max_binding_bytes().min(MAX_ARRAY_BYTES)).unwrap_or(usize::MAX)
    }

    /// Readbacks so far.
    pub(super) fn readbacks(&self) -> u64 {
        self.readbacks.get()
    }

    /// A buffer of `count` zeros in single precision, at least one, for use by kernels.
    pub(super) fn buffer(&self, label: &'static str, count: usize) -> Result<Array> {
        let bytes = 4 * count.max(4) as u64;
        if bytes > self.max_binding_bytes() {
            return Err(Error::Memory(format!(
                "{label} needs {bytes} bytes in one buffer, {} allows {}: use fewer --samples or --columns, or --backend cpu",
                self.info.name,
                self.max_binding_bytes()
            )));
        }
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(Error::Memory(format!(
                "{}: out of memory at {bytes} bytes for {label}, after {} bytes of buffers: use fewer --samples or --columns, or --backend cpu",
                self.info.name,
                self.allocated()
            )));
        }
        Ok(Array::new(buffer, &self.memory))
    }

    /// A buffer that holds `values`.
    pub(super) fn buffer_of(&self, label: &'static str, values: &[f32]) -> Result<Array> {
        let buffer = self.buffer(label, values.len())?;
        self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(values));
        Ok(buffer)
    }

    /// Overwrites `buffer` from element `first` on, after all work recorded so far.
    pub(super) fn write(&self, buffer: &Buffer, first: usize, values: &[f32]) -> Result<()> {
        self.submit()?;
        self.queue.write_buffer(buffer, 4 * first as u64, bytemuck::cast_slice(values));
        Ok(())
    }

    /// Records one run of `kernel` over `grid` workgroups. `bindings` are (binding, buffer); `cost` is its work in floating-point
    /// operations, or what takes as long: it sizes the submissions.
    pub(super) fn dispatch<P: Pod>(
        &self,
        kernel: impl Into<Variant>,
        params: P,
        bindings: &[(u32, &Buffer)],
        grid: [usize; 3],
        cost: f64,
    ) -> Result<()> {
        let limit = self.limits.max_compute_workgroups_per_dimension;
        let mut extents = [0_u32; 3];
        for (extent, count) in extents.iter_mut().zip(grid) {
            *extent = u32::try_from(count).ok().filter(|&count| count <= limit).ok_or_else(|| {
                Error::Device(format!(
                    "{}: a grid of {grid:?} workgroups exceeds {limit} in a dimension: use --backend cpu",
                    self.info.name
                ))
            })?;
        }
        let mut pipelines = self.pipelines.borrow_mut();
        let variant = kernel.into();
        let pipeline = pipelines.entry(variant).or_insert_with(|| self.compile(variant));
        let dispatch = Dispatch { variant, pipeline, params: bytemuck::bytes_of(&params), bindings, grid: extents, cost };
        self.recorder.borrow_mut().dispatch(&self.device, &self.queue, dispatch)
    }

    fn compile(&self, variant: Variant) -> ComputePipeline {
        let entry_point = variant.kernel.entry_point();
        let (assembly, mut constants) = (variant.assembly(), variant.constants());
        if self.is_software() && assembly.has_groups() {
            constants.push(("GROUP", SOFTWARE_GROUP));
        }
        let mut modules = self.modules.borrow_mut();
        let module = modules.entry(assembly.wgsl()).or_insert_with_key(|text| {
            let descriptor = wgpu::ShaderModuleDescriptor { label: Some(entry_point), source: wgpu::ShaderSource::Wgsl(text.into()) };
            let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
            // SAFETY: only the guard against endless loops is left out, and every loop of our shaders counts up to a bound that does not
            // change while it runs. With the guard, drivers do not unroll the loops over register tiles.
            unsafe { self.device.create_shader_module_trusted(descriptor, checks) }
        });
        let compilation_options = wgpu::PipelineCompilationOptions {
            constants: &constants,
            // All kernels write shared memory before they read it; zeros first, from a single thread, would take longer than a tile.
            zero_initialize_workgroup_memory: false,
        };
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options,
            cache: None,
        })
    }

    /// The number of the submission that what was recorded last is part of.
    pub(super) fn latest_submission(&self) -> u64 {
        self.recorder.borrow().latest()
    }

    /// The number of the last submission that is known to have ended.
    pub(super) fn ended_submission(&self) -> u64 {
        self.recorder.borrow().ended()
    }

    /// Records a copy of `count` numbers from one buffer, from an element on, to another one.
    pub(super) fn copy(&self, source: (&Buffer, usize), target: (&Buffer, usize), count: usize) {
        let [from, to, size] = [source.1, target.1, count].map(|numbers| 4 * numbers as u64);
        self.recorder.borrow_mut().encoder(&self.device).copy_buffer_to_buffer(source.0, from, target.0, to, size);
    }

    /// Records zeros into all of `buffer`.
    pub(super) fn clear(&self, buffer: &Buffer) {
        self.recorder.borrow_mut().encoder(&self.device).clear_buffer(buffer, 0, None);
    }

    /// Hands all recorded work to the device.
    ///
    /// # Errors
    /// [`Error::Device`] where anything has failed on the device so far.
    pub(super) fn submit(&self) -> Result<()> {
        self.recorder.borrow_mut().submit(&self.device, &self.queue)?;
        self.fault.check()
    }

    /// The first `count` numbers of `buffer`, after all recorded work. A readback.
    ///
    /// # Errors
    /// [`Error::Device`] where anything has failed on the device so far.
    pub(super) fn read(&self, buffer: &Buffer, count: usize) -> Result<Vec<f32>> {
        self.readbacks.set(self.readbacks.get() + 1);
        self.fetch(buffer, count)
    }

    /// The first `counts[i]` numbers of each buffer i, given to `take` one buffer after another. One readback, whatever their number.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn read_parts<'a>(
        &self,
        parts: impl Iterator<Item = (&'a Buffer, usize)>,
        mut take: impl FnMut(usize, Vec<f32>),
    ) -> Result<()> {
        self.readbacks.set(self.readbacks.get() + 1);
        for (index, (buffer, count)) in parts.enumerate() {
            take(index, self.fetch(buffer, count)?);
        }
        Ok(())
    }

    /// The one place where the host waits for a result.
    fn fetch(&self, buffer: &Buffer, count: usize) -> Result<Vec<f32>> {
        let bytes = 4 * count as u64;
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: bytes,
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.recorder.borrow_mut().encoder(&self.device).copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        self.submit()?;
        let (sender, receiver) = oneshot::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is dropped only where polling has failed, and then there is nobody to tell.
            let _ = sender.send(result);
        });
        let failed = |what: String| Error::Device(format!("{}: readback of {bytes} bytes failed: {}", self.info.name, one_line(&what)));
        self.device.poll(PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
        self.recorder.borrow_mut().idle();
        pollster::block_on(receiver).map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        self.fault.check()?;
        let view = staging.slice(..).get_mapped_range().map_err(|error| failed(error.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }

    /// Waits until the device has done all recorded work.
    ///
    /// # Errors
    /// [`Error::Device`] where anything has failed on the device so far.
    pub(super) fn wait(&self) -> Result<()> {
        self.submit()?;
        self.device
            .poll(PollType::wait_indefinitely())
            .map_err(|error| Error::Device(format!("{}: waiting failed: {}", self.info.name, one_line(&error.to_string()))))?;
        self.recorder.borrow_mut().idle();
        self.fault.check()
    }
}

/// While it exists, work counts as one part of a job.
pub(super) struct Clocked<'a> {
    device: &'a Device,
    before: Part,
}

impl Drop for Clocked<'_> {
    fn drop(&mut self) {
        self.device.recorder.borrow_mut().belongs_to(self.before);
    }
}

/// Whether subgroups have eight lanes or more.
fn has_subgroups(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> bool {
    device.features().contains(Features::SUBGROUP) && info.subgroup_min_size >= 8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
fn whole(count: f64) -> usize {
    count as usize
}
