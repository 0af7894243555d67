// Sums of a weight product. Follows weights.wgsl in common/ and the operands of a tile of subgroup.wgsl.

// Samples / 4 that are added up in one chain: a longer one rounds more than the products' promise allows (measured: 1.9e-6 over 2,048
// samples, where half of that is promised).
const LONGEST_SUM4: u32 = 64u;

// Where four columns of samples begin; past the end the last one repeats.
fn block(column4: u32, offset4: u32) -> vec4<u32> {
    return min(4u * column4 + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.columns - 1u)) * p.stride4 + offset4;
}

fn total(tile: Tile, at: Position) -> Tile {
    return tile;
}

// The sums of Rδ in the rows that the lane loads.
var<private> bias_sums: Numbers;

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row, p.stride4, p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = blocks(at, p.input_offset4);
    for (var first = 0u; first < count; first += LONGEST_SUM4) {
        var part: Tile;
        var biases: Shares;
        let end = min(first + LONGEST_SUM4, count);
        for (var s = first; s < end; s += 1u) {
            let left = shares_of_tangent_delta(rows, s);
            add_four(&part, left, four_of_input(columns, s));
            biases = plus(biases, left);
        }
        add_tile(tile, part);
        bias_sums = add_totals(bias_sums, biases);
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row, p.stride4, p.delta_offset4);
    let columns = blocks(at, p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var first = 0u; first < count; first += LONGEST_SUM4) {
        var part: Tile;
        let end = min(first + LONGEST_SUM4, count);
        for (var s = first; s < end; s += 1u) {
            add_four(&part, shares_of_delta(rows, s), four_of_tangent_input(columns, s));
        }
        add_tile(tile, part);
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = rows_from(at.row, p.stride4, p.delta_offset4);
    let columns = blocks(at, p.input_offset4);
    for (var first = 0u; first < count; first += LONGEST_SUM4) {
        var part: Tile;
        let end = min(first + LONGEST_SUM4, count);
        for (var s = first; s < end; s += 1u) {
            add_four(&part, shares_of_delta(rows, s), four_of_input(columns, s));
        }
        add_tile(tile, part);
    }
}

// The biases of the rows, by the workgroups that make the first columns, each lane those of the rows that it loads.
fn store_biases(at: Position) {
    let first = at.row + lane_of_eight();
    if p.bias_offset == 0u || at.column4 >= LANES {
        return;
    }
    for (var i = 0u; i < ROWS / 8u; i += 1u) {
        let row = first + 8u * i;
        if row < p.rows {
            store_decayed(bias_sums[i], p.bias_offset + at.direction * p.block_stride + row, p.bias_decay);
        }
    }
}
