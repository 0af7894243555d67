//! What the tests of the whole program share: running it, and making input files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use npyz::WriterBuilder as _;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

/// Runs the program in `folder`.
pub(crate) fn hesper(folder: &Path, args: &[&str]) -> Output {
    // Where a session has no runtime directory, Mesa says so on standard error by itself.
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    cargo_bin_cmd!("hesper").env("XDG_RUNTIME_DIR", runtime).current_dir(folder).args(args).output().unwrap()
}

/// Runs the program in `folder`, which must end with `code`.
pub(crate) fn hesper_ends(folder: &Path, args: &[&str], code: i32) -> String {
    let output = hesper(folder, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON that the program prints with `args` and `--json -`.
pub(crate) fn json(folder: &Path, args: &[&str]) -> Value {
    let text = hesper_ends(folder, &[args, &["--json", "-"]].concat(), 0);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// A file of a committed fixture.
pub(crate) fn fixture(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).join(file)
}

/// Writes a safetensors file of f32 tensors.
pub(crate) fn write_model(path: &Path, tensors: &[(&str, &[usize], &[f32])]) {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name.to_string(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    let file = safetensors::serialize(views.collect::<BTreeMap<_, _>>(), None).unwrap();
    fs::write(path, file).unwrap();
}

/// An npy file's bytes.
pub(crate) fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The numbers of an npy file, and their shape.
pub(crate) fn read_npy<T: npyz::Deserialize>(path: &Path) -> (Vec<u64>, Vec<T>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// The files of a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
