//! Kernels on vectors, chunk by chunk, compiled for the vector instructions that the processor has. Sums are taken inside a chunk in a
//! fixed order in double precision, the same with every set of instructions, and over the chunks first to last.

use rayon::prelude::*;

use super::instructions::vectorize;
use crate::numeric::Real;

/// Elements of a chunk: with the chunks of a hundred basis vectors it fits a second-level cache, which is what the fused pass of
/// [`par_subtract_and_project`] counts on.
pub(super) const CHUNK: usize = 1024;

/// Chunks of the short operations on two vectors that one task takes: 64 Ki elements, tens of microseconds.
const CHUNKS_PER_TASK: usize = 64;

/// Independent partial sums of a dot product, for vector instructions and their latency.
const LANES: usize = 32;

/// Vectors that are summed together: the sums are loaded and stored once for all of them.
const TOGETHER: usize = 4;

/// xᵀy of two chunks.
#[inline(always)]
fn dot<T: Real, U: Real>(x: &[T], y: &[U]) -> f64 {
    let mut sums = [0.0; LANES];
    let (x_rows, x_rest) = x.as_chunks::<LANES>();
    let (y_rows, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_rows.iter().zip(y_rows) {
        for lane in 0..LANES {
            sums[lane] += x[lane].to_f64() * y[lane].to_f64();
        }
    }
    let mut sum = 0.0;
    for (x, y) in x_rest.iter().zip(y_rest) {
        sum += x.to_f64() * y.to_f64();
    }
    for lane in sums {
        sum += lane;
    }
    sum
}

/// y ← y − a·x, each element rounded once.
pub(super) fn par_sub_scaled<T: Real>(y: &mut [T], a: f64, x: &[T]) {
    y.par_chunks_mut(CHUNKS_PER_TASK * CHUNK).zip(x.par_chunks(CHUNKS_PER_TASK * CHUNK)).for_each(|(y, x)| {
        vectorize(
            #[inline(always)]
            || {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = T::from_f64(y.to_f64() - a * x.to_f64());
                }
            },
        );
    });
}

/// x ← x/a, each element rounded once.
pub(super) fn par_divide<T: Real>(x: &mut [T], a: f64) {
    x.par_chunks_mut(CHUNKS_PER_TASK * CHUNK).for_each(|x| {
        vectorize(
            #[inline(always)]
            || {
                for x in x {
                    *x = T::from_f64(x.to_f64() / a);
                }
            },
        );
    });
}

/// xᵀy.
pub(super) fn par_dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let task = |(x, y): (&[T], &[T])| {
        vectorize(
            #[inline(always)]
            || {
                let mut sum = 0.0;
                for (x, y) in x.chunks(CHUNK).zip(y.chunks(CHUNK)) {
                    sum += dot(x, y);
                }
                sum
            },
        )
    };
    let partials: Vec<f64> = x.par_chunks(CHUNKS_PER_TASK * CHUNK).zip(y.par_chunks(CHUNKS_PER_TASK * CHUNK)).map(task).collect();
    partials.iter().sum()
}

/// Qᵀy; `vectors` holds the vectors of Q one after another, each as long as `y`.
pub(super) fn par_coefficients<T: Real>(vectors: &[T], y: &[T]) -> Vec<f64> {
    let count = vectors.len() / y.len();
    let project = |(chunk, part): (usize, &[T])| {
        let mut sums = vec![0.0; count];
        project(vectors, y.len(), chunk, part, &mut sums);
        sums
    };
    let partials: Vec<Vec<f64>> = y.par_chunks(CHUNK).enumerate().map(project).collect();
    sum_of(&partials, count)
}

/// y ← y − Q c, then Qᵀy and yᵀy.
pub(super) fn par_subtract_and_project<T: Real>(vectors: &[T], coefficients: &[f64], y: &mut [T]) -> (Vec<f64>, f64) {
    let (len, count) = (y.len(), coefficients.len());
    let partials: Vec<Vec<f64>> = y
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(chunk, part)| {
            let mut sums = vec![0.0; count + 1];
            subtract(vectors, len, coefficients, chunk, part);
            sums[count] = project(vectors, len, chunk, part, &mut sums[..count]);
            sums
        })
        .collect();
    let mut sums = sum_of(&partials, count + 1);
    let square = sums.pop().unwrap_or(0.0);
    (sums, square)
}

/// y ← y − Q c.
pub(super) fn par_subtract<T: Real>(vectors: &[T], coefficients: &[f64], y: &mut [T]) {
    let len = y.len();
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| subtract(vectors, len, coefficients, chunk, part));
}

/// x ← Q c; `coefficients` may be fewer than the vectors.
pub(super) fn par_combine<T: Real>(vectors: &[T], coefficients: &[f64], x: &mut [T]) {
    let len = x.len();
    x.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
        vectorize(
            #[inline(always)]
            || {
                let mut sums = [0.0; CHUNK];
                accumulate(&mut sums[..part.len()], vectors, len, coefficients, chunk);
                part.iter_mut().zip(sums).for_each(|(x, sum)| *x = T::from_f64(sum));
            },
        );
    });
}

/// Σᵢ over the chunks' partial coefficients, first chunk to last.
fn sum_of(partials: &[Vec<f64>], count: usize) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    for partial in partials {
        sums.iter_mut().zip(partial).for_each(|(sum, term)| *sum += term);
    }
    sums
}

/// The products of `part`, chunk number `chunk` of a vector, with those of the vectors; yields that with itself.
fn project<T: Real>(vectors: &[T], len: usize, chunk: usize, part: &[T], products: &mut [f64]) -> f64 {
    vectorize(
        #[inline(always)]
        || {
            let mut wide = [0.0; CHUNK];
            let wide = &mut wide[..part.len()];
            for (wide, y) in wide.iter_mut().zip(part) {
                *wide = y.to_f64();
            }
            for (product, q) in products.iter_mut().zip(vectors.chunks_exact(len)) {
                *product = dot(&q[chunk * CHUNK..][..part.len()], wide);
            }
            dot(wide, wide)
        },
    )
}

fn subtract<T: Real>(vectors: &[T], len: usize, coefficients: &[f64], chunk: usize, part: &mut [T]) {
    vectorize(
        #[inline(always)]
        || {
            let mut sums = [0.0; CHUNK];
            let sums = &mut sums[..part.len()];
            for (sum, y) in sums.iter_mut().zip(&*part) {
                *sum = -y.to_f64();
            }
            accumulate(sums, vectors, len, coefficients, chunk);
            for (y, sum) in part.iter_mut().zip(sums) {
                *y = T::from_f64(-*sum);
            }
        },
    );
}

/// sums ← sums + Σᵢ cᵢ qᵢ on one chunk, in the order of the vectors.
#[inline(always)]
fn accumulate<T: Real>(sums: &mut [f64], vectors: &[T], len: usize, coefficients: &[f64], chunk: usize) {
    let count = sums.len();
    let part = |i: usize| &vectors[i * len + chunk * CHUNK..][..count];
    let (together, rest) = coefficients.as_chunks::<TOGETHER>();
    for (group, c) in together.iter().enumerate() {
        let q: [&[T]; TOGETHER] = std::array::from_fn(|i| part(group * TOGETHER + i));
        for (at, sum) in sums.iter_mut().enumerate() {
            for i in 0..TOGETHER {
                *sum += c[i] * q[i][at].to_f64();
            }
        }
    }
    for (i, &coefficient) in rest.iter().enumerate() {
        for (sum, q) in sums.iter_mut().zip(part(together.len() * TOGETHER + i)) {
            *sum += coefficient * q.to_f64();
        }
    }
}
