// What the tiles have in common in which each number of the rows' operand is loaded by one lane of eight and broadcast to the others: for
// drivers on which a load costs more than anything else (Mesa's llvmpipe loads lane by lane, whether their address is the same or not).
// Needs subgroups of at least eight lanes. Follows product.wgsl or weights.wgsl in common/, and is followed by a tile, by positions.wgsl,
// by the tile's operands and by subgroup_pass.wgsl or subgroup_weights.wgsl, which sum.

// Which of the eight this lane is, counted by the subgroup itself.
fn lane_of_eight() -> u32 {
    return subgroupExclusiveAdd(1u) % 8u;
}

fn low_four(x: f32) -> vec4<f32> {
    return vec4<f32>(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}

fn high_four(x: f32) -> vec4<f32> {
    return vec4<f32>(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
}

// One row of a sum, and its numbers in four terms. All terms of a row come one after another, and of four rows before the next four: a
// sum that does not stay in a register is loaded and stored once in four terms then.
fn add_terms(sum: vec4<f32>, w: vec4<f32>, z: mat4x4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(w.w), z[3], fma(vec4<f32>(w.z), z[2], fma(vec4<f32>(w.y), z[1], fma(vec4<f32>(w.x), z[0], sum))));
}

// Four rows of a sum, whose numbers in four terms the first four lanes have.
fn add_low(sum: mat4x4<f32>, w: vec4<f32>, z: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        add_terms(sum[0], subgroupBroadcast(w, 0u), z),
        add_terms(sum[1], subgroupBroadcast(w, 1u), z),
        add_terms(sum[2], subgroupBroadcast(w, 2u), z),
        add_terms(sum[3], subgroupBroadcast(w, 3u), z),
    );
}

// The same of the next four lanes.
fn add_high(sum: mat4x4<f32>, w: vec4<f32>, z: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        add_terms(sum[0], subgroupBroadcast(w, 4u), z),
        add_terms(sum[1], subgroupBroadcast(w, 5u), z),
        add_terms(sum[2], subgroupBroadcast(w, 6u), z),
        add_terms(sum[3], subgroupBroadcast(w, 7u), z),
    );
}
