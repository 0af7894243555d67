// Rademacher probes from Threefry-2x32 with 20 rounds (Salmon et al. 2011): the same bits as src/rng.rs.
//
// Element i of probe q is +1 where bit i mod 64 of threefry(key, (i / 64, q)) is set, −1 elsewhere; padding stays 0.
// y [b, stride]. A thread makes 64 elements. Grid: (G, b) workgroups of 64, striding over the vector.

struct Probe {
    key: vec2<u32>,
    first_probe: u32,
    length: u32,          // n
    stride4: u32,
    groups: u32,          // G
}

@group(0) @binding(0) var<uniform> p: Probe;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

fn rotate_left(x: u32, bits: u32) -> u32 {
    return (x << bits) | (x >> (32u - bits));
}

fn mix(x: vec2<u32>, bits: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2<u32>(sum, rotate_left(x.y, bits) ^ sum);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let keys = array<u32, 3>(key.x, key.y, 0x1bd11bdau ^ key.x ^ key.y);
    var x = counter + key;
    x = mix(mix(mix(mix(x, 13u), 15u), 26u), 6u) + vec2<u32>(keys[1], keys[2] + 1u);
    x = mix(mix(mix(mix(x, 17u), 29u), 16u), 24u) + vec2<u32>(keys[2], keys[0] + 2u);
    x = mix(mix(mix(mix(x, 13u), 15u), 26u), 6u) + vec2<u32>(keys[0], keys[1] + 3u);
    x = mix(mix(mix(mix(x, 17u), 29u), 16u), 24u) + vec2<u32>(keys[1], keys[2] + 4u);
    x = mix(mix(mix(mix(x, 13u), 15u), 26u), 6u) + vec2<u32>(keys[2], keys[0] + 5u);
    return x;
}

@compute @workgroup_size(64)
fn rademacher(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = workgroup.y * p.stride4;
    for (var call = workgroup.x * 64u + lane; call * 16u < p.stride4; call += p.groups * 64u) {
        let words = threefry(p.key, vec2<u32>(call, p.first_probe + workgroup.y));
        for (var quad = 0u; quad < 16u; quad += 1u) {
            let word = select(words.x, words.y, quad >= 8u);
            let bits = vec4<u32>(word) >> (vec4<u32>(0u, 1u, 2u, 3u) + 4u * (quad % 8u));
            let signs = select(vec4<f32>(-1.0), vec4<f32>(1.0), (bits & vec4<u32>(1u)) == vec4<u32>(1u));
            let index = vec4<u32>(64u * call + 4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
            y[base + 16u * call + quad] = select(vec4<f32>(0.0), signs, index < vec4<u32>(p.length));
        }
    }
}
