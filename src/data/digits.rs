//! The embedded data set and network, so that there is something real to work on without any file.
//!
//! UCI optical recognition of handwritten digits as in scikit-learn, CC BY 4.0; `assets/README.md` has the attribution.

use std::io::Cursor;
use std::path::Path;

use super::file::missing;
use super::npz;
use super::pair::Pair;
use super::weights::{Model, NetworkOptions, parse_network};
use crate::error::Result;

const DATA: &[u8] = include_bytes!("../../assets/digits.npz");
const MODEL: &[u8] = include_bytes!("../../assets/digits_tanh_64x64.safetensors");

/// The name of the embedded data in messages and results.
const SOURCE: &str = "digits (embedded)";

/// The grey levels are 0 to 16; the network was trained on 0 to 1.
pub(super) const DIGITS_SCALE: f64 = 1.0 / 16.0;

/// A 64-64-64-10 tanh network trained on the embedded digits with cross-entropy.
///
/// # Errors
/// None but by a damaged build.
pub fn digits_network() -> Result<Model> {
    parse_network(Path::new("digits_tanh_64x64 (embedded)"), MODEL, &NetworkOptions::default())
}

/// The digits as they are stored.
pub(super) fn load_digits() -> Result<Pair> {
    let path = Path::new(SOURCE);
    let named = npz::read(Cursor::new(DATA), None, path, ["x", "y"])?;
    let [x, y] = named.arrays;
    let x = x.ok_or_else(|| missing(path, "x", &named.present))?;
    Ok(Pair { x, y, x_source: SOURCE.into(), y_source: SOURCE.into(), source: SOURCE.into() })
}
