// The loss at the network's outputs o [C, samples], its gradient, and the product with its second derivative; a sample a thread.
//
// LOSS: 0 cross-entropy −log softmax(o)[class], 1 squared error (o − y)², 2 BCE with logits log(1 + eᵒ) − y·o. `weight` is 1/N, or
// 1/(N·C) where the mean is over the outputs as well; padding samples weigh nothing, so that they add nothing anywhere.
//
// output, first, bend [C, samples] = o, φ' and φ'' of the last layer, bend being replaced by g ⊙ φ'' (g = ∂loss/∂o); expected
// [C, samples] = y (one-hot for classes); factor [C, samples] = p = softmax(o), or 2, or σ'(o): what the second derivative needs;
// delta [C, samples] = g ⊙ φ'; losses [samples]. tangent_output, curved [b, C, samples] = Ro and Rs, the latter replaced by
// Rδ = φ' ⊙ (∂²loss/∂o² Ro) + Rs; for cross-entropy ∂²loss/∂o² Ro = p ⊙ Ro − p (p·Ro), without a C x C array.
// Entry points: `loss`; `loss_over` for b directions. Override: LOSS. Grid: (ceil(samples / 64), 1, b).

override LOSS: u32 = 0u;

struct Loss {
    outputs: u32,
    padded: u32,          // samples with padding
    samples: u32,
    weight: f32,
}

@group(0) @binding(0) var<uniform> p: Loss;
@group(0) @binding(1) var<storage, read> output: array<f32>;
@group(0) @binding(2) var<storage, read> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> bend: array<f32>;
@group(0) @binding(4) var<storage, read> expected: array<f32>;
@group(0) @binding(5) var<storage, read_write> factor: array<f32>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<f32>;
@group(0) @binding(8) var<storage, read> tangent_output: array<f32>;
@group(0) @binding(9) var<storage, read_write> curved: array<f32>;

struct Terms {
    loss: f32,
    gradient: f32,
    factor: f32,
}

// Of one sample's outputs, the largest and Σ exp(o − largest): 0 where the loss has no use for them.
fn normalizer(sample: u32) -> vec2<f32> {
    if LOSS != 0u {
        return vec2<f32>();
    }
    var largest = output[sample];
    for (var c = 1u; c < p.outputs; c += 1u) {
        largest = max(largest, output[c * p.padded + sample]);
    }
    var sum = 0.0;
    for (var c = 0u; c < p.outputs; c += 1u) {
        sum += exp(output[c * p.padded + sample] - largest);
    }
    return vec2<f32>(largest, sum);
}

fn terms(o: f32, y: f32, normalizer: vec2<f32>) -> Terms {
    switch LOSS {
        case 1u: {
            return Terms((o - y) * (o - y), 2.0 * (o - y), 2.0);
        }
        case 2u: {
            let s = sigmoid_jet(o);
            return Terms(max(o, 0.0) - y * o + log_1p(exp(-abs(o))), s.value - y, s.first);
        }
        default: {
            let shifted = o - normalizer.x;
            let probability = exp(shifted) / normalizer.y;
            return Terms(y * (log(normalizer.y) - shifted), probability - y, probability);
        }
    }
}

@compute @workgroup_size(64)
fn loss(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let weight = select(0.0, p.weight, sample < p.samples);
    let shared_terms = normalizer(sample);
    var sum = 0.0;
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let t = terms(output[at], expected[at], shared_terms);
        sum += t.loss;
        factor[at] = select(0.0, t.factor, sample < p.samples);
        delta[at] = weight * t.gradient * first[at];
        bend[at] *= weight * t.gradient;
    }
    losses[sample] = weight * sum;
}

@compute @workgroup_size(64)
fn loss_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let base = id.z * p.outputs * p.padded;
    var mean = 0.0;
    if LOSS == 0u {
        for (var c = 0u; c < p.outputs; c += 1u) {
            mean += factor[c * p.padded + sample] * tangent_output[base + c * p.padded + sample];
        }
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let tangent_gradient = p.weight * factor[at] * (tangent_output[base + at] - mean);
        curved[base + at] = fma(tangent_gradient, first[at], curved[base + at]);
    }
}
