//! The projected eigenproblem of a block Krylov decomposition, on the host in double precision.

use faer::{Mat, Side};

use crate::error::{Error, Result};

/// A Q = Q T + F G with orthonormal Q (n × m) and frontier F (n × f), FᵀQ = 0.
#[derive(Clone, Debug)]
pub(super) struct Projected {
    /// T = QᵀAQ, m × m.
    t: Mat<f64>,
    /// G = FᵀAQ, f × m.
    g: Mat<f64>,
    /// ‖A‖ to a small factor: the largest magnitude of a coefficient so far.
    largest: f64,
}

/// The eigenpairs of T, ascending.
#[derive(Clone, Debug)]
pub(super) struct RitzPairs {
    /// θ.
    pub(super) values: Vec<f64>,
    /// ‖A y − θ y‖ = ‖G s‖ of the Ritz vectors y = Q s.
    pub(super) residuals: Vec<f64>,
    /// S: m × m, one eigenvector a column.
    pub(super) vectors: Mat<f64>,
}

impl Projected {
    /// Q is empty and F has `frontier` columns; ‖A‖ is known to be `scale` at least.
    pub(super) fn new(frontier: usize, scale: f64) -> Self {
        Self { t: Mat::zeros(0, 0), g: Mat::zeros(frontier, 0), largest: scale }
    }

    /// T is diagonal, with `values`, and G has the rows `coupling`, as [`restrict`](Self::restrict) leaves them.
    pub(super) fn diagonal(values: &[f64], coupling: &[Vec<f64>], largest: f64) -> Self {
        let t = Mat::from_fn(values.len(), values.len(), |i, j| if i == j { values[i] } else { 0.0 });
        Self { t, g: Mat::from_fn(coupling.len(), values.len(), |i, j| coupling[i][j]), largest }
    }

    /// T's diagonal and the rows of G.
    pub(super) fn parts(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let rows = self.g.row_iter().map(|row| row.iter().copied().collect());
        ((0..self.len()).map(|i| self.t[(i, i)]).collect(), rows.collect())
    }

    /// m.
    pub(super) fn len(&self) -> usize {
        self.t.ncols()
    }

    /// The largest magnitude of a coefficient so far.
    pub(super) fn largest(&self) -> f64 {
        self.largest
    }

    pub(super) fn grow_scale(&mut self, coefficient: f64) {
        self.largest = self.largest.max(coefficient.abs());
    }

    /// What a product of the frontier has shown: Q ← [Q, F], with D = FᵀAF, and A F = Q Gᵀ + F D + F' B.
    pub(super) fn absorb(&mut self, d: &Mat<f64>, b: &Mat<f64>) {
        let (m, f) = (self.len(), d.ncols());
        let (t, g) = (&self.t, &self.g);
        let joined = Mat::from_fn(m + f, m + f, |i, j| match (i < m, j < m) {
            (true, true) => t[(i, j)],
            (false, true) => g[(i - m, j)],
            (true, false) => g[(j - m, i)],
            (false, false) => d[(i - m, j - m)],
        });
        self.g = Mat::from_fn(b.nrows(), m + f, |i, j| if j < m { 0.0 } else { b[(i, j - m)] });
        self.t = joined;
    }

    /// Takes the columns of Q from number `len` on out of it: they become the frontier's last, behind those of its first `kept`, before
    /// `fresh` ones that A does not couple to Q.
    pub(super) fn cut(&mut self, len: usize, kept: usize, fresh: usize) {
        let returned = self.len() - len;
        let (t, g) = (&self.t, &self.g);
        let rows = Mat::from_fn(kept + returned + fresh, len, |i, j| {
            if i < kept {
                g[(i, j)]
            } else if i < kept + returned {
                t[(len + i - kept, j)]
            } else {
                0.0
            }
        });
        self.t = self.t.submatrix(0, 0, len, len).to_owned();
        self.g = rows;
    }

    /// The eigenpairs of T.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where the decomposition does not converge.
    pub(super) fn ritz_pairs(&self) -> Result<RitzPairs> {
        let eigen = self.t.self_adjoint_eigen(Side::Lower).map_err(|error| {
            Error::NonFinite(format!("the projected eigenproblem of order {} does not converge: {error:?}", self.len()))
        })?;
        let residuals = &self.g * eigen.U();
        Ok(RitzPairs {
            values: eigen.S().column_vector().iter().copied().collect(),
            residuals: (0..self.len()).map(|k| residuals.col(k).norm_l2()).collect(),
            vectors: eigen.U().to_owned(),
        })
    }

    /// Q ← Q S for the columns `kept` of S.
    pub(super) fn restrict(&mut self, ritz: &RitzPairs, kept: &[usize]) {
        let s = Mat::from_fn(self.len(), kept.len(), |i, j| ritz.vectors[(i, kept[j])]);
        self.g = &self.g * &s;
        self.t = Mat::from_fn(kept.len(), kept.len(), |i, j| if i == j { ritz.values[kept[i]] } else { 0.0 });
    }

    /// The most that an eigenvector whose eigenvalue x is none of the Ritz values can hold of the first column of Q: for a unit
    /// eigenvector e, u = eᵀQ satisfies u (x − T) = eᵀF G, so |u₁| ≤ ‖G (x − T)⁻¹ e₁‖.
    pub(super) fn most_of_first(&self, ritz: &RitzPairs, x: f64) -> f64 {
        let weights = Mat::from_fn(self.len(), 1, |k, _| ritz.vectors[(0, k)] / (x - ritz.values[k]));
        (&self.g * (&ritz.vectors * weights)).col(0).norm_l2()
    }
}

impl RitzPairs {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
