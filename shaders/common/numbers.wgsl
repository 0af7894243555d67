// Weights read one by one. Follows product.wgsl.

alias Stored = f32;

fn weight(at: u32) -> f32 {
    return weights[at];
}

fn direction_number(at: u32) -> f32 {
    return vector[at];
}

fn four_weights(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(weights[at.x], weights[at.y], weights[at.z], weights[at.w]);
}

fn four_of_vector(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(vector[at.x], vector[at.y], vector[at.z], vector[at.w]);
}
