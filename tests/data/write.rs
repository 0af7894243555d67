//! Writers of every format, as plain as possible.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use hesper::data::{Model, NetworkOptions, load_network};
use hesper::model::Activation;
use npyz::npz::NpzWriter;
use npyz::zip::CompressionMethod;
use npyz::zip::write::FileOptions;

/// An npy file of version 1 with this header text and data.
pub(crate) fn npy_with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let padding = 63 - (10 + header.len()) % 64;
    let header = format!("{header}{}\n", " ".repeat(padding));
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

/// An npy file in C order.
pub(crate) fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    npy_with_header(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}"), data)
}

/// A zip archive of files, deflated.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut bytes);
    for (name, content) in files {
        archive.zip_writer().start_file(*name, Default::default()).unwrap();
        archive.zip_writer().write_all(content).unwrap();
    }
    archive.zip_writer().finish().unwrap();
    drop(archive);
    bytes.into_inner()
}

/// A zip archive of one file, as it is: what `numpy.savez` makes.
pub(crate) fn stored_zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut bytes);
    let options = FileOptions::default().compression_method(CompressionMethod::Stored);
    archive.zip_writer().start_file(name, options).unwrap();
    archive.zip_writer().write_all(content).unwrap();
    archive.zip_writer().finish().unwrap();
    drop(archive);
    bytes.into_inner()
}

/// An IDX file.
pub(crate) fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, u8::try_from(shape.len()).unwrap()];
    bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// A gzip stream of `bytes`.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tensor to be stored: name, dtype, shape, data.
pub(crate) type Tensor<'a> = (&'a str, &'a str, &'a [usize], Vec<u8>);

/// A safetensors file of tensors and string metadata.
pub(crate) fn safetensors(tensors: &[Tensor<'_>], metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let strings = metadata.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
    header.insert("__metadata__".into(), serde_json::Value::Object(strings));
    let mut data = Vec::new();
    for (name, dtype, shape, content) in tensors {
        let offsets = [data.len(), data.len() + content.len()];
        header.insert((*name).to_owned(), serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
        data.extend(content);
    }
    safetensors_with_header(&serde_json::Value::Object(header).to_string(), &data)
}

/// A safetensors file with this header text.
pub(crate) fn safetensors_with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

/// Numbers as little-endian singles.
pub(crate) fn singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Numbers as little-endian doubles.
pub(crate) fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A file of a temporary folder.
pub(crate) fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A tanh network of these widths whose parameters are 0, 0.01, 0.02, ...
pub(crate) fn network(folder: &Path, widths: &[usize]) -> Model {
    let mut next = 0_u16;
    let mut numbers = |count: usize| {
        let values: Vec<_> = (0..count).map(|_| (f32::from(next) * 0.01, next = next.wrapping_add(1)).0).collect();
        singles(&values)
    };
    let names: Vec<_> = (1..widths.len()).map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]).collect();
    let shapes: Vec<_> = widths.windows(2).map(|pair| [pair[1], pair[0]]).collect();
    let mut tensors: Vec<Tensor<'_>> = Vec::new();
    for ([weight, bias], shape) in names.iter().zip(&shapes) {
        tensors.push((weight, "F32", shape, numbers(shape[0] * shape[1])));
        tensors.push((bias, "F32", &shape[..1], numbers(shape[0])));
    }
    let path = file(folder, "network.safetensors", &safetensors(&tensors, &[]));
    let options = NetworkOptions { activations: vec![Activation::Tanh], ..NetworkOptions::default() };
    load_network(&path, &options).unwrap()
}
