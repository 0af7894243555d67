//! Matrices in panels, the one order of numbers that all products read and write.
//!
//! A key design decision: nothing is copied into another order for a product. A library for any product first packs its operands, so
//! that its innermost loop reads them one after another; here all arrays lie in that order from the beginning. A panel is as wide as a
//! cache line of single precision, and holds its columns row by row. What a product writes is then what the next one reads, on either side:
//! [samples, units] is the left operand of the forward and the backward pass, and both operands of the weights'. The weights are packed once
//! for a job, and once for each direction of a product.

use std::slice::{ChunksExact, ChunksExactMut};

use crate::numeric::Real;

/// Columns of a panel.
pub(super) const LANES: usize = 16;

/// One row of a panel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line<T>(pub(super) [T; LANES]);

/// A matrix in panels of 16 columns, one after another, each row by row; the last one is filled up with zeros.
#[derive(Clone, Debug, Default)]
pub struct Panels<T> {
    lines: Vec<Line<T>>,
    rows: usize,
    columns: usize,
}

/// A matrix in panels that is read, all of its columns or some.
#[derive(Clone, Copy, Debug)]
pub struct PanelsView<'a, T> {
    pub(super) lines: &'a [Line<T>],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<T: Real> Panels<T> {
    /// The matrix of `columns` columns stored in `values` row by row.
    ///
    /// # Panics
    /// Where `values` are no whole rows.
    pub fn new(values: &[T], columns: usize) -> Self {
        let mut panels = Self::default();
        panels.pack(values, columns);
        panels
    }

    /// How many numbers a `rows` × `columns` matrix takes.
    pub(super) const fn count(rows: usize, columns: usize) -> usize {
        rows * columns.next_multiple_of(LANES)
    }

    /// Bytes of the panels.
    pub(super) fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line<T>>()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Every panel's rows.
    pub(super) fn panels(&self) -> ChunksExact<'_, Line<T>> {
        self.view().panels()
    }

    /// Every panel's rows, to be written. What is written behind the last column is to be 0.
    pub(super) fn panels_mut(&mut self) -> ChunksExactMut<'_, Line<T>> {
        self.lines.chunks_exact_mut(self.rows.max(1))
    }

    /// All numbers in the order in which they lie, with the zeros behind the last column.
    pub(super) fn numbers(&self) -> &[T] {
        // SAFETY: a line is 16 numbers and nothing else.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LANES) }
    }

    /// The same, to be written. What is written behind the last column is to be 0.
    pub(super) fn numbers_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LANES) }
    }

    /// The whole matrix.
    pub fn view(&self) -> PanelsView<'_, T> {
        PanelsView { lines: &self.lines, rows: self.rows, columns: self.columns }
    }

    /// Makes this a `rows` × `columns` matrix of zeros.
    pub fn reset(&mut self, rows: usize, columns: usize) {
        self.lines.clear();
        self.resize(rows, columns);
    }

    /// Makes this a `rows` × `columns` matrix; of any numbers where it was one before, else of zeros.
    pub(super) fn resize(&mut self, rows: usize, columns: usize) {
        if (self.rows, self.columns) != (rows, columns) {
            (self.rows, self.columns) = (rows, columns);
            self.lines.clear();
        }
        let len = rows * columns.div_ceil(LANES);
        self.lines.reserve_exact(len - self.lines.len());
        self.lines.resize(len, Line([T::ZERO; LANES]));
    }

    /// Makes this the matrix of `columns` columns stored in `values` row by row.
    pub(super) fn pack(&mut self, values: &[T], columns: usize) {
        assert!(values.len().is_multiple_of(columns), "{} numbers are no rows of {columns}", values.len());
        self.resize(values.len() / columns, columns);
        let rows = self.rows;
        for (i, row) in values.chunks_exact(columns).enumerate() {
            for (panel, part) in row.chunks(LANES).enumerate() {
                self.lines[panel * rows + i].0[..part.len()].copy_from_slice(part);
            }
        }
    }

    /// Makes this the transpose of the matrix of `columns` columns stored in `values` row by row.
    pub(super) fn pack_transposed(&mut self, values: &[T], columns: usize) {
        assert!(values.len().is_multiple_of(columns), "{} numbers are no rows of {columns}", values.len());
        self.resize(columns, values.len() / columns);
        for (lines, values) in self.lines.chunks_exact_mut(columns).zip(values.chunks(LANES * columns)) {
            match <[&[T]; LANES]>::try_from(values.chunks_exact(columns).collect::<Vec<_>>()) {
                Ok(rows) => {
                    for (i, line) in lines.iter_mut().enumerate() {
                        line.0 = rows.map(|row| row[i]);
                    }
                }
                Err(rows) => {
                    for (j, row) in rows.into_iter().enumerate() {
                        lines.iter_mut().zip(row).for_each(|(line, &number)| line.0[j] = number);
                    }
                }
            }
        }
    }

    /// `row` ← row number `i`.
    pub(super) fn read_row(&self, i: usize, row: &mut [T]) {
        for (lines, part) in self.panels().zip(row.chunks_mut(LANES)) {
            part.copy_from_slice(&lines[i].0[..part.len()]);
        }
    }

    /// Row number `i` ← `row`.
    pub(super) fn write_row(&mut self, i: usize, row: &[T]) {
        for (lines, part) in self.panels_mut().zip(row.chunks(LANES)) {
            lines[i].0[..part.len()].copy_from_slice(part);
        }
    }

    /// `values` ← the numbers row by row.
    pub(super) fn read_rows(&self, values: &mut Vec<T>) {
        values.resize(self.rows * self.columns, T::ZERO);
        values.chunks_exact_mut(self.columns).enumerate().for_each(|(i, row)| self.read_row(i, row));
    }

    /// The numbers row by row.
    pub(super) fn to_rows(&self) -> Vec<T> {
        let mut values = Vec::new();
        self.read_rows(&mut values);
        values
    }

    /// `out`, row by row, += the matrix.
    pub(super) fn add_to(&self, out: &mut [T]) {
        for (i, row) in out.chunks_exact_mut(self.columns).enumerate() {
            for (lines, part) in self.panels().zip(row.chunks_mut(LANES)) {
                part.iter_mut().zip(lines[i].0).for_each(|(out, number)| *out += number);
            }
        }
    }

    /// `out`, row by row, += the transpose of the matrix.
    pub(super) fn add_transposed_to(&self, out: &mut [T]) {
        for (lines, out) in self.panels().zip(out.chunks_mut(LANES * self.rows)) {
            for (j, out) in out.chunks_exact_mut(self.rows).enumerate() {
                out.iter_mut().zip(lines).for_each(|(out, line)| *out += line.0[j]);
            }
        }
    }

    /// Itself + `other`, a matrix of the same shape.
    pub(super) fn add(&mut self, other: &Self) {
        self.numbers_mut().iter_mut().zip(other.numbers()).for_each(|(number, &other)| *number += other);
    }
}

