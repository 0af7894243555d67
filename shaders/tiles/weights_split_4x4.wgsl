// A tile of 4 rows x 4 columns a workgroup, whose threads share the samples: for weights too small to fill a device otherwise. A thread
// keeps four sums a number, one for each sample of a vec4; all are added up at the end in a fixed tree. Neighbouring lanes read side by
// side. Follows weights.wgsl; LANES is a power of two, at most 64.

const ELEMENTS: u32 = 4u;

// Row r: the products with the four columns as the columns of a matrix; in the end one matrix, a row each.
alias Tile = array<mat4x4<f32>, 4>;

var<workgroup> partial: array<array<vec4<f32>, 4>, 64>;

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    return Position(workgroup.y * 4u, workgroup.x, workgroup.z, lane);
}

// The first thread has the sums.
fn row_of(at: Position, i: u32) -> u32 {
    return select(NONE, at.row + i, at.lane == 0u);
}

fn column4_of(at: Position, i: u32) -> u32 {
    return at.column4;
}

// Where four neighbouring rows of an array begin; past the end the last one repeats.
fn four(first: u32, count: u32, offset4: u32) -> vec4<u32> {
    return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u)) * p.stride4 + offset4;
}

fn add_row(sum: mat4x4<f32>, left: vec4<f32>, right: array<vec4<f32>, 4>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(left, right[0], sum[0]),
        fma(left, right[1], sum[1]),
        fma(left, right[2], sum[2]),
        fma(left, right[3], sum[3]),
    );
}

fn add_products(tile: ptr<function, Tile>, left: array<vec4<f32>, 4>, right: array<vec4<f32>, 4>) {
    (*tile)[0] = add_row((*tile)[0], left[0], right);
    (*tile)[1] = add_row((*tile)[1], left[1], right);
    (*tile)[2] = add_row((*tile)[2], left[2], right);
    (*tile)[3] = add_row((*tile)[3], left[3], right);
}

// The sums over all threads.
fn total(tile: Tile, at: Position) -> Tile {
    let ones = vec4<f32>(1.0);
    partial[at.lane] = array(ones * tile[0], ones * tile[1], ones * tile[2], ones * tile[3]);
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if at.lane < half {
            for (var r = 0u; r < 4u; r += 1u) {
                partial[at.lane][r] += partial[at.lane + half][r];
            }
        }
        workgroupBarrier();
    }
    let sums = partial[0];
    return Tile(mat4x4<f32>(sums[0], sums[1], sums[2], sums[3]), mat4x4<f32>(), mat4x4<f32>(), mat4x4<f32>());
}

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = four(at.row, p.rows, p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4);
    let columns = four(4u * at.column4, p.columns, p.input_offset4);
    for (var s = at.lane; s < count; s += LANES) {
        let left = array(tangent_delta[rows.x + s], tangent_delta[rows.y + s], tangent_delta[rows.z + s], tangent_delta[rows.w + s]);
        let right = array(input[columns.x + s], input[columns.y + s], input[columns.z + s], input[columns.w + s]);
        add_products(tile, left, right);
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = four(at.row, p.rows, p.delta_offset4);
    let columns = four(4u * at.column4, p.columns, p.tangent_input_offset4 + at.direction * p.tangent_input_stride4);
    for (var s = at.lane; s < count; s += LANES) {
        let left = array(delta[rows.x + s], delta[rows.y + s], delta[rows.z + s], delta[rows.w + s]);
        let right = array(tangent_input[columns.x + s], tangent_input[columns.y + s], tangent_input[columns.z + s], tangent_input[columns.w + s]);
        add_products(tile, left, right);
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let count = p.samples4;
    let rows = four(at.row, p.rows, p.delta_offset4);
    let columns = four(4u * at.column4, p.columns, p.input_offset4);
    for (var s = at.lane; s < count; s += LANES) {
        let left = array(delta[rows.x + s], delta[rows.y + s], delta[rows.z + s], delta[rows.w + s]);
        let right = array(input[columns.x + s], input[columns.y + s], input[columns.z + s], input[columns.w + s]);
        add_products(tile, left, right);
    }
}
