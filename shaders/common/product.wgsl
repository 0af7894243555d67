// One register tile of a product (weights) x (activations): a workgroup makes ROWS rows of 8·LANES samples, a thread 16 x 8
// numbers, with no shared memory and no barrier.
//
// The weight of row m and depth k is at weight_offset + m·row_stride + k·depth_stride: so W and Wᵀ are one code. Its address is the
// same for all lanes, and so costs one scalar load a wave; activations are read as vec4, neighbouring lanes side by side.
// Activations are [width, samples] row by row, samples padded to a multiple of 4; those of b directions are [b, width, samples].
// Rows and samples past the end repeat the last one in the loops and are not stored.
//
// A dispatch makes a window of the result from a window of the sum: `rows` rows and 4·samples4 samples, from `depth` (and
// `tangent_depth`) terms. Every operand has an offset that says where its window begins in what is bound; offsets may wrap around
// 2³², so that a window may begin before what is bound. Where the sum comes in pieces, all but the first `accumulate` onto the
// result that the last one left, and only the last one does `finish`: adds the bias and applies what belongs to the layer. A piece
// without terms is allowed: it only finishes, with the bias in what is bound.
//
// Dispatched over (ceil(samples4 / (2·LANES)), ceil(rows / ROWS), directions).

override LANES: u32 = 64u;

const ROWS: u32 = 16u;
const NONE: u32 = 0xffffffffu;

// Rows by samples: element 2r + c is row r and the thread's c-th vec4. A tile is indexed with constants only; what follows the loops
// works on a copy, which may be indexed with a variable without moving the tile itself out of the registers.
alias Tile = array<vec4<f32>, 32>;

struct Product {
    rows: u32,                // rows made here
    samples4: u32,            // samples made here / 4
    stride4: u32,             // from one row of activations to the next, / 4
    depth: u32,               // length of the sum over `incoming`
    tangent_depth: u32,       // length of the sum over `tangent_incoming`: 0 where they vanish
    row_stride: u32,          // from one row of the weight to the next
    depth_stride: u32,        // from one term of the sum to the next
    weight_offset: u32,       // of the first row and term in `weights`
    vector_offset: u32,       // and in the first direction of `vector`
    vector_stride: u32,       // from one direction's vector to the next
    bias_offset: u32,         // of the first row's bias in `weights` or `vector`, or NONE
    incoming_offset4: u32,    // of the first term and sample in `incoming`
    tangent_offset4: u32,     // and in the first direction of `tangent_incoming`
    tangent_stride4: u32,     // from one direction of `tangent_incoming` to the next
    point_offset4: u32,       // of the first row and sample in arrays [rows, samples] at the point θ
    result_offset4: u32,      // and in the first direction of arrays [b, rows, samples]
    result_stride4: u32,      // from one direction of those to the next
    accumulate: u32,          // 1: start from the result
    finish: u32,              // 1: add the bias and apply what belongs to the layer
}

@group(0) @binding(0) var<uniform> p: Product;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> incoming: array<vec4<f32>>;

struct Position {
    row: u32,             // first row of the tile
    sample: vec2<u32>,    // the thread's two vec4 of samples
    valid: vec2<bool>,
    direction: u32,
}

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    let first = workgroup.x * LANES * 2u + lane;
    let sample = vec2<u32>(first, first + LANES);
    return Position(workgroup.y * ROWS, min(sample, vec2<u32>(p.samples4 - 1u)), sample < vec2<u32>(p.samples4), workgroup.z);
}

// Where element i of the tile is in an array [rows, samples] whose window begins at 0, or NONE where it is outside.
fn element(at: Position, i: u32) -> u32 {
    let row = at.row + i / 2u;
    if row >= p.rows || !at.valid[i % 2u] {
        return NONE;
    }
    return row * p.stride4 + at.sample[i % 2u];
}

// Where the weights of the tile's 16 rows begin in a vector of all parameters. Made once: what a loop needs of the uniforms and of
// the rows is kept in registers, since drivers reload and recompute it in every round otherwise.
struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn rows_from(first: u32, base: u32) -> Rows {
    let last = vec4<u32>(p.rows - 1u);
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return Rows(
        min(row, last) * p.row_stride + base,
        min(row + 4u, last) * p.row_stride + base,
        min(row + 8u, last) * p.row_stride + base,
        min(row + 12u, last) * p.row_stride + base,
    );
}

