// The operands of a weight product, four samples at a time, each lane its share of the rows and its own columns. Follows subgroup_32x4.wgsl
// and positions.wgsl.

// Where the thread's four columns begin; past the end the last one repeats.
alias Blocks = vec4<u32>;

fn blocks(at: Position, offset4: u32) -> Blocks {
    return block(at.column4, offset4);
}

// Four samples of four columns, a column of the matrix for each sample.
alias Four = mat4x4<f32>;

fn four_of_input(at: Blocks, s: u32) -> Four {
    return transpose(mat4x4<f32>(input[at.x + s], input[at.y + s], input[at.z + s], input[at.w + s]));
}

fn four_of_tangent_input(at: Blocks, s: u32) -> Four {
    return transpose(mat4x4<f32>(tangent_input[at.x + s], tangent_input[at.y + s], tangent_input[at.z + s], tangent_input[at.w + s]));
}

// Four samples of the lane's rows.
alias Shares = array<vec4<f32>, 4>;

fn shares_of_tangent_delta(at: Addresses, s: u32) -> Shares {
    return Shares(tangent_delta[at.x + s], tangent_delta[at.y + s], tangent_delta[at.z + s], tangent_delta[at.w + s]);
}

fn shares_of_delta(at: Addresses, s: u32) -> Shares {
    return Shares(delta[at.x + s], delta[at.y + s], delta[at.z + s], delta[at.w + s]);
}

fn plus(a: Shares, b: Shares) -> Shares {
    return Shares(a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]);
}

// What the lane's rows sum up to.
fn totals(a: Shares) -> Numbers {
    let ones = vec4<f32>(1.0);
    return Numbers(dot(a[0], ones), dot(a[1], ones), dot(a[2], ones), dot(a[3], ones));
}

// tile += left rightᵀ over four samples.
fn add_four(tile: ptr<function, Tile>, left: Shares, right: Four) {
    add(tile, Numbers(left[0].x, left[1].x, left[2].x, left[3].x), Columns(right[0]));
    add(tile, Numbers(left[0].y, left[1].y, left[2].y, left[3].y), Columns(right[1]));
    add(tile, Numbers(left[0].z, left[1].z, left[2].z, left[3].z), Columns(right[2]));
    add(tile, Numbers(left[0].w, left[1].w, left[2].w, left[3].w), Columns(right[3]));
}
