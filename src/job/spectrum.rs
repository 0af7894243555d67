//! The main job: everything that the probes' Lanczos runs tell.

use serde::Serialize;

use super::context::JobContext;
use super::lanczos_run::{LanczosRuns, RunOptions, extremes_of, records, run_probes};
use super::memory;
use super::record::{Eigenvalues, Header, Meter, ProbeRecord, Stats};
use crate::backend::OperatorJob;
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::Result;
use crate::estimate::{
    self, Density, DensityOptions, Estimate, LearningRate, NegativeShare, frobenius_squared, max_stable_learning_rate, negative_share,
};
use crate::krylov::{Reorthogonalization, VectorSpace as _};

/// How to estimate a spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpectrumOptions {
    /// Rademacher probes, each the start of a Lanczos run; a single one gives no error bar.
    pub probes: usize,
    /// Lanczos steps a probe; at most n are made.
    pub steps: usize,
    /// Largest eigenvalues to report.
    pub top: usize,
    /// Smallest eigenvalues to report.
    pub bottom: usize,
    /// The seed of the probes.
    pub seed: u64,
    /// What keeps the Lanczos vectors orthogonal.
    pub reorthogonalization: Reorthogonalization,
    /// An eigenvalue is converged where its residual is at most `tol`·max|θ|.
    pub tol: f64,
    /// The density's grid and kernel.
    pub density: DensityOptions,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
    /// Probes that run at once; none for as many as the memory holds. The result does not depend on it.
    pub columns: Option<usize>,
}

