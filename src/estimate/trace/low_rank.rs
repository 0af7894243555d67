//! Estimators that find the large eigenvalues first and leave only the rest to chance.

use faer::Mat;

use super::TraceEstimator;
use crate::error::{Error, Result};
use crate::estimate::products::{GrowingQr, Probe, Products, beside, dot, probes};
use crate::krylov::LinearOperator;

/// Each set of probes of a seed has numbers of its own: those of Hutch++'s range finder begin here.
const RANGE_PROBES: usize = 1 << 31;

/// Refuses more probes than there are dimensions.
pub(super) fn check_count(probes: usize, dim: usize, method: &str) -> Result<()> {
    if probes > dim {
        return Err(Error::Input(format!(
            "{method} with {probes} probes in {dim} dimensions: as many products would give the whole matrix; use fewer --probes, or hutchinson"
        )));
    }
    Ok(())
}

/// Hutch++ (Meyer, Musco, Musco, Woodruff 2021, algorithm 1): tr A = tr QᵀAQ + E\[gᵀ(I−QQᵀ)A(I−QQᵀ)g\] with Q = orth(AS).
///
/// S and G are of p probes each, so that 3p products are made. The rest is sampled on the sphere of the complement of Q: given Q, the
/// samples are independent. Going on extends Q and keeps every product.
pub struct HutchPlusPlus<'a, A> {
    products: Products<'a, A>,
    seed: u64,
    range: GrowingQr,
    /// A Q.
    image: Mat<f64>,
    /// gᵀAg for each probe.
    forms: Vec<f64>,
    samples: Vec<f64>,
}

impl<'a, A: LinearOperator> HutchPlusPlus<'a, A> {
    /// Without a probe yet.
    pub fn new(products: Products<'a, A>, seed: u64) -> Self {
        let dim = products.dim();
        Self { products, seed, range: GrowingQr::new(dim), image: Mat::zeros(dim, 0), forms: Vec::new(), samples: Vec::new() }
    }
}

impl<A: LinearOperator> TraceEstimator for HutchPlusPlus<'_, A> {
    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    fn extend(&mut self, count: usize) -> Result<()> {
        let dim = self.products.dim();
        check_count(count, dim, "hutch-plus-plus")?;
        let old = self.forms.len();
        if count <= old {
            return Ok(());
        }
        let sketch = probes(Probe::Sphere, self.seed, RANGE_PROBES + old, count - old, dim)?;
        self.range.append(&self.products.apply(sketch.as_ref())?);
        let image = self.products.apply(self.range.q.subcols(old, count - old))?;
        self.image = beside(&self.image, &image);
        let fresh = probes(Probe::Sphere, self.seed, old, count - old, dim)?;
        let product = self.products.apply(fresh.as_ref())?;
        self.forms.extend((0..count - old).map(|i| dot(fresh.col(i), product.col(i))));

        let core = self.range.q.transpose() * &self.image;
        let known: f64 = (0..count).map(|i| core[(i, i)]).sum();
        let all = probes(Probe::Sphere, self.seed, 0, count, dim)?;
        // With w = Qᵀg: g̃ = g − Qw, g̃ᵀAg̃ = gᵀAg − 2wᵀ(AQ)ᵀg + wᵀ(QᵀAQ)w.
        let (inside, across) = (self.range.q.transpose() * &all, self.image.transpose() * &all);
        let applied = &core * &inside;
        let rest = (dim - count) as f64;
        self.samples = (0..count)
            .map(|i| {
                let w = inside.col(i);
                let form = self.forms[i] - 2.0 * dot(w, across.col(i)) + dot(w, applied.col(i));
                let square = dim as f64 - dot(w, w);
                // Where Q spans everything nothing is left.
                if rest > 0.0 && square > 0.0 { known + rest * form / square } else { known }
            })
            .collect();
        Ok(())
    }

    fn samples(&self) -> &[f64] {
        &self.samples
    }
}

