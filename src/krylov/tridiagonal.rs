//! A symmetric tridiagonal matrix, what a Lanczos run leaves behind, and its eigenproblem.
//!
//! A key design decision: the eigenproblem is solved in double precision on the host whatever the vectors' precision, and only the
//! rows of the eigenvector matrix that are asked for are carried through the rotations. The first row gives quadrature weights,
//! the last one residual bounds; both together cost O(m²) where all rows cost O(m³).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Why a Lanczos run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Termination {
    /// All steps asked for were made.
    Completed,
    /// After `step` steps the residual vanished: the start lies in an invariant subspace of that dimension, and T says everything
    /// about it.
    InvariantSubspace {
        /// The dimension of the subspace, the order of T.
        step: usize,
    },
}

/// T = tridiag(β, α, β), of order m.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tridiagonal {
    /// α₀ ... α_{m−1}, the diagonal.
    pub alphas: Vec<f64>,
    /// β₀ ... β_{m−1}: the off-diagonal, then in the last place the norm of the residual, which is not part of T.
    pub betas: Vec<f64>,
    /// Why there are m steps.
    pub termination: Termination,
}

impl Tridiagonal {
    /// m.
    pub fn steps(&self) -> usize {
        self.alphas.len()
    }

    /// The norm of the residual after the last step; 0 where there was no step.
    pub fn residual(&self) -> f64 {
        self.betas.last().copied().unwrap_or(0.0)
    }

    /// The eigenvalues, ascending, and the components `rows` of each eigenvector.
    ///
    /// # Errors
    /// See [`symmetric_tridiagonal_eigen`].
    pub fn eigen(&self, rows: &[usize]) -> Result<TridiagonalEigen> {
        symmetric_tridiagonal_eigen(&self.alphas, &self.betas[..self.steps().saturating_sub(1)], rows)
    }
}

/// Eigenvalues of a symmetric tridiagonal matrix and some rows of its orthogonal matrix of eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub struct TridiagonalEigen {
    /// Ascending.
    pub values: Vec<f64>,
    /// For each eigenvalue the tracked components of its unit eigenvector, one eigenvector after another.
    components: Vec<f64>,
    tracked: usize,
}

impl TridiagonalEigen {
    /// The tracked components of eigenvector `index`, in the order in which the rows were asked for.
    pub fn vector(&self, index: usize) -> &[f64] {
        &self.components[index * self.tracked..(index + 1) * self.tracked]
    }
}

/// QL sweeps allowed for each eigenvalue; about two are needed.
const MAX_SWEEPS: usize = 60;

/// Eigenvalues (ascending) of the symmetric tridiagonal matrix with `diagonal` (m numbers) and `off_diagonal` (m−1), with the components
/// `rows` of the unit eigenvectors.
///
/// Implicit QL with Wilkinson's shift (Golub and Welsch 1969; `imtql2` of EISPACK, Smith et al. 1976) on the matrix scaled to unit
/// magnitude: absolute errors are a small multiple of 2⁻⁵² · max|T| · m, at any scale of T. The sign of an eigenvector is
/// arbitrary.
///
/// # Errors
/// [`Error::NonFinite`] where an entry is not finite; [`Error::Input`] where the lengths disagree, a row is out of range, or (never
/// seen) the sweeps do not converge.
pub fn symmetric_tridiagonal_eigen(diagonal: &[f64], off_diagonal: &[f64], rows: &[usize]) -> Result<TridiagonalEigen> {
    let order = diagonal.len();
    if off_diagonal.len() != order.saturating_sub(1) || rows.iter().any(|&row| row >= order) {
        return Err(Error::Input(format!(
            "tridiagonal matrix: diagonal has {order} entries, off-diagonal {}, rows {rows:?}",
            off_diagonal.len()
        )));
    }
    let entries = || diagonal.iter().chain(off_diagonal);
    if let Some(entry) = entries().find(|entry| !entry.is_finite()) {
        return Err(Error::NonFinite(format!("tridiagonal matrix of order {order}: an entry is {entry}")));
    }
    // A power of two, so that scaling is exact.
    let scale = power_of_two_below(entries().fold(0.0, |largest: f64, entry| largest.max(entry.abs())));
    let mut problem = QlIteration {
        d: diagonal.iter().map(|entry| entry / scale).collect(),
        e: off_diagonal.iter().map(|entry| entry / scale).chain([0.0]).collect(),
        z: vec![0.0; order * rows.len()],
        tracked: rows.len(),
    };
    for (position, &row) in rows.iter().enumerate() {
        problem.z[row * rows.len() + position] = 1.0;
    }
    for index in 0..order {
        problem.isolate(index)?;
    }
    let mut ascending: Vec<usize> = (0..order).collect();
    ascending.sort_by(|&i, &j| problem.d[i].total_cmp(&problem.d[j]));
    Ok(TridiagonalEigen {
        values: ascending.iter().map(|&i| problem.d[i] * scale).collect(),
        components: ascending.iter().flat_map(|&i| &problem.z[i * rows.len()..(i + 1) * rows.len()]).copied().collect(),
        tracked: rows.len(),
    })
}

