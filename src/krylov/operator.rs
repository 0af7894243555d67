//! A symmetric linear operator that is known by its products.

use serde::Serialize;
use serde::de::DeserializeOwned;

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

    /// What `make` finds by products with this operator. An operator that keeps a journal of them may answer it from there, and then
    /// needs none of those products any more; `name` says which result it is.
    ///
    /// # Errors
    /// Those of `make`.
    fn milestone<T: Serialize + DeserializeOwned>(&self, _name: &'static str, make: impl FnOnce() -> Result<T>) -> Result<T>
    where
        Self: Sized,
    {
        make()
    }
}

/// A block of the space of operator `A`.
pub type Block<A> = <<A as LinearOperator>::Space as VectorSpace>::Block;

/// Scalars of the space of operator `A`.
pub type Scalars<A> = <<A as LinearOperator>::Space as VectorSpace>::Scalars;

/// A basis in the space of operator `A`.
pub type Basis<A> = <<A as LinearOperator>::Space as VectorSpace>::Basis;

/// A v for the n numbers of `v`, by way of the host. A readback.
///
/// # Errors
/// Device failure.
pub fn product<A: LinearOperator>(operator: &A, v: &[f64]) -> Result<Vec<f64>> {
    let space = operator.space();
    let (mut x, mut y) = (space.block(1)?, space.block(1)?);
    space.upload(v, &mut x)?;
    operator.apply(&x, &mut y)?;
    space.download(&y)
}
