//! The processor's speed in fused multiplications that touch no memory, and in large square matrix products: what Hessian products are held
//! against. Both are medians, as the products' times are: a processor may be faster for a moment than it can go on.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};

use super::lanes::Lanes;
use super::multiply::{Found, Term, multiply};
use super::panels::Panels;
use crate::curvature::{Peaks, PlainProduct};
use crate::numeric::{Precision, Real};

/// Rows and columns of the product's operands.
const SIZE: usize = 1024;

/// Products of each thread.
const PRODUCTS: usize = 9;

/// Sums that take turns: enough for the latency of an addition on any processor, few enough for its registers.
const SUMS: usize = 12;

/// Turns of a run: about a millisecond.
const TURNS: usize = 1 << 17;

/// Runs of each thread.
const RUNS: usize = 101;

/// What all threads together reach, each on its own.
pub(super) fn peaks<T: Real>() -> Peaks {
    let chains = match T::PRECISION {
        Precision::F32 => of_all_threads(|| Arch::new().dispatch(Chains(1.0_f32))),
        Precision::F64 => of_all_threads(|| Arch::new().dispatch(Chains(1.0_f64))),
    };
    let product = PlainProduct { size: SIZE, kernel: "panels".into(), gflops: of_all_threads(product::<T>) };
    Peaks { gflops: Some(chains), product: Some(product), ..Peaks::default() }
}

fn of_all_threads(gflops: impl Fn() -> f64 + Sync) -> f64 {
    rayon::broadcast(|_| gflops()).into_iter().sum()
}

/// 10⁹ operations a second in the median of the times of some.
fn gflops<const RUNS: usize>(operations: f64, mut seconds: [f64; RUNS]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    operations / seconds[RUNS / 2] / 1e9
}

/// 10⁹ operations a second of a product of two square matrices.
fn product<T: Real>() -> f64 {
    let mut operand = Panels::default();
    operand.reset(SIZE, SIZE);
    operand.numbers_mut().fill(T::ONE);
    let mut out = operand.clone();
    let term = Term { lhs: operand.view(), rhs: operand.view() };
    let seconds = [(); PRODUCTS].map(|()| {
        let start = Instant::now();
        multiply(&mut out, Found::Lost, &[term]);
        start.elapsed().as_secs_f64()
    });
    gflops(2.0 * (SIZE as f64).powi(3), seconds)
}

/// Chains of fused multiplications from a number on; yields 10⁹ operations a second.
#[derive(Clone, Copy)]
struct Chains<T>(T);

impl<T: Lanes> WithSimd for Chains<T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
        let operations = (2 * TURNS * SUMS * T::count::<S>()) as f64;
        let mut seconds = [0.0; RUNS];
        for seconds in &mut seconds {
            let factor = T::splat(simd, black_box(self.0));
            let mut sums = [factor; SUMS];
            let start = Instant::now();
            for _ in 0..TURNS {
                for sum in &mut sums {
                    *sum = T::fused(simd, factor, *sum, factor);
                }
            }
            *seconds = start.elapsed().as_secs_f64();
            black_box(sums);
        }
        gflops(operations, seconds)
    }
}
