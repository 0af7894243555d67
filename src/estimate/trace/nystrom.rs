//! The trace of a positive semidefinite operator from one product a probe.

use faer::{Mat, Side};

use super::TraceEstimator;
use super::low_rank::check_count;
use crate::error::{Error, Result};
use crate::estimate::products::{GrowingQr, Probe, Products, beside, dot, probes};
use crate::krylov::LinearOperator;

/// XNysTrace (Epperly, Tropp, Webber 2024, section 2.4): the Nyström approximation Â = Y(ΩᵀY)⁻¹Yᵀ of A, Y = AΩ, by leave-one-out.
///
/// With G = ΩᵀY, hᵢ = G⁻¹eᵢ and dᵢ = (G⁻¹)ᵢᵢ, leaving probe i out takes (Yhᵢ)(Yhᵢ)ᵀ/dᵢ from Â, and ωᵢ sees 1/dᵢ of what then remains.
/// Its sample is tr Â − ‖Yhᵢ‖²/dᵢ + scaleᵢ/dᵢ − νn, scaleᵢ = (n−m+1)·((ΩᵀΩ)⁻¹)ᵢᵢ making ωᵢ uniform on the sphere outside the other
/// probes. A is shifted by ν = ε‖Y‖_F/√n, so that rounding leaves it semidefinite. G⁻¹ is made from G's eigenvalues, not by Cholesky,
/// which a G that is semidefinite only up to rounding breaks.
pub struct XNysTrace<'a, A> {
    products: Products<'a, A>,
    seed: u64,
    shift: Option<f64>,
    /// (A + νI)Ω.
    image: Mat<f64>,
    range: GrowingQr,
    samples: Vec<f64>,
}

impl<'a, A: LinearOperator> XNysTrace<'a, A> {
    /// Without a probe yet.
    pub fn new(products: Products<'a, A>, seed: u64) -> Self {
        let dim = products.dim();
        Self { products, seed, shift: None, image: Mat::zeros(dim, 0), range: GrowingQr::new(dim), samples: Vec::new() }
    }
}

/// The [`error_share`](TraceEstimator::error_share) of the Nyström samples: they are so alike that their spread may be half of the error,
/// as `hesper calibrate` measured it on fast decaying spectra.
const NYSTROM: f64 = 0.005;

/// Rounding errors of m² Gram entries move an eigenvalue by no more than this many ε·max.
const ROUNDING: f64 = 100.0;

impl<A: LinearOperator> TraceEstimator for XNysTrace<'_, A> {
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    fn extend(&mut self, count: usize) -> Result<()> {
        let dim = self.products.dim();
        check_count(count, dim, "xnystrace")?;
        let old = self.samples.len();
        if count <= old {
            return Ok(());
        }
        let fresh = probes(Probe::Sphere, self.seed, old, count - old, dim)?;
        let product = self.products.apply(fresh.as_ref())?;
        let shift = *self.shift.get_or_insert(self.products.epsilon() * product.norm_l2() / (dim as f64).sqrt());
        if product.norm_l2() == 0.0 {
            self.samples = vec![0.0; count];
            return Ok(());
        }
        let product = product + faer::Scale(shift) * &fresh;
        self.range.append(&product);
        self.image = beside(&self.image, &product);

        let all = probes(Probe::Sphere, self.seed, 0, count, dim)?;
        let gram = all.transpose() * &self.image;
        let inverse = inverse_of_semidefinite(&gram, self.products.epsilon())?;
        let lengths = inverse_of_semidefinite(&(all.transpose() * &all), f64::EPSILON)?;
        let factor = &self.range.r * &inverse;
        let whole: f64 = {
            // tr Y G⁻¹ Yᵀ = tr (R G⁻¹) Rᵀ.
            (0..count).map(|i| (0..count).map(|j| factor[(i, j)] * self.range.r[(i, j)]).sum::<f64>()).sum()
        };
        let free = (dim - count + 1) as f64;
        let sample = |i: usize| {
            let own = inverse[(i, i)];
            whole - dot(factor.col(i), factor.col(i)) / own + free * lengths[(i, i)] / own - shift * dim as f64
        };
        self.samples = (0..count).map(sample).collect();
        Ok(())
    }

    fn samples(&self) -> &[f64] {
        &self.samples
    }

    fn error_share(&self) -> f64 {
        NYSTROM
    }
}

