//! Work recorded for the device, handed over in submissions of about a tenth of a second.
//!
//! A key design decision: dispatches are recorded one after another into one compute pass, and submitted when their estimated time
//! reaches the target. So thousands of small kernels cost one submission, yet no submission runs long enough for a watchdog to
//! kill it or for a desktop to freeze. At most two submissions are under way: recording the next one waits for the last but one,
//! which also measures the device's speed. Nothing that is computed depends on this timing.
//!
//! Parameters and bind groups are made once: the same kernel on the same buffers with the same parameters finds them again.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding, BufferUsages, CommandEncoder, ComputePass,
    ComputePipeline, PollType, SubmissionIndex,
};

use super::array::Memory;
use super::clock::{Clock, Label, Part};
use super::kernel::Variant;
use crate::error::{Error, Result};

/// What a submission should take.
const TARGET: Duration = Duration::from_millis(100);

/// Speed that is assumed before the first measurement, operations a second, and the least that is ever assumed: low, so that the first
/// submissions are short, but not so low that dispatches become too small to be efficient, which would look like a slower device still.
const FIRST_RATE: f64 = 2e9;

/// What is left of the assumed speed after a submission that was slower: the host may have been busy, or the driver compiling.
const DECAY: f64 = 0.9;

/// What recording and starting any dispatch costs, in operations.
const DISPATCH_COST: f64 = 2e5;

/// Bytes between the parameters of two dispatches: the largest alignment that WebGPU allows a device to ask for.
const PARAMS_STRIDE: usize = 256;

/// Parameters in one buffer.
const PARAMS_PER_PAGE: usize = 64;

/// Dispatches of one submission: bounds what a driver has to hold.
const MAX_DISPATCHES: usize = 512;

/// Bind groups that are kept; beyond that all are made anew, which costs little and keeps a long job's memory bounded.
const MAX_GROUPS: usize = 1 << 14;

/// One run of a kernel.
#[derive(Debug)]
pub(super) struct Dispatch<'a> {
    pub(super) variant: Variant,
    pub(super) pipeline: &'a ComputePipeline,
    pub(super) params: &'a [u8],
    pub(super) bindings: &'a [(u32, &'a Buffer)],
    pub(super) grid: [u32; 3],
    pub(super) cost: f64,
}

/// What makes two dispatches use one bind group.
#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    variant: Variant,
    params: Vec<u8>,
    bindings: Vec<(u32, Buffer)>,
}

/// The work that waits to be submitted, and the speed of the work that was.
#[derive(Debug)]
pub(super) struct Recorder {
    memory: Rc<Memory>,
    pages: Vec<Buffer>,
    /// Where each set of parameters is, counted through the pages.
    params: HashMap<Vec<u8>, usize>,
    groups: HashMap<GroupKey, BindGroup>,
    /// [`Memory::dropped`] when the groups were made.
    dropped: u64,
    encoder: Option<CommandEncoder>,
    pass: Option<ComputePass<'static>>,
    dispatches: usize,
    cost: f64,
    rate: f64,
    in_flight: Option<InFlight>,
    /// How many submissions there were, and how many of them have ended.
    submitted: u64,
    ended: u64,
    clock: Option<Clock>,
    /// What work belongs to from now on.
    part: Part,
    /// Whether every kernel has a pass, and so a time, of its own.
    detailed: bool,
    /// Of the pass that is open.
    label: Label,
}

#[derive(Debug)]
struct InFlight {
    index: SubmissionIndex,
    since: Instant,
    cost: f64,
}

impl Recorder {
    /// A recorder for arrays that `memory` counts, with a clock where the device has one.
    pub(super) fn new(memory: Rc<Memory>, clock: Option<Clock>) -> Self {
        Self {
            memory,
            pages: Vec::new(),
            params: HashMap::new(),
            groups: HashMap::new(),
            dropped: 0,
            encoder: None,
            pass: None,
            dispatches: 0,
            cost: 0.0,
            rate: FIRST_RATE,
            in_flight: None,
            submitted: 0,
            ended: 0,
            clock,
            part: Part::default(),
            detailed: false,
            label: Label::default(),
        }
    }

    /// The device's clock.
    pub(super) fn clock(&mut self) -> Option<&mut Clock> {
        self.clock.as_mut()
    }

    /// Counts all work from now on as `part`, and returns what it was counted as before.
    pub(super) fn belongs_to(&mut self, part: Part) -> Part {
        std::mem::replace(&mut self.part, part)
    }

    /// Whether every kernel is clocked by itself from now on: each then starts when the last one has ended.
    pub(super) fn clock_kernels(&mut self, detailed: bool) {
        self.detailed = detailed;
    }

    /// The number of the submission that what was recorded last is part of.
    pub(super) fn latest(&self) -> u64 {
        self.submitted + u64::from(self.encoder.is_some())
    }

    /// The number of the last submission that is known to have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Operations that one dispatch may have: half a submission, so that a kernel of half the usual speed is still on time.
    pub(super) fn most(&self) -> f64 {
        0.5 * self.rate * TARGET.as_secs_f64()
    }

