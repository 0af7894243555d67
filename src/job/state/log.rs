//! The journal's records in files: appended, saved at once or not at all, and dropped when a result replaces them.
//!
//! A record has a place in the order of what the run did. A result that was made of earlier records takes the place of the first of
//! them, and all from there on are gone: those of the file being written are cut off, and older files that hold nothing else are
//! removed once that file is safe. So the folder holds at most what the unfinished part of a job needs to be made again.
//!
//! A file is written under a temporary name, synchronized and renamed, and so is its folder: a process that is killed leaves whole files
//! only. Every record has a checksum all the same, since discs do fail.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64;

/// The name of the file that is being written.
const GROWING: &str = "next.tmp";

const EXTENSION: &str = "log";

/// What precedes a record's content.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Head {
    /// Its place; whatever had that place or a later one is replaced.
    pub(super) place: u64,
    /// 0 for a block of products, 1 for a result.
    pub(super) kind: u64,
    /// What tells that it is the same product or result: a digest.
    pub(super) mark: u64,
    /// Products with single vectors.
    pub(super) products: u64,
    /// Readbacks of the job.
    pub(super) readbacks: u64,
    /// Since the job's start, in all runs.
    pub(super) seconds: f64,
    /// Bytes of the content.
    pub(super) length: u64,
}

/// A record in a saved file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) head: Head,
    path: PathBuf,
    offset: u64,
}

/// The files of a folder.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    /// The saved files, and the lowest place in each.
    saved: Vec<(u64, PathBuf)>,
    /// Of the next file.
    number: u64,
    growing: Option<Growing>,
    /// The lowest place that the growing file replaces something at.
    replaced: u64,
}

#[derive(Debug)]
struct Growing {
    file: File,
    /// Place and offset of its records.
    records: Vec<(u64, u64)>,
    end: u64,
}

impl Log {
    /// A log in `folder` without any record; files of an earlier one are removed.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for (_, path) in files(folder)? {
            fs::remove_file(path)?;
        }
        Ok(Self { folder: folder.to_owned(), saved: Vec::new(), number: 0, growing: None, replaced: u64::MAX })
    }

    /// The log in `folder` and its records in the order of their places. An [`io::ErrorKind::InvalidData`] is a damaged one.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<Stored>)> {
        let (mut records, mut saved, mut next) = (Vec::<Stored>::new(), Vec::new(), 0);
        for (number, path) in files(folder)? {
            let read = read(&path)?;
            if let Some(first) = read.iter().map(|record| record.head.place).min() {
                saved.push((first, path));
            }
            for record in read {
                let place = usize::try_from(record.head.place).unwrap_or(usize::MAX);
                if place > records.len() {
                    return Err(damaged(&record.path, "records are missing before it"));
                }
                records.truncate(place);
                records.push(record);
            }
            next = number + 1;
        }
        Ok((Self { folder: folder.to_owned(), saved, number: next, growing: None, replaced: u64::MAX }, records))
    }

    /// Appends a record; it is safe after the next [`save`](Self::save).
    pub(super) fn append(&mut self, head: Head, content: &[u8]) -> io::Result<()> {
        let growing = match &mut self.growing {
            Some(growing) => growing,
            none => none.insert(Growing { file: File::create(self.folder.join(GROWING))?, records: Vec::new(), end: 0 }),
        };
        let kept = growing.records.partition_point(|(place, _)| *place < head.place);
        if let Some(&(_, offset)) = growing.records.get(kept) {
            growing.records.truncate(kept);
            growing.end = offset;
            growing.file.set_len(offset)?;
            growing.file.seek(SeekFrom::Start(offset))?;
        }
        if kept == 0 {
            self.replaced = self.replaced.min(head.place);
        }
        let mut bytes = Vec::with_capacity(size_of::<Head>() + content.len() + size_of::<u64>());
        bytes.extend(bytemuck::bytes_of(&head));
        bytes.extend(content);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        growing.file.write_all(&bytes)?;
        growing.records.push((head.place, growing.end));
        growing.end += bytes.len() as u64;
        Ok(())
    }

    /// Leaves alone what is saved, and gives back the room of what is not.
    pub(super) fn abandon(self) {
        drop(self.growing);
        // What cannot be removed either is left out of account by whoever opens the log.
        let _ = fs::remove_file(self.folder.join(GROWING));
    }

    /// Makes all that was appended safe.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let Some(growing) = self.growing.take() else { return Ok(()) };
        growing.file.sync_all()?;
        let path = self.folder.join(format!("{:06}.{EXTENSION}", self.number));
        fs::rename(self.folder.join(GROWING), &path)?;
        sync_folder(&self.folder)?;
        self.number += 1;
        let replaced = std::mem::replace(&mut self.replaced, u64::MAX);
        let (kept, gone): (Vec<_>, Vec<_>) = self.saved.drain(..).partition(|(first, _)| *first < replaced);
        self.saved = kept;
        gone.iter().try_for_each(|(_, path)| fs::remove_file(path))?;
        self.saved.extend(growing.records.first().map(|(place, _)| (*place, path)));
        Ok(())
    }
}

