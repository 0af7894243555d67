//! One operator against another, usually a backend against the float64 reference.

use serde::Serialize;

use super::context::JobContext;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats, loss_and_direction};
use crate::backend::{self, BackendKind, BackendOptions, OperatorJob, SpotCheck};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator, Objective, Workload};
use crate::error::{Error, Result};
use crate::krylov::{self, Lanczos, LanczosOptions, LanczosSeconds, RitzValue, Tridiagonal, VectorSpace as _, ritz_values};
use crate::numeric::{Precision, Real as _};
use crate::rng::{self, Distribution};

/// How to compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ValidateOptions {
    /// Vectors to multiply, Rademacher and Gaussian in turn; at least two.
    pub probes: usize,
    /// Lanczos steps to set side by side.
    pub steps: usize,
    /// Eigenvalues of each end to set side by side.
    pub ends: usize,
    /// The seed of the probes.
    pub seed: u64,
}

impl Default for ValidateOptions {
    fn default() -> Self {
        Self { probes: 4, steps: 20, ends: 5, seed: 0 }
    }
}

/// A number by both operators.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// By the operator under test.
    pub candidate: f64,
    /// By the reference.
    pub reference: f64,
}

impl Compared {
    fn difference(self) -> f64 {
        (self.candidate - self.reference).abs()
    }
}

/// One product by both operators.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProductComparison {
    /// What the vector was drawn from.
    pub distribution: Distribution,
    /// ‖Δ‖₂ / ‖Hv‖₂.
    pub relative_error: f64,
    /// max|Δ| / max|Hv|.
    pub relative_error_max: f64,
}

/// The same Lanczos run by both operators.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LanczosComparison {
    /// α, step by step.
    pub alphas: Vec<Compared>,
    /// β, step by step.
    pub betas: Vec<Compared>,
}

/// An extreme Ritz value by both operators.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueComparison {
    /// By the operator under test.
    pub candidate: f64,
    /// By the reference.
    pub reference: f64,
    /// The reference's residual: as far as this value is from being converged.
    pub residual: f64,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was compared, in words.
    pub name: String,
    /// How far the two are apart.
    pub error: f64,
    /// How far they may be.
    pub tolerance: f64,
    /// error ≤ tolerance.
    pub passed: bool,
}

/// `hesper.validate/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValidateReport {
    /// What was examined, by the operator under test.
    #[serde(flatten)]
    pub header: Header,
    /// What it is compared with.
    pub reference: BackendInfo,
    /// How.
    pub options: ValidateOptions,
    /// f(θ); `loss` is a part of the header.
    #[serde(rename = "loss_value")]
    pub loss: Compared,
    /// ‖∇f(θ)‖.
    pub gradient_norm: Compared,
    /// Products.
    pub products: Vec<ProductComparison>,
    /// |uᵀHv − vᵀHu| / (‖u‖·‖Hv‖).
    pub asymmetry: Compared,
    /// Coefficients, which drift apart once Ritz values converge: for reading, not for a verdict beyond the first.
    pub lanczos: LanczosComparison,
    /// Descending.
    pub largest: Vec<ValueComparison>,
    /// Ascending.
    pub smallest: Vec<ValueComparison>,
    /// The verdicts.
    pub checks: Vec<Check>,
    /// Whether all passed.
    pub passed: bool,
    /// What it took, of the operator under test.
    pub stats: Stats,
}

