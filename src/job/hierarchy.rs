//! Class and cross-class structure of the Gauss-Newton matrix, and the outliers that it predicts (Papyan 2020, "Traces of
//! class/cross-class structure pervade deep learning spectra", JMLR 21).
//!
//! With the gradient g_icc' = Jᵀ(p − e_c') that sample i of class c would have if its class were c', and the weight p_c'/N of that,
//! G = Σ_icc' (p_c'/N) g_icc' g_icc'ᵀ. The weighted means over the samples of one class, g_cc', and over those for c' ≠ c, g_c, split it:
//! G = Σ_c w_c g_c g_cᵀ + Σ_c≠c' w_cc' (g_cc' − g_c)(g_cc' − g_c)ᵀ + Σ_i,c≠c' (p_c'/N) (g_icc' − g_cc')(g_icc' − g_cc')ᵀ + the terms of c' = c:
//! class means, cross-class means about them, what is within the classes, and what comes of the own class. The first, of rank C at most,
//! predicts the outliers; the first two are Σ_c≠c' w_cc' g_cc' g_cc'ᵀ, of rank C(C − 1) at most. All terms are positive semidefinite, so
//! that each eigenvalue of G is no less than that of the sum of some of them.
//!
//! Means and traces are exact and in float64, each a product with the transposed Jacobian of a class's samples, or with its squares;
//! C(C − 1) vectors are kept.

use faer::{Mat, Side};
use rayon::prelude::*;
use serde::Serialize;

use super::context::JobContext;
use super::eigs::{EigsOptions, eigs};
use super::memory;
use super::progress::Stage;
use super::record::{Eigenvalue, Header, Meter, Stats};
use crate::backend::reference::Reference;
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{Curvature, CurvatureOperator, DEFAULT_BUDGET, Objective, Workload, softmax};
use crate::error::{Error, Result};
use crate::krylov::LanczosSeconds;
use crate::model::{Criterion, Loss};
use crate::numeric::human_bytes;

/// How.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HierarchyOptions {
    /// The most outliers that are set side by side; none for as many as there are classes.
    pub top: Option<usize>,
    /// Of the search and of the trace's probes.
    pub seed: u64,
    /// Bytes that the job may use; none for 4 GiB.
    pub memory_budget: Option<u64>,
}

/// One of `classes`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassRecord {
    /// c.
    pub class: usize,
    /// Its samples.
    pub samples: usize,
    /// w_c: the probability, over all samples, to be of this class and be given to another.
    pub weight: f64,
    /// ‖g_c‖².
    pub squared_norm: f64,
}

/// One of `outliers`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutlierRecord {
    /// The eigenvalue of G at this rank.
    pub found: Eigenvalue,
    /// That of Σ w_c g_c g_cᵀ.
    pub class_means: f64,
    /// That of Σ w_cc' g_cc' g_cc'ᵀ.
    pub cross_class_means: f64,
}

/// `traces`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HierarchyTraces {
    /// Of G.
    pub total: f64,
    /// Of the class means.
    pub class: f64,
    /// Of the cross-class means about them.
    pub cross_class: f64,
    /// Of the samples' gradients about their means.
    pub within_class: f64,
    /// Of the gradients towards the own class.
    pub own_class: f64,
}

/// `hesper.hierarchy/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HierarchyReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: HierarchyOptions,
    /// The classes that have samples.
    pub classes: Vec<ClassRecord>,
    /// Largest first.
    pub outliers: Vec<OutlierRecord>,
    /// How much of G is in each term.
    pub traces: HierarchyTraces,
    /// Whether the eigenvalues of G converged.
    pub accuracy_reached: bool,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The means, and what they predict.
struct Means {
    classes: Vec<ClassRecord>,
    /// Eigenvalues, descending, and their sums.
    class: Vec<f64>,
    cross_class: Vec<f64>,
    /// The traces of Σ (p_c'/N) g_icc' g_icc'ᵀ for c' ≠ c, and for c' = c.
    towards_others: f64,
    towards_own: f64,
}

