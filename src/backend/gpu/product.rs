//! The products with a layer's weight: tiles, grids and costs of their kernels, for the whole of an operand or a window of it.
//!
//! A product of any size is made in pieces that the device's bindings and a submission's time hold: windows of rows, of samples and of
//! the sum's terms, which common/product.wgsl and weights.wgsl describe.

use wgpu::Buffer;

use super::device::Device;
use super::kernel::{Kernel, Variant};
use super::tile::Tile;
use super::uniforms::{Product, Weights};
use crate::error::Result;

/// Records one window of a pass through a layer, made with `tile`, in `directions` directions: `kernel` is one that follows
/// common/product.wgsl.
pub(super) fn pass_with(
    device: &Device,
    kernel: Kernel,
    tile: Tile,
    params: Product,
    directions: usize,
    bindings: &[(u32, &Buffer)],
) -> Result<()> {
    let [rows, samples] = tile.extents();
    let grid = [(4 * params.samples4).div_ceil(samples) as usize, params.rows.div_ceil(rows) as usize, directions];
    let terms = params.depth as usize + params.tangent_depth as usize;
    let cost = product_cost(params.rows as usize, terms, directions * 4 * params.samples4 as usize);
    device.dispatch(Variant { kernel, tile: Some(tile) }, params, bindings, grid, cost)
}

/// Records one window of a weight product: `kernel` is one of weights.wgsl.
pub(super) fn weights_with(
    device: &Device,
    kernel: Kernel,
    tile: Tile,
    params: Weights,
    directions: usize,
    bindings: &[(u32, &Buffer)],
) -> Result<()> {
    let [rows, columns] = tile.extents();
    let grid = [params.columns.div_ceil(columns) as usize, params.rows.div_ceil(rows) as usize, directions];
    let terms = 1 + params.second as usize;
    let mut first = 0;
    while first < params.samples4 {
        let samples4 = tile.longest_sum4().min(params.samples4 - first);
        let part = Weights {
            samples4,
            delta_offset4: params.delta_offset4.wrapping_add(first),
            tangent_delta_offset4: params.tangent_delta_offset4.wrapping_add(first),
            input_offset4: params.input_offset4.wrapping_add(first),
            tangent_input_offset4: params.tangent_input_offset4.wrapping_add(first),
            accumulate: if first == 0 { params.accumulate } else { 1 },
            ..params
        };
        let cost = product_cost(params.rows as usize, params.columns as usize, terms * directions * 4 * samples4 as usize);
        device.dispatch(Variant { kernel, tile: Some(tile) }, part, bindings, grid, cost)?;
        first += samples4;
    }
    Ok(())
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
