//! Data as a table of comma-separated numbers, one sample a line.
//!
//! The convention, chosen so that the common tables need no option:
//! - The first line is a header where any of its fields is not a number.
//! - With a header that names columns `y`, or `y0`, `y1`, ..., those are the target and all others the inputs.
//! - Otherwise the first columns are the inputs, as many as the network takes, and all that follow are the target: one column of
//!   classes, or one for each output.
//! - A target whose every field is written as an integer (`3`, not `3.0`) holds integers, as the type would say in other formats.

use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::array::{Array, Values};
use super::file::quoted;
use crate::error::{Error, Result};

/// The numbers of a file.
#[derive(Debug)]
pub(super) struct Table {
    /// The header's names; empty without a header.
    names: Vec<String>,
    columns: usize,
    /// Row by row.
    values: Vec<f64>,
    /// For each column, whether every field is written as an integer.
    integer: Vec<bool>,
}

/// The inputs and, where there is one, the target.
pub(super) type Split = (Array, Option<Array>);

/// Reads a file's numbers.
pub(super) fn read(path: &Path) -> Result<Table> {
    let damaged = |error: ::csv::Error| match error.into_kind() {
        ::csv::ErrorKind::Io(error) => Error::file(path, error),
        kind => Error::format(path, format!("damaged csv: {}", one_line(&format!("{kind:?}")))),
    };
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_path(path).map_err(damaged)?;
    let mut table = Table { names: Vec::new(), columns: 0, values: Vec::new(), integer: Vec::new() };
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(damaged)? {
        if table.columns == 0 {
            table.columns = record.len();
            table.integer = vec![true; record.len()];
            if record.iter().any(|field| field.parse::<f64>().is_err()) {
                table.names = record.iter().map(str::to_owned).collect();
                continue;
            }
        }
        let line = record.position().map_or(0, ::csv::Position::line);
        table.push(&record).map_err(|problem| Error::format(path, format!("line {line}: {problem}")))?;
    }
    if table.values.is_empty() {
        return Err(Error::format(path, "has no line of numbers: at least one sample is needed"));
    }
    Ok(table)
}

impl Table {
    fn push(&mut self, record: &StringRecord) -> Result<(), String> {
        if record.len() != self.columns {
            return Err(format!("{} fields, but the first line has {}", record.len(), self.columns));
        }
        for (column, field) in record.iter().enumerate() {
            let value = field
                .parse()
                .map_err(|_| format!("field {} is {}, which is not a number; fields are separated by commas", column + 1, quoted(field)))?;
            self.values.push(value);
            self.integer[column] &= field.parse::<i64>().is_ok();
        }
        Ok(())
    }

    /// Which columns are the target, by name or by being left over; the reason to refuse the table as text.
    fn target_columns(&self, inputs: usize, target_is_x: bool) -> Result<Vec<usize>, String> {
        let named: Vec<_> = (0..self.names.len()).filter(|&column| is_target_name(&self.names[column])).collect();
        let target = if named.is_empty() { (inputs.min(self.columns)..self.columns).collect() } else { named };
        let left = self.columns - target.len();
        if left != inputs {
            return Err(format!(
                "{} columns, {left} of them inputs, but the network takes {inputs}: write the inputs, then y, and no index column",
                self.columns
            ));
        }
        if target.is_empty() && !target_is_x {
            return Err(format!("{left} columns, as many as the network has inputs, and none for y: add y, or use --target x"));
        }
        Ok(target)
    }

    /// The columns as x and y of a network with so many inputs.
    pub(super) fn split(self, path: &Path, inputs: usize, target_is_x: bool) -> Result<Split> {
        let target = self.target_columns(inputs, target_is_x).map_err(|problem| Error::format(path, problem))?;
        let inputs: Vec<_> = (0..self.columns).filter(|column| !target.contains(column)).collect();
        let y = (!target.is_empty()).then(|| self.select(&target));
        let x = self.select(&inputs);
        Ok((Array { values: Values::F64(x.values.into_f64()), ..x }, y))
    }

    fn select(&self, columns: &[usize]) -> Array {
        let rows = self.values.chunks_exact(self.columns);
        let shape = vec![rows.len(), columns.len()];
        let numbers = rows.flat_map(|row| columns.iter().map(|&column| row[column]));
        let values = if columns.iter().all(|&column| self.integer[column]) {
            Values::I64(numbers.map(to_integer).collect())
        } else {
            Values::F64(numbers.collect())
        };
        Array { shape, values }
    }
}

/// The integer that `number`, the value of an integer's digits, stands for.
#[expect(clippy::cast_possible_truncation, reason = "whole by construction; one beyond 2⁵³ is no class and no exact double either")]
fn to_integer(number: f64) -> i64 {
    number as i64
}

fn is_target_name(name: &str) -> bool {
    name.strip_prefix('y').is_some_and(|index| index.chars().all(|c| c.is_ascii_digit()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn table(text: &str) -> Result<Table> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    fn split(text: &str, inputs: usize) -> Result<Split> {
        table(text)?.split(Path::new("table.csv"), inputs, false)
    }

    #[test]
    fn the_target_is_what_the_network_does_not_take() {
        let (x, y) = split("1,2.5,0\n3,4,1\n", 2).unwrap();
        assert_eq!(x, Array { shape: vec![2, 2], values: Values::F64(vec![1.0, 2.5, 3.0, 4.0]) });
        assert_eq!(y, Some(Array { shape: vec![2, 1], values: Values::I64(vec![0, 1]) }));
    }

    #[test]
    fn named_columns_may_stand_anywhere() {
        let (x, y) = split("y0, a, y1\n0.5, 1, 2\n", 1).unwrap();
        assert_eq!(x.values, Values::F64(vec![1.0]));
        assert_eq!(y, Some(Array { shape: vec![1, 2], values: Values::F64(vec![0.5, 2.0]) }));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_with_the_numbers() {
        let cases = [
            ("", 2, "no line of numbers"),
            ("a,b,y\n", 2, "no line of numbers"),
            ("1,2,0\n1,2\n", 2, "line 2: 2 fields, but the first line has 3"),
            ("1,2,0\n1,two,0\n", 2, "line 2: field 2 is 'two'"),
            ("1;2;0\n1;2;0\n", 2, "separated by commas"),
            ("1,2,0\n", 4, "but the network takes 4"),
            ("a,b,y\n1,2,0\n", 3, "3 columns, 2 of them inputs, but the network takes 3"),
            ("1,2,0\n", 3, "none for y"),
        ];
        for (text, inputs, expected) in cases {
            let error = split(text, inputs).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, b"1,2\n\xff\xfe,3\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("damaged csv") && !error.contains('\n'), "{error}");
    }
}
