//! Sums of products of small matrices.
//!
//! A key design decision: nothing is packed. A library for products of any size first copies its operands into an order that suits its
//! caches and registers; where the right operand fits the first-level cache and lies there row by row, that copy is a fifth of the time.
//! Tiles of the result stay in registers over all terms of the sum, and are written once.

use std::array;

use pulp::{Arch, MemMask, Simd, WithSimd};

use crate::numeric::{Precision, Real};

/// Rows of a tile: with two vectors a row, twelve of the sixteen vector registers that there are at least. (Four vectors a row where there
/// are 32 registers were half as fast: the compiler does not keep them there.)
const ROWS: usize = 6;

/// Most bytes of a right operand. Beyond, the copy pays: its rows are too far apart for the first-level cache to hold a column of tiles.
const RHS_BYTES: usize = 64 << 10;

/// A matrix by its first element: (i, j) lies `i·row_stride + j·column_stride` elements behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strided<T> {
    pub(super) first: *const T,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

/// `lhs` · `rhs` over `depth` columns of the one and rows of the other, whose rows are contiguous.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term<T> {
    pub(super) lhs: Strided<T>,
    pub(super) rhs: Strided<T>,
    pub(super) depth: usize,
}

/// Whether [`sum`] is the fast way for a right operand of `rows` × `columns` numbers.
pub(super) const fn suits<T>(rows: usize, columns: usize) -> bool {
    rows * columns * size_of::<T>() <= RHS_BYTES
}

/// `out` ← Σ terms, and `out` too where it is `kept`: `rows` × `columns` numbers row by row.
///
/// Every element is summed term by term in the order of the depth, whatever its place in a tile, and what is kept is added last.
///
/// # Safety
/// Every element of each term's operands can be read and of `out` written, and `out` overlaps none of them.
pub(super) unsafe fn sum<T: Real>(rows: usize, columns: usize, terms: &[Term<T>], out: *mut T, kept: bool) {
    let arch = Arch::new();
    match T::PRECISION {
        // SAFETY: `Real` is sealed: with this precision T is f32.
        Precision::F32 => arch.dispatch(Sum { rows, columns, terms: unsafe { cast::<T, f32>(terms) }, out: out.cast(), kept }),
        // SAFETY: as above, f64.
        Precision::F64 => arch.dispatch(Sum { rows, columns, terms: unsafe { cast::<T, f64>(terms) }, out: out.cast(), kept }),
    }
}

/// # Safety
/// T and U are the same type.
unsafe fn cast<T, U>(terms: &[Term<T>]) -> &[Term<U>] {
    // SAFETY: the same type.
    unsafe { std::slice::from_raw_parts(terms.as_ptr().cast(), terms.len()) }
}

/// What is compiled once for each set of vector instructions, and chosen at run time.
struct Sum<'a, T> {
    rows: usize,
    columns: usize,
    terms: &'a [Term<T>],
    out: *mut T,
    kept: bool,
}

impl<T: Lanes> WithSimd for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = T::count::<S>();
        let whole = self.columns - self.columns % (2 * lanes);
        for column in (0..whole).step_by(2 * lanes) {
            self.column_of_tiles::<S, 2, false>(simd, column);
        }
        match self.columns - whole {
            0 => {}
            left if left <= lanes => self.column_of_tiles::<S, 1, true>(simd, whole),
            _ => self.column_of_tiles::<S, 2, true>(simd, whole),
        }
    }
}

impl<T: Lanes> Sum<'_, T> {
    #[inline(always)]
    fn column_of_tiles<S: Simd, const V: usize, const EDGE: bool>(&self, simd: S, column: usize) {
        let whole = self.rows - self.rows % ROWS;
        for row in (0..whole).step_by(ROWS) {
            self.tile::<S, ROWS, V, EDGE>(simd, row, column);
        }
        match self.rows - whole {
            1 => self.tile::<S, 1, V, EDGE>(simd, whole, column),
            2 => self.tile::<S, 2, V, EDGE>(simd, whole, column),
            3 => self.tile::<S, 3, V, EDGE>(simd, whole, column),
            4 => self.tile::<S, 4, V, EDGE>(simd, whole, column),
            5 => self.tile::<S, 5, V, EDGE>(simd, whole, column),
            _ => {}
        }
    }

    /// `R` rows of `V` vectors from (`row`, `column`) on; at the `EDGE` of the result as much of them as there is.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const EDGE: bool>(&self, simd: S, row: usize, column: usize) {
        let lanes = T::count::<S>();
        let masks: [_; V] = array::from_fn(|v| T::first::<S>(simd, self.columns.saturating_sub(column + v * lanes).min(lanes)));
        // SAFETY: the caller of `sum` vouches for all elements. The rows from `row` to `row + R` and, where this is no edge, the columns
        // from `column` to `column + V·lanes` are inside `out` and the operands; at an edge the masks leave out those that are not.
        unsafe {
            let out = self.out.add(row * self.columns + column);
            let load = |from: *const T| -> [T::Vector<S>; V] {
                array::from_fn(|v| T::load::<S, EDGE>(simd, masks[v], from.wrapping_add(v * lanes)))
            };
            let mut sums = [[T::splat(simd, T::ZERO); V]; R];
            for Term { lhs, rhs, depth } in self.terms {
                let (mut left, mut right) = (lhs.first.add(row * lhs.row_stride), rhs.first.add(column));
                for _ in 0..*depth {
                    let vectors = load(right);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let factor = T::splat(simd, *left.add(r * lhs.row_stride));
                        for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                            *sum = T::fused(simd, factor, vector, *sum);
                        }
                    }
                    left = left.wrapping_add(lhs.column_stride);
                    right = right.wrapping_add(rhs.row_stride);
                }
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                if self.kept {
                    // Last: the terms are then rounded to the size of their own sum, not to that of all before.
                    let before = load(out.add(r * self.columns));
                    sums.iter_mut().zip(before).for_each(|(sum, before)| *sum = T::fused(simd, T::splat(simd, T::ONE), before, *sum));
                }
                for v in 0..V {
                    T::store::<S, EDGE>(simd, masks[v], out.wrapping_add(r * self.columns + v * lanes), sums[v]);
                }
            }
        }
    }
}

