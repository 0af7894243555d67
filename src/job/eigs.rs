//! Extreme eigenpairs to a tolerance.

use serde::Serialize;

use super::context::JobContext;
use super::memory;
use super::pairs::eigenvectors;
use super::progress::Stage;
use super::record::{Eigenvalues, Header, Meter, Stats};
use crate::backend::OperatorJob;
use crate::curvature::CurvatureOperator;
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
    let mut warnings = plan.warnings.clone();
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
            None if fitting < least => return Err(memory::too_many_steps(operator, options.memory_budget, least, "--max-steps")),
            Some(_) if fitting < wanted => return Err(memory::too_many_steps(operator, options.memory_budget, wanted, "--max-steps")),
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

    fn run<A: CurvatureOperator>(self, operator: &A) -> Result<EigsReport> {
        eigs(operator, self.context, self.options)
    }
}
