//! All eigenvalues of a small problem, from a whole matrix in double precision.
//!
//! The matrix is the operator's own, n × n by n products; or, of a Gauss-Newton matrix G = K Kᵀ of fewer samples' outputs than parameters,
//! the Gram matrix Kᵀ K, N·C × N·C, which has the same eigenvalues but for zeros (Papyan 2019, Dangel, Tatzel and Hennig 2022).

use faer::Mat;
use rayon::prelude::*;
use serde::Serialize;

use super::calibrate::{Spectrum, form};
use super::context::JobContext;
use super::memory;
use super::progress::Stage;
use super::record::{Header, Meter, Stats};
use crate::backend::reference::Reference;
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{Curvature, CurvatureOperator, DEFAULT_BUDGET, Objective, Workload};
use crate::error::{Error, Result};
use crate::krylov::{LanczosSeconds, VectorSpace as _};
use crate::model::Decay;
use crate::numeric::human_bytes;

/// How.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExactOptions {
    /// Bytes that the matrices may take; none for 4 GiB.
    pub memory_budget: Option<u64>,
}

/// Which matrix has the eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExactMatrix {
    /// n × n.
    Dense,
    /// N·C × N·C.
    Gram,
}

/// `hesper.exact/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExactReport {
    /// What was examined, and by what.
    #[serde(flatten)]
    pub header: Header,
    /// How.
    pub options: ExactOptions,
    /// Which matrix.
    pub matrix: ExactMatrix,
    /// Its order.
    pub order: usize,
    /// Its eigenvalues, descending, weight decay included.
    pub eigenvalues: Vec<f64>,
    /// The n − order others, all of them equal to `other_value`.
    pub others: usize,
    /// Their value: the weight decay.
    pub other_value: f64,
    /// The sum of all n.
    pub trace: f64,
    /// The square root of the sum of their squares.
    pub frobenius_norm: f64,
    /// What it took.
    pub stats: Stats,
    /// What the reader should know, a sentence each.
    pub warnings: Vec<String>,
}

/// All eigenvalues of `operator`, that of `objective`.
///
/// # Errors
/// [`Error::Memory`] where the matrices do not fit, [`Error::Input`] for a weight decay in other units than the parameters' on a Gram
/// matrix, [`Error::NonFinite`] where a product is, and device failures.
pub fn exact<A: CurvatureOperator>(
    operator: &A,
    context: &JobContext<'_>,
    objective: &Objective,
    options: &ExactOptions,
) -> Result<ExactReport> {
    let meter = Meter::start(operator, context);
    let (dim, outputs) = (operator.space().dim(), objective.samples() * objective.network().outputs());
    let gram = context.subject.curvature == Curvature::Ggn && outputs < dim;
    let (matrix, order) = if gram { (ExactMatrix::Gram, outputs) } else { (ExactMatrix::Dense, dim) };
    check_memory(matrix, order, dim, options)?;
    let header = Header::new("hesper.exact/1", operator, context)?;
    let mut other_value = 0.0;
    let mut eigenvalues = match matrix {
        ExactMatrix::Dense => {
            let columns = memory::MAX_COLUMNS.min(operator.max_columns());
            let matrix = form(operator, columns, |done| context.progress.update(Stage::Products, done, dim as u64))?;
            Spectrum::of(&matrix)?.eigenvalues().to_vec()
        }
        ExactMatrix::Gram => {
            let decay = objective.weight_decay();
            other_value = decay.factor;
            if other_value != 0.0 && (decay.over != Decay::All || objective.view().scale().is_some()) {
                return Err(Error::Input(
                    "a weight decay of some parameters, or in other units than theirs, is no shift of a Gram matrix: leave out --weight-decay".into(),
                ));
            }
            let shifted = |value: &f64| value + other_value;
            Spectrum::of(&gram_matrix(objective, context)?)?.eigenvalues().iter().map(shifted).collect()
        }
    };
    eigenvalues.reverse();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    let of_others = |value: f64| (dim - order) as f64 * value;
    Ok(ExactReport {
        header,
        options: options.clone(),
        matrix,
        order,
        others: dim - order,
        other_value,
        trace: eigenvalues.iter().sum::<f64>() + of_others(other_value),
        frobenius_norm: (eigenvalues.iter().map(|value| value * value).sum::<f64>() + of_others(other_value * other_value)).sqrt(),
        eigenvalues,
        stats: meter.stats(operator, LanczosSeconds::default()),
        warnings: operator.warnings(),
    })
}

/// Refuses what does not fit: the matrix, its copy and its tridiagonal form, and of a Gram matrix the N·C vectors of n.
fn check_memory(matrix: ExactMatrix, order: usize, dim: usize, options: &ExactOptions) -> Result<()> {
    let bytes = |rows: usize, columns: usize| (rows as u64).saturating_mul(columns as u64).saturating_mul(size_of::<f64>() as u64);
    let factor = if matrix == ExactMatrix::Gram { bytes(order, dim) } else { 0 };
    let needed = factor.saturating_add(bytes(order, order).saturating_mul(3));
    let budget = options.memory_budget.unwrap_or(DEFAULT_BUDGET);
    if needed <= budget {
        return Ok(());
    }
    let what = match matrix {
        ExactMatrix::Dense => format!("a matrix of {order} parameters"),
        ExactMatrix::Gram => format!("a Gram matrix of {order} outputs and their {dim} derivatives each"),
    };
    Err(Error::Memory(format!(
        "{what} needs {}, but the budget is {}: take fewer --samples or --params, a larger --memory-budget, or 'hesper spectrum'",
        human_bytes(needed),
        human_bytes(budget)
    )))
}

/// Kᵀ K for the factors of the Gauss-Newton matrix in the objective's view, sample by sample.
fn gram_matrix(objective: &Objective, context: &JobContext<'_>) -> Result<Mat<f64>> {
    const AT_ONCE: usize = 64;
    let reference = Reference::new(objective, Curvature::Ggn)?;
    let (view, outputs, samples) = (objective.view(), objective.network().outputs(), objective.samples());
    let mut factor = Mat::zeros(view.dim(), samples * outputs);
    for first in (0..samples).step_by(AT_ONCE) {
        let these = first..samples.min(first + AT_ONCE);
        let made: Vec<Result<Vec<f64>>> = these.clone().into_par_iter().map(|sample| reference.gauss_newton_factor(sample)).collect();
        for (sample, vectors) in these.zip(made) {
            for (c, vector) in vectors?.chunks(objective.dim()).enumerate() {
                factor.col_as_slice_mut(sample * outputs + c).copy_from_slice(&view.gradient(vector));
            }
        }
        context.progress.update(Stage::Products, (first + AT_ONCE).min(samples) as u64, samples as u64);
    }
    Ok(factor.transpose() * &factor)
}

/// [`exact`] for [`backend::run`](crate::backend::run).
pub struct ExactJob<'a> {
    /// The surroundings.
    pub context: &'a JobContext<'a>,
    /// What the operator was made of.
    pub objective: &'a Objective,
    /// How.
    pub options: &'a ExactOptions,
}

impl OperatorJob for ExactJob<'_> {
    type Output = ExactReport;

    fn workload(&self, dim: usize) -> Workload {
        memory::products_workload(None, dim)
    }

    fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> Result<ExactReport> {
        exact(operator, self.context, self.objective, self.options)
    }
}
