//! `hesper describe`, and other commands on networks that are no chains.

use std::fs;

use super::program::{fixture, hesper, hesper_ends, json};

fn path(name: &str) -> String {
    fixture("networks", name).to_str().unwrap().to_owned()
}

#[test]
fn the_network_is_described_as_found() {
    let folder = tempfile::tempdir().unwrap();
    let report = json(folder.path(), &["describe", "--model", &path("residual.safetensors"), "--data", &path("residual.npz")]);
    assert_eq!((&report["schema"], &report["model"]["parameters"]), (&"hesper.describe/1".into(), &231.into()));
    let block = serde_json::json!({ "in": 4, "out": 4, "activation": "mish", "bias": false, "kind": "add", "sources": [8, 7] });
    assert_eq!(report["model"]["layers"][8], block);
    let head = serde_json::json!({ "name": "head.weight", "layer": 9, "shape": [3, 4], "offset": 216, "count": 12 });
    assert_eq!(report["tensors"][12], head);
    assert_eq!((&report["data"]["samples"], &report["data"]["targets"]), (&21.into(), &"classes".into()));
    assert_eq!(report["loss"]["kind"], "cross-entropy");

    let alone = json(folder.path(), &["describe", "--model", &path("layer_norm.safetensors")]);
    assert!(alone["data"].is_null() && alone["warnings"][0].as_str().unwrap().contains("LayerNorm"), "{alone}");
    let table = hesper_ends(folder.path(), &["describe"], 0);
    assert!(table.contains("64-64-64-10 tanh, 8,970 parameters") && table.contains("0.weight"), "{table}");
}

/// Jobs on a network with normalizations say how it was read, count its tensors, and agree with the reference.
#[test]
fn jobs_run_on_normalized_and_residual_networks() {
    let folder = tempfile::tempdir().unwrap();
    let cpu = ["--backend", "cpu", "--precision", "f64"];
    for (name, tensors) in [("residual", 14), ("layer_norm", 10)] {
        let files = ["--model", &path(&format!("{name}.safetensors")), "--data", &path(&format!("{name}.npz"))].map(str::to_owned);
        let files = files.each_ref().map(String::as_str);
        let report = json(folder.path(), &[&["eigs", "--top", "2", "--bottom", "1"][..], &files, &cpu].concat());
        let mass = report["eigenvalues"]["largest"][0]["mass"].as_array().unwrap();
        let sum: f64 = mass.iter().map(|share| share.as_f64().unwrap()).sum();
        assert!(mass.len() == tensors && (sum - 1.0).abs() < 1e-12, "{name}: {mass:?}");
        let bench = json(folder.path(), &[&["bench", "--runs", "1", "--columns", "2"][..], &files, &cpu].concat());
        assert!(bench["results"][0]["shape"].as_str().unwrap().contains("layer-norm"), "{bench}");
        hesper_ends(folder.path(), &[&["validate"][..], &files, &cpu].concat(), 0);
    }
}

#[test]
fn a_wrong_description_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = path("rms_norm.safetensors");
    for (text, expected) in [
        ("[[layer]]\ntensors = \"0\"\nactivation = \"swoosh\"\n", "line 3: unknown variant `swoosh`"),
        ("[[layer]]\ntensors = \"0\"\nresidual = true\n", "line 3: unknown field `residual`"),
        ("[[layer]]\ntensors = \"0\"\n\n[[layer]]\nkind = \"rms-norm\"\ntensors = \"1\"\n", "line 4: rms-norm needs eps"),
        ("[[layer]]\ntensors = \"0\"\n\n[[layer]]\ntensors = \"7\"\n", "line 4: layer 1: takes 6 inputs, but what it reads has 7"),
        ("[[layer]]\ntensors = \"0\"\nadd = \"stem\"\n", "line 1: reads 'stem', but no layer before has that name"),
        ("[[layer]]\ntensors = \"0\"\n", "tensor '1.weight' of shape [7] has no layer in"),
        ("[[layer]]\ntensors = \"9\"\n", "the input's width is not known"),
        ("layer = 3\n", "line 1: invalid type"),
        ("[[layer]\n", "line 1: "),
    ] {
        fs::write(folder.path().join("network.toml"), text).unwrap();
        let output = hesper(folder.path(), &["describe", "--model", &model, "--network", "network.toml"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), message.lines().count()), (Some(2), 1), "{message}");
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let output = hesper(folder.path(), &["describe", "--model", &model, "--activation", "relu"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("states the activations: leave out --activation"), "{message}");
}
