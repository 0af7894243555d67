//! Extreme eigenpairs to a tolerance.

use serde::Serialize;

use super::context::JobContext;
use super::memory;
use super::pairs::eigenvectors;
use super::progress::Stage;
use super::record::{Eigenvalues, Header, Meter, Stats};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::krylov::{
    Block, Extremes, Lanczos, LanczosOptions, RitzValue, Termination, Tridiagonal, VectorSpace as _, extremes, ritz_values,
};
use crate::numeric::Precision;
use crate::rng::Distribution;

pub use super::pairs::Eigenvectors;

/// Which eigenpairs, and how well.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EigsOptions {
    /// How many of the largest.
    pub top: usize,
    /// How many of the smallest.
    pub bottom: usize,
    /// A pair is converged where its residual is at most `tol`·max|θ|; none for 10⁻⁵ in f32 (a few of its product's rounding
    /// errors) and 10⁻¹⁰ in f64.
    pub tol: Option<f64>,
    /// The most Lanczos steps; none for 1,000, or what the memory holds if that is less.
    pub max_steps: Option<usize>,
    /// The seed of the start.
    pub seed: u64,
    /// Whether to compute the eigenvectors.
    pub vectors: bool,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
}

impl Default for EigsOptions {
    fn default() -> Self {
        Self { top: 5, bottom: 5, tol: None, max_steps: None, seed: 0, vectors: false, memory_budget: None }
    }
}

/// `hesper.eigs/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EigsReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How, defaults filled in.
    pub options: EigsOptions,
    /// Both ends of the spectrum.
    pub eigenvalues: Eigenvalues,
    /// Whether all that were asked for converged.
    pub accuracy_reached: bool,
    /// Lanczos steps, the dimension of the space that the values come from.
    pub steps: usize,
    /// Fresh starts after an invariant subspace was complete.
    pub restarts: u32,
    /// Why there are not more steps.
    pub termination: Termination,
    /// Only where they were asked for; written to a file of its own.
    #[serde(skip)]
    pub vectors: Option<Eigenvectors>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Steps where nothing is said; the basis is the price of each.
const DEFAULT_MAX_STEPS: usize = 1000;

/// The `top` largest and `bottom` smallest eigenvalues by one Lanczos run from a Gaussian start, fully reorthogonalized.
///
/// The run is extended by a fifth at a time, with one readback, until every value's residual is within the tolerance *and* a further
/// extension leaves all of them where they are: a small residual proves that an eigenvalue is near, not that none was passed over.
/// Where the run completes an invariant subspace, it goes on from a fresh start orthogonal to it, since one start sees a multiple
/// eigenvalue once only.
///
/// # Errors
/// [`Error::Input`] for options that make no sense, [`Error::Memory`] where the steps do not fit the budget, [`Error::NonFinite`]
/// where products are, and device failures. Not to reach the tolerance is no error.
pub fn eigs<A: CurvatureOperator>(operator: &A, context: &JobContext<'_>, options: &EigsOptions) -> Result<EigsReport> {
    let meter = Meter::start(operator, context);
    let plan = Plan::new(operator, options)?;
    let header = Header::new("hesper.eigs/1", operator, context)?;
    let mut search = Search::new(operator, context, &plan)?;
    let found = search.run()?;
    let mut warnings = [operator.warnings(), plan.warnings.clone()].concat();
    let mut eigenvalues = Eigenvalues::new(&found.extremes, plan.tol * found.scale);
    let accuracy_reached = plan.is_complete(&found.extremes, found.scale);
    if !accuracy_reached {
        let steps = found.tridiagonal.steps();
        warnings.push(format!(
            "{} of {} eigenvalues are not converged to {:e} of the largest magnitude after {steps} steps: raise --max-steps (and \
             --memory-budget), or --tol",
            eigenvalues.unconverged(),
            plan.top + plan.bottom,
            plan.tol
        ));
    } else if !found.confirmed {
        warnings
            .push("the last values converged with the last step allowed: raise --max-steps to confirm that none was passed over".into());
    }
    let vectors = match options.vectors {
        true => Some(eigenvectors(&search.lanczos, operator, context, &found.tridiagonal, &mut eigenvalues)?),
        false => None,
    };
    Ok(EigsReport {
        header,
        options: EigsOptions { tol: Some(plan.tol), max_steps: Some(plan.max_steps), ..options.clone() },
        eigenvalues,
        accuracy_reached,
        steps: found.tridiagonal.steps(),
        restarts: search.restarts,
        termination: found.tridiagonal.termination,
        vectors,
        stats: meter.stats(operator, search.lanczos.seconds()),
        warnings,
    })
}

