//! A symmetric linear operator that is known by its products.

use super::space::VectorSpace;
use crate::error::Result;

/// A symmetric n × n operator on the blocks of a [`VectorSpace`].
pub trait LinearOperator {
    /// Where its operands live.
    type Space: VectorSpace;

    /// The space of its operands.
    fn space(&self) -> &Self::Space;

    /// y ← A x, column by column; `x` and `y` are n × b.
    ///
    /// # Errors
    /// Device failure. A non-finite product is not looked for here (on a device that would be a readback): it reaches the
    /// solver's coefficients, where it is found.
    fn apply(&self, x: &Block<Self>, y: &mut Block<Self>) -> Result<()>;
}

/// A block of the space of operator `A`.
pub type Block<A> = <<A as LinearOperator>::Space as VectorSpace>::Block;

/// Scalars of the space of operator `A`.
pub type Scalars<A> = <<A as LinearOperator>::Space as VectorSpace>::Scalars;

/// A basis in the space of operator `A`.
pub type Basis<A> = <<A as LinearOperator>::Space as VectorSpace>::Basis;
