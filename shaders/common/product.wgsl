// One pass through a layer, (weights) x (activations): parameters and operands. What follows it is a tile, which makes the sums of a
// part of the result, and then the pass, which finishes them.
//
// weights [n] all parameters; incoming [depth, samples]; in the tangent passes vector [b, vector_stride] the directions V, and
// tangent_incoming [b, depth, samples]: the sum is W·tangent_incoming + V·incoming in one accumulator.
//
// The weight of row m and depth k is at weight_offset + m·row_stride + k·depth_stride: so W and Wᵀ are one code.
// Activations are [width, samples] row by row, samples padded to a multiple of 4; those of b directions are [b, width, samples].
//
// A dispatch makes a window of the result from a window of the sum: `rows` rows and 4·samples4 samples, from `depth` (and
// `tangent_depth`) terms. Every operand has an offset that says where its window begins in what is bound; offsets may wrap around
// 2³², so that a window may begin before what is bound. Where the sum comes in pieces, all but the first `accumulate` onto the
// result that the last one left, and only the last one does `finish`: adds the bias and applies what belongs to the layer. A piece
// without terms is allowed: it only finishes, with the bias in what is bound.
//
// Weights are read one by one or four by four, as numbers.wgsl and fours.wgsl say: one of them comes next, with weight() and
// direction_number(). Columns of the result are samples. A tile gives add_product() = W·incoming and add_both_products().
// Follows tile.wgsl. Grid: (ceil(4·samples4 / samples of a workgroup), ceil(rows / rows of a workgroup), directions).

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
@group(0) @binding(1) var<storage, read> weights: array<Stored>;
@group(0) @binding(2) var<storage, read> incoming: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> vector: array<Stored>;
@group(0) @binding(4) var<storage, read> tangent_incoming: array<vec4<f32>>;

// Where element i of the tile is in an array [rows, samples] whose window begins at 0, or NONE where it is outside.
fn element(at: Position, i: u32) -> u32 {
    let row = row_of(at, i);
    let sample4 = column4_of(at, i);
    if row >= p.rows || sample4 >= p.samples4 {
        return NONE;
    }
    return row * p.stride4 + sample4;
}
