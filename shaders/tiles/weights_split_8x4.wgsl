// A tile of 8 rows x 4 columns a workgroup, whose threads share the samples: for weights too small to fill a device otherwise. All are
// added up at the end in a fixed tree. Neighbouring lanes read side by side. Follows weights.wgsl; LANES is a power of two, at most 64.

const ELEMENTS: u32 = 8u;

alias Tile = array<mat4x4<f32>, 2>;

var<workgroup> partial: array<Tile, 64>;

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    return Position(workgroup.y * 8u, workgroup.x, workgroup.z, lane);
}

// The first thread has the sums.
fn row_of(at: Position, i: u32) -> u32 {
    return select(NONE, at.row + i, at.lane == 0u);
}

fn column4_of(at: Position, i: u32) -> u32 {
    return at.column4;
}

// Where four neighbouring rows of an array begin, without the array's offset; past the end the last one repeats. The same for all lanes: what
// a lane adds to it holds the offset too, so that an address costs one instruction.
fn four(first: u32, count: u32) -> vec4<u32> {
    return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u)) * p.stride4;
}

// tile += left rightᵀ over four samples, of which the matrices have a row each: low and high four rows of the left.
fn add_products(tile: ptr<function, Tile>, low: mat4x4<f32>, high: mat4x4<f32>, right: mat4x4<f32>) {
    let a = transpose(low);
    let b = transpose(high);
    let z = transpose(right);
    (*tile)[0] = add_outer(add_outer(add_outer(add_outer((*tile)[0], a[0], z[0]), a[1], z[1]), a[2], z[2]), a[3], z[3]);
    (*tile)[1] = add_outer(add_outer(add_outer(add_outer((*tile)[1], b[0], z[0]), b[1], z[1]), b[2], z[2]), b[3], z[3]);
}

// The sums over all threads.
fn total(tile: Tile, at: Position) -> Tile {
    partial[at.lane] = tile;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if at.lane < half {
            partial[at.lane][0] += partial[at.lane + half][0];
            partial[at.lane][1] += partial[at.lane + half][1];
        }
        workgroupBarrier();
    }
    return partial[0];
}

// Where the lane's share of the samples ends that begins at `first`: so many steps of LANES further on. An end that the loop counts up to
// in the address itself, which may wrap around, saves it a counter.
fn end_of(first: u32, lane: u32) -> u32 {
    return first + (max(p.samples4, lane) - lane + LANES - 1u) / LANES * LANES;
}

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let low = four(at.row, p.rows);
    let high = four(at.row + 4u, p.rows);
    let columns = four(4u * at.column4, p.columns);
    let first = at.lane + (p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let end = end_of(first, at.lane);
    var r = at.lane + p.input_offset4;
    for (var l = first; l != end; l += LANES) {
        add_products(
            tile,
            mat4x4<f32>(tangent_delta[low.x + l], tangent_delta[low.y + l], tangent_delta[low.z + l], tangent_delta[low.w + l]),
            mat4x4<f32>(tangent_delta[high.x + l], tangent_delta[high.y + l], tangent_delta[high.z + l], tangent_delta[high.w + l]),
            mat4x4<f32>(input[columns.x + r], input[columns.y + r], input[columns.z + r], input[columns.w + r]),
        );
        r += LANES;
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let low = four(at.row, p.rows);
    let high = four(at.row + 4u, p.rows);
    let columns = four(4u * at.column4, p.columns);
    let first = at.lane + p.delta_offset4;
    let end = end_of(first, at.lane);
    var r = at.lane + (p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var l = first; l != end; l += LANES) {
        add_products(
            tile,
            mat4x4<f32>(delta[low.x + l], delta[low.y + l], delta[low.z + l], delta[low.w + l]),
            mat4x4<f32>(delta[high.x + l], delta[high.y + l], delta[high.z + l], delta[high.w + l]),
            mat4x4<f32>(tangent_input[columns.x + r], tangent_input[columns.y + r], tangent_input[columns.z + r], tangent_input[columns.w + r]),
        );
        r += LANES;
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let low = four(at.row, p.rows);
    let high = four(at.row + 4u, p.rows);
    let columns = four(4u * at.column4, p.columns);
    let first = at.lane + p.delta_offset4;
    let end = end_of(first, at.lane);
    var r = at.lane + p.input_offset4;
    for (var l = first; l != end; l += LANES) {
        add_products(
            tile,
            mat4x4<f32>(delta[low.x + l], delta[low.y + l], delta[low.z + l], delta[low.w + l]),
            mat4x4<f32>(delta[high.x + l], delta[high.y + l], delta[high.z + l], delta[high.w + l]),
            mat4x4<f32>(input[columns.x + r], input[columns.y + r], input[columns.z + r], input[columns.w + r]),
        );
        r += LANES;
    }
}

fn store_biases(at: Position) {}
