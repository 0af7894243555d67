// Sums of a pass with a weight as it is: four terms of a row lie side by side. Follows subgroup_64x4_pass.wgsl.

fn of_weights(at: Rows, k: u32) -> Shares {
    return Shares(weights[at[0] + k], weights[at[1] + k], weights[at[2] + k], weights[at[3] + k], weights[at[4] + k], weights[at[5] + k], weights[at[6] + k], weights[at[7] + k]);
}

fn of_vector(at: Rows, k: u32) -> Shares {
    return Shares(vector[at[0] + k], vector[at[1] + k], vector[at[2] + k], vector[at[3] + k], vector[at[4] + k], vector[at[5] + k], vector[at[6] + k], vector[at[7] + k]);
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth4 = p.depth / 4u;
    let step = 4u * p.stride4;
    let rows = rows_from(at.row, p.row_stride / 4u, p.weight_offset / 4u);
    let start = first_column(at) + p.incoming_offset4;
    for (var k = 0u; k < depth4; k += 1u) {
        add_four(tile, of_weights(rows, k), of_incoming(start + k * step));
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let tangent_depth4 = p.tangent_depth / 4u;
    let depth4 = p.depth / 4u;
    let step = 4u * p.stride4;
    var rows = rows_from(at.row, p.row_stride / 4u, p.weight_offset / 4u);
    var start = first_column(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k < tangent_depth4; k += 1u) {
        add_four(tile, of_weights(rows, k), of_tangent(start + k * step));
    }
    rows = rows_from(at.row, p.row_stride / 4u, (p.vector_offset + at.direction * p.vector_stride) / 4u);
    start = first_column(at) + p.incoming_offset4;
    for (var k = 0u; k < depth4; k += 1u) {
        add_four(tile, of_vector(rows, k), of_incoming(start + k * step));
    }
}