/// The [`error_share`](TraceEstimator::error_share) of XTrace's samples. They share their test vectors: their spread is the
/// authors' error estimate, which falls short of the error by up to a third where `hesper calibrate` measured it.
const LEAVE_ONE_OUT: f64 = 0.1;

/// XTrace (Epperly, Tropp, Webber 2024, algorithm 1.2 with the normalization of section 2.3): Hutch++ by leave-one-out.
///
/// With Y = AΩ = QR, probe i sees the rest of A outside Qᵢ, the range of all columns of Y but its own: QᵢQᵢᵀ = Q(I − sᵢsᵢᵀ)Qᵀ for
/// sᵢ ∝ R⁻ᵀeᵢ. With H = QᵀAQ, w = Qᵀω and w̃ = (I − ssᵀ)w its sample is
/// tr H − sᵀHs + (n−m+1)/‖(I−QᵢQᵢᵀ)ω‖² · (wᵀr − 2w̃ᵀr + w̃ᵀHw̃), r = Qᵀ(Aω) being column i of R.
/// Samples are exchangeable, not independent; their spread over √m is the authors' error estimate. Two products a probe; going on keeps
/// them all.
pub struct XTrace<'a, A> {
    products: Products<'a, A>,
    seed: u64,
    range: GrowingQr,
    /// QᵀAQ.
    core: Mat<f64>,
    samples: Vec<f64>,
}

