// A tile of 64 rows x 4 columns a thread: the fewest loads for each sum. Weights are loaded four by four, which on drivers that load lane
// by lane is half the work of one by one. Follows subgroup.wgsl, and is followed by positions.wgsl and by what belongs to a product.

const ROWS: u32 = 64u;
const ELEMENTS: u32 = 64u;
const VEC4: u32 = 1u;

alias Tile = array<mat4x4<f32>, 16>;

// Of the rows that this lane loads, lane and every eighth after it.
alias Rows = array<u32, 8>;

// Where they begin in an array whose rows are `stride4` apart, from `base4` on, all / 4. Past the end the last one repeats.
fn rows_from(first: u32, stride4: u32, base4: u32) -> Rows {
    let row = first + lane_of_eight();
    let last = p.rows - 1u;
    return Rows(
        min(row, last) * stride4 + base4,
        min(row + 8u, last) * stride4 + base4,
        min(row + 16u, last) * stride4 + base4,
        min(row + 24u, last) * stride4 + base4,
        min(row + 32u, last) * stride4 + base4,
        min(row + 40u, last) * stride4 + base4,
        min(row + 48u, last) * stride4 + base4,
        min(row + 56u, last) * stride4 + base4,
    );
}

// Four terms of those rows.
alias Shares = array<vec4<f32>, 8>;

// tile += w z over four terms, of which z has a column each.
fn add_four(tile: ptr<function, Tile>, w: Shares, z: mat4x4<f32>) {
    (*tile)[0] = add_low((*tile)[0], w[0], z);
    (*tile)[1] = add_high((*tile)[1], w[0], z);
    (*tile)[2] = add_low((*tile)[2], w[1], z);
    (*tile)[3] = add_high((*tile)[3], w[1], z);
    (*tile)[4] = add_low((*tile)[4], w[2], z);
    (*tile)[5] = add_high((*tile)[5], w[2], z);
    (*tile)[6] = add_low((*tile)[6], w[3], z);
    (*tile)[7] = add_high((*tile)[7], w[3], z);
    (*tile)[8] = add_low((*tile)[8], w[4], z);
    (*tile)[9] = add_high((*tile)[9], w[4], z);
    (*tile)[10] = add_low((*tile)[10], w[5], z);
    (*tile)[11] = add_high((*tile)[11], w[5], z);
    (*tile)[12] = add_low((*tile)[12], w[6], z);
    (*tile)[13] = add_high((*tile)[13], w[6], z);
    (*tile)[14] = add_low((*tile)[14], w[7], z);
    (*tile)[15] = add_high((*tile)[15], w[7], z);
}