/// Compares `candidate` with `reference` on equal vectors.
///
/// Tolerances follow from δ, the relative error that a product may have in the candidate's precision: 10⁻⁵ in f32, 10⁻¹² in f64
/// (2-norm and max-norm). The asymmetry may be δ, being a difference of two products. Loss and gradient norm may differ by δ of their
/// size, or of 10⁻² where they are smaller, since the sums behind them cancel there. α₀ and β₀ come from one product and may
/// differ by 2δ·max|θ|. An extreme Ritz value may differ by 10δ·max|θ| plus its residual: Lanczos coefficients depend ever more
/// sensitively on rounding with each step, but converged values do not.
///
/// # Errors
/// [`Error::Input`] where the operators are of different size; non-finite numbers and device failures of either.
pub fn validate<A: CurvatureOperator, R: CurvatureOperator>(
    candidate: &A,
    reference: &R,
    context: &JobContext<'_>,
    options: &ValidateOptions,
) -> Result<ValidateReport> {
    let meter = Meter::start(candidate, context);
    let (dim, other) = (candidate.space().dim(), reference.space().dim());
    if dim != other || options.probes < 2 || options.steps == 0 {
        return Err(Error::Input(format!(
            "validate: operators of {dim} and {other} parameters, {} probes (two or more), {} steps (one or more)",
            options.probes, options.steps
        )));
    }
    let delta = match candidate.space().precision() {
        Precision::F32 => 1e-5,
        Precision::F64 => 1e-12,
    };
    let header = Header::new("hesper.validate/1", candidate, context)?;
    let (loss, gradient_norm, _) = loss_and_direction(reference)?;
    let loss = Compared { candidate: header.loss.value, reference: loss };
    let gradient_norm = Compared { candidate: header.loss.gradient_norm, reference: gradient_norm };
    let (products, asymmetry) = compare_products(candidate, reference, context, options)?;
    let (ours, theirs) = (run(candidate, options)?, run(reference, options)?);
    let (largest, smallest, scale) = compare_values(&ours, &theirs, options.ends)?;
    let steps = ours.steps().min(theirs.steps());
    let pairs = |x: &[f64], y: &[f64]| -> Vec<_> {
        x.iter().zip(y).take(steps).map(|(&candidate, &reference)| Compared { candidate, reference }).collect()
    };
    let lanczos = LanczosComparison { alphas: pairs(&ours.alphas, &theirs.alphas), betas: pairs(&ours.betas, &theirs.betas) };

    let worst = |errors: &mut dyn Iterator<Item = f64>| errors.fold(0.0, f64::max);
    let relative = |compared: Compared| compared.difference() / compared.reference.abs().max(1e-2);
    let first = lanczos.alphas[0].difference().max(lanczos.betas[0].difference());
    let beyond_residual = |value: &ValueComparison| ((value.candidate - value.reference).abs() - value.residual).max(0.0);
    let values = worst(&mut largest.iter().chain(&smallest).map(beyond_residual));
    let checks = vec![
        check("product, relative error in the 2-norm", worst(&mut products.iter().map(|product| product.relative_error)), delta),
        check("product, relative error in the max-norm", worst(&mut products.iter().map(|product| product.relative_error_max)), delta),
        check("symmetry, |u'Hv - v'Hu| / (|u| |Hv|)", asymmetry.candidate, delta),
        check("loss, relative difference", relative(loss), delta),
        check("gradient norm, relative difference", relative(gradient_norm), delta),
        check("first alpha and beta, relative to the largest eigenvalue", ratio(first, scale), 2.0 * delta),
        check("extreme eigenvalues beyond their residual, relative to the largest", ratio(values, scale), 10.0 * delta),
    ];
    Ok(ValidateReport {
        header,
        reference: reference.info(),
        options: options.clone(),
        loss,
        gradient_norm,
        products,
        asymmetry,
        lanczos,
        largest,
        smallest,
        passed: checks.iter().all(|check| check.passed),
        checks,
        stats: meter.stats(candidate, LanczosSeconds::default()),
    })
}

fn check(name: &str, error: f64, tolerance: f64) -> Check {
    Check { name: name.into(), error, tolerance, passed: error <= tolerance }
}

/// error / scale, where no error is none even of nothing.
fn ratio(error: f64, scale: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / scale }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn magnitude(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()))
}

/// Products with each probe by both, and the asymmetry over the first two.
fn compare_products<A: CurvatureOperator, R: CurvatureOperator>(
    candidate: &A,
    reference: &R,
    context: &JobContext<'_>,
    options: &ValidateOptions,
) -> Result<(Vec<ProductComparison>, Compared)> {
    let mut products = Vec::new();
    let mut first_two = Vec::new();
    for (done, probe) in (0..options.probes).zip(0_u32..) {
        let distribution = if probe.is_multiple_of(2) { Distribution::Rademacher } else { Distribution::Gaussian };
        // Single precision holds these numbers exactly: both operators get the same vector.
        let mut single = vec![0.0_f32; candidate.space().dim()];
        rng::fill(distribution, options.seed, probe, &mut single);
        let v: Vec<f64> = single.into_iter().map(|x| x.to_f64()).collect();
        let (ours, theirs) = (product(candidate, &v)?, product(reference, &v)?);
        let difference: Vec<f64> = ours.iter().zip(&theirs).map(|(x, y)| x - y).collect();
        products.push(ProductComparison {
            distribution,
            relative_error: ratio(dot(&difference, &difference).sqrt(), dot(&theirs, &theirs).sqrt()),
            relative_error_max: ratio(magnitude(&difference), magnitude(&theirs)),
        });
        if done < 2 {
            first_two.push((v, ours, theirs));
        }
        context.progress.update(Stage::Comparison, done as u64 + 1, options.probes as u64 + 1);
    }
    let [(u, ours_u, theirs_u), (v, ours_v, theirs_v)] = &first_two[..] else {
        return Err(Error::Input("validate: two probes or more are needed".into()));
    };
    let asymmetry = |hu: &[f64], hv: &[f64]| ratio((dot(u, hv) - dot(v, hu)).abs(), (dot(u, u) * dot(hv, hv)).sqrt());
    Ok((products, Compared { candidate: asymmetry(ours_u, ours_v), reference: asymmetry(theirs_u, theirs_v) }))
}