/// A number that vector registers hold.
trait Lanes: Real {
    type Vector<S: Simd>: Copy;
    type Mask<S: Simd>: Copy;

    /// Numbers of a vector.
    fn count<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }

    /// The first `count` numbers of a vector.
    fn first<S: Simd>(simd: S, count: usize) -> Self::Mask<S>;
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;

    /// A vector, or those of its numbers that the mask names where it is `MASKED`.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load<S: Simd, const MASKED: bool>(simd: S, mask: Self::Mask<S>, from: *const Self) -> Self::Vector<S>;

    /// # Safety
    /// As many can be written.
    unsafe fn store<S: Simd, const MASKED: bool>(simd: S, mask: Self::Mask<S>, to: *mut Self, vector: Self::Vector<S>);
}

macro_rules! lanes {
    ($number:ty, $vector:ident, $mask:ident, $count:ty, $first:ident, $splat:ident, $mul_add:ident, $load:ident, $store:ident) => {
        impl Lanes for $number {
            type Vector<S: Simd> = S::$vector;
            type Mask<S: Simd> = MemMask<S::$mask>;

            #[inline(always)]
            fn first<S: Simd>(simd: S, count: usize) -> Self::Mask<S> {
                // The mask alone: with what pulp adds to it each load in the innermost loop would be a call of a function.
                MemMask::new(simd.$first(0, <$count>::try_from(count).unwrap_or(<$count>::MAX)).mask())
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S> {
                simd.$splat(value)
            }

            // Fused where the processor has it: elsewhere that would be a call of a library function.
            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S> {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            unsafe fn load<S: Simd, const MASKED: bool>(simd: S, mask: Self::Mask<S>, from: *const Self) -> Self::Vector<S> {
                // SAFETY: the caller's.
                unsafe { if MASKED { simd.$load(mask, from) } else { from.cast::<S::$vector>().read_unaligned() } }
            }

            #[inline(always)]
            unsafe fn store<S: Simd, const MASKED: bool>(simd: S, mask: Self::Mask<S>, to: *mut Self, vector: Self::Vector<S>) {
                // SAFETY: the caller's.
                unsafe { if MASKED { simd.$store(mask, to, vector) } else { to.cast::<S::$vector>().write_unaligned(vector) } }
            }
        }
    };
}

lanes!(f32, f32s, m32s, u32, mask_between_m32s, splat_f32s, mul_add_e_f32s, mask_load_ptr_f32s, mask_store_ptr_f32s);
lanes!(f64, f64s, m64s, u64, mask_between_m64s, splat_f64s, mul_add_e_f64s, mask_load_ptr_f64s, mask_store_ptr_f64s);

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: every sum is exact, so any order gives the same bits.
    fn integers<T: Real>(count: usize, seed: usize) -> Vec<T> {
        (0..count).map(|i| T::from_f64(f64::from(u8::try_from((i * 7 + seed * 13) % 11).unwrap()) - 5.0)).collect()
    }

    /// Two terms, the left operand of the second transposed, added to what is there.
    fn check<T: Lanes, S: Simd>(simd: S, rows: usize, columns: usize, depth: usize) {
        let (lhs, rhs, start) = (integers::<T>(rows * depth, 1), integers::<T>(depth * columns, 2), integers::<T>(rows * columns, 3));
        let strided = |values: &[T], row_stride, column_stride| Strided { first: values.as_ptr(), row_stride, column_stride };
        let rhs_term = strided(&rhs, columns, 1);
        let terms = [strided(&lhs, depth, 1), strided(&lhs, 1, rows)].map(|lhs| Term { lhs, rhs: rhs_term, depth });
        let product = |i: usize, j: usize, at: &dyn Fn(usize, usize) -> usize| -> T {
            (0..depth).map(|k| lhs[at(i, k)] * rhs[k * columns + j]).sum()
        };
        for kept in [false, true] {
            let mut out = start.clone();
            Sum { rows, columns, terms: &terms, out: out.as_mut_ptr(), kept }.with_simd(simd);
            for i in 0..rows {
                for j in 0..columns {
                    let both = product(i, j, &|i, k| i * depth + k) + product(i, j, &|i, k| k * rows + i);
                    let expected = if kept { start[i * columns + j] + both } else { both };
                    assert_eq!(out[i * columns + j], expected, "{rows} × {columns} × {depth} at ({i}, {j}), kept: {kept}");
                }
            }
        }
    }

    struct Everything;

    impl WithSimd for Everything {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            for (rows, columns, depth) in [(1, 1, 1), (5, 10, 3), (6, 16, 4), (13, 37, 9), (60, 64, 10), (2, 33, 70)] {
                check::<f32, S>(simd, rows, columns, depth);
                check::<f64, S>(simd, rows, columns, depth);
            }
        }
    }

    #[test]
    fn sums_of_every_shape_are_exact_on_integers() {
        Arch::new().dispatch(Everything);
    }

    #[test]
    fn so_they_are_without_vector_instructions() {
        Everything.with_simd(pulp::Scalar::new());
    }
}