/// The hierarchy of `operator`, the Gauss-Newton matrix of `objective`.
///
/// # Errors
/// [`Error::Input`] for another loss than cross-entropy or with a weight decay, [`Error::Memory`] where the means do not fit,
/// [`Error::NonFinite`] where a number is not finite, and device failures.
pub fn hierarchy<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    objective: &Objective,
    options: &HierarchyOptions,
    spot_check: &SpotCheck<'_>,
) -> Result<HierarchyReport> {
    let meter = Meter::start(operator, context);
    check(objective, context, options)?;
    let means = means(objective, context)?;
    let top = options.top.unwrap_or(objective.network().outputs());
    let product = spot_check.measure(options.seed)?;
    let search = EigsOptions { top, bottom: 0, seed: options.seed, memory_budget: options.memory_budget, ..EigsOptions::default() };
    let found = eigs(operator, context, &search, &[], product)?;
    let at = |values: &[f64], rank: usize| values.get(rank).copied().unwrap_or(0.0);
    let outliers = found.eigenvalues.largest.into_iter().enumerate().map(|(rank, found)| OutlierRecord {
        found,
        class_means: at(&means.class, rank),
        cross_class_means: at(&means.cross_class, rank),
    });
    let [class, both] = [&means.class, &means.cross_class].map(|values| values.iter().sum::<f64>());
    Ok(HierarchyReport {
        header: Header { schema: "hesper.hierarchy/1", ..found.header },
        options: options.clone(),
        outliers: outliers.collect(),
        traces: HierarchyTraces {
            total: means.towards_others + means.towards_own,
            class,
            cross_class: both - class,
            within_class: means.towards_others - both,
            own_class: means.towards_own,
        },
        classes: means.classes,
        accuracy_reached: found.accuracy_reached,
        stats: meter.stats(operator, LanczosSeconds::default()),
        warnings: found.warnings,
    })
}

fn check(objective: &Objective, context: &JobContext<'_>, options: &HierarchyOptions) -> Result<()> {
    let is_plain = *objective.criterion() == Criterion::from(Loss::CrossEntropy);
    if !is_plain || context.subject.curvature != Curvature::Ggn || objective.weight_decay().factor != 0.0 {
        return Err(Error::Input(format!(
            "the hierarchy is of the Gauss-Newton matrix of cross-entropy of classes, without smoothing, class weights, --reduction sum or \
             weight decay: not of the {} of {} with decay {}",
            context.subject.curvature,
            objective.criterion().loss(),
            objective.weight_decay().factor
        )));
    }
    let (outputs, dim) = (objective.network().outputs() as u64, objective.view().dim() as u64);
    let vectors = outputs * outputs.saturating_sub(1) + outputs;
    let needed = vectors.saturating_mul(dim).saturating_mul(size_of::<f64>() as u64);
    let budget = options.memory_budget.unwrap_or(DEFAULT_BUDGET);
    if needed > budget {
        return Err(Error::Memory(format!(
            "{vectors} mean gradients of {dim} parameters need {}, but the budget is {}: take fewer --params or a larger --memory-budget",
            human_bytes(needed),
            human_bytes(budget)
        )));
    }
    Ok(())
}

