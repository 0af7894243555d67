// A tile of 32 rows x 16 samples a thread, straight from memory: no shared memory and no barrier. A workgroup makes 32 rows of
// 16·LANES samples. A weight's address is the same for all lanes, and so costs a scalar load a wave; activations are read as vec4,
// neighbouring lanes side by side. Follows product.wgsl,
// and is followed by direct.wgsl.

const ROWS: u32 = 32u;
const VEC4: u32 = 4u;
const ELEMENTS: u32 = 128u;

alias Tile = array<mat4x4<f32>, 32>;

alias Samples = array<vec4<f32>, 4>;

// Where the weights of the tile's rows begin in a vector of all parameters.
struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
    e: vec4<u32>,
    f: vec4<u32>,
    g: vec4<u32>,
    h: vec4<u32>,
}

fn rows_from(first: u32, base: u32) -> Rows {
    let last = vec4<u32>(p.rows - 1u);
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return Rows(
        min(row, last) * p.row_stride + base,
        min(row + 4u, last) * p.row_stride + base,
        min(row + 8u, last) * p.row_stride + base,
        min(row + 12u, last) * p.row_stride + base,
        min(row + 16u, last) * p.row_stride + base,
        min(row + 20u, last) * p.row_stride + base,
        min(row + 24u, last) * p.row_stride + base,
        min(row + 28u, last) * p.row_stride + base,
    );
}

fn next(rows: Rows, step: u32) -> Rows {
    return Rows(rows.a + step, rows.b + step, rows.c + step, rows.d + step, rows.e + step, rows.f + step, rows.g + step, rows.h + step);
}

fn add(tile: ptr<function, Tile>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>, z: Samples) {
    (*tile)[0] = add_outer((*tile)[0], a, z[0]);
    (*tile)[1] = add_outer((*tile)[1], a, z[1]);
    (*tile)[2] = add_outer((*tile)[2], a, z[2]);
    (*tile)[3] = add_outer((*tile)[3], a, z[3]);
    (*tile)[4] = add_outer((*tile)[4], b, z[0]);
    (*tile)[5] = add_outer((*tile)[5], b, z[1]);
    (*tile)[6] = add_outer((*tile)[6], b, z[2]);
    (*tile)[7] = add_outer((*tile)[7], b, z[3]);
    (*tile)[8] = add_outer((*tile)[8], c, z[0]);
    (*tile)[9] = add_outer((*tile)[9], c, z[1]);
    (*tile)[10] = add_outer((*tile)[10], c, z[2]);
    (*tile)[11] = add_outer((*tile)[11], c, z[3]);
    (*tile)[12] = add_outer((*tile)[12], d, z[0]);
    (*tile)[13] = add_outer((*tile)[13], d, z[1]);
    (*tile)[14] = add_outer((*tile)[14], d, z[2]);
    (*tile)[15] = add_outer((*tile)[15], d, z[3]);
    (*tile)[16] = add_outer((*tile)[16], e, z[0]);
    (*tile)[17] = add_outer((*tile)[17], e, z[1]);
    (*tile)[18] = add_outer((*tile)[18], e, z[2]);
    (*tile)[19] = add_outer((*tile)[19], e, z[3]);
    (*tile)[20] = add_outer((*tile)[20], f, z[0]);
    (*tile)[21] = add_outer((*tile)[21], f, z[1]);
    (*tile)[22] = add_outer((*tile)[22], f, z[2]);
    (*tile)[23] = add_outer((*tile)[23], f, z[3]);
    (*tile)[24] = add_outer((*tile)[24], g, z[0]);
    (*tile)[25] = add_outer((*tile)[25], g, z[1]);
    (*tile)[26] = add_outer((*tile)[26], g, z[2]);
    (*tile)[27] = add_outer((*tile)[27], g, z[3]);
    (*tile)[28] = add_outer((*tile)[28], h, z[0]);
    (*tile)[29] = add_outer((*tile)[29], h, z[1]);
    (*tile)[30] = add_outer((*tile)[30], h, z[2]);
    (*tile)[31] = add_outer((*tile)[31], h, z[3]);
}

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn columns(at: Position) -> vec4<u32> {
    return min(at.column4 + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.samples4 - 1u));
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset);
    var column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d), four_weights(rows.e), four_weights(rows.f), four_weights(rows.g), four_weights(rows.h), array(incoming[column.x], incoming[column.y], incoming[column.z], incoming[column.w]));
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
        add(tile, four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d), four_weights(rows.e), four_weights(rows.f), four_weights(rows.g), four_weights(rows.h), array(tangent_incoming[column.x], tangent_incoming[column.y], tangent_incoming[column.z], tangent_incoming[column.w]));
        rows = next(rows, step);
        column += width;
    }
    rows = rows_from(at.row, p.vector_offset + at.direction * p.vector_stride);
    column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, four_of_vector(rows.a), four_of_vector(rows.b), four_of_vector(rows.c), four_of_vector(rows.d), four_of_vector(rows.e), four_of_vector(rows.f), four_of_vector(rows.g), four_of_vector(rows.h), array(incoming[column.x], incoming[column.y], incoming[column.z], incoming[column.w]));
        rows = next(rows, step);
        column += width;
    }
}
