//! The main job: everything that the probes' Lanczos runs tell.

use serde::Serialize;

use super::batches::{BatchRecord, BatchSummary};
use super::blocks::BlockRecord;
use super::context::JobContext;
use super::convergence::Convergence;
use super::diagnostics::{Diagnostics, check_damping, gradient_curvature, relative_sharpness};
use super::lanczos_run::{Sampled, SamplingOptions, SamplingPlan, extremes_of, records, sample};
use super::pairs::{Eigenvectors, mass};
use super::record::{Eigenvalues, Header, Meter, ProbeRecord, Stats};
use crate::backend::{OperatorJob, ProductError, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::Result;
use crate::estimate::{
    self, Damped, Deflation, Density, DensityOptions, Estimate, Floor, Functionals, LearningRate, NegativeShare, SpectralMeasure,
    count_above, damped, frobenius_squared, functionals, max_stable_learning_rate, negative_share, outlier_split, saddle_index, tail_fit,
};
use crate::krylov::{Extremes, Reorthogonalization, RitzValue, VectorSpace as _};
use crate::model::Tensor;

/// How to estimate a spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpectrumOptions {
    /// Probes, steps and the pairs found first.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
    /// Largest eigenvalues to report.
    pub top: usize,
    /// Smallest eigenvalues to report.
    pub bottom: usize,
    /// An eigenvalue is converged where its residual is at most `tol`·max|θ|.
    pub tol: f64,
    /// The density's grid and kernel.
    pub density: DensityOptions,
    /// Thresholds above which eigenvalues are counted.
    pub above: Vec<f64>,
    /// γ of log det(A + γI) and of the effective dimension; for positive semidefinite operators only.
    pub damping: Option<f64>,
    /// Whether to return the vectors of the pairs that are found first.
    pub vectors: bool,
}

impl Default for SpectrumOptions {
    fn default() -> Self {
        Self {
            sampling: SamplingOptions::default(),
            top: 5,
            bottom: 5,
            tol: 1e-5,
            density: DensityOptions::default(),
            above: Vec::new(),
            damping: None,
            vectors: false,
        }
    }
}

/// `hesper.spectrum/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpectrumReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: SpectrumOptions,
    /// Both ends of the spectrum: at each rank the best over the probes.
    pub eigenvalues: Eigenvalues,
    /// The tensors that the eigenvalues' `mass` is divided among.
    pub tensors: Vec<String>,
    /// tr H.
    pub trace: Estimate,
    /// ‖H‖²_F.
    pub frobenius_squared: Estimate,
    /// The density of eigenvalues.
    pub density: Density,
    /// The probes' Gauss rules.
    pub probes: Vec<ProbeRecord>,
    /// The share of negative eigenvalues.
    pub negative_share: NegativeShare,
    /// 2/λmax; null where λmax ≤ 0.
    pub max_stable_learning_rate: Option<LearningRate>,
    /// The largest stable step of the preconditioned optimizer with its momentum, (1 + β₁)/(1 − β₁) times as much; where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam_stable_learning_rate: Option<LearningRate>,
    /// Sums of functions over all eigenvalues.
    pub functionals: Functionals,
    /// With a damping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damped: Option<Damped>,
    /// What it says about training.
    pub diagnostics: Diagnostics,
    /// The diagonal blocks, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlockRecord>,
    /// Mini-batches, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<BatchRecord>,
    /// What the batches tell together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_summary: Option<BatchSummary>,
    /// How the extreme values settled, step by step.
    pub convergence: Option<Convergence>,
    /// What rounding leaves uncertain, relative to the largest magnitude; all bars are widened by it.
    pub floor: Floor,
    /// Those of the pairs found first, only where they were asked for; written to a file of its own.
    #[serde(skip)]
    pub vectors: Option<Eigenvectors>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Estimates the spectrum of `operator`, whose products are as exact as `product` says, by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017): every number from the same runs, in