impl Stored {
    /// The content.
    pub(super) fn content(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let length = usize::try_from(self.head.length).map_err(|_| damaged(&self.path, "a length"))?;
        let mut content = vec![0; length];
        file.read_exact(&mut content)?;
        Ok(content)
    }
}

/// Writes a small file whole, or not at all.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes renamings in `folder` safe; where a folder cannot be opened (Windows), the file system sees to it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The saved files by their numbers.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|extension| extension == EXTENSION)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The records of a file, all of them checked.
fn read(path: &Path) -> io::Result<Vec<Stored>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut records, mut offset) = (Vec::new(), 0);
    while offset < size {
        let mut bytes = vec![0; size_of::<Head>()];
        file.read_exact(&mut bytes).map_err(|_| damaged(path, "it is cut off"))?;
        let head: Head = bytemuck::pod_read_unaligned(&bytes);
        let around = (size_of::<Head>() + size_of::<u64>()) as u64;
        if head.length > (size - offset).saturating_sub(around) {
            return Err(damaged(path, "it is cut off"));
        }
        Read::by_ref(&mut file).take(head.length).read_to_end(&mut bytes)?;
        let mut checksum = [0; size_of::<u64>()];
        file.read_exact(&mut checksum)?;
        if u64::from_le_bytes(checksum) != xxh3_64(&bytes) {
            return Err(damaged(path, "a checksum does not hold"));
        }
        records.push(Stored { head, path: path.to_owned(), offset: offset + size_of::<Head>() as u64 });
        offset += around + head.length;
    }
    Ok(records)
}

fn damaged(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(place: u64, length: usize) -> Head {
        Head { place, kind: 0, mark: 7, products: 1, readbacks: 0, seconds: 0.5, length: length as u64 }
    }

    fn append(log: &mut Log, place: u64, content: &str) {
        log.append(head(place, content.len()), content.as_bytes()).unwrap();
    }

    fn contents(folder: &Path) -> Vec<String> {
        let (_, records) = Log::open(folder).unwrap();
        records.iter().map(|record| String::from_utf8(record.content().unwrap()).unwrap()).collect()
    }

    #[test]
    fn what_was_saved_is_there_and_what_was_replaced_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut log = Log::create(path).unwrap();
        append(&mut log, 0, "zero");
        append(&mut log, 1, "one");
        assert!(contents(path).is_empty());
        log.save().unwrap();
        append(&mut log, 2, "two");
        log.save().unwrap();
        append(&mut log, 3, "three");
        assert_eq!(contents(path), ["zero", "one", "two"]);
        // A result in place of the last three: one file goes, one stays for what it also holds.
        append(&mut log, 1, "result");
        append(&mut log, 2, "after");
        log.save().unwrap();
        assert_eq!(contents(path), ["zero", "result", "after"]);
        assert_eq!(files(path).unwrap().len(), 2);
        let (mut log, records) = Log::open(path).unwrap();
        assert_eq!(records.len(), 3);
        append(&mut log, 0, "all");
        log.save().unwrap();
        assert_eq!((contents(path), files(path).unwrap().len()), (vec!["all".to_owned()], 1));
        assert!(contents(Log::create(path).map(|_| path).unwrap()).is_empty());
    }

    #[test]
    fn damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut log = Log::create(path).unwrap();
        append(&mut log, 0, "zero");
        log.save().unwrap();
        append(&mut log, 1, "one");
        log.save().unwrap();
        let first = path.join("000000.log");
        let whole = fs::read(&first).unwrap();
        let why = || Log::open(path).unwrap_err();
        for length in 1..whole.len() {
            fs::write(&first, &whole[..length]).unwrap();
            assert_eq!(why().kind(), io::ErrorKind::InvalidData);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&first, bytes).unwrap();
            assert_eq!(why().kind(), io::ErrorKind::InvalidData, "{at}");
        }
        fs::remove_file(&first).unwrap();
        assert!(why().to_string().contains("missing"));
    }
}
