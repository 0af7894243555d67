// g = Wᵀ δ', then δ = g ⊙ φ' and g ⊙ φ'': one layer of the backward pass at the point θ. Follows product.wgsl and a tile.
//
// The rows are the layer's own units, the depth the next layer's, whose weight is read transposed through the strides.
// incoming [depth, samples] = δ'; first, bend [rows, samples] = φ' and φ'', the latter replaced by g ⊙ φ''; delta [rows, samples].
// `delta` holds the sum while it comes in pieces.
// Entry points: `backward`; `backward_linear` has no bend (piecewise linear activations). Override: LANES. Grid: see product.wgsl.

@group(0) @binding(5) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> bend: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> delta: array<vec4<f32>>;

fn sum_so_far(sum: vec4<f32>, e: u32) -> vec4<f32> {
    if p.accumulate == 0u {
        return sum;
    }
    return delta[e] + sum;
}

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_product(&tile, at);
    var sums = tile;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let inside = element(at, i);
        if inside != NONE {
            let e = p.point_offset4 + inside;
            let g = sum_so_far(sums[i / 4u][i % 4u], e);
            if p.finish == 0u {
                delta[e] = g;
                continue;
            }
            delta[e] = g * first[e];
            bend[e] *= g;
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_product(&tile, at);
    var sums = tile;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let inside = element(at, i);
        if inside != NONE {
            let e = p.point_offset4 + inside;
            let g = sum_so_far(sums[i / 4u][i % 4u], e);
            if p.finish == 0u {
                delta[e] = g;
                continue;
            }
            delta[e] = g * first[e];
        }
    }
}
