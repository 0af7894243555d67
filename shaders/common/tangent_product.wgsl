// The two products of a tangent pass in one accumulator: W·(tangent activations) + V·(activations). Follows product.wgsl.
//
// vector [b, block_stride] the directions V; tangent_incoming [b, tangent_depth, samples]; first [rows, samples] = φ'.

@group(0) @binding(3) var<storage, read> vector: array<f32>;
@group(0) @binding(4) var<storage, read> tangent_incoming: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> first: array<vec4<f32>>;

fn vector_of_four_rows(at: Position, r: u32, k: u32) -> vec4<f32> {
    let base = at.direction * p.block_stride;
    return vec4<f32>(
        vector[base + weight_index(at, r, k)],
        vector[base + weight_index(at, r + 1u, k)],
        vector[base + weight_index(at, r + 2u, k)],
        vector[base + weight_index(at, r + 3u, k)],
    );
}

fn vector_of_rows(at: Position, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        vector_of_four_rows(at, 0u, k),
        vector_of_four_rows(at, 4u, k),
        vector_of_four_rows(at, 8u, k),
        vector_of_four_rows(at, 12u, k),
    );
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    for (var k = 0u; k < p.tangent_depth; k += 1u) {
        let row = (at.direction * p.tangent_depth + k) * p.samples4;
        let z = array(tangent_incoming[row + at.sample.x], tangent_incoming[row + at.sample.y]);
        add_outer_product(tile, weights_of_rows(at, k), z);
    }
    for (var k = 0u; k < p.depth; k += 1u) {
        let row = k * p.samples4;
        add_outer_product(tile, vector_of_rows(at, k), array(incoming[row + at.sample.x], incoming[row + at.sample.y]));
    }
}
