//! x and y: where they come from, and how they become an [`Objective`].

use std::path::{Path, PathBuf};

use super::array::Array;
use super::csv;
use super::digits::{DIGITS_SCALE, load_digits};
use super::file::{has_ending, load_array, load_named, missing};
use super::hints::ModelHints;
use super::labels::Labels;
use super::pair::Pair;
use crate::curvature::{Inputs, Objective};
use crate::error::{Error, Result};
use crate::model::{Criterion, IGNORE_INDEX, Loss, Network, Targets, Terms, WeightDecay};

/// Which data, and how much of them.
#[derive(Clone, Debug, PartialEq)]
pub struct DataOptions {
    /// A file with x and y: `.npz`, `.safetensors` or `.csv`.
    pub data: Option<PathBuf>,
    /// A file with x: `.npy` or IDX, with or without gzip.
    pub x: Option<PathBuf>,
    /// A file with y: `.npy` or IDX, with or without gzip.
    pub y: Option<PathBuf>,
    /// What x is multiplied by; nothing else is scaled.
    pub x_scale: f64,
    /// Take the first so many samples; all where absent.
    pub samples: Option<usize>,
    /// The target is x itself (an autoencoder); a y is not looked at.
    pub target_is_x: bool,
    /// A file with a weight for each sample, `[N]`: `.npy`.
    pub sample_weights: Option<PathBuf>,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self { data: None, x: None, y: None, x_scale: 1.0, samples: None, target_is_x: false, sample_weights: None }
    }
}

/// Inputs and labels of the same samples.
#[derive(Clone, Debug)]
pub struct Dataset {
    inputs: Inputs,
    /// Absent where the target is x.
    labels: Option<Labels>,
    /// With the file's name.
    sample_weights: Option<(Vec<f64>, String)>,
    source: String,
}

/// Reads a data set for `network`; the embedded digits where `options` names no file.
///
/// x [N, ...] is flattened to [N, in]; its bytes, singles and doubles stay what they are, other integers become doubles. How a csv
/// file's columns are split depends on how many inputs the network takes.
///
/// # Errors
/// [`Error::File`] and [`Error::Format`] where a file cannot be read or is not what its format promises; [`Error::Input`] where
/// options contradict each other, x and y differ in their samples, or x does not fit the network; [`Error::NonFinite`] where x is not
/// finite.
pub fn load_dataset(options: &DataOptions, network: &Network) -> Result<Dataset> {
    let dataset = match (&options.data, &options.x, &options.y) {
        (None, None, None) => into_dataset(load_digits()?, options, DIGITS_SCALE),
        (Some(path), None, None) => into_dataset(load_pair(path, options, network.inputs())?, options, 1.0),
        (None, Some(x), y) => into_dataset(load_apart(x, y.as_deref(), options)?, options, 1.0),
        (None, None, Some(y)) => Err(Error::Input(format!("{}: y without x: give the file with x as --x", y.display()))),
        (Some(data), ..) => {
            Err(Error::Input(format!("{}: give either --data, a file with x and y, or --x and --y, a file for each", data.display())))
        }
    }?;
    let (width, inputs) = (dataset.inputs.width(), network.inputs());
    if width != inputs {
        return Err(Error::Input(format!("{}: x has {width} numbers a sample, but the network takes {inputs}", dataset.source)));
    }
    Ok(dataset)
}

/// The embedded digits: 1,797 images of 8x8 pixels with values from 0 to 1, and which digit each is.
///
/// # Errors
/// None but by a damaged build.
pub fn digits() -> Result<Dataset> {
    into_dataset(load_digits()?, &DataOptions::default(), DIGITS_SCALE)
}

fn load_pair(path: &Path, options: &DataOptions, inputs: usize) -> Result<Pair> {
    let source = path.display().to_string();
    let (x, y) = if has_ending(path, "csv") {
        csv::read(path)?.split(path, inputs, options.target_is_x)?
    } else if options.target_is_x {
        let named = load_named(path, ["x"])?;
        let [x] = named.arrays;
        (x.ok_or_else(|| missing(path, "x", &named.present))?, None)
    } else {
        let named = load_named(path, ["x", "y"])?;
        let [x, y] = named.arrays;
        let x = x.ok_or_else(|| missing(path, "x", &named.present))?;
        (x, Some(y.ok_or_else(|| missing(path, "y", &named.present))?))
    };
    Ok(Pair { x, y, x_source: source.clone(), y_source: source.clone(), source })
}

fn load_apart(x: &Path, y: Option<&Path>, options: &DataOptions) -> Result<Pair> {
    let x_source = x.display().to_string();
    let y = y.filter(|_| !options.target_is_x);
    let y_source = y.map_or_else(String::new, |y| y.display().to_string());
    let source = if y.is_some() { format!("{x_source}, {y_source}") } else { x_source.clone() };
    Ok(Pair { x: load_array(x)?, y: y.map(load_array).transpose()?, x_source, y_source, source })
}

