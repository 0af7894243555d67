//! A loss with its parameters and its reduction, as PyTorch's criteria of those names define them.

use serde::Serialize;

use super::loss::Loss;
use crate::error::{Error, Result};

/// A loss with its parameters, which are those that make sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    terms: Terms,
    reduction: Reduction,
}

/// What a sample's loss is the sum of, with the parameters. In the JSON the parameters stand beside `loss.kind`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Terms {
    /// −Σ tₖ·log softmax(o)ₖ with tₖ = wₖ·((1 − ε)·qₖ + ε/C), q the class's indicator or given probabilities.
    CrossEntropy {
        /// w, `[C]`; 1 where there are none.
        #[serde(skip_serializing_if = "Option::is_none")]
        class_weights: Option<Vec<f64>>,
        /// ε, from 0 to 1.
        label_smoothing: f64,
        /// The label of samples that have no part in the loss.
        ignore_index: i64,
    },
    /// (o − y)².
    Mse {},
    /// r²/2 for |r| ≤ δ, else δ·(|r| − δ/2), r = o − y (Huber 1964).
    Huber {
        /// δ > 0.
        delta: f64,
    },
    /// r²/(2β) for |r| ≤ β, else |r| − β/2.
    SmoothL1 {
        /// β > 0.
        beta: f64,
    },
    /// p·y·log(1 + e⁻ᵒ) + (1 − y)·log(1 + eᵒ).
    BceWithLogits {
        /// p: one for all outputs, or `[C]`; 1 where there are none.
        #[serde(skip_serializing_if = "Option::is_none")]
        pos_weight: Option<Vec<f64>>,
    },
    /// eᵒ − y·o where the output is a logarithm, else o − y·log(o + ε). The constant log y! is left out: it has no derivative.
    PoissonNll {
        /// Whether the output is the logarithm of the rate.
        log_input: bool,
        /// ε > 0, where it is not.
        eps: f64,
    },
}

/// How the terms become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// The mean over the samples, and over the outputs of all losses but cross-entropy.
    #[default]
    Mean,
    /// The sum.
    Sum,
}

/// PyTorch's default for labels that do not count.
pub const IGNORE_INDEX: i64 = -100;

impl Terms {
    /// Their name.
    pub const fn loss(&self) -> Loss {
        match self {
            Self::CrossEntropy { .. } => Loss::CrossEntropy,
            Self::Mse {} => Loss::Mse,
            Self::Huber { .. } => Loss::Huber,
            Self::SmoothL1 { .. } => Loss::SmoothL1,
            Self::BceWithLogits { .. } => Loss::BceWithLogits,
            Self::PoissonNll { .. } => Loss::PoissonNll,
        }
    }

    /// Whether the loss is the negative logarithm of a distribution of the targets, whatever the outputs.
    pub const fn has_likelihood(&self) -> bool {
        match self {
            Self::CrossEntropy { .. } | Self::Mse {} | Self::BceWithLogits { .. } => true,
            Self::PoissonNll { log_input, .. } => *log_input,
            Self::Huber { .. } | Self::SmoothL1 { .. } => false,
        }
    }

    /// The numbers that each output has one of.
    fn output_weights(&self) -> Option<(&'static str, &[f64])> {
        match self {
            Self::CrossEntropy { class_weights, .. } => class_weights.as_deref().map(|weights| ("class weights", weights)),
            Self::BceWithLogits { pos_weight } => pos_weight.as_deref().map(|weights| ("pos-weight", weights)),
            _ => None,
        }
    }

    fn check(&self) -> Result<()> {
        let number = match *self {
            Self::CrossEntropy { label_smoothing, .. } if !(0.0..=1.0).contains(&label_smoothing) => {
                return Err(Error::Input(format!("label smoothing is {label_smoothing}: it must lie between 0 and 1")));
            }
            Self::Huber { delta } => ("delta", delta),
            Self::SmoothL1 { beta } => ("beta", beta),
            Self::PoissonNll { eps, .. } => ("eps", eps),
            _ => ("", 1.0),
        };
        if !(number.1.is_finite() && number.1 > 0.0) {
            return Err(Error::Input(format!("{} is {}: it must be above 0 and finite", number.0, number.1)));
        }
        let Some((name, weights)) = self.output_weights() else { return Ok(()) };
        match weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            Some(at) => Err(Error::Input(format!("{name}: number {at} is {}: it must be finite and not below 0", weights[at]))),
            None => Ok(()),
        }
    }
}

