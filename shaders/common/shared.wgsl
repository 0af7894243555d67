// Blocks of both operands in the workgroup's shared memory: LANES_X threads share the columns, LANES_Y the rows. A thread's blocks of four
// rows are LANES_Y blocks apart, those of four columns LANES_X. Follows a tile of shared memory, and is followed by what fills it.
//
// The gap between blocks keeps the threads of a wave on different banks of the memory.

override LANES_X: u32 = 16u;
override LANES_Y: u32 = 16u;

override LEFT: u32 = LANES_Y * QUADS;      // blocks of rows of a workgroup
override RIGHT: u32 = LANES_X * VEC4;      // blocks of columns

const DEPTH: u32 = 16u;

// Four rows or columns at each of DEPTH terms, four terms at a time: a term within four is a constant index, and costs no address.
struct Block {
    terms: array<array<vec4<f32>, 4>, 4>,
    gap: vec4<f32>,
}

var<workgroup> left: array<Block, LEFT>;
var<workgroup> right: array<Block, RIGHT>;

fn position(workgroup: vec3<u32>, lane: u32) -> Position {
    let row = 4u * (workgroup.y * LEFT + lane / LANES_X);
    return Position(row, workgroup.x * RIGHT + lane % LANES_X, workgroup.z, lane);
}

fn row_of(at: Position, i: u32) -> u32 {
    return at.row + 4u * (i / (4u * VEC4) * LANES_Y) + i % 4u;
}

fn column4_of(at: Position, i: u32) -> u32 {
    return at.column4 + i / 4u % VEC4 * LANES_X;
}

// The first row and the first four columns of the workgroup.
fn first_row(at: Position) -> u32 {
    return at.row - 4u * (at.lane / LANES_X);
}

fn first_column4(at: Position) -> u32 {
    return at.column4 - at.lane % LANES_X;
}
