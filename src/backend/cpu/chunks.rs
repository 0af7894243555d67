//! Kernels on vectors, chunk by chunk. Sums are taken inside a chunk in a fixed order in double precision, and over the chunks first
//! to last.

use rayon::prelude::*;

use crate::numeric::Real;

/// Elements of a chunk: with the chunks of a hundred basis vectors it fits a second-level cache, which is what the fused pass of
/// [`par_subtract_and_project`] counts on.
pub(super) const CHUNK: usize = 1024;

/// Chunks of the short operations on two vectors that one task takes: 64 Ki elements, tens of microseconds.
const CHUNKS_PER_TASK: usize = 64;

/// Independent partial sums of a dot product, for vector instructions and their latency.
const LANES: usize = 16;

/// xᵀy of two chunks.
fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let mut sums = [0.0; LANES];
    let (x_rows, x_rest) = x.as_chunks::<LANES>();
    let (y_rows, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_rows.iter().zip(y_rows) {
        for lane in 0..LANES {
            sums[lane] += x[lane].to_f64() * y[lane].to_f64();
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x.to_f64() * y.to_f64()).sum();
    sums.iter().sum::<f64>() + rest
}

/// y ← y − a·x, each element rounded once.
pub(super) fn sub_scaled<T: Real>(y: &mut [T], a: f64, x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = T::from_f64(y.to_f64() - a * x.to_f64());
    }
}

/// xᵀy.
pub(super) fn par_dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let partial = |(x, y): (&[T], &[T])| -> f64 { x.chunks(CHUNK).zip(y.chunks(CHUNK)).map(|(x, y)| dot(x, y)).sum() };
    let partials: Vec<f64> = x.par_chunks(CHUNKS_PER_TASK * CHUNK).zip(y.par_chunks(CHUNKS_PER_TASK * CHUNK)).map(partial).collect();
    partials.iter().sum()
}

/// Qᵀy; `vectors` holds the vectors of Q one after another, each as long as `y`.
pub(super) fn par_coefficients<T: Real>(vectors: &[T], y: &[T]) -> Vec<f64> {
    let partials: Vec<Vec<f64>> = y.par_chunks(CHUNK).enumerate().map(|(chunk, part)| project(vectors, y.len(), chunk, part)).collect();
    sum_of(&partials, vectors.len() / y.len())
}

/// y ← y − Q c, then Qᵀy.
pub(super) fn par_subtract_and_project<T: Real>(vectors: &[T], coefficients: &[f64], y: &mut [T]) -> Vec<f64> {
    let len = y.len();
    let partials: Vec<Vec<f64>> = y
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(chunk, part)| {
            subtract(vectors, len, coefficients, chunk, part);
            project(vectors, len, chunk, part)
        })
        .collect();
    sum_of(&partials, coefficients.len())
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
        let sums = accumulate([0.0; CHUNK], vectors, len, coefficients, chunk, part.len());
        part.iter_mut().zip(sums).for_each(|(x, sum)| *x = T::from_f64(sum));
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

/// Chunk number `chunk`, `part_len` long, of each vector.
fn parts<T: Real>(vectors: &[T], len: usize, chunk: usize, part_len: usize) -> impl Iterator<Item = &[T]> {
    vectors.chunks_exact(len).map(move |q| &q[chunk * CHUNK..chunk * CHUNK + part_len])
}

fn project<T: Real>(vectors: &[T], len: usize, chunk: usize, part: &[T]) -> Vec<f64> {
    parts(vectors, len, chunk, part.len()).map(|q| dot(q, part)).collect()
}

fn subtract<T: Real>(vectors: &[T], len: usize, coefficients: &[f64], chunk: usize, part: &mut [T]) {
    let mut sums = [0.0; CHUNK];
    sums.iter_mut().zip(part.iter()).for_each(|(sum, y)| *sum = -y.to_f64());
    let sums = accumulate(sums, vectors, len, coefficients, chunk, part.len());
    part.iter_mut().zip(sums).for_each(|(y, sum)| *y = T::from_f64(-sum));
}

/// sums + Σᵢ cᵢ qᵢ on one chunk.
fn accumulate<T: Real>(
    mut sums: [f64; CHUNK],
    vectors: &[T],
    len: usize,
    coefficients: &[f64],
    chunk: usize,
    part_len: usize,
) -> [f64; CHUNK] {
    for (q, &coefficient) in parts(vectors, len, chunk, part_len).zip(coefficients) {
        for (sum, q) in sums.iter_mut().zip(q) {
            *sum += coefficient * q.to_f64();
        }
    }
    sums
}
