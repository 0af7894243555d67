// Loads for a weight product, four samples at a time, each lane its share of the rows and its own columns, and sums. Follows weights.wgsl
// in common/, subgroup_16x8.wgsl and positions.wgsl.

fn total(tile: Tile, at: Position) -> Tile {
    return tile;
}

// Where the thread's two blocks of four columns begin; past the end the last one repeats.
struct Blocks {
    a: vec4<u32>,
    b: vec4<u32>,
}

fn block(column4: u32, offset4: u32) -> vec4<u32> {
    return min(4u * column4 + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.columns - 1u)) * p.stride4 + offset4;
}

fn blocks(at: Position, offset4: u32) -> Blocks {
    return Blocks(block(at.column4, offset4), block(at.column4 + LANES, offset4));
}

// tile += left rightᵀ over four samples, of which the matrices have a column each.
fn add_four(tile: ptr<function, Tile>, x: vec4<f32>, y: vec4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) {
    let c = transpose(a);
    let d = transpose(b);
    add(tile, vec2<f32>(x.x, y.x), array(c[0], d[0]));
    add(tile, vec2<f32>(x.y, y.y), array(c[1], d[1]));
    add(tile, vec2<f32>(x.z, y.z), array(c[2], d[2]));
    add(tile, vec2<f32>(x.w, y.w), array(c[3], d[3]));
}

fn four_of_input(at: vec4<u32>, s: u32) -> mat4x4<f32> {
    return mat4x4<f32>(input[at.x + s], input[at.y + s], input[at.z + s], input[at.w + s]);
}

fn four_of_tangent_input(at: vec4<u32>, s: u32) -> mat4x4<f32> {
    return mat4x4<f32>(tangent_input[at.x + s], tangent_input[at.y + s], tangent_input[at.z + s], tangent_input[at.w + s]);
}

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row) * p.stride4 + (p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = blocks(at, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        let a = four_of_input(columns.a, s);
        let b = four_of_input(columns.b, s);
        add_four(tile, tangent_delta[rows.x + s], tangent_delta[rows.y + s], a, b);
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row) * p.stride4 + p.delta_offset4;
    let columns = blocks(at, p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var s = 0u; s < count; s += 1u) {
        let a = four_of_tangent_input(columns.a, s);
        let b = four_of_tangent_input(columns.b, s);
        add_four(tile, delta[rows.x + s], delta[rows.y + s], a, b);
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row) * p.stride4 + p.delta_offset4;
    let columns = blocks(at, p.input_offset4);
    for (var s = 0u; s < count; s += 1u) {
        let a = four_of_input(columns.a, s);
        let b = four_of_input(columns.b, s);
        add_four(tile, delta[rows.x + s], delta[rows.y + s], a, b);
    }
}
