// Sums over the GROUP threads of a workgroup, in a fixed tree: the same bits every time, and an error that grows with the logarithm of
// the group.

override GROUP: u32 = 64u;    // a power of two, at most 64

var<workgroup> partial: array<vec4<f32>, 64>;

// The sums of four numbers of each thread, on every thread. Called by all threads of the workgroup.
fn workgroup_sums(values: vec4<f32>, lane: u32) -> vec4<f32> {
    partial[lane] = values;
    workgroupBarrier();
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    return partial[0];
}

// The sum of one number of each thread.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
    return workgroup_sums(vec4<f32>(value, 0.0, 0.0, 0.0), lane).x;
}
