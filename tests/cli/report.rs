//! The pages and images of `--out`: whole, self-contained, and with no number that the JSON beside them has not.

use std::fs;
use std::path::Path;

use scraper::{Html, Selector};
use serde_json::Value;

use super::program::{fixture, hesper_ends, npy};

const SMALL: &[&str] = &["--backend", "cpu", "--samples", "200"];

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

/// What is at `path`; a star leads to the first element of a list.
fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.replace('*', "0");
    path.split('.').try_fold(json, |value, key| key.parse::<usize>().ok().and_then(|index| value.get(index)).or_else(|| value.get(key)))
}

/// What `text` says, and half a unit of its last digit; none where it has a unit.
fn shown(text: &str) -> Option<(f64, f64)> {
    let (text, scale) = text.strip_suffix(" %").map_or((text, 1.0), |text| (text, 0.01));
    let plain = text.replace('\u{2212}', "-").replace(',', "");
    let value: f64 = plain.parse().ok()?;
    let (mantissa, power) = plain.split_once('e').unwrap_or((&plain, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let unit = 10.0_f64.powi(power.parse::<i32>().unwrap() - i32::try_from(decimals).unwrap());
    Some((value * scale, 0.5 * unit * scale))
}

/// Checks the page against the document, and yields how many numbers it shows.
pub(crate) fn check(page: &str, json: &Value) -> usize {
    let html = Html::parse_document(page);
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    for forbidden in ["http://", "https://", " src=", "url(", "@import", "<link", "<img", "<iframe"] {
        assert!(!page.contains(forbidden), "the page has '{forbidden}'");
    }
    let mut count = 0;
    for element in html.select(&selector("data")) {
        let (path, written) = (element.attr("data-path").unwrap(), element.attr("value").unwrap());
        let number = at(json, path).unwrap_or_else(|| panic!("no {path} in the JSON"));
        assert_eq!(&serde_json::from_str::<Value>(written).unwrap(), number, "{path}");
        let text: String = element.text().collect();
        if let Some((value, half)) = shown(&text) {
            let exact = number.as_f64().unwrap();
            assert!((value - exact).abs() <= half * 1.000_001 + 1e-15 * exact.abs(), "{path} is {exact}, shown as {text}");
        }
        count += 1;
    }
    for figure in html.select(&selector("figure.chart")) {
        let layers: Value = serde_json::from_str(figure.attr("data-layers").unwrap()).unwrap();
        for layer in layers.as_array().unwrap() {
            let lists = layer["y"].as_array().unwrap().iter().chain([&layer["x"]]).map(|path| path.as_str().unwrap());
            for path in lists.filter(|path| !path.is_empty()) {
                let is_there = if path.contains('*') { Value::is_number } else { Value::is_array };
                assert!(at(json, path).is_some_and(is_there), "{path}");
            }
        }
        let path = figure.select(&selector("svg path.line, svg path.points")).next().unwrap();
        assert!(path.attr("d").unwrap().starts_with('M'));
    }
    let embedded: String = html.select(&selector("script#report")).next().unwrap().text().collect();
    assert_eq!(&serde_json::from_str::<Value>(&embedded).unwrap(), json);
    count
}

pub(crate) fn read(folder: &Path, name: &str) -> (String, Value) {
    let page = fs::read_to_string(folder.join(name)).unwrap();
    let json = if name == "report.html" { "spectrum.json".to_owned() } else { name.replace("html", "json") };
    (page, serde_json::from_slice(&fs::read(folder.join(json)).unwrap()).unwrap())
}

#[test]
fn every_number_of_a_page_is_the_json_s() {
    let folder = tempfile::tempdir().unwrap();
    for (args, name, least) in [
        (&["spectrum", "--probes", "3", "--steps", "40", "--above", "0.5"][..], "report.html", 80),
        (&["spectrum", "--probes", "1", "--steps", "3", "--deflate", "0", "--top", "0", "--bottom", "0"], "report.html", 30),
        (&["spectrum", "--probes", "2", "--steps", "20", "--operator", "ggn", "--damping", "0.1"], "report.html", 80),
        (&["density", "--probes", "2", "--steps", "10"], "density.html", 15),
        (&["eigs", "--top", "2", "--bottom", "1", "--tol", "1e-3"], "eigs.html", 40),
        (&["trace", "--probes", "4"], "trace.html", 15),
        (&["bench", "--shape", "8-16-4", "--runs", "3"], "bench.html", 10),
    ] {
        hesper_ends(folder.path(), &[args, SMALL, &["--out", "out", "--quiet"]].concat(), 0);
        let (page, json) = read(&folder.path().join("out"), name);
        let count = check(&page, &json);
        assert!(count >= least, "{args:?}: {count} numbers");
    }
}

/// The twin that keeps the comparison honest.
#[test]
#[should_panic(expected = "trace.mean")]
fn another_number_is_found() {
    let folder = tempfile::tempdir().unwrap();
    hesper_ends(folder.path(), &[&["trace", "--probes", "4", "--out", "out", "--quiet"], SMALL].concat(), 0);
    let (page, mut json) = read(&folder.path().join("out"), "trace.html");
    json["trace"]["mean"] = Value::from(json["trace"]["mean"].as_f64().unwrap() * (1.0 + 1e-12));
    check(&page, &json);
}

#[test]
fn names_of_files_are_text_and_the_command_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let name = "<b>it's & \"x\".safetensors";
    fs::copy(fixture("digits_tanh_32", "model.safetensors"), folder.path().join(name)).unwrap();
    fs::copy(fixture("digits_tanh_32", "data.npz"), folder.path().join("<i>.npz")).unwrap();
    let args = ["density", "--model", name, "--data", "<i>.npz", "--loss", "cross-entropy", "--activation", "tanh", "--out", "a b"];
    hesper_ends(folder.path(), &[&args[..], SMALL, &["--probes", "2", "--steps", "40"]].concat(), 0);
    let (page, json) = read(&folder.path().join("a b"), "density.html");
    check(&page, &json);
    let html = Html::parse_document(&page);
    assert!(html.select(&selector("b, i")).next().is_none());
    let command: String = html.select(&selector("#command")).next().unwrap().text().collect();
    let words = shlex::split(&command).unwrap();
    assert_eq!(words[0], "hesper");
    assert_eq!(words[1..words.len() - 8], args);
    let svg = fs::read_to_string(folder.path().join("a b/density.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>") && svg.contains("known eigenvalues"));
    let png = fs::read(folder.path().join("a b/density.png")).unwrap();
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!([&png[16..20], &png[20..24]].map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap())), [1600, 920]);
}