/// The options with their defaults, fitted to n and to the memory.
struct Plan {
    top: usize,
    bottom: usize,
    tol: f64,
    max_steps: usize,
    seed: u64,
    warnings: Vec<String>,
}

impl Plan {
    fn new<A: CurvatureOperator>(operator: &A, options: &EigsOptions) -> Result<Self> {
        let dim = operator.space().dim();
        let tol = options.tol.unwrap_or(match operator.space().precision() {
            Precision::F32 => 1e-5,
            Precision::F64 => 1e-10,
        });
        if options.top + options.bottom == 0 || options.max_steps == Some(0) || tol.is_nan() || tol <= 0.0 {
            return Err(Error::Input(format!(
                "top {} and bottom {} eigenvalues in at most {:?} steps to {tol:e}: ask for at least one, with positive numbers",
                options.top, options.bottom, options.max_steps
            )));
        }
        let (top, bottom) = (options.top.min(dim), options.bottom.min(dim));
        let mut warnings = Vec::new();
        if (top, bottom) != (options.top, options.bottom) {
            warnings.push(format!("there are only {dim} eigenvalues at all"));
        }
        // Fewer steps than this cannot hold the values asked for and a judgement of them.
        let least = (top + bottom + 2).min(dim);
        let wanted = options.max_steps.unwrap_or(DEFAULT_MAX_STEPS.max(2 * least)).min(dim);
        let fitting = memory::lanczos_steps(operator, options.memory_budget);
        let max_steps = match options.max_steps {
            None if (least..wanted).contains(&fitting) => {
                warnings.push(format!("the memory budget holds {fitting} of {wanted} Lanczos vectors: --memory-budget allows more steps"));
                fitting
            }
            None if fitting < least => {
                return Err(memory::too_many_steps(operator, options.memory_budget, least, "fewer --top and --bottom"));
            }
            Some(_) if fitting < wanted => {
                return Err(memory::too_many_steps(operator, options.memory_budget, wanted, "fewer --max-steps"));
            }
            _ => wanted,
        };
        Ok(Self { top, bottom, tol, max_steps, seed: options.seed, warnings })
    }

    /// Whether all values asked for are there and converged.
    fn is_complete(&self, extremes: &Extremes, scale: f64) -> bool {
        let all = extremes.largest.len() == self.top && extremes.smallest.len() == self.bottom;
        all && extremes.largest.iter().chain(&extremes.smallest).all(|ritz| ritz.residual <= self.tol * scale)
    }
}

/// The state of the run's last judgement.
struct Found {
    tridiagonal: Tridiagonal,
    extremes: Extremes,
    /// max|θ|.
    scale: f64,
    /// Whether a further extension left the values where they were, or the space is exhausted.
    confirmed: bool,
}

struct Search<'a, A: CurvatureOperator> {
    operator: &'a A,
    context: &'a JobContext<'a>,
    plan: &'a Plan,
    lanczos: Lanczos<'a, A>,
    restarts: u32,
}

impl<'a, A: CurvatureOperator> Search<'a, A> {
    fn new(operator: &'a A, context: &'a JobContext<'a>, plan: &'a Plan) -> Result<Self> {
        let start = gaussian(operator, plan.seed, 0)?;
        let options = LanczosOptions { capacity: plan.max_steps, ..LanczosOptions::default() };
        Ok(Self { operator, context, plan, lanczos: Lanczos::new(operator, start, 1, options)?, restarts: 0 })
    }

