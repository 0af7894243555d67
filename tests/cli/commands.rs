//! Every command on the embedded digits: what it prints, what it writes, how it ends.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::{files, fixture, hesper, hesper_ends, json, npy, read_npy};

const CPU: &[&str] = &["--backend", "cpu"];

/// A small piece of the embedded data: quick, and real.
const SMALL: &[&str] = &["--backend", "cpu", "--samples", "200"];

fn run_in_new_folder(args: &[&str]) -> Value {
    json(tempfile::tempdir().unwrap().path(), args)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(number).collect()
}

/// What every result on a problem has.
fn check_header(report: &Value, schema: &str, backend: &str, samples: u64) {
    assert_eq!(report["schema"], schema);
    assert_eq!(report["model"]["parameters"], 8970);
    let layer = serde_json::json!({ "in": 64, "out": 64, "activation": "tanh", "bias": true, "kind": "dense", "sources": [0] });
    assert_eq!(report["model"]["layers"][0], layer);
    assert_eq!(report["data"]["samples"], samples);
    assert!(report["data"]["source"].as_str().unwrap().contains("digits"));
    assert_eq!(report["loss"]["kind"], "cross-entropy");
    assert!(number(&report["loss"]["value"]) > 0.0 && number(&report["loss"]["gradient_norm"]) > 0.0);
    assert_eq!(report["loss"]["weight_decay"], 0.0);
    assert_eq!(report["backend"]["kind"], backend);
    assert_eq!(report["operator"], "hessian");
    assert!(number(&report["stats"]["hvps"]) > 0.0 && number(&report["stats"]["seconds"]["total"]) > 0.0);
    assert!(report["stats"]["readbacks"].is_u64());
}

/// Every operator by its name; of the positive semidefinite ones log det and effective dimension as well.
#[test]
fn operators_are_chosen_by_name() {
    let small = ["spectrum", "--backend", "cpu", "--samples", "60", "--probes", "3", "--steps", "15", "--top", "1", "--bottom", "1"];
    let run = |extra: &[&str]| run_in_new_folder(&[&small[..], extra].concat());
    for operator in ["hessian", "residual", "ggn", "fisher-mc", "empirical-fisher", "gradient-covariance"] {
        let report = run(&["--operator", operator]);
        assert_eq!(report["operator"], operator);
        let (least, floor) = (number(&report["eigenvalues"]["smallest"][0]["value"]), number(&report["floor"]["relative"]));
        let largest = number(&report["eigenvalues"]["largest"][0]["value"]);
        assert_eq!(least < -floor * largest, ["hessian", "residual"].contains(&operator), "{operator}: {least:e}");
    }
    let counted = run(&["--operator", "ggn", "--above", "0.5", "--above", "1e9"]);
    let counts = counted["diagnostics"]["counts"].as_array().unwrap();
    let above = |at: usize| ["above", "at_least", "at_most"].map(|key| number(&counts[at][key]));
    let known = counted["density"]["atoms"].as_array().unwrap().iter().filter(|value| number(value) > 0.5).count();
    assert!(above(0)[0] == 0.5 && above(0)[1] <= known as f64 && above(0)[1] > 0.0 && above(0)[2] >= known as f64, "{counts:?}");
    assert_eq!(above(1)[..2], [1e9, 0.0]);
    let damped = run(&["--operator", "ggn", "--damping", "0.01"]);
    let [lower, upper] = ["lower", "upper"].map(|bound| number(&damped["damped"]["effective_dimension"][bound]));
    assert!(0.0 < lower && lower < upper && upper < 8970.0, "{}", damped["damped"]);
    let drawn = |seed| number(&run(&["--operator", "fisher-mc", "--draws", "2", "--draw-seed", seed])["trace"]["mean"]);
    assert!(drawn("1") == drawn("1") && drawn("1") != drawn("2"));
    let folder = tempfile::tempdir().unwrap();
    let refused = hesper(folder.path(), &[&small[..], &["--damping", "0.01"]].concat());
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(message.contains("positive semidefinite") && message.contains("hessian"), "{message}");
}

