// The weight products, sums over the samples: the gradient δ zᵀ + λθ, and the product with the Hessian Rδ zᵀ + δ Rzᵀ + λV: parameters
// and operands. What follows is a tile, and then the entry points.
//
// A dispatch makes a window of the weight from a window of the samples; offsets are as in product.wgsl. Where the samples come in
// pieces, all but the first `accumulate`. A bias is a weight of one column, of row_stride 1.
//
// delta [rows, samples] = δ; input [columns, samples] = z; tangent_delta [b, rows, samples] = Rδ; tangent_input
// [b, columns, samples] = Rz; vector [b, block_stride] the parameters that weight decay multiplies (θ or V); result
// [b, block_stride] a vector of all parameters, of which this layer's weight is written.
// Columns of the result are columns of the weight. A tile gives add_tangent_delta_input() = Rδ zᵀ, add_delta_tangent_input() = δ Rzᵀ and
// add_delta_input() = δ zᵀ, and store_biases(), which stores the sums of Rδ that belong to the rows' biases where the tile has them in
// passing, and nothing elsewhere.

struct Weights {
    rows: u32,                // rows made here
    columns: u32,             // columns made here
    samples4: u32,            // samples summed here / 4
    stride4: u32,             // from one row of activations to the next, / 4
    row_stride: u32,          // from one row of the weight to the next
    vector_offset: u32,       // of the first row and column in the first direction of `vector`
    result_offset: u32,       // and of `result`
    block_stride: u32,        // from one direction to the next in both
    delta_offset4: u32,       // of the first row and sample in `delta`
    tangent_delta_offset4: u32,   // and in the first direction of `tangent_delta`
    tangent_delta_stride4: u32,   // from one direction of that to the next
    input_offset4: u32,       // of the first column and sample in `input`
    tangent_input_offset4: u32,   // and in the first direction of `tangent_input`
    tangent_input_stride4: u32,   // from one direction of that to the next
    decay: f32,               // weight decay
    accumulate: u32,          // 1: start from the result instead of the weight decay
    bias_offset: u32,         // from the first row's weight to its bias in `vector` and `result`, or 0 where that is made elsewhere
    bias_decay: f32,          // weight decay of the biases
    second: u32,              // 1: the sum has the term with `tangent_input`
}

@group(0) @binding(0) var<uniform> p: Weights;
@group(0) @binding(1) var<storage, read> tangent_delta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> tangent_input: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> vector: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;

fn store_decayed(sum: f32, at: u32, decay: f32) {
    if p.accumulate == 1u {
        result[p.result_offset + at] += sum;
    } else {
        result[p.result_offset + at] = fma(decay, vector[p.vector_offset + at], sum);
    }
}

fn store_number(sum: f32, at: u32) {
    store_decayed(sum, at, p.decay);
}
