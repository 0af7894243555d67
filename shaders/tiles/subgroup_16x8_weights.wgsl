// The operands of a weight product, four samples at a time, each lane its share of the rows and its own columns. Follows subgroup_16x8.wgsl
// and positions.wgsl.

// Where the thread's two blocks of four columns begin; past the end the last one repeats.
struct Blocks {
    a: vec4<u32>,
    b: vec4<u32>,
}

fn blocks(at: Position, offset4: u32) -> Blocks {
    return Blocks(block(at.column4, offset4), block(at.column4 + LANES, offset4));
}

// Four samples of four columns each, a column of the matrix for each sample.
alias Four = array<mat4x4<f32>, 2>;

fn four_of_input(at: Blocks, s: u32) -> Four {
    return Four(
        transpose(mat4x4<f32>(input[at.a.x + s], input[at.a.y + s], input[at.a.z + s], input[at.a.w + s])),
        transpose(mat4x4<f32>(input[at.b.x + s], input[at.b.y + s], input[at.b.z + s], input[at.b.w + s])),
    );
}

fn four_of_tangent_input(at: Blocks, s: u32) -> Four {
    return Four(
        transpose(mat4x4<f32>(tangent_input[at.a.x + s], tangent_input[at.a.y + s], tangent_input[at.a.z + s], tangent_input[at.a.w + s])),
        transpose(mat4x4<f32>(tangent_input[at.b.x + s], tangent_input[at.b.y + s], tangent_input[at.b.z + s], tangent_input[at.b.w + s])),
    );
}

// Four samples of the lane's rows.
alias Shares = array<vec4<f32>, 2>;

fn shares_of_tangent_delta(at: Addresses, s: u32) -> Shares {
    return Shares(tangent_delta[at.x + s], tangent_delta[at.y + s]);
}

fn shares_of_delta(at: Addresses, s: u32) -> Shares {
    return Shares(delta[at.x + s], delta[at.y + s]);
}

fn plus(a: Shares, b: Shares) -> Shares {
    return Shares(a[0] + b[0], a[1] + b[1]);
}

// What the lane's rows sum up to.
fn add_totals(sums: Numbers, a: Shares) -> Numbers {
    return sums + Numbers(dot(a[0], vec4<f32>(1.0)), dot(a[1], vec4<f32>(1.0)));
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
}

// tile += left rightᵀ over four samples.
fn add_four(tile: ptr<function, Tile>, left: Shares, right: Four) {
    (*tile)[0] = add_low((*tile)[0], left[0], right[0]);
    (*tile)[1] = add_low((*tile)[1], left[0], right[1]);
    (*tile)[2] = add_high((*tile)[2], left[0], right[0]);
    (*tile)[3] = add_high((*tile)[3], left[0], right[1]);
    (*tile)[4] = add_low((*tile)[4], left[1], right[0]);
    (*tile)[5] = add_low((*tile)[5], left[1], right[1]);
    (*tile)[6] = add_high((*tile)[6], left[1], right[0]);
    (*tile)[7] = add_high((*tile)[7], left[1], right[1]);
}