/// √w_cc' g_cc' and √w_c g_c of all classes as columns, and the eigenvalues of their Gram matrices.
fn means(objective: &Objective, context: &JobContext<'_>) -> Result<Means> {
    let (outputs, view) = (objective.network().outputs(), objective.view());
    let (mut pairs, mut of_class, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut towards_others, mut towards_own) = (0.0, 0.0);
    for (class, number) in (0..outputs).zip(0_u32..) {
        context.progress.update(Stage::Products, class as u64, outputs as u64);
        let Ok(own) = objective.samples_of_class(number) else { continue };
        let reference = Reference::new(&objective.select(&own)?, Curvature::Ggn)?;
        let probabilities: Vec<Vec<f64>> = reference.outputs().chunks(outputs).map(softmax).collect();
        let share = |other: usize, (&sample, p): (&usize, &Vec<f64>)| p[other] * objective.sample_weight(sample);
        // (p − e_c') of all samples, each times what `factor` makes of its p_c'/N.
        let cotangents = |other: usize, factor: fn(f64) -> f64| -> Vec<f64> {
            let of_sample = |(sample, p): (&usize, &Vec<f64>)| {
                let factor = factor(share(other, (sample, p)));
                (0..outputs).map(|k| factor * (p[k] - f64::from(u8::from(k == other)))).collect::<Vec<_>>()
            };
            own.iter().zip(&probabilities).flat_map(of_sample).collect()
        };
        // The trace of Σ (p_c'/N) g_icc' g_icc'ᵀ.
        let moment = |other: usize| view.sum_of_squares(&reference.squared_pull_back(&cotangents(other, f64::sqrt)));
        // w_cc' and w_cc' g_cc', and the trace.
        let mean = |other: usize| -> (f64, Vec<f64>, f64) {
            let weight: f64 = own.iter().zip(&probabilities).map(|of_sample| share(other, of_sample)).sum();
            (weight, view.gradient(&reference.pull_back(&cotangents(other, |share| share))), moment(other))
        };
        let others: Vec<usize> = (0..outputs).filter(|&other| other != class).collect();
        let (means, moments): (Vec<_>, Vec<f64>) =
            others.into_par_iter().map(mean).map(|(weight, gradient, moment)| ((weight, gradient), moment)).unzip();
        towards_others += moments.into_iter().sum::<f64>();
        towards_own += moment(class);
        let means: Vec<(f64, Vec<f64>)> = means.into_iter().filter(|(weight, _)| *weight > 0.0).collect();
        let weight: f64 = means.iter().map(|(weight, _)| weight).sum();
        let mut sum = vec![0.0; view.dim()];
        for (pair_weight, mut gradient) in means {
            sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g);
            gradient.iter_mut().for_each(|g| *g /= pair_weight.sqrt());
            pairs.push(gradient);
        }
        if weight > 0.0 {
            sum.iter_mut().for_each(|sum| *sum /= weight.sqrt());
            let squared_norm = sum.iter().map(|x| x * x).sum::<f64>() / weight;
            classes.push(ClassRecord { class, samples: own.len(), weight, squared_norm });
            of_class.push(sum);
        }
    }
    let [class, cross_class] = [gram_eigenvalues(&of_class)?, gram_eigenvalues(&pairs)?];
    Ok(Means { classes, class, cross_class, towards_others, towards_own })
}

/// The eigenvalues of Σ v vᵀ that are not zero for want of vectors, descending.
fn gram_eigenvalues(vectors: &[Vec<f64>]) -> Result<Vec<f64>> {
    if vectors.is_empty() {
        return Ok(Vec::new());
    }
    let dot = |(i, j): (usize, usize)| vectors[i].iter().zip(&vectors[j]).map(|(x, y)| x * y).sum::<f64>();
    let places: Vec<(usize, usize)> = (0..vectors.len()).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
    let dots: Vec<f64> = places.into_par_iter().map(dot).collect();
    let gram = Mat::from_fn(vectors.len(), vectors.len(), |i, j| dots[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)]);
    let mut values = gram
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(|error| Error::NonFinite(format!("the mean gradients' scalar products have no eigenvalues: {error:?}")))?;
    values.reverse();
    Ok(values)
}

/// [`hierarchy`] for [`backend::run`](crate::backend::run).
pub struct HierarchyJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// What the operator was made of.
    pub objective: &'a Objective,
    /// How.
    pub options: &'a HierarchyOptions,
}

impl OperatorJob for HierarchyJob<'_> {
    type Output = HierarchyReport;

    fn workload(&self, dim: usize) -> Workload {
        let top = self.options.top.unwrap_or(self.objective.network().outputs()).min(dim);
        memory::lanczos_workload(Some(1), 1, memory::eigs_vectors((top + 4).min(dim), top, 1))
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<HierarchyReport> {
        hierarchy(operator, self.context, self.objective, self.options, spot_check)
    }
}
