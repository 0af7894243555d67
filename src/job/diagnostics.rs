//! What the spectrum job adds to the estimates: the curvature along the gradient, and a sharpness that rescaled layers do not change.

use std::cell::RefCell;

use serde::Serialize;

use super::context::JobContext;
use crate::curvature::{Curvature, CurvatureOperator};
use crate::error::{Error, Result};
use crate::estimate::{Count, Floor, OutlierSplit, SaddleIndex, TailFit};
use crate::krylov::{Block, Lanczos, LanczosOptions, LinearOperator, RitzValue, Slot, VectorSpace as _, ritz_values};
use crate::rng::Distribution;

/// `diagnostics`: what the spectrum says about training at this point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostics {
    /// How much of a saddle it is.
    pub saddle_index: SaddleIndex,
    /// Where the outliers part from the bulk; null where no two positive eigenvalues are known.
    pub outliers: Option<OutlierSplit>,
    /// The bulk's upper tail as a power law; null where there is none.
    pub tail: Option<TailFit>,
    /// The curvature along the gradient; null where the gradient is zero.
    pub gradient_curvature: Option<GradientCurvature>,
    /// The sharpness in relative coordinates; null where the parameters are not known.
    pub relative_sharpness: Option<RelativeSharpness>,
    /// Eigenvalues above the thresholds asked for.
    pub counts: Vec<Count>,
}

/// gᵀHg/gᵀg: the curvature that a step of gradient descent meets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GradientCurvature {
    /// gᵀHg/gᵀg, exact up to the rounding of one product.
    pub value: f64,
    /// ‖Hu − value·u‖ for u = g/‖g‖: some eigenvalue lies within it, so near 0 the gradient is an eigenvector.
    pub residual: f64,
}

/// One product and one readback; the residual is widened by `resolution`, what rounding may move an eigenvalue by.
pub(super) fn gradient_curvature<A: CurvatureOperator>(operator: &A, resolution: f64) -> Result<Option<GradientCurvature>> {
    let space = operator.space();
    let [loss, norm, form, rest] = [0, 1, 2, 3].map(Slot);
    let (mut gradient, mut product, mut scalars) = (space.block(1)?, space.block(1)?, space.scalars(4, 1)?);
    operator.loss_and_gradient(&mut gradient, &mut scalars, loss)?;
    space.normalize(&mut gradient, &mut scalars, norm)?;
    operator.apply(&gradient, &mut product)?;
    space.dot(&gradient, &product, &mut scalars, form)?;
    space.sub_scaled(&mut product, &scalars, form, &gradient)?;
    space.normalize(&mut product, &mut scalars, rest)?;
    let values = space.read(&scalars)?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::NonFinite(format!("the product with the gradient is not finite: curvature {}", values[form.0])));
    }
    Ok((values[norm.0] > 0.0).then(|| GradientCurvature { value: values[form.0], residual: values[rest.0] + resolution }))
}

/// λmax(DHD) with D = diag|θ|: the sharpness in coordinates that measure each parameter's change relative to itself.
///
/// λmax(H) itself says nothing about a ReLU network's function: multiplying a neuron's incoming weights and bias by c > 0 and dividing
/// its outgoing weights by c leaves the function as it is, yet changes λmax at will (Dinh, Pascanu, Bengio, Bengio 2017). Under every
/// such rescaling θ → Sθ, H becomes S⁻¹HS⁻¹ and |θ| becomes S|θ|, so DHD stays what it is, element by element. This is the
/// normalization of adaptive sharpness (Kwon, Kim, Park, Choi 2021, definition 2 with Tθ = diag|θ|); per-layer norms would be
/// invariant only where whole layers are rescaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RelativeSharpness {
    /// The largest Ritz value: λmax(DHD) is no less, rounding aside.
    pub value: f64,
    /// An eigenvalue of DHD lies within this of it: the residual and the floor's share of the value.
    pub residual: f64,
}

/// Lanczos steps for the relative sharpness: the largest eigenvalue converges first.
const STEPS: usize = 30;

