//! What Lanczos coefficients say about a spectrum, each number with its spread; pure functions, no operator.

mod density;
mod functionals;
mod quadrature;
mod sample;
mod trace;

pub use density::{Density, DensityOptions, MAX_POINTS, density};
pub use functionals::{LearningRate, NegativeShare, frobenius_squared, max_stable_learning_rate, negative_share};
pub use quadrature::{Quadrature, quadrature};
pub use sample::{Estimate, student_quantile};
pub use trace::trace;