#[test]
fn spectrum_follows_the_schema_on_each_backend() {
    for (backend, precision) in [("cpu", "f32"), ("reference", "f64")] {
        let args = ["spectrum", "--backend", backend, "--samples", "100", "--probes", "3", "--steps", "12", "--top", "2", "--bottom", "1"];
        let report = run_in_new_folder(&args);
        check_header(&report, "hesper.spectrum/1", backend, 100);
        assert_eq!(report["backend"]["precision"], precision);
        let largest = report["eigenvalues"]["largest"].as_array().unwrap();
        assert_eq!((largest.len(), report["eigenvalues"]["smallest"].as_array().unwrap().len()), (2, 1));
        assert!(number(&largest[0]["value"]) >= number(&largest[1]["value"]) && number(&largest[0]["residual"]) >= 0.0);
        assert!(largest[0]["converged"].is_boolean());
        assert_eq!(numbers(&report["trace"]["samples"]).len(), 3);
        if backend == "cpu" {
            let floor = &report["floor"];
            let product = number(&floor["product"]);
            assert!(product > 1e-9 && product < 1e-5 && floor["samples"] == 100, "{floor}");
            assert!(number(&floor["relative"]) >= product && number(&largest[0]["residual"]) >= 3.0 * product, "{floor}");
        }
        let interval = numbers(&report["trace"]["ci95"]);
        assert!(interval[0] < number(&report["trace"]["mean"]) && number(&report["trace"]["mean"]) < interval[1]);
        assert!(number(&report["frobenius_squared"]["mean"]) > 0.0 && number(&report["frobenius_squared"]["std_error"]) > 0.0);
        let probes = report["probes"].as_array().unwrap();
        assert_eq!(probes.len(), 3);
        assert!(probes.iter().all(|probe| (numbers(&probe["weights"]).iter().sum::<f64>() - 1.0).abs() < 1e-9));
        let share = ["lower", "mean", "upper"].map(|field| number(&report["negative_share"][field]));
        assert!(0.0 <= share[0] && share[0] <= share[1] && share[1] <= share[2] && share[2] <= 1.0);
        assert!(number(&report["max_stable_learning_rate"]["value"]) > 0.0);
        assert!(report["warnings"].is_array());
        check_density(&report["density"]);
    }
}

/// One curve of unit mass between its bounds.
fn check_density(density: &Value) {
    let [grid, values, lower, upper] = ["grid", "density", "cdf_lower", "cdf_upper"].map(|field| numbers(&density[field]));
    assert_eq!(numbers(&density["std_error"]).len(), grid.len());
    assert!(number(&density["sigma"]) > 0.0);
    let mass: f64 = (1..grid.len()).map(|i| 0.5 * (values[i] + values[i - 1]) * (grid[i] - grid[i - 1])).sum();
    assert!((mass - 1.0).abs() < 1e-6, "{mass}");
    assert!(lower.iter().zip(&upper).all(|(lower, upper)| 0.0 <= *lower && lower <= upper && *upper <= 1.0));
}

#[test]
fn one_seed_gives_one_result_whatever_the_threads() {
    let run = |more: &[&str]| {
        let base = ["spectrum", "--backend", "cpu", "--samples", "300", "--probes", "4", "--steps", "20"];
        let mut report = run_in_new_folder(&[&base[..], more].concat());
        report["stats"]["seconds"] = Value::Null;
        report["backend"]["threads"] = Value::Null;
        report
    };
    let base = run(&["--seed", "5"]);
    assert_eq!(base, run(&["--seed", "5"]));
    assert_eq!(base, run(&["--seed", "5", "--threads", "1"]));
    assert_ne!(base["trace"], run(&["--seed", "6"])["trace"]);
}

