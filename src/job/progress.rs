//! How far a job is.

use std::fmt::{self, Display};

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The loss and its gradient.
    Loss,
    /// Lanczos steps.
    Lanczos,
    /// Eigenpairs, of which those that have converged are done.
    Eigenpairs,
    /// Products with random probes.
    Probes,
    /// Products with the user's or the eigenvectors.
    Products,
    /// Losses at other parameters.
    Losses,
    /// Comparing with the reference.
    Comparison,
    /// Timed runs.
    Timing,
    /// Estimates with one seed after another.
    Calibration,
    /// Steps of training.
    Training,
}

impl Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss and gradient",
            Self::Lanczos => "Lanczos steps",
            Self::Eigenpairs => "converged pairs",
            Self::Probes => "probes",
            Self::Products => "products",
            Self::Losses => "losses",
            Self::Comparison => "comparison",
            Self::Timing => "timed runs",
            Self::Calibration => "seeds",
            Self::Training => "training steps",
        })
    }
}

/// Is told how far a job is. The library prints nothing itself.
///
/// On an asynchronous device Lanczos steps count where the device is known to have done them.
pub trait Progress {
    /// `done` of `total` units of `stage` are behind; `total` may grow where a job goes on until an accuracy is reached.
    fn update(&self, stage: Stage, done: u64, total: u64);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _stage: Stage, _done: u64, _total: u64) {}
}
