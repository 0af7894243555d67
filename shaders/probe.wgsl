// Rademacher probes from Threefry-2x32 with 20 rounds (Salmon et al. 2011): the same bits as src/rng.rs.
//
// Element i of probe q is +1 where bit i mod 64 of threefry(key, (i / 64, q)) is set, −1 elsewhere.
// y [b, stride] one shard of b vectors; a dispatch fills one run of it: `length` elements from `target` on, which are the vector's from
// `source` on, and leaves the others as they are. A thread makes 64 neighbours of the shard, from two calls of the generator where
// the run is not aligned. Grid: (G, b) workgroups of 64, striding over the run.

struct Probe {
    key: vec2<u32>,
    first_probe: u32,
    source: u32,
    target_first: u32,
    length: u32,
    stride4: u32,         // stride / 4
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

// The bits of four elements of the vector, of words that hold those of element i in bit i mod 64.
fn bits_at(words: vec2<u32>, element: vec4<u32>) -> vec4<u32> {
    let word = select(vec4<u32>(words.x), vec4<u32>(words.y), (element & vec4<u32>(32u)) != vec4<u32>(0u));
    return (word >> (element & vec4<u32>(31u))) & vec4<u32>(1u);
}

@compute @workgroup_size(64)
fn rademacher(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let probe = p.first_probe + workgroup.y;
    let last = (p.target_first + p.length + 63u) / 64u;
    for (var part = p.target_first / 64u + workgroup.x * 64u + lane; part < last; part += p.groups * 64u) {
        // Of the vector, the element that would be the first of these 64; wraps around where the run begins later.
        let first = p.source + 64u * part - p.target_first;
        let low = first / 64u;
        let high = (first + 63u) / 64u;
        let low_words = threefry(p.key, vec2<u32>(low, probe));
        let high_words = threefry(p.key, vec2<u32>(high, probe));
        for (var quad = 0u; quad < 16u; quad += 1u) {
            let inside = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
            let element = inside + first;
            let bits = select(bits_at(low_words, element), bits_at(high_words, element), element / 64u == vec4<u32>(high));
            let signs = select(vec4<f32>(-1.0), vec4<f32>(1.0), bits == vec4<u32>(1u));
            let of_run = inside + 64u * part - p.target_first < vec4<u32>(p.length);
            let at = workgroup.y * p.stride4 + 16u * part + quad;
            y[at] = select(y[at], signs, of_run);
        }
    }
}
