use super::*;
use crate::backend::{BackendKind, BackendOptions};
use crate::curvature::{Inputs, Storage};
use crate::model::{Layer, Loss, Targets};

/// f(θ) = ½·mean((wx + b − y)²)·2: linear regression of y = 3x − 1, whose steps can be made by hand.
fn line() -> Objective {
    let network = init(&[1, 1], &[Activation::Identity], Activation::Identity, 3).unwrap();
    let x = [-1.0, 0.0, 1.0, 2.0];
    let y = x.iter().map(|x| 3.0 * x - 1.0).collect();
    Objective::new(network, Loss::Mse, 0.0, Inputs::new(Storage::F64(x.to_vec()), 1, 1.0).unwrap(), Targets::Values(y)).unwrap()
}

fn reference() -> Backend {
    Backend::open(&BackendOptions { kind: BackendKind::Reference, ..BackendOptions::default() }).unwrap()
}

fn trained(options: &TrainOptions) -> Train {
    let (objective, backend) = (line(), reference());
    let mut train = Train::new(objective.network(), Precision::F64);
    while train.step < options.steps && train.advance(&backend, &objective, options).unwrap() {}
    train
}

#[test]
fn every_optimizer_finds_the_line() {
    let base = TrainOptions { steps: 400, learning_rate: 0.1, ..TrainOptions::default() };
    for options in [
        base.clone(),
        TrainOptions { momentum: 0.5, ..base.clone() },
        TrainOptions { optimizer: Optimizer::Adam, steps: 2000, ..base.clone() },
        TrainOptions { batch_size: Some(3), steps: 2000, ..base },
    ] {
        let train = trained(&options);
        assert!(
            (train.parameters[0] - 3.0).abs() < 1e-3 && (train.parameters[1] + 1.0).abs() < 1e-3,
            "{options:?}: {:?}",
            train.parameters
        );
        assert_eq!(trained(&options), train);
    }
}

#[test]
fn two_steps_are_those_of_the_formulas() {
    let start = line().network().parameters();
    let gradient = |theta: &[f64]| {
        let terms = [-1.0, 0.0, 1.0, 2.0].map(|x| (x, theta[0] * x + theta[1] - (3.0 * x - 1.0)));
        [terms.iter().map(|(x, r)| 0.5 * r * x).sum::<f64>(), terms.iter().map(|(_, r)| 0.5 * r).sum::<f64>()]
    };
    let (mut theta, mut velocity) = ([start[0], start[1]], [0.0; 2]);
    for _ in 0..2 {
        let g = gradient(&theta);
        for k in 0..2 {
            velocity[k] = 0.9 * velocity[k] + g[k];
            theta[k] -= 0.1 * velocity[k];
        }
    }
    let found = trained(&TrainOptions { steps: 2, momentum: 0.9, ..TrainOptions::default() });
    assert!(found.parameters.iter().zip(theta).all(|(x, y)| (x - y).abs() < 1e-14), "{:?} {theta:?}", found.parameters);
}

#[test]
fn divergence_is_told() {
    let train = trained(&TrainOptions { steps: 10_000, learning_rate: 10.0, ..TrainOptions::default() });
    assert!(train.diverged.unwrap().contains("smaller --lr") && train.step < 10_000 && train.parameters.iter().all(|x| x.is_finite()));
}

#[test]
fn an_epoch_takes_every_sample_once() {
    let options = TrainOptions { batch_size: Some(3), ..TrainOptions::default() };
    let epoch = |first: u64| {
        let mut samples: Vec<usize> = (first..first + 4).flat_map(|step| batch(12, &options, step).unwrap()).collect();
        let order = samples.clone();
        samples.sort_unstable();
        assert_eq!(samples, (0..12).collect::<Vec<_>>());
        order
    };
    assert_ne!(epoch(0), epoch(4));
    assert_eq!(batch(3, &options, 0), None);
}

#[test]
fn the_initialization_is_pytorchs() {
    let network = init(&[100, 50, 10], &[Activation::Tanh], Activation::Identity, 0).unwrap();
    for layer in network.layers().iter().filter_map(Layer::dense) {
        let bound = f64::from(u32::try_from(layer.inputs).unwrap()).sqrt().recip();
        let largest = layer.weight.iter().chain(layer.bias.iter().flatten()).fold(0.0, |largest: f64, x| largest.max(x.abs()));
        assert!(largest <= bound && largest > 0.98 * bound, "{largest} {bound}");
    }
    assert!(init(&[2, 3, 4, 5], &[Activation::Tanh; 3], Activation::Identity, 0).is_err());
}
