//! The network, its activations, its loss, and its parameters as one vector: values only; nothing here computes a pass.

mod activation;
mod criterion;
mod decay;
mod layer;
mod layout;
mod loss;
mod network;

pub use activation::{Activation, Jet};
pub use criterion::{Criterion, IGNORE_INDEX, Reduction, Terms};
pub use decay::{Decay, WeightDecay};
pub use layer::{Dense, Layer, Norm, NormKind, Op};
pub use layout::{LayerRange, Layout, Tensor};
pub use loss::{Loss, Targets};
pub use network::{Network, NetworkBuilder, Value};
