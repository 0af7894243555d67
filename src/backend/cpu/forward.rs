//! The loss at any parameters, by the forward pass alone.

use rayon::prelude::*;

use super::linearization::forward;
use super::loss::LossJet;
use crate::curvature::{Objective, OutputCurvature};
use crate::error::{Error, Result};
use crate::model::Network;

/// Samples of one task; fixed, so that the sum has the same bits whatever the number of threads.
const SAMPLES: usize = 256;

/// f of `objective` at `parameters` in place of its network's own, weight decay included, in double precision.
///
/// Not finite is no error: far from a minimum a loss may overflow.
///
/// # Errors
/// [`Error::Input`] where there are not as many parameters as the network has.
pub fn loss_at(objective: &Objective, parameters: &[f64]) -> Result<f64> {
    if parameters.len() != objective.dim() {
        return Err(Error::Input(format!("{} parameters for a network of {}", parameters.len(), objective.dim())));
    }
    if parameters.iter().any(|x| !x.is_finite()) {
        return Ok(f64::NAN);
    }
    let network = objective.network().with_parameters(parameters)?;
    let starts: Vec<usize> = (0..objective.samples()).step_by(SAMPLES).collect();
    let losses: Vec<f64> = starts.par_iter().map(|&first| batch(objective, &network, first)).collect();
    let decay = objective.weight_decay();
    let squares: f64 = decay.ranges(&network).into_iter().flat_map(|range| &parameters[range]).map(|x| x * x).sum();
    Ok(losses.iter().sum::<f64>() + 0.5 * decay.factor * squares)
}

/// The samples' part of the loss from `first` on.
fn batch(objective: &Objective, network: &Network, first: usize) -> f64 {
    let samples = SAMPLES.min(objective.samples() - first);
    let (values, _) = forward(objective, network, first, samples);
    LossJet::new(objective, OutputCurvature::None, first, &values[values.len() - 1]).value
}
