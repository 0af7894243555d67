// The sums over the samples that belong to a bias: `bias_sums` of Rδ + λV, `bias_gradient` of δ + λθ.
// Follows reduce.wgsl, tile.wgsl and weights.wgsl in common/. Grid: (rows, 1, b) workgroups.

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
