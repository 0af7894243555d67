// The loss at the network's outputs o [C, samples], its gradient, and the product with its second derivative; a sample a thread.
//
// LOSS: 0 cross-entropy −Σ t log softmax(o), 1 squared error (o − y)², 2 BCE with logits p·y·log(1 + e⁻ᵒ) + (1 − y)·log(1 + eᵒ), 3 Huber with
// δ = `parameter`, 4 the same over δ, 5 Poisson eᵒ − y·o, 6 Poisson o − y·log(o + `parameter`). Each sample has a weight ω in f = Σ ω ℓ,
// 0 where it is ignored or padding, so that such samples add nothing anywhere; ℓ is `share` times the sum of its outputs' terms.
//
// output, first, bend [C, samples] = o, φ' and φ'' of the last layer, bend being replaced by g ⊙ φ'' (g = ∂f/∂o); expected
// [C + 1, samples] = y (t for cross-entropy), and ω in the last row; positive [C] = p; factor [C, samples] = ω times the terms' second
// derivatives, for cross-entropy ω·(Σt)·softmax(o); delta [C, samples] = g ⊙ φ'; losses [samples]. tangent_output, curved [b, C, samples] =
// Ro and Rs, the latter replaced by Rδ = φ' ⊙ (A Ro) + Rs, or without Rs where it is not `kept`. A is `share` times ∂²(Σ terms)/∂o², for
// cross-entropy A Ro = q ⊙ (Ro − (q·Ro)/Σq) with q = factor, without a C x C array; or Σ q qᵀ, where factor [vectors, C, samples] = q.
// Where a sample's p is near 1, p·Σt − t and Ro − p·Ro would cancel: the first is written p·(Σt − t) − t·(1 − p) with both differences
// summed over the other classes, the second after taking the likeliest class's Ro from all.
// Entry points: `loss`; `output_gradient` makes factor q = √ω ∂ℓ/∂o; `loss_over` and `outer_over` for b directions. Override: LOSS, for
// all but the last. Grid: (ceil(samples / 64), 1, b).

override LOSS: u32 = 0u;

struct Loss {
    outputs: u32,
    padded: u32,          // samples with padding
    share: f32,           // of a term in its sample's loss
    parameter: f32,
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
@group(0) @binding(10) var<storage, read> positive: array<f32>;

struct Terms {
    loss: f32,
    gradient: f32,
    factor: f32,
}

// What cross-entropy takes of a whole sample: the likeliest class and its output, Σ exp(o − largest) over all classes and over all but the
// likeliest, the class with the largest t, Σt over all and over all but that.
struct Whole {
    top: u32,
    largest: f32,
    sum: f32,
    others: f32,
    own: u32,
    mass: f32,
    rest: f32,
}

fn whole(sample: u32) -> Whole {
    var sums = Whole(0u, output[sample], 0.0, 0.0, 0u, 0.0, 0.0);
    for (var c = 1u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        sums.top = select(sums.top, c, output[at] > sums.largest);
        sums.largest = max(sums.largest, output[at]);
        sums.own = select(sums.own, c, expected[at] > expected[sums.own * p.padded + sample]);
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        sums.others += select(exp(output[at] - sums.largest), 0.0, c == sums.top);
        sums.rest += select(expected[at], 0.0, c == sums.own);
    }
    sums.sum = 1.0 + sums.others;
    sums.mass = sums.rest + expected[sums.own * p.padded + sample];
    return sums;
}

fn huber(r: f32, delta: f32) -> Terms {
    if abs(r) <= delta {
        return Terms(0.5 * r * r, r, 1.0);
    }
    return Terms(delta * (abs(r) - 0.5 * delta), delta * sign(r), 0.0);
}

fn terms(c: u32, o: f32, y: f32, of_sample: Whole) -> Terms {
    switch LOSS {
        case 1u: {
            return Terms((o - y) * (o - y), 2.0 * (o - y), 2.0);
        }
        case 2u: {
            let s = sigmoid_jet(o);
            let on = positive[c] * y;
            let tail = log_1p(exp(-abs(o)));
            let value = on * (max(-o, 0.0) + tail) + (1.0 - y) * (max(o, 0.0) + tail);
            return Terms(value, (1.0 - y) * s.value - on * sigmoid_jet(-o).value, (on + 1.0 - y) * s.first);
        }
        case 3u: {
            return huber(o - y, p.parameter);
        }
        case 4u: {
            let t = huber(o - y, p.parameter);
            return Terms(t.loss / p.parameter, t.gradient / p.parameter, t.factor / p.parameter);
        }
        case 5u: {
            let rate = exp(o);
            return Terms(rate - y * o, rate - y, rate);
        }
        case 6u: {
            let rate = o + p.parameter;
            return Terms(o - y * log(rate), 1.0 - y / rate, y / (rate * rate));
        }
        default: {
            let shifted = o - of_sample.largest;
            let probability = exp(shifted) / of_sample.sum;
            let short = select(1.0 - probability, of_sample.others / of_sample.sum, c == of_sample.top);
            let rest = select(of_sample.mass - y, of_sample.rest, c == of_sample.own);
            let value = y * (log_1p(of_sample.others) - shifted);
            return Terms(value, probability * rest - y * short, of_sample.mass * probability);
        }
    }
}

// `x` of a sample of weight `weight`; 0 where that is 0, whatever x is.
fn weighted(weight: f32, x: f32) -> f32 {
    return select(0.0, weight * x, weight > 0.0);
}

@compute @workgroup_size(64)
fn loss(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let weight = expected[p.outputs * p.padded + sample];
    var of_sample: Whole;
    if LOSS == 0u {
        of_sample = whole(sample);
    }
    var sum = 0.0;
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let t = terms(c, output[at], expected[at], of_sample);
        sum += t.loss;
        factor[at] = weighted(weight, t.factor);
        let gradient = weighted(weight, p.share * t.gradient);
        delta[at] = gradient * first[at];
        bend[at] *= gradient;
    }
    losses[sample] = weighted(weight, p.share * sum);
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
        var mass = 0.0;
        for (var c = 0u; c < p.outputs; c += 1u) {
            likeliest = select(likeliest, c, factor[c * p.padded + sample] > factor[likeliest * p.padded + sample]);
            mass += factor[c * p.padded + sample];
        }
        origin = tangent_output[base + likeliest * p.padded + sample];
        for (var c = 0u; c < p.outputs; c += 1u) {
            mean += factor[c * p.padded + sample] * (tangent_output[base + c * p.padded + sample] - origin);
        }
        mean = select(0.0, mean / mass, mass > 0.0);
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        let tangent_gradient = p.share * factor[at] * (tangent_output[base + at] - origin - mean);
        curved[base + at] = fma(tangent_gradient, first[at], select(0.0, curved[base + at], p.kept == 1u));
    }
}

@compute @workgroup_size(64)
fn output_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    let sample = id.x;
    if sample >= p.padded {
        return;
    }
    let weight = sqrt(expected[p.outputs * p.padded + sample]);
    var of_sample: Whole;
    if LOSS == 0u {
        of_sample = whole(sample);
    }
    for (var c = 0u; c < p.outputs; c += 1u) {
        let at = c * p.padded + sample;
        factor[at] = weighted(weight, p.share * terms(c, output[at], expected[at], of_sample).gradient);
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
        for (var c = 0u; c < p.outputs; c += 1u) {
            let at = c * p.padded;
            let before = select(0.0, curved[base + at], v > 0u || p.kept == 1u);
            curved[base + at] = fma(along * factor[q + at], first[at + sample], before);
        }
    }
}
