//! Training, following a run's spectrum, and job files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::program::{files, hesper, hesper_ends, json};
use super::report;

const TRAIN: &[&str] = &["train", "--backend", "cpu", "--samples", "200", "--shape", "64-16-10", "--lr", "0.5", "--steps", "30"];

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Without the times, wherever they are.
fn timeless(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.remove("seconds");
                object.remove("threads");
                object.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

#[test]
fn training_learns_and_its_checkpoints_are_tracked_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let table = hesper_ends(path, &[TRAIN, &["--track-every", "15", "--save-every", "15", "--out", "run"]].concat(), 0);
    assert!(table.contains("lr*max/2") && table.contains("edge of stability"), "{table}");
    let report = read(&path.join("run/train.json"));
    let loss = |step: usize| report["history"][step]["loss"].as_f64().unwrap();
    assert!(report["history"].as_array().unwrap().len() == 30 && loss(0) > 2.2 && loss(29) < 0.6 * loss(0), "{} {}", loss(0), loss(29));
    assert_eq!(report["stability_threshold"], 4.0);
    assert_eq!(report["options"]["save_every"], 15);
    let names = files(&path.join("run"));
    assert_eq!(
        names,
        [
            "loss.csv",
            "step-000000.safetensors",
            "step-000015.safetensors",
            "step-000030.safetensors",
            "track.csv",
            "train.html",
            "train.json"
        ]
    );
    let (page, json_beside) = report::read(&path.join("run"), "train.html");
    assert!(report::check(&page, &json_beside) > 60 && page.contains("Loss while training"));
    // Whatever the threads.
    let single = json(path, &[TRAIN, &["--track-every", "15", "--threads", "1"]].concat());
    let together = json(path, &[TRAIN, &["--track-every", "15", "--threads", "2"]].concat());
    assert_eq!(timeless(single.clone()), timeless(together));
    assert_eq!(timeless(single["track"].clone()), timeless(report["track"].clone()));

    // The checkpoints are what was trained.
    let track = ["track", "--backend", "cpu", "--samples", "200", "--lr", "0.5", "--out", "tracked", "--quiet"];
    hesper_ends(path, &[&track[..], &["run/step-000000.safetensors", "run/step-000030.safetensors"]].concat(), 0);
    let lines = || fs::read_to_string(path.join("tracked/track.jsonl")).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let two = lines();
    hesper_ends(path, &[&track[..], &["run"]].concat(), 0);
    assert!(lines().len() == 3 && lines()[..2] == two[..], "one checkpoint was added, one line");
    let tracked = read(&path.join("tracked/track.json"));
    assert_eq!((&tracked["schema"], &tracked["stability_threshold"]), (&"hesper.track/1".into(), &4.0.into()));
    assert_eq!(tracked["edge"]["last"].as_f64().unwrap(), tracked["checkpoints"][2]["largest"][0]["value"].as_f64().unwrap() / 4.0);
    let (page, json_beside) = report::read(&path.join("tracked"), "track.html");
    assert!(report::check(&page, &json_beside) > 60 && page.contains("edge of stability") && page.contains("--lr 0.5"));
    assert!(files(&path.join("tracked")).contains(&"track.svg".to_owned()));
    for (point, trained) in tracked["checkpoints"].as_array().unwrap().iter().zip(report["track"].as_array().unwrap()) {
        assert_eq!(point["step"], trained["step"]);
        assert_eq!((&point["loss"], &point["gradient_norm"]), (&trained["loss"], &trained["gradient_norm"]));
        let largest = |point: &Value| ["value", "residual"].map(|key| point["largest"][0][key].as_f64().unwrap());
        let ([value, residual], [other, also]) = (largest(point), largest(trained));
        assert!((value - other).abs() <= residual + also, "{value} {other}");
        assert_eq!(point["trace"], trained["trace"], "the same probes");
    }
    hesper_ends(path, &[&track[..], &["run"]].concat(), 0);
    assert_eq!((lines().len(), read(&path.join("tracked/track.json"))), (3, tracked), "nothing was left to do");
    let header = fs::read_to_string(path.join("tracked/track.csv")).unwrap();
    assert!(header.starts_with("step,loss,gradient_norm,largest,") && header.lines().count() == 4);
    let none = hesper(path, &["track", "nothing-*.safetensors"]);
    assert!(none.status.code() == Some(2) && String::from_utf8_lossy(&none.stderr).contains("no checkpoint"));
}

