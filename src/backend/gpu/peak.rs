//! The device's speed in fused multiply-adds alone, and its memory's in copies alone: what its products are held against.

use std::time::{Duration, Instant};

use super::device::Device;
use super::kernel::Kernel;
use super::space::vector_cost;
use super::uniforms::Peak;
use crate::error::Result;

/// Threads of a workgroup in peak.wgsl.
const GROUP: usize = 64;

/// Workgroups: enough to fill any device.
const GROUPS: usize = 4096;

/// Operations of a thread in one round: eight chains of vec4, a multiplication and an addition each.
const OPERATIONS: usize = 8 * 4 * 2;

/// Vec4 that a thread copies: 64 MiB in all, more than a cache holds; less where a binding does not hold that.
const COPIES: usize = 16;

/// A run must take this long for its time to be more than overhead.
const ENOUGH: Duration = Duration::from_millis(30);

/// Runs that are timed; the fastest counts.
const RUNS: usize = 5;

/// 10⁹ operations a second, the best of several runs.
pub(super) fn gflops(device: &Device) -> Result<f64> {
    let groups = GROUPS.min(device.array_bytes() / (16 * GROUP)).min(device.max_workgroups());
    let result = device.buffer("the peak's results", 4 * GROUP * groups)?;
    let operations = number(GROUP * groups * OPERATIONS);
    fastest(device, operations, |rounds| {
        let params = Peak { factor: 0.999, term: 0.001, rounds };
        device.dispatch(Kernel::Peak, params, &[(1, &result)], [groups, 1, 1], operations * f64::from(rounds))
    })
}

/// 10⁹ bytes a second, read and written ones counted, the best of several runs.
pub(super) fn gigabytes(device: &Device) -> Result<f64> {
    let groups = GROUPS.min(device.array_bytes() / (16 * GROUP * COPIES)).min(device.max_workgroups());
    let vec4 = GROUP * groups * COPIES;
    let [source, target] = [device.buffer("a copy's source", 4 * vec4)?, device.buffer("a copy", 4 * vec4)?];
    fastest(device, number(2 * 16 * vec4), |repeats| {
        let params = Peak { factor: 0.0, term: 0.0, rounds: u32::try_from(COPIES).unwrap_or(0) };
        (0..repeats)
            .try_for_each(|_| device.dispatch(Kernel::Copy, params, &[(1, &target), (2, &source)], [groups, 1, 1], vector_cost(vec4)))
    })
}

/// 10⁹ units a second, the best of several runs of `work`, which records as many repetitions of `units` units as it is told.
fn fastest(device: &Device, units: f64, work: impl Fn(u32) -> Result<()>) -> Result<f64> {
    let time = |repeats: u32| {
        let begin = Instant::now();
        work(repeats)?;
        device.wait()?;
        Ok(begin.elapsed())
    };
    // The first run compiles the kernel; then repetitions are doubled until a run is long enough, and no longer.
    let mut repeats = 1;
    time(repeats)?;
    while time(repeats)? < ENOUGH {
        repeats *= 2;
    }
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        best = best.min(time(repeats)?);
    }
    Ok(units * f64::from(repeats) / best.as_secs_f64() / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "an exact count is below 2⁵³")]
fn number(count: usize) -> f64 {
    count as f64
}
