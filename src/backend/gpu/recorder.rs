//! Work recorded for the device, handed over in submissions of about a tenth of a second.
//!
//! A key design decision: dispatches are recorded one after another into one compute pass, and submitted when their estimated time
//! reaches the target. So thousands of small kernels cost one submission, yet no submission runs long enough for a watchdog to
//! kill it or for a desktop to freeze. At most two submissions are under way: recording the next one waits for the last but one,
//! which also measures the device's speed. Nothing that is computed depends on this timing.

use std::time::{Duration, Instant};

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding, BufferUsages, CommandEncoder, ComputePass,
    ComputePipeline, PollType, SubmissionIndex,
};

use crate::error::{Error, Result};

/// What a submission should take.
const TARGET: Duration = Duration::from_millis(100);

/// Speed that is assumed before the first measurement, operations a second: low, so that the first submissions are short.
const FIRST_RATE: f64 = 5e9;

/// What recording and starting any dispatch costs, in operations.
const DISPATCH_COST: f64 = 2e5;

/// Bytes between the parameters of two dispatches: the largest alignment that WebGPU allows a device to ask for.
const PARAMS_STRIDE: usize = 256;

/// Dispatches whose parameters fit into one submission.
const PARAMS_CAPACITY: usize = 512;

/// One run of a kernel.
#[derive(Debug)]
pub(super) struct Dispatch<'a> {
    pub(super) pipeline: &'a ComputePipeline,
    pub(super) params: &'a [u8],
    pub(super) bindings: &'a [(u32, &'a Buffer)],
    pub(super) grid: [u32; 3],
    pub(super) cost: f64,
}

/// The work that waits to be submitted, and the speed of the work that was.
#[derive(Debug)]
pub(super) struct Recorder {
    params: Buffer,
    staged: Vec<u8>,
    encoder: Option<CommandEncoder>,
    pass: Option<ComputePass<'static>>,
    cost: f64,
    rate: f64,
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
struct InFlight {
    index: SubmissionIndex,
    since: Instant,
    cost: f64,
}

impl Recorder {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let params = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: (PARAMS_STRIDE * PARAMS_CAPACITY) as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { params, staged: Vec::new(), encoder: None, pass: None, cost: 0.0, rate: FIRST_RATE, in_flight: None }
    }

    /// Records `dispatch`, submitting what was recorded before where the target is reached.
    pub(super) fn dispatch(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, dispatch: Dispatch<'_>) -> Result<()> {
        let cost = dispatch.cost + DISPATCH_COST;
        let full = self.staged.len() == PARAMS_STRIDE * PARAMS_CAPACITY;
        if full || (self.cost > 0.0 && self.cost + cost > self.rate * TARGET.as_secs_f64()) {
            self.submit(device, queue)?;
        }
        let offset = self.staged.len();
        self.staged.extend_from_slice(dispatch.params);
        self.staged.resize(offset + PARAMS_STRIDE, 0);
        let params =
            BufferBinding { buffer: &self.params, offset: offset as u64, size: std::num::NonZeroU64::new(dispatch.params.len() as u64) };
        let mut entries = vec![BindGroupEntry { binding: 0, resource: BindingResource::Buffer(params) }];
        let bound =
            dispatch.bindings.iter().map(|(binding, buffer)| BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() });
        entries.extend(bound);
        let layout = dispatch.pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        let pass = self.pass(device);
        pass.set_pipeline(dispatch.pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = dispatch.grid;
        pass.dispatch_workgroups(x, y, z);
        self.cost += cost;
        Ok(())
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut ComputePass<'static> {
        let encoder = self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None }));
        self.pass.get_or_insert_with(|| encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime())
    }

    /// The encoder, outside any pass: for copies.
    pub(super) fn encoder(&mut self, device: &wgpu::Device) -> &mut CommandEncoder {
        self.pass = None;
        self.cost += DISPATCH_COST;
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None }))
    }

    /// Hands over what was recorded, and waits until at most one submission is under way.
    pub(super) fn submit(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<()> {
        self.pass = None;
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        queue.write_buffer(&self.params, 0, &self.staged);
        self.staged.clear();
        let index = queue.submit([encoder.finish()]);
        let submitted = InFlight { index, since: Instant::now(), cost: std::mem::take(&mut self.cost) };
        if let Some(previous) = self.in_flight.replace(submitted) {
            let wait = PollType::Wait { submission_index: Some(previous.index.clone()), timeout: None };
            device.poll(wait).map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))?;
            let now = self.measure(&previous);
            if let Some(current) = &mut self.in_flight {
                current.since = now;
            }
        }
        Ok(())
    }

    /// Takes note that the device has nothing left to do.
    pub(super) fn idle(&mut self) {
        if let Some(last) = self.in_flight.take() {
            self.measure(&last);
        }
    }

    /// Learns the device's speed from a submission that has just ended.
    fn measure(&mut self, ended: &InFlight) -> Instant {
        let now = Instant::now();
        let seconds = now.duration_since(ended.since).as_secs_f64().max(1e-6);
        // Halfway to the new measurement: one slow submission does not make the next ones tiny.
        self.rate = 0.5 * (self.rate + ended.cost / seconds);
        now
    }
}
