//! Files that are truncated, damaged or made to hurt: one line each, no panic, and no memory for a claim.

use std::path::{Path, PathBuf};

use hesper::data::{DataOptions, NetworkOptions, load_array, load_dataset, load_network};
use hesper::model::{Activation, Network};

use crate::allocation::largest;
use crate::write::{doubles, file, gzip, idx, network, npy, npy_with_header, safetensors, safetensors_with_header, singles, zip};

/// No hostile file here has more than some kilobytes to give; the decoders' own buffers stay below this.
const MOST_BYTES: usize = 1 << 20;

/// How a file is read.
#[derive(Clone, Copy)]
enum Reader {
    Array,
    Data,
    Model,
}

struct Fixture {
    folder: tempfile::TempDir,
    network: Network,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), &[2, 3]).network;
        Self { folder, network }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        file(self.folder.path(), name, bytes)
    }

    /// Reads the file; what it says if it is refused, in one line, without much memory.
    fn read(&self, reader: Reader, path: &Path) -> Result<(), String> {
        let (result, bytes) = largest(|| match reader {
            Reader::Array => load_array(path).map(drop),
            Reader::Data => {
                let options = DataOptions { data: Some(path.into()), ..DataOptions::default() };
                load_dataset(&options, &self.network).map(drop)
            }
            Reader::Model => {
                let options = NetworkOptions { activations: vec![Activation::Tanh], ..NetworkOptions::default() };
                load_network(path, &options).map(drop)
            }
        });
        assert!(bytes < MOST_BYTES, "{}: {bytes} bytes asked for at once", path.display());
        result.map_err(|error| {
            let error = error.to_string();
            assert!(!error.contains('\n') && error.starts_with(&path.display().to_string()), "{error}");
            error
        })
    }

    fn refuse(&self, reader: Reader, name: &str, bytes: &[u8], expected: &str) {
        let error = self.read(reader, &self.file(name, bytes)).expect_err(name);
        assert!(error.contains(expected), "{name}: '{expected}' expected: {error}");
    }
}

/// A small valid file of every binary format, and how to read it.
fn valid_files() -> Vec<(&'static str, Reader, Vec<u8>)> {
    let x = npy("<f4", &[2, 2], &singles(&[0.0, 0.25, 0.5, 0.75]));
    let y = npy("<i8", &[2], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let fortran = npy_with_header("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 1), }", &doubles(&[1.0, 2.0]));
    let x_tensor = ("x", "F32", &[2, 2][..], singles(&[0.0, 0.25, 0.5, 0.75]));
    let y_tensor = ("y", "U8", &[2][..], vec![0, 1]);
    let layer = [("0.weight", "F32", &[3, 2][..], singles(&[0.5; 6])), ("0.bias", "BF16", &[3][..], vec![0; 6])];
    vec![
        ("x.npy", Reader::Array, x.clone()),
        ("fortran.npy", Reader::Array, fortran),
        ("x.npy.gz", Reader::Array, gzip(&x)),
        ("x-idx2-ubyte", Reader::Array, idx(8, &[2, 3], &[1, 2, 3, 4, 5, 6])),
        ("x-idx2-ubyte.gz", Reader::Array, gzip(&idx(8, &[2, 3], &[1, 2, 3, 4, 5, 6]))),
        ("data.npz", Reader::Data, zip(&[("x.npy", &x), ("y.npy", &y)])),
        ("data.safetensors", Reader::Data, safetensors(&[x_tensor, y_tensor], &[])),
        ("model.safetensors", Reader::Model, safetensors(&layer, &[("activation", "tanh")])),
    ]
}

const TABLE: &[u8] = b"a,b,y\n0.5,1e-3,0\n-2,3.25,2\n";

#[test]
fn every_truncation_is_refused() {
    let fixture = Fixture::new();
    for (name, reader, bytes) in valid_files() {
        fixture.read(reader, &fixture.file(name, &bytes)).unwrap();
        for length in 0..bytes.len() {
            let result = fixture.read(reader, &fixture.file(name, &bytes[..length]));
            assert!(result.is_err(), "{name}: the first {length} of {} bytes are accepted", bytes.len());
        }
    }
    // A table has no length to be held against: the start of one may be a shorter table.
    fixture.read(Reader::Data, &fixture.file("data.csv", TABLE)).unwrap();
    for length in 0..TABLE.len() {
        let _ = fixture.read(Reader::Data, &fixture.file("data.csv", &TABLE[..length]));
    }
}

#[test]
fn no_flipped_bit_panics_or_costs_memory() {
    let fixture = Fixture::new();
    let table = ("data.csv", Reader::Data, TABLE.to_vec());
    for (name, reader, bytes) in valid_files().into_iter().chain([table]) {
        for position in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] ^= flip;
                let _ = fixture.read(reader, &fixture.file(name, &damaged));
            }
        }
    }
}

