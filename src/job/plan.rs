//! The memory of a job before it runs.

use serde::Serialize;

use super::context::Subject;
use super::record::{DataRecord, ModelRecord, ViewRecord};
use crate::backend::{self, BackendOptions};
use crate::curvature::{MemoryPlan, Objective, Workload};
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
    pub operator: &'static str,
    /// The coordinates, where they are not all parameters as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewRecord>,
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
        operator: subject.operator(),
        view: subject.view,
        model: subject.model,
        data: subject.data,
        backend: planned.backend.name(),
        precision: planned.precision,
        plan: planned.memory,
    })
}
