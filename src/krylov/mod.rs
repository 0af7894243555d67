//! Krylov methods for a symmetric operator: written once for every backend; they know no network, no file and no device.

mod eigensolver;
mod lanczos;
mod operator;
mod power;
mod projected;
mod ritz;
mod space;
#[cfg(test)]
pub(crate) mod test_support;
mod thick_restart;
mod tridiagonal;
mod wanted;

pub use eigensolver::{EigenOptions, EigenPair, EigenSolution, Observer, TolOf, eigenpairs};
pub use lanczos::{Lanczos, LanczosOptions, LanczosSeconds, Reorthogonalization};
pub use operator::{Basis, Block, LinearOperator, Mark, Scalars, product};
pub use power::power_iteration;
pub use ritz::{Extremes, RitzValue, extremes, merge_ghosts, ritz_values};
pub use space::{Slot, VectorSpace, put_ranges, take_ranges};
pub use tridiagonal::{Termination, Tridiagonal, TridiagonalEigen, symmetric_tridiagonal_eigen};
pub use wanted::{Chosen, Wanted};
