//! The tensors of a model file by name, and which of them have been used: what is left out in silence would be another network.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use ::safetensors::SafeTensors;

use super::array::Values;
use super::chain::natural_order;
use super::file::quoted;
use super::moments::is_optimizer_state;
use super::safetensors::{parse, to_array};
use crate::error::{Error, Result};

/// An open model file.
pub(super) struct Tensors<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Tensors<'a> {
    pub(super) fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { path, tensors: parse(path, bytes)?, used: RefCell::default() })
    }

    /// An error of this file.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::format(self.path, problem)
    }

    /// All names, in natural order.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = self.tensors.names();
        names.retain(|name| !is_optimizer_state(name));
        names.sort_by(|a, b| natural_order(a, b));
        names
    }

    /// The shape of tensor `name`, if there is one.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.tensor(name).ok().map(|tensor| tensor.shape().to_vec())
    }

    /// Takes note that `name` is accounted for, without its numbers.
    pub(super) fn skip(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The numbers of tensor `name`, all of them finite.
    ///
    /// # Errors
    /// [`Error::Format`] where it is missing or of another type than the floating-point ones; [`Error::NonFinite`].
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let shown = quoted(name);
        let tensor = self.tensors.tensor(name).map_err(|_| self.error(format!("holds no tensor {shown}")))?;
        let values = to_array(&tensor).map_err(|problem| self.error(format!("tensor {shown}: {problem}")))?.values;
        if !matches!(values, Values::F32(_) | Values::F64(_)) {
            let dtype = tensor.dtype();
            return Err(self.error(format!("tensor {shown} is of type {dtype:?}: parameters are F32, F64, F16 or BF16")));
        }
        let values = values.into_f64();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let index = match tensor.shape() {
                &[_, inputs] => format!("{}, {}", at / inputs, at % inputs),
                _ => at.to_string(),
            };
            return Err(Error::NonFinite(format!(
                "{}: tensor {shown} is {} at [{index}]: the network has diverged or the file is damaged",
                self.path.display(),
                values[at]
            )));
        }
        self.skip(name);
        Ok(values)
    }

    /// The same where there is such a tensor.
    pub(super) fn numbers_if_any(&self, name: &str) -> Result<Option<Vec<f64>>> {
        self.shape(name).map(|_| self.numbers(name)).transpose()
    }

    /// The first tensor that has not been used, with its shape.
    pub(super) fn unused(&self) -> Option<(&str, Vec<usize>)> {
        let used = self.used.borrow();
        self.names().into_iter().find(|name| !used.contains(*name)).map(|name| (name, self.shape(name).unwrap_or_default()))
    }
}