impl<'a, T> PanelsView<'a, T> {
    /// Every panel's rows.
    pub(super) fn panels(self) -> ChunksExact<'a, Line<T>> {
        self.lines.chunks_exact(self.rows.max(1))
    }

    /// `count` columns from column `first` on, the first one of a panel.
    ///
    /// # Panics
    /// Where there are not as many, or none is.
    #[must_use]
    pub(super) fn columns(self, first: usize, count: usize) -> Self {
        assert!(first.is_multiple_of(LANES) && first + count <= self.columns, "columns {first} to {} of {}", first + count, self.columns);
        let lines = &self.lines[first / LANES * self.rows..][..count.div_ceil(LANES) * self.rows];
        Self { lines, rows: self.rows, columns: count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_pack_and_to_unpack_agree_with_rows() {
        for (rows, columns) in [(1, 1), (3, 16), (16, 3), (5, 17), (33, 40)] {
            let values: Vec<f64> = (0..rows * columns).map(|at| f64::from(u32::try_from(at).unwrap())).collect();
            let transposed: Vec<f64> = (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect();
            let (mut packed, mut packed_transposed) = (Panels::new(&values, columns), Panels::default());
            packed_transposed.pack_transposed(&transposed, rows);
            assert_eq!(packed.to_rows(), values, "{rows} × {columns}");
            assert_eq!(packed_transposed.to_rows(), values, "{rows} × {columns}, transposed");
            let sum = |at: usize| packed.panels().nth(at / LANES).unwrap()[rows - 1].0[at % LANES];
            assert!((columns..columns.next_multiple_of(LANES)).all(|at| sum(at) == 0.0), "{rows} × {columns} is filled up with zeros");
            let (mut out, mut out_transposed) = (values.clone(), transposed.clone());
            packed.add_to(&mut out);
            packed.add_transposed_to(&mut out_transposed);
            assert!(out.iter().zip(&values).all(|(out, x)| *out == 2.0 * x), "{rows} × {columns}, added");
            assert!(out_transposed.iter().zip(&transposed).all(|(out, x)| *out == 2.0 * x), "{rows} × {columns}, added transposed");
            let row = vec![7.0; columns];
            packed.write_row(rows - 1, &row);
            assert_eq!(packed.to_rows()[(rows - 1) * columns..], row);
        }
    }

    #[test]
    fn some_columns_are_panels_of_their_own() {
        let values: Vec<f32> = (0..3 * 40_u8).map(f32::from).collect();
        let panels = Panels::new(&values, 40);
        let part = panels.view().columns(16, 20);
        assert_eq!((part.lines.len(), part.lines[2].0[1]), (2 * 3, values[2 * 40 + 17]));
    }
}
