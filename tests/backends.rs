//! Every backend on random networks: the reference against differences and closed forms, the others against the reference.
//!
//! A comparison must be able to fail: each has a twin that breaks one number and must panic.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

mod common;

use common::conformance::space_conformance;
use common::forms::{Form, Standardizing};
use common::{Case, assert_close, assert_moves, assert_same_curvature, cases, loss_and_gradient, normal, product, relative_error};
use hesper::backend::cpu::Cpu;
use hesper::backend::reference::Reference;
use hesper::backend::{self, BackendKind, BackendOptions, OperatorJob, SpotCheck};
use hesper::curvature::{Curvature, CurvatureOperator, Demand, Inputs, Mode, Objective, Schedule, Storage, Workload};
use hesper::model::{Activation, Loss, Targets};
use hesper::numeric::Precision;

fn reference(objective: &Objective) -> Reference {
    Reference::new(objective, Curvature::Hessian).unwrap()
}

fn cpu_f32(objective: &Objective) -> Cpu<f32> {
    Cpu::new(objective, Curvature::Hessian).unwrap()
}

fn cpu_f64(objective: &Objective) -> Cpu<f64> {
    Cpu::new(objective, Curvature::Hessian).unwrap()
}

/// f and ∇f of the reference at θ + t·direction.
fn reference_at(case: &Case, direction: &[f64], t: f64) -> (f64, Vec<f64>) {
    let theta: Vec<f64> = case.objective().network().parameters().iter().zip(direction).map(|(theta, d)| theta + t * d).collect();
    loss_and_gradient(&reference(&case.at(&theta)))
}

/// Central differences with step h = 1e-5: truncation of the order h², rounding of the order ε/h, both near 1e-10 of the derivatives'
/// scale. At kinks a sample may change sides within the step; the seeds are such that none does.
#[test]
fn reference_agrees_with_central_differences() {
    let h = 1e-5;
    for case in cases() {
        let objective = case.objective();
        let operator = reference(&objective);
        let norm = (objective.dim() as f64).sqrt();
        let direction: Vec<f64> = case.directions(1).iter().map(|d| d / norm).collect();
        let (_, gradient) = loss_and_gradient(&operator);
        let (above, below) = (reference_at(&case, &direction, h), reference_at(&case, &direction, -h));
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let difference = (above.0 - below.0) / (2.0 * h);
        let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((slope - difference).abs() <= 1e-7 * scale, "{case:?}: slope {slope:e}, differences {difference:e}, gradient {scale:e}");
        let differences: Vec<f64> = above.1.iter().zip(&below.1).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        assert_close(&format!("{case:?}: product"), &product(&operator, &direction), &differences, 1e-6);
    }
}

/// uᵀHv = vᵀHu, to rounding relative to ‖u‖‖Hv‖.
#[test]
fn products_are_symmetric() {
    fn check<A: CurvatureOperator>(case: &Case, operator: &A, tolerance: f64) {
        let n = case.objective().dim();
        let directions = case.directions(2);
        let products = product(operator, &directions);
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let (uhv, vhu) = (dot(&directions[..n], &products[n..]), dot(&directions[n..], &products[..n]));
        let scale = (dot(&directions, &directions) * dot(&products, &products)).sqrt();
        assert!((uhv - vhu).abs() <= tolerance * scale, "{case:?}: uᵀHv = {uhv:e}, vᵀHu = {vhu:e}, scale {scale:e}");
    }
    for case in cases() {
        let objective = case.objective();
        check(&case, &reference(&objective), 1e-14);
        check(&case, &cpu_f64(&objective), 1e-14);
        check(&case, &cpu_f32(&objective), 1e-6);
    }
}

#[test]
fn cpu_agrees_with_the_reference_in_f64() {
    for case in cases() {
        let objective = case.objective();
        assert_same_curvature(&case, &cpu_f64(&objective), &reference(&objective));
    }
}

