//! Products of an operator with matrices on the host, for estimates that need their algebra: QR, Gram matrices, single elements.
//!
//! A key design decision: these methods keep one or two vectors a probe, in double precision, where a mature library decomposes them,
//! and only products cross to the device. Probes are made on the host by the generator that every backend shares.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::krylov::{LinearOperator, Slot, VectorSpace as _};
use crate::rng::{self, Distribution};

/// What a probe is drawn from; every choice has E[v vᵀ] = I.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// ±1 with equal probability: no variance from the diagonal.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
    /// Uniform on the sphere of radius √n: a Gaussian without the spread of its length.
    Sphere,
}

impl Probe {
    /// What the generator draws, before any scaling.
    pub fn distribution(self) -> Distribution {
        match self {
            Self::Rademacher => Distribution::Rademacher,
            Self::Gaussian | Self::Sphere => Distribution::Gaussian,
        }
    }
}

/// An operator as a map of matrices on the host.
pub struct Products<'a, A> {
    operator: &'a A,
    columns: usize,
    observe: &'a dyn Fn(u64),
}

impl<A> Clone for Products<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Products<'_, A> {}

impl<'a, A: LinearOperator> Products<'a, A> {
    /// `columns` vectors are multiplied at once; `observe` hears how many a call brought.
    pub fn new(operator: &'a A, columns: usize, observe: &'a dyn Fn(u64)) -> Self {
        Self { operator, columns: columns.max(1), observe }
    }

    /// n.
    pub fn dim(&self) -> usize {
        self.operator.space().dim()
    }

    /// ε of the products.
    pub fn epsilon(&self) -> f64 {
        self.operator.space().precision().epsilon()
    }

    /// vᵀAv for up to `count` probes from number `first` on, at most a batch; on the sphere n·vᵀAv/vᵀv. The vectors stay where the
    /// operator computes, one readback fetches the forms.
    pub(super) fn quadratic_forms(&self, kind: Probe, seed: u64, first: usize, count: usize) -> Result<Vec<f64>> {
        let forms = self.operator.milestone("quadratic forms", || self.forms(kind, seed, first, self.columns.min(count)))?;
        (self.observe)(forms.len() as u64);
        Ok(forms)
    }

    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    fn forms(&self, kind: Probe, seed: u64, first: usize, columns: usize) -> Result<Vec<f64>> {
        let space = self.operator.space();
        let first = u32::try_from(first).map_err(|_| Error::Input(format!("more than {} probes", u32::MAX)))?;
        let (mut x, mut y, mut scalars) = (space.block(columns)?, space.block(columns)?, space.scalars(2, columns)?);
        space.fill(&mut x, kind.distribution(), seed, first)?;
        self.operator.apply(&x, &mut y)?;
        space.dot(&x, &y, &mut scalars, Slot(0))?;
        space.dot(&x, &x, &mut scalars, Slot(1))?;
        let values = space.read(&scalars)?;
        let (forms, squares) = values.split_at(columns);
        Ok(match kind {
            Probe::Rademacher | Probe::Gaussian => forms.to_vec(),
            Probe::Sphere => forms.iter().zip(squares).map(|(form, square)| self.dim() as f64 * form / square).collect(),
        })
    }

    /// A x.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a product is; device failure.
    pub fn apply(&self, x: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let space = self.operator.space();
        let mut product = Mat::zeros(x.nrows(), x.ncols());
        for first in (0..x.ncols()).step_by(self.columns) {
            let columns = self.columns.min(x.ncols() - first);
            let (mut operand, mut result) = (space.block(columns)?, space.block(columns)?);
            let values: Vec<f64> = (first..first + columns).flat_map(|column| x.col(column).iter().copied().collect::<Vec<_>>()).collect();
            space.upload(&values, &mut operand)?;
            self.operator.apply(&operand, &mut result)?;
            for (offset, values) in space.download(&result)?.chunks_exact(x.nrows()).enumerate() {
                if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                    return Err(Error::NonFinite(format!(
                        "product {} has {} at element {at}: check the weights and the data's scale",
                        first + offset,
                        values[at]
                    )));
                }
                product.col_mut(first + offset).iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            }
            (self.observe)(columns as u64);
        }
        Ok(product)
    }
}

/// Probes `first` ... `first + count − 1` of `seed`, one a column; those of a sphere have length √n.
#[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
pub(super) fn probes(kind: Probe, seed: u64, first: usize, count: usize, dim: usize) -> Result<Mat<f64>> {
    let mut matrix = Mat::zeros(dim, count);
    let mut values = vec![0.0; dim];
    for column in 0..count {
        let probe = u32::try_from(first + column).map_err(|_| Error::Input(format!("more than {} probes", u32::MAX)))?;
        rng::fill(kind.distribution(), seed, probe, &mut values);
        let scale = match kind {
            Probe::Sphere => (dim as f64 / values.iter().map(|x| x * x).sum::<f64>()).sqrt(),
            Probe::Rademacher | Probe::Gaussian => 1.0,
        };
        matrix.col_mut(column).iter_mut().zip(&values).for_each(|(to, from)| *to = scale * from);
    }
    Ok(matrix)
}

