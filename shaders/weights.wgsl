// The weight products. Follows tile.wgsl, weights.wgsl in common/ and a tile.
//
// Entry points: `weights` = Rδ zᵀ + δ Rzᵀ + λV, without the second term where there is no Rz (the first layer), and the biases' sums of Rδ
// where the tile makes them; `gradient` = δ zᵀ + λθ.
// Overrides: LANES and those of the tile. Grid: (ceil(columns / columns of a workgroup), ceil(rows / rows of a workgroup), b).

fn store(tile: Tile, at: Position) {
    var sums = tile;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let row = row_of(at, i);
        let column = 4u * column4_of(at, i);
        if row < p.rows {
            for (var c = 0u; c < 4u && column + c < p.columns; c += 1u) {
                store_number(sums[i / 4u][i % 4u][c], at.direction * p.block_stride + row * p.row_stride + column + c);
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn weights(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_tangent_delta_input(&tile, at);
    if p.second == 1u {
        add_delta_tangent_input(&tile, at);
    }
    store(total(tile, at), at);
    store_biases(at);
}

@compute @workgroup_size(LANES)
fn gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_delta_input(&tile, at);
    store(total(tile, at), at);
}
