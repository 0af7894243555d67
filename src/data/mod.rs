//! Everything that reads files: data sets, model files, and the digits that are embedded in the binary.
//!
//! Files are hostile until proved otherwise. A size in a header is a claim that is never allocated by: what is read grows with the bytes
//! that are there, products of extents are checked, and whatever does not fit is refused in one line that names the file, the array and the
//! numbers. Nothing here panics on any content.
//!
//! Each format's file knows its format only and returns an [`Array`]; [`load_dataset`] knows what x and y mean; [`load_network`] knows
//! how a PyTorch module names its tensors.

mod array;
mod chain;
mod checkpoint;
mod csv;
mod dataset;
mod decode;
mod described;
mod description;
mod digits;
mod file;
mod hints;
mod idx;
mod inferred;
mod labels;
mod moments;
mod npy;
mod npz;
mod onnx;
mod pair;
mod safetensors;
mod stored;
mod tensors;
mod weights;

pub use array::{Array, Values};
pub use checkpoint::{Checkpoint, checkpoints, write_network};
pub use dataset::{DataOptions, Dataset, digits, load_dataset};
pub use digits::digits_network;
pub use file::{load_array, load_named_array};
pub use hints::ModelHints;
pub use moments::load_second_moments;
pub use weights::{Model, NetworkOptions, load_network};
