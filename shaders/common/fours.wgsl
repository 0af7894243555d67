// Weights read four by four, where every row of them begins at a multiple of four. Follows product.wgsl.

alias Stored = vec4<f32>;

fn weight(at: u32) -> f32 {
    return weights[at / 4u][at % 4u];
}

fn direction_number(at: u32) -> f32 {
    return vector[at / 4u][at % 4u];
}
