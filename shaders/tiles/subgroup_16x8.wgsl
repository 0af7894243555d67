// A tile of 16 rows x 8 columns a thread; each number of the rows' operand is loaded by one lane of eight and broadcast to the others: for
// drivers on which a load costs more than anything else (Mesa's llvmpipe loads lane by lane, whether their address is the same or not).
// Needs subgroups of at least eight lanes. Follows product.wgsl or weights.wgsl in common/, and is followed by positions.wgsl and by
// subgroup_pass.wgsl or subgroup_weights.wgsl, which load the operands.

const ROWS: u32 = 16u;
const VEC4: u32 = 2u;
const ELEMENTS: u32 = 32u;

alias Tile = array<mat4x4<f32>, 8>;

alias Columns = array<vec4<f32>, 2>;

// Which of the eight this lane is, counted by the subgroup itself.
fn lane_of_eight() -> u32 {
    return subgroupExclusiveAdd(1u) % 8u;
}

// The rows that this lane loads, lane and lane + 8 of the tile; past the end the last one repeats.
fn rows_from(first: u32) -> vec2<u32> {
    return min(first + lane_of_eight() + vec2<u32>(0u, 8u), vec2<u32>(p.rows - 1u));
}

fn add(tile: ptr<function, Tile>, w: vec2<f32>, z: Columns) {
    let a = vec4<f32>(subgroupBroadcast(w.x, 0u), subgroupBroadcast(w.x, 1u), subgroupBroadcast(w.x, 2u), subgroupBroadcast(w.x, 3u));
    let b = vec4<f32>(subgroupBroadcast(w.x, 4u), subgroupBroadcast(w.x, 5u), subgroupBroadcast(w.x, 6u), subgroupBroadcast(w.x, 7u));
    let c = vec4<f32>(subgroupBroadcast(w.y, 0u), subgroupBroadcast(w.y, 1u), subgroupBroadcast(w.y, 2u), subgroupBroadcast(w.y, 3u));
    let d = vec4<f32>(subgroupBroadcast(w.y, 4u), subgroupBroadcast(w.y, 5u), subgroupBroadcast(w.y, 6u), subgroupBroadcast(w.y, 7u));
    (*tile)[0] = add_outer((*tile)[0], a, z[0]);
    (*tile)[1] = add_outer((*tile)[1], a, z[1]);
    (*tile)[2] = add_outer((*tile)[2], b, z[0]);
    (*tile)[3] = add_outer((*tile)[3], b, z[1]);
    (*tile)[4] = add_outer((*tile)[4], c, z[0]);
    (*tile)[5] = add_outer((*tile)[5], c, z[1]);
    (*tile)[6] = add_outer((*tile)[6], d, z[0]);
    (*tile)[7] = add_outer((*tile)[7], d, z[1]);
}