#[test]
fn arrays_whose_headers_lie_are_refused() {
    let fixture = Fixture::new();
    let f8 = |shape: &str| npy_with_header(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"), &[0; 16]);
    let header_of = |length: u32| [b"\x93NUMPY\x02\x00", &length.to_le_bytes()[..], b"{'descr'"].concat();
    let zeros = vec![0; 3_000_000];
    let cases: [(&str, Vec<u8>, &str); 20] = [
        ("empty.npy", vec![], "the file is empty"),
        ("empty.npy.gz", gzip(&[]), "the file is empty"),
        ("text.npy", b"hello, world".to_vec(), "unknown format"),
        ("claims.npy", f8("(1000000, 1000000)"), "8000000000000 bytes), but only 16 bytes"),
        ("claims.npy.gz", gzip(&f8("(1000000000000,)")), "but only 16 bytes"),
        ("overflows.npy", f8("(4294967296, 4294967296, 4294967296)"), "larger than any memory"),
        ("almost.npy", f8("(1152921504606846976,)"), "larger than any memory"),
        ("huge.npy", f8("(123456789012345678901234567890,)"), "extent"),
        ("negative.npy", f8("(-2,)"), "extent"),
        ("small.npy", f8("(1,)"), "more bytes follow"),
        ("header.npy", header_of(u32::MAX), "claims 4294967295 bytes"),
        ("nested.npy", npy_with_header(&"(".repeat(9000), &[]), "'{' expected"),
        ("nested_shape.npy", f8(&"(".repeat(9000)), "extent"),
        ("version.npy", b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version 9"),
        ("objects.npy", npy("|O", &[2], &[0; 16]), "Python objects"),
        ("complex.npy", npy("<c16", &[1], &[0; 16]), "complex"),
        ("strings.npy", npy("<U2", &[2], &[0; 16]), "strings"),
        ("dates.npy", npy("<M8[s]", &[2], &[0; 16]), "'<M8[s]'"),
        ("bomb.npy.gz", gzip(&npy("|u1", &[4], &zeros)), "more bytes follow"),
        ("trailer.npy.gz", [gzip(&npy("|u1", &[1], &[0])), b"garbage garbage garbage".to_vec()].concat(), "damaged data"),
    ];
    for (name, bytes, expected) in cases {
        fixture.refuse(Reader::Array, name, &bytes, expected);
    }
    let idx_cases: [(&str, Vec<u8>, &str); 4] = [
        ("claims-idx3", idx(8, &[60000, 28, 28], &[0; 100]), "47040000 bytes), but only 100 bytes"),
        ("overflows-idx3", idx(0x0e, &[u32::MAX, u32::MAX, u32::MAX], &[0; 100]), "larger than any memory"),
        ("many-idx255", [vec![0, 0, 8, 255], vec![0xff; 1020]].concat(), "larger than any memory"),
        ("type-idx1", idx(0x0a, &[1], &[0]), "number type 0x0a"),
    ];
    for (name, bytes, expected) in idx_cases {
        fixture.refuse(Reader::Array, name, &bytes, expected);
        fixture.refuse(Reader::Array, &format!("{name}.gz"), &gzip(&bytes), expected);
    }
    fixture.refuse(Reader::Array, "archive.npy", &zip(&[("x.npy", &[0])]), "several arrays");
}

#[test]
fn archives_that_lie_are_refused() {
    let fixture = Fixture::new();
    let x = npy("<f4", &[2, 2], &singles(&[0.0; 4]));
    let y = npy("|u1", &[2], &[0, 1]);
    let claims = npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }", &[0; 16]);
    let bomb = npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", &vec![0; 3_000_000]);
    let good = zip(&[("x.npy", &x), ("y.npy", &y)]);
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty.npz", vec![], "damaged npz"),
        ("noise.npz", b"PK\x03\x04 and then nothing that an archive has".to_vec(), "damaged npz"),
        ("no_x.npz", zip(&[("images.npy", &x), ("y.npy", &y)]), "has no array 'x'; it holds 'images', 'y'"),
        ("no_y.npz", zip(&[("x.npy", &x)]), "has no array 'y'; it holds 'x'"),
        ("no_array.npz", zip(&[("x.txt", &x)]), "it holds nothing"),
        ("claims.npz", zip(&[("x.npy", &claims), ("y.npy", &y)]), "'x': the header's shape asks for 2000000000000"),
        ("bomb.npz", zip(&[("x.npy", &bomb), ("y.npy", &y)]), "'x': more bytes follow"),
        ("objects.npz", zip(&[("x.npy", &x), ("y.npy", &npy("|O", &[2], &[0; 16]))]), "'y': numbers of type '|O'"),
        ("samples.npz", zip(&[("x.npy", &x), ("y.npy", &npy("|u1", &[3], &[0; 3]))]), "y has shape [3], but x has 2 samples"),
    ];
    for (name, bytes, expected) in cases {
        fixture.refuse(Reader::Data, name, &bytes, expected);
    }
    // In the central directory, the compressed and the uncompressed size follow 20 bytes after the entry's signature.
    let entry = good.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for sizes in [20..24, 24..28, 20..28] {
        for byte in [0, 0x7f, 0xff] {
            let mut lying = good.clone();
            lying[entry..][sizes.clone()].fill(byte);
            let _ = fixture.read(Reader::Data, &fixture.file("lying.npz", &lying));
        }
    }
}

