// Operations on blocks of b vectors of length n, each padded with zeros to `stride` numbers; one direction is workgroup_id.y.
//
// x, y [b, stride]; basis [blocks, b, stride], `blocks` of the blocks q₀, q₁, ... one after another; scalars [slots, b] with row
// `slot`; coefficients [blocks, b] from row `row`; partials: sums of single workgroups, added up by a second dispatch, so that
// every sum is a fixed tree. Loops stride over the grid: any n with at most 65,535 workgroups.
//
// Entry points and their grids (G workgroups of 64 share a vector):
//   dot_partials (G, b), dot_total (1, b): scalars[slot] ← xᵀy + constant, or its root
//   divide (G, b): y ← y / scalars[slot], or 0 where that is 0          subtract_scaled (G, b): y ← y − scalars[slot]·x
//   basis_partials (G, b, blocks), basis_totals (blocks, b): coefficients ← Qᵀy
//   basis_subtract (G, b): y ← y − Q·coefficients

struct Krylov {
    stride4: u32,         // stride / 4
    columns: u32,         // b
    slot: u32,
    groups: u32,          // G
    blocks: u32,
    row: u32,             // first row of coefficients
    root: u32,            // 1: take the square root
    constant: f32,
}

@group(0) @binding(0) var<uniform> p: Krylov;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> other: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> basis: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;
@group(0) @binding(6) var<storage, read> partials_in: array<f32>;
@group(0) @binding(7) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(8) var<storage, read> scalars_in: array<f32>;
@group(0) @binding(9) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(10) var<storage, read> coefficients_in: array<f32>;

@compute @workgroup_size(GROUP)
fn dot_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    var sum = 0.0;
    for (var e = workgroup.x * GROUP + lane; e < p.stride4; e += p.groups * GROUP) {
        sum += dot(x[base + e], other[base + e]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[workgroup.y * p.groups + workgroup.x] = total;
    }
}

@compute @workgroup_size(GROUP)
fn dot_total(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var g = lane; g < p.groups; g += GROUP) {
        sum += partials_in[workgroup.y * p.groups + g];
    }
    let total = workgroup_sum(sum, lane) + p.constant;
    if lane == 0u {
        scalars[p.slot * p.columns + workgroup.y] = select(total, sqrt(total), p.root == 1u);
    }
}

@compute @workgroup_size(GROUP)
fn divide(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let norm = scalars_in[p.slot * p.columns + workgroup.y];
    let factor = select(1.0 / norm, 0.0, norm == 0.0);
    let base = workgroup.y * p.stride4;
    for (var e = workgroup.x * GROUP + lane; e < p.stride4; e += p.groups * GROUP) {
        y[base + e] *= factor;
    }
}

@compute @workgroup_size(GROUP)
fn subtract_scaled(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let factor = vec4<f32>(-scalars_in[p.slot * p.columns + workgroup.y]);
    let base = workgroup.y * p.stride4;
    for (var e = workgroup.x * GROUP + lane; e < p.stride4; e += p.groups * GROUP) {
        y[base + e] = fma(factor, x[base + e], y[base + e]);
    }
}

@compute @workgroup_size(GROUP)
fn basis_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = workgroup.z * p.columns + workgroup.y;
    var sum = 0.0;
    for (var e = workgroup.x * GROUP + lane; e < p.stride4; e += p.groups * GROUP) {
        sum += dot(basis[column * p.stride4 + e], x[workgroup.y * p.stride4 + e]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[column * p.groups + workgroup.x] = total;
    }
}

@compute @workgroup_size(GROUP)
fn basis_totals(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = workgroup.x * p.columns + workgroup.y;
    var sum = 0.0;
    for (var g = lane; g < p.groups; g += GROUP) {
        sum += partials_in[column * p.groups + g];
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        coefficients[p.row * p.columns + column] = total;
    }
}

@compute @workgroup_size(GROUP)
fn basis_subtract(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    for (var e = workgroup.x * GROUP + lane; e < p.stride4; e += p.groups * GROUP) {
        var sum = y[base + e];
        for (var i = 0u; i < p.blocks; i += 1u) {
            let factor = -coefficients_in[(p.row + i) * p.columns + workgroup.y];
            sum = fma(vec4<f32>(factor), basis[(i * p.columns + workgroup.y) * p.stride4 + e], sum);
        }
        y[base + e] = sum;
    }
}