fn power_of_two_below(magnitude: f64) -> f64 {
    if magnitude == 0.0 { 1.0 } else { magnitude.log2().floor().clamp(-1000.0, 1000.0).exp2() }
}

/// T in the making: diagonal `d`, off-diagonal `e` (e\[i\] couples i and i+1), tracked rows of the eigenvectors, column by column.
struct QlIteration {
    d: Vec<f64>,
    e: Vec<f64>,
    z: Vec<f64>,
    tracked: usize,
}

impl QlIteration {
    /// Sweeps until d\[first\] is decoupled from what follows.
    fn isolate(&mut self, first: usize) -> Result<()> {
        for _ in 0..MAX_SWEEPS {
            let last = (first..self.d.len() - 1).find(|&i| self.is_negligible(i)).unwrap_or(self.d.len() - 1);
            if last == first {
                return Ok(());
            }
            self.sweep(first, last);
        }
        Err(Error::Input(format!("tridiagonal matrix of order {}: QL did not converge in {MAX_SWEEPS} sweeps", self.d.len())))
    }

    fn is_negligible(&self, i: usize) -> bool {
        self.e[i].abs() <= (f64::EPSILON * (self.d[i].abs() + self.d[i + 1].abs())).max(f64::MIN_POSITIVE)
    }

    /// One implicit QL sweep over the unreduced block `first..=last`; s and c are the rotation's sine and cosine.
    fn sweep(&mut self, first: usize, last: usize) {
        let Self { d, e, .. } = self;
        let half_gap = (d[first + 1] - d[first]) / (2.0 * e[first]);
        let mut g = d[last] - d[first] + e[first] / (half_gap + half_gap.hypot(1.0).copysign(half_gap));
        let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
        for i in (first..last).rev() {
            let (f, b) = (s * self.e[i], c * self.e[i]);
            let r = f.hypot(g);
            self.e[i + 1] = r;
            if r == 0.0 {
                // The block came apart under the bulge: the next sweep finds the parts.
                self.d[i + 1] -= p;
                self.e[last] = 0.0;
                return;
            }
            (s, c) = (f / r, g / r);
            let shifted = self.d[i + 1] - p;
            let t = (self.d[i] - shifted) * s + 2.0 * c * b;
            p = s * t;
            self.d[i + 1] = shifted + p;
            g = c * t - b;
            self.rotate(i, s, c);
        }
        self.d[first] -= p;
        self.e[first] = g;
        self.e[last] = 0.0;
    }

