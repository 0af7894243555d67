//! The committed fixtures: networks trained in PyTorch with float64 references of the loss, the gradient, products and every
//! eigenvalue. Written once for all devices; a device is a line of [`DEVICES`].

use std::fs;
use std::path::Path;

use npyz::npz::NpzArchive;
use serde_json::Value;

use super::program::{fixture, json, npy, read_npy};

/// What computes, and how close it must come.
struct Device {
    flags: &'static [&'static str],
    /// ‖Hv − H₆₄v‖/‖H₆₄v‖.
    product: f64,
    /// Of an eigenvalue, relative to the largest.
    eigenvalue: f64,
    /// The residual that is asked for, relative to the largest: an eigenvalue's error is at most that, and of its square's order.
    tol: &'static str,
    /// Eigenvalues at each end.
    count: usize,
    /// Loss and gradient norm, relative.
    loss: f64,
}

/// f32: the acceptance list's bounds. f64: products of a few thousand terms lose two to three digits of 2⁻⁵².
const DEVICES: [Device; 4] = [
    Device { flags: &["--backend", "reference"], product: 1e-13, eigenvalue: 1e-9, tol: "1e-6", count: 2, loss: 1e-12 },
    Device { flags: &["--backend", "cpu"], product: 1e-5, eigenvalue: 1e-6, tol: "1e-5", count: 10, loss: 1e-5 },
    Device { flags: &["--backend", "cpu", "--precision", "f64"], product: 1e-12, eigenvalue: 1e-10, tol: "1e-10", count: 10, loss: 1e-12 },
    Device { flags: &["--backend", "gpu", "--tune", "off"], product: 1e-5, eigenvalue: 1e-6, tol: "1e-5", count: 5, loss: 1e-5 },
];

/// The devices of this machine; a missing GPU is told, or an error where one is required.
fn devices() -> impl Iterator<Item = &'static Device> {
    let adapters = json(Path::new("."), &["adapters"]);
    let has_gpu = !adapters["adapters"].as_array().unwrap().is_empty();
    assert!(has_gpu || std::env::var_os("HESPER_REQUIRE_GPU").is_none(), "HESPER_REQUIRE_GPU is set, but there is no adapter");
    if !has_gpu {
        println!("SKIPPED: no adapter");
    }
    DEVICES.iter().filter(move |device| has_gpu || !device.flags.contains(&"gpu"))
}

/// A fixture and the flags that its files do not imply.
const FIXTURES: [(&str, &[&str]); 4] =
    [("diabetes_silu_16x16", &[]), ("digits_tanh_32", &[]), ("digits_relu_64x64", &[]), ("digits_ae_sigmoid", &["--target", "x"])];

/// The flags of a run on a fixture.
fn flags(name: &str, more: &[&str], device: &Device) -> Vec<String> {
    let files = [("--model", "model.safetensors"), ("--data", "data.npz")];
    let files = files.into_iter().flat_map(|(flag, file)| [flag.to_owned(), fixture(name, file).to_str().unwrap().to_owned()]);
    files.chain(more.iter().chain(device.flags).map(ToString::to_string)).collect()
}

fn reference(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name, "reference.json")).unwrap()).unwrap()
}

/// An array of a fixture's hv.npz.
fn array<T: npyz::Deserialize>(name: &str, array: &str) -> Vec<T> {
    let mut archive = NpzArchive::open(fixture(name, "hv.npz")).unwrap();
    archive.by_name(array).unwrap().unwrap_or_else(|| panic!("{name}: no {array}")).into_vec().unwrap()
}

/// The two vectors of a fixture, one after the other, exact in single precision.
fn vectors(name: &str, dim: usize) -> Vec<f32> {
    let bits: Vec<u8> = array(name, "v0_signbits");
    let signs = (0..dim).map(|at| if bits[at / 8] >> (at % 8) & 1 == 1 { 1.0 } else { -1.0 });
    signs.chain(array::<f32>(name, "v1")).collect()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
}

fn close(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    let error = ((found - expected) / expected).abs();
    assert!(error <= tolerance, "{what}: {found} for {expected}: {error:e} > {tolerance:e}");
}

