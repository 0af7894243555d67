//! Products of matrices in panels.
//!
//! A key design decision: a tile of the result stays in vector registers over a block of its sum, as many rows as there are registers for.
//! Each step takes two vectors of the right operand and one number a row of the left one, which lie one after another in memory. A block is
//! so deep that what a column of tiles reads of the right operand stays in the first-level cache, and all that they read of the left one
//! in the second (Goto and van de Geijn 2008): with whole sums in one go, wide layers were a quarter slower. While one column of tiles is at
//! work, what the next one reads of a large right operand is fetched.
//!
//! The same sums in the same order make every element, whatever its place in a tile.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::instructions::fetch;
use super::lanes::Lanes;
use super::panels::{LANES, Panels, PanelsView};
use crate::numeric::{Precision, Real};

/// Depth of a block: 32 KiB of the right operand where vectors have 64 bytes, half as much where they have 32. Its terms are summed on their
/// own before they are added to what there is, as the rounding errors of long sums grow with their length.
const BLOCK: usize = 256;

/// Bytes of a right operand that a second-level cache does not keep beside all else: a part that is fetched ahead makes a product of wide
/// layers a twentieth faster; of one that is there already it makes it slower.
const LARGE: usize = 1 << 18;

/// Vectors of a row of a tile.
const VECTORS: usize = 2;

/// One product of a sum.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a, T> {
    /// The left operand, or its transpose.
    pub lhs: PanelsView<'a, T>,
    /// The right operand.
    pub rhs: PanelsView<'a, T>,
}

/// What becomes of the numbers that a product finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// They stay.
    Kept,
    /// They are written over.
    Lost,
}

/// `out` ← Σ lhs · rhs, and `out` too where it is kept.
///
/// # Panics
/// Where the shapes do not fit.
pub fn multiply<T: Real>(out: &mut Panels<T>, found: Found, terms: &[Term<'_, T>]) {
    for Term { lhs, rhs } in terms {
        check(out.view(), lhs.rows, lhs.columns, *rhs);
    }
    dispatch::<T, false>(out, found, terms);
}

/// `out` ← Σ lhsᵀ · rhs, and `out` too where it is kept.
///
/// # Panics
/// Where the shapes do not fit.
pub fn multiply_transposed<T: Real>(out: &mut Panels<T>, found: Found, terms: &[Term<'_, T>]) {
    for Term { lhs, rhs } in terms {
        check(out.view(), lhs.columns, lhs.rows, *rhs);
    }
    dispatch::<T, true>(out, found, terms);
}

fn check<T>(out: PanelsView<'_, T>, rows: usize, depth: usize, rhs: PanelsView<'_, T>) {
    assert!(
        (rows, depth, rhs.columns) == (out.rows, rhs.rows, out.columns),
        "product of {rows} × {depth} and {} × {} does not fit {} × {}",
        rhs.rows,
        rhs.columns,
        out.rows,
        out.columns
    );
}

fn dispatch<T: Real, const TRANSPOSED: bool>(out: &mut Panels<T>, found: Found, terms: &[Term<'_, T>]) {
    match T::PRECISION {
        // SAFETY: `Real` is sealed: with this precision T is f32.
        Precision::F32 => sum::<f32, TRANSPOSED>(unsafe { cast(out) }, found, unsafe { cast_terms(terms) }),
        // SAFETY: as above, f64.
        Precision::F64 => sum::<f64, TRANSPOSED>(unsafe { cast(out) }, found, unsafe { cast_terms(terms) }),
    }
}

/// # Safety
/// T and U are the same type.
unsafe fn cast<T, U>(panels: &mut Panels<T>) -> &mut Panels<U> {
    // SAFETY: the same type.
    unsafe { &mut *std::ptr::from_mut(panels).cast() }
}

/// # Safety
/// T and U are the same type.
unsafe fn cast_terms<'a, T, U>(terms: &'a [Term<'a, T>]) -> &'a [Term<'a, U>] {
    // SAFETY: the same type.
    unsafe { std::slice::from_raw_parts(terms.as_ptr().cast(), terms.len()) }
}

/// The sum of all terms, block by block.
fn sum<T: Lanes, const TRANSPOSED: bool>(out: &mut Panels<T>, mut found: Found, terms: &[Term<'_, T>]) {
    let arch = Arch::new();
    let (mut parts, mut left) = (Vec::with_capacity(terms.len()), BLOCK);
    for &term in terms {
        for first in (0..term.rhs.rows).step_by(BLOCK) {
            let depth = first..term.rhs.rows.min(first + BLOCK);
            if depth.len() > left {
                arch.dispatch(Block::<T, TRANSPOSED> { out, found, parts: &parts });
                parts.clear();
                (found, left) = (Found::Kept, BLOCK);
            }
            left -= depth.len();
            parts.push(Part { term, depth });
        }
    }
    arch.dispatch(Block::<T, TRANSPOSED> { out, found, parts: &parts });
}

/// A part of a term.
struct Part<'a, T> {
    term: Term<'a, T>,
    /// Rows of the right operand.
    depth: Range<usize>,
}

/// Parts that are summed at once: what is compiled once for each set of vector instructions, and chosen at run time.
struct Block<'a, T, const TRANSPOSED: bool> {
    out: &'a mut Panels<T>,
    found: Found,
    parts: &'a [Part<'a, T>],
}

impl<T: Lanes, const TRANSPOSED: bool> WithSimd for Block<'_, T, TRANSPOSED> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many rows as their sums find registers, beside the two vectors and a number. A row of the transposed operand has a distance of
        // its own, for which there are fewer registers.
        match (S::REGISTER_COUNT >= 32, TRANSPOSED) {
            (true, false) => self.tiles::<S, 12>(simd),
            (true, true) => self.tiles::<S, 8>(simd),
            (false, _) => self.tiles::<S, 6>(simd),
        }
    }
}

