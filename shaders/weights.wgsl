// The weight products, sums over the samples: the gradient δ zᵀ + λθ, and the product with the Hessian Rδ zᵀ + δ Rzᵀ + λV.
// Follows reduce.wgsl.
//
// A thread keeps 8 x 8 numbers of the result and adds a dot product of vec4 of samples to each in every step; a workgroup of
// LANES x LANES_Y threads makes 8·LANES columns of 8·LANES_Y rows. No shared memory, no barrier.
//
// A dispatch makes a window of the weight from a window of the samples; offsets are as in product.wgsl. Where the samples come in
// pieces, all but the first `accumulate`. A bias is a weight of one column, of row_stride 1.
//
// delta [rows, samples] = δ; input [columns, samples] = z; tangent_delta [b, rows, samples] = Rδ; tangent_input
// [b, columns, samples] = Rz; vector [b, block_stride] the parameters that weight decay multiplies (θ or V); result
// [b, block_stride] a vector of all parameters, of which this layer's weight is written.
// Entry points: `weights` = Rδ zᵀ + δ Rzᵀ + λV; `weights_first` has no Rz (the first layer); `gradient` = δ zᵀ + λθ.
// The biases' sums are `bias_sums` (Rδ) and `bias_gradient` (δ), one workgroup of 64 a row.
// Overrides: LANES, LANES_Y. Grid: (ceil(columns / (8·LANES)), ceil(rows / (8·LANES_Y)), b); the biases' (rows, 1, b).

override LANES: u32 = 8u;
override LANES_Y: u32 = 8u;

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
}

@group(0) @binding(0) var<uniform> p: Weights;
@group(0) @binding(1) var<storage, read> tangent_delta: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> tangent_input: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> vector: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;

// Of row r, columns 0 to 3 in element 2r and 4 to 7 in element 2r + 1.
alias Sums = array<vec4<f32>, 16>;

struct Corner {
    row: u32,
    column: u32,
    direction: u32,
}

fn corner(workgroup: vec3<u32>, local: vec3<u32>) -> Corner {
    return Corner((workgroup.y * LANES_Y + local.y) * 8u, (workgroup.x * LANES + local.x) * 8u, workgroup.z);
}

// sums += left rightᵀ over four samples, added up among themselves first: one chain of multiply-adds would have a multiplication
// less, but a chain four times as long, and 2.5 times the rounding error (measured on 2,048 samples). Written out for the reason given
// in product.wgsl.
fn add_dot_products(sums: ptr<function, Sums>, left: array<vec4<f32>, 8>, columns: array<vec4<f32>, 8>) {
    let right = array(
        mat4x4<f32>(columns[0], columns[1], columns[2], columns[3]),
        mat4x4<f32>(columns[4], columns[5], columns[6], columns[7]),
    );
    (*sums)[0] += left[0] * right[0];
    (*sums)[1] += left[0] * right[1];
    (*sums)[2] += left[1] * right[0];
    (*sums)[3] += left[1] * right[1];
    (*sums)[4] += left[2] * right[0];
    (*sums)[5] += left[2] * right[1];
    (*sums)[6] += left[3] * right[0];
    (*sums)[7] += left[3] * right[1];
    (*sums)[8] += left[4] * right[0];
    (*sums)[9] += left[4] * right[1];
    (*sums)[10] += left[5] * right[0];
    (*sums)[11] += left[5] * right[1];
    (*sums)[12] += left[6] * right[0];
    (*sums)[13] += left[6] * right[1];
    (*sums)[14] += left[7] * right[0];
    (*sums)[15] += left[7] * right[1];
}

// Where eight neighbouring rows of an array begin; past the end the last one repeats. Made once, outside the loops.
struct Eight {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn eight(first: u32, count: u32, offset4: u32) -> Eight {
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let last = vec4<u32>(count - 1u);
    return Eight(min(row, last) * p.stride4 + offset4, min(row + 4u, last) * p.stride4 + offset4);
}

fn tangent_delta_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        tangent_delta[at.low.x + s], tangent_delta[at.low.y + s],
        tangent_delta[at.low.z + s], tangent_delta[at.low.w + s],
        tangent_delta[at.high.x + s], tangent_delta[at.high.y + s],
        tangent_delta[at.high.z + s], tangent_delta[at.high.w + s],
    );
}

