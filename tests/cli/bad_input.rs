//! Bad input through the binary: exit code 2, one line that says what and what to do, and no file left behind.

use std::fs;
use std::path::Path;

use super::program::{files, fixture, hesper, npy, write_model};

/// A 3-4-2 network and data that fit it, and everything that is wrong with some file.
fn write_inputs(folder: &Path) {
    let file = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let model = |name: &str, tensors: &[(&str, &[usize], &[f32])]| write_model(&folder.join(name), tensors);
    let (w0, w1) = ([0.1_f32; 12], [0.2_f32; 8]);
    model("good.safetensors", &[("0.weight", &[4, 3], &w0), ("2.weight", &[2, 4], &w1)]);
    model("only_bias.safetensors", &[("0.bias", &[4], &w0[..4])]);
    model("three_d.safetensors", &[("0.weight", &[2, 2, 3], &w0), ("2.weight", &[2, 4], &w1)]);
    model("no_chain.safetensors", &[("0.weight", &[4, 3], &w0), ("2.weight", &[4, 2], &w1)]);
    let mut nan = w0;
    nan[5] = f32::NAN;
    model("nan.safetensors", &[("0.weight", &[4, 3], &nan), ("2.weight", &[2, 4], &w1)]);
    let good = fs::read(folder.join("good.safetensors")).unwrap();
    file("cut.safetensors", &good[..good.len() - 10]);
    file("huge_header.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    file("empty.safetensors", b"");
    let header = br#"{"0.weight":{"dtype":"I32","shape":[2,3],"data_offsets":[0,24]}}"#;
    file("integers.safetensors", &[&(header.len() as u64).to_le_bytes()[..], header, &[0; 24]].concat());

    let x: Vec<f32> = (0..15_u8).map(|i| f32::from(i) / 15.0).collect();
    file("x.npy", &npy(&[5, 3], &x));
    file("y.npy", &npy(&[5], &[0_i64, 1, 0, 1, 1]));
    file("y7.npy", &npy(&[5], &[0_i64, 1, 7, 1, 1]));
    file("y4.npy", &npy(&[4], &[0_i64, 1, 1, 1]));
    file("y_ignored.npy", &npy(&[5], &[-100_i64; 5]));
    let mut soft = [0.5_f32; 10];
    file("y_soft.npy", &npy(&[5, 2], &soft));
    soft[7] = -0.5;
    file("y_below_0.npy", &npy(&[5, 2], &soft));
    soft[7] = f32::NAN;
    file("y_nan.npy", &npy(&[5, 2], &soft));
    file("w4.npy", &npy(&[4], &[1.0_f32; 4]));
    file("w_none.npy", &npy(&[5], &[0.0_f32; 5]));
    file("w_below_0.npy", &npy(&[5], &[1.0, 1.0, -2.0, 1.0, 1.0_f32]));
    file("x_none.npy", &npy::<f32>(&[0, 3], &[]));
    file("x_wide.npy", &npy(&[5, 2], &x[..10]));
    let mut infinite = x.clone();
    infinite[7] = f32::INFINITY;
    file("x_infinite.npy", &npy(&[5, 3], &infinite));
    let good = npy(&[5, 3], &x);
    file("x_cut.npy", &good[..good.len() - 4]);
    let mut lying = good.clone();
    let at = lying.windows(5).position(|window| window == b"(5, 3").unwrap();
    lying[at + 1] = b'9';
    file("x_lying.npy", &lying);
    file("x.idx", &[&[0, 0, 8, 2][..], &u32::MAX.to_be_bytes(), &u32::MAX.to_be_bytes(), &[1, 2, 3]].concat());
    file("data.npz", b"PK\x03\x04 and then nothing of the kind");
    file("text.npz", b"no archive at all");
    file("v.npy", &npy(&[7], &[1.0_f32; 7]));
    file("v_nan.npy", &npy(&[20], &[f64::NAN; 20]));
    fs::create_dir(folder.join("folder")).unwrap();
}

/// How the operating system says that a file is not there.
const NOT_FOUND: &str = if cfg!(windows) { "cannot find" } else { "No such file" };

const MODEL: &[&str] = &["--model", "good.safetensors", "--activation", "tanh"];
const DATA: &[&str] = &["--x", "x.npy", "--y", "y.npy"];

#[test]
fn each_mistake_is_told_in_one_line_and_leaves_nothing() {
    let model = |name| ["--model", name, "--activation", "tanh", "--x", "x.npy", "--y", "y.npy"];
    let with_x = |x| [MODEL, &["--x", x, "--y", "y.npy"]].concat();
    let with_y = |y| [MODEL, &["--x", "x.npy", "--y", y]].concat();
    let with_loss = |y, loss| [MODEL, &["--x", "x.npy", "--y", y, "--loss", loss]].concat();
    let data = |name| [MODEL, &["--data", name]].concat();
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        // The model file.
        (model("none.safetensors").to_vec(), &["none.safetensors", NOT_FOUND]),
        (model("only_bias.safetensors").to_vec(), &["only_bias.safetensors", "weight"]),
        (model("three_d.safetensors").to_vec(), &["three_d.safetensors", "0.weight", "[2, 2, 3]"]),
        (model("integers.safetensors").to_vec(), &["integers.safetensors", "0.weight", "I32", "F32"]),
        (model("no_chain.safetensors").to_vec(), &["no_chain.safetensors", "[4, 3]", "[4, 2]", "chain"]),
        (model("nan.safetensors").to_vec(), &["nan.safetensors", "0.weight", "NaN", "[1, 2]"]),
        (model("cut.safetensors").to_vec(), &["cut.safetensors"]),
        (model("huge_header.safetensors").to_vec(), &["huge_header.safetensors"]),
        (model("empty.safetensors").to_vec(), &["empty.safetensors"]),
        (model("folder").to_vec(), &["folder"]),
        // The data files.
        (with_x("none.npy"), &["none.npy", NOT_FOUND]),
        (with_x("x_none.npy"), &["x_none.npy", "at least one sample"]),
        (with_x("x_wide.npy"), &["x has 2 numbers", "3"]),
        (with_x("x_infinite.npy"), &["x_infinite.npy", "x[2, 1]", "inf"]),
        (with_x("x_cut.npy"), &["x_cut.npy"]),
        (with_x("x_lying.npy"), &["x_lying.npy"]),
        (with_x("x.idx"), &["x.idx"]),
        (with_y("y7.npy"), &["y7.npy", "y[2]", "7", "2 outputs"]),
        (with_y("y4.npy"), &["y4.npy", "[4]", "5 samples"]),
        (data("data.npz"), &["data.npz"]),
        (data("text.npz"), &["text.npz"]),
        ([MODEL, DATA, &["--samples", "6"]].concat(), &["6", "5"]),
        ([MODEL, DATA, &["--loss", "mse"]].concat(), &["mse", "y.npy"]),
        ([MODEL, &["--x", "x.npy"]].concat(), &["x.npy", "--y"]),
        ([MODEL, DATA, &["--data", "data.npz"]].concat(), &["--data"]),
        (MODEL.to_vec(), &["good.safetensors", "--data"]),
        (DATA.to_vec(), &["--model"]),
        ([&["--model", "good.safetensors"], DATA].concat(), &["good.safetensors", "--activation", "relu"]),
        // The loss.
        (vec!["--label-smoothing", "1.5"], &["label smoothing is 1.5", "between 0 and 1"]),
        (vec!["--loss", "mse", "--label-smoothing", "0.1"], &["--label-smoothing", "cross-entropy", "mse"]),
        (vec!["--class-weights", "1,2"], &["class weights: 2 numbers", "10 outputs"]),
        (vec!["--class-weights", "none.npy"], &["none.npy", NOT_FOUND]),
        (vec!["--class-weights", "1,1,1,1,1,1,1,-1,1,1"], &["class weights: number 7 is -1"]),
        (vec!["--pos-weight", "2"], &["--pos-weight", "bce-with-logits"]),
        (vec!["--loss", "huber", "--delta", "0"], &["--delta", "above 0"]),
        (vec!["--loss", "poisson-nll", "--eps", "1"], &["--no-log-input"]),
        (vec!["--reduction", "none"], &["none", "mean", "sum"]),
        (vec!["--decay", "biases"], &["biases", "weights"]),
        (with_y("y_ignored.npy"), &["y_ignored.npy", "sum to 0", "ignored"]),
        (with_loss("y_nan.npy", "cross-entropy"), &["y_nan.npy", "y[3, 1]", "NaN"]),
        (with_loss("y_below_0.npy", "cross-entropy"), &["y_below_0.npy", "y[3, 1]", "-0.5", "probability"]),
        ([&with_loss("y_soft.npy", "cross-entropy")[..], &["--ignore-index", "1"]].concat(), &["y_soft.npy", "--ignore-index"]),
        ([&with_loss("y_soft.npy", "huber")[..], &["--operator", "fisher-mc"]].concat(), &["fisher-mc", "huber", "ggn"]),
        (with_loss("y_below_0.npy", "poisson-nll"), &["y[3, 1]", "counts"]),
        ([&with_loss("y_below_0.npy", "bce-with-logits")[..], &["--pos-weight", "2"]].concat(), &["y[3, 1]", "between 0 and 1"]),
        ([MODEL, DATA, &["--sample-weights", "w4.npy"]].concat(), &["w4.npy", "[4]", "5 samples"]),
        ([MODEL, DATA, &["--sample-weights", "w_none.npy"]].concat(), &["w_none.npy", "sum to 0"]),
        ([MODEL, DATA, &["--sample-weights", "w_below_0.npy"]].concat(), &["w_below_0.npy", "sample 2", "-2"]),
        // The flags.
        (vec!["--activation", "swish"], &["swish", "silu", "leaky-relu"]),
        (vec!["--loss", "hinge"], &["hinge", "cross-entropy", "mse"]),
        (vec!["--backend", "tpu"], &["tpu", "reference"]),
        (vec!["--precision", "f16"], &["f16", "f32", "f64"]),
        (vec!["--backend", "gpu", "--precision", "f64"], &["gpu", "f64", "--backend cpu"]),
        (vec!["--backend", "reference", "--precision", "f32"], &["reference", "f32"]),
        (vec!["--backend", "cpu", "--adapter", "3"], &["--adapter", "cpu"]),
        (vec!["--backend", "gpu", "--adapter", "no such gpu"], &["adapter"]),
        (vec!["--x-scale", "nan"], &["--x-scale", "finite"]),
        (vec!["--weight-decay", "inf"], &["--weight-decay", "finite"]),
        (vec!["--samples", "0"], &["--samples", "at least 1"]),
        (vec!["--memory-budget", "2 parsecs"], &["--memory-budget", "parsecs", "GiB"]),
        (vec!["--memory-budget", "1MB", "--backend", "cpu"], &["--memory-budget", "budget"]),
        (vec!["--modle", "good.safetensors"], &["--modle", "--model"]),
        (vec!["--probes", "0"], &["--probes", "at least 1"]),
        (vec!["--sigma", "0"], &["--sigma", "above 0"]),
        (vec!["--sigma", "1e-12", "--backend", "cpu", "--steps", "3"], &["--sigma"]),
    ];
    assert_all(cases.iter().map(|(args, words)| check(&[&["spectrum"], &args[..]].concat(), words)));
}

