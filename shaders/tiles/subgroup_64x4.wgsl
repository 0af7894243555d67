// A tile of 64 rows x 4 columns a thread, for passes: the fewest loads for each sum (measured: 6 to 8 % faster than 32 rows from 512 rows
// on, and more where a weight is read transposed, down columns that lie in a page of memory each). Follows subgroup.wgsl.

const ROWS: u32 = 64u;
const ELEMENTS: u32 = 64u;
const VEC4: u32 = 1u;

alias Tile = array<mat4x4<f32>, 16>;

// What a lane loads of one term: its rows' numbers, and its columns'.
struct Numbers {
    a: vec4<f32>,
    b: vec4<f32>,
}

alias Columns = array<vec4<f32>, 1>;

struct Addresses {
    a: vec4<u32>,
    b: vec4<u32>,
}

// The rows that this lane loads, lane and every eighth after it; past the end the last one repeats. In
// an array whose rows begin `stride` apart, from `base` on.
fn rows_from(first: u32, stride: u32, base: u32) -> Addresses {
    let row = vec4<u32>(first + lane_of_eight()) + vec4<u32>(0u, 8u, 16u, 24u);
    let last = vec4<u32>(p.rows - 1u);
    return Addresses(min(row, last) * stride + base, min(row + 32u, last) * stride + base);
}

fn moved(at: Addresses, step: u32) -> Addresses {
    return Addresses(at.a + step, at.b + step);
}

fn add(tile: ptr<function, Tile>, w: Numbers, z: Columns) {
    (*tile)[0] = add_outer((*tile)[0], low_four(w.a.x), z[0]);
    (*tile)[1] = add_outer((*tile)[1], high_four(w.a.x), z[0]);
    (*tile)[2] = add_outer((*tile)[2], low_four(w.a.y), z[0]);
    (*tile)[3] = add_outer((*tile)[3], high_four(w.a.y), z[0]);
    (*tile)[4] = add_outer((*tile)[4], low_four(w.a.z), z[0]);
    (*tile)[5] = add_outer((*tile)[5], high_four(w.a.z), z[0]);
    (*tile)[6] = add_outer((*tile)[6], low_four(w.a.w), z[0]);
    (*tile)[7] = add_outer((*tile)[7], high_four(w.a.w), z[0]);
    (*tile)[8] = add_outer((*tile)[8], low_four(w.b.x), z[0]);
    (*tile)[9] = add_outer((*tile)[9], high_four(w.b.x), z[0]);
    (*tile)[10] = add_outer((*tile)[10], low_four(w.b.y), z[0]);
    (*tile)[11] = add_outer((*tile)[11], high_four(w.b.y), z[0]);
    (*tile)[12] = add_outer((*tile)[12], low_four(w.b.z), z[0]);
    (*tile)[13] = add_outer((*tile)[13], high_four(w.b.z), z[0]);
    (*tile)[14] = add_outer((*tile)[14], low_four(w.b.w), z[0]);
    (*tile)[15] = add_outer((*tile)[15], high_four(w.b.w), z[0]);
}
