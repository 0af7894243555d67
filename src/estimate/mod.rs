//! What products and Lanczos coefficients say about a spectrum, each number with its spread. Nothing here knows more of an operator
//! than its products.

mod changes;
mod deflation;
mod density;
mod diagnostics;
mod floor;
mod functionals;
mod measure;
mod products;
mod quadrature;
mod sample;
mod trace;

pub use changes::{Reading, SIGNIFICANT, Trend, trends};
pub use deflation::Deflation;
pub use density::{Density, DensityOptions, MAX_POINTS, density};
pub use diagnostics::{LearningRate, OutlierSplit, SaddleIndex, TailFit, max_stable_learning_rate, outlier_split, saddle_index, tail_fit};
pub use floor::Floor;
pub use functionals::{
    Count, Damped, Functionals, Moment, NegativeShare, count_above, damped, frobenius_squared, functionals, negative_share, nuclear_norm,
};
pub use measure::SpectralMeasure;
pub use products::{Probe, Products};
pub use quadrature::{Brackets, Quadrature, quadrature, radau};
pub use sample::{Bounded, CONFIDENCE, Estimate, student_quantile};
pub use trace::{
    DiagonalEstimate, DiagonalMethod, HutchPlusPlus, Hutchinson, MIN_PROBES, Stopped, Stopping, TraceEstimator, TraceMethod, XNysTrace,
    XTrace, diagonal,
};
