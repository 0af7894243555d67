//! The parameters by name: tensors as a model file has them.

use std::ops::Range;

/// One tensor of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in the model file, such as `0.weight`.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its elements in the vector of all parameters.
    pub range: Range<usize>,
    /// The layer that it belongs to, counted from 0.
    pub layer: usize,
}

impl Tensor {
    /// The name without its last part: what the tensors of one layer have in common.
    pub fn module(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(module, _)| module)
    }
}
