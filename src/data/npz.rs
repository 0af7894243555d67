//! NumPy's npz format: a zip archive of npy files. The container is read by `npyz`, the arrays by [`super::npy`].

use std::fmt::Display;
use std::io::{Read, Seek};
use std::path::Path;

use npyz::npz::{NpzArchive, file_name_from_array_name};

use super::file::{Named, quoted};
use super::npy;
use crate::error::{Error, Result};

/// The first bytes of every zip archive that is not empty.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// Reads those of the arrays `names` that an archive holds; `path` is the archive's name in messages.
pub(super) fn read<const COUNT: usize>(archive: impl Read + Seek, path: &Path, names: [&str; COUNT]) -> Result<Named<COUNT>> {
    let damaged = |problem: &dyn Display| Error::format(path, format!("damaged npz: {problem}"));
    let mut archive = NpzArchive::new(archive).map_err(|error| damaged(&error))?;
    let mut present: Vec<_> = archive.array_names().map(str::to_owned).collect();
    present.sort_unstable();
    let mut arrays = [const { None }; COUNT];
    for (array, name) in arrays.iter_mut().zip(names) {
        if present.iter().any(|present| present == name) {
            let file_name = file_name_from_array_name(name);
            let mut entry = archive.zip_archive().by_name(&file_name).map_err(|error| damaged(&error))?;
            let read = npy::read(&mut entry).map_err(|problem| Error::format(path, format!("{}: {problem}", quoted(name))))?;
            *array = Some(read);
        }
    }
    Ok(Named { arrays, present })
}