#[test]
fn cpu_agrees_with_the_reference_in_f32() {
    for case in cases() {
        let objective = case.objective();
        assert_same_curvature(&case, &cpu_f32(&objective), &reference(&objective));
    }
}

#[test]
fn an_operator_that_moves_has_the_bits_of_a_new_one() {
    let forms = [Form::Normalized(Standardizing::Batch), Form::Chain];
    // Units that are off in all samples are left out, others at each point.
    for case in forms.map(|form| Case { form, widths: vec![9, 40, 40, 5], activation: Activation::Relu, samples: 30, ..Case::default() }) {
        assert_moves(&case, cpu_f32, |operator, objective| operator.relinearize(objective).unwrap());
        assert_moves(&case, cpu_f64, |operator, objective| operator.relinearize(objective).unwrap());
    }
}

/// Its twin: one weight of 10⁻³ more is seen.
#[test]
#[should_panic(expected = "at other parameters the bits are not those of a new operator")]
fn a_move_to_another_point_is_noticed() {
    assert_moves(&Case::default(), cpu_f32, |operator, objective| {
        let mut theta = objective.network().parameters();
        theta[17] += 1e-3;
        let network = objective.network().with_parameters(&theta).unwrap();
        operator.relinearize(&objective.with_network(network).unwrap()).unwrap()
    });
}

/// The bounds that users are promised, on a network of ordinary size: 1e-12 in f64, 1e-5 in f32.
#[test]
fn cpu_keeps_the_promised_accuracy() {
    let case = Case { widths: vec![64, 96, 80, 10], activation: Activation::Silu, samples: 700, seed: 300, ..Case::default() };
    let objective = case.objective();
    let directions = case.directions(9);
    let expected = product(&reference(&objective), &directions);
    for (column, expected) in expected.chunks(objective.dim()).enumerate() {
        let range = column * objective.dim()..(column + 1) * objective.dim();
        let double = relative_error(&product(&cpu_f64(&objective), &directions)[range.clone()], expected);
        let single = relative_error(&product(&cpu_f32(&objective), &directions)[range], expected);
        assert!(double <= 1e-12, "f64: {double:e}");
        assert!(single <= 1e-5, "f32: {single:e}");
    }
}

/// The twin of the comparisons above: one weight of 10⁻³ more is seen.
#[test]
#[should_panic(expected = "of the product: [")]
fn a_changed_parameter_is_noticed() {
    let case = Case { seed: 9, ..Case::default() };
    let mut parameters = case.objective().network().parameters();
    parameters[17] += 1e-3;
    assert_same_curvature(&case, &cpu_f32(&case.at(&parameters)), &reference(&case.objective()));
}

/// The twin of `assert_close` itself: one broken element among many.
#[test]
#[should_panic(expected = "[41] is")]
fn a_broken_element_is_noticed() {
    let expected = normal(100, 1);
    let mut actual = expected.clone();
    actual[41] += 1e-4;
    assert_close("broken on purpose", &actual, &expected, 1e-5);
}

/// One linear layer with bias and the mean squared error: with X₁ = [X 1], H = 2/(N·C)·X₁ᵀX₁ for each output and nothing across.
#[test]
fn a_linear_network_has_the_closed_form_hessian() {
    let (inputs, outputs, samples) = (5, 3, 21);
    let case = Case { widths: vec![inputs, outputs], loss: Loss::Mse, samples, seed: 400, weight_decay: 0.25, ..Case::default() };
    let objective = case.objective();
    let x = |sample: usize, i: usize| if i < inputs { objective.inputs().at(sample * inputs + i) } else { 1.0 };
    let v = case.directions(1);
    // Parameter (o, i): a weight for i < inputs, else the bias.
    let at = |o: usize, i: usize| if i < inputs { o * inputs + i } else { outputs * inputs + o };
    let mut expected: Vec<f64> = v.iter().map(|v| 0.25 * v).collect();
    for o in 0..outputs {
        for i in 0..=inputs {
            for j in 0..=inputs {
                let gram: f64 = (0..samples).map(|sample| x(sample, i) * x(sample, j)).sum();
                expected[at(o, i)] += 2.0 / (samples * outputs) as f64 * gram * v[at(o, j)];
            }
        }
    }
    assert_close("reference", &product(&reference(&objective), &v), &expected, 1e-14);
    assert_close("cpu f64", &product(&cpu_f64(&objective), &v), &expected, 1e-14);
    assert_close("cpu f32", &product(&cpu_f32(&objective), &v), &expected, 1e-6);
}