    /// Records `dispatch`, submitting what was recorded before where the target is reached.
    pub(super) fn dispatch(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, dispatch: Dispatch<'_>) -> Result<()> {
        let cost = dispatch.cost + DISPATCH_COST;
        let reached = self.cost > 0.0 && self.cost + cost > self.rate * TARGET.as_secs_f64();
        if reached || self.dispatches >= MAX_DISPATCHES {
            self.submit(device, queue)?;
        }
        let group = self.group(device, queue, &dispatch);
        let label = Label { part: self.part, variant: self.detailed.then_some(dispatch.variant) };
        let pass = self.pass(device, label);
        pass.set_pipeline(dispatch.pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = dispatch.grid;
        pass.dispatch_workgroups(x, y, z);
        if let Some(clock) = &mut self.clock {
            clock.add(dispatch.cost);
        }
        self.dispatches += 1;
        self.cost += cost;
        Ok(())
    }

    /// The dispatch's bind group. Groups hold on to their buffers, so all are let go when any array has ceased to exist.
    fn group(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, dispatch: &Dispatch<'_>) -> BindGroup {
        if self.dropped != self.memory.dropped() || self.groups.len() >= MAX_GROUPS {
            self.groups.clear();
            self.dropped = self.memory.dropped();
        }
        let bindings = dispatch.bindings.iter().map(|&(binding, buffer)| (binding, buffer.clone())).collect();
        let key = GroupKey { variant: dispatch.variant, params: dispatch.params.to_vec(), bindings };
        if let Some(group) = self.groups.get(&key) {
            return group.clone();
        }
        let at = self.params_at(device, queue, dispatch.params);
        let params = BufferBinding {
            buffer: &self.pages[at / PARAMS_PER_PAGE],
            offset: (at % PARAMS_PER_PAGE * PARAMS_STRIDE) as u64,
            size: std::num::NonZeroU64::new(dispatch.params.len() as u64),
        };
        let mut entries = vec![BindGroupEntry { binding: 0, resource: BindingResource::Buffer(params) }];
        let bound =
            dispatch.bindings.iter().map(|(binding, buffer)| BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() });
        entries.extend(bound);
        let layout = dispatch.pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        self.groups.insert(key, group.clone());
        group
    }

    /// Where `params` are. They are written once and never change, so that no submission can see those of another.
    fn params_at(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, params: &[u8]) -> usize {
        if let Some(&at) = self.params.get(params) {
            return at;
        }
        let at = self.params.len();
        if at == self.pages.len() * PARAMS_PER_PAGE {
            self.pages.push(device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("parameters"),
                size: (PARAMS_STRIDE * PARAMS_PER_PAGE) as u64,
                usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
        }
        queue.write_buffer(&self.pages[at / PARAMS_PER_PAGE], (at % PARAMS_PER_PAGE * PARAMS_STRIDE) as u64, params);
        self.params.insert(params.to_vec(), at);
        at
    }

    /// A pass for work of `label`.
    fn pass(&mut self, device: &wgpu::Device, label: Label) -> &mut ComputePass<'static> {
        let encoder = self.encoder.get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None }));
        if self.clock.is_some() && (label != self.label || label.variant.is_some()) {
            self.pass = None;
        }
        self.label = label;
        let clock = &mut self.clock;
        self.pass.get_or_insert_with(|| {
            let timestamp_writes = clock.as_mut().and_then(|clock| clock.begin(device, label));
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }).forget_lifetime()
        })
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
        let Some(mut encoder) = self.encoder.take() else { return Ok(()) };
        self.dispatches = 0;
        if let Some(clock) = &self.clock {
            clock.resolve(&mut encoder);
        }
        let index = queue.submit([encoder.finish()]);
        if let Some(clock) = &mut self.clock {
            clock.submitted();
        }
        self.submitted += 1;
        let submitted = InFlight { index, since: Instant::now(), cost: std::mem::take(&mut self.cost) };
        if let Some(previous) = self.in_flight.replace(submitted) {
            let wait = PollType::Wait { submission_index: Some(previous.index.clone()), timeout: None };
            device.poll(wait).map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))?;
            self.ended += 1;
            let now = self.measure(&previous);
            if let Some(current) = &mut self.in_flight {
                current.since = now;
            }
        }
        Ok(())
    }

    /// Takes note that the device has nothing left to do.
    pub(super) fn idle(&mut self) {
        self.ended = self.submitted;
        if let Some(last) = self.in_flight.take() {
            self.measure(&last);
        }
    }

    /// Learns the device's speed from a submission that has just ended.
    fn measure(&mut self, ended: &InFlight) -> Instant {
        let now = Instant::now();
        let seconds = now.duration_since(ended.since).as_secs_f64().max(1e-6);
        // A submission cannot end before it is done, but it can be noticed late: the fastest of the last ones counts.
        self.rate = (ended.cost / seconds).max(DECAY * self.rate).max(FIRST_RATE);
        now
    }
}
