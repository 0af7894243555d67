//! A spectral density as comma-separated columns, for a spreadsheet or a plotting tool.

use std::io::{self, Write};

/// Named columns of equal length.
pub type Column<'a> = (&'a str, &'a [f64]);

/// Writes a header line and a line for each row; numbers are written so that reading them gives the same bits.
///
/// # Errors
/// Whatever the writer meets.
pub fn write(writer: &mut impl Write, columns: &[Column<'_>]) -> io::Result<()> {
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    writeln!(writer, "{}", names.join(","))?;
    let rows = columns.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    for row in 0..rows {
        let cells: Vec<_> = columns.iter().map(|(_, values)| values[row].to_string()).collect();
        writeln!(writer, "{}", cells.join(","))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        let mut text = Vec::new();
        write(&mut text, &[("grid", &[0.1, 1e-300]), ("density", &[2.0, 1.0 / 3.0])]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let rows: Vec<Vec<f64>> = text.lines().skip(1).map(|row| row.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
        assert!(text.starts_with("grid,density\n"));
        assert_eq!(rows, [[0.1, 2.0], [1e-300, 1.0 / 3.0]]);
    }
}