/// the complement of the eigenpairs that one more run finds first.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for options that make no sense, [`Error::Memory`](crate::Error::Memory) where not even one
/// probe fits the budget, [`Error::NonFinite`](crate::Error::NonFinite) where loss or products are, and device failures.
pub fn spectrum<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &SpectrumOptions,
    product: Option<ProductError>,
) -> Result<SpectrumReport> {
    let meter = Meter::start(operator, context);
    check_damping(context, options.damping)?;
    let plan = options.sampling.plan(operator)?;
    let header = Header::new("hesper.spectrum/1", operator, context)?;
    let Sampled { measure, deflation, seconds } = sample(operator, context.progress, &plan, product)?;
    let known = measure.pairs().len();
    let ends = extremes_of(&measure, plan.reorthogonalization, options.top.max(known + 1), options.bottom.max(1))?;
    let mut eigenvalues = Eigenvalues::new(
        &Extremes {
            largest: ends.largest.iter().take(options.top).copied().collect(),
            smallest: ends.smallest.iter().take(options.bottom).copied().collect(),
        },
        options.tol * measure.scale(),
    )
    .widened(measure.resolution());
    let tensors = &context.subject.tensors;
    let is_laid_out = tensors.last().is_some_and(|last| last.range.end == operator.space().dim());
    if is_laid_out {
        locate(&mut eigenvalues, &deflation, tensors);
    }
    let mut warnings = [operator.warnings(), context.subject.notices.clone(), plan.warnings.clone()].concat();
    warnings.extend(convergence_warning(&eigenvalues, options));
    let diagnostics = Diagnostics {
        gradient_curvature: gradient_curvature(operator, measure.resolution())?,
        relative_sharpness: relative_sharpness(operator, &context.subject.parameters, options.sampling.seed, measure.floor())?,
        ..diagnose(&measure, &ends, &plan, &options.above)
    };
    let widened = |ritz: &RitzValue| RitzValue { residual: ritz.residual + measure.resolution(), ..*ritz };
    let sharpness = ends.largest.first().map(widened);
    let norm =
        ends.largest.first().into_iter().chain(ends.smallest.first()).map(widened).max_by(|x, y| x.value.abs().total_cmp(&y.value.abs()));
    let rate = max_stable_learning_rate(sharpness, measure.resolution());
    let preconditioner = header.view.as_ref().and_then(|view| view.preconditioner.as_ref());
    Ok(SpectrumReport {
        adam_stable_learning_rate: preconditioner.and_then(|preconditioner| Some(rate?.times(preconditioner.momentum_factor()))),
        header,
        options: options.clone(),
        eigenvalues,
        tensors: if is_laid_out { tensors.iter().map(|tensor| tensor.name.clone()).collect() } else { Vec::new() },
        trace: measure.trace(),
        frobenius_squared: frobenius_squared(&measure),
        density: estimate::density(&measure, &options.density)?,
        negative_share: diagnostics.saddle_index.negative_share,
        max_stable_learning_rate: rate,
        functionals: functionals(&measure, norm.map_or((0.0, 0.0), |ritz| (ritz.value.abs(), ritz.residual))),
        damped: options.damping.map(|damping| damped(&measure, damping)).transpose()?,
        diagnostics,
        blocks: Vec::new(),
        batches: Vec::new(),
        batch_summary: None,
        convergence: Convergence::of(&deflation, &measure)?,
        floor: measure.floor(),
        vectors: options.vectors.then(|| Eigenvectors::of(&deflation, operator.space().dim())),
        probes: records(&measure),
        stats: meter.stats(operator, seconds),
        warnings,
    })
}

/// Adds where their vectors lie to those of the values that are pairs found first.
fn locate(eigenvalues: &mut Eigenvalues, deflation: &Deflation, tensors: &[Tensor]) {
    let known: Vec<_> = deflation.pairs().iter().zip(deflation.vectors()).collect();
    for eigenvalue in eigenvalues.largest.iter_mut().chain(&mut eigenvalues.smallest) {
        let vector = known.iter().find(|(pair, _)| pair.value == eigenvalue.value).map(|(_, vector)| *vector);
        eigenvalue.mass = vector.map(|vector| mass(tensors, vector));
    }
}

/// What the measure alone tells.
fn diagnose(measure: &SpectralMeasure, ends: &Extremes, plan: &SamplingPlan, above: &[f64]) -> Diagnostics {
    // The gap is looked for among the known pairs and the one value that follows them.
    let known = measure.pairs().iter().filter(|pair| pair.value > 0.0).count();
    let outliers = outlier_split(&ends.largest[..ends.largest.len().min(known + 1)]);
    Diagnostics {
        saddle_index: saddle_index(measure, negative_share(measure), plan.reorthogonalization == Reorthogonalization::Full),
        tail: tail_fit(measure, outliers.map_or(f64::INFINITY, |split| split.smallest_outlier)),
        outliers,
        gradient_curvature: None,
        relative_sharpness: None,
        counts: above.iter().map(|&threshold| count_above(measure, threshold)).collect(),
    }
}

