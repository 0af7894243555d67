//! The GPU backend against the float64 reference, on whatever adapter there is: software Vulkan counts for correctness.
//!
//! Without an adapter the tests say so and pass; with HESPER_REQUIRE_GPU=1, as in CI, they fail.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod common;

use std::rc::Rc;

use common::conformance::space_conformance;
use common::forms::{Form, Standardizing};
use common::{
    Case, OPERATORS, assert_moves, assert_same_curvature, assert_same_operator, assert_same_views, cases, loss_and_gradient, loss_cases,
    operators, product, relative_error,
};
use hesper::backend::cpu::loss_at;
use hesper::backend::gpu::{Ceilings, Device, Gpu, Software};
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Demand, Mode, Objective, Schedule, Workload};
use hesper::job::SamplingOptions;
use hesper::krylov::{Lanczos, LanczosOptions, LinearOperator, Slot, VectorSpace};
use hesper::model::Activation;
use hesper::rng::Distribution;

/// Limits far below those of any real device.
const LOW: Ceilings = ceilings(1 << 20);

/// Limits that cut even small networks into many shards and segments.
const LOWEST: Ceilings = ceilings(1 << 14);

const fn ceilings(binding_bytes: u64) -> Ceilings {
    Ceilings { binding_bytes: Some(binding_bytes), buffer_bytes: Some(2 * binding_bytes), workgroups: Some(256) }
}

/// The device as it is and with low limits, each shared by the cases of a test so that kernels are compiled once.
fn devices() -> Vec<Rc<Device>> {
    [Ceilings::default(), LOW].into_iter().filter_map(device_within).collect()
}

