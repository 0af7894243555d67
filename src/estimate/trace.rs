//! The trace.

use super::sample::Estimate;
use crate::krylov::Tridiagonal;

/// tr A = `E[vᵀAv]` from runs whose starts are Rademacher probes v: vᵀAv = n·α₀, since ‖v‖² = n.
///
/// Each sample is exact for its probe; the mean over probes estimates the trace without bias, with variance
/// 2(‖A‖²_F − Σᵢ Aᵢᵢ²) a probe. Girard 1989; Hutchinson 1990.
#[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
pub fn trace(runs: &[Tridiagonal], dim: usize) -> Estimate {
    Estimate::from_samples(runs.iter().filter_map(|run| run.alphas.first()).map(|alpha| dim as f64 * alpha).collect())
}
