//! Vectors out, as NumPy reads them.

use std::io::{self, Seek, Write};

use npyz::WriterBuilder as _;
use npyz::npz::NpzWriter;
use npyz::zip::write::FileOptions;
use npyz::zip::{CompressionMethod, DateTime};

use crate::numeric::{Precision, Real as _};

/// Writes `values`, row by row, as an npy array of `shape` and of type `precision`.
pub(super) fn write_npy(writer: impl Write, shape: &[u64], values: &[f64], precision: Precision) -> io::Result<()> {
    match precision {
        Precision::F32 => {
            let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(writer).begin_nd()?;
            array.extend(values.iter().map(|&value| f32::from_f64(value)))?;
            array.finish()
        }
        Precision::F64 => {
            let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(writer).begin_nd()?;
            array.extend(values.iter().copied())?;
            array.finish()
        }
    }
}

/// One array of an npz archive.
pub(super) struct NamedArray<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a [u64],
    pub(super) values: &'a [f64],
    pub(super) precision: Precision,
}

/// Writes an npz archive; the same arrays give the same bytes.
pub(super) fn write_npz(writer: impl Write + Seek, arrays: &[NamedArray<'_>]) -> io::Result<()> {
    let mut archive = NpzWriter::new(writer);
    for array in arrays {
        let options =
            FileOptions::default().compression_method(CompressionMethod::Stored).last_modified_time(DateTime::default()).large_file(true);
        let zip = archive.zip_writer();
        zip.start_file(npyz::npz::file_name_from_array_name(array.name), options)?;
        write_npy(zip, array.shape, array.values, array.precision)?;
    }
    archive.zip_writer().finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use npyz::npz::NpzArchive;

    use super::*;

    #[test]
    fn arrays_come_back_in_their_shape_and_type() {
        let mut bytes = Cursor::new(Vec::new());
        let values = [1.5, -2.0, 0.1, 4.0, 5.0, 6.0];
        let array = |name, precision| NamedArray { name, shape: &[2, 3], values: &values, precision };
        write_npz(&mut bytes, &[array("single", Precision::F32), array("double", Precision::F64)]).unwrap();
        bytes.set_position(0);
        let mut archive = NpzArchive::new(bytes).unwrap();
        let single = archive.by_name("single").unwrap().unwrap();
        assert_eq!(single.shape(), [2, 3]);
        assert_eq!(single.into_vec::<f32>().unwrap()[2], 0.1_f32);
        assert_eq!(archive.by_name("double").unwrap().unwrap().into_vec::<f64>().unwrap(), values);
    }
}