    fn run(&mut self) -> Result<Found> {
        let Plan { top, bottom, tol, max_steps, seed, .. } = *self.plan;
        let mut before: Option<Extremes> = None;
        let mut target = 2 * (top + bottom) + 10;
        loop {
            while self.lanczos.steps() < target && self.lanczos.step()? {
                self.context.progress.update(Stage::Lanczos, self.lanczos.steps() as u64, max_steps as u64);
            }
            let tridiagonal = self.lanczos.coefficients()?.swap_remove(0);
            let steps = tridiagonal.steps();
            let values = ritz_values(&tridiagonal)?;
            let scale = values.iter().fold(0.0, |largest: f64, ritz| largest.max(ritz.value.abs()));
            let extremes = extremes(&[values], top, bottom);
            let complete = self.plan.is_complete(&extremes, scale);
            let exhausted = steps == self.operator.space().dim();
            let confirmed = exhausted || before.as_ref().is_some_and(|before| agree(before, &extremes, tol * scale));
            if steps >= max_steps || (complete && confirmed) {
                return Ok(Found { tridiagonal, extremes, scale, confirmed });
            }
            before = complete.then_some(extremes);
            if let Termination::InvariantSubspace { step } = tridiagonal.termination {
                self.restarts += 1;
                self.lanczos.restart(step, gaussian(self.operator, seed, self.restarts)?)?;
            }
            target = steps + (steps / 5).max(10);
        }
    }
}

fn gaussian<A: CurvatureOperator>(operator: &A, seed: u64, probe: u32) -> Result<Block<A>> {
    let mut start = operator.space().block(1)?;
    operator.space().fill(&mut start, Distribution::Gaussian, seed, probe)?;
    Ok(start)
}

/// Whether all values of both are within `threshold` of each other, rank by rank.
fn agree(before: &Extremes, after: &Extremes, threshold: f64) -> bool {
    let close =
        |x: &[RitzValue], y: &[RitzValue]| x.len() == y.len() && x.iter().zip(y).all(|(x, y)| (x.value - y.value).abs() <= threshold);
    close(&before.largest, &after.largest) && close(&before.smallest, &after.smallest)
}

/// [`eigs`] for [`backend::run`](crate::backend::run).
pub struct EigsJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a EigsOptions,
}

