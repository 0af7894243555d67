// What all tiles have in common. A tile is the part of a product's result that a thread makes: blocks of 4 rows x 4 columns, ELEMENTS
// rows of 4 columns in all, element i being tile[i / 4][i % 4]. position() says where it begins, row_of() and column4_of() where element
// i is; elements past the end of the result are made from repeated rows and columns, and must not be stored.

override LANES: u32 = 64u;    // threads of a workgroup

const NONE: u32 = 0xffffffffu;

struct Position {
    row: u32,
    column4: u32,             // first column / 4
    direction: u32,
    lane: u32,
}

// sum + w zᵀ: four rows by four columns.
fn add_outer(sum: mat4x4<f32>, w: vec4<f32>, z: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(w.x), z, sum[0]),
        fma(vec4<f32>(w.y), z, sum[1]),
        fma(vec4<f32>(w.z), z, sum[2]),
        fma(vec4<f32>(w.w), z, sum[3]),
    );
}
