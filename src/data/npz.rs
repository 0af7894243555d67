//! NumPy's npz format: a zip archive of npy files. The container is read by `npyz`, the arrays by [`super::npy`].

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use npyz::npz::{NpzArchive, file_name_from_array_name};
use npyz::zip::CompressionMethod;

use super::file::{Named, quoted};
use super::npy;
use super::stored::WORTH_MAPPING;
use crate::error::{Error, Result};

/// The first bytes of every zip archive that is not empty.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// Reads those of the arrays `names` that an archive holds; `path` is the archive's name in messages. Large arrays that are not
/// compressed stay in `file`, where the archive is one.
pub(super) fn read<const COUNT: usize>(
    archive: impl Read + Seek,
    file: Option<&File>,
    path: &Path,
    names: [&str; COUNT],
) -> Result<Named<COUNT>> {
    let damaged = |problem: &dyn Display| Error::format(path, format!("damaged npz: {problem}"));
    let mut archive = NpzArchive::new(archive).map_err(|error| damaged(&error))?;
    let mut present: Vec<_> = archive.array_names().map(str::to_owned).collect();
    present.sort_unstable();
    let mut arrays = [const { None }; COUNT];
    for (array, name) in arrays.iter_mut().zip(names) {
        if present.iter().any(|present| present == name) {
            let file_name = file_name_from_array_name(name);
            let mut entry = archive.zip_archive().by_name(&file_name).map_err(|error| damaged(&error))?;
            let (start, end) = (entry.data_start(), entry.data_start().saturating_add(entry.size()));
            let file = file.filter(|_| entry.compression() == CompressionMethod::Stored);
            let stored = npy::read_head(&mut entry);
            let read = stored.and_then(|stored| match file.and_then(|file| stored.map(file, start, end, WORTH_MAPPING)) {
                Some(mapped) => Ok(mapped),
                None => stored.read(&mut entry),
            });
            *array = Some(read.map_err(|problem| Error::format(path, format!("{}: {problem}", quoted(name))))?);
        }
    }
    Ok(Named { arrays, present })
}
