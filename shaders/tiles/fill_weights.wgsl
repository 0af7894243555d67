// Fills the shared memory for a weight product, and sums. Four rows of four samples are read along the samples and turned.
// Follows shared.wgsl and weights.wgsl.

// Where four neighbouring rows have a vec4 of samples; past the end the last one repeats.
fn addresses(first: u32, count: u32, base: u32) -> vec4<u32> {
    return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u)) * p.stride4 + base;
}

fn total(tile: Tile, at: Position) -> Tile {
    return tile;
}

fn fill_left_with_tangent_delta(at: Position, base: u32, s: u32) {
    for (var e = at.lane; e < LEFT * DEPTH / 4u; e += LANES) {
        let q = e / (DEPTH / 4u);
        let t = e % (DEPTH / 4u);
        let at4 = addresses(first_row(at) + 4u * q, p.rows, base + s + t);
        let inside = s + t < p.samples4;
        let four = transpose(mat4x4<f32>(tangent_delta[at4.x], tangent_delta[at4.y], tangent_delta[at4.z], tangent_delta[at4.w]));
        left[q].terms[t][0] = select(vec4<f32>(), four[0], inside);
        left[q].terms[t][1] = select(vec4<f32>(), four[1], inside);
        left[q].terms[t][2] = select(vec4<f32>(), four[2], inside);
        left[q].terms[t][3] = select(vec4<f32>(), four[3], inside);
    }
}

fn fill_left_with_delta(at: Position, base: u32, s: u32) {
    for (var e = at.lane; e < LEFT * DEPTH / 4u; e += LANES) {
        let q = e / (DEPTH / 4u);
        let t = e % (DEPTH / 4u);
        let at4 = addresses(first_row(at) + 4u * q, p.rows, base + s + t);
        let inside = s + t < p.samples4;
        let four = transpose(mat4x4<f32>(delta[at4.x], delta[at4.y], delta[at4.z], delta[at4.w]));
        left[q].terms[t][0] = select(vec4<f32>(), four[0], inside);
        left[q].terms[t][1] = select(vec4<f32>(), four[1], inside);
        left[q].terms[t][2] = select(vec4<f32>(), four[2], inside);
        left[q].terms[t][3] = select(vec4<f32>(), four[3], inside);
    }
}

fn fill_right_with_input(at: Position, base: u32, s: u32) {
    for (var e = at.lane; e < RIGHT * DEPTH / 4u; e += LANES) {
        let q = e / (DEPTH / 4u);
        let t = e % (DEPTH / 4u);
        let at4 = addresses(4u * first_column4(at) + 4u * q, p.columns, base + s + t);
        let inside = s + t < p.samples4;
        let four = transpose(mat4x4<f32>(input[at4.x], input[at4.y], input[at4.z], input[at4.w]));
        right[q].terms[t][0] = select(vec4<f32>(), four[0], inside);
        right[q].terms[t][1] = select(vec4<f32>(), four[1], inside);
        right[q].terms[t][2] = select(vec4<f32>(), four[2], inside);
        right[q].terms[t][3] = select(vec4<f32>(), four[3], inside);
    }
}

fn fill_right_with_tangent_input(at: Position, base: u32, s: u32) {
    for (var e = at.lane; e < RIGHT * DEPTH / 4u; e += LANES) {
        let q = e / (DEPTH / 4u);
        let t = e % (DEPTH / 4u);
        let at4 = addresses(4u * first_column4(at) + 4u * q, p.columns, base + s + t);
        let inside = s + t < p.samples4;
        let four = transpose(mat4x4<f32>(tangent_input[at4.x], tangent_input[at4.y], tangent_input[at4.z], tangent_input[at4.w]));
        right[q].terms[t][0] = select(vec4<f32>(), four[0], inside);
        right[q].terms[t][1] = select(vec4<f32>(), four[1], inside);
        right[q].terms[t][2] = select(vec4<f32>(), four[2], inside);
        right[q].terms[t][3] = select(vec4<f32>(), four[3], inside);
    }
}

fn add_tangent_delta_input(tile: ptr<function, Tile>, at: Position) {
    let left_base = p.tangent_delta_offset4 + at.direction * p.tangent_delta_stride4;
    let right_base = p.input_offset4;
    for (var s = 0u; s < p.samples4; s += DEPTH / 4u) {
        fill_left_with_tangent_delta(at, left_base, s);
        fill_right_with_input(at, right_base, s);
        workgroupBarrier();
        add_terms(tile, at.lane % LANES_X, at.lane / LANES_X);
        workgroupBarrier();
    }
}

fn add_delta_tangent_input(tile: ptr<function, Tile>, at: Position) {
    let left_base = p.delta_offset4;
    let right_base = p.tangent_input_offset4 + at.direction * p.tangent_input_stride4;
    for (var s = 0u; s < p.samples4; s += DEPTH / 4u) {
        fill_left_with_delta(at, left_base, s);
        fill_right_with_tangent_input(at, right_base, s);
        workgroupBarrier();
        add_terms(tile, at.lane % LANES_X, at.lane / LANES_X);
        workgroupBarrier();
    }
}

fn add_delta_input(tile: ptr<function, Tile>, at: Position) {
    let left_base = p.delta_offset4;
    let right_base = p.input_offset4;
    for (var s = 0u; s < p.samples4; s += DEPTH / 4u) {
        fill_left_with_delta(at, left_base, s);
        fill_right_with_input(at, right_base, s);
        workgroupBarrier();
        add_terms(tile, at.lane % LANES_X, at.lane / LANES_X);
        workgroupBarrier();
    }
}

fn store_biases(at: Position) {}
