//! The committed fixtures and the embedded digits.

use std::fs;
use std::path::{Path, PathBuf};

use hesper::curvature::{Objective, Storage};
use hesper::data::{DataOptions, NetworkOptions, digits, digits_network, load_dataset, load_named_array, load_network};
use hesper::model::{Activation, Loss, Targets};

const CASES: [(&str, &str, Loss); 4] = [
    ("digits_tanh_32", "64-32-10 tanh", Loss::CrossEntropy),
    ("digits_relu_64x64", "64-64-64-10 relu", Loss::CrossEntropy),
    ("diabetes_silu_16x16", "10-16-16-1 silu", Loss::Mse),
    ("digits_ae_sigmoid", "64-32-8-32-64 sigmoid", Loss::Mse),
];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case)
}

fn objective(case: &str, options: DataOptions) -> Objective {
    let model = load_network(&folder(case).join("model.safetensors"), &NetworkOptions::default()).unwrap();
    let dataset = load_dataset(&DataOptions { data: Some(folder(case).join("data.npz")), ..options }, &model.network).unwrap();
    let loss = dataset.choose_loss(None, &model.hints, &model.network).unwrap();
    dataset.into_objective(model.network, loss, 0.0).unwrap()
}

#[test]
fn fixtures_load_by_their_own_hints() {
    for (case, summary, loss) in CASES {
        let objective = objective(case, DataOptions::default());
        let reference: serde_json::Value = serde_json::from_slice(&fs::read(folder(case).join("reference.json")).unwrap()).unwrap();
        assert_eq!(objective.network().summary(), summary, "{case}");
        assert_eq!(objective.criterion().loss(), loss, "{case}");
        assert_eq!(objective.dim() as u64, reference["n_params"].as_u64().unwrap(), "{case}");
        assert_eq!(objective.samples() as u64, reference["data"]["n"].as_u64().unwrap(), "{case}");
        let product = load_named_array(&folder(case).join("hv.npz"), "hv0").unwrap();
        assert_eq!(product.shape, [objective.dim()], "{case}");
    }
}

#[test]
fn an_autoencoder_needs_no_y() {
    let stored = objective("digits_ae_sigmoid", DataOptions::default());
    let itself = objective("digits_ae_sigmoid", DataOptions { target_is_x: true, ..DataOptions::default() });
    assert_eq!(itself.targets(), &Targets::Inputs);
    for sample in [0, 7, 1796] {
        for output in 0..64 {
            assert_eq!(stored.target(sample, output), itself.target(sample, output));
        }
    }
}

#[test]
fn the_first_samples_are_taken() {
    let (some, all) = (
        objective("digits_tanh_32", DataOptions { samples: Some(5), ..DataOptions::default() }),
        objective("digits_tanh_32", DataOptions::default()),
    );
    assert_eq!(some.samples(), 5);
    assert_eq!(some.inputs().to_vec::<f64>(), all.inputs().to_vec::<f64>()[..5 * 64]);
}

#[test]
fn the_embedded_digits_are_those_of_the_fixtures() {
    let fixture = objective("digits_tanh_32", DataOptions::default());
    let embedded = digits().unwrap();
    assert_eq!(embedded.source(), "digits (embedded)");
    assert_eq!(embedded.inputs().to_vec::<f32>(), fixture.inputs().to_vec::<f32>());

    let model = digits_network().unwrap();
    assert_eq!(model.network.summary(), "64-64-64-10 tanh");
    assert_eq!(model.network.layers()[0].activation, Activation::Tanh);
    let loss = embedded.choose_loss(None, &model.hints, &model.network).unwrap();
    let objective = embedded.into_objective(model.network, loss, 0.0).unwrap();
    assert_eq!((objective.dim(), objective.samples(), objective.criterion().loss()), (8970, 1797, Loss::CrossEntropy));
    assert_eq!(objective.targets(), fixture.targets());
}

#[test]
fn without_a_file_the_digits_are_loaded() {
    let network = digits_network().unwrap().network;
    let options = DataOptions { samples: Some(3), x_scale: 2.0, ..DataOptions::default() };
    let few = load_dataset(&options, &network).unwrap();
    assert_eq!(few.samples(), 3);
    assert_eq!(few.inputs().at(2), digits().unwrap().inputs().at(2) * 2.0);
}

#[test]
fn arrays_keep_their_type() {
    let array = load_named_array(&folder("digits_tanh_32").join("data.npz"), "x").unwrap();
    assert_eq!(array.shape, [1797, 64]);
    assert!(matches!(array.values.into_storage(), Storage::F32(_)));
}