fn four_weights(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(weights[at.x], weights[at.y], weights[at.z], weights[at.w]);
}

// tile += w zᵀ for 16 weights and two vec4 of samples. Written out, since drivers keep an array in registers only where every index
// is a constant, and do not unroll loops of this size (Mesa: 2 GFLOP/s as a loop, 20 written out).
fn add_outer_product(tile: ptr<function, Tile>, w: mat4x4<f32>, z: array<vec4<f32>, 2>) {
    (*tile)[0] = fma(vec4<f32>(w[0].x), z[0], (*tile)[0]);
    (*tile)[1] = fma(vec4<f32>(w[0].x), z[1], (*tile)[1]);
    (*tile)[2] = fma(vec4<f32>(w[0].y), z[0], (*tile)[2]);
    (*tile)[3] = fma(vec4<f32>(w[0].y), z[1], (*tile)[3]);
    (*tile)[4] = fma(vec4<f32>(w[0].z), z[0], (*tile)[4]);
    (*tile)[5] = fma(vec4<f32>(w[0].z), z[1], (*tile)[5]);
    (*tile)[6] = fma(vec4<f32>(w[0].w), z[0], (*tile)[6]);
    (*tile)[7] = fma(vec4<f32>(w[0].w), z[1], (*tile)[7]);
    (*tile)[8] = fma(vec4<f32>(w[1].x), z[0], (*tile)[8]);
    (*tile)[9] = fma(vec4<f32>(w[1].x), z[1], (*tile)[9]);
    (*tile)[10] = fma(vec4<f32>(w[1].y), z[0], (*tile)[10]);
    (*tile)[11] = fma(vec4<f32>(w[1].y), z[1], (*tile)[11]);
    (*tile)[12] = fma(vec4<f32>(w[1].z), z[0], (*tile)[12]);
    (*tile)[13] = fma(vec4<f32>(w[1].z), z[1], (*tile)[13]);
    (*tile)[14] = fma(vec4<f32>(w[1].w), z[0], (*tile)[14]);
    (*tile)[15] = fma(vec4<f32>(w[1].w), z[1], (*tile)[15]);
    (*tile)[16] = fma(vec4<f32>(w[2].x), z[0], (*tile)[16]);
    (*tile)[17] = fma(vec4<f32>(w[2].x), z[1], (*tile)[17]);
    (*tile)[18] = fma(vec4<f32>(w[2].y), z[0], (*tile)[18]);
    (*tile)[19] = fma(vec4<f32>(w[2].y), z[1], (*tile)[19]);
    (*tile)[20] = fma(vec4<f32>(w[2].z), z[0], (*tile)[20]);
    (*tile)[21] = fma(vec4<f32>(w[2].z), z[1], (*tile)[21]);
    (*tile)[22] = fma(vec4<f32>(w[2].w), z[0], (*tile)[22]);
    (*tile)[23] = fma(vec4<f32>(w[2].w), z[1], (*tile)[23]);
    (*tile)[24] = fma(vec4<f32>(w[3].x), z[0], (*tile)[24]);
    (*tile)[25] = fma(vec4<f32>(w[3].x), z[1], (*tile)[25]);
    (*tile)[26] = fma(vec4<f32>(w[3].y), z[0], (*tile)[26]);
    (*tile)[27] = fma(vec4<f32>(w[3].y), z[1], (*tile)[27]);
    (*tile)[28] = fma(vec4<f32>(w[3].z), z[0], (*tile)[28]);
    (*tile)[29] = fma(vec4<f32>(w[3].z), z[1], (*tile)[29]);
    (*tile)[30] = fma(vec4<f32>(w[3].w), z[0], (*tile)[30]);
    (*tile)[31] = fma(vec4<f32>(w[3].w), z[1], (*tile)[31]);
}

fn add_weights_incoming(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset);
    var sample = at.sample + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        let w = mat4x4<f32>(four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d));
        add_outer_product(tile, w, array(incoming[sample.x], incoming[sample.y]));
        rows = Rows(rows.a + step, rows.b + step, rows.c + step, rows.d + step);
        sample += width;
    }
}
