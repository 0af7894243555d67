//! Extreme eigenpairs to a tolerance.

use serde::{Deserialize, Serialize};

use super::blocks::BlockRecord;
use super::context::JobContext;
use super::floor;
use super::memory;
use super::pairs::{certify, mass, orient};
use super::progress::Stage;
use super::record::{Eigenvalue, Eigenvalues, Header, Meter, Stats};
use crate::backend::{OperatorJob, ProductError, SpotCheck};
use crate::curvature::{CurvatureOperator, Workload};
use crate::error::{Error, Result};
use crate::estimate::Floor;
use crate::krylov::{Block, EigenOptions, EigenSolution, Slot, Termination, TolOf, VectorSpace as _, Wanted, eigenpairs, power_iteration};
use crate::numeric::Precision;
use crate::rng::{self, Distribution};

pub use super::pairs::Eigenvectors;

/// How eigenpairs are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EigsMethod {
    /// Thick-restart block Lanczos (Wu and Simon 2000).
    #[default]
    ThickRestart,
    /// Power iteration with deflation, for eigenvalues of largest magnitude.
    Power,
}

/// Which eigenpairs, and how well.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EigsOptions {
    /// How many of the largest.
    pub top: usize,
    /// How many of the smallest.
    pub bottom: usize,
    /// So many of largest magnitude in their place.
    pub largest_magnitude: Option<usize>,
    /// How.
    pub method: EigsMethod,
    /// Columns of a product: members of a multiple eigenvalue that one search sees.
    pub block: usize,
    /// Vectors of the Krylov space; none for 1,000, or what the memory holds if that is less.
    pub basis: Option<usize>,
    /// A pair is converged where its residual (or see `tol_of`) is at most `tol`·max|θ|; none for 10⁻⁵ in f32 (a few of its product's rounding
    /// errors) and 10⁻¹⁰ in f64.
    pub tol: Option<f64>,
    /// What is held against the tolerance: the residual, which takes one more product for each pair to be measured, or the value's error.
    pub tol_of: TolOf,
    /// Whether to look for eigenvalues that were passed over.
    pub confirm: bool,
    /// The most products of the iteration; none for 5,000.
    pub max_steps: Option<usize>,
    /// The seed of the start.
    pub seed: u64,
    /// Whether to return the eigenvectors.
    pub vectors: bool,
    /// Bytes that the job may use, the operator's included; none for 4 GiB.
    pub memory_budget: Option<u64>,
}

impl Default for EigsOptions {
    fn default() -> Self {
        Self {
            top: 5,
            bottom: 5,
            largest_magnitude: None,
            method: EigsMethod::default(),
            block: 1,
            basis: None,
            tol: None,
            tol_of: TolOf::default(),
            confirm: true,
            max_steps: None,
            seed: 0,
            vectors: false,
            memory_budget: None,
        }
    }
}

/// Products by what they were for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EigsProducts {
    /// To find the pairs.
    pub search: usize,
    /// To make sure that none was passed over.
    pub confirmation: usize,
    /// To measure the residuals of those returned.
    pub certification: usize,
}

/// `hesper.eigs/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EigsReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How, defaults filled in.
    pub options: EigsOptions,
    /// Both ends of the spectrum; of largest magnitude: the positive ones, then the negative ones.
    pub eigenvalues: Eigenvalues,
    /// The tensors that the eigenvalues' `mass` is divided among.
    pub tensors: Vec<String>,
    /// Whether all that were asked for converged.
    pub accuracy_reached: bool,
    /// The probability that an eigenvalue beyond the last ones, by more than `miss_margin`, was passed over; null where it is not known.
    pub miss_probability: Option<f64>,
    /// Four tolerances or, if that is more, four of the largest residuals.
    pub miss_margin: f64,
    /// max|YᵀY − I| of the unit vectors Y: far below 1, no eigenvalue is listed twice.
    pub orthogonality: f64,
    /// The diagonal blocks, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlockRecord>,
    /// What rounding leaves uncertain, relative to the largest magnitude; residuals and intervals are widened by it.
    pub floor: Floor,
    /// Products of the iteration.
    pub steps: usize,
    /// What the products were for.
    pub products: EigsProducts,
    /// How often a full Krylov space was compressed.
    pub restarts: usize,
    /// Searches: more than one where a multiple eigenvalue showed itself.
    pub searches: usize,
    /// Whether the Krylov space became the whole space.
    pub termination: Termination,
    /// Only where they were asked for; written to a file of its own.
    #[serde(skip)]
    pub vectors: Option<Eigenvectors>,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Vectors of the Krylov space where nothing is said: memory is taken as they come, and each restart costs products.