fn delta_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        delta[at.low.x + s], delta[at.low.y + s],
        delta[at.low.z + s], delta[at.low.w + s],
        delta[at.high.x + s], delta[at.high.y + s],
        delta[at.high.z + s], delta[at.high.w + s],
    );
}

fn input_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        input[at.low.x + s], input[at.low.y + s],
        input[at.low.z + s], input[at.low.w + s],
        input[at.high.x + s], input[at.high.y + s],
        input[at.high.z + s], input[at.high.w + s],
    );
}

fn tangent_input_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        tangent_input[at.low.x + s], tangent_input[at.low.y + s],
        tangent_input[at.low.z + s], tangent_input[at.low.w + s],
        tangent_input[at.high.x + s], tangent_input[at.high.y + s],
        tangent_input[at.high.z + s], tangent_input[at.high.w + s],
    );
}

fn store_number(sum: f32, at: u32) {
    if p.accumulate == 1u {
        result[p.result_offset + at] += sum;
    } else {
        result[p.result_offset + at] = fma(p.decay, vector[p.vector_offset + at], sum);
    }
}

fn store(result_sums: Sums, at: Corner) {
    var sums = result_sums;
    for (var r = 0u; r < 8u && at.row + r < p.rows; r += 1u) {
        for (var c = 0u; c < 8u && at.column + c < p.columns; c += 1u) {
            store_number(sums[2u * r + c / 4u][c % 4u], at.direction * p.block_stride + (at.row + r) * p.row_stride + at.column + c);
        }
    }
}

@compute @workgroup_size(LANES, LANES_Y)
fn weights(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let at = corner(workgroup, local);
    var sums: Sums;
    let count = p.samples4;
    let rows = eight(at.row, p.rows, p.delta_offset4);
    let tangent_rows = eight(at.row, p.rows, p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = eight(at.column, p.columns, p.input_offset4);
    let tangent_columns = eight(at.column, p.columns, p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(&sums, tangent_delta_at(tangent_rows, s), input_at(columns, s));
    }
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(&sums, delta_at(rows, s), tangent_input_at(tangent_columns, s));
    }
    store(sums, at);
}

@compute @workgroup_size(LANES, LANES_Y)
fn weights_first(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let at = corner(workgroup, local);
    var sums: Sums;
    let count = p.samples4;
    let tangent_rows = eight(at.row, p.rows, p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = eight(at.column, p.columns, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(&sums, tangent_delta_at(tangent_rows, s), input_at(columns, s));
    }
    store(sums, at);
}

@compute @workgroup_size(LANES, LANES_Y)
fn gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let at = corner(workgroup, local);
    var sums: Sums;
    let count = p.samples4;
    let rows = eight(at.row, p.rows, p.delta_offset4);
    let columns = eight(at.column, p.columns, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(&sums, delta_at(rows, s), input_at(columns, s));
    }
    store(sums, at);
}

fn store_bias(sum: f32, row: u32, direction: u32, lane: u32) {
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        store_number(total, direction * p.block_stride + row * p.row_stride);
    }
}

@compute @workgroup_size(GROUP)
fn bias_sums(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = p.tangent_delta_offset4 + workgroup.z * p.tangent_delta_stride4 + workgroup.x * p.stride4;
    var sum = vec4<f32>();
    for (var s = lane; s < p.samples4; s += GROUP) {
        sum += tangent_delta[base + s];
    }
    store_bias(dot(sum, vec4<f32>(1.0)), workgroup.x, workgroup.z, lane);
}

@compute @workgroup_size(GROUP)
fn bias_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = p.delta_offset4 + workgroup.x * p.stride4;
    var sum = vec4<f32>();
    for (var s = lane; s < p.samples4; s += GROUP) {
        sum += delta[base + s];
    }
    store_bias(dot(sum, vec4<f32>(1.0)), workgroup.x, workgroup.z, lane);
}