fn device_within(ceilings: Ceilings) -> Option<Rc<Device>> {
    match Device::open_within(None, Software::Allowed, ceilings) {
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
    for device in devices() {
        for case in cases() {
            let objective = case.objective();
            assert_same_curvature(&case, &gpu(&objective, &device), &reference(&objective));
        }
    }
}

#[test]
fn gpu_agrees_with_the_reference_on_every_operator() {
    for device in devices() {
        for case in cases().into_iter().step_by(3).chain(loss_cases()) {
            for curvature in operators(&case.objective()) {
                assert_same_operator(&case, curvature, &Gpu::new(&case.objective(), curvature, &device).unwrap());
            }
        }
    }
}

/// Every operator in part and in other units, with vectors in one buffer and in many.
#[test]
fn views_agree_with_the_reference_on_every_operator() {
    for device in [Ceilings::default(), LOWEST].into_iter().filter_map(device_within) {
        for case in cases().iter().step_by(7) {
            let objective = case.objective();
            for curvature in operators(&objective) {
                assert_same_views(case, curvature, &Gpu::new(&objective, curvature, &device).unwrap());
            }
        }
        assert_same_views(&wide(), Curvature::Hessian, &Gpu::new(&wide().objective(), Curvature::Hessian, &device).unwrap());
    }
}

/// Segments, shards and micro-batches change nothing of any operator.
#[test]
fn operators_agree_with_the_reference_in_pieces() {
    let Some(device) = device_within(LOWEST) else { return };
    for (turn, curvature) in OPERATORS.into_iter().enumerate() {
        for mode in [Mode::Cached, [Mode::Recomputed, Mode::Streamed][turn % 2]] {
            let schedule = Schedule { mode, micro_batch: 128 };
            // Normalizations with every operator are elsewhere, uncut: here one is enough, since such a product takes seconds.
            let normalized = (curvature == Curvature::Hessian).then(|| Case { form: Form::PreNorm(Standardizing::Layer), ..wide() });
            for case in std::iter::once(wide()).chain(normalized) {
                assert_same_operator(&case, curvature, &Gpu::with_schedule(&case.objective(), curvature, &device, schedule).unwrap());
            }
        }
    }
}

/// The bound that users are promised, on a network of ordinary size.
#[test]
fn gpu_keeps_the_promised_accuracy() {
    let case = Case { widths: vec![64, 96, 80, 10], activation: Activation::Silu, samples: 700, seed: 300, ..Case::default() };
    let objective = case.objective();
    let directions = case.directions(5);
    let expected = product(&reference(&objective), &directions);
    for device in devices() {
        let actual = product(&gpu(&objective, &device), &directions);
        for (actual, expected) in actual.chunks(objective.dim()).zip(expected.chunks(objective.dim())) {
            let error = relative_error(actual, expected);
            assert!(error <= 1e-5, "{error:e}");
        }
    }
}

/// Loss, gradient and product, each column against itself.
fn assert_same(what: &str, dim: usize, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (column, (actual, expected)) in actual.chunks(dim).zip(expected.chunks(dim)).enumerate() {
        let error = relative_error(actual, expected);
        assert!(error <= tolerance, "{what}: column {column} is off by {error:e}");
    }
}

/// The gradient and three products, one after another, of an operator with `schedule`.
fn everything(objective: &Objective, directions: &[f64], device: &Rc<Device>, schedule: Schedule) -> Vec<f64> {
    let operator = Gpu::with_schedule(objective, Curvature::Hessian, device, schedule).unwrap();
    let (loss, gradient) = loss_and_gradient(&operator);
    assert!(loss > 0.0);
    [gradient, product(&operator, directions)].concat()
}

/// A network of every kind of layer, ragged, of some shards and segments where limits are low.
fn wide() -> Case {
    Case { widths: vec![45, 130, 70, 10], activation: Activation::Gelu, samples: 301, seed: 510, weight_decay: 0.05, ..Case::default() }
}

/// However arrays, sums and grids are cut up: the same result.
#[test]
fn low_limits_change_nothing_but_the_order_of_sums() {
    let formed =
        [Form::PreNorm(Standardizing::Layer), Form::Normalized(Standardizing::Batch), Form::Residual].map(|form| Case { form, ..wide() });
    let dense = [wide(), Case { activation: Activation::Relu, bias: false, seed: 511, ..wide() }];
    for case in dense.into_iter().chain(formed) {
        let (objective, directions) = (case.objective(), case.directions(3));
        let of = |ceilings| Some(everything(&objective, &directions, &device_within(ceilings)?, Schedule::cached(case.samples)));
        let Some(expected) = of(Ceilings::default()) else { return };
        for ceilings in [LOW, LOWEST] {
            assert_same(&format!("{ceilings:?}"), objective.dim(), &of(ceilings).unwrap(), &expected, 1e-6);
        }
    }
}

/// A row that no binding holds is refused with the numbers.
#[test]
fn what_cannot_be_cut_is_refused() {
    let Some(device) = device_within(ceilings(1 << 12)) else { return };
    let case = Case { widths: vec![1100, 2], ..Case::default() };
    let message = Gpu::new(&case.objective(), Curvature::Hessian, &device).unwrap_err().to_string();
    assert!(message.contains("layer 0: a row of 1101 parameters needs 4608 bytes"), "{message}");
}

/// A linearization made again and data brought in again: the same result.
#[test]
fn modes_change_nothing_but_the_order_of_sums() {
    for device in devices() {
        for case in [wide(), Case { samples: 7, ..wide() }, Case { form: Form::PreNorm(Standardizing::Rms), ..wide() }] {
            let (objective, directions) = (case.objective(), case.directions(3));
            let expected = everything(&objective, &directions, &device, Schedule::cached(case.samples));
            for mode in [Mode::Recomputed, Mode::Streamed] {
                for micro_batch in [16, 100, case.samples] {
                    let actual = everything(&objective, &directions, &device, Schedule { mode, micro_batch });
                    assert_same(&format!("{mode} {micro_batch}"), objective.dim(), &actual, &expected, 1e-6);
                }
            }
        }
    }
}

/// Every operator in every mode, of a network with constants beside its parameters.
#[test]
fn an_operator_that_moves_has_the_bits_of_a_new_one() {
    let Some(device) = device_within(Ceilings::default()) else { return };
    let case = Case { widths: vec![45, 30, 10], weighted: true, form: Form::Normalized(Standardizing::Batch), ..wide() };
    for curvature in operators(&case.objective()) {
        for mode in Mode::ALL {
            let make =
                |objective: &Objective| Gpu::with_schedule(objective, curvature, &device, Schedule { mode, micro_batch: 128 }).unwrap();
            assert_moves(&case, make, |operator, objective| operator.relinearize(objective).unwrap());
        }
    }
    let [one, other] = [case.objective(), Case { samples: 7, ..case }.objective()];
    assert!(gpu(&one, &device).relinearize(&other).is_err());
    assert_eq!(device.allocated(), 0, "an array outlives its operator");
}

/// The twin of the comparisons above: one sample of 301 less is seen.
#[test]
fn a_missing_sample_is_noticed() {
    for device in devices() {
        let (case, fewer) = (wide(), Case { samples: 300, ..wide() });
        let schedule = Schedule { mode: Mode::Streamed, micro_batch: 16 };
        let directions = case.directions(1);
        let all = everything(&case.objective(), &directions, &device, schedule);
        let without_last = everything(&fewer.objective(), &directions, &device, schedule);
        assert!(relative_error(&without_last, &all) > 1e-4);
    }
}

/// What a job allocates is what its plan says, in every mode.
#[test]
fn plans_are_what_jobs_take() {
    let forms = [Form::Chain, Form::PreNorm(Standardizing::Layer), Form::Normalized(Standardizing::Batch)];
    let modes = Mode::ALL.into_iter().flat_map(|mode| forms.map(|form| (mode, form)));
    for ((mode, form), device) in modes.flat_map(|mode| devices().into_iter().map(move |device| (mode, device))) {
        let case = Case { samples: 1000, form, ..wide() };
        let objective = case.objective();
        let demand = Demand {
            workload: Workload { columns: 3, vectors: 2, kept_bytes: 0 },
            budget: Some(if mode == Mode::Cached { 1 << 30 } else { 4 << 20 }),
            mode: Some(mode),
        };
        let plan = Gpu::plan(&objective, Curvature::Hessian, &device, &demand).unwrap();
        assert_eq!((plan.schedule.mode, plan.columns, device.allocated()), (mode, 3, 0));
        everything(&objective, &case.directions(3), &device, plan.schedule);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = device.peak_allocated() as f64 / plan.total as f64;
        assert!((0.95..=1.05).contains(&share), "{mode}: {} of {plan:?}", device.peak_allocated());
        assert_eq!(device.allocated(), 0, "an array outlives its operator");
    }
}

/// Steps of Lanczos allocate what a job that makes them plans, to the vector.
#[test]
fn lanczos_runs_take_what_jobs_plan() {
    let case = Case { samples: 8, ..wide() };
    let objective = case.objective();
    let mut sampling = SamplingOptions::default();
    (sampling.probes, sampling.steps, sampling.deflate) = (3, 4, 0);
    for device in devices() {
        let demand = Demand { workload: sampling.workload(objective.dim()), budget: None, mode: None };
        let plan = Gpu::plan(&objective, Curvature::Hessian, &device, &demand).unwrap();
        let operator = Gpu::with_schedule(&objective, Curvature::Hessian, &device, plan.schedule).unwrap();
        let mut start = operator.space().block(plan.columns).unwrap();
        operator.space().fill(&mut start, Distribution::Rademacher, 1, 0).unwrap();
        let options = LanczosOptions { capacity: sampling.steps, ..LanczosOptions::default() };
        let mut run = Lanczos::new(&operator, start, plan.columns, options).unwrap();
        while run.step().unwrap() {}
        assert_eq!(run.coefficients().unwrap().len(), 3);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = device.peak_allocated() as f64 / plan.total as f64;
        assert!((0.95..=1.05).contains(&share), "{} of {plan:?}", device.peak_allocated());
    }
}

/// A product and five Lanczos steps of a network of 100 million parameters, whose weights and vectors no binding of most devices holds:
/// `cargo test --release --test gpu -- --ignored --nocapture`, some minutes on a software driver.
#[test]
#[ignore = "takes minutes and 8 GiB"]
fn a_hundred_million_parameters_take_what_is_planned() {
    let Some(device) = device_within(Ceilings::default()) else { return };
    let case = Case { widths: vec![4096, 8192, 8192, 10], activation: Activation::Relu, samples: 64, ..Case::default() };
    let objective = case.objective();
    let steps = 5;
    // The basis; q, the one before it, and the product.
    let demand = Demand { workload: Workload { columns: 1, vectors: steps as u64 + 3, kept_bytes: 0 }, budget: Some(20 << 30), mode: None };
    let plan = Gpu::plan(&objective, Curvature::Hessian, &device, &demand).unwrap();
    let operator = Gpu::with_schedule(&objective, Curvature::Hessian, &device, plan.schedule).unwrap();
    let mut start = operator.space().block(1).unwrap();
    operator.space().fill(&mut start, Distribution::Rademacher, 1, 0).unwrap();
    let mut run = Lanczos::new(&operator, start, 1, LanczosOptions { capacity: steps, ..LanczosOptions::default() }).unwrap();
    while run.step().unwrap() {}
    let coefficients = run.coefficients().unwrap();
    assert_eq!(coefficients[0].alphas.len(), steps);
    println!("{} parameters, {} bytes planned, {} allocated", objective.dim(), plan.total, device.peak_allocated());
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = device.peak_allocated() as f64 / plan.total as f64;
    assert!((0.95..=1.05).contains(&share), "{} of {plan:?}", device.peak_allocated());
}

/// The twin of the comparison: one weight of 10⁻³ more is seen.
#[test]
fn a_changed_parameter_is_noticed() {
    let case = Case { seed: 9, ..Case::default() };
    let mut parameters = case.objective().network().parameters();
    parameters[17] += 1e-3;
    for device in devices() {
        let changed = gpu(&case.at(&parameters), &device);
        let compare = std::panic::AssertUnwindSafe(|| assert_same_curvature(&case, &changed, &reference(&case.objective())));
        let message = std::panic::catch_unwind(compare).expect_err("the comparison passed a changed network");
        assert!(message.downcast_ref::<String>().unwrap().contains("of the product: ["));
    }
}

#[test]
fn the_space_conforms() {
    for device in [Ceilings::default(), LOW, LOWEST].into_iter().filter_map(device_within) {
        space_conformance(|objective| gpu(objective, &device));
    }
}

/// Two operators in one process and a block that was used for something else before: the same bits.
#[test]
fn results_repeat_to_the_bit() {
    let case = Case { widths: vec![40, 70, 10], activation: Activation::Gelu, samples: 300, seed: 500, ..Case::default() };
    for device in devices() {
        let bits = || {
            let operator = gpu(&case.objective(), &device);
            let (loss, gradient) = loss_and_gradient(&operator);
            let product = product(&operator, &case.directions(3));
            product.iter().chain(&gradient).chain([&loss]).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert!(bits() == bits());
    }
}

/// Many steps of recorded work, more than one submission holds, cost one readback.
#[test]
fn only_reads_bring_numbers_to_the_host() {
    let case = Case { widths: vec![12, 9, 3], ..Case::default() };
    for device in devices() {
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
}

/// What is ordered is not yet done, what a submission has ended with is, and nothing is read to see it.
#[test]
fn products_are_known_to_be_done_without_reading() {
    let case = Case { widths: vec![12, 9, 3], ..Case::default() };
    for device in devices() {
        let operator = gpu(&case.objective(), &device);
        let space = operator.space();
        let (mut x, mut y) = (space.block(2).unwrap(), space.block(2).unwrap());
        let s = space.scalars(1, 2).unwrap();
        space.fill(&mut x, Distribution::Rademacher, 1, 0).unwrap();
        let before = space.readbacks();
        operator.apply(&x, &mut y).unwrap();
        assert_eq!((operator.products(), operator.under_way()), (2, 2), "nothing was submitted");
        // More dispatches than three submissions hold.
        for _ in 0..400 {
            operator.apply(&x, &mut y).unwrap();
        }
        let under_way = operator.under_way();
        assert!(0 < under_way && under_way < operator.products() / 2, "{under_way} of {}", operator.products());
        assert_eq!(space.readbacks(), before);
        space.read(&s).unwrap();
        assert_eq!(operator.under_way(), 0);
    }
}

/// By its own clock a device has spent time on both parts of a step, and on every kernel of a product that it is asked about.
#[test]
fn a_device_with_a_clock_tells_its_parts_and_kernels() {
    let case = wide();
    for device in devices() {
        let operator = gpu(&case.objective(), &device);
        let space = operator.space();
        let (mut x, mut y, mut basis) = (space.block(2).unwrap(), space.block(2).unwrap(), space.basis(1, 2).unwrap());
        space.fill(&mut x, Distribution::Rademacher, 1, 0).unwrap();
        space.push(&mut basis, &x).unwrap();
        let Some(before) = operator.device_seconds() else { continue };
        operator.apply(&x, &mut y).unwrap();
        let kernels = operator.kernel_times(|| operator.apply(&x, &mut y)).unwrap().unwrap();
        let between = operator.device_seconds().unwrap();
        space.orthogonalize(&basis, &mut y).unwrap();
        space.download(&y).unwrap();
        let after = operator.device_seconds().unwrap();
        assert!(between.products > before.products && between.orthogonalization == before.orthogonalization);
        assert!(after.products == between.products && after.orthogonalization > between.orthogonalization);
        for name in ["forward_over ", "backward_over ", "weights ", "loss_over"] {
            assert!(kernels.iter().any(|kernel| kernel.kernel.starts_with(name) && kernel.runs > 0), "{name}: {kernels:?}");
        }
        assert!(kernels.iter().all(|kernel| kernel.seconds >= 0.0 && kernel.gflops.is_none_or(f64::is_finite)), "{kernels:?}");
    }
}

/// What the plan of a job is told of the scratch is what a product then takes.
#[test]
fn scratch_is_as_large_as_planned() {
    let case = Case { widths: vec![40, 70, 10], samples: 301, ..Case::default() };
    for device in devices() {
        let operator = gpu(&case.objective(), &device);
        let space = operator.space();
        let (x, mut y) = (space.block(3).unwrap(), space.block(3).unwrap());
        let before = device.allocated();
        operator.apply(&x, &mut y).unwrap();
        assert_eq!(device.allocated() - before, 3 * operator.column_bytes() as u64);
        assert!(operator.max_columns() >= 3);
    }
}

/// A look at another point gives that point's loss, and the next product is made at the operator's own.
#[test]
fn losses_elsewhere_leave_the_operator_where_it_is() {
    let Some(device) = device_within(Ceilings::default()) else { return };
    for form in [Form::Chain, Form::Normalized(Standardizing::Batch), Form::Residual] {
        let case = Case { form, weighted: true, ..wide() };
        let (objective, directions) = (case.objective(), case.directions(1));
        let theta: Vec<f64> = objective.network().parameters().iter().zip(&directions).map(|(x, d)| x + 0.1 * d).collect();
        for mode in Mode::ALL {
            let operator = Gpu::with_schedule(&objective, Curvature::Hessian, &device, Schedule { mode, micro_batch: 100 }).unwrap();
            let everything = || (loss_and_gradient(&operator), product(&operator, &directions));
            let (before, here) = (everything(), operator.loss_at(&objective.network().parameters()).unwrap().unwrap());
            assert_eq!(here, before.0.0, "the same kernels");
            let there = operator.loss_at(&theta).unwrap().unwrap();
            let expected = loss_at(&objective, &theta).unwrap();
            assert!((there - expected).abs() <= 1e-6 * expected && (there - here).abs() > 1e-3 * here, "{there} {expected} {here}");
            assert!(everything() == before, "{form:?} {mode}");
        }
    }
    assert!(gpu(&wide().objective(), &device).loss_at(&[0.0]).is_err());
}
