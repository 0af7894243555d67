//! Matrix products: a safe, checked face of the `gemm` crate, and of our own kernel where that is faster.
//!
//! A key design decision: operands are views with strides, so that a transpose costs nothing and both products of a pass go into
//! one accumulator ([`assign_sum`]). A product runs on the thread that asks for it: the callers share out
//! whole products, so that no thread waits inside one and the order of its sums depends on the shapes alone.

use gemm::{Parallelism, gemm};

use super::small::{self, Strided, Term};
use crate::numeric::Real;

/// A matrix that is read: `rows` × `columns` numbers, element (i, j) at `i·row_stride + j·column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    values: &'a [T],
    shape: Shape,
}

/// A matrix that is written: `rows` × `columns` numbers, row by row.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    values: &'a mut [T],
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Shape {
    /// Rows of `columns` numbers each, one after another.
    fn row_major(rows: usize, columns: usize, len: usize) -> Self {
        assert_eq!(rows.checked_mul(columns), Some(len), "a {rows} × {columns} matrix has not {len} elements");
        Self { rows, columns, row_stride: columns, column_stride: 1 }
    }
}

impl<'a, T> View<'a, T> {
    /// The matrix stored in `values` row by row.
    ///
    /// # Panics
    /// Where `values` has not `rows`·`columns` elements.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self { values, shape: Shape::row_major(rows, columns, values.len()) }
    }

    /// `count` columns from column `first` on.
    ///
    /// # Panics
    /// Where there are not as many.
    #[must_use]
    pub fn columns(self, first: usize, count: usize) -> Self {
        let Shape { rows, columns, column_stride, .. } = self.shape;
        assert!(first + count <= columns, "columns {first} to {} of {columns}", first + count);
        let start = if rows == 0 { 0 } else { first * column_stride };
        Self { values: &self.values[start..], shape: Shape { columns: count, ..self.shape } }
    }

    /// Rows and columns.
    pub fn extents(&self) -> (usize, usize) {
        (self.shape.rows, self.shape.columns)
    }

    /// Element (`row`, `column`).
    #[inline]
    pub fn at(&self, row: usize, column: usize) -> T
    where
        T: Copy,
    {
        self.values[row * self.shape.row_stride + column * self.shape.column_stride]
    }

    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let Shape { rows, columns, row_stride, column_stride } = self.shape;
        let shape = Shape { rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride };
        Self { values: self.values, shape }
    }
}

impl<'a, T> ViewMut<'a, T> {
    /// The matrix stored in `values` row by row.
    ///
    /// # Panics
    /// Where `values` has not `rows`·`columns` elements.
    pub fn new(values: &'a mut [T], rows: usize, columns: usize) -> Self {
        let shape = Shape::row_major(rows, columns, values.len());
        Self { values, shape }
    }
}

/// A product of two matrices, left and right.
pub type Pair<'a, T> = (View<'a, T>, View<'a, T>);

/// `out` ← `lhs` · `rhs`.
///
/// # Panics
/// Where the shapes do not fit.
pub fn assign_product<T: Real>(out: ViewMut<'_, T>, lhs: View<'_, T>, rhs: View<'_, T>) {
    sum(out, false, &[(lhs, rhs)]);
}

/// `out` ← `out` + `lhs` · `rhs`.
///
/// # Panics
/// Where the shapes do not fit.
pub fn add_product<T: Real>(out: ViewMut<'_, T>, lhs: View<'_, T>, rhs: View<'_, T>) {
    sum(out, true, &[(lhs, rhs)]);
}

/// `out` ← the sum of both products.
///
/// # Panics
/// Where the shapes do not fit.
pub fn assign_sum<T: Real>(out: ViewMut<'_, T>, pairs: [Pair<'_, T>; 2]) {
    sum(out, false, &pairs);
}

/// `out` ← Σ pairs, and `out` where it is `kept`.
fn sum<T: Real>(out: ViewMut<'_, T>, kept: bool, pairs: &[Pair<'_, T>]) {
    let (m, n) = (out.shape.rows, out.shape.columns);
    for (lhs, rhs) in pairs {
        assert!(
            lhs.shape.rows == m && rhs.shape.rows == lhs.shape.columns && rhs.shape.columns == n,
            "product of {} × {} and {} × {} does not fit {m} × {n}",
            lhs.shape.rows,
            lhs.shape.columns,
            rhs.shape.rows,
            rhs.shape.columns
        );
    }
    let is_small = |(_, rhs): &Pair<'_, T>| rhs.shape.column_stride == 1 && small::suits::<T>(rhs.shape.rows, rhs.shape.row_stride);
    match *pairs {
        [pair] if is_small(&pair) => small(out, kept, &[pair]),
        [a, b] if is_small(&a) && is_small(&b) => small(out, kept, &[a, b]),
        _ => large(out, kept, pairs),
    }
}

