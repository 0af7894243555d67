//! Every loss with its parameters against PyTorch: the loss itself, its gradient, and products with the Hessian and the Gauss-Newton
//! matrix in float64, by `tests/fixtures/make_losses.py`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::path::Path;

use common::{assert_close, loss_and_gradient, product};
use hesper::backend::cpu::Cpu;
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Inputs, Objective, Storage};
use hesper::model::{Activation, Criterion, Decay, Dense, IGNORE_INDEX, Network, Reduction, Targets, Terms, WeightDecay};
use serde_json::Value;

/// Sums of a few dozen products in double precision, by two programs.
const ROUNDING: f64 = 1e-13;

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/losses/losses.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The parameters of a case; those that it does not give are PyTorch's defaults.
fn terms(case: &Value) -> Terms {
    let of = |name: &str| case["parameters"].get(name);
    let number = |name: &str| of(name).unwrap().as_f64().unwrap();
    match case["kind"].as_str().unwrap() {
        "cross-entropy" => Terms::CrossEntropy {
            class_weights: of("class_weights").map(numbers),
            label_smoothing: of("label_smoothing").map_or(0.0, |smoothing| smoothing.as_f64().unwrap()),
            ignore_index: of("ignore_index").map_or(IGNORE_INDEX, |index| index.as_i64().unwrap()),
        },
        "huber" => Terms::Huber { delta: number("delta") },
        "smooth-l1" => Terms::SmoothL1 { beta: number("beta") },
        "bce-with-logits" => Terms::BceWithLogits { pos_weight: of("pos_weight").map(numbers) },
        "poisson-nll" => Terms::PoissonNll { log_input: of("log_input").unwrap().as_bool().unwrap(), eps: number("eps") },
        kind => Terms::from(kind.parse::<hesper::model::Loss>().unwrap()),
    }
}

fn objective(file: &Value, case: &Value) -> Objective {
    let widths: Vec<usize> = serde_json::from_value(file["widths"].clone()).unwrap();
    let mut theta = numbers(&file["theta"]).into_iter();
    let mut take = |count: usize| theta.by_ref().take(count).collect::<Vec<f64>>();
    let output = if case["rates"].as_bool().unwrap() { Activation::Softplus } else { Activation::Identity };
    let layers = widths.windows(2).zip([Activation::Tanh, output]).map(|(pair, activation)| {
        let (weight, bias) = (take(pair[0] * pair[1]), Some(take(pair[1])));
        (Dense { inputs: pair[0], outputs: pair[1], weight, bias }, activation)
    });
    let network = Network::chain(widths[0], layers).unwrap();
    let inputs = Inputs::new(Storage::F64(numbers(&file["x"])), widths[0], 1.0).unwrap();
    let name = case["targets"].as_str().unwrap();
    let y = &file["targets"][name];
    let class = |label: &Value| u32::try_from(label.as_i64().unwrap()).unwrap_or(Targets::IGNORED);
    let targets = match name {
        "classes" | "ignored" => Targets::Classes(y.as_array().unwrap().iter().map(class).collect()),
        _ => Targets::Values(numbers(y)),
    };
    let reduction = if case["reduction"] == "sum" { Reduction::Sum } else { Reduction::Mean };
    let over = if case["decay"] == "weights" { Decay::Weights } else { Decay::All };
    let decay = WeightDecay { factor: case["weight_decay"].as_f64().unwrap(), over };
    let objective = Objective::new(network, Criterion::new(terms(case), reduction).unwrap(), decay, inputs, targets).unwrap();
    match case["weighted"].as_bool().unwrap() {
        true => objective.with_sample_weights(numbers(&file["sample_weights"])).unwrap(),
        false => objective,
    }
}

/// Compares `make`'s operators with PyTorch; the gradient is asked of the Hessian's.
fn check<A: CurvatureOperator>(file: &Value, case: &Value, make: impl Fn(&Objective, Curvature) -> A) {
    let (objective, v) = (objective(file, case), numbers(&file["v"]));
    let what = |part: &str| format!("{} {}: {part}", case["kind"].as_str().unwrap(), case["name"]);
    let hessian = make(&objective, Curvature::Hessian);
    let (loss, gradient) = loss_and_gradient(&hessian);
    assert_close(&what("loss"), &[loss], &[case["loss"].as_f64().unwrap()], ROUNDING);
    assert_close(&what("gradient"), &gradient, &numbers(&case["gradient"]), ROUNDING);
    assert_close(&what("product with the Hessian"), &product(&hessian, &v), &numbers(&case["hv"]), ROUNDING);
    let ggn = make(&objective, Curvature::Ggn);
    assert_close(&what("product with the Gauss-Newton matrix"), &product(&ggn, &v), &numbers(&case["gv"]), ROUNDING);
}

#[test]
fn losses_and_their_derivatives_are_pytorchs() {
    let file = fixture();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 25);
    for case in cases {
        check(&file, case, |objective, curvature| Reference::new(objective, curvature).unwrap());
        check(&file, case, |objective, curvature| Cpu::<f64>::new(objective, curvature).unwrap());
    }
}

/// The twin of the comparison: each case's loss under another's numbers is seen.
#[test]
#[should_panic(expected = "class weights")]
fn another_parameter_is_noticed() {
    let file = fixture();
    let mut case = file["cases"].as_array().unwrap().iter().find(|case| case["name"] == "class weights").unwrap().clone();
    case["parameters"]["class_weights"][1] = 2.001.into();
    check(&file, &case, |objective, curvature| Reference::new(objective, curvature).unwrap());
}
