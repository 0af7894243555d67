// LayerNorm and RMSNorm, statistics of each sample. Follows common/norm.wgsl.
//
// With C the projection that subtracts the mean over the rows (NORM 0, LayerNorm) or the identity (NORM 1, RMSNorm):
// r = (mean (Cx)² + ε)^-½, x̂ = r Cx; the last row of `standard` is r.
// `norm_forward`: standard, a = γ x̂ + β from incoming = x.
// `norm_backward`: r (C h − x̂ mean(x̂ h)), h = γ δ: what comes back to x.
// `norm_forward_over`: Rx̂ = r (C Rx − x̂ m), m = mean(x̂ C Rx), which is the last row of tangent_standard, and
//   Ra = γ Rx̂ + Rγ x̂ + Rβ, from incoming = Rx.
// `norm_backward_over`: φ' times R of what comes back, φ' being `first` of what x is made by: with q = mean(x̂ h), Rh = γ Rδ + Rγ δ,
//   r (C Rh − Rx̂ q − x̂ (mean(Rx̂ h) + mean(x̂ Rh))) − r² m (C h − x̂ q); where nothing is mixed, `norm_backward` of γ Rδ.
//
// Eight threads share four samples: each sums every eighth row, and a fixed tree adds up the eight.
// Override: NORM. Grid: (ceil(samples4 / 8), 1, b) workgroups of 64.

override NORM: u32 = 0u;

const COLUMNS: u32 = 8u;      // vec4 of samples of a workgroup
const SHARE: u32 = 8u;        // threads that share a column

struct Sums {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

struct Place {
    sample4: u32,
    turn: u32,
    is_inside: bool,
}

var<workgroup> partial: array<Sums, 64>;

fn place(workgroup: vec3<u32>, lane: u32) -> Place {
    let sample4 = workgroup.x * COLUMNS + lane % COLUMNS;
    return Place(min(sample4, p.samples4 - 1u), lane / COLUMNS, sample4 < p.samples4);
}

// The means over the rows of what each thread has summed of its column. Called by all threads of the workgroup.
fn means(sums: Sums, lane: u32) -> Sums {
    workgroupBarrier();
    partial[lane] = sums;
    workgroupBarrier();
    for (var half = SHARE / 2u; half > 0u; half /= 2u) {
        if lane / COLUMNS < half {
            let other = partial[lane + half * COLUMNS];
            partial[lane].a += other.a;
            partial[lane].b += other.b;
            partial[lane].c += other.c;
            partial[lane].d += other.d;
        }
        workgroupBarrier();
    }
    let total = partial[lane % COLUMNS];
    let n = f32(p.width);
    return Sums(total.a / n, total.b / n, total.c / n, total.d / n);
}

// A mean as C subtracts it.
fn centre(mean: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), mean, NORM == 0u);
}

@compute @workgroup_size(64)
fn norm_forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = place(workgroup, lane);
    var sums: Sums;
    for (var row = at.turn; row < p.width; row += SHARE) {
        sums.a += incoming[row * p.samples4 + at.sample4];
    }
    let mean = centre(means(sums, lane).a);
    var squares: Sums;
    for (var row = at.turn; row < p.width; row += SHARE) {
        let c = incoming[row * p.samples4 + at.sample4] - mean;
        squares.a += c * c;
    }
    let r = 1.0 / sqrt(means(squares, lane).a + p.eps);
    if !at.is_inside {
        return;
    }
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        let x = r * (incoming[e] - mean);
        made[e] = x;
        result[e] = gain(row) * x + shift(row);
    }
    if at.turn == 0u {
        made[p.width * p.samples4 + at.sample4] = r;
    }
}

@compute @workgroup_size(64)
fn norm_backward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = place(workgroup, lane);
    var sums: Sums;
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        let h = gain(row) * delta[e];
        sums.a += h;
        sums.b += standard[e] * h;
    }
    let mean = means(sums, lane);
    if !at.is_inside {
        return;
    }
    let r = standard[p.width * p.samples4 + at.sample4];
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        put(e, r * (gain(row) * delta[e] - centre(mean.a) - standard[e] * mean.b));
    }
}

@compute @workgroup_size(64)
fn norm_forward_over(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = place(workgroup, lane);
    let base = workgroup.z * p.width * p.samples4;
    let base_made = workgroup.z * (p.width + 1u) * p.samples4;
    var mean = vec4<f32>();
    var along = vec4<f32>();
    if p.tangent == 1u {
        var sums: Sums;
        for (var row = at.turn; row < p.width; row += SHARE) {
            sums.a += incoming[base + row * p.samples4 + at.sample4];
        }
        mean = centre(means(sums, lane).a);
        var products: Sums;
        for (var row = at.turn; row < p.width; row += SHARE) {
            let e = row * p.samples4 + at.sample4;
            products.a += standard[e] * (incoming[base + e] - mean);
        }
        along = means(products, lane).a;
    }
    if !at.is_inside {
        return;
    }
    let r = standard[p.width * p.samples4 + at.sample4];
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        let x = standard[e];
        var rx = vec4<f32>();
        if p.tangent == 1u {
            rx = r * (incoming[base + e] - mean - x * along);
        }
        made[base_made + e] = rx;
        result[base + e] = gain(row) * rx + gain_of(workgroup.z, row) * x + shift_of(workgroup.z, row);
    }
    if at.turn == 0u {
        made[base_made + p.width * p.samples4 + at.sample4] = along;
    }
}

@compute @workgroup_size(64)
fn norm_backward_over(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = place(workgroup, lane);
    let direction = workgroup.z;
    let base = direction * p.width * p.samples4;
    let base_made = direction * (p.width + 1u) * p.samples4;
    let is_mixed = p.mixed == 1u;
    var sums: Sums;
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        var rh = gain(row) * tangent_delta[base + e];
        if is_mixed {
            let h = gain(row) * delta[e];
            rh += gain_of(direction, row) * delta[e];
            sums.b += tangent_standard[base_made + e] * h;
            sums.c += h;
            sums.d += standard[e] * h;
        }
        sums.a += rh;
        sums.b += standard[e] * rh;
    }
    let mean = means(sums, lane);
    if !at.is_inside {
        return;
    }
    let r = standard[p.width * p.samples4 + at.sample4];
    let along = tangent_standard[base_made + p.width * p.samples4 + at.sample4];
    for (var row = at.turn; row < p.width; row += SHARE) {
        let e = row * p.samples4 + at.sample4;
        var inner = gain(row) * tangent_delta[base + e] - centre(mean.a) - standard[e] * mean.b;
        if is_mixed {
            inner += gain_of(direction, row) * delta[e] - tangent_standard[base_made + e] * mean.d;
            inner -= r * along * (gain(row) * delta[e] - centre(mean.c) - standard[e] * mean.d);
        }
        put(base + e, first[e] * (r * inner));
    }
}
