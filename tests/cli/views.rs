//! Parts of the parameters, blocks, and an optimizer's preconditioner, through the whole program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json as value};

use super::program::{fixture, hesper, json, npy, read_npy, write_model};

/// The flags of digits_tanh_32: 64·32 + 32 + 32·10 + 10 parameters.
fn digits() -> Vec<String> {
    let files = [("--model", "model.safetensors"), ("--data", "data.npz")];
    let files = files.into_iter().flat_map(|(flag, file)| [flag.to_owned(), fixture("digits_tanh_32", file).to_str().unwrap().to_owned()]);
    files.chain(["--backend", "cpu", "--precision", "f64", "--samples", "100"].map(str::to_owned)).collect()
}

fn run(folder: &Path, args: &[&str]) -> Value {
    let digits = digits();
    json(folder, &args.iter().copied().chain(digits.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The message of a run that ends with 2: one line.
fn refusal(folder: &Path, args: &[&str]) -> String {
    let output = hesper(folder, args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && message.trim_end().lines().count() == 1, "{args:?}: {message}");
    message
}

/// Vectors in and out are those of the chosen tensors, and what is chosen is a part of the whole product.
#[test]
fn products_of_chosen_parameters_are_a_part_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let part: Vec<f64> = (0..32 + 320).map(|i| f64::from(i % 7) - 3.0).collect();
    let whole = [&vec![0.0; 2048][..], &part, &[0.0; 10]].concat();
    fs::write(path("part.npy"), npy(&[352], &part)).unwrap();
    fs::write(path("whole.npy"), npy(&[2410], &whole)).unwrap();
    let report = run(folder.path(), &["hvp", "--params", "0.bias,2.w*", "--vector", "part.npy", "--out", "part_out.npy"]);
    run(folder.path(), &["hvp", "--vector", "whole.npy", "--out", "whole_out.npy"]);
    let ((shape, part), (_, whole)) = (read_npy::<f64>(&path("part_out.npy")), read_npy::<f64>(&path("whole_out.npy")));
    assert_eq!((shape, &part[..]), (vec![352], &whole[2048..2400]));
    assert_eq!(report["view"], value!({ "tensors": ["0.bias", "2.weight"], "parameters": 352 }));
    assert_eq!((report["operator"].as_str(), report["model"]["parameters"].as_u64()), (Some("hessian"), Some(2410)));
}

#[test]
fn every_command_takes_chosen_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let params = ["--params", "2.*"];
    for (command, extra) in [
        ("spectrum", &["--probes", "3", "--steps", "20"][..]),
        ("eigs", &["--top", "2", "--bottom", "1"]),
        ("trace", &["--probes", "8", "--diagonal", "d.npz"]),
        ("density", &["--probes", "3", "--steps", "20"]),
        ("validate", &["--steps", "5"]),
        ("plan", &[]),
        ("calibrate", &["--seeds", "3", "--probes", "3", "--steps", "20"]),
    ] {
        let report = run(folder.path(), &[&[command], &params[..], extra].concat());
        assert_eq!(report["view"]["parameters"], 330, "{command}");
    }
    let eigs = run(folder.path(), &["eigs", "--params", "2.*", "--top", "1", "--bottom", "0"]);
    assert_eq!(eigs["tensors"], value!(["2.weight", "2.bias"]));
    let bench = run(folder.path(), &["bench", "--params", "2.*", "--runs", "1", "--columns", "1"]);
    assert_eq!(bench["results"][0]["samples"], 100);
}

/// Blocks by layer are those of a job on the layer alone, and the embedded network has names as well.
#[test]
fn blocks_are_what_jobs_on_their_parameters_find() {
    let folder = tempfile::tempdir().unwrap();
    let sampled = ["--probes", "4", "--steps", "30", "--top", "1", "--bottom", "1"];
    let job = |more: &[&str]| run(folder.path(), &[&["spectrum"], &sampled[..], more].concat());
    let (whole, alone) = (job(&["--per-layer=layer"]), job(&["--params", "2.*"]));
    let blocks = whole["blocks"].as_array().unwrap();
    assert_eq!(blocks.iter().map(|block| block["name"].as_str().unwrap()).collect::<Vec<_>>(), ["0", "2"]);
    for field in ["eigenvalues", "trace", "frobenius_squared", "negative_share"] {
        assert_eq!(blocks[1][field], alone[field], "{field}");
    }
    assert_eq!(blocks[1]["gradient_norm"], alone["loss"]["gradient_norm"]);
    assert!(number(&whole["stats"]["hvps"]) > number(&alone["stats"]["hvps"]) + number(&blocks[0]["hvps"]));
    let own = json(
        folder.path(),
        &["eigs", "--backend", "cpu", "--samples", "50", "--top", "1", "--bottom", "0", "--per-layer", "--params", "4.*,0.bias"],
    );
    let names: Vec<_> = own["blocks"].as_array().unwrap().iter().map(|block| block["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["0.bias", "4.weight", "4.bias"]);
}

/// With equal second moments v the operator is H/(√v̂ + ε), and the largest stable step of Adam 19 times that of the descent without
/// momentum; v in the model file or beside it.
#[test]
fn adam_divides_by_the_roots_of_the_second_moments() {
    let folder = tempfile::tempdir().unwrap();
    let shapes: [(&str, &[usize]); 4] = [("0.weight", &[32, 64]), ("0.bias", &[32]), ("2.weight", &[10, 32]), ("2.bias", &[10])];
    let moments = vec![0.0025_f32; 2048];
    let write = |file: &str, ending: &str, first: f32| {
        let values: Vec<Vec<f32>> = shapes.iter().map(|(_, shape)| moments[..shape.iter().product()].to_vec()).collect();
        let mut values = values;
        values[1][3] = first;
        let names: Vec<String> = shapes.iter().map(|(name, _)| format!("{name}{ending}")).collect();
        let tensors: Vec<(&str, &[usize], &[f32])> =
            names.iter().zip(shapes).zip(&values).map(|((name, (_, shape)), values)| (name.as_str(), shape, values.as_slice())).collect();
        write_model(&folder.path().join(file), &tensors);
    };
    write("v.safetensors", ".exp_avg_sq", 0.0025);
    write("bare.safetensors", "", 0.0025);
    write("negative.safetensors", "", -1e-3);
    write("zero.safetensors", "", 0.0);
    let eigs = ["spectrum", "--probes", "2", "--steps", "40", "--top", "1", "--bottom", "1"];
    let job = |more: &[&str]| run(folder.path(), &[&eigs[..], more].concat());
    let plain = number(&job(&[])["eigenvalues"]["largest"][0]["value"]);
    for file in ["v.safetensors", "bare.safetensors"] {
        let adam = job(&["--operator", "adam", "--second-moments", file, "--step", "10", "--beta2", "0.99", "--eps", "0.001"]);
        let divisor = (f64::from(0.0025_f32) / (1.0 - 0.99_f64.powi(10))).sqrt() + 0.001;
        let largest = number(&adam["eigenvalues"]["largest"][0]["value"]);
        assert!((largest * divisor / plain - 1.0).abs() < 1e-10, "{largest} * {divisor} for {plain}");
        assert_eq!(adam["operator"], "adam");
        assert_eq!(adam["view"]["preconditioner"]["step"], 10);
        let [step, with_momentum] = ["max_stable_learning_rate", "adam_stable_learning_rate"].map(|rate| number(&adam[rate]["value"]));
        assert!((with_momentum / step - 19.0).abs() < 1e-9 && (with_momentum * largest - 38.0).abs() < 1e-9);
    }
    // In the model file, beside the tensors; of the chosen parameters only, and around another operator.
    let model = fs::read(fixture("digits_tanh_32", "model.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&model).unwrap();
    let bytes = moments.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Vec<_> = model.tensors();
    for (name, shape) in shapes {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &bytes[..4 * shape.iter().product::<usize>()]);
        tensors.push((format!("{name}.exp_avg_sq"), view.unwrap()));
    }
    fs::write(folder.path().join("both.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let data = fixture("digits_tanh_32", "data.npz");
    let both = |more: &[&str]| {
        let problem = ["--model", "both.safetensors", "--activation", "tanh", "--data", data.to_str().unwrap(), "--samples", "100"];
        json(folder.path(), &[&eigs[..], &problem, &["--backend", "cpu", "--precision", "f64", "--eps", "0"], more].concat())
    };
    let largest = number(&both(&["--operator", "adam"])["eigenvalues"]["largest"][0]["value"]);
    assert!((largest * f64::from(0.0025_f32).sqrt() / plain - 1.0).abs() < 1e-10);
    let ggn = both(&["--operator", "ggn", "--second-moments", "v.safetensors", "--params", "2.*"]);
    assert_eq!((ggn["operator"].as_str(), ggn["view"]["parameters"].as_u64()), (Some("ggn"), Some(330)));
    // What does not fit is told.
    let digits = digits();
    let refused =
        |more: &[&str]| refusal(folder.path(), &[&["spectrum"], more, &digits.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    for (file, words) in [
        ("negative.safetensors", &["negative.safetensors", "0.bias", "element 3", "not negative"][..]),
        ("none.safetensors", &["none.safetensors"]),
    ] {
        let message = refused(&["--operator", "adam", "--second-moments", file]);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    let message = refused(&["--operator", "adam", "--second-moments", "zero.safetensors", "--eps", "0"]);
    assert!(message.contains("0.bias") && message.contains("--eps"), "{message}");
    write_model(&folder.path().join("other.safetensors"), &[("0.weight", &[64, 32], &moments), ("0.bias", &[32], &moments[..32])]);
    let message = refused(&["--operator", "adam", "--second-moments", "other.safetensors"]);
    assert!(message.contains("[64, 32]") && message.contains("[32, 64]"), "{message}");
    let message = refused(&["--operator", "adam", "--second-moments", "other.safetensors", "--params", "2.bias"]);
    assert!(message.contains("'2.bias'"), "{message}");
    let message = refused(&["--operator", "adam"]);
    assert!(message.contains("0.weight.exp_avg_sq"), "{message}");
    let message = refusal(folder.path(), &["spectrum", "--operator", "adam"]);
    assert!(message.contains("--second-moments"), "{message}");
    let message = refused(&["--params", "fc*"]);
    assert!(message.contains("'fc*'") && message.contains("0.weight, 0.bias, 2.weight, 2.bias"), "{message}");
}
