//! The processor's speed in fused multiplications that touch no memory: what Hessian products are held against.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

use super::lanes::Lanes;
use crate::numeric::{Precision, Real};

/// Sums that take turns: enough for the latency of an addition on any processor, few enough for its registers.
const SUMS: usize = 12;

/// Turns of a run: about a millisecond.
const TURNS: usize = 1 << 17;

/// Runs of each thread; the fastest counts.
const RUNS: usize = 50;

/// 10⁹ operations a second of all threads together, the best of several runs.
pub(super) fn gflops<T: Real>() -> f64 {
    match T::PRECISION {
        Precision::F32 => of_all_threads(Chains(1.0_f32)),
        Precision::F64 => of_all_threads(Chains(1.0_f64)),
    }
}

fn of_all_threads<T: Lanes>(chains: Chains<T>) -> f64 {
    rayon::broadcast(|_| Arch::new().dispatch(chains)).into_iter().sum()
}

/// Chains of fused multiplications from a number on; yields 10⁹ operations a second.
#[derive(Clone, Copy)]
struct Chains<T>(T);

impl<T: Lanes> WithSimd for Chains<T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            let factor = T::splat(simd, black_box(self.0));
            let mut sums = [factor; SUMS];
            let start = Instant::now();
            for _ in 0..TURNS {
                for sum in &mut sums {
                    *sum = T::fused(simd, factor, *sum, factor);
                }
            }
            best = best.min(start.elapsed());
            black_box(sums);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
        let operations = (2 * TURNS * SUMS * T::count::<S>()) as f64;
        operations / best.as_secs_f64() / 1e9
    }
}