#[test]
fn out_holds_all_files_of_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--probes", "2", "--steps", "10", "--out", "new/results", "--quiet"];
    let printed = hesper_ends(folder.path(), &[&["spectrum"], SMALL, &args].concat(), 0);
    assert_eq!(printed, "");
    let results = folder.path().join("new/results");
    assert_eq!(files(&results), ["density.csv", "density.png", "density.svg", "report.html", "spectrum.json"]);
    let report: Value = serde_json::from_slice(&fs::read(results.join("spectrum.json")).unwrap()).unwrap();
    let text = fs::read_to_string(results.join("density.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("grid,density,std_error,cdf_lower,cdf_upper"));
    assert_eq!(lines.count(), report["density"]["grid"].as_array().unwrap().len());
    hesper_ends(folder.path(), &[&["density"], SMALL, &args].concat(), 0);
    let both = ["density.csv", "density.html", "density.json", "density.png", "density.svg", "report.html", "spectrum.json"];
    assert_eq!(files(&results), both);
}

#[test]
fn tables_have_the_numbers_and_fit_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("v.npy"), npy(&[8970], &[0.5_f64; 8970])).unwrap();
    for (args, words) in [
        (&["spectrum", "--probes", "3", "--steps", "30"][..], &["largest", "trace", "Frobenius", "negative share", "█", "2/max"][..]),
        (&["eigs", "--top", "2", "--bottom", "0", "--tol", "1e-3"], &["largest", "Lanczos steps", "±"]),
        (&["trace", "--probes", "4"], &["trace", "95%"]),
        (&["density", "--probes", "2", "--steps", "10"], &["█", "sigma"]),
        (&["hvp", "--vector", "v.npy", "--out", "hv.npy"], &["v'H v"]),
        (&["validate", "--probes", "2", "--steps", "4"], &["verdict", "passed", "alpha 1"]),
        (&["bench", "--shape", "8-16-4", "--runs", "3"], &["8-16-4 relu", "Gflop/s", "median"]),
    ] {
        let table = hesper_ends(folder.path(), &[args, SMALL].concat(), 0);
        for word in words {
            assert!(table.contains(word), "{args:?}: no '{word}' in\n{table}");
        }
        // Sentences are not broken.
        let lines = table.lines().filter(|line| !line.starts_with("warning") && !line.contains("  ok  "));
        let widest = lines.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{args:?}: {widest} columns\n{table}");
    }
}

#[test]
fn eigenvectors_satisfy_the_eigenvalue_equation() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["eigs", "--top", "2", "--bottom", "1", "--tol", "1e-6", "--vectors", "pairs.npz", "--precision", "f64"];
    let report = json(folder.path(), &[&args, SMALL].concat());
    check_header(&report, "hesper.eigs/1", "cpu", 200);
    let pair = &report["eigenvalues"]["largest"][0];
    assert_eq!((numbers(&pair["mass"]).len(), report["tensors"].as_array().unwrap().len()), (6, 6));
    assert!((numbers(&pair["mass"]).iter().sum::<f64>() - 1.0).abs() < 1e-12 && numbers(&pair["interval"])[0] < number(&pair["value"]));
    assert!(number(&report["orthogonality"]) < 1e-12 && number(&report["miss_probability"]) < 2e-3);
    let again = json(
        folder.path(),
        &[&["eigs", "--top", "2", "--bottom", "1", "--tol", "1e-6", "--start", "pairs.npz", "--block", "2"], &args[9..], SMALL].concat(),
    );
    assert!((number(&again["eigenvalues"]["largest"][0]["value"]) - number(&pair["value"])).abs() < 1e-6 * number(&pair["value"]));
    let magnitude = json(folder.path(), &[&["eigs", "--largest-magnitude", "1", "--method", "power", "--tol", "1e-3"], SMALL].concat());
    assert!((number(&magnitude["eigenvalues"]["largest"][0]["value"]) - number(&pair["value"])).abs() < 1e-3 * number(&pair["value"]));
    let mut archive = npyz::npz::NpzArchive::open(folder.path().join("pairs.npz")).unwrap();
    let values: Vec<f64> = archive.by_name("values").unwrap().unwrap().into_vec().unwrap();
    let array = archive.by_name("vectors").unwrap().unwrap();
    assert_eq!(array.shape(), [3, 8970]);
    let vectors: Vec<f64> = array.into_vec().unwrap();
    fs::write(folder.path().join("v.npy"), npy(&[3, 8970], &vectors)).unwrap();
    json(folder.path(), &[&["hvp", "--vector", "v.npy", "--out", "hv.npy", "--precision", "f64"], SMALL].concat());
    let (_, products) = read_npy::<f64>(&folder.path().join("hv.npy"));
    for ((value, vector), product) in values.iter().zip(vectors.chunks(8970)).zip(products.chunks(8970)) {
        let residual = vector.iter().zip(product).map(|(v, hv)| (hv - value * v).powi(2)).sum::<f64>().sqrt();
        assert!(residual <= 1e-6 * values[0], "{value}: {residual:e}");
    }
}

