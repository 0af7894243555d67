//! What a state belongs to: whatever decides a job's numbers, and where two of them differ.

use serde::Serialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use crate::curvature::{BackendInfo, Objective};
use crate::error::{Error, Result};
use crate::job::context::Subject;
use crate::model::Targets;

/// The version of the files.
const SCHEMA: &str = "hesper.state/1";

/// Samples that are digested at once.
const ROWS: usize = 256;

/// A job's name, options, model, data, loss and operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity(pub(super) Value);

impl Identity {
    /// That of the job `command` with `options` on `subject`, which is of `objective` with data of that digest ([`data_digest`]);
    /// `vectors` are what it is given besides.
    ///
    /// # Errors
    /// Where the options do not serialize, which none of hesper's does.
    pub fn new(
        command: &str,
        options: &impl Serialize,
        subject: &Subject,
        (objective, data): (&Objective, &str),
        vectors: &[f64],
    ) -> Result<Self> {
        let options = serde_json::to_value(options).map_err(|error| Error::Input(format!("options: {error}")))?;
        let sample_weights: Vec<f64> = (0..objective.samples()).map(|sample| objective.sample_weight(sample)).collect();
        let layers: Vec<Value> = subject
            .model
            .layers
            .iter()
            .map(|layer| json!([layer.r#in, layer.out, layer.activation, layer.bias, layer.kind, layer.sources]))
            .collect();
        let constants = objective.network().constants();
        Ok(Self(json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "command": command,
            "options": options,
            "model": { "layers": layers, "digest": digest_of(&objective.network().parameters()), "constants": digest_of(&constants) },
            "view": { "ranges": objective.view().ranges(), "units": objective.view().scale().map(digest_of) },
            "data": { "samples": objective.samples(), "digest": data },
            "loss": {
                "kind": subject.criterion.loss(),
                "terms": subject.criterion.terms(),
                "reduction": subject.criterion.reduction(),
                "sample_weights": digest_of(&sample_weights),
                "weight_decay": subject.weight_decay.factor,
                "decay": subject.weight_decay.over,
            },
            "operator": format!("{:?}", subject.curvature),
            "start": digest_of(vectors),
        })))
    }

    /// A digest of all of it and of `device`, in hexadecimal.
    pub fn key(&self, device: &str) -> String {
        let mut hash = Xxh3::new();
        hash.update(self.0.to_string().as_bytes());
        hash.update(device.as_bytes());
        format!("{:032x}", hash.digest128())
    }

    /// The same with what computes, as far as it decides bits.
    pub(super) fn on(&self, info: &BackendInfo) -> Value {
        let mut value = self.0.clone();
        let BackendInfo { kind, adapter, driver, precision, linearization, variants, .. } = info;
        value["backend"] = json!({
            "kind": kind, "adapter": adapter, "driver": driver, "precision": precision, "linearization": linearization, "variants": variants,
        });
        value
    }
}

/// A digest of numbers, in hexadecimal.
pub fn digest_of(numbers: &[f64]) -> String {
    let mut hash = Xxh3::new();
    hash.update(bytemuck::cast_slice(numbers));
    format!("{:032x}", hash.digest128())
}

/// A digest of all samples and targets as they are used.
pub fn data_digest(objective: &Objective) -> String {
    let (inputs, mut hash) = (objective.inputs(), Xxh3::new());
    let mut rows = vec![0.0_f64; ROWS * inputs.width()];
    for first in (0..inputs.samples()).step_by(ROWS) {
        let samples = first..inputs.samples().min(first + ROWS);
        let rows = &mut rows[..samples.len() * inputs.width()];
        inputs.copy_rows(samples, rows);
        hash.update(bytemuck::cast_slice(rows));
    }
    match objective.targets() {
        Targets::Classes(classes) => hash.update(bytemuck::cast_slice(classes)),
        Targets::Values(values) => hash.update(bytemuck::cast_slice(values)),
        other => hash.update(format!("{other:?}").as_bytes()),
    }
    format!("{:032x}", hash.digest128())
}

/// The first place where two states differ, with both values: `options.probes is 20, in the state 10`.
pub(super) fn difference(now: &Value, then: &Value) -> Option<String> {
    between(now, then, &mut Vec::new())
}

fn between<'a>(now: &'a Value, then: &'a Value, path: &mut Vec<&'a str>) -> Option<String> {
    if let (Value::Object(now), Value::Object(then)) = (now, then) {
        let keys = now.keys().chain(then.keys().filter(|key| !now.contains_key(*key)));
        for key in keys {
            path.push(key);
            let found = between(now.get(key).unwrap_or(&Value::Null), then.get(key).unwrap_or(&Value::Null), path);
            path.pop();
            if found.is_some() {
                return found;
            }
        }
        return None;
    }
    (now != then).then(|| format!("{} is {now}, in the state {then}", path.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_with_both_values() {
        let state = json!({ "command": "trace", "options": { "probes": 10, "rtol": null } });
        assert_eq!(difference(&state, &state), None);
        let other = json!({ "command": "trace", "options": { "probes": 20, "rtol": null } });
        assert_eq!(difference(&other, &state).unwrap(), "options.probes is 20, in the state 10");
        let more = json!({ "command": "trace", "options": { "probes": 10, "rtol": null, "x": 1 } });
        assert_eq!(difference(&more, &state).unwrap(), "options.x is 1, in the state null");
        assert_eq!(difference(&state, &more).unwrap(), "options.x is null, in the state 1");
    }
}
