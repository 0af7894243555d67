// A tile of 16 rows x 8 columns a thread, for results of few rows. Follows subgroup.wgsl.

const ROWS: u32 = 16u;
const ELEMENTS: u32 = 32u;
const VEC4: u32 = 2u;

alias Tile = array<mat4x4<f32>, 8>;

// What a lane loads of one term: its rows' numbers, and its columns'.
alias Numbers = vec2<f32>;
alias Columns = array<vec4<f32>, 2>;

alias Addresses = vec2<u32>;

// The rows that this lane loads, lane and lane + 8 of the tile; past the end the last one repeats. In
// an array whose rows begin `stride` apart, from `base` on.
fn rows_from(first: u32, stride: u32, base: u32) -> Addresses {
    return min(first + lane_of_eight() + vec2<u32>(0u, 8u), vec2<u32>(p.rows - 1u)) * stride + base;
}

fn moved(at: Addresses, step: u32) -> Addresses {
    return at + step;
}

fn add(tile: ptr<function, Tile>, w: Numbers, z: Columns) {
    let a = low_four(w.x);
    let b = high_four(w.x);
    let c = low_four(w.y);
    let d = high_four(w.y);
    (*tile)[0] = add_outer((*tile)[0], a, z[0]);
    (*tile)[1] = add_outer((*tile)[1], a, z[1]);
    (*tile)[2] = add_outer((*tile)[2], b, z[0]);
    (*tile)[3] = add_outer((*tile)[3], b, z[1]);
    (*tile)[4] = add_outer((*tile)[4], c, z[0]);
    (*tile)[5] = add_outer((*tile)[5], c, z[1]);
    (*tile)[6] = add_outer((*tile)[6], d, z[0]);
    (*tile)[7] = add_outer((*tile)[7], d, z[1]);
}