#[test]
fn vectors_that_do_not_fit_are_told() {
    let v = fixture("digits_tanh_32", "model.safetensors");
    let not_npy = v.to_str().unwrap();
    let cases = [
        ("none.npy", &["none.npy", NOT_FOUND][..]),
        ("v.npy", &["v.npy", "[7]", "20"]),
        ("v_nan.npy", &["v_nan.npy", "NaN"]),
        ("x.npy", &["x.npy", "[5, 3]", "20"]),
        (not_npy, &["model.safetensors"]),
    ];
    let args = |vector| [&["hvp", "--vector", vector, "--out", "hv.npy", "--backend", "cpu"], MODEL, DATA].concat();
    assert_all(cases.iter().map(|(vector, words)| check(&args(vector), words)));
    assert_all([check(&["hvp", "--vector", "v.npy"], &["--out"])].into_iter());
}

#[test]
fn destinations_that_cannot_be_written_are_told_before_the_work() {
    let cases: [(&[&str], &[&str]); 5] = [
        (&["spectrum", "--json", "folder"], &["folder"]),
        (&["spectrum", "--json", "no/such/folder/result.json"], &["no/such/folder/result.json"]),
        (&["spectrum", "--json", "x.npy/result.json"], &["x.npy/result.json"]),
        (&["spectrum", "--out", "x.npy"], &["x.npy", "folder"]),
        (&["eigs", "--vectors", "folder"], &["folder"]),
    ];
    assert_all(cases.iter().map(|(args, words)| check_as_given(args, words)));
}

