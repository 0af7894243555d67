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
        let adam = job(&["--operator", "adam", "--second-moments", file, "--step", "10", "--beta2", "0.99", "--adam-eps", "0.001"]);
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
        json(folder.path(), &[&eigs[..], &problem, &["--backend", "cpu", "--precision", "f64", "--adam-eps", "0"], more].concat())
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
    let message = refused(&["--operator", "adam", "--second-moments", "zero.safetensors", "--adam-eps", "0"]);
    assert!(message.contains("0.bias") && message.contains("--adam-eps"), "{message}");
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

/// Losses and products of the classes, weighed by their samples, are those of the whole.
#[test]
fn classes_make_up_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let v: Vec<f64> = (0..2410).map(|i| f64::from(i % 11) - 5.0).collect();
    fs::write(path("v.npy"), npy(&[2410], &v)).unwrap();
    let product = |more: &[&str]| {
        let report = run(folder.path(), &[&["hvp", "--vector", "v.npy", "--out", "hv.npy"], more].concat());
        (number(&report["data"]["samples"]), number(&report["loss"]["value"]), read_npy::<f64>(&path("hv.npy")).1)
    };
    let (samples, loss, whole) = product(&[]);
    let (mut counted, mut sum_of_losses, mut sum) = (0.0, 0.0, vec![0.0; 2410]);
    for class in 0..10 {
        let (samples, loss, part) = product(&["--class", &class.to_string()]);
        (counted, sum_of_losses) = (counted + samples, sum_of_losses + samples * loss);
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += samples * x);
    }
    assert!(counted == samples && (sum_of_losses / samples - loss).abs() < 1e-12);
    let scale = whole.iter().fold(0.0, |scale: f64, x| scale.max(x.abs()));
    assert!(sum.iter().zip(&whole).all(|(sum, x)| (sum / samples - x).abs() < 1e-12 * scale));
    let digits = digits();
    let message = refusal(
        folder.path(),
        &[&["hvp", "--vector", "v.npy", "--out", "x.npy", "--class", "10"], &digits.iter().map(String::as_str).collect::<Vec<_>>()[..]]
            .concat(),
    );
    assert!(message.contains("class 10") && message.contains("0 to 9"), "{message}");
}

