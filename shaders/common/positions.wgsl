// Where a thread's results lie in the tiles that read straight from memory. Follows a tile with its ROWS and VEC4: a workgroup makes ROWS
// rows of 4·VEC4·LANES columns.
//
// In those tiles everything is written out, with constant indices: drivers keep an array in registers only then, and do not unroll loops
// of this size (Mesa: 2 GFLOP/s as a loop, 20 written out). What a loop needs of the uniforms is kept in registers too, since drivers
// reload it in every round otherwise.

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    return Position(workgroup.y * ROWS, workgroup.x * LANES * VEC4 + lane, workgroup.z, lane);
}

fn row_of(at: Position, i: u32) -> u32 {
    return at.row + i / (4u * VEC4) * 4u + i % 4u;
}

fn column4_of(at: Position, i: u32) -> u32 {
    return at.column4 + i / 4u % VEC4 * LANES;
}
