// A tile of 8 rows x 8 columns a thread, straight from memory: a dot product of four samples a step for each number. No shared memory,
// no barrier. A workgroup makes 8·LANES_Y rows of 8·LANES_X columns. Follows weights.wgsl.

override LANES_X: u32 = 8u;
override LANES_Y: u32 = 1u;

const ELEMENTS: u32 = 16u;

// 4 x 4 numbers each: rows 0 to 3 by columns 0 to 3, the same rows by columns 4 to 7, then rows 4 to 7.
alias Tile = array<mat4x4<f32>, 4>;

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    let row = (workgroup.y * LANES_Y + lane / LANES_X) * 8u;
    let column = (workgroup.x * LANES_X + lane % LANES_X) * 8u;
    return Position(row, column / 4u, workgroup.z, lane);
}

fn row_of(at: Position, i: u32) -> u32 {
    return at.row + i / 8u * 4u + i % 4u;
}

fn column4_of(at: Position, i: u32) -> u32 {
    return at.column4 + i / 4u % 2u;
}

fn total(tile: Tile, at: Position) -> Tile {
    return tile;
}

// tile += left rightᵀ over four samples, added up among themselves first: one chain of multiply-adds would have a multiplication
// less, but a chain four times as long, and 2.5 times the rounding error (measured on 2,048 samples). Written out with constant indices,
// since drivers keep an array in registers only then.
fn add_dot_products(tile: ptr<function, Tile>, left: array<vec4<f32>, 8>, columns: array<vec4<f32>, 8>) {
    let low = mat4x4<f32>(columns[0], columns[1], columns[2], columns[3]);
    let high = mat4x4<f32>(columns[4], columns[5], columns[6], columns[7]);
    (*tile)[0][0] += left[0] * low;
    (*tile)[1][0] += left[0] * high;
    (*tile)[0][1] += left[1] * low;
    (*tile)[1][1] += left[1] * high;
    (*tile)[0][2] += left[2] * low;
    (*tile)[1][2] += left[2] * high;
    (*tile)[0][3] += left[3] * low;
    (*tile)[1][3] += left[3] * high;
    (*tile)[2][0] += left[4] * low;
    (*tile)[3][0] += left[4] * high;
    (*tile)[2][1] += left[5] * low;
    (*tile)[3][1] += left[5] * high;
    (*tile)[2][2] += left[6] * low;
    (*tile)[3][2] += left[6] * high;
    (*tile)[2][3] += left[7] * low;
    (*tile)[3][3] += left[7] * high;
}

// Where eight neighbouring rows of an array begin; past the end the last one repeats. Made once, outside the loops.
struct Eight {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn eight(first: u32, count: u32, offset4: u32) -> Eight {
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let last = vec4<u32>(count - 1u);
    return Eight(min(row, last) * p.stride4 + offset4, min(row + 4u, last) * p.stride4 + offset4);
}

fn tangent_delta_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        tangent_delta[at.low.x + s], tangent_delta[at.low.y + s],
        tangent_delta[at.low.z + s], tangent_delta[at.low.w + s],
        tangent_delta[at.high.x + s], tangent_delta[at.high.y + s],
        tangent_delta[at.high.z + s], tangent_delta[at.high.w + s],
    );
}

fn delta_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        delta[at.low.x + s], delta[at.low.y + s],
        delta[at.low.z + s], delta[at.low.w + s],
        delta[at.high.x + s], delta[at.high.y + s],
        delta[at.high.z + s], delta[at.high.w + s],
    );
}

fn input_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        input[at.low.x + s], input[at.low.y + s],
        input[at.low.z + s], input[at.low.w + s],
        input[at.high.x + s], input[at.high.y + s],
        input[at.high.z + s], input[at.high.w + s],
    );
}

fn tangent_input_at(at: Eight, s: u32) -> array<vec4<f32>, 8> {
    return array(
        tangent_input[at.low.x + s], tangent_input[at.low.y + s],
        tangent_input[at.low.z + s], tangent_input[at.low.w + s],
        tangent_input[at.high.x + s], tangent_input[at.high.y + s],
        tangent_input[at.high.z + s], tangent_input[at.high.w + s],
    );
}

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = eight(at.row, p.rows, p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = eight(4u * at.column4, p.columns, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(tile, tangent_delta_at(rows, s), input_at(columns, s));
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = eight(at.row, p.rows, p.delta_offset4);
    let columns = eight(4u * at.column4, p.columns, p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(tile, delta_at(rows, s), tangent_input_at(columns, s));
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = eight(at.row, p.rows, p.delta_offset4);
    let columns = eight(4u * at.column4, p.columns, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        add_dot_products(tile, delta_at(rows, s), input_at(columns, s));
    }
}

fn store_biases(at: Position) {}
