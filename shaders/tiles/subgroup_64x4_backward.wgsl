// Sums of a pass with a weight transposed: four rows of a term lie side by side. Follows subgroup_64x4_pass.wgsl.

// Four terms of four rows of the first half of the tile for each of eight lanes, and of the second.
struct Across {
    a: mat4x4<f32>,
    b: mat4x4<f32>,
}

// Of term 0, past the end the last four rows repeat.
fn rows_across_from(first: u32, base: u32) -> vec2<u32> {
    let row4 = first / 4u + lane_of_eight() + vec2<u32>(0u, 8u);
    return min(row4, vec2<u32>(p.rows / 4u - 1u)) + base / 4u;
}

// Four rows of the sum, whose numbers in one term are the columns of w.
fn add_rows(sum: mat4x4<f32>, w: mat4x4<f32>, z: mat4x4<f32>) -> mat4x4<f32> {
    let rows = transpose(w);
    return mat4x4<f32>(
        add_terms(sum[0], rows[0], z),
        add_terms(sum[1], rows[1], z),
        add_terms(sum[2], rows[2], z),
        add_terms(sum[3], rows[3], z),
    );
}

fn add_four_across(tile: ptr<function, Tile>, w: Across, z: mat4x4<f32>) {
    (*tile)[0] = add_rows((*tile)[0], mat4x4<f32>(subgroupBroadcast(w.a[0], 0u), subgroupBroadcast(w.a[1], 0u), subgroupBroadcast(w.a[2], 0u), subgroupBroadcast(w.a[3], 0u)), z);
    (*tile)[1] = add_rows((*tile)[1], mat4x4<f32>(subgroupBroadcast(w.a[0], 1u), subgroupBroadcast(w.a[1], 1u), subgroupBroadcast(w.a[2], 1u), subgroupBroadcast(w.a[3], 1u)), z);
    (*tile)[2] = add_rows((*tile)[2], mat4x4<f32>(subgroupBroadcast(w.a[0], 2u), subgroupBroadcast(w.a[1], 2u), subgroupBroadcast(w.a[2], 2u), subgroupBroadcast(w.a[3], 2u)), z);
    (*tile)[3] = add_rows((*tile)[3], mat4x4<f32>(subgroupBroadcast(w.a[0], 3u), subgroupBroadcast(w.a[1], 3u), subgroupBroadcast(w.a[2], 3u), subgroupBroadcast(w.a[3], 3u)), z);
    (*tile)[4] = add_rows((*tile)[4], mat4x4<f32>(subgroupBroadcast(w.a[0], 4u), subgroupBroadcast(w.a[1], 4u), subgroupBroadcast(w.a[2], 4u), subgroupBroadcast(w.a[3], 4u)), z);
    (*tile)[5] = add_rows((*tile)[5], mat4x4<f32>(subgroupBroadcast(w.a[0], 5u), subgroupBroadcast(w.a[1], 5u), subgroupBroadcast(w.a[2], 5u), subgroupBroadcast(w.a[3], 5u)), z);
    (*tile)[6] = add_rows((*tile)[6], mat4x4<f32>(subgroupBroadcast(w.a[0], 6u), subgroupBroadcast(w.a[1], 6u), subgroupBroadcast(w.a[2], 6u), subgroupBroadcast(w.a[3], 6u)), z);
    (*tile)[7] = add_rows((*tile)[7], mat4x4<f32>(subgroupBroadcast(w.a[0], 7u), subgroupBroadcast(w.a[1], 7u), subgroupBroadcast(w.a[2], 7u), subgroupBroadcast(w.a[3], 7u)), z);
    (*tile)[8] = add_rows((*tile)[8], mat4x4<f32>(subgroupBroadcast(w.b[0], 0u), subgroupBroadcast(w.b[1], 0u), subgroupBroadcast(w.b[2], 0u), subgroupBroadcast(w.b[3], 0u)), z);
    (*tile)[9] = add_rows((*tile)[9], mat4x4<f32>(subgroupBroadcast(w.b[0], 1u), subgroupBroadcast(w.b[1], 1u), subgroupBroadcast(w.b[2], 1u), subgroupBroadcast(w.b[3], 1u)), z);
    (*tile)[10] = add_rows((*tile)[10], mat4x4<f32>(subgroupBroadcast(w.b[0], 2u), subgroupBroadcast(w.b[1], 2u), subgroupBroadcast(w.b[2], 2u), subgroupBroadcast(w.b[3], 2u)), z);
    (*tile)[11] = add_rows((*tile)[11], mat4x4<f32>(subgroupBroadcast(w.b[0], 3u), subgroupBroadcast(w.b[1], 3u), subgroupBroadcast(w.b[2], 3u), subgroupBroadcast(w.b[3], 3u)), z);
    (*tile)[12] = add_rows((*tile)[12], mat4x4<f32>(subgroupBroadcast(w.b[0], 4u), subgroupBroadcast(w.b[1], 4u), subgroupBroadcast(w.b[2], 4u), subgroupBroadcast(w.b[3], 4u)), z);
    (*tile)[13] = add_rows((*tile)[13], mat4x4<f32>(subgroupBroadcast(w.b[0], 5u), subgroupBroadcast(w.b[1], 5u), subgroupBroadcast(w.b[2], 5u), subgroupBroadcast(w.b[3], 5u)), z);
    (*tile)[14] = add_rows((*tile)[14], mat4x4<f32>(subgroupBroadcast(w.b[0], 6u), subgroupBroadcast(w.b[1], 6u), subgroupBroadcast(w.b[2], 6u), subgroupBroadcast(w.b[3], 6u)), z);
    (*tile)[15] = add_rows((*tile)[15], mat4x4<f32>(subgroupBroadcast(w.b[0], 7u), subgroupBroadcast(w.b[1], 7u), subgroupBroadcast(w.b[2], 7u), subgroupBroadcast(w.b[3], 7u)), z);
}

