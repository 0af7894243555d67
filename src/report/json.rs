//! JSON for programs: one document, indented for people; the schema's name is its first line.

use std::io::{self, Write};

use serde::Serialize;

/// Writes `report` as one document that ends in a line break. Numbers read back as the same bits.
///
/// # Errors
/// Whatever the writer meets.
pub fn write(writer: &mut dyn Write, report: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *writer, report)?;
    writer.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read with `str::parse`: serde_json's own reader is allowed a last bit.
    #[test]
    fn numbers_read_back_as_the_same_bits() {
        let numbers = [0.1_f64, 1.0 / 3.0, 5e-324, -1.797e308, 0.092_469_177_532_666_5];
        let mut text = Vec::new();
        write(&mut text, &numbers).unwrap();
        let text = String::from_utf8(text).unwrap();
        let read: Vec<f64> = text.trim_matches(['[', ']', '\n']).split(',').map(|number| number.trim().parse().unwrap()).collect();
        assert_eq!(read, numbers);
    }
}
