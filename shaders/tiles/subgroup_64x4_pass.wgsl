// The samples of a pass. Follows subgroup_64x4.wgsl and positions.wgsl.

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn first_column(at: Position) -> u32 {
    return min(at.column4, p.samples4 - 1u);
}

// Four terms of the samples from a term's on.
fn of_incoming(at: u32) -> mat4x4<f32> {
    let width = p.stride4;
    return mat4x4<f32>(incoming[at], incoming[at + width], incoming[at + 2u * width], incoming[at + 3u * width]);
}

fn of_tangent(at: u32) -> mat4x4<f32> {
    let width = p.stride4;
    return mat4x4<f32>(tangent_incoming[at], tangent_incoming[at + width], tangent_incoming[at + 2u * width], tangent_incoming[at + 3u * width]);
}
