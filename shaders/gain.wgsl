// The sums over the samples that belong to a normalization's gain: `gain_sums` of Rδ ⊙ x̂ + δ ⊙ Rx̂ + λV, `gain_sums_first` without the
// second term, `gain_gradient` of δ ⊙ x̂ + λθ. input = x̂ and tangent_input = Rx̂ have a row for each row of the result.
// Follows reduce.wgsl and weights.wgsl in common/. Grid: (rows, 1, b) workgroups.

fn store_gain(sum: vec4<f32>, row: u32, direction: u32, lane: u32) {
    let total = workgroup_sum(dot(sum, vec4<f32>(1.0)), lane);
    if lane == 0u {
        store_number(total, direction * p.block_stride + row * p.row_stride);
    }
}

@compute @workgroup_size(GROUP)
fn gain_sums(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = workgroup.x * p.stride4;
    let of_delta = p.tangent_delta_offset4 + workgroup.z * p.tangent_delta_stride4 + at;
    let of_input = p.tangent_input_offset4 + workgroup.z * p.tangent_input_stride4 + at;
    var sum = vec4<f32>();
    for (var s = lane; s < p.samples4; s += GROUP) {
        sum += tangent_delta[of_delta + s] * input[p.input_offset4 + at + s];
        sum += delta[p.delta_offset4 + at + s] * tangent_input[of_input + s];
    }
    store_gain(sum, workgroup.x, workgroup.z, lane);
}

@compute @workgroup_size(GROUP)
fn gain_sums_first(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = workgroup.x * p.stride4;
    let of_delta = p.tangent_delta_offset4 + workgroup.z * p.tangent_delta_stride4 + at;
    var sum = vec4<f32>();
    for (var s = lane; s < p.samples4; s += GROUP) {
        sum += tangent_delta[of_delta + s] * input[p.input_offset4 + at + s];
    }
    store_gain(sum, workgroup.x, workgroup.z, lane);
}

@compute @workgroup_size(GROUP)
fn gain_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = workgroup.x * p.stride4;
    var sum = vec4<f32>();
    for (var s = lane; s < p.samples4; s += GROUP) {
        sum += delta[p.delta_offset4 + at + s] * input[p.input_offset4 + at + s];
    }
    store_gain(sum, workgroup.x, 0u, lane);
}