const DEFAULT_BASIS: usize = 1000;

/// Products of the iteration where nothing is said.
const DEFAULT_MAX_STEPS: usize = 5000;

/// The wanted eigenpairs by thick-restart Lanczos (see [`eigenpairs`]) or power iteration, each measured by one more product where
/// residuals are held against the tolerance.
///
/// `start` holds vectors of an earlier run, one after another, or nothing; products are as exact as `product` says.
///
/// # Errors
/// [`Error::Input`] for options that make no sense, [`Error::Memory`] where the basis does not fit the budget, [`Error::NonFinite`]
/// where products are, and device failures. Not to reach the tolerance is no error.
pub fn eigs<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    options: &EigsOptions,
    start: &[f64],
    product: Option<ProductError>,
) -> Result<EigsReport> {
    let meter = Meter::start(operator, context);
    let (plan, planned) = plan(operator, options)?;
    let mut warnings = [operator.warnings(), context.subject.notices.clone(), planned].concat();
    let (header, gradient) = Header::with_gradient("hesper.eigs/1", operator, context)?;
    let starts = starts(operator, &plan, start, gradient)?;
    let observe = |_products, converged, wanted| context.progress.update(Stage::Eigenpairs, converged as u64, wanted as u64);
    let found = match options.method {
        EigsMethod::ThickRestart => eigenpairs(operator, &plan, starts, &observe)?,
        EigsMethod::Power => power_iteration(operator, &plan, starts, &observe)?,
    };
    warnings.extend(convergence_warning(&found, &plan));
    let measures = plan.tol_of == TolOf::Residual;
    let certificates = certify(operator, context, &found.pairs, measures)?;
    let floor = floor::measured(operator.space(), plan.seed, product, Some(certificates.orthogonality))?;
    let resolution = floor.relative * found.scale;
    let tensors = &context.subject.tensors;
    let is_laid_out = tensors.last().is_some_and(|last| last.range.end == operator.space().dim());
    let mut listed = Vec::new();
    let mut rows = Vec::new();
    for (pair, &measured) in found.pairs.iter().zip(&certificates.residuals) {
        let mut vector = if is_laid_out || options.vectors { operator.space().download(&pair.vector)? } else { Vec::new() };
        let mut eigenvalue = Eigenvalue::new(pair.ritz, plan.tol * found.scale);
        eigenvalue.converged = pair.error <= plan.tol * found.scale;
        eigenvalue.measured_residual = measures.then_some(measured);
        eigenvalue.value_error = (!measures).then_some(pair.error + resolution);
        let reach = measured + resolution;
        eigenvalue.interval = Some([pair.ritz.value - reach, pair.ritz.value + reach]);
        eigenvalue.mass = is_laid_out.then(|| mass(tensors, &vector));
        listed.push(eigenvalue);
        if options.vectors {
            orient(&mut vector);
            rows.push(vector);
        }
    }
    let pick = |side: &[usize]| side.iter().map(|&index| listed[index].clone()).collect();
    let eigenvalues = Eigenvalues { largest: pick(&found.chosen.upper), smallest: pick(&found.chosen.lower) }.widened(resolution);
    let order = || found.chosen.upper.iter().chain(&found.chosen.lower);
    let vectors = options.vectors.then(|| Eigenvectors {
        values: order().map(|&index| found.pairs[index].ritz.value).collect(),
        vectors: order().flat_map(|&index| rows[index].iter().copied()).collect(),
        dim: operator.space().dim(),
    });
    let steps = found.search_products + found.confirmation_products;
    Ok(EigsReport {
        header,
        options: EigsOptions { tol: Some(plan.tol), basis: Some(plan.capacity), max_steps: Some(plan.max_products), ..options.clone() },
        eigenvalues,
        tensors: if is_laid_out { tensors.iter().map(|tensor| tensor.name.clone()).collect() } else { Vec::new() },
        accuracy_reached: found.converged,
        miss_probability: found.miss_probability,
        miss_margin: found.margin,
        orthogonality: certificates.orthogonality,
        blocks: Vec::new(),
        floor,
        steps,
        products: EigsProducts {
            search: found.search_products,
            confirmation: found.confirmation_products,
            certification: if measures { found.pairs.len() } else { 0 },
        },
        restarts: found.restarts,
        searches: found.searches,
        termination: if found.exhausted { Termination::InvariantSubspace { step: operator.space().dim() } } else { Termination::Completed },
        vectors,
        stats: meter.stats(operator, found.seconds),
        warnings,
    })
}

