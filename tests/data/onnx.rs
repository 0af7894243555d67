//! Networks from ONNX files, exported by both of PyTorch's exporters (`tests/fixtures/make_onnx.py`), against the same weights from
//! safetensors and against PyTorch's outputs.

use std::fs;
use std::path::{Path, PathBuf};

use hesper::Error;
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Inputs, Objective, Storage};
use hesper::data::{NetworkOptions, load_network};
use hesper::krylov::{LinearOperator, Slot, VectorSpace};
use hesper::model::{Activation, Loss, Network, Targets};
use serde_json::Value;

use crate::write::file;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn load(path: &Path) -> Result<Network, Error> {
    load_network(path, &NetworkOptions::default()).map(|model| model.network)
}

/// `x` or `y` of a network as PyTorch had it.
fn recorded(name: &str, part: &str) -> Vec<f64> {
    let outputs: Value = serde_json::from_slice(&fs::read(fixtures().join("outputs.json")).unwrap()).unwrap();
    let rows = outputs[name][part].as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap()).map(|number| number.as_f64().unwrap()).collect()
}

/// The mean of (network(x) − y)² for PyTorch's y.
fn distance(network: &Network, name: &str) -> f64 {
    let inputs = Inputs::new(Storage::F64(recorded(name, "x")), network.inputs(), 1.0).unwrap();
    let objective = Objective::new(network.clone(), Loss::Mse, 0.0, inputs, Targets::Values(recorded(name, "y"))).unwrap();
    let operator = Reference::new(&objective, Curvature::Hessian).unwrap();
    let (mut gradient, mut s) = (operator.space().block(1).unwrap(), operator.space().scalars(1, 1).unwrap());
    operator.loss_and_gradient(&mut gradient, &mut s, Slot(0)).unwrap();
    operator.space().read(&s).unwrap()[0]
}

/// Squared: a few roundings in double precision, and that of an ε of a normalization to single precision, which the files hold it in.
const ROUNDING: f64 = 1e-24;

/// The same layers and parameters, whatever the tensors' names, which a graph need not keep; ε of a normalization is in single precision in the
/// files.
fn assert_same(what: &str, network: &Network, expected: &Network) {
    let layers = |network: &Network| -> Vec<_> {
        network.layers().iter().map(|layer| (layer.op.name(), layer.sources.clone(), layer.activation)).collect()
    };
    assert_eq!(layers(network), layers(expected), "{what}");
    assert_eq!(network.parameters(), expected.parameters(), "{what}");
    let (constants, expected) = (network.constants(), expected.constants());
    assert_eq!(constants.len(), expected.len(), "{what}");
    let close = |(x, y): (&f64, &f64)| (x - y).abs() <= f64::from(f32::EPSILON) * y.abs();
    assert!(constants.iter().zip(&expected).all(close), "{what}: {constants:?} {expected:?}");
}

#[test]
fn both_exporters_files_are_the_network_that_was_exported() {
    use Activation::{Elu, Gelu, GeluTanh, Hardswish, LeakyRelu, Mish, Relu, Selu, Sigmoid, Silu, Softplus, Tanh};
    for (name, activations, exports) in [
        ("relu", vec![Relu], &["script_13", "dynamo_20"][..]),
        (
            "activations",
            vec![LeakyRelu, Elu, Gelu, GeluTanh, Silu, Tanh, Sigmoid, Softplus],
            &["script_13", "script_17", "dynamo_18", "dynamo_20"],
        ),
        ("more_activations", vec![Mish, Hardswish, Selu], &["script_13", "dynamo_20"]),
        ("gelu_norm", vec![Gelu, GeluTanh], &["script_13", "script_17", "dynamo_18", "dynamo_20"]),
        // The other exporter folds it into the layer before, in single precision: another network with the same outputs but for rounding.
        ("batch_norm", vec![Relu], &["script_13"]),
    ] {
        let options = NetworkOptions { activations, ..NetworkOptions::default() };
        let expected = load_network(&fixtures().join(format!("{name}.safetensors")), &options).unwrap().network;
        for export in exports {
            let network = load(&fixtures().join(format!("{name}_{export}.onnx"))).unwrap();
            assert_same(&format!("{name}_{export}"), &network, &expected);
            let distance = distance(&network, name);
            assert!(distance < ROUNDING, "{name}_{export}: {distance:e}");
        }
    }
}

/// A file without the tensors' structure has no twin in safetensors: PyTorch's outputs tell.
#[test]
fn residual_connections_and_normalizations_are_those_of_pytorch() {
    for (name, export) in [("residual", "script_13"), ("residual", "dynamo_20"), ("rms_norm", "dynamo_20")] {
        let network = load(&fixtures().join(format!("{name}_{export}.onnx"))).unwrap();
        assert!(!network.is_chain(), "{name}");
        let distance = distance(&network, name);
        assert!(distance < ROUNDING, "{name}_{export}: {distance:e}");
        let mut theta = network.parameters();
        theta[0] += 1e-6;
        assert!(self::distance(&network.with_parameters(&theta).unwrap(), name) > ROUNDING, "a weight of {name} does not matter");
    }
}