impl From<Loss> for Terms {
    /// With PyTorch's defaults.
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::CrossEntropy => Self::CrossEntropy { class_weights: None, label_smoothing: 0.0, ignore_index: IGNORE_INDEX },
            Loss::Mse => Self::Mse {},
            Loss::Huber => Self::Huber { delta: 1.0 },
            Loss::SmoothL1 => Self::SmoothL1 { beta: 1.0 },
            Loss::BceWithLogits => Self::BceWithLogits { pos_weight: None },
            Loss::PoissonNll => Self::PoissonNll { log_input: true, eps: 1e-8 },
        }
    }
}

impl From<Loss> for Criterion {
    /// With PyTorch's defaults.
    fn from(loss: Loss) -> Self {
        Self { terms: loss.into(), reduction: Reduction::Mean }
    }
}

impl Criterion {
    /// `terms`, reduced.
    ///
    /// # Errors
    /// [`Error::Input`] where a parameter is out of its range.
    pub fn new(terms: Terms, reduction: Reduction) -> Result<Self> {
        terms.check()?;
        Ok(Self { terms, reduction })
    }

    /// The terms of a sample's loss.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Its name.
    pub const fn loss(&self) -> Loss {
        self.terms.loss()
    }

    /// How the terms become one number.
    pub const fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// What the terms of one sample are multiplied by: 1/C where the mean is over the `outputs` outputs as well.
    #[expect(clippy::cast_precision_loss, reason = "outputs are far below 2⁵³")]
    pub fn output_share(&self, outputs: usize) -> f64 {
        match (self.reduction, self.loss()) {
            (Reduction::Sum, _) | (_, Loss::CrossEntropy) => 1.0,
            (Reduction::Mean, _) => 1.0 / outputs as f64,
        }
    }

    /// The weight of class `output` in cross-entropy, or of the positive targets of output `output`; 1 where there is none.
    pub fn output_weight(&self, output: usize) -> f64 {
        match self.terms.output_weights() {
            None => 1.0,
            Some((_, &[weight])) if self.loss() == Loss::BceWithLogits => weight,
            Some((_, weights)) => weights[output],
        }
    }

    /// Checks that a network of `outputs` outputs can have it.
    pub(crate) fn fits(&self, outputs: usize) -> Result<()> {
        match self.terms.output_weights() {
            Some((name, weights)) if weights.len() != outputs && !(weights.len() == 1 && self.loss() == Loss::BceWithLogits) => {
                Err(Error::Input(format!("{name}: {} numbers, but the network has {outputs} outputs: give one for each", weights.len())))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_out_of_their_range_are_refused_with_the_number() {
        let cross_entropy = |class_weights, label_smoothing| Terms::CrossEntropy { class_weights, label_smoothing, ignore_index: -100 };
        let cases = [
            (cross_entropy(None, 1.5), "label smoothing is 1.5"),
            (cross_entropy(None, f64::NAN), "label smoothing is NaN"),
            (cross_entropy(Some(vec![1.0, -2.0]), 0.0), "class weights: number 1 is -2"),
            (Terms::Huber { delta: 0.0 }, "delta is 0"),
            (Terms::SmoothL1 { beta: f64::INFINITY }, "beta is inf"),
            (Terms::BceWithLogits { pos_weight: Some(vec![f64::NAN]) }, "pos-weight: number 0 is NaN"),
            (Terms::PoissonNll { log_input: false, eps: -1.0 }, "eps is -1"),
        ];
        for (terms, expected) in cases {
            let error = Criterion::new(terms, Reduction::Mean).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn weights_of_outputs_are_as_many_as_the_outputs() {
        let of = |terms| Criterion::new(terms, Reduction::Sum).unwrap();
        let one = of(Terms::BceWithLogits { pos_weight: Some(vec![3.0]) });
        assert!(one.fits(4).is_ok());
        assert_eq!(one.output_weight(2), 3.0);
        let classes = of(Terms::CrossEntropy { class_weights: Some(vec![1.0, 2.0]), label_smoothing: 0.0, ignore_index: -100 });
        assert_eq!(classes.output_weight(1), 2.0);
        assert!(classes.fits(3).unwrap_err().to_string().contains("2 numbers, but the network has 3 outputs"));
    }
}
