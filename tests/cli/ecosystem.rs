//! How the program gets on with shells, manuals, pipes and logs, and the slices of the landscape.

use std::fs;

use scraper::{Html, Selector};
use serde_json::Value;

use super::program::{files, hesper, hesper_ends, json};

const SMALL: &[&str] = &["--backend", "cpu", "--samples", "200"];

#[test]
fn completions_and_manual_know_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = hesper_ends(folder.path(), &["completions", shell], 0);
        assert!(script.contains("landscape") && script.contains("plane-points"), "{shell}");
    }
    let page = hesper_ends(folder.path(), &["man"], 0);
    assert!(page.starts_with(".ie") && page.contains(".TH hesper 1") && page.contains("spectrum"), "{page}");
    assert!(hesper_ends(folder.path(), &["man", "eigs"], 0).contains("largest\\-magnitude"));
    hesper_ends(folder.path(), &["man", "nothing"], 2);
    hesper_ends(folder.path(), &["completions", "cmd"], 2);
}

/// A log is on standard error, and only where it is asked for; the JSON on standard output stays alone.
#[test]
fn logs_are_for_those_who_ask() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["density", "--probes", "2", "--steps", "5", "--json", "-"];
    let run = |more: &[&str]| {
        let output = hesper(folder.path(), &[&args, SMALL, more].concat());
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run(&[]), "");
    let told = run(&["-v"]);
    assert!(
        told.contains("backend chosen backend=cpu precision=f32 operator=hessian") && told.contains("plan linearization=cached"),
        "{told}"
    );
    assert!(!told.contains("batch of Lanczos runs") && !told.contains('\x1b'), "{told}");
    assert!(run(&["-vv"]).contains("batch of Lanczos runs done first_probe=0 columns=2"));
}

#[test]
fn a_landscape_follows_its_schema_and_its_page_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--points", "9", "--plane-points", "5", "--tol", "1e-3", "--top", "1", "--bottom", "1"];
    let report = json(folder.path(), &[&["landscape", "--out", "out"], &small[..], SMALL].concat());
    assert_eq!(report["schema"], "hesper.landscape/1");
    let slices = report["slices"].as_array().unwrap();
    let names: Vec<_> = slices.iter().map(|slice| slice["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["largest 1", "smallest 1", "random"]);
    let loss = report["loss"]["value"].as_f64().unwrap();
    for slice in slices {
        let [t, losses] = ["t", "loss"].map(|list| slice[list].as_array().unwrap());
        assert_eq!((t.len(), t[4].as_f64()), (9, Some(0.0)));
        // In double precision, while the job's own loss is the backend's.
        assert!((losses[4].as_f64().unwrap() - loss).abs() < 1e-6 * loss);
    }
    // By default the quadratic term doubles the loss at both ends of the sharpest direction.
    let (first, curvature) = (&slices[0], slices[0]["curvature"].as_f64().unwrap());
    assert!((0.5 * curvature * first["t"][8].as_f64().unwrap().powi(2) - loss).abs() < 1e-9);
    assert_eq!(report["plane"]["loss"].as_array().unwrap().len(), 5);
    assert_eq!(report["evaluations"], 3 * 9 + 25);
    assert_eq!(files(&folder.path().join("out")), ["landscape.html", "landscape.json", "landscape.png", "landscape.svg"]);
    let page = fs::read_to_string(folder.path().join("out/landscape.html")).unwrap();
    let html = Html::parse_document(&page);
    assert!(html.errors.is_empty() && html.select(&Selector::parse("figure.chart").unwrap()).count() == 4, "{:?}", html.errors);
    super::report::check(&page, &report);

    // The same vectors from a file give the same slices.
    hesper_ends(
        folder.path(),
        &[&["eigs", "--top", "1", "--bottom", "1", "--tol", "1e-3", "--vectors", "v.npz", "--quiet"], SMALL].concat(),
        0,
    );
    let again = json(folder.path(), &[&["landscape", "--vectors", "v.npz", "--plane", "1,3"], &small[..], SMALL].concat());
    let curvature = |report: &Value| report["slices"][1]["curvature"].as_f64().unwrap();
    assert!((curvature(&again) - curvature(&report)).abs() < 1e-6);
    assert_eq!(again["plane"]["directions"], serde_json::json!([1, 3]));
    hesper_ends(folder.path(), &[&["landscape", "--plane", "1,4"], &small[..], SMALL].concat(), 2);
    let table = hesper_ends(folder.path(), &[&["landscape", "--range", "0.01"], &small[..], SMALL].concat(), 0);
    assert!(table.contains("all along") && table.contains("smallest 1"), "{table}");
}
