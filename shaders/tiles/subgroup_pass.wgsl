// Sums of a pass, two terms at a time, so that a sum is loaded and stored half as often where it does not stay in a register. Follows the
// operands of a tile of subgroup.wgsl.

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.row_stride, p.weight_offset);
    var column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k + 1u < depth; k += 2u) {
        let w = of_weights(rows);
        let z = of_incoming(column);
        let next_w = of_weights(moved(rows, step));
        let next_z = of_incoming(column + width);
        add(tile, w, z);
        add(tile, next_w, next_z);
        rows = moved(rows, 2u * step);
        column += 2u * width;
    }
    if depth % 2u == 1u {
        add(tile, of_weights(rows), of_incoming(column));
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.row_stride, p.weight_offset);
    var column = columns(at) + (p.tangent_offset4 + at.direction * p.tangent_stride4);
    for (var k = 0u; k + 1u < tangent_depth; k += 2u) {
        let w = of_weights(rows);
        let z = of_tangent(column);
        let next_w = of_weights(moved(rows, step));
        let next_z = of_tangent(column + width);
        add(tile, w, z);
        add(tile, next_w, next_z);
        rows = moved(rows, 2u * step);
        column += 2u * width;
    }
    if tangent_depth % 2u == 1u {
        add(tile, of_weights(rows), of_tangent(column));
    }
    rows = rows_from(at.row, p.row_stride, p.vector_offset + at.direction * p.vector_stride);
    column = columns(at) + p.incoming_offset4;
    for (var k = 0u; k + 1u < depth; k += 2u) {
        let w = of_vector(rows);
        let z = of_incoming(column);
        let next_w = of_vector(moved(rows, step));
        let next_z = of_incoming(column + width);
        add(tile, w, z);
        add(tile, next_w, next_z);
        rows = moved(rows, 2u * step);
        column += 2u * width;
    }
    if depth % 2u == 1u {
        add(tile, of_vector(rows), of_incoming(column));
    }
}
