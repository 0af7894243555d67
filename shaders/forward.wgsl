// a = W z + b, then φ(a), φ'(a) and φ''(a): one layer of the forward pass at the point θ. Follows product.wgsl, a tile, activation.wgsl.
//
// weights [n] all parameters; incoming [depth, samples] = z; value, first, second [rows, samples].
// Entry points: `forward`; `forward_linear` leaves φ'' out (piecewise linear activations).
// `value` holds the sum while it comes in pieces. Overrides: LANES, ACTIVATION. Grid: see product.wgsl, one direction.

@group(0) @binding(5) var<storage, read_write> value: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second: array<vec4<f32>>;

fn sum_so_far(sum: vec4<f32>, e: u32) -> vec4<f32> {
    if p.accumulate == 0u {
        return sum;
    }
    return value[e] + sum;
}

struct Jets {
    value: vec4<f32>,
    first: vec4<f32>,
    second: vec4<f32>,
}

fn jets(a: vec4<f32>, row: u32) -> Jets {
    var bias = 0.0;
    if p.bias_offset != NONE {
        bias = weight(p.bias_offset + row);
    }
    let x = jet(a.x + bias);
    let y = jet(a.y + bias);
    let z = jet(a.z + bias);
    let w = jet(a.w + bias);
    return Jets(
        vec4<f32>(x.value, y.value, z.value, w.value),
        vec4<f32>(x.first, y.first, z.first, w.first),
        vec4<f32>(x.second, y.second, z.second, w.second),
    );
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_product(&tile, at);
    var sums = tile;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let inside = element(at, i);
        if inside != NONE {
            let e = p.point_offset4 + inside;
            let a = sum_so_far(sums[i / 4u][i % 4u], e);
            if p.finish == 0u {
                value[e] = a;
                continue;
            }
            let result = jets(a, row_of(at, i));
            value[e] = result.value;
            first[e] = result.first;
            second[e] = result.second;
        }
    }
}

@compute @workgroup_size(LANES)
fn forward_linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = position(workgroup, lane);
    var tile: Tile;
    add_product(&tile, at);
    var sums = tile;
    for (var i = 0u; i < ELEMENTS; i += 1u) {
        let inside = element(at, i);
        if inside != NONE {
            let e = p.point_offset4 + inside;
            let a = sum_so_far(sums[i / 4u][i % 4u], e);
            if p.finish == 0u {
                value[e] = a;
                continue;
            }
            let result = jets(a, row_of(at, i));
            value[e] = result.value;
            first[e] = result.first;
        }
    }
}
