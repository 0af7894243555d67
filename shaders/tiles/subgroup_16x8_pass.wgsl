// The operands of a pass, each lane its share of the rows' weights and its own samples. Follows subgroup_16x8.wgsl and positions.wgsl.

alias Starts = vec2<u32>;

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn columns(at: Position) -> Starts {
    return min(at.column4 + LANES * vec2<u32>(0u, 1u), vec2<u32>(p.samples4 - 1u));
}

fn of_weights(at: Addresses) -> Numbers {
    return Numbers(weights[at.x], weights[at.y]);
}

fn of_vector(at: Addresses) -> Numbers {
    return Numbers(vector[at.x], vector[at.y]);
}

fn of_incoming(at: Starts) -> Columns {
    return Columns(incoming[at.x], incoming[at.y]);
}

fn of_tangent(at: Starts) -> Columns {
    return Columns(tangent_incoming[at.x], tangent_incoming[at.y]);
}
