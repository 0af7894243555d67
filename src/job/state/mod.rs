//! What a job leaves behind while it runs, so that one that was killed can go on.
//!
//! The folder holds `job.json`, which says what the state belongs to, and the files of the [journal](journal). It is removed when the
//! job's result is written. A state of another job is refused with the difference; one that is damaged is told and left out of account.

mod identity;
mod journal;
mod log;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use self::identity::difference;
pub use self::identity::{Identity, data_digest, digest_of};
use self::journal::{Journal, VECTORS};
use self::log::{Log, Stored, write_whole};
use crate::backend::{OperatorJob, SpotCheck};
use crate::curvature::{BackendInfo, CurvatureOperator, Workload};
use crate::error::{Error, Result};

/// The file that says what the state belongs to.
const IDENTITY: &str = "job.json";

/// The state of a job that keeps no journal.
const SNAPSHOT: &str = "snapshot.cbor";

/// The state of one job in a folder of its own.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    interval: Duration,
    identity: Identity,
    /// What an earlier run left, and its identity with its device.
    saved: RefCell<Option<(Log, Vec<Stored>, Value)>>,
    variants: Option<String>,
    notes: Vec<String>,
}

impl State {
    /// The state of the job `identity` in `folder`, written every `interval`; with `resume` an earlier run's is gone on from, if there
    /// is one. Nothing is written yet.
    ///
    /// # Errors
    /// [`Error::Input`] where the earlier run was of another job.
    pub fn open(folder: &Path, interval: Duration, resume: bool, identity: Identity) -> Result<Self> {
        let mut state =
            Self { folder: folder.to_owned(), interval, identity, saved: RefCell::new(None), variants: None, notes: Vec::new() };
        let then = match state.read_identity() {
            Ok(Some(then)) => then,
            Ok(None) => return Ok(state),
            Err(why) => {
                state.note(format!("the state there is damaged and left out of account ({why})"));
                return Ok(state);
            }
        };
        if !resume {
            state.note("an interrupted run's state is there: this run starts anew and replaces it; --resume would go on from it".into());
            return Ok(state);
        }
        let mut plain = then.clone();
        let backend = plain.as_object_mut().and_then(|object| object.remove("backend"));
        if let Some(difference) = difference(&state.identity.0, &plain) {
            return Err(state.refusal(&difference));
        }
        state.variants = backend.and_then(|backend| Some(backend["variants"].as_str()?.to_owned()));
        match Log::open(&state.folder) {
            Ok((log, records)) => state.saved = RefCell::new(Some((log, records, then))),
            Err(why) => state.note(format!("the state there is damaged and left out of account ({why})")),
        }
        Ok(state)
    }

    /// The variants of its kernels that a GPU must run to go on with the same bits.
    pub fn variants(&self) -> Option<&str> {
        self.variants.as_deref()
    }

    /// What the user should know, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Makes sure that a job without a journal goes on where it was, on what `info` says; without an earlier run's state it begins.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::File`] where the folder cannot be written.
    pub fn confirm(&self, info: &BackendInfo) -> Result<()> {
        match self.saved.take() {
            Some((_, _, then)) => self.compare(info, then),
            None => self.begin().map(drop),
        }
    }

    /// Keeps all of such a job's state.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn keep(&self, info: &BackendInfo, state: &impl Serialize) -> Result<()> {
        let mut content = Vec::new();
        let written = ciborium::into_writer(state, &mut content).map_err(io::Error::other).and_then(|()| {
            content.extend(xxh3_64(&content).to_le_bytes());
            write_whole(&self.folder.join(SNAPSHOT), &content)?;
            write_whole(&self.folder.join(IDENTITY), format!("{:#}", self.identity.on(info)).as_bytes())
        });
        written.map_err(|error| Error::file(&self.folder, error))
    }

    /// What an earlier run has kept, if it is to be gone on from and is whole.
    pub fn kept<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.saved.get_mut().as_ref()?;
        let content = fs::read(self.folder.join(SNAPSHOT)).ok()?;
        let read = content.split_last_chunk().filter(|(content, sum)| xxh3_64(content) == u64::from_le_bytes(**sum));
        let state = read.and_then(|(content, _)| ciborium::from_reader(content).ok());
        if state.is_none() {
            self.note("the state there is damaged and left out of account".into());
            self.saved = RefCell::new(None);
        }
        state
    }

    /// Removes the state: the job's result is written.
    ///
    /// # Errors
    /// [`Error::File`] where that is not possible.
    pub fn remove(self) -> Result<()> {
        self.forget().and_then(|()| gone(fs::remove_dir_all(&self.folder))).map_err(|error| Error::file(&self.folder, error))
    }

    /// Refuses what another device computed.
    fn compare(&self, info: &BackendInfo, mut then: Value) -> Result<()> {
        // Those of before are run; which of them have been used so far says nothing.
        then["backend"]["variants"] = info.variants.clone().into();
        difference(&self.identity.on(info), &then).map_or(Ok(()), |difference| Err(self.refusal(&difference)))
    }

    fn note(&mut self, note: String) {
        self.notes.push(format!("{}: {note}", self.folder.display()));
    }

    fn refusal(&self, difference: &str) -> Error {
        Error::Input(format!(
            "{}: the state is of another job: {difference}; repeat what was started, or start anew without --resume",
            self.folder.display()
        ))
    }

    /// An empty log in place of whatever was there.
    fn begin(&self) -> Result<Log> {
        self.forget().and_then(|()| Log::create(&self.folder)).map_err(|error| Error::file(&self.folder, error))
    }

    /// Without its identity a state is none: so it is removed before all else.
    fn forget(&self) -> io::Result<()> {
        gone(fs::remove_file(self.folder.join(IDENTITY)))
    }

    fn read_identity(&self) -> Result<Option<Value>, String> {
        match fs::read(self.folder.join(IDENTITY)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What is not there is gone.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    let is_gone = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    removed.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// `job`, resumed from and kept in `state` where there is one.
pub struct Resumable<'a, J> {
    /// The job.
    pub job: J,
    /// Its state.
    pub state: Option<&'a State>,
}

impl<J: OperatorJob> OperatorJob for Resumable<'_, J> {
    type Output = J::Output;

    fn workload(&self, dim: usize) -> Workload {
        let workload = self.job.workload(dim);
        let kept = if self.state.is_some() { VECTORS as u64 } else { 0 };
        Workload { vectors: workload.vectors + kept, ..workload }
    }

    fn run<A: CurvatureOperator>(self, operator: &A, spot_check: &SpotCheck<'_>) -> Result<J::Output> {
        let journal = Journal::new(operator, self.state)?;
        let output = self.job.run(&journal, spot_check)?;
        journal.finish()?;
        Ok(output)
    }
}
