// Operations on one shard of blocks of b vectors; a vector's part is padded with zeros to `stride` numbers; one direction is
// workgroup_id.y.
//
// x, y [b, stride]; basis [blocks, b, stride], `blocks` of the blocks q₀, q₁, ... one after another, the first of them number `row` of
// the basis; scalars [slots, b] with row `slot`; coefficients [capacity, b]; partials [.., b, all_groups]: sums of single
// workgroups, those of this shard from `first_group` on, added up by a second dispatch over all shards, so that every sum is a fixed
// tree. G workgroups of 64 share a vector's part, each a contiguous chunk of it, and move 16 bytes a thread a load.
//
// Entry points and their grids:
//   dot_partials (G, b), dot_total (1, b): scalars[slot] ← xᵀy + constant, or its root
//   divide (G, b): y ← y / scalars[slot], or 0 where that is 0          subtract_scaled (G, b): y ← y − scalars[slot]·x
//   multiply (G, b): y ← x ∘ y, x being of one column
//   basis_partials (G, b, ceil(blocks / 4)), basis_totals (blocks, b): coefficients ← Qᵀy, four blocks a workgroup
//   basis_subtract (G, b): y ← y − Q·coefficients, four blocks at a time

struct Krylov {
    stride4: u32,         // stride / 4
    columns: u32,         // b
    slot: u32,
    groups: u32,          // G
    first_group: u32,
    all_groups: u32,      // of all shards
    blocks: u32,
    row: u32,
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

// The workgroup's chunk of a vector's part: first and last (exclusive) vec4.
fn chunk(group: u32) -> vec2<u32> {
    let length = (p.stride4 + p.groups - 1u) / p.groups;
    return min(vec2<u32>(group, group + 1u) * length, vec2<u32>(p.stride4));
}

@compute @workgroup_size(GROUP)
fn dot_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    var sum = 0.0;
    for (var e = range.x + lane; e < range.y; e += GROUP) {
        sum += dot(x[base + e], other[base + e]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        partials[workgroup.y * p.all_groups + p.first_group + workgroup.x] = total;
    }
}

// The sum of one direction's (or block's) partial sums.
fn sum_of_partials(number: u32, lane: u32) -> f32 {
    var sum = 0.0;
    for (var g = lane; g < p.all_groups; g += GROUP) {
        sum += partials_in[number * p.all_groups + g];
    }
    return workgroup_sum(sum, lane);
}

@compute @workgroup_size(GROUP)
fn dot_total(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let total = sum_of_partials(workgroup.y, lane) + p.constant;
    if lane == 0u {
        scalars[p.slot * p.columns + workgroup.y] = select(total, sqrt(total), p.root == 1u);
    }
}

@compute @workgroup_size(GROUP)
fn divide(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let norm = scalars_in[p.slot * p.columns + workgroup.y];
    let factor = select(1.0 / norm, 0.0, norm == 0.0);
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    for (var e = range.x + lane; e < range.y; e += GROUP) {
        y[base + e] *= factor;
    }
}

@compute @workgroup_size(GROUP)
fn subtract_scaled(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let factor = vec4<f32>(-scalars_in[p.slot * p.columns + workgroup.y]);
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    for (var e = range.x + lane; e < range.y; e += GROUP) {
        y[base + e] = fma(factor, x[base + e], y[base + e]);
    }
}

@compute @workgroup_size(GROUP)
fn multiply(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    for (var e = range.x + lane; e < range.y; e += GROUP) {
        y[base + e] *= x[e];
    }
}

// Where the direction's vectors of four neighbouring blocks begin; past the end the last one repeats.
fn four_blocks(first: u32, direction: u32) -> vec4<u32> {
    let block = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.blocks - 1u));
    return (block * p.columns + direction) * p.stride4;
}

@compute @workgroup_size(GROUP)
fn basis_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = 4u * workgroup.z;
    let at = four_blocks(first, workgroup.y);
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    var sums = vec4<f32>();
    for (var e = range.x + lane; e < range.y; e += GROUP) {
        let v = x[base + e];
        sums += vec4<f32>(dot(basis[at.x + e], v), dot(basis[at.y + e], v), dot(basis[at.z + e], v), dot(basis[at.w + e], v));
    }
    var totals = workgroup_sums(sums, lane);
    if lane < min(4u, p.blocks - first) {
        let number = (p.row + first + lane) * p.columns + workgroup.y;
        partials[number * p.all_groups + p.first_group + workgroup.x] = totals[lane];
    }
}

@compute @workgroup_size(GROUP)
fn basis_totals(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let number = (p.row + workgroup.x) * p.columns + workgroup.y;
    let total = sum_of_partials(number, lane);
    if lane == 0u {
        coefficients[number] = total;
    }
}

// A block's coefficient of the direction, negated; 0 past the end.
fn factor(block: u32, direction: u32) -> vec4<f32> {
    let inside = min(block, p.blocks - 1u);
    return vec4<f32>(select(0.0, -coefficients_in[(p.row + inside) * p.columns + direction], block < p.blocks));
}

@compute @workgroup_size(GROUP)
fn basis_subtract(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    for (var i = 0u; i < p.blocks; i += 4u) {
        let at = four_blocks(i, workgroup.y);
        let a = factor(i, workgroup.y);
        let b = factor(i + 1u, workgroup.y);
        let c = factor(i + 2u, workgroup.y);
        let d = factor(i + 3u, workgroup.y);
        for (var e = range.x + lane; e < range.y; e += GROUP) {
            let ab = fma(b, basis[at.y + e], fma(a, basis[at.x + e], y[base + e]));
            y[base + e] = fma(d, basis[at.w + e], fma(c, basis[at.z + e], ab));
        }
    }
}
