//! The kernels' parameters: mirrors of the structs in `shaders/`, with the same names and layout (a test compares them with naga's
//! reflection).

use bytemuck::{Pod, Zeroable};

/// `Product` of common/product.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Product {
    /// Rows of the result.
    pub rows: u32,
    /// Length of the sum.
    pub depth: u32,
    /// Padded samples / 4.
    pub samples4: u32,
    /// Of the layer's weight in a vector of all parameters.
    pub offset: u32,
    /// From one row of the weight to the next.
    pub row_stride: u32,
    /// From one element of the sum to the next.
    pub depth_stride: u32,
    /// Of the layer's bias, or [`NONE`].
    pub bias_offset: u32,
    /// From one direction's vector to the next.
    pub block_stride: u32,
    /// Length of the sum over tangent activations.
    pub tangent_depth: u32,
}

/// No offset.
pub const NONE: u32 = u32::MAX;

/// `Weights` of weights.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Weights {
    /// Rows of the weight.
    pub rows: u32,
    /// Columns of the weight.
    pub columns: u32,
    /// Padded samples / 4.
    pub samples4: u32,
    /// Of the layer's weight.
    pub offset: u32,
    /// Of the layer's bias.
    pub bias_offset: u32,
    /// From one direction's vector to the next.
    pub block_stride: u32,
    /// Weight decay.
    pub decay: f32,
}

/// `Loss` of loss.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Loss {
    /// Outputs of the network.
    pub outputs: u32,
    /// Samples with padding.
    pub padded: u32,
    /// Samples without.
    pub samples: u32,
    /// Of one term in the mean.
    pub weight: f32,
}

/// `Krylov` of krylov.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Krylov {
    /// Padded length / 4.
    pub stride4: u32,
    /// Directions.
    pub columns: u32,
    /// Row of the scalars.
    pub slot: u32,
    /// Workgroups that share a vector.
    pub groups: u32,
    /// Blocks of the basis.
    pub blocks: u32,
    /// First row of the coefficients.
    pub row: u32,
    /// 1: take the square root of the sum.
    pub root: u32,
    /// Added to the sum.
    pub constant: f32,
}

/// `Probe` of probe.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Probe {
    /// The seed's key.
    pub key: [u32; 2],
    /// Number of the first column's probe.
    pub first_probe: u32,
    /// Length of a vector.
    pub length: u32,
    /// Padded length / 4.
    pub stride4: u32,
    /// Workgroups that share a vector.
    pub groups: u32,
}

/// `Peak` of peak.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Peak {
    /// Multiplier of every step.
    pub factor: f32,
    /// Addend of every step.
    pub term: f32,
    /// Steps.
    pub rounds: u32,
}