impl<T: Lanes, const TRANSPOSED: bool> Block<'_, T, TRANSPOSED> {
    #[inline(always)]
    fn tiles<S: Simd, const R: usize>(mut self, simd: S) {
        let vectors = self.out.panels().len() * (LANES / T::count::<S>());
        let whole = vectors - vectors % VECTORS;
        for vector in (0..whole).step_by(VECTORS) {
            self.column::<S, R, VECTORS>(simd, vector);
        }
        for vector in whole..vectors {
            self.column::<S, R, 1>(simd, vector);
        }
    }

    /// All tiles whose first column is that of vector `vector`.
    #[inline(always)]
    fn column<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, vector: usize) {
        let mut row = self.run::<S, R, V>(simd, vector, 0);
        if R > 8 {
            row = self.run::<S, 8, V>(simd, vector, row);
        }
        row = self.run::<S, 4, V>(simd, vector, row);
        row = self.run::<S, 2, V>(simd, vector, row);
        self.run::<S, 1, V>(simd, vector, row);
    }

    /// Tiles of `R` rows from row `row` on, as long as there are as many; yields the row behind them.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, vector: usize, mut row: usize) -> usize {
        while row + R <= self.out.rows() {
            self.fetch_next::<S, V>(vector, row..row + R);
            self.tile::<S, R, V>(simd, vector, row);
            row += R;
        }
        row
    }

    /// Fetches a share of what the tiles of the next column will read of the right operands, the share that `rows` are of all.
    #[inline(always)]
    fn fetch_next<S: Simd, const V: usize>(&self, vector: usize, rows: Range<usize>) {
        for Part { term: Term { rhs, .. }, depth } in self.parts {
            if size_of_val(rhs.lines) < LARGE {
                continue;
            }
            let of_all = |row: usize| depth.start + depth.len() * row / self.out.rows();
            for v in V..2 * V {
                let right = rhs.lines.as_ptr().cast::<T>().wrapping_add(place::<T, S>(rhs.rows, vector + v));
                (of_all(rows.start)..of_all(rows.end)).for_each(|k| fetch(right.wrapping_add(k * LANES)));
            }
        }
    }

    /// `R` rows of `V` vectors from row `row` and vector `vector` on.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, vector: usize, row: usize) {
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        for Part { term: Term { lhs, rhs }, depth } in self.parts {
            let left = lhs.lines.as_ptr().cast::<T>();
            let right: [*const T; V] =
                std::array::from_fn(|v| rhs.lines.as_ptr().cast::<T>().wrapping_add(place::<T, S>(rhs.rows, vector + v)));
            let distances: [usize; R] =
                std::array::from_fn(|r| if TRANSPOSED { (row + r) / LANES * lhs.rows * LANES + (row + r) % LANES } else { r * LANES });
            // SAFETY: the shapes fit, which has been asserted, and the lines of a matrix are rows·⌈columns/16⌉. In each step k is a row of
            // `rhs` and `vector + v` one of the vectors of its panels; the numbers of the left operand are those of its columns k and its
            // rows `row` to `row + R`, or with both exchanged.
            unsafe {
                if TRANSPOSED {
                    for k in depth.clone() {
                        step(simd, &mut sums, left.add(k * LANES), &distances, &right, k);
                    }
                } else {
                    for k in depth.clone().step_by(LANES) {
                        let left = left.add(k * lhs.rows + row * LANES);
                        for i in 0..LANES.min(depth.end - k) {
                            step(simd, &mut sums, left.add(i), &distances, &right, k + i);
                        }
                    }
                }
            }
        }
        let rows = self.out.rows();
        let out = self.out.numbers_mut().as_mut_ptr();
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                // SAFETY: `row + r` is a row of `out` and `vector + v` one of the vectors of its panels.
                unsafe {
                    let out = out.add(place::<T, S>(rows, vector + v) + (row + r) * LANES).cast::<T::Vector<S>>();
                    // Last: the terms are then rounded to the size of their own sum, not to that of all before.
                    *out = if self.found == Found::Kept { T::plus(simd, sum, *out) } else { sum };
                }
            }
        }
    }
}

