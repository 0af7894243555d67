//! The whole matrix, all its eigenvalues, and what follows from them.

use faer::{Mat, Side};

use crate::backend::reference::{Columns, ReferenceSpace};
use crate::error::{Error, Result};
use crate::estimate::Products;
use crate::krylov::{LinearOperator, VectorSpace as _};

/// H by n products, made symmetric.
pub(in super::super) fn form<A: LinearOperator>(operator: &A, columns: usize, progress: impl Fn(u64)) -> Result<Mat<f64>> {
    let dim = operator.space().dim();
    let products = Products::new(operator, columns, &|_| {});
    let mut matrix = Mat::zeros(dim, dim);
    for first in (0..dim).step_by(columns) {
        let width = columns.min(dim - first);
        let units = Mat::from_fn(dim, width, |i, j| f64::from(u8::from(i == first + j)));
        matrix.subcols_mut(first, width).copy_from(products.apply(units.as_ref())?);
        progress((first + width) as u64);
    }
    Ok(Mat::from_fn(dim, dim, |i, j| 0.5 * (matrix[(i, j)] + matrix[(j, i)])))
}

/// All eigenvalues.
#[derive(Clone, Debug)]
pub(in super::super) struct Spectrum {
    /// Ascending.
    eigenvalues: Vec<f64>,
}

impl Spectrum {
    pub(in super::super) fn of(matrix: &Mat<f64>) -> Result<Self> {
        let eigenvalues = matrix
            .self_adjoint_eigenvalues(Side::Lower)
            .map_err(|error| Error::NonFinite(format!("the eigenvalues of {} parameters do not converge: {error:?}", matrix.nrows())))?;
        Ok(Self::new(eigenvalues))
    }

    pub(super) fn new(mut eigenvalues: Vec<f64>) -> Self {
        eigenvalues.sort_by(f64::total_cmp);
        Self { eigenvalues }
    }

    pub(in super::super) fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// Of |H|.
    pub(super) fn magnitudes(&self) -> Self {
        Self::new(self.eigenvalues.iter().map(|value| value.abs()).collect())
    }

    pub(super) fn sum(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.eigenvalues.iter().map(|&value| f(value)).sum()
    }

    /// The largest magnitude.
    pub(super) fn norm(&self) -> f64 {
        self.eigenvalues.iter().fold(0.0, |norm: f64, value| norm.max(value.abs()))
    }

    /// The share of eigenvalues ≤ x.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    pub(super) fn cdf(&self, x: f64) -> f64 {
        self.eigenvalues.partition_point(|&value| value <= x) as f64 / self.eigenvalues.len() as f64
    }

    /// Places to judge a distribution at: as many equidistant ones as between neighbours at equidistant ranks.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    pub(super) fn points(&self, count: usize) -> Vec<f64> {
        let (first, last) = (self.eigenvalues[0], self.eigenvalues[self.eigenvalues.len() - 1]);
        let even = (0..count).map(|i| first + (last - first) * (i as f64 + 0.5) / count as f64);
        let ranked = (0..count).map(|i| {
            let at = i * (self.eigenvalues.len() - 1) / count;
            0.5 * (self.eigenvalues[at] + self.eigenvalues[at + 1])
        });
        let mut points: Vec<f64> = even.chain(ranked).collect();
        points.sort_by(f64::total_cmp);
        points
    }

    /// ∫ |F̂ − F| dx for the measure with the atoms `nodes` of `weights`, over the spectrum's width.
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    pub(super) fn wasserstein(&self, nodes: impl Iterator<Item = (f64, f64)>) -> f64 {
        let share = (self.eigenvalues.len() as f64).recip();
        let mut steps: Vec<(f64, f64)> = nodes.chain(self.eigenvalues.iter().map(|&value| (value, -share))).collect();
        steps.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut difference = 0.0;
        let area: f64 = steps
            .windows(2)
            .map(|pair| {
                difference += pair[0].1;
                f64::abs(difference) * (pair[1].0 - pair[0].0)
            })
            .sum();
        area / (self.eigenvalues[self.eigenvalues.len() - 1] - self.eigenvalues[0])
    }
}

/// An operator whose matrix is known.
pub(super) struct Known {
    space: ReferenceSpace,
    matrix: Matrix,
}

enum Matrix {
    Diagonal(Vec<f64>),
    Dense(Mat<f64>),
}

impl Known {
    pub(super) fn diagonal(spectrum: &Spectrum) -> Self {
        let eigenvalues = spectrum.eigenvalues.clone();
        Self { space: ReferenceSpace::new(eigenvalues.len()), matrix: Matrix::Diagonal(eigenvalues) }
    }

    pub(super) fn dense(matrix: Mat<f64>) -> Self {
        Self { space: ReferenceSpace::new(matrix.nrows()), matrix: Matrix::Dense(matrix) }
    }

    /// The exact diagonal.
    pub(super) fn diagonal_elements(&self) -> Vec<f64> {
        match &self.matrix {
            Matrix::Diagonal(elements) => elements.clone(),
            Matrix::Dense(matrix) => (0..matrix.nrows()).map(|i| matrix[(i, i)]).collect(),
        }
    }
}

impl LinearOperator for Known {
    type Space = ReferenceSpace;

    fn space(&self) -> &ReferenceSpace {
        &self.space
    }

    fn apply(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        match &self.matrix {
            Matrix::Diagonal(elements) => {
                for (x, y) in x.iter().zip(y) {
                    y.iter_mut().zip(x.iter().zip(elements)).for_each(|(y, (x, element))| *y = x * element);
                }
            }
            Matrix::Dense(matrix) => {
                let product = matrix * Mat::from_fn(self.space.dim(), x.len(), |i, j| x[j][i]);
                for (j, y) in y.iter_mut().enumerate() {
                    y.copy_from_slice(product.col_as_slice(j));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    #[test]
    fn a_matrix_is_formed_and_its_spectrum_known() {
        let operator = MatrixOperator::dense(3, vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, -1.0]);
        let matrix = form(&operator, 2, |_| {}).unwrap();
        assert_eq!((matrix[(0, 1)], matrix[(2, 2)], matrix[(0, 2)]), (1.0, -1.0, 0.0));
        let spectrum = Spectrum::of(&matrix).unwrap();
        assert!(spectrum.eigenvalues().iter().zip([-1.0, 1.0, 3.0]).all(|(found, exact)| (found - exact).abs() < 1e-14));
        assert_eq!([-2.0, 0.0, 2.0, 4.0].map(|x| spectrum.cdf(x)), [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        // Moving a third of the mass by 1 of a width of 4.
        let moved = [(-1.0, 1.0 / 3.0), (2.0, 1.0 / 3.0), (3.0, 1.0 / 3.0)];
        assert!((spectrum.wasserstein(moved.into_iter()) - 1.0 / 12.0).abs() < 1e-14);
        let known = Known::dense(matrix);
        let mut y = vec![vec![0.0; 3]];
        known.apply(&vec![vec![1.0, 0.0, 1.0]], &mut y).unwrap();
        assert_eq!((y[0].clone(), known.diagonal_elements()), (vec![2.0, 1.0, -1.0], vec![2.0, 2.0, -1.0]));
    }
}