fn add(tile: ptr<function, Tile>, a: vec4<f32>, b: vec4<f32>, z: vec4<f32>) {
    (*tile)[0] = add_outer((*tile)[0], subgroupBroadcast(a, 0u), z);
    (*tile)[1] = add_outer((*tile)[1], subgroupBroadcast(a, 1u), z);
    (*tile)[2] = add_outer((*tile)[2], subgroupBroadcast(a, 2u), z);
    (*tile)[3] = add_outer((*tile)[3], subgroupBroadcast(a, 3u), z);
    (*tile)[4] = add_outer((*tile)[4], subgroupBroadcast(a, 4u), z);
    (*tile)[5] = add_outer((*tile)[5], subgroupBroadcast(a, 5u), z);
    (*tile)[6] = add_outer((*tile)[6], subgroupBroadcast(a, 6u), z);
    (*tile)[7] = add_outer((*tile)[7], subgroupBroadcast(a, 7u), z);
    (*tile)[8] = add_outer((*tile)[8], subgroupBroadcast(b, 0u), z);
    (*tile)[9] = add_outer((*tile)[9], subgroupBroadcast(b, 1u), z);
    (*tile)[10] = add_outer((*tile)[10], subgroupBroadcast(b, 2u), z);
    (*tile)[11] = add_outer((*tile)[11], subgroupBroadcast(b, 3u), z);
    (*tile)[12] = add_outer((*tile)[12], subgroupBroadcast(b, 4u), z);
    (*tile)[13] = add_outer((*tile)[13], subgroupBroadcast(b, 5u), z);
    (*tile)[14] = add_outer((*tile)[14], subgroupBroadcast(b, 6u), z);
    (*tile)[15] = add_outer((*tile)[15], subgroupBroadcast(b, 7u), z);
}

fn of_weights(at: vec2<u32>) -> Across {
    let step = p.depth_stride / 4u;
    return Across(
        mat4x4<f32>(weights[at.x], weights[at.x + step], weights[at.x + 2u * step], weights[at.x + 3u * step]),
        mat4x4<f32>(weights[at.y], weights[at.y + step], weights[at.y + 2u * step], weights[at.y + 3u * step]),
    );
}

fn of_vector(at: vec2<u32>) -> Across {
    let step = p.depth_stride / 4u;
    return Across(
        mat4x4<f32>(vector[at.x], vector[at.x + step], vector[at.x + 2u * step], vector[at.x + 3u * step]),
        mat4x4<f32>(vector[at.y], vector[at.y + step], vector[at.y + 2u * step], vector[at.y + 3u * step]),
    );
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride / 4u;
    let width = p.stride4;
    var rows = rows_across_from(at.row, p.weight_offset);
    var column = first_column(at) + p.incoming_offset4;
    for (var k = 0u; k < depth / 4u; k += 1u) {
        add_four_across(tile, of_weights(rows), of_incoming(column));
        rows += 4u * step;
        column += 4u * width;
    }
    for (var k = 0u; k < depth % 4u; k += 1u) {
        add(tile, weights[rows.x], weights[rows.y], incoming[column]);
        rows += step;
        column += width;
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let step = p.depth_stride / 4u;
    let width = p.stride4;
    var rows = rows_across_from(at.row, p.weight_offset);
    var column = first_column(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k < tangent_depth / 4u; k += 1u) {
        add_four_across(tile, of_weights(rows), of_tangent(column));
        rows += 4u * step;
        column += 4u * width;
    }
    for (var k = 0u; k < tangent_depth % 4u; k += 1u) {
        add(tile, weights[rows.x], weights[rows.y], tangent_incoming[column]);
        rows += step;
        column += width;
    }
    rows = rows_across_from(at.row, p.vector_offset + at.direction * p.vector_stride);
    column = first_column(at) + p.incoming_offset4;
    for (var k = 0u; k < depth / 4u; k += 1u) {
        add_four_across(tile, of_vector(rows), of_incoming(column));
        rows += 4u * step;
        column += 4u * width;
    }
    for (var k = 0u; k < depth % 4u; k += 1u) {
        add(tile, vector[rows.x], vector[rows.y], incoming[column]);
        rows += step;
        column += width;
    }
}
