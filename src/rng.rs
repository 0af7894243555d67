//! Random probes from one counter-based integer generator, bit-identical on every backend.
//!
//! A key design decision: element `i` of probe `p` depends on `(seed, p, i)` alone. So a probe is the same however many run at
//! once, on whatever device, in whatever order, and a run can be continued without a generator's state. Threefry uses only
//! additions, rotations and exclusive ors of 32-bit words, which WGSL has; Philox would need the high half of a product, which it
//! has not.
//!
//! Rademacher signs are made where the vector lives (the shader `probe.wgsl` repeats [`threefry2x32`] bit for bit). Gaussian
//! numbers need transcendental functions, which differ between devices: they are made on the host and uploaded.

use std::convert::Infallible;

use rand::TryRng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::numeric::Real;

/// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11).
///
/// A bijection of the 64-bit `counter` for every `key`.
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5_u32 {
        for rotation in ROTATIONS[group as usize % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        let next = group as usize + 1;
        x[0] = x[0].wrapping_add(keys[next % 3]);
        x[1] = x[1].wrapping_add(keys[(next + 1) % 3]).wrapping_add(group + 1);
    }
    x
}

/// What the elements of a probe are drawn from; every choice has E[v vᵀ] = I.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// ±1 with equal probability: the least variance of a trace estimate.
    #[default]
    Rademacher,
    /// Standard normal: no direction is special.
    Gaussian,
}

/// The key of every probe of a seed.
pub fn key(seed: u64) -> [u32; 2] {
    halves(seed)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a word are what is wanted")]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// Elements that share one call of the generator for Rademacher probes: one bit each.
const SIGNS_PER_CALL: usize = 64;

/// Elements of a Gaussian probe that share one stream; any size gives a valid probe, changing it changes the numbers.
const NORMALS_PER_STREAM: usize = 1024;

/// Fills `out` with probe number `probe` of `seed`.
///
/// Element i of a Rademacher probe is +1 where bit `i mod 64` of `threefry2x32(key(seed), [i / 64, probe])` is set, −1 elsewhere.
pub fn fill<T: Real>(distribution: Distribution, seed: u64, probe: u32, out: &mut [T]) {
    match distribution {
        Distribution::Rademacher => fill_rademacher(seed, probe, out),
        Distribution::Gaussian => fill_gaussian(seed, probe, out),
    }
}

fn fill_rademacher<T: Real>(seed: u64, probe: u32, out: &mut [T]) {
    let key = key(seed);
    out.par_chunks_mut(SIGNS_PER_CALL).enumerate().for_each(|(index, chunk)| {
        let index = u32::try_from(index).expect("a probe has fewer than 2³⁸ elements");
        let [low, high] = threefry2x32(key, [index, probe]);
        let bits = u64::from(low) | u64::from(high) << 32;
        for (bit, element) in chunk.iter_mut().enumerate() {
            *element = if bits >> bit & 1 == 1 { T::ONE } else { -T::ONE };
        }
    });
}

fn fill_gaussian<T: Real>(seed: u64, probe: u32, out: &mut [T]) {
    out.par_chunks_mut(NORMALS_PER_STREAM).enumerate().for_each(|(index, chunk)| {
        let index = u32::try_from(index).expect("a probe has fewer than 2⁴² elements");
        let mut stream = Stream::new(seed, probe, index);
        for element in chunk {
            let normal: f64 = StandardNormal.sample(&mut stream);
            *element = T::from_f64(normal);
        }
    });
}

/// A [`rand`] generator over one part of one probe; its key is derived from the seed's, so it never meets the Rademacher counters.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: u64,
    spare: Option<u32>,
}

impl Stream {
    /// Part `part` of probe `probe`.
    pub fn new(seed: u64, probe: u32, part: u32) -> Self {
        let derived = threefry2x32(key(seed), [u32::MAX, probe]);
        Self { key: [derived[0] ^ part, derived[1]], counter: 0, spare: None }
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if let Some(word) = self.spare.take() {
            return Ok(word);
        }
        let [word, spare] = threefry2x32(self.key, halves(self.counter));
        self.counter += 1;
        self.spare = Some(spare);
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) | u64::from(self.try_next_u32()?) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let word = self.try_next_u32()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123 1.14 (kat_vectors, threefry2x32 20).
    #[test]
    fn threefry_gives_the_published_answers() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]), [0xc492_3a9c, 0x483d_f7a0]);
    }

    #[test]
    fn probes_have_the_moments_of_their_distribution() {
        for (distribution, fourth) in [(Distribution::Rademacher, 1.0), (Distribution::Gaussian, 3.0)] {
            let mut v = vec![0.0_f64; 100_000];
            fill(distribution, 7, 3, &mut v);
            let moment = |k: i32| v.iter().map(|x| x.powi(k)).sum::<f64>() / 1e5;
            // Five standard errors of the sample moments: 1/√N, √2/√N and √96/√N.
            assert!(moment(1).abs() < 5.0 / 316.0, "{distribution:?}: mean {}", moment(1));
            assert!((moment(2) - 1.0).abs() < 7.1 / 316.0, "{distribution:?}: variance {}", moment(2));
            assert!((moment(4) - fourth).abs() < 49.0 / 316.0, "{distribution:?}: fourth moment {}", moment(4));
        }
    }

    #[test]
    fn a_probe_depends_on_seed_and_number_and_not_on_length_or_type() {
        for distribution in [Distribution::Rademacher, Distribution::Gaussian] {
            let draw = |seed, probe, n| {
                let mut v = vec![0.0_f64; n];
                fill(distribution, seed, probe, &mut v);
                v
            };
            let base = draw(1, 0, 3000);
            assert_eq!(base[..777], draw(1, 0, 777)[..]);
            assert_ne!(base, draw(2, 0, 3000));
            assert_ne!(base, draw(1, 1, 3000));
            let mut single = vec![0.0_f32; 3000];
            fill(distribution, 1, 0, &mut single);
            assert!(base.iter().zip(&single).all(|(&d, &s)| f32::from_f64(d) == s));
        }
    }
}