/// f = mean (w₂w₁x − y)²: gradient and Hessian of the two numbers by hand.
#[test]
fn a_product_of_two_numbers_has_the_hessian_made_by_hand() {
    let case = Case {
        widths: vec![1, 1, 1],
        activation: Activation::Identity,
        loss: Loss::Mse,
        bias: false,
        samples: 7,
        seed: 401,
        ..Case::default()
    };
    let objective = case.objective();
    let (theta, v) = (objective.network().parameters(), case.directions(1));
    let mean = |f: &dyn Fn(f64, f64) -> f64| (0..7).map(|s| f(objective.inputs().at(s), objective.target(s, 0))).sum::<f64>() / 7.0;
    let (xx, xy) = (mean(&|x, _| x * x), mean(&|x, y| x * y));
    let cross = 4.0 * theta[0] * theta[1] * xx - 2.0 * xy;
    let h = [[2.0 * theta[1] * theta[1] * xx, cross], [cross, 2.0 * theta[0] * theta[0] * xx]];
    let expected = h.map(|row| row[0] * v[0] + row[1] * v[1]);
    assert_close("reference", &product(&reference(&objective), &v), &expected, 1e-14);
    assert_close("cpu f64", &product(&cpu_f64(&objective), &v), &expected, 1e-14);
    assert_close("cpu f32", &product(&cpu_f32(&objective), &v), &expected, 1e-6);
}

/// Bits of everything with pools of one, two and three threads; the layers are large enough for the products to be shared out.
#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    fn bits<A: CurvatureOperator>(make: impl Fn(&Objective) -> A, case: &Case, columns: usize) -> Vec<u64> {
        let operator = make(&case.objective());
        let (loss, gradient) = loss_and_gradient(&operator);
        let product = product(&operator, &case.directions(columns));
        product.iter().chain(&gradient).chain([&loss]).map(|x| x.to_bits()).collect()
    }
    let case = Case { widths: vec![130, 200, 150, 10], activation: Activation::Gelu, samples: 700, seed: 500, ..Case::default() };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [bits(cpu_f32, &case, 3), bits(cpu_f64, &case, 3), bits(reference, &case, 1)])
    };
    let one = with(1);
    assert!(one == with(2), "two threads");
    assert!(one == with(3), "three threads");
}

/// A linearization that is made again for each micro-batch, the last one smaller than the others, gives the same product and gradient.
#[test]
fn cpu_agrees_with_the_reference_in_every_mode() {
    let forms = [Form::Chain, Form::PreNorm(Standardizing::Layer), Form::Residual];
    for (activation, form) in [Activation::Relu, Activation::Gelu].into_iter().flat_map(|activation| forms.map(|form| (activation, form))) {
        let case = Case { widths: vec![9, 40, 30, 4], form, activation, samples: 700, seed: 600, weight_decay: 0.1, ..Case::default() };
        let objective = case.objective();
        for mode in [Mode::Recomputed, Mode::Streamed] {
            for micro_batch in [16, 300, 10_000] {
                let schedule = Schedule { mode, micro_batch };
                let operator = Cpu::<f64>::with_schedule(&objective, Curvature::Hessian, schedule).unwrap();
                assert_same_curvature(&case, &operator, &reference(&objective));
                assert!(micro_batch > 300 || operator.bytes() < cpu_f64(&objective).bytes(), "{mode}: {} bytes", operator.bytes());
            }
        }
    }
}