#[test]
fn killed_training_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let args = [TRAIN, &["--optimizer", "adam", "--batch-size", "50", "--track-every", "100", "--quiet", "--checkpoint-interval", "0.02"]]
        .concat();
    let args: Vec<_> = args
        .iter()
        .map(|&arg| {
            if arg == "30" {
                "400"
            } else if arg == "0.5" {
                "0.003"
            } else {
                arg
            }
        })
        .collect();
    hesper_ends(folder.path(), &[&args[..], &["--out", "whole"]].concat(), 0);
    let state = folder.path().join("killed/state/job.json");
    for _ in 0..2 {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("hesper"))
            .args(&args)
            .args(["--out", "killed", "--resume"])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..1000 {
            if state.exists() || child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(state.exists());
    }
    hesper_ends(folder.path(), &[&args[..], &["--out", "killed", "--resume"]].concat(), 0);
    let [whole, killed] = ["whole", "killed"].map(|out| timeless(read(&folder.path().join(out).join("train.json"))));
    assert_eq!(whole, killed);
    let last = "step-000400.safetensors";
    assert_eq!(fs::read(folder.path().join("whole").join(last)).unwrap(), fs::read(folder.path().join("killed").join(last)).unwrap());
    assert!(!state.exists());
}

/// Whatever a model file describes can be trained, and its checkpoints describe themselves.
#[test]
fn a_residual_network_is_trained_and_tracked() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = |kind: &str| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/networks/residual.").to_owned() + kind;
    let (model, data) = (fixture("safetensors"), fixture("npz"));
    let problem = ["--data", &data, "--backend", "cpu", "--quiet"];
    let args = ["train", "--model", &model, "--lr", "0.01", "--steps", "20", "--track-every", "20", "--out", "run"];
    hesper_ends(folder.path(), &[&args[..], &problem].concat(), 0);
    let trained = read(&folder.path().join("run/train.json"));
    let loss = |at: usize| trained["track"][at]["loss"].as_f64().unwrap();
    assert!(loss(1) < loss(0), "{} {}", loss(0), loss(1));
    hesper_ends(folder.path(), &[&["track", "run", "--out", "tracked"], &problem[..]].concat(), 0);
    let tracked = read(&folder.path().join("tracked/track.json"));
    for at in [0, 1] {
        assert_eq!(tracked["checkpoints"][at]["loss"], trained["track"][at]["loss"]);
    }
}