impl OperatorJob for EigsJob<'_> {
    type Output = EigsReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::lanczos_workload(None, 1, (self.options.top + self.options.bottom + 2).min(dim))
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<EigsReport> {
        eigs(operator, self.context, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::context;
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    fn assert_ends(report: &EigsReport, spectrum: &[f64], tolerance: f64) {
        let mut exact = spectrum.to_vec();
        exact.sort_by(f64::total_cmp);
        let scale = exact.iter().fold(0.0, |scale: f64, x| scale.max(x.abs()));
        for (rank, found) in report.eigenvalues.largest.iter().enumerate() {
            let exact = exact[exact.len() - 1 - rank];
            assert!((found.value - exact).abs() <= tolerance * scale, "largest {rank}: {found:?}, exactly {exact}");
        }
        for (rank, found) in report.eigenvalues.smallest.iter().enumerate() {
            assert!((found.value - exact[rank]).abs() <= tolerance * scale, "smallest {rank}: {found:?}, exactly {}", exact[rank]);
        }
    }

    /// Like a trained network's: a few large values, a bulk that falls off exponentially to zero, small negative ones.
    fn network_like(n: u32) -> Vec<f64> {
        (0..n).map(|i| (-0.1 * f64::from(i)).exp() * if i % 4 == 3 { -0.05 } else { 3.0 }).collect()
    }

    #[test]
    fn ends_are_found_to_the_default_tolerance() {
        let spectrum = network_like(800);
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let report = eigs(&operator, &context(), &EigsOptions::default()).unwrap();
        assert!(report.accuracy_reached && report.warnings.is_empty(), "{:?}", report.warnings);
        assert!(report.steps < 250, "{} steps", report.steps);
        assert_ends(&report, &spectrum, 1e-9);
        assert_eq!(report.stats.hvps, report.steps as u64);
    }

    #[test]
    fn products_in_single_precision_cost_no_more_than_their_error() {
        let spectrum = network_like(800);
        for seed in 0..5 {
            let operator = MatrixOperator::diagonal(spectrum.clone()).noisy();
            let report = eigs(&operator, &context(), &EigsOptions { seed, vectors: true, ..Default::default() }).unwrap();
            assert!(report.accuracy_reached && report.options.tol == Some(1e-5));
            assert_ends(&report, &spectrum, 1e-5);
            let measured = report.eigenvalues.largest.iter().map(|eigenvalue| eigenvalue.measured_residual.unwrap());
            assert!(measured.fold(0.0, f64::max) < 3e-5 * 3.0);
        }
    }

    #[test]
    fn a_space_that_is_exhausted_gives_all_there_is() {
        for n in [1, 2, 3, 11, 60] {
            let spectrum: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
            let options = EigsOptions { top: 30, bottom: 30, ..Default::default() };
            let report = eigs(&MatrixOperator::diagonal(spectrum.clone()), &context(), &options).unwrap();
            assert!(report.accuracy_reached && report.eigenvalues.largest.len() == spectrum.len().min(30), "n = {n}");
            assert_ends(&report, &spectrum, 1e-12);
        }
    }

    #[test]
    fn multiple_eigenvalues_are_found_as_often_as_they_are() {
        let mut spectrum = vec![0.0; 50];
        spectrum.extend([5.0, 5.0, 5.0, 3.0, -1.0, -1.0]);
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let report = eigs(&operator, &context(), &EigsOptions::default()).unwrap();
        assert!(report.accuracy_reached && report.restarts > 0, "{report:?}");
        assert_ends(&report, &spectrum, 1e-12);
        let zero = eigs(&MatrixOperator::diagonal(vec![0.0; 40]), &context(), &EigsOptions::default()).unwrap();
        assert!(zero.accuracy_reached && zero.eigenvalues.smallest.len() == 5);
    }

    #[test]
    fn vectors_are_unit_eigenvectors_with_measured_residuals() {
        let spectrum = network_like(100);
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let options = EigsOptions { top: 3, bottom: 2, vectors: true, ..Default::default() };
        let report = eigs(&operator, &context(), &options).unwrap();
        let vectors = report.vectors.as_ref().unwrap();
        let rows: Vec<&[f64]> = vectors.vectors.chunks_exact(vectors.dim).collect();
        let listed: Vec<_> = report.eigenvalues.largest.iter().chain(&report.eigenvalues.smallest).collect();
        assert_eq!((rows.len(), vectors.values.len()), (5, 5));
        for ((row, eigenvalue), value) in rows.iter().zip(listed).zip(&vectors.values) {
            assert_eq!(eigenvalue.value, *value);
            let defect: f64 = operator.product(row).iter().zip(*row).map(|(ax, x)| (ax - value * x).powi(2)).sum::<f64>().sqrt();
            assert!((defect - eigenvalue.measured_residual.unwrap()).abs() < 1e-14 && defect < 1e-9);
            assert!((row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-13);
            assert!(row.iter().fold(0.0, |a: f64, &x| if x.abs() > a.abs() { x } else { a }) > 0.0);
        }
    }

    #[test]
    fn too_few_steps_are_data_and_too_little_memory_is_an_error() {
        let operator = MatrixOperator::diagonal(network_like(500));
        let report = eigs(&operator, &context(), &EigsOptions { max_steps: Some(12), ..Default::default() }).unwrap();
        assert!(!report.accuracy_reached && report.steps == 12 && report.warnings[0].contains("--max-steps"));
        assert!(report.eigenvalues.unconverged() > 0);
        let squeezed =
            |budget, max_steps| eigs(&operator, &context(), &EigsOptions { memory_budget: Some(budget), max_steps, ..Default::default() });
        // 4000 bytes a vector: 40 kept ones and 4 besides.
        let fitted = squeezed(1000 + 44 * 4000, None).unwrap();
        assert!(fitted.steps <= 40 && fitted.warnings.iter().any(|warning| warning.contains("--memory-budget")));
        for (error, remedy) in [(squeezed(1000 + 44 * 4000, Some(41)), "--max-steps"), (squeezed(1000 + 15 * 4000, None), "--top")] {
            let error = error.unwrap_err();
            assert!(matches!(&error, Error::Memory(message) if message.contains(remedy)), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [
            EigsOptions { top: 0, bottom: 0, ..Default::default() },
            EigsOptions { tol: Some(0.0), ..Default::default() },
            EigsOptions { max_steps: Some(0), ..Default::default() },
        ] {
            assert!(matches!(eigs(&MatrixOperator::diagonal([1.0, 2.0]), &context(), &options), Err(Error::Input(_))), "{options:?}");
        }
    }
}