/// A QR decomposition that grows by columns: block Gram-Schmidt, twice, with Householder's QR of what is left (Barlow and Smoktunowicz
/// 2013), so that Q is orthonormal to rounding whatever the columns.
#[derive(Clone, Debug)]
pub(super) struct GrowingQr {
    pub(super) q: Mat<f64>,
    pub(super) r: Mat<f64>,
}

impl GrowingQr {
    pub(super) fn new(dim: usize) -> Self {
        Self { q: Mat::zeros(dim, 0), r: Mat::zeros(0, 0) }
    }

    /// Takes up the columns of `y`; Q's new ones are its last.
    pub(super) fn append(&mut self, y: &Mat<f64>) {
        let (old, new) = (self.q.ncols(), y.ncols());
        let first = self.q.transpose() * y;
        let qr = (y - &self.q * &first).qr();
        let (q, r) = (qr.compute_thin_Q(), qr.thin_R().to_owned());
        let second = self.q.transpose() * &q;
        let again = (&q - &self.q * &second).qr();
        let above = first + second * &r;
        let below = again.thin_R() * &r;
        self.q = beside(&self.q, &again.compute_thin_Q());
        self.r = Mat::from_fn(old + new, old + new, |i, j| match (i < old, j < old) {
            (true, true) => self.r[(i, j)],
            (true, false) => above[(i, j - old)],
            (false, true) => 0.0,
            (false, false) => below[(i - old, j - old)],
        });
    }

    /// Whether a column is, to rounding, a combination of the earlier ones.
    pub(super) fn is_deficient(&self) -> bool {
        let diagonal = |i: usize| self.r[(i, i)].abs();
        let largest = (0..self.r.ncols()).map(diagonal).fold(0.0, f64::max);
        (0..self.r.ncols()).any(|i| diagonal(i) <= 100.0 * f64::EPSILON * largest)
    }

    /// The unit vectors sᵢ with which Qsᵢ is the direction that column i alone adds: the normalized columns of R⁻ᵀ.
    pub(super) fn own_directions(&self) -> Mat<f64> {
        let size = self.r.ncols();
        let mut inverse = Mat::<f64>::identity(size, size);
        // Rᵀ is lower triangular: forward substitution, column by column.
        for column in 0..size {
            for i in column..size {
                let sum: f64 = (column..i).map(|k| self.r[(k, i)] * inverse[(k, column)]).sum();
                inverse[(i, column)] = (inverse[(i, column)] - sum) / self.r[(i, i)];
            }
            let norm = inverse.col(column).norm_l2();
            inverse.col_mut(column).iter_mut().for_each(|x| *x /= norm);
        }
        inverse
    }
}

/// [a, b].
pub(super) fn beside(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    let mut joined = Mat::zeros(b.nrows(), a.ncols() + b.ncols());
    joined.subcols_mut(0, a.ncols()).copy_from(a);
    joined.subcols_mut(a.ncols(), b.ncols()).copy_from(b);
    joined
}

/// xᵀy of two columns.
pub(super) fn dot(x: faer::ColRef<'_, f64>, y: faer::ColRef<'_, f64>) -> f64 {
    x.transpose() * y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_qr_is_a_qr() {
        let y = probes(Probe::Gaussian, 1, 0, 12, 60).unwrap();
        let mut growing = GrowingQr::new(60);
        growing.append(&y.subcols(0, 5).to_owned());
        growing.append(&y.subcols(5, 7).to_owned());
        let defect = (&growing.q * &growing.r - &y).norm_max();
        let orthogonality = (growing.q.transpose() * &growing.q - Mat::<f64>::identity(12, 12)).norm_max();
        assert!(defect < 1e-13 && orthogonality < 1e-14, "{defect} {orthogonality}");
        assert!(!growing.is_deficient());
        // Qsᵢ is orthogonal to all columns but the i-th.
        let cross = (&growing.q * growing.own_directions()).transpose() * &y;
        for (i, j) in (0..12).flat_map(|i| (0..12).map(move |j| (i, j))) {
            assert!(i == j || cross[(i, j)].abs() < 1e-12, "{i} {j}: {}", cross[(i, j)]);
        }
        growing.append(&y.subcols(3, 1).to_owned());
        assert!(growing.is_deficient());
        assert!((growing.q.transpose() * &growing.q - Mat::<f64>::identity(13, 13)).norm_max() < 1e-14);
    }

    #[test]
    fn sphere_probes_have_the_length_of_rademacher_ones() {
        let squares = |kind| {
            let x = probes(kind, 3, 7, 1, 50).unwrap();
            dot(x.col(0), x.col(0))
        };
        assert!((squares(Probe::Sphere) - 50.0).abs() < 1e-12 && squares(Probe::Rademacher) == 50.0);
        assert!((squares(Probe::Gaussian) - 50.0).abs() > 1e-3);
    }
}
