//! Jobs that end at every product and go on: the result is that of the run that did not.

use std::cell::Cell;

use super::*;
use crate::curvature::BackendInfo;
use crate::error::Error;
use crate::job::test_support::context;
use crate::job::{EigsMethod, EigsOptions, SamplingOptions, SpectrumOptions, TraceOptions, eigs, spectrum, trace};
use crate::krylov::test_support::{Columns, HostSpace, MatrixOperator};
use crate::krylov::{LinearOperator, Slot};

/// An operator that fails when its products are used up.
struct Mortal {
    operator: MatrixOperator,
    left: Cell<u64>,
    adapter: &'static str,
}

impl LinearOperator for Mortal {
    type Space = HostSpace;

    fn space(&self) -> &HostSpace {
        self.operator.space()
    }

    fn apply(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| Error::Device("killed".into()))?;
        self.left.set(left);
        self.operator.apply(x, y)
    }
}

impl CurvatureOperator for Mortal {
    fn loss_and_gradient(&self, gradient: &mut Columns, s: &mut Vec<Vec<f64>>, loss: Slot) -> Result<()> {
        self.operator.loss_and_gradient(gradient, s, loss)
    }

    fn products(&self) -> u64 {
        self.operator.products()
    }

    fn bytes(&self) -> usize {
        1000
    }

    fn info(&self) -> BackendInfo {
        BackendInfo { adapter: Some(self.adapter.into()), ..CurvatureOperator::info(&self.operator) }
    }

    fn is_synchronous(&self) -> bool {
        true
    }
}

fn mortal(seed: u32, left: u64) -> Mortal {
    let entry = |i: u32, j: u32| (f64::from(i * j + seed) * 0.37).sin() + f64::from(u8::from(i == j)) * f64::from(i);
    let rows = (0..30).flat_map(|i| (0..30).map(move |j| entry(i, j))).collect();
    Mortal { operator: MatrixOperator::dense(30, rows), left: Cell::new(left), adapter: "test" }
}

fn identity() -> Identity {
    Identity(serde_json::json!({ "command": "test", "options": { "probes": 3 } }))
}

fn state(folder: &Path, resume: bool) -> State {
    State::open(&folder.join("state"), Duration::ZERO, resume, identity()).unwrap()
}

