// The tile of direct_16x8.wgsl, each weight loaded by one lane of eight and broadcast to the others: for drivers that do not see
// that an address is the same for all lanes. Needs subgroups of at least eight lanes. Follows product.wgsl,
// and is followed by direct.wgsl.

const ROWS: u32 = 16u;
const VEC4: u32 = 2u;
const ELEMENTS: u32 = 32u;

alias Tile = array<mat4x4<f32>, 8>;

alias Samples = array<vec4<f32>, 2>;

// Which of the eight this lane is, counted by the subgroup itself.
fn lane_of_eight() -> u32 {
    return subgroupExclusiveAdd(1u) % 8u;
}

// Where the weights begin that this lane loads, rows lane, lane + 8, ... of the tile, in a vector of all parameters.
fn rows_from(first: u32, base: u32, lane: u32) -> vec2<u32> {
    let row = first + lane + vec2<u32>(0u, 8u);
    return min(row, vec2<u32>(p.rows - 1u)) * p.row_stride + base;
}

fn add(tile: ptr<function, Tile>, w: vec2<f32>, z: Samples) {
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

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn columns(at: Position) -> vec2<u32> {
    return min(at.column4 + LANES * vec2<u32>(0u, 1u), vec2<u32>(p.samples4 - 1u));
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset, lane_of_eight());
    var column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, vec2<f32>(weights[rows.x], weights[rows.y]), array(incoming[column.x], incoming[column.y]));
        rows += step;
        column += width;
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset, lane_of_eight());
    var column = columns(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k < tangent_depth; k += 1u) {
        add(tile, vec2<f32>(weights[rows.x], weights[rows.y]), array(tangent_incoming[column.x], tangent_incoming[column.y]));
        rows += step;
        column += width;
    }
    rows = rows_from(at.row, p.vector_offset + at.direction * p.vector_stride, lane_of_eight());
    column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, vec2<f32>(vector[rows.x], vector[rows.y]), array(incoming[column.x], incoming[column.y]));
        rows += step;
        column += width;
    }
}