/// Where vector `vector` of the first row lies in a matrix of `rows` rows, in numbers.
#[inline(always)]
fn place<T: Lanes, S: Simd>(rows: usize, vector: usize) -> usize {
    let column = vector * T::count::<S>();
    column / LANES * rows * LANES + column % LANES
}

/// Term number `k` of a tile's sums: the products of the numbers that lie `distances` behind `left` with the vectors of row `k`.
///
/// # Safety
/// These can be read.
#[inline(always)]
unsafe fn step<T: Lanes, S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[T::Vector<S>; V]; R],
    left: *const T,
    distances: &[usize; R],
    right: &[*const T; V],
    k: usize,
) {
    let mut vectors = [T::splat(simd, T::ZERO); V];
    for (vector, right) in vectors.iter_mut().zip(right) {
        // SAFETY: the caller's; panels are aligned, and so are the vectors that they are multiples of.
        *vector = unsafe { right.wrapping_add(k * LANES).cast::<T::Vector<S>>().read() };
    }
    for (sums, &distance) in sums.iter_mut().zip(distances) {
        // SAFETY: the caller's.
        let factor = T::splat(simd, unsafe { *left.add(distance) });
        for (sum, &vector) in sums.iter_mut().zip(&vectors) {
            *sum = T::fused(simd, factor, vector, *sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: every sum is exact, so any order gives the same bits.
    fn integers<T: Real>(count: usize, seed: usize) -> Vec<T> {
        (0..count).map(|i| T::from_f64(f64::from(u8::try_from((i * 7 + seed * 13) % 11).unwrap()) - 5.0)).collect()
    }

    /// Two terms, added to what is there or not.
    fn check<T: Real>(rows: usize, columns: usize, depth: usize, transposed: bool) {
        let lhs = [integers::<T>(rows * depth, 1), integers(rows * depth, 2)];
        let rhs = [integers::<T>(depth * columns, 3), integers(depth * columns, 4)];
        let start = integers::<T>(rows * columns, 5);
        let at = |i: usize, k: usize| if transposed { k * rows + i } else { i * depth + k };
        let of = |term: usize, i: usize, j: usize| -> T { (0..depth).map(|k| lhs[term][at(i, k)] * rhs[term][k * columns + j]).sum() };
        let sum: Vec<T> = (0..rows * columns).map(|at| of(0, at / columns, at % columns) + of(1, at / columns, at % columns)).collect();
        let lhs = lhs.map(|lhs| Panels::new(&lhs, if transposed { rows } else { depth }));
        let rhs = rhs.map(|rhs| Panels::new(&rhs, columns));
        let terms = [0, 1].map(|i| Term { lhs: lhs[i].view(), rhs: rhs[i].view() });
        for found in [Found::Lost, Found::Kept] {
            let mut out = Panels::new(&start, columns);
            (if transposed { multiply_transposed } else { multiply })(&mut out, found, &terms);
            let expected: Vec<T> = sum.iter().zip(&start).map(|(&sum, &x)| if found == Found::Kept { x + sum } else { sum }).collect();
            assert_eq!(out.to_rows(), expected, "{rows} × {columns} × {depth}, transposed: {transposed}, {found:?}");
        }
    }

    #[test]
    fn products_of_every_shape_are_exact_on_integers() {
        for (rows, columns, depth) in
            [(1, 1, 1), (5, 10, 3), (6, 16, 4), (13, 37, 9), (60, 64, 10), (31, 33, 70), (12, 8, 600), (2, 3, 257)]
        {
            for transposed in [false, true] {
                check::<f32>(rows, columns, depth, transposed);
                check::<f64>(rows, columns, depth, transposed);
            }
        }
    }

    /// The same product with every set of instructions that is tried: exact on integers, so the bits agree.
    #[test]
    fn so_they_are_without_vector_instructions() {
        let (lhs, rhs) = (integers::<f32>(31 * 70, 1), integers::<f32>(70 * 33, 2));
        let (lhs, rhs) = (Panels::new(&lhs, 70), Panels::new(&rhs, 33));
        let term = Term { lhs: lhs.view(), rhs: rhs.view() };
        let [mut out, mut scalar] = [(); 2].map(|()| Panels::new(&[0.0; 31 * 33], 33));
        multiply(&mut out, Found::Lost, &[term]);
        Block::<_, false> { out: &mut scalar, found: Found::Lost, parts: &[Part { term, depth: 0..70 }] }.with_simd(pulp::Scalar::new());
        assert_eq!(out.to_rows(), scalar.to_rows());
        let (lhs, rhs) = (Panels::new(&integers::<f64>(70 * 31, 1), 31), Panels::new(&integers::<f64>(70 * 33, 2), 33));
        let term = Term { lhs: lhs.view(), rhs: rhs.view() };
        let [mut out, mut scalar] = [(); 2].map(|()| Panels::new(&[0.0; 31 * 33], 33));
        multiply_transposed(&mut out, Found::Lost, &[term]);
        Block::<_, true> { out: &mut scalar, found: Found::Lost, parts: &[Part { term, depth: 0..70 }] }.with_simd(pulp::Scalar::new());
        assert_eq!(out.to_rows(), scalar.to_rows());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn shapes_must_fit() {
        let (lhs, rhs) = (Panels::new(&[0.0_f64; 6], 3), Panels::new(&[0.0; 4], 2));
        multiply(&mut Panels::new(&[0.0; 4], 2), Found::Lost, &[Term { lhs: lhs.view(), rhs: rhs.view() }]);
    }
}
