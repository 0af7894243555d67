// The two products of a tangent pass in one accumulator: W·(tangent activations) + V·(activations). Follows product.wgsl.
//
// vector [b, vector_stride] the directions V; tangent_incoming [b, depth, samples]; first [rows, samples] = φ'.

@group(0) @binding(3) var<storage, read> vector: array<f32>;
@group(0) @binding(4) var<storage, read> tangent_incoming: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> first: array<vec4<f32>>;

fn four_of_vector(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(vector[at.x], vector[at.y], vector[at.z], vector[at.w]);
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let step = p.depth_stride;
    let width = p.stride4;
    var rows = rows_from(at.row, p.weight_offset);
    var sample = at.sample + p.tangent_offset4 + at.direction * p.tangent_stride4;
    for (var k = 0u; k < tangent_depth; k += 1u) {
        let w = mat4x4<f32>(four_weights(rows.a), four_weights(rows.b), four_weights(rows.c), four_weights(rows.d));
        add_outer_product(tile, w, array(tangent_incoming[sample.x], tangent_incoming[sample.y]));
        rows = Rows(rows.a + step, rows.b + step, rows.c + step, rows.d + step);
        sample += width;
    }
    rows = rows_from(at.row, p.vector_offset + at.direction * p.vector_stride);
    sample = at.sample + p.incoming_offset4;
    for (var k = 0u; k < depth; k += 1u) {
        let v = mat4x4<f32>(four_of_vector(rows.a), four_of_vector(rows.b), four_of_vector(rows.c), four_of_vector(rows.d));
        add_outer_product(tile, v, array(incoming[sample.x], incoming[sample.y]));
        rows = Rows(rows.a + step, rows.b + step, rows.c + step, rows.d + step);
        sample += width;
    }
}
