//! The loss at any parameters, by the forward pass alone.

use rayon::prelude::*;

use super::loss::LossJet;
use super::matmul::{View, ViewMut, add_product};
use crate::curvature::Objective;
use crate::error::{Error, Result};

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
    let starts: Vec<usize> = (0..objective.samples()).step_by(SAMPLES).collect();
    let losses: Vec<f64> = starts.par_iter().map(|&first| batch(objective, parameters, first)).collect();
    let decay = 0.5 * objective.weight_decay() * parameters.iter().map(|x| x * x).sum::<f64>();
    Ok(losses.iter().sum::<f64>() + decay)
}

/// The samples' part of the mean from `first` on.
fn batch(objective: &Objective, parameters: &[f64], first: usize) -> f64 {
    let samples = SAMPLES.min(objective.samples() - first);
    let network = objective.network();
    let mut z = vec![0.0; samples * network.inputs()];
    objective.inputs().copy_rows(first..first + samples, &mut z);
    for (layer, range) in network.layers().iter().zip(network.layout().layers()) {
        let mut a = match &range.bias {
            Some(bias) => parameters[bias.clone()].repeat(samples),
            None => vec![0.0; samples * layer.outputs],
        };
        add_product(
            ViewMut::new(&mut a, samples, layer.outputs),
            View::new(&z, samples, layer.inputs),
            View::new(&parameters[range.weight.clone()], layer.outputs, layer.inputs).transposed(),
        );
        a.iter_mut().for_each(|a| *a = layer.activation.jet(*a).value);
        z = a;
    }
    LossJet::new(objective, first, &z).value
}
