// A tile of 4 rows x 4 columns a thread from the workgroup's shared memory. Follows product.wgsl or weights.wgsl in common/, and is
// followed by common/shared.wgsl.

const QUADS: u32 = 1u;       // blocks of rows
const VEC4: u32 = 1u;        // blocks of columns
const ELEMENTS: u32 = 4u;

alias Tile = array<mat4x4<f32>, 1>;

fn add_term(tile: ptr<function, Tile>, a: vec4<f32>, u: vec4<f32>) {
    (*tile)[0] = add_outer((*tile)[0], a, u);
}

// tile += the terms that the shared memory holds.
fn add_terms(tile: ptr<function, Tile>, x: u32, y: u32) {
    for (var q = 0u; q < DEPTH / 4u; q += 1u) {
        add_term(tile, left[y].terms[q][0], right[x].terms[q][0]);
        add_term(tile, left[y].terms[q][1], right[x].terms[q][1]);
        add_term(tile, left[y].terms[q][2], right[x].terms[q][2]);
        add_term(tile, left[y].terms[q][3], right[x].terms[q][3]);
    }
}