fn product<A: CurvatureOperator>(operator: &A, v: &[f64]) -> Result<Vec<f64>> {
    let product = krylov::product(operator, v)?;
    match product.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Error::NonFinite(format!("validate: element {at} of a product by {} is {}", operator.info().kind, product[at]))),
        None => Ok(product),
    }
}

fn run<A: CurvatureOperator>(operator: &A, options: &ValidateOptions) -> Result<Tridiagonal> {
    let mut start = operator.space().block(1)?;
    operator.space().fill(&mut start, Distribution::Rademacher, options.seed, 0)?;
    let mut lanczos = Lanczos::new(operator, start, 1, LanczosOptions { capacity: options.steps, ..LanczosOptions::default() })?;
    while lanczos.step()? {}
    Ok(lanczos.coefficients()?.swap_remove(0))
}

/// The extreme Ritz values of both runs side by side, and max|θ| of the reference's.
fn compare_values(ours: &Tridiagonal, theirs: &Tridiagonal, ends: usize) -> Result<(Vec<ValueComparison>, Vec<ValueComparison>, f64)> {
    let (ours, theirs) = (ritz_values(ours)?, ritz_values(theirs)?);
    let pair = |(x, y): (&RitzValue, &RitzValue)| ValueComparison { candidate: x.value, reference: y.value, residual: y.residual };
    let largest = ours.iter().rev().zip(theirs.iter().rev()).take(ends).map(pair).collect();
    let smallest = ours.iter().zip(&theirs).take(ends).map(pair).collect();
    Ok((largest, smallest, theirs.iter().fold(0.0, |scale: f64, ritz| scale.max(ritz.value.abs()))))
}

/// [`validate`] against the float64 reference for [`backend::run`].
pub struct ValidateJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a ValidateOptions,
    /// What the reference is built from.
    pub objective: &'a Objective,
    /// Which operator.
    pub curvature: Curvature,
}

impl OperatorJob for ValidateJob<'_> {
    type Output = ValidateReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::lanczos_workload(None, 1, self.options.steps.min(dim))
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<ValidateReport> {
        let Self { context, options, objective, curvature } = self;
        let reference = BackendOptions { kind: BackendKind::Reference, ..BackendOptions::default() };
        backend::run(objective, curvature, &reference, Against { candidate: operator, context, options })
    }
}

/// The comparison once the candidate is there and waits for the reference.
struct Against<'a, A> {
    candidate: &'a A,
    context: &'a JobContext<'a>,
    options: &'a ValidateOptions,
}

impl<A: CurvatureOperator> OperatorJob for Against<'_, A> {
    type Output = ValidateReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::lanczos_workload(None, 1, self.options.steps.min(dim))
    }

    fn run<R: CurvatureOperator>(self, reference: &R, _spot_check: &SpotCheck<'_>) -> Result<ValidateReport> {
        validate(self.candidate, reference, self.context, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    const N: u32 = 25;

    /// A symmetric matrix with `error` added to one entry of the upper triangle only.
    fn operator(error: f64) -> MatrixOperator {
        let entry = |i: u32, j: u32| (f64::from(i * j) * 0.3).cos() + f64::from(u8::from(i == 3 && j == 7)) * error;
        MatrixOperator::dense(N as usize, (0..N).flat_map(|i| (0..N).map(move |j| entry(i, j))).collect())
    }

    fn failed(report: &ValidateReport) -> Vec<&str> {
        report.checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn an_operator_agrees_with_itself() {
        let report = validate(&operator(0.0), &operator(0.0), &context(), &ValidateOptions::default()).unwrap();
        assert!(report.passed && report.lanczos.alphas.len() > 2, "{:?}", report.checks);
        assert!(report.products.iter().all(|product| product.relative_error == 0.0));
    }

    #[test]
    fn one_wrong_coefficient_fails_products_and_symmetry() {
        let report = validate(&operator(1e-6), &operator(0.0), &context(), &ValidateOptions::default()).unwrap();
        assert!(!report.passed);
        let failed = failed(&report);
        assert!(failed.iter().any(|name| name.contains("2-norm")) && failed.iter().any(|name| name.contains("symmetry")), "{failed:?}");
        assert!(report.asymmetry.reference < 1e-15);
    }

    #[test]
    fn sizes_must_agree() {
        let other = MatrixOperator::diagonal([1.0]);
        assert!(matches!(validate(&operator(0.0), &other, &context(), &ValidateOptions::default()), Err(Error::Input(_))));
    }

    #[test]
    fn zero_operators_agree() {
        let zero = || MatrixOperator::diagonal(vec![0.0; 4]);
        let report = validate(&zero(), &zero(), &context(), &ValidateOptions::default()).unwrap();
        assert!(report.passed, "{:?}", report.checks);
    }
}
