//! Vectors in and out, as NumPy has them.

use std::io::{self, Seek, Write};
use std::path::Path;

use anyhow::{Result, bail};
use npyz::WriterBuilder as _;
use npyz::npz::NpzWriter;
use npyz::zip::write::FileOptions;
use npyz::zip::{CompressionMethod, DateTime};

use super::output::OutputFile;
use crate::data::{load_array, load_named_array};
use crate::job::Eigenvectors;
use crate::numeric::{Precision, Real as _};

/// The shape and the numbers of a file's array, in an archive that of `vectors`; errors name the file, which the job does not know.
pub(super) fn load_vectors(path: &Path, dim: usize) -> Result<(Vec<u64>, Vec<f64>)> {
    let is_archive = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    let array = if is_archive { load_named_array(path, "vectors")? } else { load_array(path)? };
    let name = path.display();
    if !matches!(array.shape[..], [n] | [_, n] if n == dim) {
        bail!("{name}: has shape {:?}, but the network has {dim} parameters: give [{dim}] or [k, {dim}]", array.shape);
    }
    let shape = array.shape.iter().map(|&extent| extent as u64).collect();
    let values = array.values.into_f64();
    if values.is_empty() {
        bail!("{name}: has shape {:?}: at least one vector is needed", array.shape);
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        bail!("{name}: element {} of vector {} is {}: every element must be finite", at % dim, at / dim, values[at]);
    }
    Ok((shape, values))
}

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

/// Writes `values` [k] in double precision and `vectors` [k, n] in the precision that they were found in.
pub(super) fn write_eigenvectors(file: &OutputFile, eigenvectors: &Eigenvectors, precision: Precision) -> Result<()> {
    let Eigenvectors { values, vectors, dim } = eigenvectors;
    let (count, dim) = (values.len() as u64, *dim as u64);
    file.write(|file| {
        write_npz(
            file,
            &[
                NamedArray { name: "values", shape: &[count], values, precision: Precision::F64 },
                NamedArray { name: "vectors", shape: &[count, dim], values: vectors, precision },
            ],
        )
    })
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