#[test]
fn diverging_training_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let args =
        ["train", "--backend", "cpu", "--samples", "100", "--shape", "64-8-10", "--activation", "relu", "--lr", "1e30", "--steps", "50"];
    let output = hesper(folder.path(), &[&args[..], &["--json", "-"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["diverged"] == true && report["warnings"][0].as_str().unwrap().contains("--lr"), "{}", report["warnings"]);
}

/// A folder is followed while it fills, half-written files included, and the watch ends when nothing more comes.
#[test]
fn a_folder_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    hesper_ends(path, &[TRAIN, &["--save-every", "15", "--out", "run", "--quiet"]].concat(), 0);
    fs::create_dir(path.join("live")).unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("hesper"))
        .args(["track", "live", "--watch", "--idle", "4", "--backend", "cpu", "--samples", "200", "--json", "-", "--out", "tracked"])
        .current_dir(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for step in ["000000", "000015", "000030"] {
        let name = format!("step-{step}.safetensors");
        let whole = fs::read(path.join("run").join(&name)).unwrap();
        fs::write(path.join("live").join(&name), &whole[..whole.len() / 2]).unwrap();
        thread::sleep(Duration::from_millis(700));
        fs::write(path.join("live").join(&name), whole).unwrap();
    }
    let has_all = || fs::read_to_string(path.join("tracked/track.html")).is_ok_and(|page| page.contains("3 checkpoints"));
    while !has_all() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(has_all() && child.try_wait().unwrap().is_none(), "the report is there while the watch goes on");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps: Vec<_> = report["checkpoints"].as_array().unwrap().iter().map(|point| point["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 15, 30]);
}

/// Every command that computes says beforehand what it will take.
#[test]
fn every_job_can_be_planned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("v.npy"), super::program::npy(&[8970], &[1.0_f32; 8970])).unwrap();
    hesper_ends(path, &["train", "--lr", "0.1", "--steps", "1", "--backend", "cpu", "--samples", "50", "--out", "run", "--quiet"], 0);
    let before = files(path);
    let shape = ["--shape", "64-8-10", "--activation", "tanh", "--lr", "0.1", "--steps", "5"];
    for args in [
        &["spectrum", "--per-layer", "--batch-size", "20"][..],
        &["eigs", "--vectors", "x.npz"],
        &["trace", "--diagonal", "d.npz"],
        &["density"],
        &["exact"],
        &["hierarchy"],
        &["landscape"],
        &["hvp", "--vector", "v.npy", "--out", "hv.npy"],
        &["validate"],
        &["calibrate"],
        &["track", "run"],
        &[&["train", "--track-every", "2"], &shape[..]].concat(),
        &[&["train"], &shape[..]].concat(),
    ] {
        let told = hesper_ends(path, &[args, &["--backend", "cpu", "--samples", "50", "--plan"]].concat(), 0);
        assert!(told.contains("linearization") && told.contains("total bytes") && !told.contains("took"), "{args:?}: {told}");
    }
    assert!(hesper_ends(path, &["bench", "--backend", "cpu", "--plan"], 0).contains("total bytes"));
    let small = hesper(path, &["eigs", "--plan", "--memory-budget", "1MiB", "--backend", "cpu"]);
    assert!(small.status.code() == Some(2) && String::from_utf8_lossy(&small.stderr).contains("memory-budget"));
    assert_eq!(files(path), before, "nothing was written");
}

#[test]
fn a_job_file_runs_every_combination() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("jobs")).unwrap();
    let text = "[defaults]\nbackend = 'cpu'\nsamples = 100\nout = 'results'\n\
                [[job]]\ncommand = 'spectrum'\nname = 'small'\nprobes = 3\nsteps = 10\n[job.matrix]\nseed = [0, 1]\n\
                [[job]]\ncommand = 'trace'\nname = 'bad'\nmodel = 'missing.safetensors'\nout = 'bad'\n\
                [[job]]\ncommand = 'eigs'\nname = 'last'\ntop = 1\nbottom = 0\nout = 'last'\n";
    fs::write(path.join("jobs/all.toml"), text).unwrap();
    // What would fail is found, and what comes after it is planned all the same.
    let dry = hesper_ends(path, &["run", "jobs/all.toml", "--dry-run"], 2);
    assert!(dry.contains("hesper spectrum '--backend=cpu' '--out=jobs/results/small-seed-1' '--samples=100'"), "{dry}");
    assert_eq!(dry.matches("total bytes").count(), 3, "{dry}");
    assert!(!path.join("jobs/results").exists() && !path.join("jobs/last").exists());
    let output = hesper(path, &["run", "jobs/all.toml", "--json", "summary.json"]);
    assert_eq!(output.status.code(), Some(2));
    let summary = read(&path.join("summary.json"));
    let codes: Vec<_> = summary["jobs"].as_array().unwrap().iter().map(|job| job["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 0, 2, 0], "one failure does not stop the others");
    assert_eq!(summary["jobs"][1]["out"], "jobs/results/small-seed-1");
    assert_eq!(read(&path.join("jobs/results/small-seed-1/spectrum.json"))["options"]["seed"], 1);
    hesper(path, &["run", "jobs/all.toml", "--fail-fast", "--json", "summary.json", "--quiet"]);
    assert_eq!(read(&path.join("summary.json"))["jobs"][3]["exit_code"], Value::Null);
    fs::write(path.join("wrong.toml"), "[[job]]\ncommand = 'spectrum'\nprobs = 3\n").unwrap();
    let wrong = hesper(path, &["run", "wrong.toml"]);
    let message = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(2) && message.contains("--probs") && message.lines().count() == 1, "{message}");
}