#[test]
fn accuracy_that_is_not_reached_ends_with_one_and_a_result() {
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("spectrum", &["--steps", "5", "--probes", "2", "--tol", "1e-9"][..]),
        ("eigs", &["--max-steps", "15", "--tol", "1e-9"]),
        ("trace", &["--probes", "2", "--rtol", "1e-6", "--max-probes", "4"]),
    ] {
        hesper_ends(folder.path(), &[&[name], args, SMALL, &["--out", name]].concat(), 1);
        let file = fs::read(folder.path().join(name).join(format!("{name}.json"))).unwrap();
        let report: Value = serde_json::from_slice(&file).unwrap();
        assert!(!report["warnings"].as_array().unwrap().is_empty(), "{name}");
    }
    // Where no accuracy was asked for, none was missed.
    hesper_ends(folder.path(), &[&["spectrum", "--steps", "5", "--probes", "2"], SMALL].concat(), 0);
}

#[test]
fn trace_adds_probes_until_it_is_accurate() {
    let report = run_in_new_folder(&[&["trace", "--probes", "2", "--rtol", "0.1"], SMALL].concat());
    check_header(&report, "hesper.trace/1", "cpu", 200);
    assert_eq!(report["accuracy_reached"], true);
    assert!(number(&report["accuracy"]["relative"]) <= 0.1 && numbers(&report["trace"]["samples"]).len() > 2);
}

#[test]
fn products_keep_the_shape_and_take_the_precision() {
    let folder = tempfile::tempdir().unwrap();
    let run = |file: &str, bytes: Vec<u8>, more: &[&str]| {
        fs::write(folder.path().join(file), bytes).unwrap();
        json(folder.path(), &[&["hvp", "--vector", file, "--out", "hv.npy"], SMALL, more].concat())
    };
    let report = run("v.npy", npy(&[8970], &[0.25_f32; 8970]), &[]);
    check_header(&report, "hesper.hvp/1", "cpu", 200);
    let (shape, single) = read_npy::<f32>(&folder.path().join("hv.npy"));
    assert_eq!(shape, [8970]);
    run("v2.npy", npy(&[2, 8970], &[0.25_f64; 2 * 8970]), &["--precision", "f64"]);
    let (shape, double) = read_npy::<f64>(&folder.path().join("hv.npy"));
    assert_eq!(shape, [2, 8970]);
    assert_eq!(double[..8970], double[8970..]);
    let norm = double[..8970].iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!(single.iter().zip(&double).all(|(single, double)| (f64::from(*single) - double).abs() <= 1e-5 * norm));
    assert_eq!(numbers(&report["norms"]).len(), 1);
}

#[test]
fn validate_and_bench_follow_their_schemas() {
    let report = run_in_new_folder(&["validate", "--backend", "cpu", "--samples", "100", "--steps", "6"]);
    check_header(&report, "hesper.validate/1", "cpu", 100);
    assert_eq!(report["passed"], true);
    let report =
        run_in_new_folder(&["bench", "--shape", "16-32-32-4", "--samples", "64", "--columns", "1,4", "--runs", "3", "--backend", "cpu"]);
    assert_eq!(report["schema"], "hesper.bench/1");
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.iter().map(|result| number(&result["columns"])).collect::<Vec<_>>(), [1.0, 4.0]);
    for result in results {
        assert_eq!(result["shape"], "16-32-32-4");
        assert_eq!((&result["activation"], &result["runs"], &result["samples"]), (&"relu".into(), &3.into(), &64.into()));
        let [min, median, max] = ["min", "median_seconds_per_hvp", "max"].map(|field| number(&result[field]));
        assert!(0.0 < min && min <= median && median <= max);
        assert!((number(&result["hvps_per_second"]) * median - 1.0).abs() < 1e-9);
        let nominal = 12.0 * 64.0 * f64::from(16 * 32 + 32 * 32 + 32 * 4) / median / 1e9;
        assert!((number(&result["nominal_gflops"]) / nominal - 1.0).abs() < 1e-9);
        assert!(number(&result["executed_gflops"]) < nominal && number(&result["peak_bytes"]) > 0.0);
    }
    let (model, data) = (fixture("digits_tanh_32", "model.safetensors"), fixture("digits_tanh_32", "data.npz"));
    let own = ["--model", model.to_str().unwrap(), "--data", data.to_str().unwrap(), "--runs", "1", "--columns", "1"];
    let report = run_in_new_folder(&[&["bench"], &own[..], CPU].concat());
    assert_eq!(report["results"][0]["shape"], "64-32-10");
}

