//! The device's speed in fused multiply-adds alone: what its products are held against.

use std::time::{Duration, Instant};

use super::device::Device;
use super::kernel::Kernel;
use super::uniforms::Peak;
use crate::error::Result;

/// Threads of a workgroup in peak.wgsl.
const GROUP: usize = 64;

/// Workgroups: enough to fill any device.
const GROUPS: usize = 4096;

/// Operations of a thread in one round: eight chains of vec4, a multiplication and an addition each.
const OPERATIONS: usize = 8 * 4 * 2;

/// A run must take this long for its time to be more than overhead.
const ENOUGH: Duration = Duration::from_millis(30);

/// Runs that are timed; the fastest counts.
const RUNS: usize = 5;

/// 10⁹ operations a second, the best of several runs.
pub(super) fn gflops(device: &Device) -> Result<f64> {
    let result = device.buffer("the peak's results", 4 * GROUP * GROUPS)?;
    let time = |rounds: u32| {
        let params = Peak { factor: 0.999, term: 0.001, rounds };
        let start = Instant::now();
        device.dispatch(Kernel::Peak, params, &[(1, &result)], [GROUPS, 1, 1], operations(rounds))?;
        device.read(&result, 1)?;
        Ok(start.elapsed())
    };
    // The first run compiles the kernel; then rounds are doubled until a run is long enough, and no longer.
    let mut rounds = 16;
    time(rounds)?;
    while time(rounds)? < ENOUGH {
        rounds *= 2;
    }
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        best = best.min(time(rounds)?);
    }
    Ok(operations(rounds) / best.as_secs_f64() / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "an exact count is below 2⁵³")]
fn operations(rounds: u32) -> f64 {
    (GROUP * GROUPS * OPERATIONS) as f64 * f64::from(rounds)
}
