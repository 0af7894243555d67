//! The model files of a training run: finding them in their order, and writing them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::chain::natural_order;
use super::description::{description, statistics};
use super::file::has_ending;
use crate::error::{Error, Result};
use crate::model::{Loss, Network};
use crate::numeric::{Precision, Real as _};

/// A model file of a training run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The file.
    pub path: PathBuf,
    /// The last number in its name.
    pub step: Option<u64>,
}

/// The checkpoints that `places` name, each a file, a folder of `.safetensors` files, or a pattern such as `run/step-*.safetensors`; in
/// the order of their names, numbers by their value.
///
/// # Errors
/// [`Error::File`] where a folder cannot be read, [`Error::Input`] where a pattern is none. A folder without a checkpoint is no error.
pub fn checkpoints(places: &[PathBuf]) -> Result<Vec<Checkpoint>> {
    let mut paths = Vec::new();
    for place in places {
        if place.is_dir() {
            for entry in fs::read_dir(place).map_err(|error| Error::file(place, error))? {
                let path = entry.map_err(|error| Error::file(place, error))?.path();
                if has_ending(&path, "safetensors") && path.is_file() {
                    paths.push(path);
                }
            }
        } else if place.exists() || !place.to_string_lossy().contains(['*', '?', '[']) {
            paths.push(place.clone());
        } else {
            let pattern = place.to_string_lossy();
            let found = glob::glob(&pattern).map_err(|error| Error::Input(format!("{pattern}: no pattern: {error}")))?;
            paths.extend(found.filter_map(Result::ok));
        }
    }
    paths.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    paths.dedup();
    Ok(paths.into_iter().map(|path| Checkpoint { step: step(&path), path }).collect())
}

/// The last run of digits in a file's name without its ending.
fn step(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    let end = stem.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = stem[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + stem[at..].chars().next().map_or(1, char::len_utf8));
    stem[start..end].parse().ok()
}

/// Writes `network` as a safetensors file: each tensor under its name, those of PyTorch's `nn.Sequential` where it has none; the loss and
/// the activations, or what else describes a network that is no chain, go to its metadata, so that every command reads it back without a flag. The same network gives the same bytes,
/// which the crate of that name does not promise: it keeps metadata in an order that changes from run to run.
///
/// # Errors
/// Whatever the writer meets.
pub fn write_network(writer: &mut impl Write, network: &Network, loss: Loss, precision: Precision) -> io::Result<()> {
    let dtype = match precision {
        Precision::F32 => "F32",
        Precision::F64 => "F64",
    };
    let bytes = |values: &[f64]| -> Vec<u8> {
        match precision {
            Precision::F32 => values.iter().flat_map(|&value| f32::from_f64(value).to_le_bytes()).collect(),
            Precision::F64 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    };
    let theta = network.parameters();
    let parameters = network.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape, bytes(&theta[tensor.range])));
    let statistics = statistics(network).into_iter().map(|(name, values)| (name, vec![values.len()], bytes(values)));
    let tensors: Vec<_> = parameters.chain(statistics).collect();
    let (last, hidden) = network.layers().split_last().ok_or_else(|| io::Error::other("a network without a layer"))?;
    let names: Vec<_> = hidden.iter().map(|layer| layer.activation.name()).collect();
    let metadata = if network.is_chain() {
        json!({ "activation": names.join(","), "loss": loss.name(), "output_activation": last.activation.name() })
    } else {
        json!({ "loss": loss.name(), "network": description(network) })
    };
    let mut header = BTreeMap::from([("__metadata__".to_owned(), metadata)]);
    let mut end = 0;
    for (name, shape, bytes) in &tensors {
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [end, end + bytes.len()] }));
        end += bytes.len();
    }
    let mut header = serde_json::to_vec(&header)?;
    // Readers may map the file: numbers begin where they may lie.
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    tensors.iter().try_for_each(|(_, _, bytes)| writer.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::{NetworkOptions, digits_network, load_network};
    use super::*;

    #[test]
    fn checkpoints_are_found_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["step-10.safetensors", "step-9.safetensors", "a2-step_100_x.safetensors", "notes.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let steps = |places: &[PathBuf]| checkpoints(places).unwrap().iter().map(|found| found.step).collect::<Vec<_>>();
        assert_eq!(steps(&[folder.path().to_owned()]), [Some(100), Some(9), Some(10)]);
        assert_eq!(steps(&[folder.path().join("step-*"), folder.path().join("step-9.safetensors")]), [Some(9), Some(10)]);
        assert!(steps(&[folder.path().join("none-*")]).is_empty());
        assert_eq!(steps(&["missing.safetensors".into()]), [None]);
        assert!(checkpoints(&["[".into()]).is_err());
    }

    #[test]
    fn a_written_network_is_read_back_whole() {
        let model = digits_network().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut file = fs::File::create(&path).unwrap();
        write_network(&mut file, &model.network, Loss::CrossEntropy, Precision::F64).unwrap();
        let read = load_network(&path, &NetworkOptions::default()).unwrap();
        assert_eq!((read.network, read.hints.loss), (model.network, Some(Loss::CrossEntropy)));
    }

    #[test]
    fn so_is_one_that_is_no_chain() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["batch_norm", "layer_norm", "residual", "rms_norm"] {
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/networks/{name}.safetensors"));
            let network = load_network(&fixture, &NetworkOptions::default()).unwrap().network;
            let path = folder.path().join(name).with_extension("safetensors");
            write_network(&mut fs::File::create(&path).unwrap(), &network, Loss::Mse, Precision::F64).unwrap();
            let read = load_network(&path, &NetworkOptions::default()).unwrap();
            assert_eq!((read.network, read.hints.loss), (network, Some(Loss::Mse)), "{name}");
        }
    }
}
