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
