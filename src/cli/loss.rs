//! The flags of the loss, and how they become one.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::values;
use crate::data;
use crate::model::{Criterion, Decay, Loss, Reduction, Terms, WeightDecay};

/// The loss, its parameters as PyTorch names them, and the weight decay.
#[derive(Args, Debug)]
#[command(next_help_heading = "Loss (as in PyTorch)")]
pub(super) struct LossArgs {
    /// cross-entropy, mse, huber, smooth-l1, bce-with-logits or poisson-nll [default: what the model file says]
    #[arg(long = "loss", value_name = "LOSS")]
    pub(super) kind: Option<Loss>,
    /// mean over samples (and outputs, but for cross-entropy), or sum
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ReductionName::Mean)]
    reduction: ReductionName,
    /// Cross-entropy: takes E of each target's mass and spreads it over all classes
    #[arg(long, value_name = "E", value_parser = values::finite)]
    label_smoothing: Option<f64>,
    /// Cross-entropy: a weight for each class, a comma list or an .npy file; the mean is over the targets' weights
    #[arg(long, value_name = "LIST-OR-FILE")]
    class_weights: Option<String>,
    /// Cross-entropy: the label of samples that do not count [default: -100]
    #[arg(long, value_name = "I", allow_negative_numbers = true)]
    ignore_index: Option<i64>,
    /// BCE: the weight of positive targets, one number, a comma list with one for each output, or an .npy file
    #[arg(long, value_name = "LIST-OR-FILE")]
    pos_weight: Option<String>,
    /// Huber: where the square ends [default: 1]
    #[arg(long, value_name = "D", value_parser = values::positive)]
    delta: Option<f64>,
    /// Smooth L1: where the square ends [default: 1]
    #[arg(long, value_name = "B", value_parser = values::positive)]
    beta: Option<f64>,
    /// Poisson: the outputs are rates, not their logarithms
    #[arg(long)]
    no_log_input: bool,
    /// Poisson with --no-log-input: added to the rate in the logarithm [default: 1e-8]
    #[arg(long, value_name = "E", value_parser = values::positive, requires = "no_log_input")]
    eps: Option<f64>,
    /// A weight for each sample, an .npy file [N]; the mean divides by their sum: a sample of weight 2 counts as two
    #[arg(long, value_name = "FILE")]
    pub(super) sample_weights: Option<PathBuf>,
    /// Adds (L/2)·‖θ‖²
    #[arg(long, value_name = "L", default_value_t = 0.0, value_parser = values::finite, allow_negative_numbers = true)]
    weight_decay: f64,
    /// What decays: all parameters, or the weights alone without the biases
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = DecayName::All)]
    decay: DecayName,
}

/// A reduction by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReductionName {
    Mean,
    Sum,
}

/// What decays, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DecayName {
    All,
    Weights,
}

impl LossArgs {
    /// `loss` with the parameters that were given.
    pub(super) fn criterion(&self, loss: Loss) -> Result<Criterion> {
        self.refuse_others(loss)?;
        let mut terms = Terms::from(loss);
        match &mut terms {
            Terms::CrossEntropy { class_weights, label_smoothing, ignore_index } => {
                *class_weights = self.class_weights.as_deref().map(numbers).transpose()?;
                set(label_smoothing, self.label_smoothing);
                set(ignore_index, self.ignore_index);
            }
            Terms::Mse {} => {}
            Terms::Huber { delta } => set(delta, self.delta),
            Terms::SmoothL1 { beta } => set(beta, self.beta),
            Terms::BceWithLogits { pos_weight } => *pos_weight = self.pos_weight.as_deref().map(numbers).transpose()?,
            Terms::PoissonNll { log_input, eps } => {
                *log_input = !self.no_log_input;
                set(eps, self.eps);
            }
        }
        let reduction = match self.reduction {
            ReductionName::Mean => Reduction::Mean,
            ReductionName::Sum => Reduction::Sum,
        };
        Ok(Criterion::new(terms, reduction)?)
    }

    pub(super) fn weight_decay(&self) -> WeightDecay {
        let over = match self.decay {
            DecayName::All => Decay::All,
            DecayName::Weights => Decay::Weights,
        };
        WeightDecay { factor: self.weight_decay, over }
    }

    /// A parameter of another loss would be left out in silence.
    fn refuse_others(&self, loss: Loss) -> Result<()> {
        let given = [
            ("--label-smoothing", Loss::CrossEntropy, self.label_smoothing.is_some()),
            ("--class-weights", Loss::CrossEntropy, self.class_weights.is_some()),
            ("--ignore-index", Loss::CrossEntropy, self.ignore_index.is_some()),
            ("--pos-weight", Loss::BceWithLogits, self.pos_weight.is_some()),
            ("--delta", Loss::Huber, self.delta.is_some()),
            ("--beta", Loss::SmoothL1, self.beta.is_some()),
            ("--no-log-input", Loss::PoissonNll, self.no_log_input),
        ];
        match given.into_iter().find(|&(_, of, given)| given && of != loss) {
            Some((flag, of, _)) => bail!("{flag} is a parameter of {of}, but the loss is {loss}: leave it out, or give --loss {of}"),
            None => Ok(()),
        }
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

/// A comma list of numbers, or else the file with them.
fn numbers(text: &str) -> Result<Vec<f64>> {
    if let Ok(numbers) = text.split(',').map(|number| number.trim().parse()).collect() {
        return Ok(numbers);
    }
    let array = data::load_array(Path::new(text))?;
    if array.shape.len() > 1 {
        bail!("{text}: numbers of shape {:?}: give one row, [outputs]", array.shape);
    }
    Ok(array.values.into_f64())
}
