// Rδ = (Wᵀ Rδ' + Vᵀ δ') ⊙ φ' + Rs: one layer of the tangent backward pass. Follows product.wgsl and a tile.
//
// incoming = δ', tangent_incoming = Rδ', the next layer's weight being read transposed through the strides;
// curved [b, rows, samples] = Rs, replaced by Rδ.
// Where the sum comes in pieces, each adds its share: there is nothing to finish.
// Entry points: `backward_over`; `backward_over_linear` adds no Rs (piecewise linear activations). Override: LANES. Grid: see
// product.wgsl.

@group(0) @binding(5) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> curved: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn backward_over(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = p.result_offset4 + at.direction * p.result_stride4;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            curved[base + e] = fma(sums[i / 4u][i % 4u], first[p.point_offset4 + e], curved[base + e]);
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_over_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = p.result_offset4 + at.direction * p.result_stride4;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            var share = sums[i / 4u][i % 4u] * first[p.point_offset4 + e];
            if p.accumulate == 1u {
                share += curved[base + e];
            }
            curved[base + e] = share;
        }
    }
}