#[test]
fn safetensors_that_lie_are_refused() {
    let fixture = Fixture::new();
    let tensor = |dtype: &str, shape: &str, end: &str| {
        let header = format!(r#"{{"0.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        safetensors_with_header(&header, &[0; 24])
    };
    let length = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    let nested = safetensors_with_header(&"[".repeat(100_000), &[]);
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("empty", vec![], "has 0 bytes"),
        ("length", length(1 << 60), "header of 1152921504606846976 bytes, but only 2 follow"),
        ("longest", length(u64::MAX), "but only 2 follow"),
        ("text", b"<!DOCTYPE html><html>".to_vec(), "or of another format"),
        ("json", safetensors_with_header("{\"0.weight\":", &[]), "invalid JSON"),
        ("utf8", [&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), "UTF-8"),
        ("nested", nested, "invalid JSON"),
        ("outside", tensor("F32", "[3,2]", "1000000"), "damaged safetensors"),
        ("short", tensor("F32", "[3,2]", "20"), "damaged safetensors"),
        ("shape", tensor("F32", "[1000000,1000000]", "24"), "damaged safetensors"),
        ("overflow", tensor("F32", "[4294967296,4294967296,4294967296]", "24"), "overflow"),
        ("negative", tensor("F32", "[-3,2]", "24"), "invalid JSON"),
        ("dtype", tensor("F31", "[3,2]", "24"), "invalid JSON"),
    ];
    for (name, bytes, expected) in cases {
        fixture.refuse(Reader::Model, &format!("{name}.safetensors"), &bytes, expected);
        fixture.refuse(Reader::Data, &format!("{name}.safetensors"), &bytes, expected);
    }
}

#[test]
fn data_without_a_sample_or_with_nan_are_refused() {
    let fixture = Fixture::new();
    let y = npy("|u1", &[2], &[0, 1]);
    let with_x = |x: &[u8]| zip(&[("x.npy", x), ("y.npy", &y)]);
    let nan = singles(&[0.0, 1.0, 2.0, f32::NAN]);
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("no_samples.npz", with_x(&npy("<f4", &[0, 2], &[])), "x has shape [0, 2]"),
        ("no_inputs.npz", with_x(&npy("<f4", &[2, 0], &[])), "x has shape [2, 0]"),
        ("scalar.npz", with_x(&npy("<f4", &[], &[0; 4])), "x has shape []"),
        ("wide.npz", with_x(&npy("<f4", &[2, 3], &[0; 24])), "x has 3 numbers a sample, but the network takes 2"),
        ("nan.npz", with_x(&npy("<f4", &[2, 2], &nan)), "x[1, 1] is NaN"),
        ("inf.csv", b"0,1,0\n1,-inf,0\n".to_vec(), "x[1, 1] is -inf"),
        ("empty.csv", vec![], "no line of numbers"),
        ("ragged.csv", b"0,1,0\n1,0\n".to_vec(), "line 2: 2 fields, but the first line has 3"),
        ("folder.xyz", b"?".to_vec(), "unknown format"),
    ];
    for (name, bytes, expected) in cases {
        fixture.refuse(Reader::Data, name, &bytes, expected);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let fixture = Fixture::new();
    for reader in [Reader::Array, Reader::Data, Reader::Model] {
        assert!(fixture.read(reader, &fixture.folder.path().join("absent.npz")).is_err());
        assert!(fixture.read(reader, fixture.folder.path()).is_err());
    }
}
