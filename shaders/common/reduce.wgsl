// The sum of one number of each of GROUP threads, in a fixed tree: the same bits every time, and an error that grows with the
// logarithm of the group.

const GROUP: u32 = 64u;

var<workgroup> partial: array<f32, 64>;

// The sum, on every thread. Called by all threads of the workgroup.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    return partial[0];
}
