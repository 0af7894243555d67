// The operands of a pass, each lane its share of the rows' weights and its own samples. Follows subgroup_64x4.wgsl and positions.wgsl.

alias Starts = u32;

// The thread's vec4 of samples in row 0; past the end the last one repeats.
fn columns(at: Position) -> Starts {
    return min(at.column4, p.samples4 - 1u);
}

fn of_weights(at: Addresses) -> Numbers {
    return Numbers(four_weights(at.a), four_weights(at.b));
}

fn of_vector(at: Addresses) -> Numbers {
    return Numbers(four_of_vector(at.a), four_of_vector(at.b));
}

fn of_incoming(at: Starts) -> Columns {
    return Columns(incoming[at]);
}

fn of_tangent(at: Starts) -> Columns {
    return Columns(tangent_incoming[at]);
}
