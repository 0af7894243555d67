//! What a model file says about itself beside its tensors.

use crate::model::{Activation, Loss};

/// The string metadata of a model file as far as it is understood: defaults for options that were not given.
///
/// A safetensors file holds tensors but no activation or loss. Where its metadata has the keys `activation`, `output_activation` or
/// `loss`, those are taken for hints. They are free text that any program may have written for its own ends: what is not understood is
/// no error, it is no hint. The key `network` is another matter: it says what the tensors make up, and must be right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelHints {
    /// The hidden layers' activations: one for all, or one for each.
    pub activations: Vec<Activation>,
    /// The last layer's activation.
    pub output_activation: Option<Activation>,
    /// The loss that the network was trained with.
    pub loss: Option<Loss>,
    /// What describes the network layer by layer, as a file would.
    pub network: Option<String>,
}

impl ModelHints {
    /// Reads the pairs of a string map.
    pub(super) fn parse(metadata: impl Iterator<Item = (String, String)>) -> Self {
        let mut hints = Self::default();
        for (key, value) in metadata {
            match key.as_str() {
                "activation" => hints.activations = value.split(',').map(activation).collect::<Option<_>>().unwrap_or_default(),
                "output_activation" => hints.output_activation = activation(&value),
                "loss" => hints.loss = loss(&value),
                "network" => hints.network = Some(value),
                _ => {}
            }
        }
        hints
    }
}

/// Names as written by hand or by PyTorch: `leaky-relu`, `leaky_relu`, `LeakyReLU`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn activation(name: &str) -> Option<Activation> {
    Activation::ALL.into_iter().find(|activation| plain(activation.name()) == plain(name))
}

fn loss(name: &str) -> Option<Loss> {
    match plain(name).trim_end_matches("loss") {
        "ce" | "crossentropy" => Some(Loss::CrossEntropy),
        "mse" => Some(Loss::Mse),
        "huber" => Some(Loss::Huber),
        "smoothl1" => Some(Loss::SmoothL1),
        "bce" | "bcewithlogits" => Some(Loss::BceWithLogits),
        "poissonnll" => Some(Loss::PoissonNll),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> ModelHints {
        ModelHints::parse(pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())))
    }

    #[test]
    fn hand_written_and_torch_names() {
        let hints = parse(&[("activation", "tanh, LeakyReLU"), ("output_activation", "identity"), ("loss", "ce"), ("format", "pt")]);
        assert_eq!(hints.activations, [Activation::Tanh, Activation::LeakyRelu]);
        assert_eq!(hints.output_activation, Some(Activation::Identity));
        assert_eq!(hints.loss, Some(Loss::CrossEntropy));
        assert_eq!(parse(&[("loss", "BCEWithLogitsLoss")]).loss, Some(Loss::BceWithLogits));
        for loss in Loss::ALL {
            assert_eq!(parse(&[("loss", loss.name())]).loss, Some(loss));
        }
    }

    #[test]
    fn what_is_not_understood_is_no_hint() {
        assert_eq!(parse(&[("activation", "tanh,swoosh"), ("output_activation", ""), ("loss", "triplet")]), ModelHints::default());
    }
}
