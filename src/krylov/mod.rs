//! Krylov methods for a symmetric operator: written once for every backend; they know no network, no file and no device.

mod operator;
mod space;

pub use operator::{Basis, Block, LinearOperator, Scalars};
pub use space::{Slot, VectorSpace};
