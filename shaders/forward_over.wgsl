// R a = W Rz + V z + v, then Rz' = φ' ⊙ Ra and Rs = (g ⊙ φ'') ⊙ Ra: one layer of the tangent forward pass (Pearlmutter 1994).
// Follows product.wgsl and a tile.
//
// incoming = z, tangent_incoming = Rz; bend [rows, samples] = g ⊙ φ''; tangent, curved [b, rows, samples] = Rz' and Rs.
// `tangent` holds the sum while it comes in pieces.
// Entry points: `forward_over`; `forward_over_linear` has no bend and writes no Rs (piecewise linear activations).
// Override: LANES. Grid: see product.wgsl.

@group(0) @binding(5) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> bend: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> tangent: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> curved: array<vec4<f32>>;

// The direction's bias in the row of element i of the tile.
fn bias(at: Position, i: u32) -> f32 {
    if p.bias_offset == NONE {
        return 0.0;
    }
    return direction_number(p.bias_offset + at.direction * p.vector_stride + row_of(at, i));
}

fn sum_so_far(sum: vec4<f32>, e: u32) -> vec4<f32> {
    if p.accumulate == 0u {
        return sum;
    }
    return tangent[e] + sum;
}

@compute @workgroup_size(LANES)
fn forward_over(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = p.result_offset4 + at.direction * p.result_stride4;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            let sum = sum_so_far(sums[i / 4u][i % 4u], base + e);
            if p.finish == 0u {
                tangent[base + e] = sum;
                continue;
            }
            let ra = sum + bias(at, i);
            tangent[base + e] = first[p.point_offset4 + e] * ra;
            curved[base + e] = bend[p.point_offset4 + e] * ra;
        }
    }
}

@compute @workgroup_size(LANES)
fn forward_over_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_both_products(&tile, at);
    var sums = tile;
    let base = p.result_offset4 + at.direction * p.result_stride4;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            let sum = sum_so_far(sums[i / 4u][i % 4u], base + e);
            if p.finish == 0u {
                tangent[base + e] = sum;
                continue;
            }
            tangent[base + e] = first[p.point_offset4 + e] * (sum + bias(at, i));
        }
    }
}
