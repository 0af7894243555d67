//! From a path to arrays: which format a file is in, with or without gzip around it.
//!
//! Formats with a magic number are told by it, not by the ending of the name, which users change; the others by their ending.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::array::Array;
use super::decode::fill;
use super::stored::WORTH_MAPPING;
use super::{idx, npy, npz, safetensors};
use crate::error::{Error, Result};

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// Arrays of one file that were asked for by name.
#[derive(Debug)]
pub(super) struct Named<const COUNT: usize> {
    /// In the order of the names; `None` where the file has no such array.
    pub(super) arrays: [Option<Array>; COUNT],
    /// The names of all arrays in the file, sorted.
    pub(super) present: Vec<String>,
}

/// Reads the one array that an npy or IDX file holds, either of them as it is or compressed with gzip.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, [`Error::Format`] where it is of another format, truncated or damaged.
pub fn load_array(path: &Path) -> Result<Array> {
    let mut file = open(path)?;
    let in_gzip = starts_with(path, &mut file, GZIP_MAGIC)?;
    if starts_with(path, &mut file, npz::MAGIC)? {
        return Err(Error::format(path, "holds several arrays (npz) where one is expected: give an npy file"));
    }
    let array = if in_gzip {
        read_array(&mut BufReader::new(MultiGzDecoder::new(file)), None)
    } else {
        let whole = handle(path, &file)?;
        read_array(&mut file, Some(&whole))
    };
    array.map_err(|problem| Error::format(path, problem))
}

/// Reads the array `name` of an npz or safetensors file.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, [`Error::Format`] where it is of another format, truncated or damaged, or has no
/// such array.
pub fn load_named_array(path: &Path, name: &str) -> Result<Array> {
    let Named { arrays: [array], present } = load_named(path, [name])?;
    array.ok_or_else(|| missing(path, name, &present))
}

/// Reads those of the arrays `names` that an npz or safetensors file holds.
pub(super) fn load_named<const COUNT: usize>(path: &Path, names: [&str; COUNT]) -> Result<Named<COUNT>> {
    if has_ending(path, "safetensors") {
        return safetensors::read(path, names);
    }
    let mut file = open(path)?;
    if starts_with(path, &mut file, npz::MAGIC)? || has_ending(path, "npz") {
        let whole = handle(path, &file)?;
        return npz::read(file, Some(&whole), path, names);
    }
    if starts_with(path, &mut file, npy::MAGIC)? {
        return Err(Error::format(path, "holds a single array (npy): give x and y as two files with --x and --y"));
    }
    Err(Error::format(path, "unknown format: a data file is .npz, .safetensors or .csv; .npy and IDX files come in pairs, as --x and --y"))
}

/// The error of a file without the array `name`.
pub(super) fn missing(path: &Path, name: &str, present: &[String]) -> Error {
    const SHOWN: usize = 8;
    let mut names: Vec<_> = present.iter().take(SHOWN).map(|name| quoted(name)).collect();
    match present.len() {
        0 => names.push("nothing".into()),
        count if count > SHOWN => names.push(format!("{} more", count - SHOWN)),
        _ => {}
    }
    Error::format(path, format!("has no array {}; it holds {}", quoted(name), names.join(", ")))
}

/// Whether the path ends in `.ending`, in whatever case.
pub(super) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// A name from a file as it can stand in a one-line message.
pub(super) fn quoted(name: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| Error::file(path, error))
}

/// The same file once more, for who maps it.
fn handle(path: &Path, file: &BufReader<File>) -> Result<File> {
    file.get_ref().try_clone().map_err(|error| Error::file(path, error))
}

fn starts_with(path: &Path, file: &mut BufReader<File>, magic: &[u8]) -> Result<bool> {
    Ok(file.fill_buf().map_err(|error| Error::file(path, error))?.starts_with(magic))
}

/// Reads the array that `reader` yields; `file` is where its bytes lie as they are, if anywhere.
fn read_array(reader: &mut dyn Read, file: Option<&File>) -> Result<Array, String> {
    let mut start = [0; 6];
    let filled = fill(reader, &mut start).map_err(|error| format!("damaged data: {error}"))?;
    let start = &start[..filled];
    let mut whole = start.chain(reader);
    let stored = match start {
        [] => Err("the file is empty".into()),
        start if start == npy::MAGIC => npy::read_head(&mut whole),
        [0, 0, ..] => idx::read_head(&mut whole),
        _ => Err("unknown format: an array comes as .npy or IDX, with or without .gz".into()),
    }?;
    let end = file.and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
    match file.and_then(|file| stored.map(file, 0, end, WORTH_MAPPING)) {
        Some(mapped) => Ok(mapped),
        None => stored.read(&mut whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_stay_on_one_short_line() {
        assert_eq!(quoted("0.weight"), "'0.weight'");
        assert_eq!(quoted("a\nb\u{1b}[31m"), r"'a\nb\u{1b}[31m'");
        assert_eq!(quoted(&"x".repeat(1000)).len(), 85);
    }
}