/// The options with their defaults, fitted to n and to the memory, and what the user should know of that.
fn plan<A: CurvatureOperator>(operator: &A, options: &EigsOptions) -> Result<(EigenOptions, Vec<String>)> {
    let dim = operator.space().dim();
    let EigsOptions { top, bottom, largest_magnitude, method, block, tol_of, confirm, max_steps, seed, .. } = *options;
    let tol = options.tol.unwrap_or(match operator.space().precision() {
        Precision::F32 => 1e-5,
        Precision::F64 => 1e-10,
    });
    let asked = largest_magnitude.map_or(Wanted::Ends { top, bottom }, Wanted::Magnitude);
    if asked.count() == 0 || max_steps == Some(0) || block == 0 || tol.is_nan() || tol <= 0.0 {
        return Err(Error::Input(format!(
            "{} eigenvalues in at most {max_steps:?} products of {block} columns to {tol:e}: ask for at least one, with positive numbers",
            asked.count()
        )));
    }
    if method == EigsMethod::Power && largest_magnitude.is_none() {
        return Err(Error::Input(
            "power iteration finds eigenvalues of largest magnitude: give --largest-magnitude K in place of --top and --bottom".into(),
        ));
    }
    let wanted = match asked {
        Wanted::Ends { top, bottom } => Wanted::Ends { top: top.min(dim), bottom: bottom.min(dim) },
        Wanted::Magnitude(count) => Wanted::Magnitude(count.min(dim)),
    };
    let mut warnings = Vec::new();
    if wanted != asked {
        warnings.push(format!("there are only {dim} eigenvalues at all"));
    }
    let width = block.min(dim);
    let count = wanted.count();
    // Fewer vectors than this cannot hold the wanted ones and grow.
    let least = (count + 2 * width + 2).min(dim);
    let fitting = memory::eigs_basis(operator, options.memory_budget, count, width);
    let capacity = options.basis.unwrap_or(DEFAULT_BASIS.max(4 * least).min(fitting.max(least))).min(dim);
    if method == EigsMethod::ThickRestart {
        if capacity < least {
            return Err(Error::Input(format!(
                "--basis {capacity} is too small for {count} eigenvalues by products of {width} columns: at least {least} vectors are needed"
            )));
        }
        if capacity > fitting {
            let remedy = if options.basis.is_some() { "a smaller --basis" } else { "fewer --top and --bottom" };
            return Err(memory::too_many_steps(operator, options.memory_budget, memory::eigs_vectors(capacity, count, width), remedy));
        }
    }
    let max_products = max_steps.unwrap_or(DEFAULT_MAX_STEPS.max(2 * least));
    Ok((EigenOptions { wanted, width, capacity, tol_of, tol, confirm, max_products, seed }, warnings))
}

fn convergence_warning<A: CurvatureOperator>(found: &EigenSolution<A>, plan: &EigenOptions) -> Option<String> {
    let products = found.search_products + found.confirmation_products;
    if !found.converged {
        let open = found.pairs.iter().filter(|pair| pair.error > plan.tol * found.scale).count();
        let missing = plan.wanted.count().saturating_sub(found.pairs.len());
        return Some(format!(
            "{} of {} eigenvalues are not converged to {:e} of the largest magnitude after {products} products: raise --max-steps or --basis, \
             or --tol",
            (open + missing).min(plan.wanted.count()),
            plan.wanted.count(),
            plan.tol
        ));
    }
    (plan.confirm && found.miss_probability.is_none()).then(|| {
        format!(
            "it is not confirmed that no eigenvalue beyond the last ones by {:.1e} was passed over: raise --max-steps or --basis",
            found.margin
        )
    })
}

/// What a search begins with; the `gradient` is let go before it does.
fn starts<A: CurvatureOperator>(operator: &A, plan: &EigenOptions, start: &[f64], gradient: Block<A>) -> Result<Vec<Block<A>>> {
    match plan.wanted {
        Wanted::Ends { bottom: 0, .. } if start.is_empty() => Ok(vec![start_along(operator, gradient, plan.seed)?]),
        _ => warm_starts(operator, start, plan.width, plan.seed),
    }
}

