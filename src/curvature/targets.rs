//! Whether targets are what the loss takes.

use super::inputs::Inputs;
use crate::error::{Error, Result};
use crate::model::{Criterion, Loss, Network, Targets, Terms};

/// Checks the targets of `inputs` against the network's outputs and the loss.
pub(super) fn check(network: &Network, criterion: &Criterion, inputs: &Inputs, targets: &Targets) -> Result<()> {
    let (samples, outputs, loss) = (inputs.samples(), network.outputs(), criterion.loss());
    criterion.fits(outputs)?;
    match (targets, loss) {
        (Targets::Classes(classes), Loss::CrossEntropy) => {
            if classes.len() != samples {
                return Err(Error::Input(format!("y has {} classes, x has {samples} samples", classes.len())));
            }
            if let Some(at) = classes.iter().position(|&class| class as usize >= outputs && class != Targets::IGNORED) {
                return Err(Error::Input(format!(
                    "y[{at}] is class {}, but the network has {outputs} outputs (classes 0 to {})",
                    classes[at],
                    outputs - 1
                )));
            }
        }
        (Targets::Classes(_), _) => {
            return Err(Error::Input(format!(
                "y holds integer classes, but {loss} compares numbers: store y as floats [N, outputs], or use --loss cross-entropy"
            )));
        }
        (Targets::Values(values), _) => {
            if values.len() != samples * outputs {
                return Err(Error::Input(format!(
                    "y has {} numbers, but {samples} samples of {outputs} outputs need {}",
                    values.len(),
                    samples * outputs
                )));
            }
            check_numbers(criterion.terms(), values.iter().copied(), outputs)?;
        }
        (Targets::Inputs, Loss::CrossEntropy) => {
            return Err(Error::Input(
                "cross-entropy takes classes or probabilities as y, not the inputs: use --loss mse or bce-with-logits".into(),
            ));
        }
        (Targets::Inputs, _) => {
            if inputs.width() != outputs {
                return Err(Error::Input(format!(
                    "an autoencoder's {outputs} outputs are compared with its {} inputs: they must be as many",
                    inputs.width()
                )));
            }
            let numbers = (0..samples * outputs).map(|at| inputs.at(at));
            check_numbers(criterion.terms(), numbers, outputs)?;
        }
    }
    Ok(())
}

/// Numbers for which the loss is a number and its second derivative is not negative.
fn check_numbers(terms: &Terms, mut numbers: impl Iterator<Item = f64>, outputs: usize) -> Result<()> {
    let (least, most, what) = match terms {
        Terms::CrossEntropy { .. } => (0.0, f64::INFINITY, "a probability must not be below 0"),
        Terms::BceWithLogits { pos_weight: Some(_) } => (0.0, 1.0, "with --pos-weight a target must lie between 0 and 1"),
        Terms::PoissonNll { .. } => (0.0, f64::INFINITY, "poisson-nll takes counts, none below 0"),
        _ => (f64::NEG_INFINITY, f64::INFINITY, ""),
    };
    let mut last = 0.0;
    let found = numbers.position(|y| {
        last = y;
        !y.is_finite() || !(least..=most).contains(&y)
    });
    match found {
        Some(at) if last.is_finite() => Err(Error::Input(format!("y[{}, {}] is {last}: {what}", at / outputs, at % outputs))),
        Some(at) => Err(Error::NonFinite(format!("y[{}, {}] is {last}: every target must be finite", at / outputs, at % outputs))),
        None => Ok(()),
    }
}