/// A job that fails leaves nothing, and vectors go where they are said to.
#[test]
fn vectors_are_written_where_asked_and_failures_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["spectrum", "--backend", "cpu", "--samples", "100", "--probes", "2", "--steps", "20", "--quiet"];
    hesper_ends(folder.path(), &[&small[..], &["--out", "out", "--vectors"]].concat(), 0);
    let mut archive = npyz::npz::NpzArchive::open(folder.path().join("out/eigenvectors.npz")).unwrap();
    let values: Vec<f64> = archive.by_name("values").unwrap().unwrap().into_vec().unwrap();
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out/spectrum.json")).unwrap()).unwrap();
    assert_eq!(Some(values[0]), json["eigenvalues"]["largest"][0]["value"].as_f64());
    assert_eq!(archive.by_name("vectors").unwrap().unwrap().shape(), [values.len() as u64, 8970]);
    assert_eq!(json["eigenvalues"]["largest"][0]["mass"].as_array().unwrap().len(), json["tensors"].as_array().unwrap().len());
    hesper_ends(folder.path(), &[&small[..], &["--vectors"]].concat(), 2);
    fs::write(folder.path().join("nan.npy"), npy(&[100, 64], &[f32::NAN; 6400])).unwrap();
    fs::write(folder.path().join("y.npy"), npy(&[100], &[1_i64; 100])).unwrap();
    fs::copy(fixture("digits_tanh_32", "model.safetensors"), folder.path().join("m.safetensors")).unwrap();
    let args = ["--model", "m.safetensors", "--activation", "tanh", "--loss", "cross-entropy", "--x", "nan.npy", "--y", "y.npy"];
    hesper_ends(folder.path(), &[&["spectrum", "--out", "failed"], &args[..]].concat(), 2);
    assert_eq!(fs::read_dir(folder.path().join("failed")).unwrap().count(), 0);
}