impl<'a, A: LinearOperator> XTrace<'a, A> {
    /// Without a probe yet.
    pub fn new(products: Products<'a, A>, seed: u64) -> Self {
        let range = GrowingQr::new(products.dim());
        Self { products, seed, range, core: Mat::zeros(0, 0), samples: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
    fn sample(&self, i: usize, inside: &Mat<f64>, own: &Mat<f64>) -> f64 {
        let (dim, count) = (self.products.dim() as f64, inside.ncols() as f64);
        let (w, s, r) = (inside.col(i), own.col(i), self.range.r.col(i));
        let overlap = dot(s, w);
        let without = Mat::from_fn(inside.nrows(), 1, |k, _| w[k] - overlap * s[k]);
        let image = &self.core * &without;
        let trace: f64 = (0..self.core.nrows()).map(|k| self.core[(k, k)]).sum();
        let left_out = dot(s, (&self.core * s.as_mat()).col(0));
        let form = dot(w, r) - 2.0 * dot(without.col(0), r) + dot(without.col(0), image.col(0));
        let scale = (dim - count + 1.0) / (dim - dot(without.col(0), without.col(0)));
        trace - left_out + scale * form
    }
}

impl<A: LinearOperator> TraceEstimator for XTrace<'_, A> {
    fn extend(&mut self, count: usize) -> Result<()> {
        let dim = self.products.dim();
        check_count(count, dim, "xtrace")?;
        let old = self.samples.len();
        if count <= old {
            return Ok(());
        }
        let fresh = probes(Probe::Sphere, self.seed, old, count - old, dim)?;
        self.range.append(&self.products.apply(fresh.as_ref())?);
        let image = self.products.apply(self.range.q.subcols(old, count - old))?;
        let new = self.range.q.transpose() * &image;
        self.core = Mat::from_fn(count, count, |i, j| match (i < old, j < old) {
            (true, true) => self.core[(i, j)],
            (_, false) => new[(i, j - old)],
            (false, true) => new[(j, i - old)],
        });
        if self.range.is_deficient() {
            // Q holds the whole range of A, to rounding: nothing is left to chance.
            self.samples = vec![(0..count).map(|i| self.core[(i, i)]).sum(); count];
            return Ok(());
        }
        let inside = self.range.q.transpose() * probes(Probe::Sphere, self.seed, 0, count, dim)?;
        let own = self.range.own_directions();
        self.samples = (0..count).map(|i| self.sample(i, &inside, &own)).collect();
        Ok(())
    }

    fn samples(&self) -> &[f64] {
        &self.samples
    }

    fn error_share(&self) -> f64 {
        LEAVE_ONE_OUT
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{matrix, products};
    use super::*;
    use crate::estimate::sample::Estimate;
    use crate::krylov::test_support::MatrixOperator;

    /// XTrace by its definition: for each probe a QR of the other columns.
    #[test]
    fn xtrace_is_its_definition() {
        let (operator, _) = matrix(40, |i| (-0.2 * f64::from(i)).exp() - 0.1);
        let mut fast = XTrace::new(products(&operator, 8), 5);
        fast.extend(4).unwrap();
        fast.extend(9).unwrap();
        let omega = probes(Probe::Sphere, 5, 0, 9, 40).unwrap();
        let y = products(&operator, 8).apply(omega.as_ref()).unwrap();
        for (i, sample) in fast.samples().iter().enumerate() {
            let others = Mat::from_fn(40, 8, |row, column| y[(row, column + usize::from(column >= i))]);
            let q = others.qr().compute_thin_Q();
            let inner = q.transpose() * products(&operator, 8).apply(q.as_ref()).unwrap();
            let known: f64 = (0..8).map(|k| inner[(k, k)]).sum();
            let rest = omega.col(i).to_owned() - &q * (q.transpose() * omega.col(i));
            let image = products(&operator, 8).apply(rest.as_mat()).unwrap();
            let square = dot(rest.as_ref(), rest.as_ref());
            let expected = known + 32.0 / square * dot(rest.as_ref(), image.col(0));
            assert!((sample - expected).abs() < 1e-11, "{i}: {sample}, by definition {expected}");
        }
    }

    #[test]
    fn a_low_rank_is_found_exactly_and_a_full_one_within_its_bar() {
        let (low, trace) = matrix(50, |i| if i < 6 { f64::from(i) - 2.0 } else { 0.0 });
        let mut estimators: [Box<dyn TraceEstimator + '_>; 2] =
            [Box::new(HutchPlusPlus::new(products(&low, 8), 1)), Box::new(XTrace::new(products(&low, 8), 1))];
        for estimator in &mut estimators {
            estimator.extend(12).unwrap();
            assert!(estimator.samples().iter().all(|sample| (sample - trace).abs() < 1e-10), "{:?} for {trace}", estimator.samples());
        }
        let (full, trace) = matrix(60, |i| 0.9_f64.powi(i32::try_from(i).unwrap()));
        let mut estimators: [Box<dyn TraceEstimator + '_>; 2] =
            [Box::new(HutchPlusPlus::new(products(&full, 8), 1)), Box::new(XTrace::new(products(&full, 8), 1))];
        for estimator in &mut estimators {
            estimator.extend(5).unwrap();
            estimator.extend(20).unwrap();
            let estimate = Estimate::from_samples(estimator.samples().to_vec());
            assert!((estimate.mean - trace).abs() < 5.0 * estimate.std_error.unwrap(), "{estimate:?} for {trace}");
            assert!(estimate.std_error.unwrap() < 0.02 * trace);
            assert!(matches!(estimator.extend(61), Err(Error::Input(message)) if message.contains("60")));
        }
    }

    #[test]
    fn zero_and_all_of_the_dimensions_are_no_trouble() {
        for eigenvalues in [vec![0.0; 5], vec![1.0, -2.0, 3.0, 0.5, 0.25]] {
            let trace: f64 = eigenvalues.iter().sum();
            let operator = MatrixOperator::diagonal(eigenvalues);
            let mut estimators: [Box<dyn TraceEstimator + '_>; 2] =
                [Box::new(HutchPlusPlus::new(products(&operator, 8), 1)), Box::new(XTrace::new(products(&operator, 8), 1))];
            for estimator in &mut estimators {
                estimator.extend(5).unwrap();
                let mean = estimator.samples().iter().sum::<f64>() / 5.0;
                assert!((mean - trace).abs() < 1e-10, "{:?} for {trace}", estimator.samples());
            }
        }
    }
}