impl Default for SpectrumOptions {
    fn default() -> Self {
        Self {
            probes: 10,
            steps: 100,
            top: 5,
            bottom: 5,
            seed: 0,
            reorthogonalization: Reorthogonalization::Full,
            tol: 1e-5,
            density: DensityOptions::default(),
            memory_budget: None,
            columns: None,
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
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Estimates the spectrum of `operator` by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017): every number from the same runs.
///
/// The loss and the gradient take one readback, each batch of probes one more.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for options that make no sense, [`Error::Memory`](crate::Error::Memory) where not even one
/// probe fits the budget, [`Error::NonFinite`](crate::Error::NonFinite) where loss or products are, and device failures.
pub fn spectrum<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &SpectrumOptions) -> Result<SpectrumReport> {
    let meter = Meter::start(operator, context);
    let run_options = RunOptions {
        probes: options.probes,
        steps: options.steps,
        seed: options.seed,
        reorthogonalization: options.reorthogonalization,
        memory_budget: options.memory_budget,
        columns: options.columns,
    };
    let plan = run_options.plan(operator)?;
    let header = Header::new("hesper.spectrum/1", operator, context)?;
    let (dim, epsilon) = (operator.space().dim(), operator.space().precision().epsilon());
    let LanczosRuns { tridiagonals, rules, seconds, mut warnings } = run_probes(operator, context, &plan)?;
    let scale = rules.iter().fold(0.0, |largest: f64, rule| largest.max(rule.scale()));
    let extremes = extremes_of(&tridiagonals, options.reorthogonalization, epsilon, options.top, options.bottom)?;
    let eigenvalues = Eigenvalues::new(&extremes, options.tol * scale);
    warnings.extend(convergence_warning(&eigenvalues, options));
    Ok(SpectrumReport {
        header,
        options: options.clone(),
        eigenvalues,
        trace: estimate::trace(&tridiagonals, dim),
        frobenius_squared: frobenius_squared(&tridiagonals, dim),
        density: estimate::density(&rules, &options.density, epsilon)?,
        negative_share: negative_share(&rules, epsilon),
        max_stable_learning_rate: max_stable_learning_rate(extremes.largest.first().copied(), scale, epsilon),
        probes: records(rules, &tridiagonals),
        stats: meter.stats(operator, seconds),
        warnings,
    })
}

fn convergence_warning(eigenvalues: &Eigenvalues, options: &SpectrumOptions) -> Option<String> {
    let unconverged = eigenvalues.unconverged();
    let asked = eigenvalues.largest.len() + eigenvalues.smallest.len();
    (unconverged > 0).then(|| {
        format!(
            "{unconverged} of {asked} extreme eigenvalues are not converged to {:e} of the largest magnitude: raise --steps (now {}), or \
             use 'hesper eigs'",
            options.tol, options.steps
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
        let options = self.options;
        memory::lanczos_workload(options.columns, options.probes, options.steps, dim, options.reorthogonalization)
    }

    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<SpectrumReport> {
        spectrum(operator, self.context, self.options)
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

    fn without_seconds(report: &SpectrumReport) -> serde_json::Value {
        let mut json = serde_json::to_value(report).unwrap();
        json["stats"]["seconds"] = serde_json::Value::Null;
        json["stats"]["readbacks"] = serde_json::Value::Null;
        json["options"]["columns"] = serde_json::Value::Null;
        json
    }

    #[test]
    fn a_planted_spectrum_is_found_in_two_readbacks() {
        let operator = operator();
        let report = spectrum(&operator, &context(), &SpectrumOptions { probes: 8, top: 1, bottom: 2, ..Default::default() }).unwrap();
        assert_eq!((report.stats.hvps, report.stats.readbacks), (800, 2));
        let value = |eigenvalue: &super::super::Eigenvalue| (eigenvalue.converged, (eigenvalue.value * 1e9).round() / 1e9);
        assert_eq!(report.eigenvalues.largest.iter().map(value).collect::<Vec<_>>(), [(true, 9.0)]);
        assert_eq!(report.eigenvalues.smallest.iter().map(value).collect::<Vec<_>>(), [(true, -3.0), (true, -2.0)]);
        let NegativeShare { mean, lower, upper } = report.negative_share;
        assert!(lower <= 0.25 && 0.25 <= upper && upper - lower < 0.25 && (mean - 0.25).abs() < 0.03, "{:?}", report.negative_share);
        assert!((report.max_stable_learning_rate.unwrap().value - 2.0 / 9.0).abs() < 1e-12);
        // On a diagonal matrix every Rademacher probe gives the exact trace and norm.
        let (trace, square): (f64, f64) = match &operator.matrix {
            crate::krylov::test_support::Matrix::Diagonal(d) => (d.iter().sum(), d.iter().map(|x| x * x).sum()),
            crate::krylov::test_support::Matrix::Dense(_) => unreachable!("it is diagonal"),
        };
        assert!((report.trace.mean - trace).abs() < 1e-11 && (report.frobenius_squared.mean - square).abs() < 1e-10);
        assert_eq!(report.warnings, Vec::<String>::new());
    }

    #[test]
    fn the_json_has_the_promised_keys() {
        let report = spectrum(&operator(), &context(), &SpectrumOptions { probes: 2, steps: 5, ..Default::default() }).unwrap();
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
        let options = SpectrumOptions { probes: 5, steps: 12, ..Default::default() };
        let at_once = without_seconds(&spectrum(&dense(30), &context(), &options).unwrap());
        for columns in [1, 2, 3, 9] {
            let report = spectrum(&dense(30), &context(), &SpectrumOptions { columns: Some(columns), ..options.clone() }).unwrap();
            assert_eq!(report.stats.readbacks, 1 + 5_u64.div_ceil(columns as u64));
            assert_eq!(without_seconds(&report), at_once, "{columns} columns");
        }
        let other = spectrum(&dense(30), &context(), &SpectrumOptions { seed: 1, ..options }).unwrap();
        assert_ne!(without_seconds(&other)["trace"], at_once["trace"]);
    }

    #[test]
    fn memory_limits_the_batch_and_then_the_job() {
        // 400 doubles a vector, 4 vectors beside the basis of 10, 1000 bytes of the operator.
        let run = |budget| {
            let options = SpectrumOptions { probes: 4, steps: 10, memory_budget: Some(budget), ..Default::default() };
            spectrum(&operator(), &context(), &options)
        };
        assert_eq!(run(1000 + 4 * 14 * 3200).unwrap().stats.readbacks, 2);
        assert_eq!(run(1000 + 4 * 14 * 3200 - 1).unwrap().stats.readbacks, 3);
        assert_eq!(run(1000 + 14 * 3200).unwrap().stats.readbacks, 5);
        let error = run(1000 + 14 * 3200 - 1).unwrap_err();
        assert!(
            matches!(&error, Error::Memory(message) if ["--steps", "--reorthogonalize none", "--memory-budget", "43.8 KiB"]
            .iter().all(|word| message.contains(word))),
            "{error}"
        );
    }

    #[test]
    fn small_and_degenerate_operators_have_a_spectrum() {
        for (eigenvalues, share) in [(vec![2.0], 0.0), (vec![-1.0], 1.0), (vec![0.0; 4], 0.0), (vec![1.0, -1.0], 0.5)] {
            let report = spectrum(&MatrixOperator::diagonal(eigenvalues.clone()), &context(), &Default::default()).unwrap();
            assert!((report.negative_share.mean - share).abs() < 1e-12, "{eigenvalues:?}: {:?}", report.negative_share);
            assert!((report.trace.mean - eigenvalues.iter().sum::<f64>()).abs() < 1e-12, "{eigenvalues:?}");
            assert_eq!(report.eigenvalues.unconverged(), 0, "{eigenvalues:?}");
            assert_eq!(report.max_stable_learning_rate.is_some(), eigenvalues[0] > 0.0, "{eigenvalues:?}");
        }
    }

    #[test]
    fn one_probe_says_that_it_tells_no_spread() {
        let report = spectrum(&dense(20), &context(), &SpectrumOptions { probes: 1, ..Default::default() }).unwrap();
        assert_eq!((report.trace.std_error, report.trace.ci95, report.density.std_error), (None, None, None));
        assert!(report.warnings.iter().any(|warning| warning.contains("--probes")), "{:?}", report.warnings);
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [
            SpectrumOptions { probes: 0, ..Default::default() },
            SpectrumOptions { steps: 0, ..Default::default() },
            SpectrumOptions { columns: Some(0), ..Default::default() },
        ] {
            assert!(matches!(spectrum(&dense(5), &context(), &options), Err(Error::Input(_))), "{options:?}");
        }
        let broken = MatrixOperator::diagonal([1.0, f64::NAN]);
        assert!(matches!(spectrum(&broken, &context(), &Default::default()), Err(Error::NonFinite(_))));
    }

    #[test]
    fn without_reorthogonalization_both_ends_hold_no_ghost() {
        let options =
            SpectrumOptions { probes: 2, reorthogonalization: Reorthogonalization::None, top: 1, bottom: 2, ..Default::default() };
        let report = spectrum(&operator(), &context(), &options).unwrap();
        let values: Vec<f64> = report.eigenvalues.smallest.iter().map(|eigenvalue| eigenvalue.value).collect();
        assert!((values[0] + 3.0).abs() < 1e-9 && (values[1] + 2.0).abs() < 1e-9, "{values:?}");
    }
}