impl Dataset {
    /// N.
    pub fn samples(&self) -> usize {
        self.inputs.samples()
    }

    /// x.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The files, as the user named them.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The loss to use: the one that is asked for, else the one that the model file hints at, else cross-entropy where y holds one
    /// integer for each sample and the network has an output for each class.
    ///
    /// # Errors
    /// [`Error::Input`] where none of these says it.
    pub fn choose_loss(&self, asked: Option<Loss>, hints: &ModelHints, network: &Network) -> Result<Loss> {
        let classes = self.labels.as_ref().is_some_and(Labels::are_classes) && network.outputs() > 1;
        asked.or(hints.loss).or(classes.then_some(Loss::CrossEntropy)).ok_or_else(|| {
            let names = Loss::ALL.map(Loss::name).join(", ");
            Error::Input(format!("{}: neither the model file nor y says which loss is meant: give --loss, one of {names}", self.source))
        })
    }

    /// The objective of `network` on these data.
    ///
    /// # Errors
    /// [`Error::Input`] where y or the samples' weights are not what the loss takes; [`Error::NonFinite`] where they are not finite. Both
    /// name the file.
    pub fn into_objective(
        self,
        network: Network,
        criterion: impl Into<Criterion>,
        weight_decay: impl Into<WeightDecay>,
    ) -> Result<Objective> {
        let criterion = criterion.into();
        let targets = match self.labels {
            Some(labels) => {
                if let Terms::CrossEntropy { ignore_index, .. } = *criterion.terms()
                    && ignore_index != IGNORE_INDEX
                    && labels.are_probabilities()
                {
                    return Err(Error::Input(format!(
                        "{}: y holds probabilities, of which none is a label: leave out --ignore-index",
                        self.source
                    )));
                }
                labels.targets(&criterion, network.outputs())?
            }
            None => Targets::Inputs,
        };
        let objective = Objective::new(network, criterion, weight_decay, self.inputs, targets);
        let objective = objective.map_err(|error| in_source(&self.source, error))?;
        match self.sample_weights {
            Some((weights, source)) => objective.with_sample_weights(weights).map_err(|error| in_source(&source, error)),
            None => Ok(objective),
        }
    }
}

/// The first samples of x and y as a data set; x is multiplied by `scale` on top of what the options ask for.
fn into_dataset(pair: Pair, options: &DataOptions, scale: f64) -> Result<Dataset> {
    let Pair { x, y, x_source, y_source, source } = pair;
    if !options.x_scale.is_finite() {
        return Err(Error::NonFinite(format!("the scale of x is {}: it must be finite", options.x_scale)));
    }
    let (Some(&available), false) = (x.shape.first(), x.values.is_empty()) else {
        return Err(Error::Input(format!("{x_source}: x has shape {:?}: at least one sample [N, in] is needed", x.shape)));
    };
    let samples = options.samples.unwrap_or(available);
    if samples == 0 || samples > available {
        return Err(Error::Input(format!("{source}: {samples} samples are asked for, but it holds {available}: give 1 to {available}")));
    }
    let labels = match y {
        _ if options.target_is_x => None,
        None => return Err(Error::Input(format!("{source}: there is no y: give the file with y as --y, or use --target x"))),
        Some(y) if y.shape.first() != Some(&available) => {
            let shape = y.shape;
            return Err(Error::Input(format!(
                "{y_source}: y has shape {shape:?}, but x has {available} samples: y is [N] or [N, outputs]"
            )));
        }
        Some(y) => Some(Labels::new(y, samples, y_source)),
    };
    let sample_weights = options.sample_weights.as_deref().map(|path| load_sample_weights(path, available, samples)).transpose()?;
    let width = x.values.len() / available;
    let mut values = x.values.into_storage();
    values.truncate(samples * width);
    let inputs = Inputs::new(values, width, scale * options.x_scale).map_err(|error| in_source(&x_source, error))?;
    Ok(Dataset { inputs, labels, sample_weights, source })
}

/// The weights of the first `samples` of the `available` samples, and the file's name.
fn load_sample_weights(path: &Path, available: usize, samples: usize) -> Result<(Vec<f64>, String)> {
    let Array { shape, values } = load_array(path)?;
    let source = path.display().to_string();
    if shape != [available] {
        return Err(Error::Input(format!(
            "{source}: sample weights of shape {shape:?}, but x has {available} samples: give [{available}]"
        )));
    }
    let mut weights = values.into_f64();
    weights.truncate(samples);
    Ok((weights, source))
}

/// The same error, naming the file.
fn in_source(source: &str, error: Error) -> Error {
    match error {
        Error::Input(problem) => Error::Input(format!("{source}: {problem}")),
        Error::NonFinite(problem) => Error::NonFinite(format!("{source}: {problem}")),
        error => error,
    }
}
