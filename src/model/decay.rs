//! Weight decay: (λ/2)·‖·‖² of all parameters, or of the weights alone.

use std::ops::Range;

use serde::Serialize;

use super::network::Network;

/// (λ/2)·‖θ‖² over some of the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WeightDecay {
    /// λ.
    pub factor: f64,
    /// Over which parameters.
    pub over: Decay,
}

/// The parameters that decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// All of them.
    #[default]
    All,
    /// The weights of dense layers: no bias, nor the gain or shift of a normalization.
    Weights,
}

impl WeightDecay {
    /// Where the parameters of `network` that decay are in a vector of all of them.
    pub fn ranges(self, network: &Network) -> Vec<Range<usize>> {
        let layout = network.layout();
        match self.over {
            Decay::All => std::iter::once(0..layout.dim()).collect(),
            Decay::Weights => {
                let layers = network.layers().iter().zip(layout.layers());
                layers.filter(|(layer, _)| layer.dense().is_some()).map(|(_, range)| range.weight.clone()).collect()
            }
        }
    }

    /// λ, or 0 for biases, gains and shifts where they do not decay.
    pub fn of_biases(self) -> f64 {
        match self.over {
            Decay::All => self.factor,
            Decay::Weights => 0.0,
        }
    }
}

impl From<f64> for WeightDecay {
    /// λ over all parameters.
    fn from(factor: f64) -> Self {
        Self { factor, over: Decay::All }
    }
}