    fn rotate(&mut self, i: usize, s: f64, c: f64) {
        let (left, right) = self.z[i * self.tracked..(i + 2) * self.tracked].split_at_mut(self.tracked);
        for (low, high) in left.iter_mut().zip(right) {
            (*low, *high) = (c * *low - s * *high, s * *low + c * *high);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn all_rows(order: usize) -> Vec<usize> {
        (0..order).collect()
    }

    /// max |T z − λ z| and max |Zᵀ Z − I|.
    fn defects(d: &[f64], e: &[f64]) -> (f64, f64) {
        let m = d.len();
        let eigen = symmetric_tridiagonal_eigen(d, e, &all_rows(m)).unwrap();
        let (mut residual, mut orthogonality): (f64, f64) = (0.0, 0.0);
        for k in 0..m {
            let z = eigen.vector(k);
            for i in 0..m {
                let mut t = d[i] * z[i];
                if i > 0 {
                    t += e[i - 1] * z[i - 1];
                }
                if i + 1 < m {
                    t += e[i] * z[i + 1];
                }
                residual = residual.max((t - eigen.values[k] * z[i]).abs());
            }
            for j in 0..=k {
                let product: f64 = z.iter().zip(eigen.vector(j)).map(|(x, y)| x * y).sum();
                orthogonality = orthogonality.max((product - f64::from(u8::from(j == k))).abs());
            }
        }
        assert!(eigen.values.windows(2).all(|pair| pair[0] <= pair[1]));
        (residual, orthogonality)
    }

    #[test]
    fn second_differences_have_their_closed_form() {
        let m = 50;
        let eigen = symmetric_tridiagonal_eigen(&vec![2.0; m], &vec![-1.0; m - 1], &[0, m - 1]).unwrap();
        for k in 0..m {
            let angle = PI * (k + 1) as f64 / (m + 1) as f64;
            assert!((eigen.values[k] - (2.0 - 2.0 * angle.cos())).abs() < 1e-14, "value {k}");
            let first = (2.0 / (m + 1) as f64).sqrt() * angle.sin();
            assert!((eigen.vector(k)[0].abs() - first).abs() < 1e-14, "first component {k}");
            assert!((eigen.vector(k)[1].abs() - first).abs() < 1e-14, "last component {k}");
        }
    }

    /// Wilkinson 1965, W21+: the two largest eigenvalues agree to 14 digits, no off-diagonal entry is small.
    #[test]
    fn wilkinson_pair_is_resolved() {
        let d: Vec<f64> = (-10..=10).map(|i: i32| f64::from(i.abs())).collect();
        let e = vec![1.0; 20];
        let eigen = symmetric_tridiagonal_eigen(&d, &e, &[]).unwrap();
        assert!((eigen.values[20] - 10.746_194_182_903_4).abs() < 1e-12, "{}", eigen.values[20]);
        assert!((eigen.values[19] - eigen.values[20]).abs() < 1e-13);
        assert!((eigen.values[0] + 1.125_441_522_119_98).abs() < 1e-12, "{}", eigen.values[0]);
        let (residual, orthogonality) = defects(&d, &e);
        assert!(residual < 1e-13 && orthogonality < 1e-13, "{residual} {orthogonality}");
    }

    /// The Jacobi matrix of Legendre's polynomials: Gauss-Legendre with 5 nodes (Abramowitz and Stegun, table 25.4).
    #[test]
    fn legendre_matrix_gives_the_gauss_rule() {
        let e: Vec<f64> = (1..5).map(|k| f64::from(k) / f64::from(4 * k * k - 1).sqrt()).collect();
        let eigen = symmetric_tridiagonal_eigen(&[0.0; 5], &e, &[0]).unwrap();
        let table =
            [(0.0, 0.568_888_888_888_889), (0.538_469_310_105_683, 0.478_628_670_499_366), (0.906_179_845_938_664, 0.236_926_885_056_189)];
        for (k, (node, weight)) in [(2, table[0]), (3, table[1]), (4, table[2]), (1, table[1]), (0, table[2])] {
            assert!((eigen.values[k].abs() - node).abs() < 1e-14, "node {k}: {}", eigen.values[k]);
            assert!((2.0 * eigen.vector(k)[0].powi(2) - weight).abs() < 1e-14, "weight {k}");
        }
    }

    /// Gauss-Chebyshev: nodes cos((2k−1)π/2m), equal weights.
    #[test]
    fn chebyshev_matrix_gives_equal_weights() {
        let m = 40;
        let mut e = vec![0.5; m - 1];
        e[0] = 0.5_f64.sqrt();
        let eigen = symmetric_tridiagonal_eigen(&vec![0.0; m], &e, &[0]).unwrap();
        for k in 0..m {
            let node = -((2 * k + 1) as f64 * PI / (2 * m) as f64).cos();
            assert!((eigen.values[k] - node).abs() < 1e-14);
            assert!((eigen.vector(k)[0].powi(2) * m as f64 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn hard_matrices_keep_small_residuals_and_orthogonal_vectors() {
        let graded: Vec<f64> = (0..30).map(|i| 10_f64.powi(-i)).collect();
        let ungraded: Vec<f64> = graded.iter().rev().copied().collect();
        let mut split = vec![1.0; 29];
        (split[0], split[7], split[8], split[28]) = (0.0, 0.0, 0.0, 0.0);
        let cases = [
            (graded.clone(), graded[1..].to_vec()),
            (ungraded.clone(), ungraded[1..].to_vec()),
            (vec![0.0; 30], split.clone()),
            (graded, split),
            (vec![1.0; 30], vec![0.0; 29]),
            (vec![0.0; 30], vec![0.0; 29]),
            (vec![0.0; 30], vec![1e-200; 29]),
            (vec![3.0], vec![]),
            (vec![], vec![]),
        ];
        for (case, (d, e)) in cases.iter().enumerate() {
            let (residual, orthogonality) = defects(d, e);
            assert!(residual < 1e-14 && orthogonality < 1e-14, "case {case}: {residual} {orthogonality}");
        }
    }

    #[test]
    fn scale_does_not_matter() {
        let d: Vec<f64> = (0..20).map(|i| f64::from(i).sin()).collect();
        let e: Vec<f64> = (0..19).map(|i| f64::from(i).cos()).collect();
        let base = symmetric_tridiagonal_eigen(&d, &e, &[0]).unwrap();
        for scale in [1e150, 1e-150, 1e300, 1e-300] {
            let times = |values: &[f64]| values.iter().map(|x| x * scale).collect::<Vec<_>>();
            let scaled = symmetric_tridiagonal_eigen(&times(&d), &times(&e), &[0]).unwrap();
            for k in 0..20 {
                assert!((scaled.values[k] / scale - base.values[k]).abs() < 1e-14, "{scale}");
                assert!((scaled.vector(k)[0].abs() - base.vector(k)[0].abs()).abs() < 1e-13, "{scale}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert!(matches!(symmetric_tridiagonal_eigen(&[1.0, f64::NAN], &[0.5], &[]), Err(Error::NonFinite(_))));
        assert!(matches!(symmetric_tridiagonal_eigen(&[1.0, 2.0], &[], &[]), Err(Error::Input(_))));
    }
}
