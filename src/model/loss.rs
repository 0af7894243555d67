//! Losses with PyTorch's default reductions, and what they are measured against.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A loss of the network's outputs `o` [N, C] against the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Loss {
    /// −log softmax(o) at the class, mean over the samples; integer classes.
    CrossEntropy,
    /// (o − y)², mean over samples and outputs (no factor ½).
    Mse,
    /// log(1 + eᵒ) − y·o, mean over samples and outputs.
    BceWithLogits,
}

impl Loss {
    /// All losses.
    pub const ALL: [Self; 3] = [Self::CrossEntropy, Self::Mse, Self::BceWithLogits];

    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
            Self::BceWithLogits => "bce-with-logits",
        }
    }

    /// What a sample's summed terms are multiplied by in the mean: 1/N, or 1/(N·C) where the mean is over the outputs as well.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵³")]
    pub fn weight(self, samples: usize, outputs: usize) -> f64 {
        match self {
            Self::CrossEntropy => 1.0 / samples as f64,
            Self::Mse | Self::BceWithLogits => 1.0 / (samples as f64 * outputs as f64),
        }
    }
}

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|loss| loss.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|loss| loss.name()).collect();
            format!("unknown loss '{text}': one of {}", names.join(", "))
        })
    }
}

/// What the outputs are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The class of each of the N samples.
    Classes(Vec<u32>),
    /// A value for each output, [N, C] row by row.
    Values(Vec<f64>),
    /// The inputs themselves: an autoencoder.
    Inputs,
}
