//! The products with a layer's weight: grids and costs of their kernels, for the whole of an operand or a window of it.
//!
//! A product of any size is made in pieces that the device's bindings and a submission's time hold: windows of rows, of samples and of
//! the sum's terms, which common/product.wgsl and weights.wgsl describe.

use wgpu::Buffer;

use super::device::Device;
use super::kernel::Kernel;
use super::uniforms::{Product, Weights};
use crate::error::Result;

/// Rows of a workgroup's tile in common/product.wgsl.
const TILE_ROWS: u32 = 16;

/// Vec4 of samples of a thread there.
const TILE_VEC4: u32 = 2;

/// Columns and rows of a thread's tile in weights.wgsl.
const WEIGHTS_TILE: u32 = 8;

/// Records one window of a pass through a layer, in `directions` directions: `kernel` is one that follows common/product.wgsl.
pub(super) fn pass(device: &Device, kernel: Kernel, params: Product, directions: usize, bindings: &[(u32, &Buffer)]) -> Result<()> {
    let samples = params.samples4.div_ceil(device.workgroups().product_lanes * TILE_VEC4);
    let grid = [samples as usize, params.rows.div_ceil(TILE_ROWS) as usize, directions];
    let terms = params.depth as usize + params.tangent_depth as usize;
    let cost = product_cost(params.rows as usize, terms, directions * 4 * params.samples4 as usize);
    device.dispatch(kernel, params, bindings, grid, cost)
}

/// Records one window of a weight product in `directions` directions: `kernel` is one of weights.wgsl, but none of the bias.
pub(super) fn weights(device: &Device, kernel: Kernel, params: Weights, directions: usize, bindings: &[(u32, &Buffer)]) -> Result<()> {
    let [x, y] = device.workgroups().weights_lanes.map(|lanes| lanes * WEIGHTS_TILE);
    let grid = [params.columns.div_ceil(x) as usize, params.rows.div_ceil(y) as usize, directions];
    let terms = if kernel == Kernel::Weights { 2 } else { 1 };
    let cost = product_cost(params.rows as usize, params.columns as usize, terms * directions * 4 * params.samples4 as usize);
    device.dispatch(kernel, params, bindings, grid, cost)
}

/// Records the same of a bias: `kernel` is [`Kernel::BiasSums`] or [`Kernel::BiasGradient`].
pub(super) fn bias(device: &Device, kernel: Kernel, params: Weights, directions: usize, bindings: &[(u32, &Buffer)]) -> Result<()> {
    let cost = product_cost(params.rows as usize, 4, directions * 4 * params.samples4 as usize);
    device.dispatch(kernel, params, bindings, [params.rows as usize, 1, directions], cost)
}

/// The operations of a product of depth `depth` over `rows` × `columns` results.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn product_cost(rows: usize, depth: usize, columns: usize) -> f64 {
    2.0 * rows as f64 * depth as f64 * columns as f64
}

#[cfg(test)]
mod tests;