fn on<T>(operator: &Mortal, state: Option<&State>, job: impl FnOnce(&Journal<'_, Mortal>) -> Result<T>) -> Result<T> {
    let journal = Journal::new(operator, state)?;
    let result = job(&journal)?;
    journal.finish()?;
    Ok(result)
}

/// The report without its times; what was resumed is taken out and returned.
fn plain(report: &impl Serialize) -> (Value, u64) {
    let mut json = serde_json::to_value(report).unwrap();
    json["stats"]["seconds"] = Value::Null;
    let resumed = json["stats"].as_object_mut().unwrap().remove("resumed").and_then(|count| count.as_u64());
    (json, resumed.unwrap_or_default())
}

fn killed_everywhere<T: Serialize>(job: impl Fn(&Journal<'_, Mortal>) -> Result<T>) {
    let whole = plain(&on(&mortal(0, u64::MAX), None, &job).unwrap()).0;
    let count = whole["stats"]["hvps"].as_u64().unwrap();
    let mut deepest = 0;
    // Blocks of two columns: some twenty kills, or one behind each block.
    let step = usize::try_from(count / 40).unwrap().max(1);
    for first in (0..).step_by(step) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        if on(&mortal(0, first), Some(&state(path, false)), &job).is_ok() {
            break;
        }
        // Killed a second time, further on.
        let resumed_once = on(&mortal(0, first.div_ceil(2)), Some(&state(path, true)), &job);
        let (found, resumed) = match resumed_once {
            Ok(report) => plain(&report),
            Err(_) => plain(&on(&mortal(0, u64::MAX), Some(&state(path, true)), &job).unwrap()),
        };
        assert_eq!(found, whole, "killed after {first} products");
        assert!(resumed < count && (first == 0 || resumed > 0), "{resumed} of {count}");
        deepest = deepest.max(resumed);
    }
    assert!(2 * deepest > count, "{deepest} of {count}");
}

#[test]
fn a_killed_spectrum_ends_the_same() {
    let sampling = SamplingOptions { probes: 5, steps: 12, deflate: 2, columns: Some(2), ..SamplingOptions::default() };
    let options = SpectrumOptions { sampling, ..SpectrumOptions::default() };
    killed_everywhere(|operator| spectrum(operator, &context(), &options, None));
}

#[test]
fn a_killed_search_ends_the_same() {
    let options = EigsOptions { top: 2, bottom: 1, basis: Some(12), block: 2, ..EigsOptions::default() };
    killed_everywhere(|operator| eigs(operator, &context(), &options, &[], None));
}

/// The state of a search is cut at each restart: it holds what a restart leaves and the products since.
#[test]
fn a_search_keeps_what_it_needs() {
    let options = EigsOptions { top: 2, bottom: 1, basis: Some(12), ..EigsOptions::default() };
    let search = |operator: &Journal<'_, Mortal>| eigs(operator, &context(), &options, &[], None);
    let report = on(&mortal(0, u64::MAX), None, search).unwrap();
    let count = report.products.search as u64;
    assert!(report.restarts > 2 && count > 24, "{} restarts, {count} products", report.restarts);
    for left in [count - 1, count / 2] {
        let folder = tempfile::tempdir().unwrap();
        assert!(on(&mortal(0, left), Some(&state(folder.path(), false)), search).is_err());
        let records = Log::open(&folder.path().join("state")).unwrap().1.len();
        assert!((2..=13).contains(&records), "{records} records of {left} products");
        let (found, resumed) = plain(&on(&mortal(0, u64::MAX), Some(&state(folder.path(), true)), search).unwrap());
        assert_eq!((found, resumed), (plain(&report).0, left));
    }
}

/// So is that of a power iteration, after some products, within one pair and from one to the next.
#[test]
fn a_power_iteration_keeps_what_it_needs() {
    let magnitudes = Some(2);
    let options = EigsOptions { method: EigsMethod::Power, largest_magnitude: magnitudes, tol: Some(1e-3), ..EigsOptions::default() };
    let search = |operator: &Journal<'_, Mortal>| eigs(operator, &context(), &options, &[], None);
    let report = plain(&on(&mortal(0, u64::MAX), None, search).unwrap()).0;
    let count = report["products"]["search"].as_u64().unwrap();
    assert!(count > 150, "{count} products");
    for left in [60, count / 2, count - 1] {
        let folder = tempfile::tempdir().unwrap();
        assert!(on(&mortal(0, left), Some(&state(folder.path(), false)), search).is_err());
        let records = Log::open(&folder.path().join("state")).unwrap().1.len();
        assert!((2..=51).contains(&records), "{records} records of {left} products");
        let found = plain(&on(&mortal(0, u64::MAX), Some(&state(folder.path(), true)), search).unwrap());
        assert_eq!(found, (report.clone(), left));
    }
}

#[test]
fn a_killed_trace_ends_the_same() {
    for method in [crate::estimate::TraceMethod::Hutchinson, crate::estimate::TraceMethod::XTrace] {
        let options = TraceOptions { method, probes: 9, columns: Some(2), ..TraceOptions::default() };
        killed_everywhere(|operator| trace(operator, &context(), &options, None));
    }
}

/// A disc that is full, a folder that is taken away: the result is that of a run without a state.
#[test]
fn a_state_that_cannot_be_written_does_not_end_the_job() {
    let whole = plain(&on(&mortal(0, u64::MAX), None, search).unwrap()).0;
    let folder = tempfile::tempdir().unwrap();
    let state = state(folder.path(), false);
    let found = on(&mortal(0, u64::MAX), Some(&state), |operator| {
        fs::remove_dir_all(folder.path().join("state")).unwrap();
        fs::write(folder.path().join("state"), b"").unwrap();
        search(operator)
    });
    assert_eq!(plain(&found.unwrap()).0, whole);
    state.remove().unwrap();
}

fn search(operator: &Journal<'_, Mortal>) -> Result<crate::job::EigsReport> {
    eigs(operator, &context(), &EigsOptions { top: 1, bottom: 1, ..EigsOptions::default() }, &[], None)
}

#[test]
fn another_course_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    assert!(on(&mortal(0, 12), Some(&state(folder.path(), false)), search).is_err());
    // Whoever starts elsewhere multiplies other vectors.
    let options = EigsOptions { top: 1, bottom: 1, seed: 1, ..EigsOptions::default() };
    let other = on(&mortal(0, 100), Some(&state(folder.path(), true)), |operator| eigs(operator, &context(), &options, &[], None));
    let message = other.unwrap_err().to_string();
    assert!(message.contains("another course") && message.contains("--resume"), "{message}");
    // Whoever ends before all was used, as well.
    let none = on(&mortal(0, 100), Some(&state(folder.path(), true)), |_| Ok(()));
    assert!(none.unwrap_err().to_string().contains("another course"));
}

#[test]
fn another_job_is_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    assert!(on(&mortal(0, 12), Some(&state(folder.path(), false)), search).is_err());
    let other = Identity(serde_json::json!({ "command": "test", "options": { "probes": 4 } }));
    let path = folder.path().join("state");
    let refused = State::open(&path, Duration::ZERO, true, other.clone()).unwrap_err().to_string();
    assert!(refused.contains("options.probes is 4, in the state 3"), "{refused}");
    let elsewhere = Mortal { adapter: "another", ..mortal(0, 100) };
    let refused = on(&elsewhere, Some(&state(folder.path(), true)), search).unwrap_err().to_string();
    assert!(refused.contains("backend.adapter is \"another\", in the state \"test\""), "{refused}");
    // Without --resume it is only told, and replaced.
    let fresh = State::open(&path, Duration::ZERO, false, other).unwrap();
    assert!(fresh.notes()[0].contains("--resume would go on"), "{:?}", fresh.notes());
    on(&mortal(0, 100), Some(&fresh), search).unwrap();
    fresh.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_damaged_state_is_no_obstacle() {
    let whole = plain(&on(&mortal(0, u64::MAX), None, search).unwrap()).0;
    for (file, content) in [(IDENTITY, &b"{"[..]), ("000000.log", b"half a record"), ("000001.log", b""), ("next.tmp", b"x")] {
        let folder = tempfile::tempdir().unwrap();
        assert!(on(&mortal(0, 12), Some(&state(folder.path(), false)), search).is_err());
        let path = folder.path().join("state").join(file);
        let existed = path.exists();
        fs::write(&path, content).unwrap();
        let resumed = state(folder.path(), true);
        assert_eq!(resumed.notes().iter().any(|note| note.contains("damaged")), file != "next.tmp", "{file}: {existed}");
        assert_eq!(plain(&on(&mortal(0, u64::MAX), Some(&resumed), search).unwrap()).0, whole, "{file}");
    }
}
