//! What `hesper track` keeps of earlier runs: a line for each checkpoint, and the vectors of the last one.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::output::OutputFile;
use super::vectors::{NamedArray, load_vectors, write_npz};
use crate::job::{TrackPoint, Tracked};
use crate::numeric::Precision;

/// The numbers of all checkpoints that were ever tracked into a folder.
#[derive(Debug)]
pub(super) struct TrackLog {
    folder: PathBuf,
    known: HashMap<String, TrackPoint>,
}

/// A line: what decides the numbers, and the numbers.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    point: TrackPoint,
}

impl TrackLog {
    /// That of `folder`. Lines that are not whole, or of another version, are left out of account: their checkpoints are done again.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let mut known = HashMap::new();
        match fs::File::open(folder.join(Self::NAME)) {
            Ok(file) => {
                for line in BufReader::new(file).split(b'\n') {
                    if let Ok(Line { key, point }) = serde_json::from_slice(&line?) {
                        known.insert(key, point);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("{}", folder.join(Self::NAME).display())),
        }
        Ok(Self { folder: folder.to_owned(), known })
    }

    const NAME: &str = "track.jsonl";

    /// The numbers of the checkpoint `key`.
    pub(super) fn get(&self, key: &str) -> Option<&TrackPoint> {
        self.known.get(key)
    }

    /// The vectors of the checkpoint `key`, if it was the last one.
    pub(super) fn vectors(&self, key: &str, dim: usize) -> Option<Vec<f64>> {
        load_vectors(&self.vectors_file(key), dim).ok().map(|(_, vectors)| vectors)
    }

    /// Keeps the numbers and vectors of the checkpoint `key`, in place of those vectors of `before`. A line is only there once its
    /// vectors are.
    pub(super) fn add(&mut self, key: &str, tracked: &Tracked, before: Option<&str>, dim: usize) -> Result<()> {
        let (count, vectors) = (tracked.vectors.len() / dim, &tracked.vectors);
        let shape = [count as u64, dim as u64];
        let array = NamedArray { name: "vectors", shape: &shape, values: vectors, precision: Precision::F64 };
        OutputFile::new(&self.vectors_file(key))?.write(|file| write_npz(file, &[array]))?;
        let path = self.folder.join(Self::NAME);
        let line = serde_json::to_string(&Line { key: key.to_owned(), point: tracked.point.clone() })?;
        let append = || -> io::Result<()> {
            // A line that a kill has cut off is ended first.
            let cut = fs::read(&path).is_ok_and(|text| text.last().is_some_and(|&byte| byte != b'\n'));
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(format!("{}{line}\n", if cut { "\n" } else { "" }).as_bytes())?;
            file.sync_all()
        };
        append().with_context(|| path.display().to_string())?;
        self.known.insert(key.to_owned(), tracked.point.clone());
        if let Some(before) = before.filter(|before| *before != key) {
            // Another run may have removed it.
            let _ = fs::remove_file(self.vectors_file(before));
        }
        Ok(())
    }

    fn vectors_file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("vectors-{key}.npz"))
    }
}
