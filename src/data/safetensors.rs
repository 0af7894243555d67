//! The safetensors format, through the crate of that name, for data and for weights.
//!
//! The crate checks that the tensors fill the file without gap or overlap, so that a size that lies is caught before it is used. It
//! works on the whole file in memory, which costs no more than the bytes that are there; a large data file is mapped, and its tensors
//! stay in it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use memmap2::Mmap;

use super::array::{Array, Values};
use super::decode::{ByteOrder, Element, checked_count, read_values};
use super::file::{Named, quoted};
use super::stored::{WORTH_MAPPING, map_file, packed_type};
use crate::curvature::Packed;
use crate::error::{Error, Result};

/// Bytes of the length that the file starts with.
const PREFIX: usize = 8;

/// Reads those of the tensors `names` that the file holds.
pub(super) fn read<const COUNT: usize>(path: &Path, names: [&str; COUNT]) -> Result<Named<COUNT>> {
    let file = File::open(path).map_err(|error| Error::file(path, error))?;
    let large = file.metadata().map_err(|error| Error::file(path, error))?.len() >= WORTH_MAPPING;
    let map = large.then(|| map_file(&file)).flatten().map(Arc::new);
    let read = if map.is_none() { fs::read(path).map_err(|error| Error::file(path, error))? } else { Vec::new() };
    let bytes = map.as_deref().map_or(&read[..], |map| &map[..]);
    let tensors = parse(path, bytes)?;
    let mut present: Vec<_> = tensors.names().into_iter().map(str::to_owned).collect();
    present.sort_unstable();
    let mut arrays = [const { None }; COUNT];
    for (array, name) in arrays.iter_mut().zip(names) {
        if let Ok(tensor) = tensors.tensor(name) {
            let packed = map.as_ref().and_then(|map| in_place(map, &tensor));
            let read = packed.map_or_else(|| to_array(&tensor), Ok);
            *array = Some(read.map_err(|problem| Error::format(path, format!("{}: {problem}", quoted(name))))?);
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
    let element = element_of(tensor)?;
    let shape = tensor.shape().to_vec();
    let count = checked_count(&shape, element)?;
    let values = read_values(&mut tensor.data(), count, element, ByteOrder::Little)?;
    Ok(Array { shape, values })
}

fn element_of(tensor: &TensorView<'_>) -> Result<Element, String> {
    Ok(match tensor.dtype() {
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
    })
}

/// A tensor of a mapped file that is left there.
fn in_place(map: &Arc<Mmap>, tensor: &TensorView<'_>) -> Option<Array> {
    let element = element_of(tensor).ok()?;
    let count = checked_count(tensor.shape(), element).ok()?;
    let start = tensor.data().as_ptr().addr().checked_sub(map.as_ptr().addr())?;
    let packed = Packed::new(map.clone(), start, count, packed_type(element, ByteOrder::Little)?)?;
    Some(Array { shape: tensor.shape().to_vec(), values: Values::Packed(packed) })
}
