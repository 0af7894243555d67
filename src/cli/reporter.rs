//! One result to where the user wants it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::args::ReportArgs;
use super::invocation;
use super::output::{OutputFile, OutputFolder, to_stdout};
use crate::report::chart::{self, Chart};
use crate::report::html::{self, Provenance};
use crate::report::{Document, json, png};

/// Draws a report's document, if it has what there is to draw.
pub(super) type FigureOf = fn(&Document) -> Option<Chart>;

/// Makes a page of a report's document.
pub(super) type PageOf = fn(&Document, &Provenance) -> String;

/// The destinations of a command's result, all of them probed.
#[derive(Debug)]
pub(super) struct Reporter {
    json_to_stdout: bool,
    json_files: Vec<OutputFile>,
    table: bool,
    folder: Option<OutputFolder>,
    page: Option<(OutputFile, PageOf)>,
    figure: Option<([OutputFile; 2], FigureOf)>,
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
        Ok(Self { json_to_stdout, json_files, table: !args.quiet && !json_to_stdout, folder, page: None, figure: None })
    }

    /// One more file of the folder, if there is a folder.
    pub(super) fn file(&self, name: &str) -> Result<Option<OutputFile>> {
        self.folder.as_ref().map(|folder| folder.file(name)).transpose()
    }

    /// Writes all files, the JSON first; one that cannot be written does not keep the others from it.
    pub(super) fn files<T: Serialize>(&self, result: &T) -> Result<()> {
        let mut written = Ok(());
        for file in &self.json_files {
            written = written.and(file.write(|file| json::write(file, result)));
        }
        if self.folder.is_some() {
            written = written.and(self.draw(&Document::new(result)?));
        }
        written
    }

    /// Where eigenvectors go: the file that the flag names, or `eigenvectors.npz` of the folder; none without the flag.
    pub(super) fn vectors_file(&self, flag: Option<&Option<PathBuf>>) -> Result<Option<OutputFile>> {
        match flag {
            None => Ok(None),
            Some(Some(path)) => OutputFile::new(path).map(Some),
            Some(None) => match self.file("eigenvectors.npz")? {
                None => {
                    bail!("--vectors without a file goes into the folder of --out, but there is none: give --vectors FILE or --out DIR")
                }
                file => Ok(file),
            },
        }
    }

    /// The same with a page in the folder, if there is a folder.
    pub(super) fn with_page(self, name: &str, page: PageOf) -> Result<Self> {
        Ok(Self { page: self.file(name)?.map(|file| (file, page)), ..self })
    }

    /// The same with a figure as `name.svg` and `name.png` in the folder, if there is a folder.
    pub(super) fn with_figure(self, name: &str, figure: FigureOf) -> Result<Self> {
        let [svg, png] = ["svg", "png"].map(|kind| self.file(&format!("{name}.{kind}")));
        let files = svg?.zip(png?).map(|(svg, png)| [svg, png]);
        Ok(Self { figure: files.map(|files| (files, figure)), ..self })
    }

    /// Writes all files, then what goes to standard output: JSON or the table.
    pub(super) fn finish<T: Serialize>(&self, result: &T, table: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let written = self.files(result);
        // What cannot be written to a file is shown at least.
        let shown = match (self.json_to_stdout, self.table) {
            (true, _) => to_stdout(|out| json::write(out, result)),
            (false, true) => to_stdout(table),
            (false, false) => Ok(()),
        };
        written.and(shown)
    }

    fn draw(&self, document: &Document) -> Result<()> {
        if let Some(([svg_file, png_file], figure)) = &self.figure
            && let Some(chart) = figure(document)
        {
            let svg = chart::svg(&chart, &html::summary(document));
            let png = png(&svg)?;
            svg_file.write(|file| file.write_all(svg.as_bytes()))?;
            png_file.write(|file| file.write_all(&png))?;
        }
        if let Some((file, page)) = &self.page {
            let page = page(document, &Provenance { command: invocation::quoted() });
            file.write(|file| file.write_all(page.as_bytes()))?;
        }
        Ok(())
    }
}