/// A random direction and the unit vector `gradient` (or 0) in equal parts: a start for the largest eigenvalues alone. Most of a gradient
/// lies along their eigenvectors (Gur-Ari, Roberts and Dyer 2018), and it is known already; the random part holds all others.
fn start_along<A: CurvatureOperator>(operator: &A, mut gradient: Block<A>, seed: u64) -> Result<Block<A>> {
    let space = operator.space();
    let (mut start, mut scalars) = (space.block(1)?, space.scalars(2, 1)?);
    space.fill(&mut start, Distribution::Gaussian, seed, START_PROBE)?;
    space.normalize(&mut start, &mut scalars, Slot(0))?;
    // The norm is 1, or 0 of a gradient that vanishes.
    space.normalize(&mut gradient, &mut scalars, Slot(1))?;
    space.sub_scaled(&mut start, &scalars, Slot(1), &gradient)?;
    Ok(start)
}

/// Random combinations of the unit vectors along those of `start`, at most `width`, each with a little of everything else.
fn warm_starts<A: CurvatureOperator>(operator: &A, start: &[f64], width: usize, seed: u64) -> Result<Vec<Block<A>>> {
    let space = operator.space();
    let dim = space.dim();
    if !start.len().is_multiple_of(dim) {
        return Err(Error::Input(format!("the start has {} numbers, no multiple of the {dim} parameters", start.len())));
    }
    let vectors: Vec<&[f64]> = start.chunks_exact(dim).collect();
    let norms: Vec<f64> = vectors.iter().map(|vector| vector.iter().map(|x| x * x).sum::<f64>().sqrt()).collect();
    if let Some(at) = norms.iter().position(|norm| !norm.is_normal()) {
        return Err(Error::Input(format!("start vector {at} has norm {}: it must be finite and not zero", norms[at])));
    }
    (0..width.min(vectors.len()))
        .zip(START_PROBE..)
        .map(|(_, probe)| {
            let mut weights = vec![0.0; vectors.len()];
            rng::fill(Distribution::Gaussian, seed, probe, &mut weights);
            let mut combination = vec![0.0; dim];
            rng::fill(Distribution::Gaussian, seed ^ 1, probe, &mut combination);
            let little = LITTLE / combination.iter().map(|x| x * x).sum::<f64>().sqrt();
            combination.iter_mut().for_each(|x| *x *= little);
            for ((vector, norm), weight) in vectors.iter().zip(&norms).zip(&weights) {
                combination.iter_mut().zip(*vector).for_each(|(sum, x)| *sum += weight / norm * x);
            }
            let mut block = space.block(1)?;
            space.upload(&combination, &mut block)?;
            Ok(block)
        })
        .collect()
}

/// The generator's number of the first start: one that the solver does not come to.
const START_PROBE: u32 = u32::MAX / 2;

/// The norm of what a warm start has of everything else: enough for parallel vectors not to vanish in single precision.
const LITTLE: f64 = 1e-4;

impl EigsOptions {
    /// What a search keeps in memory.
    pub(super) fn workload(&self, dim: usize) -> Workload {
        let Self { top, bottom, largest_magnitude, block, .. } = *self;
        let count = largest_magnitude.unwrap_or(top + bottom).min(2 * dim);
        let least = memory::eigs_vectors((count + 2 * block + 2).min(dim), count, block);
        let kept_bytes = memory::eigenvector_bytes(dim, count.min(dim), self.vectors);
        Workload { kept_bytes, ..memory::lanczos_workload(Some(block), block, least.div_ceil(block.max(1))) }
    }
}

/// [`eigs`] for [`backend::run`](crate::backend::run).
pub struct EigsJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// How.
    pub options: &'a EigsOptions,
    /// Vectors of an earlier run, one after another, or nothing.
    pub start: &'a [f64],
}

impl OperatorJob for EigsJob<'_> {
    type Output = EigsReport;

    fn workload(&self, dim: usize) -> Workload {
        self.options.workload(dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<EigsReport> {
        eigs(operator, self.context, self.options, self.start, spot_check.measure(self.options.seed)?)
    }
}

#[cfg(test)]
mod tests;
