//! The memory of a job before it runs.

use serde::Serialize;

use super::context::Subject;
use super::record::{DataRecord, ModelRecord};
use crate::backend::{self, BackendOptions};
use crate::curvature::{Curvature, MemoryPlan, Objective, Workload};
use crate::error::Result;
use crate::numeric::Precision;

/// `hesper.plan/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanReport {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The network.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// Which backend will compute.
    pub backend: &'static str,
    /// Of vectors and products.
    pub precision: Precision,
    /// Which operator.
    pub operator: Curvature,
    /// The bytes, and how they were made to fit.
    pub plan: MemoryPlan,
}

/// Plans a job that keeps `workload`; nothing is computed.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) where it does not fit, and as [`backend::run`].
pub fn plan(objective: &Objective, subject: Subject, options: &BackendOptions, workload: Workload) -> Result<PlanReport> {
    let planned = backend::plan(objective, subject.curvature, options, workload)?;
    Ok(PlanReport {
        schema: "hesper.plan/1",
        version: env!("CARGO_PKG_VERSION"),
        model: subject.model,
        data: subject.data,
        backend: planned.backend.name(),
        precision: planned.precision,
        operator: subject.curvature,
        plan: planned.memory,
    })
}
