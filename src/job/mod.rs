//! Jobs: what is computed with an operator, from options to a record that serializes to the JSON of each command.
//!
//! A job is generic over the operator, knows no backend, prints nothing and says how far it is through [`Progress`]. Each job is a
//! function (`spectrum(operator, context, options)`), an options type with defaults, a report type, and a value that implements
//! [`OperatorJob`](crate::backend::OperatorJob), so that [`backend::run`](crate::backend::run) can hand it the operator it builds.
//!
//! What could not be computed is an error; what was computed less accurately than asked says so in the report
//! (`accuracy_reached`, `converged`, `warnings`).

mod batches;
mod bench;
mod blocks;
mod calibrate;
mod context;
mod convergence;
mod density;
mod describe;
mod diagnostics;
mod eigs;
mod exact;
mod floor;
mod hierarchy;
mod hvp;
mod lanczos_run;
mod landscape;
mod memory;
mod pairs;
mod plan;
mod progress;
mod record;
mod spectrum;
mod state;
#[cfg(test)]
mod test_support;
mod trace;
mod track;
mod train;
mod validate;

pub use batches::{BatchOptions, BatchRecord, BatchSummary, Spread, add_batches};
pub use bench::{BenchJob, BenchOptions, BenchRecord, BenchReport, Swept, bench, bench_columns, bench_workload};
pub use blocks::{BlockRecord, Grouping, eigs_with_blocks, spectrum_with_blocks};
pub use calibrate::{CalibrateJob, CalibrateOptions, CalibrateReport, Coverage, Distance, MAX_PARAMETERS, calibrate};
pub use context::{JobContext, Subject};
pub use convergence::{Convergence, Settling};
pub use density::{DensityJob, DensityJobOptions, DensityReport, density};
pub use describe::{DescribeReport, DescribedData, DescribedLoss, TensorRecord};
pub use diagnostics::{Diagnostics, GradientCurvature, RelativeSharpness};
pub use eigs::{Eigenvectors, EigsJob, EigsMethod, EigsOptions, EigsProducts, EigsReport, eigs};
pub use exact::{ExactJob, ExactMatrix, ExactOptions, ExactReport, exact};
pub use hierarchy::{ClassRecord, HierarchyJob, HierarchyOptions, HierarchyReport, HierarchyTraces, OutlierRecord, hierarchy};
pub use hvp::{HvpJob, HvpOptions, HvpReport, hvp};
pub use lanczos_run::SamplingOptions;
pub use landscape::{LandscapeJob, LandscapeOptions, LandscapeReport, Plane, Slice, landscape};
pub use plan::{PlanReport, plan};
pub use progress::{Progress, Silent, Stage};
pub use record::{
    DataRecord, Eigenvalue, Eigenvalues, Header, LayerRecord, LossRecord, ModelRecord, Preconditioner, ProbeRecord, Seconds, Stats,
    ViewRecord,
};
pub use spectrum::{SpectrumJob, SpectrumOptions, SpectrumReport, spectrum};
pub use state::{Identity, Resumable, State, data_digest, digest_of};
pub use trace::{TraceAccuracy, TraceJob, TraceOptions, TraceReport, trace};
pub use track::{Ci, Edge, Extreme, Share, TrackJob, TrackOptions, TrackPoint, TrackReport, Tracked, Trends};
pub use train::{GradientJob, Optimizer, StepRecord, Train, TrainOptions, TrainReport, device_of, init};
pub use validate::{
    Check, Compared, LanczosComparison, ProductComparison, ValidateJob, ValidateOptions, ValidateReport, ValueComparison, validate,
};
