// The device's peak in single precision: four independent chains of fused multiply-adds on vec4 a thread, nothing loaded. A driver keeps
// as many in registers, where of eight it does not.
//
// `rounds` rounds of 16 · 4 multiply-adds; the sum is stored so that no compiler may drop the work.
// The same for its memory: `copy` gives each thread `rounds` vec4 to copy, neighbouring threads side by side.
// Grid: any number G of groups of 64 threads; for `copy` 64·G·rounds vec4 of both buffers.

struct Peak {
    factor: f32,
    term: f32,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> p: Peak;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> source: array<vec4<f32>>;

@compute @workgroup_size(64)
fn peak(@builtin(global_invocation_id) id: vec3<u32>) {
    let m = vec4<f32>(p.factor);
    let t = vec4<f32>(p.term);
    var a = vec4<f32>(f32(id.x));
    var b = a + 1.0;
    var c = a + 2.0;
    var d = a + 3.0;
    for (var i = 0u; i < p.rounds; i += 1u) {
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
    }
    result[id.x] = a + b + c + d;
}

@compute @workgroup_size(64)
fn copy(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = workgroup.x * 64u * p.rounds + lane;
    for (var i = 0u; i < p.rounds; i += 1u) {
        result[first + 64u * i] = source[first + 64u * i];
    }
}