/// [`sum`] without packing; all right operands lie row by row.
fn small<T: Real, const P: usize>(out: ViewMut<'_, T>, kept: bool, pairs: &[Pair<'_, T>; P]) {
    let strided = |view: &View<'_, T>| Strided {
        first: view.values.as_ptr(),
        row_stride: view.shape.row_stride,
        column_stride: view.shape.column_stride,
    };
    let terms = pairs.each_ref().map(|(lhs, rhs)| Term { lhs: strided(lhs), rhs: strided(rhs), depth: rhs.shape.rows });
    // SAFETY: a view begins as a slice of exactly rows·columns elements with the strides (columns, 1); exchanging rows and columns, or
    // leaving out columns and the elements before the first that is kept, keeps the following true: every index i·row_stride +
    // j·column_stride with i and j inside the shape lies inside the slice. The shapes fit, asserted in `sum`. `out` is row by row, and
    // borrowed mutably, so it overlaps no operand.
    unsafe { small::sum(out.shape.rows, out.shape.columns, &terms, out.values.as_mut_ptr(), kept) }
}

/// [`sum`], one product after another.
fn large<T: Real>(out: ViewMut<'_, T>, mut kept: bool, pairs: &[Pair<'_, T>]) {
    for (lhs, rhs) in pairs {
        let keep = if kept { T::ONE } else { T::ZERO };
        // SAFETY: as in `small`. `Real` is sealed: T is f32 or f64, which `gemm` supports.
        unsafe {
            gemm(
                out.shape.rows,
                out.shape.columns,
                rhs.shape.rows,
                out.values.as_mut_ptr(),
                out.shape.column_stride.cast_signed(),
                out.shape.row_stride.cast_signed(),
                kept,
                lhs.values.as_ptr(),
                lhs.shape.column_stride.cast_signed(),
                lhs.shape.row_stride.cast_signed(),
                rhs.values.as_ptr(),
                rhs.shape.column_stride.cast_signed(),
                rhs.shape.row_stride.cast_signed(),
                keep,
                T::ONE,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        kept = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: every sum is exact, so any order gives the same bits.
    fn integers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| f32::from(u8::try_from((i * 7 + seed * 13) % 11).unwrap()) - 5.0).collect()
    }

    #[test]
    fn products_of_every_shape_and_orientation_are_exact_on_integers() {
        for (m, n, k) in [(1, 1, 1), (3, 17, 5), (1, 40, 33), (64, 10, 100), (10, 64, 100), (33, 65, 2), (130, 70, 300)] {
            let (a, b) = (integers(m * k, 1), integers(k * n, 2));
            let a_transposed: Vec<_> = (0..m * k).map(|at| a[at % m * k + at / m]).collect();
            let b_transposed: Vec<_> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
            let expected: Vec<f32> = (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum()).collect();
            for lhs in [View::new(&a, m, k), View::new(&a_transposed, k, m).transposed()] {
                for rhs in [View::new(&b, k, n), View::new(&b_transposed, n, k).transposed()] {
                    let mut out = vec![f32::NAN; m * n];
                    assign_product(ViewMut::new(&mut out, m, n), lhs, rhs);
                    assert_eq!(out, expected, "{m} × {n} × {k}");
                    add_product(ViewMut::new(&mut out, m, n), lhs, rhs);
                    assert!(out.iter().zip(&expected).all(|(x, y)| *x == 2.0 * y), "{m} × {n} × {k}, added");
                    assign_sum(ViewMut::new(&mut out, m, n), [(lhs, rhs), (lhs, rhs)]);
                    assert!(out.iter().zip(&expected).all(|(x, y)| *x == 2.0 * y), "{m} × {n} × {k}, both");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn shapes_must_fit() {
        let mut out = [0.0_f64; 4];
        assign_product(ViewMut::new(&mut out, 2, 2), View::new(&[0.0; 6], 2, 3), View::new(&[0.0; 4], 2, 2));
    }
}