#[test]
fn no_command_and_unknown_commands_are_told() {
    assert_all([check_as_given(&[], &["--help"]), check_as_given(&["spectrm"], &["spectrm", "spectrum"])].into_iter());
}

/// Runs `args` and a request for a JSON file.
fn check(args: &[&str], words: &[&str]) -> Result<(), String> {
    check_as_given(&[args, &["--json", "result.json"]].concat(), words)
}

fn check_as_given(args: &[&str], words: &[&str]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    let before = files(folder.path());
    let output = hesper(folder.path(), args);
    let error = String::from_utf8(output.stderr).unwrap();
    let missing = words.iter().find(|word| !error.contains(**word));
    let problem = match missing {
        _ if output.status.code() != Some(2) => format!("ends with {:?}", output.status.code()),
        _ if !error.starts_with("hesper: ") || error.lines().count() != 1 || !error.ends_with('\n') => "says not one line".into(),
        Some(word) => format!("does not say '{word}'"),
        _ if !output.stdout.is_empty() => format!("prints {}", String::from_utf8_lossy(&output.stdout)),
        _ if files(folder.path()) != before => format!("leaves {:?}", files(folder.path())),
        _ => return Ok(()),
    };
    Err(format!("hesper {}\n  {problem}: {error}", args.join(" ")))
}

fn assert_all(results: impl Iterator<Item = Result<(), String>>) {
    let problems: Vec<_> = results.filter_map(Result::err).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
