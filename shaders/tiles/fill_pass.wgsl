// Fills the shared memory for a pass, and sums. Past the end of the sum the weights are zero, the activations those of the last term.
// Neighbouring threads read neighbouring numbers of the weight, whether it is transposed or not. Follows shared.wgsl and product.wgsl.

// Which four rows and which term the e-th four weights are.
fn slot_of(e: u32) -> vec2<u32> {
    if p.depth_stride == 1u {
        return vec2<u32>(e / DEPTH, e % DEPTH);
    }
    return vec2<u32>(e % LEFT, e / LEFT);
}

fn addresses(row: u32, base: u32) -> vec4<u32> {
    return min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.rows - 1u)) * p.row_stride + base;
}

fn fill_left_with_weights(at: Position, base: u32, k: u32, depth: u32) {
    for (var e = at.lane; e < LEFT * DEPTH; e += LANES) {
        let slot = slot_of(e);
        let at4 = addresses(first_row(at) + 4u * slot.x, base + min(k + slot.y, depth - 1u) * p.depth_stride);
        let values = vec4<f32>(weights[at4.x], weights[at4.y], weights[at4.z], weights[at4.w]);
        left[slot.x].terms[slot.y / 4u][slot.y % 4u] = select(vec4<f32>(), values, k + slot.y < depth);
    }
}

fn fill_left_with_vector(at: Position, base: u32, k: u32, depth: u32) {
    for (var e = at.lane; e < LEFT * DEPTH; e += LANES) {
        let slot = slot_of(e);
        let at4 = addresses(first_row(at) + 4u * slot.x, base + min(k + slot.y, depth - 1u) * p.depth_stride);
        let values = vec4<f32>(vector[at4.x], vector[at4.y], vector[at4.z], vector[at4.w]);
        left[slot.x].terms[slot.y / 4u][slot.y % 4u] = select(vec4<f32>(), values, k + slot.y < depth);
    }
}

fn fill_right_with_incoming(at: Position, base: u32, k: u32, depth: u32) {
    for (var e = at.lane; e < RIGHT * DEPTH; e += LANES) {
        let c = e % RIGHT;
        let t = e / RIGHT;
        right[c].terms[t / 4u][t % 4u] = incoming[base + min(k + t, depth - 1u) * p.stride4 + min(first_column4(at) + c, p.samples4 - 1u)];
    }
}

fn fill_right_with_tangent(at: Position, base: u32, k: u32, depth: u32) {
    for (var e = at.lane; e < RIGHT * DEPTH; e += LANES) {
        let c = e % RIGHT;
        let t = e / RIGHT;
        right[c].terms[t / 4u][t % 4u] = tangent_incoming[base + min(k + t, depth - 1u) * p.stride4 + min(first_column4(at) + c, p.samples4 - 1u)];
    }
}

fn add_product(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let x = at.lane % LANES_X;
    let y = at.lane / LANES_X;
    for (var k = 0u; k < depth; k += DEPTH) {
        fill_left_with_weights(at, p.weight_offset, k, depth);
        fill_right_with_incoming(at, p.incoming_offset4, k, depth);
        workgroupBarrier();
        add_terms(tile, x, y);
        workgroupBarrier();
    }
}

fn add_both_products(tile: ptr<function, Tile>, at: Position) {
    let depth = p.depth;
    let tangent_depth = p.tangent_depth;
    let vector_base = p.vector_offset + at.direction * p.vector_stride;
    let tangent_base = p.tangent_offset4 + at.direction * p.tangent_stride4;
    let x = at.lane % LANES_X;
    let y = at.lane / LANES_X;
    for (var k = 0u; k < tangent_depth; k += DEPTH) {
        fill_left_with_weights(at, p.weight_offset, k, tangent_depth);
        fill_right_with_tangent(at, tangent_base, k, tangent_depth);
        workgroupBarrier();
        add_terms(tile, x, y);
        workgroupBarrier();
    }
    for (var k = 0u; k < depth; k += DEPTH) {
        fill_left_with_vector(at, vector_base, k, depth);
        fill_right_with_incoming(at, p.incoming_offset4, k, depth);
        workgroupBarrier();
        add_terms(tile, x, y);
        workgroupBarrier();
    }
}