fn convergence_warning(eigenvalues: &Eigenvalues, options: &SpectrumOptions) -> Option<String> {
    let unconverged = eigenvalues.unconverged();
    let asked = eigenvalues.largest.len() + eigenvalues.smallest.len();
    (unconverged > 0).then(|| {
        format!(
            "{unconverged} of {asked} extreme eigenvalues are not converged to {:e} of the largest magnitude: raise --steps (now {}), or \
             use 'hesper eigs'",
            options.tol, options.sampling.steps
        )
    })
}

/// [`spectrum`] for [`backend::run`](crate::backend::run).
pub struct SpectrumJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a SpectrumOptions,
}

impl OperatorJob for SpectrumJob<'_> {
    type Output = SpectrumReport;

    fn workload(&self, dim: usize) -> Workload {
        let workload = self.options.sampling.workload(dim);
        Workload { kept_bytes: workload.kept_bytes << u32::from(self.options.vectors), ..workload }
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<SpectrumReport> {
        spectrum(operator, self.context, self.options, spot_check.measure(self.options.sampling.seed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::error::Error;
    use crate::krylov::test_support::MatrixOperator;

    /// 400 eigenvalues, 100 of them negative.
    fn operator() -> MatrixOperator {
        let bulk = (0..397).map(|i| if i < 98 { -0.01 - 1e-4 * f64::from(i) } else { 0.01 + 1e-4 * f64::from(i) });
        MatrixOperator::diagonal(bulk.chain([9.0, -2.0, -3.0]).collect::<Vec<_>>())
    }

    /// A dense symmetric matrix, on which Rademacher probes do vary.
    fn dense(n: u32) -> MatrixOperator {
        let entry = |i: u32, j: u32| (f64::from(i * j) * 0.37).sin() + f64::from(u8::from(i == j)) * f64::from(i);
        MatrixOperator::dense(n as usize, (0..n).flat_map(|i| (0..n).map(move |j| entry(i, j))).collect())
    }

    /// Options with `probes`, `steps` and `deflate`, the rest by default.
    fn sampled(probes: usize, steps: usize, deflate: usize) -> SpectrumOptions {
        SpectrumOptions { sampling: SamplingOptions { probes, steps, deflate, ..Default::default() }, ..Default::default() }
    }

    fn without_seconds(report: &SpectrumReport) -> serde_json::Value {
        let mut json = serde_json::to_value(report).unwrap();
        json["stats"]["seconds"] = serde_json::Value::Null;
        json["stats"]["readbacks"] = serde_json::Value::Null;
        json["options"]["columns"] = serde_json::Value::Null;
        json
    }

    #[test]
    fn a_planted_spectrum_is_found_in_few_readbacks() {
        let operator = operator();
        let report = spectrum(&operator, &context(), &SpectrumOptions { top: 1, bottom: 2, ..sampled(8, 100, 4) }, None).unwrap();
        // Eight runs, one more with its four pairs, the gradient's product. Loss, coefficients, four vectors, their products,
        // two for the runs (orthogonality is measured), scalar products, gradient.
        assert_eq!((report.stats.hvps, report.stats.readbacks), (800 + 100 + 4 + 1, 1 + 1 + 4 + 1 + 2 + 1 + 1));
        let value = |eigenvalue: &super::super::Eigenvalue| (eigenvalue.converged, (eigenvalue.value * 1e9).round() / 1e9);
        assert_eq!(report.eigenvalues.largest.iter().map(value).collect::<Vec<_>>(), [(true, 9.0)]);
        assert_eq!(report.eigenvalues.smallest.iter().map(value).collect::<Vec<_>>(), [(true, -3.0), (true, -2.0)]);
        let NegativeShare { mean, lower, upper } = report.negative_share;
        assert!(lower <= 0.25 && 0.25 <= upper && upper - lower < 0.25 && (mean - 0.25).abs() < 0.04, "{:?}", report.negative_share);
        assert!((report.max_stable_learning_rate.unwrap().value - 2.0 / 9.0).abs() < 1e-12);
        let (trace, square): (f64, f64) = match &operator.matrix {
            crate::krylov::test_support::Matrix::Diagonal(d) => (d.iter().sum(), d.iter().map(|x| x * x).sum()),
            crate::krylov::test_support::Matrix::Dense(_) => unreachable!("it is diagonal"),
        };
        let [low, high] = report.trace.ci95.unwrap();
        assert!(low <= trace && trace <= high && high - low < 0.1 * trace.abs(), "{trace}: {:?}", report.trace);
        assert!((report.frobenius_squared.mean - square).abs() < 1e-3 * square, "{square}: {:?}", report.frobenius_squared);
        let diagnostics = &report.diagnostics;
        assert_eq!(diagnostics.outliers.unwrap().count, 1);
        assert!((2..=100).contains(&diagnostics.saddle_index.certified_negative) && diagnostics.gradient_curvature.unwrap().value > 0.0);
        assert_eq!(report.warnings, Vec::<String>::new());
    }

    #[test]
    fn the_json_has_the_promised_keys() {
        let report = spectrum(&operator(), &context(), &sampled(2, 5, 32), None).unwrap();
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["schema"], "hesper.spectrum/1");
        assert_eq!(json["operator"], "hessian");
        for path in [
            "/model/layers/0/in",
            "/model/layers/0/out",
            "/model/layers/0/activation",
            "/model/layers/0/bias",
            "/model/parameters",
            "/data/samples",
            "/data/source",
            "/loss/kind",
            "/loss/value",
            "/loss/gradient_norm",
            "/loss/weight_decay",
            "/backend/kind",
            "/backend/adapter",
            "/backend/driver",
            "/backend/precision",
            "/backend/threads",
            "/eigenvalues/largest/0/value",
            "/eigenvalues/largest/0/residual",
            "/eigenvalues/smallest/0/converged",
            "/trace/mean",
            "/trace/std_error",
            "/trace/ci95/1",
            "/trace/samples/1",
            "/frobenius_squared/mean",
            "/frobenius_squared/std_error",
            "/density/grid/0",
            "/density/density/0",
            "/density/std_error/0",
            "/density/sigma",
            "/density/cdf_lower/0",
            "/density/cdf_upper/0",
            "/probes/1/nodes/0",
            "/probes/1/weights/0",
            "/negative_share/mean",
            "/negative_share/lower",
            "/negative_share/upper",
            "/max_stable_learning_rate/value",
            "/max_stable_learning_rate/lower",
            "/max_stable_learning_rate/upper",
            "/options/probes",
            "/density/cdf_sampling",
            "/density/atoms",
            "/functionals/nuclear_norm/upper",
            "/functionals/moments/3/power",
            "/functionals/moments/3/mean",
            "/functionals/stable_rank/lower",
            "/functionals/participation_ratio/std_error",
            "/functionals/condition_positive_at_least",
            "/diagnostics/saddle_index/certified_negative",
            "/diagnostics/outliers/count",
            "/diagnostics/tail",
            "/diagnostics/gradient_curvature/residual",
            "/diagnostics/relative_sharpness",
            "/diagnostics/counts",
            "/stats/hvps",
            "/stats/seconds/total",
            "/stats/seconds/hvp",
            "/stats/seconds/orthogonalization",
            "/stats/readbacks",
            "/warnings/0",
        ] {
            assert!(json.pointer(path).is_some(), "{path} is missing");
        }
        assert!(json["warnings"][0].as_str().unwrap().contains("--steps"), "{}", json["warnings"]);
    }

    #[test]
    fn batches_do_not_change_the_result() {
        let options = sampled(5, 12, 8);
        let at_once = without_seconds(&spectrum(&dense(30), &context(), &options, None).unwrap());
        for columns in [1, 2, 3, 9] {
            let sampling = SamplingOptions { columns: Some(columns), ..options.sampling.clone() };
            let report = spectrum(&dense(30), &context(), &SpectrumOptions { sampling, ..options.clone() }, None).unwrap();
            assert_eq!(without_seconds(&report), at_once, "{columns} columns");
        }
        let other = spectrum(
            &dense(30),
            &context(),
            &SpectrumOptions { sampling: SamplingOptions { seed: 1, ..options.sampling.clone() }, ..options },
            None,
        )
        .unwrap();
        assert_ne!(without_seconds(&other)["trace"], at_once["trace"]);
    }

    #[test]
    fn memory_limits_the_batch_and_then_the_job() {
        // 400 doubles a vector, 3 vectors beside the basis of 10, 1000 bytes of the operator; without pairs two readbacks a batch, and one
        // each for the loss, a scalar product, and the gradient.
        let run = |budget| {
            let mut options = sampled(4, 10, 0);
            options.sampling.memory_budget = Some(budget);
            spectrum(&operator(), &context(), &options, None)
        };
        assert_eq!(run(1000 + 4 * 13 * 3200).unwrap().stats.readbacks, 5);
        assert_eq!(run(1000 + 4 * 13 * 3200 - 1).unwrap().stats.readbacks, 7);
        assert_eq!(run(1000 + 13 * 3200).unwrap().stats.readbacks, 11);
        let error = run(1000 + 13 * 3200 - 1).unwrap_err();
        assert!(
            matches!(&error, Error::Memory(message) if ["--steps", "--reorthogonalize none", "--memory-budget", "40.6 KiB"]
            .iter().all(|word| message.contains(word))),
            "{error}"
        );
    }

    #[test]
    fn a_budget_that_holds_no_run_for_pairs_does_without_and_says_so() {
        let mut options = sampled(2, 10, 8);
        options.sampling.memory_budget = Some(1000 + 15 * 3200);
        let report = spectrum(&operator(), &context(), &options, None).unwrap();
        assert!(report.density.atoms.is_empty() && report.warnings.iter().any(|warning| warning.contains("--memory-budget")));
    }

    #[test]
    fn a_damping_needs_a_semidefinite_operator() {
        let error = spectrum(&operator(), &context(), &SpectrumOptions { damping: Some(0.1), ..Default::default() }, None).unwrap_err();
        assert!(error.to_string().contains("hessian"), "{error}");
    }

    #[test]
    fn small_and_degenerate_operators_have_a_spectrum() {
        for (eigenvalues, share) in [(vec![2.0], 0.0), (vec![-1.0], 1.0), (vec![0.0; 4], 0.0), (vec![1.0, -1.0], 0.5)] {
            let report = spectrum(&MatrixOperator::diagonal(eigenvalues.clone()), &context(), &Default::default(), None).unwrap();
            assert!((report.negative_share.mean - share).abs() < 1e-12, "{eigenvalues:?}: {:?}", report.negative_share);
            assert!((report.trace.mean - eigenvalues.iter().sum::<f64>()).abs() < 1e-12, "{eigenvalues:?}");
            assert_eq!(report.eigenvalues.unconverged(), 0, "{eigenvalues:?}");
            assert_eq!(report.max_stable_learning_rate.is_some(), eigenvalues[0] > 0.0, "{eigenvalues:?}");
        }
    }

    #[test]
    fn one_probe_says_that_it_tells_no_spread() {
        let report = spectrum(&dense(20), &context(), &sampled(1, 100, 32), None).unwrap();
        assert_eq!((report.trace.std_error, report.trace.ci95, report.density.std_error), (None, None, None));
        assert!(report.warnings.iter().any(|warning| warning.contains("--probes")), "{:?}", report.warnings);
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [
            SamplingOptions { probes: 0, ..Default::default() },
            SamplingOptions { steps: 0, ..Default::default() },
            SamplingOptions { columns: Some(0), ..Default::default() },
        ] {
            let options = SpectrumOptions { sampling: options, ..Default::default() };
            assert!(matches!(spectrum(&dense(5), &context(), &options, None), Err(Error::Input(_))), "{options:?}");
        }
        let broken = MatrixOperator::diagonal([1.0, f64::NAN]);
        assert!(matches!(spectrum(&broken, &context(), &Default::default(), None), Err(Error::NonFinite(_))));
    }

    #[test]
    fn without_reorthogonalization_both_ends_hold_no_ghost() {
        let mut options = SpectrumOptions { top: 1, bottom: 2, ..sampled(2, 100, 4) };
        options.sampling.reorthogonalization = Reorthogonalization::None;
        let report = spectrum(&operator(), &context(), &options, None).unwrap();
        let values: Vec<f64> = report.eigenvalues.smallest.iter().map(|eigenvalue| eigenvalue.value).collect();
        assert!((values[0] + 3.0).abs() < 1e-9 && (values[1] + 2.0).abs() < 1e-9, "{values:?}");
    }
}
