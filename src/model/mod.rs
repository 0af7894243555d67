//! The network, its activations, its loss, and its parameters as one vector: values only; nothing here computes a pass.

mod activation;
mod criterion;
mod decay;
mod layout;
mod loss;
mod network;
mod tensor;

pub use activation::{Activation, Jet};
pub use criterion::{Criterion, IGNORE_INDEX, Reduction, Terms};
pub use decay::{Decay, WeightDecay};
pub use layout::{LayerRange, Layout};
pub use loss::{Loss, Targets};
pub use network::{Layer, Network};
pub use tensor::Tensor;
