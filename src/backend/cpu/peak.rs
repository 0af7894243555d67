//! The processor's speed in large square matrix products: what Hessian products are held against.

use std::time::{Duration, Instant};

use super::matmul::{View, ViewMut, assign_product};
use crate::numeric::Real;

/// Rows and columns of the operands: large enough for the product library's best speed.
const SIZE: usize = 1024;

/// Products of each thread that are timed; the fastest counts.
const RUNS: usize = 8;

/// 10⁹ operations a second of all threads together, each with products of its own, the best of several.
pub(super) fn gflops<T: Real>() -> f64 {
    rayon::broadcast(|_| {
        let (lhs, rhs) = (vec![T::ONE; SIZE * SIZE], vec![T::ONE; SIZE * SIZE]);
        let mut out = vec![T::ZERO; SIZE * SIZE];
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            let start = Instant::now();
            assign_product(ViewMut::new(&mut out, SIZE, SIZE), View::new(&lhs, SIZE, SIZE), View::new(&rhs, SIZE, SIZE));
            best = best.min(start.elapsed());
        }
        2.0 * (SIZE as f64).powi(3) / best.as_secs_f64() / 1e9
    })
    .into_iter()
    .sum()
}