/// Batches of all samples are the whole; smaller ones are sharper, and differ.
#[test]
fn mini_batches_have_a_spectrum_each() {
    let folder = tempfile::tempdir().unwrap();
    let sampled = ["spectrum", "--probes", "2", "--steps", "40", "--top", "1", "--bottom", "1", "--batches", "4", "--batch-size"];
    let job = |size: &str, seed: &str| run(folder.path(), &[&sampled[..], &[size, "--batch-seed", seed]].concat());
    let whole = job("100", "0");
    assert_eq!(whole["batches"].as_array().unwrap().len(), 4);
    assert_eq!(whole["batches"][3]["largest"], whole["eigenvalues"]["largest"][0]);
    assert_eq!((number(&whole["batch_summary"]["largest"]["std_dev"]), whole["batch_summary"]["size"].as_u64()), (0.0, Some(100)));
    let (small, again, other) = (job("20", "1"), job("20", "1"), job("20", "2"));
    assert_eq!(small["batches"], again["batches"]);
    assert_ne!(small["batches"], other["batches"]);
    let largest = &small["batch_summary"]["largest"];
    assert!(
        number(&largest["mean"]) > number(&small["eigenvalues"]["largest"][0]["value"]) && number(&largest["std_dev"]) > 0.0,
        "{largest}"
    );
    let digits = digits();
    let args = [&["spectrum", "--batch-size", "101"], &digits.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let message = refusal(folder.path(), &args);
    assert!(message.contains("101") && message.contains("100"), "{message}");
}

/// Every eigenvalue of PyTorch's dense matrices: the Hessian by itself, the Gauss-Newton matrix by way of 442 outputs for 465 parameters.
#[test]
fn all_eigenvalues_are_those_of_the_dense_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let name = "diabetes_silu_16x16";
    let files = ["model.safetensors", "data.npz", "reference.json"].map(|file| fixture(name, file).to_str().unwrap().to_owned());
    let reference: Value = serde_json::from_slice(&fs::read(&files[2]).unwrap()).unwrap();
    for (operator, matrix, order) in [("hessian", "dense", 465), ("ggn", "gram", 442)] {
        let report = json(folder.path(), &["exact", "--model", &files[0], "--data", &files[1], "--operator", operator]);
        assert_eq!(
            (report["matrix"].as_str(), report["order"].as_u64(), report["others"].as_u64()),
            (Some(matrix), Some(order), Some(465 - order))
        );
        let mut found: Vec<f64> = report["eigenvalues"].as_array().unwrap().iter().map(number).collect();
        found.resize(465, 0.0);
        found.sort_by(|x, y| y.total_cmp(x));
        let exact = reference[operator]["eigenvalues_ascending"].as_array().unwrap().iter().rev().map(number);
        for (rank, (found, exact)) in found.iter().zip(exact).enumerate() {
            assert!(
                (found - exact).abs() < 1e-13 * number(&reference[operator]["eigenvalues_ascending"][464]),
                "{operator} {rank}: {found} for {exact}"
            );
        }
        assert!((number(&report["trace"]) / number(&reference[operator]["trace"]) - 1.0).abs() < 1e-12);
    }
    // In a view, and with weight decay, the Gram matrix is that of the same operator as the solver's.
    for more in [&["--params", "0.*", "--samples", "9"][..], &["--samples", "12", "--weight-decay", "0.01"]] {
        let digits = digits();
        let problem = [&digits.iter().map(String::as_str).collect::<Vec<_>>()[..8], more, &["--operator", "ggn"]].concat();
        let exact = json(folder.path(), &[&["exact"], &problem[..]].concat());
        let eigs = json(folder.path(), &[&["eigs", "--top", "3", "--bottom", "0"], &problem[..]].concat());
        assert_eq!(exact["matrix"], "gram");
        for rank in 0..3 {
            let (all, one) = (number(&exact["eigenvalues"][rank]), number(&eigs["eigenvalues"]["largest"][rank]["value"]));
            assert!((all / one - 1.0).abs() < 1e-9, "{more:?} {rank}: {all} and {one}");
        }
    }
    let message = refusal(folder.path(), &["exact", "--memory-budget", "100MiB"]);
    assert!(message.contains("8970 parameters") && message.contains("1.8 GiB"), "{message}");
    assert!(refusal(folder.path(), &["exact", "--backend", "gpu"]).contains("f64"));
}

/// On real data: predictions are no larger than what is found, and close to it; the classes' means hold most of the first outliers.
#[test]
fn the_hierarchy_predicts_outliers_from_below() {
    let folder = tempfile::tempdir().unwrap();
    let report = json(folder.path(), &["hierarchy", "--backend", "cpu", "--samples", "300"]);
    assert_eq!((report["schema"].as_str(), report["operator"].as_str()), (Some("hesper.hierarchy/1"), Some("ggn")));
    let outliers = report["outliers"].as_array().unwrap();
    assert_eq!((outliers.len(), report["classes"].as_array().unwrap().len()), (10, 10));
    for outlier in outliers {
        let [found, class, cross] = [&outlier["found"]["value"], &outlier["class_means"], &outlier["cross_class_means"]].map(number);
        assert!(found * (1.0 + 1e-5) >= cross && cross * (1.0 + 1e-12) >= class && class > 0.0, "{outlier}");
    }
    let traces = ["class", "cross_class", "within_class", "own_class"].map(|part| number(&report["traces"][part]));
    let total = number(&report["traces"]["total"]);
    assert!(traces.iter().all(|part| *part > 0.0) && (traces.iter().sum::<f64>() / total - 1.0).abs() < 1e-12, "{}", report["traces"]);
    let first = &outliers[0];
    assert!(number(&first["cross_class_means"]) > 0.3 * number(&first["found"]["value"]), "{first}");
    for args in [&["hierarchy", "--weight-decay", "0.1"][..], &["hierarchy", "--operator", "residual"]] {
        refusal(folder.path(), args);
    }
}
