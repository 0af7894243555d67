//! The GPU backend against the float64 reference, on whatever adapter there is: software Vulkan counts for correctness.
//!
//! Without an adapter the tests say so and pass; with HESPER_REQUIRE_GPU=1, as in CI, they fail.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod common;

use std::rc::Rc;

use common::conformance::space_conformance;
use common::{Case, assert_same_curvature, cases, loss_and_gradient, product, relative_error};
use hesper::backend::gpu::{Device, Gpu, Software};
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Objective};
use hesper::krylov::{LinearOperator, Slot, VectorSpace};
use hesper::model::Activation;
use hesper::rng::Distribution;

/// A device, shared by the cases of a test so that kernels are compiled once.
fn device() -> Option<Rc<Device>> {
    match Device::open(None, Software::Allowed) {
        Ok(device) => Some(Rc::new(device)),
        Err(error) if std::env::var_os("HESPER_REQUIRE_GPU").is_some_and(|value| value == "1") => panic!("{error}"),
        Err(error) => {
            println!("SKIPPED: no adapter ({error})");
            None
        }
    }
}

fn gpu(objective: &Objective, device: &Rc<Device>) -> Gpu {
    Gpu::new(objective, Curvature::Hessian, device).unwrap()
}

fn reference(objective: &Objective) -> Reference {
    Reference::new(objective, Curvature::Hessian).unwrap()
}

#[test]
fn gpu_agrees_with_the_reference() {
    let Some(device) = device() else { return };
    for case in cases() {
        let objective = case.objective();
        assert_same_curvature(&case, &gpu(&objective, &device), &reference(&objective));
    }
}

/// The bound that users are promised, on a network of ordinary size.
#[test]
fn gpu_keeps_the_promised_accuracy() {
    let Some(device) = device() else { return };
    let case = Case { widths: vec![64, 96, 80, 10], activation: Activation::Silu, samples: 700, seed: 300, ..Case::default() };
    let objective = case.objective();
    let directions = case.directions(5);
    let (actual, expected) = (product(&gpu(&objective, &device), &directions), product(&reference(&objective), &directions));
    for (actual, expected) in actual.chunks(objective.dim()).zip(expected.chunks(objective.dim())) {
        let error = relative_error(actual, expected);
        assert!(error <= 1e-5, "{error:e}");
    }
}

/// The twin of the comparison: one weight of 10⁻³ more is seen.
#[test]
fn a_changed_parameter_is_noticed() {
    let Some(device) = device() else { return };
    let case = Case { seed: 9, ..Case::default() };
    let mut parameters = case.objective().network().parameters();
    parameters[17] += 1e-3;
    let changed = gpu(&case.at(&parameters), &device);
    let compare = std::panic::AssertUnwindSafe(|| assert_same_curvature(&case, &changed, &reference(&case.objective())));
    let message = std::panic::catch_unwind(compare).expect_err("the comparison passed a changed network");
    assert!(message.downcast_ref::<String>().unwrap().contains("of the product: ["));
}

#[test]
fn the_space_conforms() {
    let Some(device) = device() else { return };
    space_conformance(|objective| gpu(objective, &device));
}

/// Two operators in one process and a block that was used for something else before: the same bits.
#[test]
fn results_repeat_to_the_bit() {
    let Some(device) = device() else { return };
    let case = Case { widths: vec![40, 70, 10], activation: Activation::Gelu, samples: 300, seed: 500, ..Case::default() };
    let bits = || {
        let operator = gpu(&case.objective(), &device);
        let (loss, gradient) = loss_and_gradient(&operator);
        let product = product(&operator, &case.directions(3));
        product.iter().chain(&gradient).chain([&loss]).map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert!(bits() == bits());
}

/// Many steps of recorded work, more than one submission holds, cost one readback.
#[test]
fn only_reads_bring_numbers_to_the_host() {
    let Some(device) = device() else { return };
    let case = Case { widths: vec![12, 9, 3], ..Case::default() };
    let operator = gpu(&case.objective(), &device);
    let space = operator.space();
    let (mut x, mut y) = (space.block(2).unwrap(), space.block(2).unwrap());
    let mut s = space.scalars(1, 2).unwrap();
    space.fill(&mut x, Distribution::Rademacher, 1, 0).unwrap();
    let before = space.readbacks();
    for _ in 0..100 {
        operator.apply(&x, &mut y).unwrap();
        space.normalize(&mut y, &mut s, Slot(0)).unwrap();
        space.copy(&y, &mut x).unwrap();
    }
    let norms = space.read(&s).unwrap();
    assert_eq!(space.readbacks() - before, 1);
    assert!(norms.iter().all(|norm| norm.is_finite() && *norm > 0.0), "{norms:?}");
}

/// What the plan of a job is told of the scratch is what a product then takes.
#[test]
fn scratch_is_as_large_as_planned() {
    let Some(device) = device() else { return };
    let case = Case { widths: vec![40, 70, 10], samples: 301, ..Case::default() };
    let operator = gpu(&case.objective(), &device);
    let space = operator.space();
    let (x, mut y) = (space.block(3).unwrap(), space.block(3).unwrap());
    let before = device.allocated();
    operator.apply(&x, &mut y).unwrap();
    assert_eq!(device.allocated() - before, 3 * operator.column_bytes() as u64);
    assert!(operator.max_columns() >= 3);
}