#[test]
fn calibrate_follows_its_schema_and_refuses_what_is_too_large() {
    let (model, data) = (fixture("diabetes_silu_16x16", "model.safetensors"), fixture("diabetes_silu_16x16", "data.npz"));
    let own = ["--model", model.to_str().unwrap(), "--data", data.to_str().unwrap(), "--seeds", "3", "--steps", "20"];
    let report = run_in_new_folder(&[&["calibrate"], &own[..], CPU].concat());
    assert_eq!((&report["schema"], &report["stats"]["hvps"]), (&"hesper.calibrate/1".into(), &465.into()));
    let bars = report["coverage"].as_array().unwrap();
    assert!(bars.iter().any(|bar| bar["quantity"] == "negative share" && bar["estimator"] == "quadrature"));
    assert!(bars.iter().all(|bar| (0.0..=1.0).contains(&number(&bar["coverage"])) && bar["seeds"] == 3));
    assert!(number(&report["wasserstein"]["median"]) > 0.0);
    let output = hesper(Path::new("."), &[&["calibrate"], SMALL].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("8970 parameters") && error.lines().count() == 1, "{error}");
}

#[test]
fn trace_writes_a_diagonal_by_any_method() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["hutch++", "xtrace"] {
        let args = [&["trace", "--method", method, "--probes", "6", "--diagonal", "d.npz", "--confidence", "0.9"], SMALL].concat();
        let report = json(folder.path(), &args);
        assert_eq!((number(&report["accuracy"]["confidence"]), numbers(&report["trace"]["samples"]).len()), (0.9, 6));
        let mut archive = npyz::npz::NpzArchive::open(folder.path().join("d.npz")).unwrap();
        for name in ["mean", "std_error"] {
            assert_eq!(archive.by_name(name).unwrap().unwrap().shape(), [8970]);
        }
    }
    let output = hesper(Path::new("."), &[&["trace", "--method", "xnystrace", "--probes", "8"], SMALL].concat());
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("xtrace"));
}

#[test]
fn adapters_are_listed_or_their_lack_is_told() {
    let report = run_in_new_folder(&["adapters"]);
    assert_eq!(report["schema"], "hesper.adapters/1");
    let table = hesper_ends(Path::new("."), &["adapters"], 0);
    let adapters = report["adapters"].as_array().unwrap();
    assert_eq!(table.contains("no GPU"), adapters.is_empty());
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(adapter["index"], index);
        assert!(table.contains(adapter["name"].as_str().unwrap()));
    }
}

#[test]
fn weight_decay_moves_every_eigenvalue() {
    let trace = |decay: &str| {
        let report = run_in_new_folder(&[&["trace", "--probes", "2", "--precision", "f64", "--weight-decay", decay], SMALL].concat());
        number(&report["trace"]["mean"])
    };
    assert!((trace("0.5") - trace("0") - 0.5 * 8970.0).abs() < 1e-6);
}

/// The parameters of the loss reach the result and stand beside its kind.
#[test]
fn the_losss_parameters_are_part_of_the_result() {
    let run = |flags: &[&str]| run_in_new_folder(&[&["trace", "--probes", "2", "--precision", "f64"], flags, SMALL].concat());
    let (plain, sum) = (run(&[]), run(&["--reduction", "sum"]));
    assert_eq!((&plain["loss"]["reduction"], &plain["loss"]["label_smoothing"]), (&"mean".into(), &0.0.into()));
    assert_eq!(sum["loss"]["reduction"], "sum");
    let samples = number(&plain["data"]["samples"]);
    let scaled = samples * number(&plain["trace"]["mean"]);
    assert!((number(&sum["trace"]["mean"]) - scaled).abs() < 1e-9 * scaled);
    let weights = run(&["--label-smoothing", "0.1", "--ignore-index", "3", "--weight-decay", "0.5", "--decay", "weights"]);
    let loss = &weights["loss"];
    assert_eq!((&loss["kind"], &loss["label_smoothing"]), (&"cross-entropy".into(), &0.1.into()));
    assert_eq!((&loss["ignore_index"], &loss["decay"]), (&3.into(), &"weights".into()));
    // The weights without the 138 biases.
    let without = run(&["--label-smoothing", "0.1", "--ignore-index", "3"]);
    assert!((number(&weights["trace"]["mean"]) - number(&without["trace"]["mean"]) - 0.5 * 8832.0).abs() < 1e-6);
}

