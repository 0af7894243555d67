// R a = W Rz + V z + v, then Rz' = φ' ⊙ Ra and Rs = (g ⊙ φ'') ⊙ Ra: one layer of the tangent forward pass (Pearlmutter 1994).
// Follows product.wgsl, tangent_product.wgsl.
//
// incoming = z, tangent_incoming = Rz; bend [rows, samples] = g ⊙ φ''; tangent, curved [b, rows, samples] = Rz' and Rs.
// Entry points: `forward_over`; `forward_over_linear` has no bend and writes no Rs (piecewise linear activations).
// Override: LANES. Grid: see product.wgsl.

@group(0) @binding(6) var<storage, read> bend: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> tangent: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> curved: array<vec4<f32>>;

// The direction's bias in the row of element i of the tile.
fn bias(at: Position, i: u32) -> f32 {
    if p.bias_offset == NONE {
        return 0.0;
    }
    return vector[at.direction * p.block_stride + p.bias_offset + at.row + i / 2u];
}

@compute @workgroup_size(LANES)
fn forward_over(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = at.direction * p.rows * p.samples4;
    for (var i = 0u; i < 32u; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            let ra = sums[i] + bias(at, i);
            tangent[base + e] = first[e] * ra;
            curved[base + e] = bend[e] * ra;
        }
    }
}

@compute @workgroup_size(LANES)
fn forward_over_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = at.direction * p.rows * p.samples4;
    for (var i = 0u; i < 32u; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            tangent[base + e] = first[e] * (sums[i] + bias(at, i));
        }
    }
}