/// Hidden units that no sample switches on are left out, and nothing changes but the memory; the same with micro-batches.
#[test]
fn dead_units_are_left_out_of_the_products() {
    let case = Case { widths: vec![12, 40, 30, 4], activation: Activation::Relu, samples: 300, seed: 601, ..Case::default() };
    let mut parameters = case.objective().network().parameters();
    let alive = cpu_f64(&case.objective()).bytes();
    let layout = case.objective().network().layout().layers().to_vec();
    for layer in &layout[..2] {
        let bias = layer.bias.clone().unwrap();
        parameters[bias.start..bias.start + 11].fill(-1e3);
        parameters[bias.end - 1] = -1e3;
    }
    let objective = case.at(&parameters);
    let directions = case.directions(3);
    let expected: Vec<f64> = directions.chunks(objective.dim()).flat_map(|v| product(&reference(&objective), v)).collect();
    for schedule in [Schedule::cached(300), Schedule { mode: Mode::Recomputed, micro_batch: 70 }] {
        let operator = Cpu::<f64>::with_schedule(&objective, Curvature::Hessian, schedule).unwrap();
        assert!(operator.bytes() < alive, "{} bytes, {alive} with all units alive", operator.bytes());
        assert_close("product", &product(&operator, &directions), &expected, 1e-13);
        assert_close("gradient", &loss_and_gradient(&operator).1, &loss_and_gradient(&reference(&objective)).1, 1e-13);
    }
}

/// Inputs of which most are zero are kept without the zeros, and products are the same, whatever the number of threads.
#[test]
fn zeros_of_the_inputs_are_left_out_of_the_products() {
    let case = Case { widths: vec![250, 140, 5], activation: Activation::Relu, samples: 300, seed: 603, ..Case::default() };
    let dense = case.objective();
    let x: Vec<f64> =
        (0..300 * 250).map(|at: usize| if (at % 250 + at / 250).is_multiple_of(7) { dense.inputs().at(at) } else { 0.0 }).collect();
    let inputs = Inputs::new(Storage::F64(x), 250, 1.0).unwrap();
    let classes = Targets::Classes((0..300).map(|sample| sample % 5).collect());
    let objective = Objective::new(dense.network().clone(), Loss::CrossEntropy, 0.0, inputs, classes).unwrap();
    assert!(cpu_f64(&objective).bytes() < cpu_f64(&dense).bytes());
    let directions = case.directions(3);
    let expected: Vec<f64> = directions.chunks(objective.dim()).flat_map(|v| product(&reference(&objective), v)).collect();
    let gradient = loss_and_gradient(&reference(&objective)).1;
    for schedule in [Schedule::cached(300), Schedule { mode: Mode::Recomputed, micro_batch: 70 }] {
        let operator = Cpu::<f64>::with_schedule(&objective, Curvature::Hessian, schedule).unwrap();
        let one = product(&operator, &directions);
        assert_close("product", &one, &expected, 1e-13);
        assert_close("gradient", &loss_and_gradient(&operator).1, &gradient, 1e-13);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert!(one == pool.install(|| product(&operator, &directions)), "three threads");
    }
    assert_close("f32", &product(&cpu_f32(&objective), &directions), &expected, 1e-6);
}

/// No product takes more bytes than were planned.
#[test]
fn cpu_takes_no_more_than_planned() {
    let forms = [Form::Chain, Form::PreNorm(Standardizing::Layer), Form::Normalized(Standardizing::Batch), Form::Residual];
    for (mode, form) in Mode::ALL.into_iter().flat_map(|mode| forms.map(|form| (mode, form))) {
        let case = Case { widths: vec![30, 64, 64, 10], form, activation: Activation::Tanh, samples: 900, seed: 602, ..Case::default() };
        let objective = case.objective();
        let demand = Demand { workload: Workload { columns: 16, vectors: 3, kept_bytes: 0 }, budget: None, mode: Some(mode) };
        let plan = Cpu::<f32>::plan(&objective, Curvature::Hessian, &demand).unwrap();
        let operator = Cpu::<f32>::with_schedule(&objective, Curvature::Hessian, plan.schedule).unwrap();
        product(&operator, &case.directions(16));
        let planned = |passing: bool| -> u64 {
            let of_operator = plan.classes.iter().filter(|class| class.name != "vectors");
            of_operator.filter(|class| passing || class.name != "passes at the point").map(|class| class.bytes).sum()
        };
        if mode == Mode::Cached {
            assert_eq!(operator.bytes() as u64, planned(false));
        } else {
            assert!((operator.bytes() as u64) < planned(true), "{mode}: {} bytes of {}", operator.bytes(), planned(true));
        }
    }
}

