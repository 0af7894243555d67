// Batch normalization in evaluation mode, x̂ = r (x − μ) with constants = (μ, r) for each row. Follows common/norm.wgsl.
//
// `batch_forward`: standard, a = γ x̂ + β from incoming = x. `batch_backward`: r γ δ. `batch_forward_over`: tangent_standard = r Rx and
// Ra = γ Rx̂ + Rγ x̂ + Rβ from incoming = Rx. `batch_backward_over`: φ' r (γ Rδ + Rγ δ), φ' being `first` of what x is made by.
// The last rows of standard and tangent_standard are not used. Grid: (groups, 1, b) workgroups of 64.

fn stride() -> u32 {
    return p.groups * 64u;
}

@compute @workgroup_size(64)
fn batch_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var e = id.x; e < p.width * p.samples4; e += stride()) {
        let row = e / p.samples4;
        let x = constants[p.width + row] * (incoming[e] - constants[row]);
        made[e] = x;
        result[e] = gain(row) * x + shift(row);
    }
}

@compute @workgroup_size(64)
fn batch_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var e = id.x; e < p.width * p.samples4; e += stride()) {
        let row = e / p.samples4;
        put(e, constants[p.width + row] * (gain(row) * delta[e]));
    }
}

@compute @workgroup_size(64)
fn batch_forward_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let base = id.z * p.width * p.samples4;
    let base_made = id.z * (p.width + 1u) * p.samples4;
    for (var e = id.x; e < p.width * p.samples4; e += stride()) {
        let row = e / p.samples4;
        var rx = vec4<f32>();
        if p.tangent == 1u {
            rx = constants[p.width + row] * incoming[base + e];
        }
        made[base_made + e] = rx;
        result[base + e] = gain(row) * rx + gain_of(id.z, row) * standard[e] + shift_of(id.z, row);
    }
}

@compute @workgroup_size(64)
fn batch_backward_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let base = id.z * p.width * p.samples4;
    for (var e = id.x; e < p.width * p.samples4; e += stride()) {
        let row = e / p.samples4;
        var rh = gain(row) * tangent_delta[base + e];
        if p.mixed == 1u {
            rh += gain_of(id.z, row) * delta[e];
        }
        put(base + e, first[e] * (constants[p.width + row] * rh));
    }
}