/// An ONNX file, its weights in another file beside it, is the network of the safetensors file.
#[test]
fn an_onnx_file_has_the_spectrum_of_its_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let x: Vec<f32> = (0..60_u8).map(|i| (f32::from(i) * 0.7).sin()).collect();
    let y: Vec<i64> = (0..15).map(|i| i % 3).collect();
    fs::write(folder.path().join("x.npy"), npy(&[15, 4], &x)).unwrap();
    fs::write(folder.path().join("y.npy"), npy(&[15], &y)).unwrap();
    let values = |file: &str, more: &[&str]| {
        let model = fixture("onnx", file);
        let flags =
            ["eigs", "--top", "5", "--bottom", "5", "--precision", "f64", "--backend", "cpu", "--x", "x.npy", "--y", "y.npy", "--model"];
        json(folder.path(), &[&flags[..], &[model.to_str().unwrap()], more].concat())["eigenvalues"].clone()
    };
    let expected = values("relu.safetensors", &["--activation", "relu"]);
    assert_eq!(expected["largest"].as_array().unwrap().len(), 5);
    for file in ["relu_script_13.onnx", "relu_dynamo_20.onnx"] {
        assert_eq!(values(file, &[]), expected, "{file}");
    }
}

/// Images as they are stored are seldom what a network was trained on: it is said, unless a scale is.
#[test]
fn bytes_without_a_scale_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.npy"), npy(&[15, 4], &(0..60_u8).collect::<Vec<_>>())).unwrap();
    fs::write(folder.path().join("y.npy"), npy(&[15], &(0..15).map(|i| i % 3).collect::<Vec<i64>>())).unwrap();
    let warnings = |more: &[&str]| {
        let model = fixture("onnx", "relu.safetensors");
        let flags = ["trace", "--probes", "2", "--x", "x.npy", "--y", "y.npy", "--activation", "relu", "--model"];
        json(folder.path(), &[&flags[..], &[model.to_str().unwrap()], more].concat())["warnings"].to_string()
    };
    assert!(warnings(&[]).contains("--x-scale 0.00392156862745098, else"), "{}", warnings(&[]));
    for scale in ["1", "0.01"] {
        assert!(!warnings(&["--x-scale", scale]).contains("bytes"));
    }
}

#[test]
fn help_and_version_end_well() {
    let folder = Path::new(".");
    let help = hesper_ends(folder, &["--help"], 0);
    for command in ["spectrum", "eigs", "trace", "density", "hvp", "validate", "calibrate", "bench", "adapters"] {
        assert!(help.contains(command));
        assert!(hesper_ends(folder, &[command, "--help"], 0).contains("--json"));
    }
    assert!(hesper_ends(folder, &["--version"], 0).starts_with("hesper "));
}

/// `hesper ... | head -0`: the reader is gone before anything is written.
#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_away_is_no_panic() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("hesper"))
        .args(["trace", "--backend", "cpu", "--samples", "50", "--probes", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nothing_but_the_result_goes_to_standard_output_and_nothing_else_is_said() {
    let output = hesper(Path::new("."), &[&["trace", "--probes", "2", "--json", "-"], SMALL].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"{\n  \"schema\": \"hesper.trace/1\""));
}

/// The plan's parts add up, fit the budget, and follow the flags of the job that they are for.
#[test]
fn plan_states_the_bytes_of_a_job() {
    let plan = |args: &[&str]| run_in_new_folder(&[&["plan"], args].concat())["plan"].clone();
    let whole = plan(CPU);
    assert_eq!((&whole["mode"], number(&whole["micro_batch"]), number(&whole["columns"])), (&Value::from("cached"), 1797.0, 10.0));
    let vectors = |plan: &Value| {
        let classes = plan["classes"].as_array().unwrap();
        assert_eq!(number(&plan["total"]), classes.iter().map(|class| number(&class["bytes"])).sum::<f64>());
        assert!(number(&plan["total"]) <= number(&plan["budget"]));
        number(&classes.iter().find(|class| class["name"] == "vectors").unwrap()["bytes"])
    };
    // 100 kept vectors, 32 pairs found first and three blocks, of 8,970 numbers of four bytes, ten columns.
    assert_eq!(vectors(&whole), 135.0 * 8970.0 * 4.0 * 10.0);
    assert_eq!(vectors(&plan(&["--backend", "cpu", "--precision", "f64", "--steps", "6", "--columns", "2"])), 41.0 * 8970.0 * 8.0 * 2.0);
    hesper_ends(tempfile::tempdir().unwrap().path(), &["plan", "--backend", "cpu", "--memory-budget", "1MiB"], 2);
}
