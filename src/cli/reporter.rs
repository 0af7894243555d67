//! One result to where the user wants it.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::args::ReportArgs;
use super::output::{OutputFile, OutputFolder, to_stdout};
use crate::report::json;

/// The destinations of a command's result, all of them probed.
#[derive(Debug)]
pub(super) struct Reporter {
    json_to_stdout: bool,
    json_files: Vec<OutputFile>,
    table: bool,
    folder: Option<OutputFolder>,
}

impl Reporter {
    /// The destinations of `command`; a folder gets its JSON as `command.json`.
    ///
    /// # Errors
    /// Where one of them cannot be written.
    pub(super) fn new(command: &str, args: &ReportArgs, folder: Option<&Path>) -> Result<Self> {
        let json_to_stdout = args.json_to_stdout();
        let folder = folder.map(OutputFolder::new).transpose()?;
        let mut json_files = Vec::new();
        if let Some(path) = args.json.as_deref().filter(|_| !json_to_stdout) {
            json_files.push(OutputFile::new(path)?);
        }
        if let Some(folder) = &folder {
            json_files.push(folder.file(&format!("{command}.json"))?);
        }
        Ok(Self { json_to_stdout, json_files, table: !args.quiet && !json_to_stdout, folder })
    }

    /// One more file of the folder, if there is a folder.
    pub(super) fn file(&self, name: &str) -> Result<Option<OutputFile>> {
        self.folder.as_ref().map(|folder| folder.file(name)).transpose()
    }

    /// Writes the JSON files.
    pub(super) fn files<T: Serialize>(&self, result: &T) -> Result<()> {
        self.json_files.iter().try_for_each(|file| file.write(|file| json::write(file, result)))
    }

    /// Writes the JSON files, then what goes to standard output: JSON or the table.
    pub(super) fn finish<T: Serialize>(&self, result: &T, table: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        self.files(result)?;
        if self.json_to_stdout {
            return to_stdout(|out| json::write(out, result));
        }
        if self.table { to_stdout(table) } else { Ok(()) }
    }
}
