// Loads for a pass, each lane its share of the rows' weights and its own samples, and sums. Follows product.wgsl, subgroup_16x8.wgsl and
// positions.wgsl.

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn columns(at: Position) -> vec2<u32> {
    return min(at.column4 + LANES * vec2<u32>(0u, 1u), vec2<u32>(p.samples4 - 1u));
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row) * p.row_stride + p.weight_offset;
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
    var rows = rows_from(at.row) * p.row_stride + p.weight_offset;
    var column = columns(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k < tangent_depth; k += 1u) {
        add(tile, vec2<f32>(weights[rows.x], weights[rows.y]), array(tangent_incoming[column.x], tangent_incoming[column.y]));
        rows += step;
        column += width;
    }
    rows = rows_from(at.row) * p.row_stride + (p.vector_offset + at.direction * p.vector_stride);
    column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        add(tile, vec2<f32>(vector[rows.x], vector[rows.y]), array(incoming[column.x], incoming[column.y]));
        rows += step;
        column += width;
    }
}
