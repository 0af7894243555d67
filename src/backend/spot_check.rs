//! How exact a backend's products are, measured where it runs: on some of the samples, against the float64 reference.

use serde::Serialize;

use crate::curvature::Objective;
use crate::error::{Error, Result};
use crate::krylov::{self, LinearOperator, VectorSpace as _};
use crate::rng::{self, Distribution};

/// What [`SpotCheck::measure`](super::SpotCheck::measure) found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProductError {
    /// ‖Hv − H₆₄v‖ / ‖H₆₄v‖, the larger of two.
    pub relative: f64,
    /// ‖Hv‖/‖v‖ of a Gaussian v on those samples: about ‖H‖_F/√n.
    pub magnitude: f64,
    /// Samples that it was measured on.
    pub samples: usize,
}

/// Most samples: the error of a mean hardly depends on how many it is over.
const SAMPLES: usize = 256;

/// Most floating-point operations of one product of the reference, some hundredths of a second.
const FLOP: f64 = 5e7;

/// The generator's number of the vector; probes count up from 0.
const PROBE: u32 = u32::MAX - 2;

/// The first samples, as many as the reference multiplies in a moment; none where even one would take it too long.
pub(super) fn samples(objective: &Objective) -> usize {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let affordable = (FLOP / (objective.nominal_flop() / objective.samples() as f64)) as usize;
    affordable.min(SAMPLES).min(objective.samples())
}

/// The larger relative error of the products with a Gaussian vector v and with its image, and ‖Hv‖/‖v‖.
pub(super) fn worst_error<A: LinearOperator, R: LinearOperator>(operator: &A, reference: &R, seed: u64) -> Result<(f64, f64)> {
    // Single precision holds these numbers, and those of an image in single precision, exactly: both get the same vectors.
    let mut vector = vec![0.0_f32; operator.space().dim()];
    rng::fill(Distribution::Gaussian, seed, PROBE, &mut vector);
    let vector: Vec<f64> = vector.into_iter().map(f64::from).collect();
    let image = krylov::product(operator, &vector)?;
    let image_of_image = krylov::product(operator, &image)?;
    // Both at once: the reference takes so few samples on one thread.
    let exact = krylov::product(reference, &[&vector[..], &image].concat())?;
    let (exact_image, exact_image_of_image) = exact.split_at(image.len());
    let worst = relative_error(&image, exact_image)?.max(relative_error(&image_of_image, exact_image_of_image)?);
    Ok((worst, (squared_norm(exact_image) / squared_norm(&vector)).sqrt()))
}

/// ‖x − y‖ / ‖y‖, 0 where y is.
fn relative_error(x: &[f64], y: &[f64]) -> Result<f64> {
    let (error, square) = (x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(), squared_norm(y));
    if !(error.is_finite() && square.is_finite()) {
        return Err(Error::NonFinite("a product is not finite: check the weights and the data's scale, or use --precision f64".into()));
    }
    Ok(if square > 0.0 { (error / square).sqrt() } else { 0.0 })
}

fn squared_norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    #[test]
    fn the_error_is_that_of_the_worse_product() {
        let exact = MatrixOperator::diagonal([3.0, 1.0, -0.5, 0.0]);
        let (error, magnitude) = worst_error(&exact, &exact, 1).unwrap();
        assert!(error == 0.0 && (0.0..3.0).contains(&magnitude));
        // Off by 10⁻³ where the image is large, by nothing elsewhere.
        let off = worst_error(&MatrixOperator::diagonal([3.003, 1.0, -0.5, 0.0]), &exact, 1).unwrap().0;
        assert!((5e-4..=1e-3).contains(&off), "{off}");
        let noisy = worst_error(&MatrixOperator::diagonal([3.0, 1.0, -0.5, 0.0]).noisy(), &exact, 1).unwrap().0;
        assert!((noisy - 1e-6).abs() < 1e-8, "{noisy}");
        assert_eq!(worst_error(&MatrixOperator::diagonal([0.0; 4]), &MatrixOperator::diagonal([0.0; 4]), 1).unwrap(), (0.0, 0.0));
        assert!(worst_error(&MatrixOperator::diagonal([f64::NAN; 4]), &exact, 1).is_err());
    }
}
