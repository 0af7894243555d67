//! Jobs that are killed at any moment and go on: the result has the same bits.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{files, hesper, hesper_ends, json};

/// The program, ready to run in `folder`.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hesper"));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    command.env("XDG_RUNTIME_DIR", runtime).current_dir(folder).args(args).stderr(Stdio::null()).stdout(Stdio::null());
    command
}

/// A file's result without its times, and how many products were resumed.
fn result(path: &Path) -> (Value, u64) {
    let mut report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    report["stats"]["seconds"] = Value::Null;
    let resumed = report["stats"].as_object_mut().unwrap().remove("resumed");
    (report, resumed.and_then(|count| count.as_u64()).unwrap_or_default())
}

/// Whether there is a device for `backend`.
fn is_there(backend: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let there =
        backend != "gpu" || hesper(folder.path(), &["spectrum", "--backend", "gpu", "--samples", "9", "--steps", "2"]).status.success();
    assert!(there || std::env::var_os("HESPER_REQUIRE_GPU").is_none_or(|value| value != "1"), "no adapter");
    if !there {
        println!("SKIPPED: no adapter");
    }
    there
}

/// Waits until the state in `folder` holds some products, or `job` has ended.
fn wait_for_products(folder: &Path, job: &mut Child) {
    // A product of the networks in these tests has 36 KB.
    let products = |file: fs::DirEntry| file.metadata().is_ok_and(|data| data.len() > 100_000);
    while job.try_wait().unwrap().is_none() && !fs::read_dir(folder.join("out/state")).is_ok_and(|files| files.flatten().any(products)) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts the job `args` in `folder` and kills it with SIGKILL after `time`, and where it `must_go_on` not before it has a state to go on
/// from: how soon it has depends on what else the machine does. False if it ended before.
fn is_killed(folder: &Path, args: &[&str], time: Duration, must_go_on: bool) -> bool {
    let mut child = command(folder, args).spawn().unwrap();
    thread::sleep(time.max(Duration::from_millis(1)));
    if must_go_on {
        wait_for_products(folder, &mut child);
    }
    let is_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    is_running
}

/// Kills the job after a share of the time it takes, every other time a second time, and lets it end.
fn killed_at_random(job: &str, args: &[&str], kills: u32) {
    let base = [&[job, "--out", "out", "--checkpoint-interval", "0.05", "--tune", "off", "--quiet"], args].concat();
    let resumed = [&base[..], &["--resume"]].concat();
    let name = format!("out/{job}.json");
    let whole = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    assert!(command(whole.path(), &base).status().unwrap().success());
    let takes = begin.elapsed();
    let expected = result(&whole.path().join(&name)).0;
    assert_eq!(files(&whole.path().join("out")).iter().filter(|file| *file == "state").count(), 0, "the state is gone with the result");
    let mut went_on = 0;
    for kill in 0..kills {
        // Fractions that fill the interval evenly, in no order.
        let share = |at: u32| (f64::from(at) * 0.618_033_988_749_895 + 0.3).fract();
        let mut takes = takes;
        let folder = loop {
            let folder = tempfile::tempdir().unwrap();
            let mut turns = (0..).zip([&base, &resumed].into_iter().take(1 + kill as usize % 2));
            if turns.all(|(turn, args)| is_killed(folder.path(), args, takes.mul_f64(share(kill + 7 * turn)), kill > 0)) {
                break folder;
            }
            // It is faster now than it was.
            takes /= 2;
        };
        assert!(command(folder.path(), &resumed).status().unwrap().success(), "kill {kill} of {job} {args:?}");
        let (found, products) = result(&folder.path().join(&name));
        assert_eq!(found, expected, "kill {kill} of {job} {args:?}");
        assert_eq!(files(&folder.path().join("out")).iter().filter(|file| *file == "state").count(), 0);
        went_on += u32::from(products > 0);
    }
    println!("{job} {args:?}: {kills} kills within {takes:.2?}, {went_on} went on from a state, all ended with the same bits");
    assert!(2 * went_on >= kills, "only {went_on} of {kills} went on");
}

const SPECTRUM: &[&str] = &["--probes", "6", "--steps", "50", "--columns", "2", "--deflate", "8"];

#[test]
fn a_killed_job_ends_with_the_same_bits() {
    killed_at_random("spectrum", &[SPECTRUM, &["--backend", "cpu"]].concat(), 4);
    killed_at_random("eigs", &["--backend", "cpu", "--top", "8", "--bottom", "8"], 2);
    if is_there("gpu") {
        killed_at_random("spectrum", &[SPECTRUM, &["--backend", "gpu", "--samples", "300"]].concat(), 2);
    }
}

#[test]
#[ignore = "takes minutes: scripts/kill-test"]
fn twenty_kills_on_each_backend() {
    for backend in ["cpu", "gpu"].into_iter().filter(|backend| is_there(backend)) {
        let more = &["--backend", backend, "--samples", if backend == "gpu" { "600" } else { "1797" }];
        killed_at_random("spectrum", &[SPECTRUM, more].concat(), 20);
        killed_at_random("trace", &[&["--probes", "200", "--method", "xtrace"], &more[..]].concat(), 20);
    }
}

#[test]
fn a_state_of_another_job_is_refused_and_a_damaged_one_is_not_minded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let base = ["spectrum", "--backend", "cpu", "--out", "out", "--checkpoint-interval", "0.01", "--steps", "50", "--columns", "1"];
    let long = [&base[..], &["--probes", "100000"]].concat();
    let mut child = command(path, &long).spawn().unwrap();
    let state = path.join("out/state");
    let begin = Instant::now();
    while !state.join("job.json").exists() && begin.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = |extra: &[&str], told: &[&str]| {
        let output = hesper(path, &[&base[..], &["--resume"], extra].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.lines().count() == 1, "{message}");
        told.iter().for_each(|told| assert!(message.contains(told), "{told}: {message}"));
    };
    refused(&["--probes", "3"], &["options.probes is 3, in the state 100000", "--resume"]);
    refused(&["--probes", "100000", "--samples", "100"], &["data."]);
    refused(&["--probes", "100000", "--weight-decay", "0.1"], &["loss.weight_decay is 0.1, in the state 0.0"]);
    refused(&["--probes", "100000", "--precision", "f64"], &["backend.", "in the state"]);
    assert!(state.join("job.json").exists(), "a refusal leaves the state alone");
    fs::write(state.join("job.json"), "{ half").unwrap();
    let short = ["spectrum", "--backend", "cpu", "--out", "out", "--steps", "9", "--probes", "3", "--samples", "100"];
    let output = hesper(path, &[&short[..], &["--resume"]].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && message.contains("damaged"), "{message}");
    assert!(!state.exists());
    let plain = json(path, &short[..3].iter().chain(&short[5..]).copied().collect::<Vec<_>>());
    assert_eq!(plain["eigenvalues"], result(&path.join("out/spectrum.json")).0["eigenvalues"]);
    let needs_out = hesper_ends(path, &["spectrum", "--resume"], 2);
    assert!(needs_out.is_empty());
}
