// The passes of a normalization a = γ ⊙ x̂ + β: parameters and operands. What follows says what x̂ is.
//
// Arrays are [width, samples], those of b directions [b, width, samples], samples innermost and padded to a multiple of 4; standard and
// tangent_standard are x̂ and Rx̂ with one row more, [width + 1, samples] and [b, width + 1, samples].
// parameters: θ as it is stored; vector [b, vector_stride]: the directions; constants [2, width]: what a batch normalization standardizes with.
// `made` is the standard or tangent_standard that a pass makes, `result` what it adds up: a, Ra, ∂/∂x, or the source's Rδ.

struct Norm {
    width: u32,
    samples4: u32,            // samples / 4
    gain_offset: u32,         // of γ in `parameters` and in the first direction of `vector`, or NONE
    shift_offset: u32,        // and of β
    vector_stride: u32,       // from one direction's vector to the next
    eps: f32,
    tangent: u32,             // 1: x has a tangent, 0: it is the network's input
    mixed: u32,               // 1: terms that mix the direction with the gradient take part
    accumulate: u32,          // 1: add to the result
    groups: u32,              // workgroups that share an array, where the grid says so
}

@group(0) @binding(0) var<uniform> p: Norm;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> vector: array<f32>;
@group(0) @binding(3) var<storage, read> incoming: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> standard: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> tangent_standard: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> tangent_delta: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> first: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> constants: array<f32>;
@group(0) @binding(10) var<storage, read_write> made: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> result: array<vec4<f32>>;

const NONE: u32 = 0xffffffffu;

fn gain(row: u32) -> f32 {
    if p.gain_offset == NONE {
        return 1.0;
    }
    return parameters[p.gain_offset + row];
}

fn shift(row: u32) -> f32 {
    if p.shift_offset == NONE {
        return 0.0;
    }
    return parameters[p.shift_offset + row];
}

// The same of a direction: 0 where there is no such parameter.
fn gain_of(direction: u32, row: u32) -> f32 {
    if p.gain_offset == NONE {
        return 0.0;
    }
    return vector[p.gain_offset + direction * p.vector_stride + row];
}

fn shift_of(direction: u32, row: u32) -> f32 {
    if p.shift_offset == NONE {
        return 0.0;
    }
    return vector[p.shift_offset + direction * p.vector_stride + row];
}

fn put(e: u32, value: vec4<f32>) {
    if p.accumulate == 1u {
        result[e] += value;
    } else {
        result[e] = value;
    }
}
