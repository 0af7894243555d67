// The loss at the network's outputs o [C, samples], its gradient, and the product with its second derivative; a sample a thread.
//
// LOSS: 0 cross-entropy −log softmax(o)[class], 1 squared error (o − y)², 2 BCE with logits log(1 + eᵒ) − y·o. `weight` is 1/N, or
// 1/(N·C) where the mean is over the outputs as well; padding samples weigh nothing, so that they add nothing anywhere.
//
// output, first, bend [C, samples] = o, φ' and φ'' of the last layer, bend being replaced by g ⊙ φ'' (g = ∂loss/∂o); expected
// [C, samples] = y (one-hot for classes); factor [C, samples] = p = softmax(o), or 2, or σ'(o): what the second derivative needs;
// delta [C, samples] = g ⊙ φ'; losses [samples]. tangent_output, curved [b, C, samples] = Ro and Rs, the latter replaced by
// Rδ = φ' ⊙ (A Ro) + Rs, or without Rs where it is not `kept`. A is ∂²loss/∂o², for cross-entropy A Ro = p ⊙ Ro − p (p·Ro) without a
// C x C array; or weight·Σ q qᵀ, where factor [vectors, C, samples] = q.
// Where a sample's p is near 1, p − y and Ro − p·Ro would cancel: the first is written as −Σ of the other p, the second after taking
// the likeliest class's Ro from all.
// Entry points: `loss`; `output_gradient` makes factor q = ∂loss/∂o; `loss_over` and `outer_over` for b directions. Override: LOSS, for
// all but the last. Grid: (ceil(samples / 64), 1, b).

override LOSS: u32 = 0u;

struct Loss {
    outputs: u32,
    padded: u32,          // samples with padding
    samples: u32,
    weight: f32,
    vectors: u32,         // q of each sample
    kept: u32,            // 1: Rs takes part
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

// What the softmax of one sample is made of: the largest output, Σ exp(o − largest), and the probability of all classes but the
// sample's own.
struct Softmax {
    largest: f32,
    sum: f32,
    rest: f32,
}

fn softmax(sample: u32) -> Softmax {
    var largest = output[sample];
    for (var c = 1u; c < p.outputs; c += 1u) {
        largest = max(largest, output[c * p.padded + sample]);
    }
    var own = 0.0;
    var rest = 0.0;
    for (var c = 0u; c < p.outputs; c += 1u) {
        let e = exp(output[c * p.padded + sample] - largest);
        let y = expected[c * p.padded + sample];
        own += y * e;
        rest += (1.0 - y) * e;
    }
    return Softmax(largest, own + rest, rest / (own + rest));
}

fn terms(o: f32, y: f32, of_sample: Softmax) -> Terms {
    switch LOSS {
        case 1u: {
            return Terms((o - y) * (o - y), 2.0 * (o - y), 2.0);
        }
        case 2u: {
            let s = sigmoid_jet(o);
            return Terms(max(o, 0.0) - y * o + log_1p(exp(-abs(o))), s.value - y, s.first);
        }
        default: {
            let shifted = o - of_sample.largest;
            let probability = exp(shifted) / of_sample.sum;
            let gradient = (1.0 - y) * probability - y * of_sample.rest;
            return Terms(y * (log(of_sample.sum) - shifted), gradient, probability);
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
    var of_sample: Softmax;
    if LOSS == 0u {
        of_sample = softmax(sample);
    }
    var sum = 0.0;
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let t = terms(output[at], expected[at], of_sample);
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
    var origin = 0.0;
    var mean = 0.0;
    if LOSS == 0u {
        var likeliest = 0u;
        for (var c = 1u; c < p.outputs; c += 1u) {
            likeliest = select(likeliest, c, factor[c * p.padded + sample] > factor[likeliest * p.padded + sample]);
        }
        origin = tangent_output[base + likeliest * p.padded + sample];
        for (var c = 0u; c < p.outputs; c += 1u) {
            mean += factor[c * p.padded + sample] * (tangent_output[base + c * p.padded + sample] - origin);
        }
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let tangent_gradient = p.weight * factor[at] * (tangent_output[base + at] - origin - mean);
        curved[base + at] = fma(tangent_gradient, first[at], select(0.0, curved[base + at], p.kept == 1u));
    }
}

@compute @workgroup_size(64)
fn output_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let weight = select(0.0, p.weight, sample < p.samples);
    var of_sample: Softmax;
    if LOSS == 0u {
        of_sample = softmax(sample);
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        factor[at] = weight * terms(output[at], expected[at], of_sample).gradient;
    }
}

@compute @workgroup_size(64)
fn outer_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let base = id.z * p.outputs * p.padded + sample;
    for (var v = 0u; v < p.vectors; v += 1u) {
        let q = v * p.outputs * p.padded + sample;
        var along = 0.0;
        for (var c = 0u; c < p.outputs; c += 1u) {
            along = fma(factor[q + c * p.padded], tangent_output[base + c * p.padded], along);
        }
        along *= p.weight;
        for (var c = 0u; c < p.outputs; c += 1u) {
            let at = c * p.padded;
            let before = select(0.0, curved[base + at], v > 0u || p.kept == 1u);
            curved[base + at] = fma(along * factor[q + at], first[at + sample], before);
        }
    }
}
