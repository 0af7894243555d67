//! The device's own clock: how long its passes took, by timestamp queries where there are any.
//!
//! A pass writes the time at its beginning and at its end. The times of a submission are copied to a buffer of the host, which is looked at
//! when it is there anyway: nobody waits for them, so that a clocked run is as fast as any other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use wgpu::{Buffer, BufferUsages, CommandEncoder, ComputePassTimestampWrites, QuerySet, QuerySetDescriptor, QueryType};

use super::kernel::Variant;

/// What a pass belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Products with the operator.
    Product,
    /// Gram-Schmidt.
    Orthogonalization,
    #[default]
    Other,
}

/// What a pass is counted as: what it belongs to, and its kernel where each has a pass of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Label {
    pub(super) part: Part,
    pub(super) variant: Option<Variant>,
}

/// What passes of one label have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    pub(super) passes: u64,
    pub(super) seconds: f64,
    /// By the estimate that sizes submissions.
    pub(super) operations: f64,
}

impl Spent {
    /// What has been added since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            passes: self.passes - earlier.passes,
            seconds: self.seconds - earlier.seconds,
            operations: self.operations - earlier.operations,
        }
    }
}

/// Most passes of a submission.
const PASSES: usize = 512;

/// The clock, and the times of submissions under way.
#[derive(Debug)]
pub(super) struct Clock {
    /// Seconds of a tick.
    tick: f64,
    pages: Vec<Page>,
    /// The page of the submission that is being recorded.
    open: Option<usize>,
    spent: Vec<(Label, Spent)>,
}

/// The times of one submission.
#[derive(Debug)]
struct Page {
    queries: QuerySet,
    resolved: Buffer,
    staging: Buffer,
    passes: Vec<(Label, f64)>,
    state: Arc<AtomicU8>,
}

const FREE: u8 = 0;
const RECORDED: u8 = 1;
const UNDER_WAY: u8 = 2;
const READABLE: u8 = 3;

impl Clock {
    /// A clock of `device`, which has timestamp queries.
    pub(super) fn new(queue: &wgpu::Queue) -> Self {
        Self { tick: 1e-9 * f64::from(queue.get_timestamp_period()), pages: Vec::new(), open: None, spent: Vec::new() }
    }

    /// Where a pass that begins now has its times written; none where a submission has more passes than there is room for.
    pub(super) fn begin(&mut self, device: &wgpu::Device, label: Label) -> Option<ComputePassTimestampWrites<'_>> {
        let at = match self.open {
            Some(at) => at,
            None => {
                self.collect();
                let free = self.pages.iter().position(|page| page.state.load(Ordering::Acquire) == FREE);
                free.unwrap_or_else(|| {
                    self.pages.push(Page::new(device));
                    self.pages.len() - 1
                })
            }
        };
        self.open = Some(at);
        let page = &mut self.pages[at];
        if page.passes.len() == PASSES {
            return None;
        }
        let first = 2 * u32::try_from(page.passes.len()).ok()?;
        page.passes.push((label, 0.0));
        page.state.store(RECORDED, Ordering::Release);
        Some(ComputePassTimestampWrites {
            query_set: &page.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Counts `operations` to the pass that began last.
    pub(super) fn add(&mut self, operations: f64) {
        if let Some((_, sum)) = self.open.and_then(|at| self.pages[at].passes.last_mut()) {
            *sum += operations;
        }
    }

    /// Records that the times are fetched; the submission is complete but for that.
    pub(super) fn resolve(&self, encoder: &mut CommandEncoder) {
        let Some(page) = self.open.map(|at| &self.pages[at]) else { return };
        let count = 2 * page.passes.len();
        encoder.resolve_query_set(&page.queries, 0..u32::try_from(count).unwrap_or(0), &page.resolved, 0);
        encoder.copy_buffer_to_buffer(&page.resolved, 0, &page.staging, 0, 8 * count as u64);
    }

    /// Asks for the times of the submission that has just been handed over.
    pub(super) fn submitted(&mut self) {
        let Some(page) = self.open.take().map(|at| &self.pages[at]) else { return };
        page.state.store(UNDER_WAY, Ordering::Release);
        let state = Arc::clone(&page.state);
        page.staging.slice(..8 * 2 * page.passes.len() as u64).map_async(wgpu::MapMode::Read, move |result| {
            // Where the device failed, whoever waits for a result is told; the page is lost.
            if result.is_ok() {
                state.store(READABLE, Ordering::Release);
            }
        });
    }

    /// Adds up the times that have arrived.
    fn collect(&mut self) {
        for page in &mut self.pages {
            if page.state.load(Ordering::Acquire) != READABLE {
                continue;
            }
            if let Ok(view) = page.staging.slice(..8 * 2 * page.passes.len() as u64).get_mapped_range() {
                let times: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
                for (&(label, operations), times) in page.passes.iter().zip(times.chunks_exact(2)) {
                    let at = self.spent.iter().position(|(known, _)| *known == label).unwrap_or_else(|| {
                        self.spent.push((label, Spent::default()));
                        self.spent.len() - 1
                    });
                    let spent = &mut self.spent[at].1;
                    spent.passes += 1;
                    spent.seconds += self.tick * as_f64(times[1].saturating_sub(times[0]));
                    spent.operations += operations;
                }
            }
            page.staging.unmap();
            page.passes.clear();
            page.state.store(FREE, Ordering::Release);
        }
    }

    /// What passes have taken that are known to be done.
    pub(super) fn spent(&mut self) -> &[(Label, Spent)] {
        self.collect();
        &self.spent
    }

    /// Seconds of all passes of a part.
    pub(super) fn seconds(&mut self) -> BTreeMap<Part, f64> {
        let mut parts = BTreeMap::new();
        for (label, spent) in self.spent() {
            *parts.entry(label.part).or_insert(0.0) += spent.seconds;
        }
        parts
    }
}

impl Page {
    fn new(device: &wgpu::Device) -> Self {
        let count = 2 * PASSES;
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some("times"), size: 8 * count as u64, usage, mapped_at_creation: false })
        };
        let descriptor =
            QuerySetDescriptor { label: Some("times"), ty: QueryType::Timestamp, count: u32::try_from(count).unwrap_or(u32::MAX) };
        Self {
            queries: device.create_query_set(&descriptor),
            resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
            staging: buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST),
            passes: Vec::new(),
            state: Arc::default(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration needs no 53 bits")]
fn as_f64(ticks: u64) -> f64 {
    ticks as f64
}
