// Operations on one shard of blocks of b vectors; a vector's part is padded with zeros to `stride` numbers; one direction is
// workgroup_id.y.
//
// x, y [b, stride]; basis [blocks, b, stride], `blocks` of the blocks q₀, q₁, ... one after another, the first of them number `row` of
// the basis; scalars [slots, b] with row `slot`; coefficients [capacity + 2, b]; partials [.., b, all_groups]: sums of single
// workgroups, those of this shard from `first_group` on, added up by a second dispatch over all shards, so that every sum is a fixed
// tree. G workgroups share a vector's part, each a contiguous chunk of it, and move 16 bytes a thread a load.
//
// Entry points and their grids:
//   dot_partials (G, b), dot_total (1, b): scalars[slot] ← xᵀy + constant, or its root
//   divide (G, b): y ← y / scalars[slot], or 0 where that is 0          subtract_scaled (G, b): y ← y − scalars[slot]·x
//   multiply (G, b): y ← x ∘ y, x being of one column
//   basis_partials (G, b, ceil(blocks / 4)), basis_totals (blocks, b): coefficients ← Qᵀy, four blocks a workgroup
//   basis_subtract (G, b): y ← y − Q·coefficients
//   basis_judge (1, b): of coefficients Qᵀy and, in the row after them, yᵀy: whether y − QQᵀy needs a second pass, into the row after that
// Where `guard` is not 0, that row of the coefficients says which directions basis_partials and basis_subtract work on.

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
    guard: u32,           // row of the coefficients, or 0
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
        partials[(p.row * p.columns + workgroup.y) * p.all_groups + p.first_group + workgroup.x] = total;
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

fn is_left_out(direction: u32) -> bool {
    return p.guard != 0u && coefficients_in[p.guard * p.columns + direction] == 0.0;
}

// Where the direction's vectors of four neighbouring blocks begin; past the end the last one repeats.
fn four_blocks(first: u32, direction: u32) -> vec4<u32> {
    let block = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.blocks - 1u));
    return (block * p.columns + direction) * p.stride4;
}

@compute @workgroup_size(GROUP)
fn basis_partials(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if is_left_out(workgroup.y) {
        return;
    }
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

// Kahan's and Parlett's test: rounding errors of the size of ε‖y‖ are small beside what is left of y where that is at least ‖y‖/√2, that
// is, where ‖Qᵀy‖² ≤ ‖y‖²/2 (Daniel, Gragg, Kaufman, Stewart 1976).
@compute @workgroup_size(GROUP)
fn basis_judge(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.blocks; i += GROUP) {
        let c = coefficients[i * p.columns + workgroup.y];
        sum = fma(c, c, sum);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        let is_enough = total <= 0.5 * coefficients[p.blocks * p.columns + workgroup.y];
        coefficients[(p.blocks + 1u) * p.columns + workgroup.y] = select(1.0, 0.0, is_enough);
    }
}

@compute @workgroup_size(GROUP)
fn basis_subtract(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if is_left_out(workgroup.y) {
        return;
    }
    let base = workgroup.y * p.stride4;
    let range = chunk(workgroup.x);
    // A coefficient is loaded once for four vec4, and y once for all blocks; past the end the last one repeats.
    for (var e = range.x + lane; e < range.y; e += 4u * GROUP) {
        let at = min(vec4<u32>(e) + GROUP * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(range.y - 1u));
        var a = y[base + at.x];
        var b = y[base + at.y];
        var c = y[base + at.z];
        var d = y[base + at.w];
        var block = base;
        for (var i = 0u; i < p.blocks; i += 1u) {
            let factor = vec4<f32>(-coefficients_in[(p.row + i) * p.columns + workgroup.y]);
            a = fma(factor, basis[block + at.x], a);
            b = fma(factor, basis[block + at.y], b);
            c = fma(factor, basis[block + at.z], c);
            d = fma(factor, basis[block + at.w], d);
            block += p.columns * p.stride4;
        }
        y[base + at.x] = a;
        if e + GROUP < range.y {
            y[base + at.y] = b;
        }
        if e + 2u * GROUP < range.y {
            y[base + at.z] = c;
        }
        if e + 3u * GROUP < range.y {
            y[base + at.w] = d;
        }
    }
}
