// A tile of 16 rows x 8 samples a thread, straight from memory: no shared memory and no barrier. A workgroup makes 16 rows of
// 8·LANES samples. A weight's address is the same for all lanes, and so costs a scalar load a wave; activations are read as vec4,
// neighbouring lanes side by side. Follows product.wgsl,
// and is followed by positions.wgsl.

const ROWS: u32 = 16u;
const VEC4: u32 = 2u;
const ELEMENTS: u32 = 32u;

alias Tile = array<mat4x4<f32>, 8>;

alias Samples = array<vec4<f32>, 2>;

// Where the weights of the tile's rows begin in a vector of all parameters.
struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn rows_from(first: u32, base: u32) -> Rows {
    let last = vec4<u32>(p.rows - 1u);
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return Rows(
        min(row, last) * p.row_stride + base,
        min(row + 4u, last) * p.row_stride + base,
        min(row + 8u, last) * p.row_stride + base,
        min(row + 12u, last) * p.row_stride + base,
    );
}

fn next(rows: Rows, step: u32) -> Rows {
    return Rows(rows.a + step, rows.b + step, rows.c + step, rows.d + step);
}

fn add(tile: ptr<function, Tile>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, z: Samples) {
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
    var rows = rows_from(at.row, p.weight_offset);
    var column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d), array(incoming[column.x], incoming[column.y]));
        rows = next(rows, step);
        column += width;
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset);
    var column = columns(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k < tangent_depth; k += 1u) {
        add(tile, four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d), array(tangent_incoming[column.x], tangent_incoming[column.y]));
        rows = next(rows, step);
        column += width;
    }
    rows = rows_from(at.row, p.vector_offset + at.direction * p.vector_stride);
    column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, four_of_vector(rows.a), four_of_vector(rows.b), four_of_vector(rows.c), four_of_vector(rows.d), array(incoming[column.x], incoming[column.y]));
        rows = next(rows, step);
        column += width;
    }
}
