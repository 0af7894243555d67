// What layers that are no products need element by element, and what a value needs that several layers read. Follows activation.wgsl.
//
// Arrays are [rows, samples] of count4 vec4, those of b directions one after another.
// `accumulate`: result ← incoming, or added to it, in each direction. `accumulate_over`: the same of first ⊙ incoming: Rδ of what a layer
//   adds, from the layer's own.
// `activate`: value, which holds a, ← φ(a); first ← φ'(a), bend ← φ''(a).
// `activate_over`: result, which holds Ra, ← φ' ⊙ Ra, and curved ← bend ⊙ Ra where it is `kept`.
// `settle`: result, which holds g, ← δ = g ⊙ φ', bend ← g ⊙ φ''; `settle_linear` has no bend (piecewise linear activations).
// Override: ACTIVATION of `activate`. Grid: (groups, 1, b) workgroups of 64.

struct Elementwise {
    count4: u32,
    groups: u32,              // workgroups that share an array
    accumulate: u32,          // 1: add to the result
    kept: u32,                // 1: terms with φ'' take part
}

@group(0) @binding(0) var<uniform> p: Elementwise;
@group(0) @binding(1) var<storage, read> incoming: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slope: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> curve: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> bend: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> curved: array<vec4<f32>>;

fn stride() -> u32 {
    return p.groups * 64u;
}

fn put(e: u32, value: vec4<f32>) {
    if p.accumulate == 1u {
        result[e] += value;
    } else {
        result[e] = value;
    }
}

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>) {
    let base = id.z * p.count4;
    for (var e = id.x; e < p.count4; e += stride()) {
        put(base + e, incoming[base + e]);
    }
}

@compute @workgroup_size(64)
fn accumulate_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let base = id.z * p.count4;
    for (var e = id.x; e < p.count4; e += stride()) {
        put(base + e, slope[e] * incoming[base + e]);
    }
}

@compute @workgroup_size(64)
fn activate(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var e = id.x; e < p.count4; e += stride()) {
        let a = result[e];
        let x = jet(a.x);
        let y = jet(a.y);
        let z = jet(a.z);
        let w = jet(a.w);
        result[e] = vec4<f32>(x.value, y.value, z.value, w.value);
        first[e] = vec4<f32>(x.first, y.first, z.first, w.first);
        bend[e] = vec4<f32>(x.second, y.second, z.second, w.second);
    }
}

@compute @workgroup_size(64)
fn activate_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let base = id.z * p.count4;
    for (var e = id.x; e < p.count4; e += stride()) {
        let ra = result[base + e];
        result[base + e] = slope[e] * ra;
        if p.kept == 1u {
            curved[base + e] = curve[e] * ra;
        }
    }
}

@compute @workgroup_size(64)
fn settle(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var e = id.x; e < p.count4; e += stride()) {
        let g = result[e];
        result[e] = slope[e] * g;
        bend[e] *= g;
    }
}

@compute @workgroup_size(64)
fn settle_linear(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var e = id.x; e < p.count4; e += stride()) {
        result[e] *= slope[e];
    }
}
