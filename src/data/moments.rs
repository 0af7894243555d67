//! An optimizer's second moments, as a file beside the model's or in it.

use std::fs;
use std::path::Path;

use ::safetensors::SafeTensors;

use super::array::Values;
use super::file::{missing, quoted};
use super::safetensors::{parse, to_array};
use crate::error::{Error, Result};
use crate::model::Tensor;

/// What PyTorch's Adam calls the running average of the squared gradients.
const SECOND: &str = "exp_avg_sq";

/// What an optimizer's state may be called in a model file, behind a tensor's name.
pub(super) fn is_optimizer_state(name: &str) -> bool {
    [".exp_avg_sq", ".exp_avg", ".max_exp_avg_sq"].iter().any(|ending| name.ends_with(ending))
}

/// Reads the second moments of `tensors` from a safetensors file: for each an array of its shape under its name followed by
/// `.exp_avg_sq`, or where the file has none of those and is not `the_model` itself, under its name alone. Yields them one after another.
///
/// # Errors
/// [`Error::File`] and [`Error::Format`] where the file cannot be read or lacks an array of the shape; [`Error::NonFinite`] and
/// [`Error::Input`] where a number is not finite or is negative.
pub fn load_second_moments(path: &Path, tensors: &[Tensor], the_model: bool) -> Result<Vec<f64>> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    let file = parse(path, &bytes)?;
    let named = the_model || file.names().iter().any(|name| name.ends_with(SECOND));
    let mut moments = Vec::new();
    for tensor in tensors {
        let name = if named { format!("{}.{SECOND}", tensor.name) } else { tensor.name.clone() };
        moments.extend(read(path, &file, &name, &tensor.shape)?);
    }
    Ok(moments)
}

fn read(path: &Path, file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    let Ok(tensor) = file.tensor(name) else {
        let mut present: Vec<_> = file.names().into_iter().map(str::to_owned).collect();
        present.sort_unstable();
        return Err(missing(path, name, &present));
    };
    let name = quoted(name);
    if tensor.shape() != shape {
        let problem =
            format!("second moments {name} have shape {:?}, but the parameters {shape:?}: they are of another model", tensor.shape());
        return Err(Error::format(path, problem));
    }
    let values = to_array(&tensor).map_err(|problem| Error::format(path, format!("second moments {name}: {problem}")))?.values;
    if !matches!(values, Values::F32(_) | Values::F64(_)) {
        return Err(Error::format(path, format!("second moments {name} are of type {:?}: F32, F64, F16 or BF16", tensor.dtype())));
    }
    let values = values.into_f64();
    if let Some(at) = values.iter().position(|value| !(value.is_finite() && *value >= 0.0)) {
        let problem = format!(
            "{}: second moments {name}: element {at} is {}: averages of squares are finite and not negative",
            path.display(),
            values[at]
        );
        return Err(if values[at].is_finite() { Error::Input(problem) } else { Error::NonFinite(problem) });
    }
    Ok(values)
}