/// All eigenvalues of the Hessian on the samples that PyTorch was asked for, ascending.
fn spectrum(network: &Network, name: &str) -> Vec<f64> {
    let inputs = Inputs::new(Storage::F64(recorded(name, "x")), network.inputs(), 1.0).unwrap();
    let targets = Targets::Values((0..5 * network.outputs()).map(|at| (at as f64).sin()).collect());
    let objective = Objective::new(network.clone(), Loss::Mse, 0.0, inputs, targets).unwrap();
    let (operator, dim) = (Reference::new(&objective, Curvature::Hessian).unwrap(), objective.dim());
    let space = operator.space();
    let (mut x, mut y) = (space.block(dim).unwrap(), space.block(dim).unwrap());
    let identity: Vec<f64> = (0..dim * dim).map(|at| f64::from(u8::from(at % (dim + 1) == 0))).collect();
    space.upload(&identity, &mut x).unwrap();
    operator.apply(&x, &mut y).unwrap();
    let columns = space.download(&y).unwrap();
    faer::MatRef::from_column_major_slice(&columns, dim, dim).self_adjoint_eigenvalues(faer::Side::Lower).unwrap()
}

/// The residual network of `make_onnx.py`, which its tensors alone do not tell.
const RESIDUAL: &str = r#"
[[layer]]
tensors = "first"
activation = "relu"

[[layer]]
tensors = "inner"
activation = "tanh"

[[layer]]
tensors = "outer"
add = "first"
activation = "relu"

[[layer]]
tensors = "last"
"#;

#[test]
fn spectra_are_those_of_the_same_network_from_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let description = Some(file(folder.path(), "network.toml", RESIDUAL.as_bytes()));
    let chain = |activations| NetworkOptions { activations, ..NetworkOptions::default() };
    for (name, options) in [
        ("relu", chain(vec![Activation::Relu])),
        ("gelu_norm", chain(vec![Activation::Gelu, Activation::GeluTanh])),
        ("residual", NetworkOptions { description, ..NetworkOptions::default() }),
    ] {
        let expected = spectrum(&load_network(&fixtures().join(format!("{name}.safetensors")), &options).unwrap().network, name);
        let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        for export in ["script_13", "dynamo_20"] {
            let network = load(&fixtures().join(format!("{name}_{export}.onnx"))).unwrap();
            let found = spectrum(&network, name);
            assert_eq!(found.len(), expected.len(), "{name}_{export}");
            let error = found.iter().zip(&expected).fold(0.0_f64, |error, (x, y)| error.max((x - y).abs())) / scale;
            // That of an ε of a normalization in single precision, and of the eigensolver.
            assert!(error < 1e-10, "{name}_{export}: eigenvalues are off by {error:e} of the largest");
            let mut theta = network.parameters();
            theta[0] += 1e-3;
            assert_ne!(spectrum(&network.with_parameters(&theta).unwrap(), name), found, "a weight of {name} does not matter");
        }
    }
}

/// Bytes of a fixture with `from` replaced by `to`, of the same length.
fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(fixtures().join(name)).unwrap();
    let places: Vec<_> = (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{name}: no {from}");
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    bytes
}

#[test]
fn what_is_not_understood_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, from, to, words) in [
        ("relu_script_13.onnx", "Relu", "Sinh", &["Sinh", "output", "not supported", "LayerNormalization"][..]),
        ("relu_script_13.onnx", "Gemm", "Conv", &["Conv", "supported are Gemm"]),
        ("relu_script_13.onnx", "Relu", "Sqrt", &["Gemm", "no activation known here", "gelu-tanh"]),
        ("relu_dynamo_20.onnx", "relu_dynamo_20.onnx.data", "../../../../../../passwd", &["0.weight", "outside the model's folder"]),
        ("relu_dynamo_20.onnx", "relu_dynamo_20.onnx.data", "relu_dynamo_20.onnx.gone", &["0.weight", "relu_dynamo_20.onnx.gone"]),
    ] {
        let path = file(folder.path(), "net.onnx", &patched(name, from, to));
        match load(&path) {
            Ok(_) => panic!("{name}: {from} as {to} is read"),
            Err(error) => {
                let error = error.to_string();
                let told = error.contains("net.onnx: ") && words.iter().all(|word| error.contains(word)) && !error.contains('\n');
                assert!(told, "{to}: {error}");
            }
        }
    }
    let given = NetworkOptions { activations: vec![Activation::Relu], ..NetworkOptions::default() };
    let error = load_network(&fixtures().join("relu_script_13.onnx"), &given).unwrap_err().to_string();
    assert!(error.contains("leave out --activation"), "{error}");
}

/// Cut anywhere, or with any byte changed: a network or one line, never a panic.
#[test]
fn damaged_files_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixtures().join("relu_dynamo_20.onnx.data"), folder.path().join("relu_dynamo_20.onnx.data")).unwrap();
    for name in ["relu_dynamo_20.onnx", "gelu_norm_script_13.onnx", "residual_script_13.onnx"] {
        let good = fs::read(fixtures().join(name)).unwrap();
        let cut = (0..good.len()).step_by(3).map(|length| good[..length].to_vec());
        let changed = (0..good.len()).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= [0xff, 0x01, 0x80][at % 3];
            bytes
        });
        for bytes in cut.chain(changed) {
            if let Err(error) = load(&file(folder.path(), "net.onnx", &bytes)) {
                let error = error.to_string();
                assert!(error.contains("net.onnx") && !error.contains('\n'), "{error:?}");
            }
        }
    }
}
