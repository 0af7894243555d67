//! The house rules that a compiler does not know: who may import whom, what only the gpu backend may name, how long a file may be.
//!
//! The rules are checked on the tokens of the sources, comments and strings left out. `crate::`, `hesper::` and `super::` paths
//! count, in `use` items and in expressions, tests inside `src` included.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

use imports::{foreign_names, imports};

/// Who may import whom: a module, and the modules whose names it may use. Everything lower in the house that is not listed is
/// left out on purpose; widening a row is a decision about the house.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("numeric", &["error"]),
    ("rng", &["numeric", "error"]),
    ("krylov", &["numeric", "rng", "error"]),
    ("estimate", &["krylov", "numeric", "rng", "error"]),
    ("model", &["numeric", "error"]),
    ("curvature", &["krylov", "model", "numeric", "rng", "error"]),
    ("backend", &["curvature", "krylov", "model", "numeric", "rng", "error"]),
    ("data", &["curvature", "model", "numeric", "error"]),
    ("job", &["backend", "curvature", "krylov", "estimate", "model", "numeric", "rng", "error"]),
    ("report", &["job", "backend", "curvature", "krylov", "estimate", "model", "numeric", "rng", "error"]),
    ("cli", &["job", "report", "data", "backend", "curvature", "krylov", "estimate", "model", "numeric", "rng", "error"]),
    ("main", &["cli"]),
];

/// Sources that may be longer than [`MAX_LINES`], each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

const MAX_LINES: usize = 500;

/// What is wrong with the imports of `text`, the source at `path` relative to `src` ("krylov/lanczos.rs").
fn findings(path: &str, text: &str) -> Vec<String> {
    let home: Vec<&str> = path.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
    let root = home[0];
    let mut findings = Vec::new();
    if root != "lib" {
        let Some((_, allowed)) = ALLOWED.iter().find(|(module, _)| *module == root) else {
            return vec![format!("src/{path}: module {root} has no row in ALLOWED")];
        };
        for target in imports(&home, text) {
            let first = target[0].as_str();
            let is_module = ALLOWED.iter().any(|(module, _)| *module == first);
            if is_module && first != root && !allowed.contains(&first) {
                findings.push(format!("src/{path}: {root} must not use {first} (crate::{})", target.join("::")));
            }
            if let (["backend", home, ..], Some(other)) = (&home[..], target.get(1))
                && first == "backend"
                && ["gpu", "cpu", "reference"].contains(&other.as_str())
                && home != other
            {
                findings.push(format!("src/{path}: backends must not use one another (crate::{})", target.join("::")));
            }
        }
    }
    if !path.starts_with("backend/gpu/") && foreign_names(text).iter().any(|name| name == "wgpu") {
        findings.push(format!("src/{path}: only backend/gpu may name wgpu"));
    }
    findings
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let name = |path: &Path| {
        let relative = path.strip_prefix(&root).unwrap();
        relative.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/")
    };
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn imports_run_downwards_only() {
    let sources = all_sources();
    assert!(sources.len() > 15, "only {} sources found", sources.len());
    let findings: Vec<_> = sources.iter().flat_map(|(path, text)| findings(path, text)).collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn sources_are_short() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > MAX_LINES && !LONG_FILES.iter().any(|(exception, _)| exception == path))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines: split, or give a reason in LONG_FILES: {long:?}");
}

#[test]
fn the_table_only_points_downwards() {
    for (at, (module, allowed)) in ALLOWED.iter().enumerate() {
        for target in *allowed {
            assert!(ALLOWED[..at].iter().any(|(lower, _)| lower == target), "{module} → {target}");
        }
    }
}

/// The twin that keeps the comparison honest: each of these must be found.
#[test]
fn forbidden_imports_are_found() {
    for (path, text) in [
        ("krylov/lanczos.rs", "use crate::model::Network;"),
        ("krylov/lanczos.rs", "use crate::{\n    error::Result,\n    backend::{cpu},\n};"),
        ("krylov/lanczos.rs", "fn f() { let n = crate::model::Loss::Mse; }"),
        ("krylov/lanczos.rs", "use super::super::model;"),
        ("krylov/mod.rs", "use super::model;"),
        ("krylov/mod.rs", "mod tests { use super::super::model; }"),
        ("estimate/trace.rs", "use wgpu::Device;"),
        ("job/mod.rs", "pub fn f(device: &wgpu::Device) {}"),
        ("backend/cpu/mod.rs", "use crate::backend::reference::Reference;"),
        ("backend/cpu/gemm.rs", "use super::super::reference;"),
        ("backend/gpu/mod.rs", "use super::{cpu, BackendKind};"),
        ("backend/mod.rs", "use crate::job::Progress;"),
        ("data/npz.rs", "use crate::job;"),
        ("main.rs", "use hesper::backend::run;"),
        ("brand_new/mod.rs", ""),
    ] {
        assert_eq!(findings(path, text).len(), 1, "{path}: {text}: {:?}", findings(path, text));
    }
}

#[test]
fn allowed_imports_are_not() {
    for (path, text) in [
        ("krylov/lanczos.rs", "use super::operator::Block; use crate::error::{Error, Result};"),
        (
            "krylov/lanczos.rs",
            "//! As [`crate::backend`] says.\n/* crate::job /* crate::cli */ */ fn f() { g(\"crate::data\"); g(r#\"wgpu::\"#); }",
        ),
        ("krylov/lanczos.rs", "fn f<'a>(x: &'a str) -> char { '\"' } use crate::rng;"),
        ("krylov/lanczos.rs", "mod tests { use super::*; use super::super::space::Slot; }"),
        ("backend/gpu/device.rs", "use wgpu::Device; use super::super::BackendKind; use crate::backend::BackendOptions;"),
        ("backend/mod.rs", "use crate::backend::cpu; mod gpu;"),
        ("cli/mod.rs", "use crate::{job, report}; use crate::data::load;"),
        ("main.rs", "use hesper::cli;"),
        ("lib.rs", "pub use error::{Error, Result};"),
    ] {
        assert_eq!(findings(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
