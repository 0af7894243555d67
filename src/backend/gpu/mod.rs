//! Products on a GPU through wgpu (Vulkan, Metal, DX12), in single precision: the only place that names wgpu.
//!
//! Activations are [width, samples], samples innermost: every product of the three passes then reads its large operand as
//! neighbouring vec4, and W and Wᵀ differ by strides alone. Everything that a solver touches stays on the device.

mod adapter;
mod array;
mod basis;
mod ceilings;
mod clock;
mod cut;
mod device;
mod kernel;
mod linearization;
mod operator;
mod peak;
mod product;
mod recorder;
mod schedule;
mod segment;
pub mod shaders;
mod shards;
mod space;
mod tile;
mod tile_cache;
mod tiles;
mod tuner;
mod unary;
pub mod uniforms;

pub use adapter::{AdapterInfo, Software, adapters};
pub use basis::GpuBasis;
pub use ceilings::Ceilings;
pub use device::Device;
pub use kernel::{Curve, Formula, Kernel, RowNorm, Variant};
pub use operator::Gpu;
pub use space::{GpuBlock, GpuScalars, GpuSpace};
pub use tile::{Form, Tile};
pub use tuner::Tune;
