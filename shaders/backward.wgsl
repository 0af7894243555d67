// g = Wᵀ δ', then δ = g ⊙ φ' and g ⊙ φ'': one layer of the backward pass at the point θ. Follows product.wgsl.
//
// The rows are the layer's own units, the depth the next layer's, whose weight is read transposed through the strides.
// incoming [depth, samples] = δ'; first, bend [rows, samples] = φ' and φ'', the latter replaced by g ⊙ φ''; delta [rows, samples].
// Entry points: `backward`; `backward_linear` has no bend (piecewise linear activations). Override: LANES. Grid: see product.wgsl.

@group(0) @binding(3) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> bend: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> delta: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_weights_incoming(&tile, at);
    var sums = tile;
    for (var i = 0u; i < 32u; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            delta[e] = sums[i] * first[e];
            bend[e] *= sums[i];
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_weights_incoming(&tile, at);
    var sums = tile;
    for (var i = 0u; i < 32u; i += 1u) {
        let e = element(at, i);
        if e != NONE {
            delta[e] = sums[i] * first[e];
        }
    }
}
