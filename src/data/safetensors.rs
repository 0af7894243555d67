//! The safetensors format, through the crate of that name, for data and for weights.
//!
//! The crate checks that the tensors fill the file without gap or overlap, so that a size that lies is caught before it is used. It
//! works on the whole file in memory, which costs no more than the bytes that are there.

use std::fs;
use std::path::Path;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};

use super::array::Array;
use super::decode::{ByteOrder, Element, checked_count, read_values};
use super::file::{Named, quoted};
use crate::error::{Error, Result};

/// Bytes of the length that the file starts with.
const PREFIX: usize = 8;

/// Reads those of the tensors `names` that the file holds.
pub(super) fn read<const COUNT: usize>(path: &Path, names: [&str; COUNT]) -> Result<Named<COUNT>> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    let tensors = parse(path, &bytes)?;
    let mut present: Vec<_> = tensors.names().into_iter().map(str::to_owned).collect();
    present.sort_unstable();
    let mut arrays = [const { None }; COUNT];
    for (array, name) in arrays.iter_mut().zip(names) {
        if let Ok(tensor) = tensors.tensor(name) {
            let read = to_array(&tensor).map_err(|problem| Error::format(path, format!("{}: {problem}", quoted(name))))?;
            *array = Some(read);
        }
    }
    Ok(Named { arrays, present })
}

/// The tensors of a file whose content is `bytes`.
pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    check_header_length(path, bytes)?;
    SafeTensors::deserialize(bytes).map_err(|problem| {
        let length = bytes.len();
        Error::format(path, format!("damaged safetensors file of {length} bytes: {problem}; it is truncated, or of another format"))
    })
}

/// The string map that a file may carry beside its tensors.
pub(super) fn metadata(bytes: &[u8]) -> impl Iterator<Item = (String, String)> + use<> {
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
    metadata.into_iter().flatten()
}

/// Says with the numbers what the crate would call an invalid header length.
fn check_header_length(path: &Path, bytes: &[u8]) -> Result<()> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(Error::format(path, format!("has {} bytes, too few for a safetensors file: it is truncated", bytes.len())));
    };
    let declared = u64::from_le_bytes(*prefix);
    if usize::try_from(declared).is_ok_and(|declared| declared <= rest.len()) {
        return Ok(());
    }
    Err(Error::format(
        path,
        format!("declares a safetensors header of {declared} bytes, but only {} follow: it is truncated, or of another format", rest.len()),
    ))
}

/// The tensor's shape and numbers.
pub(super) fn to_array(tensor: &TensorView<'_>) -> Result<Array, String> {
    let element = match tensor.dtype() {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        dtype => return Err(format!("numbers of type {dtype:?} are not supported: store F32, F64, F16, BF16 or an integer type")),
    };
    let shape = tensor.shape().to_vec();
    let count = checked_count(&shape, element)?;
    let values = read_values(&mut tensor.data(), count, element, ByteOrder::Little)?;
    Ok(Array { shape, values })
}
