//! The diagonal.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::low_rank::check_count;
use crate::error::Result;
use crate::estimate::products::{GrowingQr, Probe, Products, probes};
use crate::krylov::LinearOperator;

/// How to estimate a diagonal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiagonalMethod {
    /// The mean of v ∘ Av: one product a probe (Bekas, Kokiopoulou, Saad 2007).
    #[default]
    Hutchinson,
    /// The large eigenvalues first, by leave-one-out: two products a probe.
    XDiag,
}

/// The diagonal, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct DiagonalEstimate {
    /// n means.
    pub mean: Vec<f64>,
    /// Their standard errors; none with one probe.
    pub std_error: Option<Vec<f64>>,
}

/// diag A from `count` Rademacher probes ω, for which ωᵢ² = 1.
///
/// XDiag (Epperly, Tropp, Webber 2024, section 2.5): with Y = AΩ = QR, Z = AQ and sᵢ as in [`XTrace`](super::XTrace), sample i is
/// diag(QQᵀA) − (Qs)∘(Zs) + (sᵀr)·ω∘(Qs).
///
/// # Errors
/// As [`TraceEstimator::extend`](super::TraceEstimator::extend).
pub fn diagonal<A: LinearOperator>(products: Products<'_, A>, method: DiagonalMethod, seed: u64, count: usize) -> Result<DiagonalEstimate> {
    match method {
        DiagonalMethod::Hutchinson => hutchinson(products, seed, count),
        DiagonalMethod::XDiag => xdiag(products, seed, count),
    }
}

/// Probes whose products are on the host at once.
const BATCH: usize = 32;

fn hutchinson<A: LinearOperator>(products: Products<'_, A>, seed: u64, count: usize) -> Result<DiagonalEstimate> {
    let mut moments = Moments::new(products.dim());
    for first in (0..count).step_by(BATCH) {
        let fresh = probes(Probe::Rademacher, seed, first, BATCH.min(count - first), products.dim())?;
        let product = products.apply(fresh.as_ref())?;
        for column in 0..fresh.ncols() {
            moments.add(fresh.col(column).iter().zip(product.col(column).iter()).map(|(v, av)| v * av));
        }
    }
    Ok(moments.estimate())
}

fn xdiag<A: LinearOperator>(products: Products<'_, A>, seed: u64, count: usize) -> Result<DiagonalEstimate> {
    let dim = products.dim();
    check_count(count, dim, "xdiag")?;
    let omega = probes(Probe::Rademacher, seed, 0, count, dim)?;
    let mut range = GrowingQr::new(dim);
    range.append(&products.apply(omega.as_ref())?);
    let image = products.apply(range.q.as_ref())?;
    let whole: Vec<f64> = (0..dim).map(|row| (0..count).map(|k| range.q[(row, k)] * image[(row, k)]).sum()).collect();
    let mut moments = Moments::new(dim);
    if range.is_deficient() {
        (0..count).for_each(|_| moments.add(whole.iter().copied()));
        return Ok(moments.estimate());
    }
    let own = range.own_directions();
    let (directions, images): (Mat<f64>, Mat<f64>) = (&range.q * &own, &image * &own);
    for i in 0..count {
        let overlap: f64 = own.col(i).iter().zip(range.r.col(i).iter()).map(|(s, r)| s * r).sum();
        let parts = directions.col(i).iter().zip(images.col(i).iter()).zip(omega.col(i).iter());
        moments.add(whole.iter().zip(parts).map(|(whole, ((q, z), omega))| whole - q * z + overlap * omega * q));
    }
    Ok(moments.estimate())
}

/// Mean and variance of samples that come one after another (Welford 1962).
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(dim: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; dim], squares: vec![0.0; dim] }
    }

    fn add(&mut self, sample: impl Iterator<Item = f64>) {
        self.count += 1.0;
        for ((mean, square), x) in self.mean.iter_mut().zip(&mut self.squares).zip(sample) {
            let before = x - *mean;
            *mean += before / self.count;
            *square += before * (x - *mean);
        }
    }

    fn estimate(self) -> DiagonalEstimate {
        let count = self.count;
        let error = |square: &f64| (square / (count * (count - 1.0))).sqrt();
        DiagonalEstimate { std_error: (count > 1.0).then(|| self.squares.iter().map(error).collect()), mean: self.mean }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{matrix, products};
    use super::*;
    use crate::krylov::test_support::{Matrix, MatrixOperator};

    fn exact(operator: &MatrixOperator, n: usize) -> Vec<f64> {
        match &operator.matrix {
            Matrix::Dense(rows) => (0..n).map(|i| rows[i * (n + 1)]).collect(),
            Matrix::Diagonal(d) => d.clone(),
        }
    }

    fn distance(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn both_estimate_the_diagonal_and_xdiag_does_better_on_a_decaying_spectrum() {
        let (operator, _) = matrix(60, |i| 0.8_f64.powi(i32::try_from(i).unwrap()));
        let truth = exact(&operator, 60);
        let run = |method, count| diagonal(products(&operator, 8), method, 3, count).unwrap();
        let (plain, leave_one_out) = (run(DiagonalMethod::Hutchinson, 40), run(DiagonalMethod::XDiag, 20));
        for estimate in [&plain, &leave_one_out] {
            let bar: f64 = estimate.std_error.as_ref().unwrap().iter().map(|error| error * error).sum::<f64>().sqrt();
            assert!(distance(&estimate.mean, &truth) < 2.0 * bar, "{} against {bar}", distance(&estimate.mean, &truth));
        }
        assert!(distance(&leave_one_out.mean, &truth) < 0.2 * distance(&plain.mean, &truth));
    }

    #[test]
    fn a_diagonal_matrix_is_read_off_and_a_low_rank_is_exact() {
        let operator = MatrixOperator::diagonal([3.0, -1.0, 0.5]);
        assert_eq!(diagonal(products(&operator, 8), DiagonalMethod::Hutchinson, 0, 2).unwrap().mean, [3.0, -1.0, 0.5]);
        let (low, _) = matrix(30, |i| if i < 4 { 1.0 + f64::from(i) } else { 0.0 });
        let found = diagonal(products(&low, 8), DiagonalMethod::XDiag, 0, 10).unwrap();
        assert!(distance(&found.mean, &exact(&low, 30)) < 1e-10);
        assert!(diagonal(products(&low, 8), DiagonalMethod::XDiag, 0, 31).is_err());
    }
}