/// A job then has the same mode, and with it the same bits, on any number of threads.
#[test]
fn plans_do_not_depend_on_the_number_of_threads() {
    let objective = Case { widths: vec![30, 64, 64, 10], samples: 900, ..Case::default() }.objective();
    let demand = Demand { workload: Workload { columns: 8, vectors: 3, kept_bytes: 0 }, budget: None, mode: None };
    let plan = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        format!("{:?}", pool.install(|| Cpu::<f32>::plan(&objective, Curvature::Hessian, &demand).unwrap()))
    };
    assert_eq!(plan(1), plan(7));
}

#[test]
fn spaces_conform() {
    space_conformance(reference);
    space_conformance(cpu_f32);
    space_conformance(cpu_f64);
}

/// The user's choice reaches the right backend, and one that does not exist says what to do.
#[test]
fn a_choice_becomes_an_operator() {
    struct Describe;
    impl OperatorJob for Describe {
        type Output = (String, Precision);

        fn workload(&self, _dim: usize) -> Workload {
            Workload { columns: 1, vectors: 2, kept_bytes: 0 }
        }

        fn run<A: CurvatureOperator>(self, operator: &A, _spot_check: &SpotCheck<'_>) -> hesper::Result<Self::Output> {
            Ok((operator.info().kind, operator.info().precision))
        }
    }
    let choose = |kind, precision| {
        let mut options = BackendOptions::default();
        (options.kind, options.precision) = (kind, precision);
        backend::run(&Case::default().objective(), Curvature::Hessian, &options, Describe)
    };
    let (f32, f64) = (Precision::F32, Precision::F64);
    assert_eq!(choose(BackendKind::Cpu, None).unwrap(), ("cpu".into(), f32));
    assert_eq!(choose(BackendKind::Cpu, Some(f64)).unwrap(), ("cpu".into(), f64));
    assert_eq!(choose(BackendKind::Reference, None).unwrap(), ("reference".into(), f64));
    let refusal = choose(BackendKind::Reference, Some(f32)).unwrap_err().to_string();
    assert!(refusal.contains("--backend cpu"), "{refusal}");
}

/// Weights that overflow on the way are an error, not a product.
#[test]
fn a_diverged_network_is_refused() {
    let case = Case::default();
    let parameters: Vec<f64> = case.objective().network().parameters().iter().map(|x| x * 1e200).collect();
    let linear = Case { activation: Activation::Identity, ..case };
    let objective = linear.at(&parameters);
    for error in [Reference::new(&objective, Curvature::Hessian).err(), Cpu::<f64>::new(&objective, Curvature::Hessian).err()] {
        assert!(matches!(error, Some(hesper::Error::NonFinite(_))), "{error:?}");
    }
}

#[test]
fn backends_say_what_they_are() {
    let objective = Case::default().objective();
    let (reference, single) = (reference(&objective), cpu_f32(&objective));
    assert_eq!((reference.info().kind.as_str(), reference.info().adapter), ("reference", None));
    assert_eq!((single.info().kind.as_str(), single.info().threads), ("cpu", rayon::current_num_threads()));
    assert!(single.info().adapter.unwrap().contains(&std::env::consts::ARCH.replace('_', "-")));
    assert!(single.bytes() > 0 && reference.bytes() > 0);
}