fn check_products(name: &str, more: &[&str], device: &Device) {
    let reference = reference(name);
    let dim = usize::try_from(reference["n_params"].as_u64().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let shape = [2, dim as u64];
    fs::write(folder.path().join("v.npy"), npy(&shape, &vectors(name, dim))).unwrap();
    let flags = flags(name, more, device);
    let args: Vec<&str> = ["hvp", "--vector", "v.npy", "--out", "hv.npy"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let report = json(folder.path(), &args);
    let products = products(&folder.path().join("hv.npy"), &report, &shape);
    for (at, product) in products.chunks(dim).enumerate() {
        let error = distance(product, &array::<f64>(name, &format!("hv{at}")));
        assert!(error <= device.product, "{name} {:?}: product {at}: {error:e} > {:e}", device.flags, device.product);
    }
    let what = format!("{name} {:?}", device.flags);
    close(&report["loss"]["value"], &reference["loss_value"], device.loss, &format!("{what}: loss"));
    close(&report["loss"]["gradient_norm"], &reference["grad_norm"], device.loss, &format!("{what}: gradient norm"));
}

/// The products in the precision that the report names.
fn products(path: &Path, report: &Value, shape: &[u64]) -> Vec<f64> {
    let (found, values) = match report["backend"]["precision"].as_str() {
        Some("f32") => {
            let (shape, values) = read_npy::<f32>(path);
            (shape, values.into_iter().map(f64::from).collect())
        }
        _ => read_npy::<f64>(path),
    };
    assert_eq!(found, shape);
    values
}

fn check_eigenvalues(name: &str, more: &[&str], device: &Device) {
    let exact: Vec<f64> = serde_json::from_value(reference(name)["hessian"]["eigenvalues_ascending"].clone()).unwrap();
    let scale = exact.iter().fold(0.0, |scale: f64, value| scale.max(value.abs()));
    let flags = flags(name, more, device);
    let count = device.count.to_string();
    let args: Vec<&str> =
        ["eigs", "--top", &count, "--bottom", &count, "--tol", device.tol].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let report = json(Path::new("."), &args);
    let largest = exact.iter().rev().take(device.count);
    let smallest = exact.iter().take(device.count);
    for (end, expected) in [("largest", largest.collect::<Vec<_>>()), ("smallest", smallest.collect())] {
        let found = report["eigenvalues"][end].as_array().unwrap();
        assert_eq!(found.len(), device.count);
        for (rank, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found["value"].as_f64().unwrap() - expected).abs() / scale;
            let tolerance = device.eigenvalue;
            assert!(error <= tolerance, "{name} {:?}: {end} {rank}: {found} for {expected}: {error:e} > {tolerance:e}", device.flags);
        }
    }
}

#[test]
fn products_loss_and_gradient_are_those_of_torch() {
    for device in devices() {
        FIXTURES.iter().for_each(|(name, more)| check_products(name, more, device));
    }
}

#[test]
fn extreme_eigenvalues_are_those_of_the_dense_matrix() {
    for device in devices() {
        FIXTURES.iter().for_each(|(name, more)| check_eigenvalues(name, more, device));
    }
}

/// Each tensor's block in one job, to 10⁻⁴. What is below the accuracy asked for, such as the zeros of units that are never on, is only held
/// to that, in single precision everything.
fn check_blocks(name: &str, more: &[&str], device: &Device) {
    let exact = reference(name)["hessian"]["block_diagonal_extremes_per_tensor"].clone();
    let flags = flags(name, more, device);
    // The zeros of dead units are a cluster that takes many products to be told apart to more.
    let tol = device.tol.parse::<f64>().unwrap().max(1e-6);
    let asked = tol.to_string();
    let args = ["eigs", "--top", "1", "--bottom", "1", "--tol", &asked, "--per-layer"];
    let report = json(Path::new("."), &args.into_iter().chain(flags.iter().map(String::as_str)).collect::<Vec<_>>());
    let blocks = report["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), exact.as_object().unwrap().len());
    let mut next = 0;
    for block in blocks {
        assert_eq!(
            (block["range"][0].as_u64(), block["range"][1].as_u64()),
            (Some(next), Some(next + block["parameters"].as_u64().unwrap()))
        );
        next = block["range"][1].as_u64().unwrap();
        let exact = &exact[block["name"].as_str().unwrap()];
        let scale = exact["max"].as_f64().unwrap().abs().max(exact["min"].as_f64().unwrap().abs());
        for (end, value) in [("largest", "max"), ("smallest", "min")] {
            let (found, expected) = (block["eigenvalues"][end][0]["value"].as_f64().unwrap(), exact[value].as_f64().unwrap());
            let single = device.tol == "1e-5";
            let least = if single || expected.abs() < tol * scale { tol * scale } else { 0.0 };
            let (error, tolerance) = ((found - expected).abs(), (1e-4 * expected.abs()).max(least));
            assert!(error <= tolerance, "{name} {:?}: {end} of {}: {found} for {expected}: {error:e}", device.flags, block["name"]);
        }
    }
    assert_eq!(report["model"]["parameters"], next);
}

#[test]
fn the_blocks_of_tensors_have_the_extremes_of_the_dense_ones() {
    for device in devices() {
        // Of a software GPU and of the reference the small ones are enough: the larger take minutes.
        let count = if device.flags[1] == "cpu" { FIXTURES.len() } else { 2 };
        FIXTURES[..count].iter().for_each(|(name, more)| check_blocks(name, more, device));
    }
}

/// The twin: blocks of another operator must not pass.
#[test]
#[should_panic(expected = "largest of \"0.weight\"")]
fn blocks_of_another_operator_are_found_out() {
    check_blocks("digits_tanh_32", &["--operator", "ggn"], &DEVICES[1]);
}

/// The twin that keeps the comparison honest: the Hessian of another loss must not pass.
#[test]
#[should_panic(expected = "product 0")]
fn products_of_another_objective_are_found_out() {
    check_products("digits_tanh_32", &["--weight-decay", "1e-3"], &DEVICES[1]);
}

/// 95 % of Student's intervals hold the truth; two standard errors of 32 probes are a little narrower (94.6 %).
#[test]
fn the_exact_trace_is_within_two_standard_errors_about_as_often_as_it_should() {
    let name = "diabetes_silu_16x16";
    let exact = reference(name)["hessian"]["trace"].as_f64().unwrap();
    let flags = flags(name, &[], &DEVICES[1]);
    let within = |seed: u32| {
        let seed = seed.to_string();
        let args: Vec<&str> = ["trace", "--probes", "32", "--seed", &seed].into_iter().chain(flags.iter().map(String::as_str)).collect();
        let report = json(Path::new("."), &args);
        let [mean, error] = ["mean", "std_error"].map(|field| report["trace"][field].as_f64().unwrap());
        (mean - exact).abs() <= 2.0 * error
    };
    let count = (0..100).filter(|&seed| within(seed)).count();
    println!("{count} of 100 seeds within two standard errors");
    assert!((90..=100).contains(&count), "{count} of 100");
}