/// [`RelativeSharpness`] by [`STEPS`] Lanczos steps from a random start.
pub(super) fn relative_sharpness<A: CurvatureOperator>(
    operator: &A,
    parameters: &[f64],
    seed: u64,
    floor: Floor,
) -> Result<Option<RelativeSharpness>> {
    let space = operator.space();
    if parameters.len() != space.dim() {
        return Ok(None);
    }
    let magnitudes: Vec<f64> = parameters.iter().map(|x| x.abs()).collect();
    let mut relative = Relative { operator, magnitudes: space.block(1)?, scaled: RefCell::new(space.block(1)?) };
    space.upload(&magnitudes, &mut relative.magnitudes)?;
    let mut start = space.block(1)?;
    space.fill(&mut start, Distribution::Gaussian, seed, u32::MAX - 1)?;
    let mut lanczos = Lanczos::new(&relative, start, 1, LanczosOptions { capacity: STEPS, ..LanczosOptions::default() })?;
    while lanczos.step()? {}
    let values = ritz_values(&lanczos.coefficients()?[0])?;
    let widened = |ritz: &RitzValue| ritz.residual + floor.relative * ritz.value.abs();
    Ok(values.last().map(|ritz| RelativeSharpness { value: ritz.value, residual: widened(ritz) }))
}

/// D A D on single vectors.
struct Relative<'a, A: LinearOperator> {
    operator: &'a A,
    /// The diagonal of D.
    magnitudes: Block<A>,
    /// D x.
    scaled: RefCell<Block<A>>,
}

impl<A: LinearOperator> LinearOperator for Relative<'_, A> {
    type Space = A::Space;

    fn space(&self) -> &A::Space {
        self.operator.space()
    }

    fn apply(&self, x: &Block<Self>, y: &mut Block<Self>) -> Result<()> {
        let space = self.operator.space();
        let mut scaled = self.scaled.borrow_mut();
        space.copy(x, &mut scaled)?;
        space.multiply(&self.magnitudes, &mut scaled)?;
        self.operator.apply(&scaled, y)?;
        space.multiply(&self.magnitudes, y)
    }
}

/// Refuses a damping where the operator need not be positive semidefinite.
pub(super) fn check_damping(context: &JobContext<'_>, damping: Option<f64>) -> Result<()> {
    let curvature: Curvature = context.subject.curvature;
    if damping.is_some() && !curvature.is_positive_semidefinite() {
        return Err(Error::Input(format!(
            "log det and effective dimension need a positive semidefinite operator, which the {curvature} is not"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    #[test]
    fn the_gradient_sees_its_own_curvature() {
        // The gradient is A·1.
        let found = gradient_curvature(&MatrixOperator::diagonal([3.0, 1.0]), 0.0).unwrap().unwrap();
        assert!((found.value - 28.0 / 10.0).abs() < 1e-14 && (found.residual - 0.6).abs() < 1e-14, "{found:?}");
        assert_eq!(gradient_curvature(&MatrixOperator::diagonal([0.0, 0.0]), 0.0).unwrap(), None);
        assert!(gradient_curvature(&MatrixOperator::diagonal([f64::NAN, 0.0]), 0.0).is_err());
    }

    /// A' = S⁻¹AS⁻¹ at θ' = Sθ, as a network that computes the same function has it.
    #[test]
    fn rescaling_changes_the_sharpness_but_not_the_relative_one() {
        let matrix = |scales: [f64; 3]| {
            let rows = [[2.0, -1.0, 0.5], [-1.0, 3.0, 0.25], [0.5, 0.25, -1.0]];
            let scaled = (0..3).flat_map(|i| (0..3).map(move |j| rows[i][j] / (scales[i] * scales[j])));
            MatrixOperator::dense(3, scaled.collect())
        };
        let (theta, exact) = ([0.5, -2.0, 1.5], Floor::assumed(f64::EPSILON));
        let sharpness = |scales: [f64; 3]| {
            let parameters: Vec<f64> = theta.iter().zip(scales).map(|(theta, scale)| theta * scale).collect();
            relative_sharpness(&matrix(scales), &parameters, 0, exact).unwrap().unwrap()
        };
        let (plain, rescaled) = (sharpness([1.0; 3]), sharpness([10.0, 0.1, 3.0]));
        assert!((plain.value - rescaled.value).abs() < 1e-12 * plain.value && plain.residual < 1e-12, "{plain:?} {rescaled:?}");
        // D A D has 3·4 = 12 on its diagonal.
        assert!(plain.value > 12.0);
        assert_eq!(relative_sharpness(&matrix([1.0; 3]), &[], 0, exact).unwrap(), None);
    }
}
