//! Losses by name, and what they are measured against.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A loss of the network's outputs `o` [N, C] against the targets; its parameters are in a [`Criterion`](super::Criterion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Loss {
    /// −Σ t·log softmax(o), t from classes or probabilities.
    CrossEntropy,
    /// (o − y)² (no factor ½).
    Mse,
    /// (o − y)²/2 near y, δ·(|o − y| − δ/2) beyond δ.
    Huber,
    /// Huber's loss over its δ, here called β.
    SmoothL1,
    /// log(1 + eᵒ) − y·o.
    BceWithLogits,
    /// eᵒ − y·o, or o − y·log(o + ε).
    PoissonNll,
}

impl Loss {
    /// All losses.
    pub const ALL: [Self; 6] = [Self::CrossEntropy, Self::Mse, Self::Huber, Self::SmoothL1, Self::BceWithLogits, Self::PoissonNll];

    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
            Self::Huber => "huber",
            Self::SmoothL1 => "smooth-l1",
            Self::BceWithLogits => "bce-with-logits",
            Self::PoissonNll => "poisson-nll",
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
    /// The class of each of the N samples, or [`Targets::IGNORED`].
    Classes(Vec<u32>),
    /// A value for each output, [N, C] row by row; probabilities for cross-entropy.
    Values(Vec<f64>),
    /// The inputs themselves: an autoencoder.
    Inputs,
}

impl Targets {
    /// In place of a class: the sample has no part in the loss.
    pub const IGNORED: u32 = u32::MAX;
}
