//! Kernels on vectors, chunk by chunk, compiled for the vector instructions that the processor has. Sums are taken inside a chunk in a
//! fixed order in double precision, and over the chunks first to last.

use rayon::prelude::*;

use super::instructions::{MulAdd, vectorize, vectorize_sums};
use crate::numeric::Real;

/// Elements of a chunk: with the chunks of a hundred basis vectors it fits a second-level cache, which is what the fused pass of
/// [`par_subtract_and_project`] counts on.
pub(super) const CHUNK: usize = 1024;

/// Chunks of the short operations on two vectors that one task takes: 64 Ki elements, tens of microseconds.
const CHUNKS_PER_TASK: usize = 64;

/// Independent partial sums of a dot product: so many that their loop is one for vector instructions, whatever the compiler makes of
/// shorter ones.
const SUMS: usize = 128;

/// Vectors that are summed together: what all of them meet is loaded and stored once, their additions do not wait for one another, and
/// as many streams come from memory at once.
const TOGETHER: usize = 4;

/// Sums that lie in whole cache lines: vectors of them that straddle two take twice as long.
#[repr(align(64))]
struct Aligned<const N: usize>([f64; N]);

/// xᵢᵀy of chunks.
#[inline(always)]
fn dots<T: Real, U: Real, const K: usize>(mul_add: MulAdd, x: [&[T]; K], y: &[U]) -> [f64; K] {
    let mut sums = [const { Aligned([0.0; SUMS]) }; K];
    for (row, y) in y.chunks(SUMS).enumerate() {
        let count = y.len().min(SUMS);
        let x = x.map(|x| &x[row * SUMS..][..count]);
        for (at, y) in y[..count].iter().enumerate() {
            let y = y.to_f64();
            for k in 0..K {
                sums[k].0[at] = mul_add.of(x[k][at].to_f64(), y, sums[k].0[at]);
            }
        }
    }
    sums.map(|Aligned(mut sums)| {
        let mut half = SUMS / 2;
        while half > 0 {
            let (low, high) = sums.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
            half /= 2;
        }
        sums[0]
    })
}

/// xᵀy of two chunks.
#[inline(always)]
fn dot<T: Real, U: Real>(mul_add: MulAdd, x: &[T], y: &[U]) -> f64 {
    dots(mul_add, [x], y)[0]
}

/// y ← 0.
pub(super) fn par_clear<T: Real>(y: &mut [T]) {
    y.par_chunks_mut(CHUNKS_PER_TASK * CHUNK).for_each(|y| y.fill(T::ZERO));
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
        vectorize_sums(
            #[inline(always)]
            |mul_add| {
                let mut sum = 0.0;
                for (x, y) in x.chunks(CHUNK).zip(y.chunks(CHUNK)) {
                    sum += dot(mul_add, x, y);
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
        vectorize_sums(
            #[inline(always)]
            |mul_add| {
                let mut sums = Aligned([0.0; CHUNK]);
                let sums = &mut sums.0[..part.len()];
                accumulate(mul_add, sums, vectors, len, coefficients, chunk);
                part.iter_mut().zip(sums).for_each(|(x, sum)| *x = T::from_f64(*sum));
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
    vectorize_sums(
        #[inline(always)]
        |mul_add| {
            let mut wide = Aligned([0.0; CHUNK]);
            let wide = &mut wide.0[..part.len()];
            for (wide, y) in wide.iter_mut().zip(part) {
                *wide = y.to_f64();
            }
            let q = |i: usize| &vectors[i * len + chunk * CHUNK..][..wide.len()];
            let (together, rest) = products.as_chunks_mut::<TOGETHER>();
            let first = together.len() * TOGETHER;
            for (group, products) in together.iter_mut().enumerate() {
                *products = dots::<_, _, TOGETHER>(mul_add, std::array::from_fn(|i| q(group * TOGETHER + i)), wide);
            }
            for (i, product) in (first..).zip(rest) {
                *product = dot(mul_add, q(i), wide);
            }
            dot(mul_add, wide, wide)
        },
    )
}

fn subtract<T: Real>(vectors: &[T], len: usize, coefficients: &[f64], chunk: usize, part: &mut [T]) {
    vectorize_sums(
        #[inline(always)]
        |mul_add| {
            let mut sums = Aligned([0.0; CHUNK]);
            let sums = &mut sums.0[..part.len()];
            for (sum, y) in sums.iter_mut().zip(&*part) {
                *sum = -y.to_f64();
            }
            accumulate(mul_add, sums, vectors, len, coefficients, chunk);
            for (y, sum) in part.iter_mut().zip(sums) {
                *y = T::from_f64(-*sum);
            }
        },
    );
}

/// sums ← sums + Σᵢ cᵢ qᵢ on one chunk, in the order of the vectors.
#[inline(always)]
fn accumulate<T: Real>(mul_add: MulAdd, sums: &mut [f64], vectors: &[T], len: usize, coefficients: &[f64], chunk: usize) {
    let count = sums.len();
    let part = |i: usize| &vectors[i * len + chunk * CHUNK..][..count];
    let (together, rest) = coefficients.as_chunks::<TOGETHER>();
    for (group, c) in together.iter().enumerate() {
        let q: [&[T]; TOGETHER] = std::array::from_fn(|i| part(group * TOGETHER + i));
        for (at, sum) in sums.iter_mut().enumerate() {
            for i in 0..TOGETHER {
                *sum = mul_add.of(c[i], q[i][at].to_f64(), *sum);
            }
        }
    }
    for (i, &coefficient) in rest.iter().enumerate() {
        for (sum, q) in sums.iter_mut().zip(part(together.len() * TOGETHER + i)) {
            *sum = mul_add.of(coefficient, q.to_f64(), *sum);
        }
    }
}
