//! What Ctrl-C does to a long job.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// A job of hours, interrupted, is gone and has written nothing. A GPU is left with at most two submissions of a tenth of a second.
#[test]
fn an_interrupted_job_ends_and_writes_nothing() {
    for backend in ["cpu", "gpu"] {
        let folder = tempfile::tempdir().unwrap();
        // Whoever runs the tests in the background has them, and all that they start, ignore the signal.
        let mut child = Command::new("env")
            .arg("--default-signal=INT")
            .arg(assert_cmd::cargo::cargo_bin!("hesper"))
            .args(["spectrum", "--backend", backend, "--probes", "1000000", "--steps", "50", "--json", "result.json"])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_secs(2));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(backend == "gpu" && status.code() == Some(2), "{backend}: {status}");
            println!("SKIPPED: no adapter");
            continue;
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(2), "{backend}: ended by the signal, which shells report as 130");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{backend}: a file was left");
    }
}
