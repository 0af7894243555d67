//! Networks with normalizations and residual blocks against PyTorch: loss, gradient, products and eigenvalues in float64, made by
//! tests/fixtures/networks/make.py.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::{assert_close, loss_and_gradient, product, tolerance};
use hesper::backend::cpu::Cpu;
use hesper::backend::gpu::{Device, Gpu, Software};
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Objective};
use hesper::data::{self, DataOptions, Model, NetworkOptions};
use hesper::krylov::VectorSpace as _;
use hesper::model::{Activation, Network};
use npyz::npz::NpzArchive;

const NAMES: [&str; 4] = ["layer_norm", "residual", "rms_norm", "batch_norm"];

fn path(name: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/networks").join(name).with_extension(ending)
}

fn model(name: &str) -> Model {
    data::load_network(&path(name, "safetensors"), &NetworkOptions::default()).unwrap()
}

fn objective_of(name: &str, model: Model) -> Objective {
    let options = DataOptions { data: Some(path(name, "npz")), ..DataOptions::default() };
    let dataset = data::load_dataset(&options, &model.network).unwrap();
    let loss = dataset.choose_loss(None, &model.hints, &model.network).unwrap();
    dataset.into_objective(model.network, loss, 0.0).unwrap()
}

fn array(name: &str, array: &str) -> Vec<f64> {
    NpzArchive::new(File::open(path(name, "npz")).unwrap()).unwrap().by_name(array).unwrap().unwrap().into_vec().unwrap()
}

/// Loss, gradient and products of `make`'s operators, relative to the largest elements.
fn compare<A: CurvatureOperator>(name: &str, make: impl Fn(Curvature) -> A, allowed: f64) {
    let operator = make(Curvature::Hessian);
    let v = array(name, "v");
    assert_eq!(operator.space().dim(), v.len(), "{name}");
    let (loss, gradient) = loss_and_gradient(&operator);
    assert_close(&format!("{name}: loss"), &[loss], &array(name, "loss"), allowed);
    assert_close(&format!("{name}: gradient"), &gradient, &array(name, "gradient"), allowed);
    assert_close(&format!("{name}: H v"), &product(&operator, &v), &array(name, "hv"), allowed);
    assert_close(&format!("{name}: GGN v"), &product(&make(Curvature::Ggn), &v), &array(name, "gv"), allowed);
}

#[test]
fn the_reference_is_pytorch() {
    for name in NAMES {
        let objective = objective_of(name, model(name));
        compare(name, |curvature| Reference::new(&objective, curvature).unwrap(), 1e-10);
    }
}

/// Σλ and Σλ² of PyTorch's eigenvalues are the trace and the squared Frobenius norm of the reference's Hessian.
#[test]
fn the_references_eigenvalues_are_pytorchs() {
    for name in NAMES {
        let objective = objective_of(name, model(name));
        let n = objective.dim();
        let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
        let h = product(&Reference::new(&objective, Curvature::Hessian).unwrap(), &(0..n).flat_map(unit).collect::<Vec<_>>());
        let eigenvalues = array(name, "eigenvalues");
        let sums = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        let trace = sums(&mut (0..n).map(|i| h[i * n + i]));
        let squares = sums(&mut h.iter().map(|x| x * x));
        assert_close(&format!("{name}: trace"), &[trace], &[sums(&mut eigenvalues.iter().copied())], 1e-10);
        assert_close(&format!("{name}: squares"), &[squares], &[sums(&mut eigenvalues.iter().map(|x| x * x))], 1e-10);
    }
}

#[test]
fn the_cpu_is_pytorch() {
    for name in NAMES {
        let objective = objective_of(name, model(name));
        compare(name, |curvature| Cpu::<f64>::new(&objective, curvature).unwrap(), 1e-10);
        let allowed = tolerance(&objective, hesper::numeric::Precision::F32);
        compare(name, |curvature| Cpu::<f32>::new(&objective, curvature).unwrap(), allowed);
    }
}

#[test]
fn the_gpu_is_pytorch() {
    let device = match Device::open(None, Software::Allowed) {
        Ok(device) => Rc::new(device),
        Err(error) if std::env::var_os("HESPER_REQUIRE_GPU").is_some_and(|value| value == "1") => panic!("{error}"),
        Err(error) => return println!("SKIPPED: no adapter ({error})"),
    };
    for name in NAMES {
        let objective = objective_of(name, model(name));
        let allowed = tolerance(&objective, hesper::numeric::Precision::F32);
        compare(name, |curvature| Gpu::new(&objective, curvature, &device).unwrap(), allowed);
    }
}

/// The twin of the comparisons: a gain that differs by 10⁻⁶ is seen.
#[test]
#[should_panic(expected = "layer_norm: loss")]
fn a_changed_gain_is_noticed() {
    let found = model("layer_norm");
    let mut theta = found.network.parameters();
    theta[found.network.layout().layers()[1].weight.start] += 1e-6;
    let changed = Model { network: found.network.with_parameters(&theta).unwrap(), ..found };
    let objective = objective_of("layer_norm", changed);
    compare("layer_norm", |curvature| Reference::new(&objective, curvature).unwrap(), 1e-10);
}

fn kinds(network: &Network) -> Vec<(&'static str, Activation)> {
    network.layers().iter().map(|layer| (layer.op.name(), layer.activation)).collect()
}

/// What the tensors tell, and what the text in the metadata does.
#[test]
fn files_become_the_networks_that_they_are_of() {
    use Activation::{Gelu, Hardswish, Identity, Mish, Relu, Selu, Silu};
    let (dense, norm, rms, batch) = ("dense", "layer-norm", "rms-norm", "batch-norm");
    for (name, expected) in [
        ("layer_norm", &[(dense, Identity), (norm, Gelu), (dense, Identity), (norm, Gelu), (dense, Identity)][..]),
        (
            "residual",
            &[
                (dense, Identity),
                (norm, Identity),
                (dense, Gelu),
                (dense, Identity),
                ("add", Identity),
                (norm, Identity),
                (dense, Identity),
                (dense, Identity),
                ("add", Mish),
                (dense, Identity),
            ],
        ),
        ("rms_norm", &[(dense, Identity), (rms, Silu), (dense, Selu), (rms, Identity), (dense, Identity)]),
        ("batch_norm", &[(dense, Identity), (batch, Hardswish), (dense, Relu), (batch, Identity), (dense, Identity)]),
    ] {
        assert_eq!(kinds(&model(name).network), expected, "{name}");
    }
    let notices = |name| model(name).notices.join("; ");
    assert!(notices("layer_norm").contains("'1.', '4.' taken for PyTorch's LayerNorm"), "{}", notices("layer_norm"));
    assert!(notices("rms_norm").contains("dropout does nothing"), "{}", notices("rms_norm"));
    assert_eq!(model("residual").notices, Vec::<String>::new());
}