/// The inverse of a symmetric positive semidefinite matrix; eigenvalues below rounding are taken for the rounding itself.
///
/// # Errors
/// [`Error::Input`] where an eigenvalue is clearly negative.
fn inverse_of_semidefinite(matrix: &Mat<f64>, epsilon: f64) -> Result<Mat<f64>> {
    let size = matrix.nrows();
    let symmetric = Mat::from_fn(size, size, |i, j| 0.5 * (matrix[(i, j)] + matrix[(j, i)]));
    let eigen = symmetric
        .self_adjoint_eigen(Side::Lower)
        .map_err(|error| Error::NonFinite(format!("the eigenvalues of a Gram matrix of {size} probes do not converge: {error:?}")))?;
    let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    let (least, largest) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
    if least < -ROUNDING * epsilon * largest.abs() {
        return Err(Error::Input(format!(
            "xnystrace needs a positive semidefinite operator, but vᵀAv takes values of both signs ({least:e} and {largest:e}) over its \
             probes: use xtrace"
        )));
    }
    let floor = f64::EPSILON * largest;
    let u = eigen.U();
    let scaled = Mat::from_fn(size, size, |i, k| u[(i, k)] / values[k].max(floor));
    Ok(&scaled * u.transpose())
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{matrix, products};
    use super::*;
    use crate::estimate::sample::Estimate;

    /// By its definition: for each probe the Nyström approximation from the others.
    #[test]
    fn xnystrace_is_its_definition() {
        let (operator, _) = matrix(40, |i| (-0.2 * f64::from(i)).exp());
        let mut fast = XNysTrace::new(products(&operator, 8), 5);
        fast.extend(3).unwrap();
        fast.extend(9).unwrap();
        let omega = probes(Probe::Sphere, 5, 0, 9, 40).unwrap();
        let y = products(&operator, 8).apply(omega.as_ref()).unwrap();
        for (i, sample) in fast.samples().iter().enumerate() {
            let without = |matrix: &Mat<f64>| Mat::from_fn(40, 8, |row, column| matrix[(row, column + usize::from(column >= i))]);
            let (others, images) = (without(&omega), without(&y));
            let inverse = inverse_of_semidefinite(&(others.transpose() * &images), 0.0).unwrap();
            let approximation = &images * inverse * images.transpose();
            let known: f64 = (0..40).map(|k| approximation[(k, k)]).sum();
            let q = others.qr().compute_thin_Q();
            let outside = omega.col(i).to_owned() - &q * (q.transpose() * omega.col(i));
            let image = products(&operator, 8).apply(omega.subcols(i, 1)).unwrap() - &approximation * omega.subcols(i, 1);
            let expected = known + 32.0 / dot(outside.as_ref(), outside.as_ref()) * dot(omega.col(i), image.col(0));
            assert!((sample - expected).abs() < 1e-9, "{i}: {sample}, by definition {expected}");
        }
    }

    #[test]
    fn a_fast_decay_costs_few_probes_and_the_wrong_sign_is_told() {
        let (operator, trace) = matrix(80, |i| 0.7_f64.powi(i32::try_from(i).unwrap()));
        let mut estimator = XNysTrace::new(products(&operator, 8), 1);
        estimator.extend(20).unwrap();
        let estimate = Estimate::from_samples(estimator.samples().to_vec());
        assert!((estimate.mean - trace).abs() < 1e-2 * trace && (estimate.mean - trace).abs() < 6.0 * estimate.std_error.unwrap());
        estimator.extend(60).unwrap();
        assert!(estimator.samples().iter().all(|sample| (sample - trace).abs() < 1e-6 * trace), "{:?}", estimator.samples());
        let (indefinite, _) = matrix(30, |i| f64::from(i) - 15.0);
        let error = XNysTrace::new(products(&indefinite, 8), 1).extend(8).unwrap_err();
        assert!(error.to_string().contains("xtrace"), "{error}");
        let zero = crate::krylov::test_support::MatrixOperator::diagonal(vec![0.0; 9]);
        let mut estimator = XNysTrace::new(products(&zero, 8), 1);
        estimator.extend(3).unwrap();
        assert_eq!(estimator.samples(), [0.0; 3]);
    }
}
