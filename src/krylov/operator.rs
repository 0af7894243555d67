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

    /// Products, counted by columns, that were ordered and are not yet known to be done: on an asynchronous device, what progress may not
    /// count. None where they are done when [`apply`](Self::apply) returns.
    fn under_way(&self) -> u64 {
        0
    }

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

    /// This moment, and the state that an earlier run has put in the place of all that followed it, if it has: see
    /// [`supersede`](Self::supersede).
    ///
    /// # Errors
    /// Where the journal cannot be read.
    fn begin<T: DeserializeOwned>(&self, _name: &'static str) -> Result<(Mark, Option<T>)>
    where
        Self: Sized,
    {
        Ok((Mark::default(), None))
    }

    /// Puts `state` in the place of all products since the moment `since`: whoever goes on from it needs none of them. It is only asked
    /// for where there is a journal.
    ///
    /// # Errors
    /// Those of `state`; device failure.
    fn supersede<T: Serialize>(&self, _name: &'static str, _since: Mark, _state: impl FnOnce() -> Result<T>) -> Result<()>
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// A moment in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of the journal's next record.
    pub place: u64,
    /// Products so far.
    pub products: u64,
    /// Readbacks so far.
    pub readbacks: u64,
}

/// A block of the space of operator `A`.
pub type Block<A> = <<A as LinearOperator>::Space as VectorSpace>::Block;

/// Scalars of the space of operator `A`.
pub type Scalars<A> = <<A as LinearOperator>::Space as VectorSpace>::Scalars;

/// A basis in the space of operator `A`.
pub type Basis<A> = <<A as LinearOperator>::Space as VectorSpace>::Basis;

/// A v for vectors of n numbers one after another in `v`, by way of the host. A readback.
///
/// # Errors
/// Device failure.
pub fn product<A: LinearOperator>(operator: &A, v: &[f64]) -> Result<Vec<f64>> {
    let space = operator.space();
    let columns = v.len() / space.dim();
    let (mut x, mut y) = (space.block(columns)?, space.block(columns)?);
    space.upload(v, &mut x)?;
    operator.apply(&x, &mut y)?;
    space.download(&y)
}
