//! Where results go: checked before the computation starts, written whole or not at all.
//!
//! A long job must not end with "permission denied", and a reader must never meet half a file. So a destination is probed when
//! the command starts, and its content goes to a temporary file of the same folder that is renamed when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

/// A file being written; it can seek, as archives need.
pub(super) type Buffered<'a> = BufWriter<&'a mut File>;

/// A file that can be written, as far as can be known beforehand.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Probes that a file can be written at `path`.
    pub(super) fn new(path: &Path) -> Result<Self> {
        // A link stays a link: what it points to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            bail!("{}: is a folder: name a file in it", path.display());
        }
        let file = Self { path };
        if !file.is_special() {
            drop(file.temporary()?);
        }
        Ok(file)
    }

    /// Writes the whole file with `write`.
    pub(super) fn write(&self, write: impl FnOnce(&mut Buffered<'_>) -> io::Result<()>) -> Result<()> {
        let whole = |file: &mut File| {
            let mut buffered = BufWriter::new(file);
            write(&mut buffered)?;
            buffered.flush()
        };
        let written = if self.is_special() {
            File::create(&self.path).and_then(|mut file| whole(&mut file))
        } else {
            let mut temporary = self.temporary()?;
            whole(temporary.as_file_mut()).and_then(|()| temporary.persist(&self.path).map(drop).map_err(|error| error.error))
        };
        written.with_context(|| self.path.display().to_string())
    }

    /// Whether the path is a device or a pipe, which must not be replaced by a file.
    fn is_special(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file())
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let folder = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".hesper-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // What an ordinary new file has; the process's umask is taken off.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder).map_err(|error| io::Error::from(error.kind()));
        temporary.with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

/// A folder for a command's files.
#[derive(Debug)]
pub(super) struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Makes the folder where it is not there yet.
    pub(super) fn new(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("{}: cannot be made a folder", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// A file of this folder.
    pub(super) fn file(&self, name: &str) -> Result<OutputFile> {
        OutputFile::new(&self.path.join(name))
    }
}

/// Writes to standard output. A reader that has gone away is no error: `hesper spectrum | head` is a fair use.
pub(super) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Nothing more can be said to that reader: what is still in the buffer is dropped without another attempt.
            let (_, _) = stdout.into_parts();
            Ok(())
        }
        other => other.context("standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        OutputFile::new(&path).unwrap().write(|file| file.write_all(b"old")).unwrap();
        let failed = OutputFile::new(&path).unwrap().write(|file| {
            file.write_all(b"half of the n")?;
            Err(io::Error::other("disk full"))
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutputFile::new(folder.path()).is_err());
        assert!(OutputFile::new(&folder.path().join("no/such/folder/x.json")).is_err());
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(OutputFolder::new(&folder.path().join("file")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        OutputFile::new(&link).unwrap().write(|file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        OutputFile::new(Path::new("/dev/null")).unwrap().write(|file| file.write_all(b"gone")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
