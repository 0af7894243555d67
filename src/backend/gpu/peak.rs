//! The device's speed in fused multiply-adds alone, in plain matrix products, and its memory's in copies alone: what its products are
//! held against.

use std::time::{Duration, Instant};

use super::device::Device;
use super::kernel::{Curve, Kernel, Variant};
use super::product::{self, product_cost};
use super::space::{vector_cost, word};
use super::tile::Tile;
use super::uniforms::{NONE, Peak, Product, Weights};
use crate::curvature::{Peaks, PlainProduct};
use crate::error::{Error, Result};

/// Threads of a workgroup in peak.wgsl.
const GROUP: usize = 64;

/// Workgroups: enough to fill any device.
const GROUPS: usize = 4096;

/// Operations of a thread in one round: four multiply-adds in each of four chains of vec4, a multiplication and an addition each.
const OPERATIONS: usize = 4 * 4 * 4 * 2;

/// Vec4 that a thread copies: 64 MiB in all, more than a cache holds; less where a binding does not hold that.
const COPIES: usize = 16;

/// A run must take this long for its time to be more than overhead.
const ENOUGH: Duration = Duration::from_millis(30);

/// Runs that are timed; the fastest counts.
const RUNS: usize = 5;

/// Runs of each tile that are timed.
const PRODUCT_RUNS: usize = 3;

/// Rows and columns of the plain product; less where a binding does not hold that many.
const SIZE: usize = 1024;

/// All of them, each the best of several runs.
pub(super) fn measure(device: &Device) -> Result<Peaks> {
    Ok(Peaks { gflops: Some(gflops(device)?), gigabytes: Some(gigabytes(device)?), product: Some(plain_product(device)?) })
}

/// 10⁹ operations a second, the best of several runs.
fn gflops(device: &Device) -> Result<f64> {
    let groups = GROUPS.min(device.array_bytes() / (16 * GROUP)).min(device.max_workgroups());
    let result = device.buffer("the peak's results", 4 * GROUP * groups)?;
    let operations = number(GROUP * groups * OPERATIONS);
    fastest(device, operations, RUNS, |rounds| {
        let params = Peak { factor: 0.999, term: 0.001, rounds };
        device.dispatch(Kernel::Peak, params, &[(1, &result)], [groups, 1, 1], operations * f64::from(rounds))
    })
}

/// 10⁹ bytes a second, read and written ones counted, the best of several runs.
fn gigabytes(device: &Device) -> Result<f64> {
    let groups = GROUPS.min(device.array_bytes() / (16 * GROUP * COPIES)).min(device.max_workgroups());
    let vec4 = GROUP * groups * COPIES;
    let [source, target] = [device.buffer("a copy's source", 4 * vec4)?, device.buffer("a copy", 4 * vec4)?];
    fastest(device, number(2 * 16 * vec4), RUNS, |repeats| {
        let params = Peak { factor: 0.0, term: 0.0, rounds: u32::try_from(COPIES).unwrap_or(0) };
        (0..repeats)
            .try_for_each(|_| device.dispatch(Kernel::Copy, params, &[(1, &target), (2, &source)], [groups, 1, 1], vector_cost(vec4)))
    })
}

/// The fastest product of two square matrices by any tile that the device may choose, as a pass and as a weight product.
fn plain_product(device: &Device) -> Result<PlainProduct> {
    let size = SIZE.min((device.array_bytes() / 4).isqrt() / 128 * 128).max(16);
    let operands = (0..4).map(|_| device.buffer("a plain product", size * size)).collect::<Result<Vec<_>>>()?;
    let (count, count4) = (word(size), word(size / 4));
    let pass = Product {
        rows: count,
        samples4: count4,
        stride4: count4,
        depth: count,
        row_stride: count,
        depth_stride: 1,
        bias_offset: NONE,
        finish: 1,
        ..Product::default()
    };
    let weights = Weights { rows: count, columns: count, samples4: count4, stride4: count4, row_stride: count, ..Weights::default() };
    let [a, b, c, d] = [0, 1, 2, 3].map(|operand| &*operands[operand]);
    // Without terms of the tangents their operands are bound and not read.
    let run = |kernel: Kernel, tile: Tile| {
        for window in device.windows(0..size, 1, product_cost(1, size, size)) {
            let (first, rows) = (word(window.rows.start), word(window.rows.len()));
            let (offset, offset4) = (first * count, first * count4);
            if kernel == Kernel::Weights {
                let part = Weights { rows, vector_offset: offset, result_offset: offset, tangent_delta_offset4: offset4, ..weights };
                product::weights_with(device, kernel, tile, part, 1, &[(1, a), (2, b), (3, a), (4, b), (5, c), (6, d)])?;
            } else {
                let part = Product { rows, vector_offset: offset, result_offset4: offset4, point_offset4: offset4, ..pass };
                product::pass_with(device, kernel, tile, part, 1, &[(1, a), (2, b), (3, a), (4, b), (5, c), (7, d)])?;
            }
        }
        Ok(())
    };
    let mut best: Option<PlainProduct> = None;
    for kernel in [Kernel::ForwardOver(Curve::Linear), Kernel::Weights] {
        for tile in device.tiles().suited(Tile::of(kernel)) {
            let gflops =
                fastest(device, product_cost(size, size, size), PRODUCT_RUNS, |repeats| (0..repeats).try_for_each(|_| run(kernel, tile)))?;
            if best.as_ref().is_none_or(|best| gflops > best.gflops) {
                best = Some(PlainProduct { size, kernel: Variant { kernel, tile: Some(tile) }.to_string(), gflops });
            }
        }
    }
    best.ok_or_else(|| Error::Device("no tile suits the device".into()))
}

/// 10⁹ units a second, the best of several runs of `work`, which records as many repetitions of `units` units as it is told.
fn fastest(device: &Device, units: f64, runs: usize, work: impl Fn(u32) -> Result<()>) -> Result<f64> {
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
    for _ in 0..runs {
        best = best.min(time(repeats)?);
    }
    Ok(units * f64::from(repeats) / best.as_secs_f64() / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "an exact count is below 2⁵³")]
fn number(count: usize) -> f64 {
    count as f64
}
