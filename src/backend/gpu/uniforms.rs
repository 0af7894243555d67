//! The kernels' parameters: mirrors of the structs in `shaders/`, with the same names and layout (a test compares them with naga's
//! reflection).

use bytemuck::{Pod, Zeroable};

/// `Product` of common/product.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Product {
    /// Rows made here.
    pub rows: u32,
    /// Samples made here / 4.
    pub samples4: u32,
    /// From one row of activations to the next, / 4.
    pub stride4: u32,
    /// Length of the sum over `incoming`.
    pub depth: u32,
    /// Length of the sum over `tangent_incoming`: 0 where they vanish.
    pub tangent_depth: u32,
    /// From one row of the weight to the next.
    pub row_stride: u32,
    /// From one term of the sum to the next.
    pub depth_stride: u32,
    /// Of the first row and term in `weights`.
    pub weight_offset: u32,
    /// And in the first direction of `vector`.
    pub vector_offset: u32,
    /// From one direction's vector to the next.
    pub vector_stride: u32,
    /// Of the first row's bias in `weights` or `vector`, or [`NONE`].
    pub bias_offset: u32,
    /// Of the first term and sample in `incoming`.
    pub incoming_offset4: u32,
    /// And in the first direction of `tangent_incoming`.
    pub tangent_offset4: u32,
    /// From one direction of `tangent_incoming` to the next.
    pub tangent_stride4: u32,
    /// Of the first row and sample in arrays [rows, samples] at the point θ.
    pub point_offset4: u32,
    /// And in the first direction of arrays [b, rows, samples].
    pub result_offset4: u32,
    /// From one direction of those to the next.
    pub result_stride4: u32,
    /// 1: start from the result.
    pub accumulate: u32,
    /// 1: add the bias and apply what belongs to the layer.
    pub finish: u32,
}

/// No offset.
pub const NONE: u32 = u32::MAX;

/// `Weights` of weights.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Weights {
    /// Rows made here.
    pub rows: u32,
    /// Columns made here.
    pub columns: u32,
    /// Samples summed here / 4.
    pub samples4: u32,
    /// From one row of activations to the next, / 4.
    pub stride4: u32,
    /// From one row of the weight to the next.
    pub row_stride: u32,
    /// Of the first row and column in the first direction of `vector`.
    pub vector_offset: u32,
    /// And of `result`.
    pub result_offset: u32,
    /// From one direction to the next in both.
    pub block_stride: u32,
    /// Of the first row and sample in `delta`.
    pub delta_offset4: u32,
    /// And in the first direction of `tangent_delta`.
    pub tangent_delta_offset4: u32,
    /// From one direction of that to the next.
    pub tangent_delta_stride4: u32,
    /// Of the first column and sample in `input`.
    pub input_offset4: u32,
    /// And in the first direction of `tangent_input`.
    pub tangent_input_offset4: u32,
    /// From one direction of that to the next.
    pub tangent_input_stride4: u32,
    /// Weight decay.
    pub decay: f32,
    /// 1: start from the result instead of the weight decay.
    pub accumulate: u32,
    /// From the first row's weight to its bias in `vector` and `result`, or 0 where that is made elsewhere.
    pub bias_offset: u32,
    /// Weight decay of the biases.
    pub bias_decay: f32,
    /// 1: the sum has the term with `tangent_input`.
    pub second: u32,
}

/// `Loss` of loss.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Loss {
    /// Outputs of the network.
    pub outputs: u32,
    /// Samples with padding.
    pub padded: u32,
    /// Of a term in its sample's loss.
    pub share: f32,
    /// δ, β or ε.
    pub parameter: f32,
    /// Vectors of each sample.
    pub vectors: u32,
    /// Whether R s takes part.
    pub kept: u32,
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
    /// Workgroups that share a vector's part.
    pub groups: u32,
    /// The first of them among those of all shards.
    pub first_group: u32,
    /// Workgroups of all shards.
    pub all_groups: u32,
    /// Blocks of the basis.
    pub blocks: u32,
    /// Number of the first of them in the basis.
    pub row: u32,
    /// 1: take the square root of the sum.
    pub root: u32,
    /// Row of the coefficients that says which directions take part, or 0: all.
    pub guard: u32,
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
    /// Index of the run's first element in a vector.
    pub source: u32,
    /// And in the shard.
    pub target_first: u32,
    /// Elements of the run.
    pub length: u32,
    /// Padded length of the shard / 4.
    pub stride4: u32,
    /// Workgroups that share the run.
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

/// `Norm` of common/norm.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Norm {
    /// Units.
    pub width: u32,
    /// Samples / 4.
    pub samples4: u32,
    /// Of the gain in `parameters` and in the first direction of `vector`, or [`NONE`].
    pub gain_offset: u32,
    /// And of the shift.
    pub shift_offset: u32,
    /// From one direction's vector to the next.
    pub vector_stride: u32,
    /// ε.
    pub eps: f32,
    /// 1: what is normalized has a tangent.
    pub tangent: u32,
    /// 1: terms that mix the direction with the gradient take part.
    pub mixed: u32,
    /// 1: add to the result.
    pub accumulate: u32,
    /// Workgroups that share an array.
    pub groups: u32,
}

/// `Elementwise` of elementwise.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Elementwise {
    /// Vec4 of an array in one direction.
    pub count4: u32,
    /// Workgroups that share it.
    pub groups: u32,
    /// 1: add to the result.
    pub accumulate: u32,
    /// 1: terms with φ'' take part.
    pub kept: u32,
}
