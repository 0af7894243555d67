// A tile of 32 rows x 4 columns a thread. Follows subgroup.wgsl.

const ROWS: u32 = 32u;
const ELEMENTS: u32 = 32u;
const VEC4: u32 = 1u;

alias Tile = array<mat4x4<f32>, 8>;

// What a lane loads of one term: its rows' numbers, and its columns'.
alias Numbers = vec4<f32>;
alias Columns = array<vec4<f32>, 1>;

alias Addresses = vec4<u32>;

// The rows that this lane loads, lane and every eighth after it; past the end the last one repeats. In
// an array whose rows begin `stride` apart, from `base` on.
fn rows_from(first: u32, stride: u32, base: u32) -> Addresses {
    return min(first + lane_of_eight() + vec4<u32>(0u, 8u, 16u, 24u), vec4<u32>(p.rows - 1u)) * stride + base;
}

fn moved(at: Addresses, step: u32) -> Addresses {
    return at + step;
}

fn add(tile: ptr<function, Tile>, w: Numbers, z: Columns) {
    (*tile)[0] = add_outer((*tile)[0], low_four(w.x), z[0]);
    (*tile)[1] = add_outer((*tile)[1], high_four(w.x), z[0]);
    (*tile)[2] = add_outer((*tile)[2], low_four(w.y), z[0]);
    (*tile)[3] = add_outer((*tile)[3], high_four(w.y), z[0]);
    (*tile)[4] = add_outer((*tile)[4], low_four(w.z), z[0]);
    (*tile)[5] = add_outer((*tile)[5], high_four(w.z), z[0]);
    (*tile)[6] = add_outer((*tile)[6], low_four(w.w), z[0]);
    (*tile)[7] = add_outer((*tile)[7], high_four(w.w), z[0]);
}
