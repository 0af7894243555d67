//! The processor's speed in a large square matrix product: what Hessian products are held against.

use std::time::{Duration, Instant};

use super::matmul::{View, ViewMut, assign_product};
use crate::numeric::Real;

/// Rows and columns of the operands: large enough for the product library's best speed.
const SIZE: usize = 1024;

/// Products that are timed; the fastest counts.
const RUNS: usize = 8;

/// 10⁹ operations a second with all threads, the best of several products.
pub(super) fn gflops<T: Real>() -> f64 {
    let (lhs, rhs) = (vec![T::ONE; SIZE * SIZE], vec![T::ONE; SIZE * SIZE]);
    let mut out = vec![T::ZERO; SIZE * SIZE];
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        assign_product(ViewMut::new(&mut out, SIZE, SIZE), View::new(&lhs, SIZE, SIZE), View::new(&rhs, SIZE, SIZE));
        best = best.min(start.elapsed());
    }
    2.0 * (SIZE as f64).powi(3) / best.as_secs_f64() / 1e9
}
