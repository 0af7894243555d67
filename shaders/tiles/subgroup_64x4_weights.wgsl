// The operands of a weight product, four samples at a time, each lane its share of the rows and its own columns. Follows subgroup_64x4.wgsl
// and positions.wgsl.

// Where the thread's four columns begin; past the end the last one repeats.
alias Blocks = vec4<u32>;

fn blocks(at: Position, offset4: u32) -> Blocks {
    return block(at.column4, offset4);
}

// Four samples of four columns, a column of the matrix for each sample.
alias Columns = mat4x4<f32>;

fn four_of_input(at: Blocks, s: u32) -> Columns {
    return transpose(mat4x4<f32>(input[at.x + s], input[at.y + s], input[at.z + s], input[at.w + s]));
}

fn four_of_tangent_input(at: Blocks, s: u32) -> Columns {
    return transpose(mat4x4<f32>(tangent_input[at.x + s], tangent_input[at.y + s], tangent_input[at.z + s], tangent_input[at.w + s]));
}

alias Addresses = Rows;

fn shares_of_tangent_delta(at: Rows, s: u32) -> Shares {
    return Shares(tangent_delta[at[0] + s], tangent_delta[at[1] + s], tangent_delta[at[2] + s], tangent_delta[at[3] + s], tangent_delta[at[4] + s], tangent_delta[at[5] + s], tangent_delta[at[6] + s], tangent_delta[at[7] + s]);
}

fn shares_of_delta(at: Rows, s: u32) -> Shares {
    return Shares(delta[at[0] + s], delta[at[1] + s], delta[at[2] + s], delta[at[3] + s], delta[at[4] + s], delta[at[5] + s], delta[at[6] + s], delta[at[7] + s]);
}

fn plus(a: Shares, b: Shares) -> Shares {
    return Shares(a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6], a[7] + b[7]);
}

// What the lane's rows sum up to.
alias Numbers = array<f32, 8>;

fn add_totals(sums: Numbers, a: Shares) -> Numbers {
    let ones = vec4<f32>(1.0);
    return Numbers(
        sums[0] + dot(a[0], ones),
        sums[1] + dot(a[1], ones),
        sums[2] + dot(a[2], ones),
        sums[3] + dot(a[3], ones),
        sums[4] + dot(a[4], ones),
        sums[5] + dot(a[5], ones),
        sums[6] + dot(a[6], ones),
        sums[7] + dot(a[7], ones),
    );
}

fn add_tile(tile: ptr<function, Tile>, part: Tile) {
    (*tile)[0] += part[0];
    (*tile)[1] += part[1];
    (*tile)[2] += part[2];
    (*tile)[3] += part[3];
    (*tile)[4] += part[4];
    (*tile)[5] += part[5];
    (*tile)[6] += part[6];
    (*tile)[7] += part[7];
    (*tile)[8] += part[8];
    (*tile)[9] += part[9];
    (*tile)[10] += part[10];
    (*tile)[11] += part[11];
    (*tile)[12] += part[12];
    (*tile)[13] += part[13];
    (*tile)[14] += part[14];
    (*tile)[15] += part[15];
}
