//! Networks that a text describes: `network.toml`, layer by layer, with the tensors of a model file.
//!
//! A key design decision: the text says what tensors alone do not, and nothing else. Shapes come from the tensors, and every tensor of the
//! file must be named, so that nothing is left out by mistake.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::file::quoted;
use super::tensors::Tensors;
use crate::error::{Error, Result};
use crate::model::{Activation, Dense, Network, NetworkBuilder, Norm, NormKind, Op, Value};

/// A description.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// Width of the input, where the first layer does not tell it.
    inputs: Option<usize>,
    layer: Vec<Spanned<Entry>>,
}

/// One `[[layer]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    kind: Kind,
    /// What its tensors' names begin with.
    tensors: Option<String>,
    /// What other layers call it by; where absent, `tensors`.
    name: Option<String>,
    /// What it reads; where absent, what the layer before makes.
    from: Option<Sources>,
    /// What is added to it before the activation.
    add: Option<String>,
    #[serde(default = "identity")]
    activation: Activation,
    eps: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Dense,
    LayerNorm,
    RmsNorm,
    BatchNorm,
    Add,
    Activation,
    Dropout,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sources {
    One(String),
    Several(Vec<String>),
}

const fn identity() -> Activation {
    Activation::Identity
}

/// PyTorch's ε of LayerNorm and BatchNorm1d.
pub(super) const EPS: f64 = 1e-5;

/// Makes the network that `text` describes of `tensors`; `name` is the text's in messages. Yields also what was left out on purpose.
///
/// # Errors
/// [`Error::Input`] with the line where the text is not understood or does not fit the tensors.
pub(super) fn build(name: &str, text: &str, tensors: &Tensors<'_>) -> Result<(Network, Vec<String>)> {
    let at_line = |span: Option<Range<usize>>, problem: &str| {
        let line = span.map_or(1, |span| text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1);
        Error::Input(format!("{name}: line {line}: {problem}"))
    };
    let description: Description = toml::from_str(text).map_err(|error| {
        let problem = error.message().lines().collect::<Vec<_>>().join(" ");
        at_line(error.span(), &problem)
    })?;
    let inputs = description.inputs.or_else(|| input_width(&description.layer, tensors)).ok_or_else(|| {
        Error::Input(format!("{name}: the input's width is not known: begin with a layer that has tensors, or give inputs = N first"))
    })?;
    let mut building = Building { tensors, builder: NetworkBuilder::new(inputs), names: BTreeMap::new(), notices: Vec::new() };
    for entry in &description.layer {
        building.add(entry.get_ref()).map_err(|problem| match problem {
            Problem::Text(problem) => at_line(Some(entry.span()), &problem),
            Problem::Other(error @ (Error::NonFinite(_) | Error::Format { .. })) => error,
            Problem::Other(error) => at_line(Some(entry.span()), &error.to_string()),
        })?;
    }
    if let Some((unused, shape)) = tensors.unused() {
        return Err(tensors.error(format!("tensor {} of shape {shape:?} has no layer in {name}: name every tensor", quoted(unused))));
    }
    let network = building.builder.finish().map_err(|error| Error::Input(format!("{name}: {error}")))?;
    Ok((network, building.notices))
}

/// The width that the first layer takes.
fn input_width(layers: &[Spanned<Entry>], tensors: &Tensors<'_>) -> Option<usize> {
    let first = layers.iter().map(Spanned::get_ref).find(|entry| entry.kind != Kind::Dropout)?;
    let shape = tensors.shape(&format!("{}weight", prefix(first.tensors.as_deref()?)))?;
    shape.last().copied()
}

/// `fc1` is the beginning of `fc1.weight`; what ends in a dot or an underscore, and nothing at all, are taken as they are.
fn prefix(tensors: &str) -> String {
    if tensors.is_empty() || tensors.ends_with(['.', '_']) { tensors.to_owned() } else { format!("{tensors}.") }
}

/// What is wrong with a layer: the text, or what came of it.
enum Problem {
    Text(String),
    Other(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Text(problem)
    }
}

struct Building<'a, 'b> {
    tensors: &'a Tensors<'b>,
    builder: NetworkBuilder,
    names: BTreeMap<String, Value>,
    notices: Vec<String>,
}

impl Building<'_, '_> {
    fn add(&mut self, entry: &Entry) -> Result<(), Problem> {
        let name = entry.name.as_ref().or(entry.tensors.as_ref());
        let shown = name.map_or_else(|| "dropout".into(), |name| quoted(name));
        if entry.kind == Kind::Dropout {
            self.notices.push(format!("{shown} is left out: dropout does nothing in evaluation mode"));
            return Ok(());
        }
        let sources = match &entry.from {
            None => vec![self.builder.last()],
            Some(Sources::One(from)) => vec![self.value(from)?],
            Some(Sources::Several(from)) => from.iter().map(|from| self.value(from)).collect::<Result<_, _>>()?,
        };
        let (op, prefix) = self.op(entry, &sources)?;
        // What is added comes before the activation.
        let (first, then) = match &entry.add {
            Some(other) => (Activation::Identity, Some((self.value(other)?, entry.activation))),
            None => (entry.activation, None),
        };
        let mut value = self.builder.layer(op, sources, first, prefix)?;
        if let Some((other, activation)) = then {
            value = self.builder.layer(Op::Add, [value, other], activation, None)?;
        }
        if let Some(name) = name
            && (name == "input" || self.names.insert(name.clone(), value).is_some())
        {
            return Err(Problem::Text(format!("the name {} is taken: give each layer its own", quoted(name))));
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Result<Value, Problem> {
        let value = if name == "input" { Some(self.builder.input()) } else { self.names.get(name).copied() };
        value.ok_or_else(|| Problem::Text(format!("reads {}, but no layer before has that name", quoted(name))))
    }

    /// What the layer computes, and what the names of its tensors begin with.
    fn op(&self, entry: &Entry, sources: &[Value]) -> Result<(Op, Option<String>), Problem> {
        let eps = || match (entry.eps, entry.kind) {
            (Some(eps), _) => Ok(eps),
            (None, Kind::RmsNorm) => Err(Problem::Text(
                "rms-norm needs eps: PyTorch's default is that of the number type, 1.1920928955078125e-7 for float32".into(),
            )),
            (None, _) => Ok(EPS),
        };
        if entry.eps.is_some() && !matches!(entry.kind, Kind::LayerNorm | Kind::RmsNorm | Kind::BatchNorm) {
            return Err(Problem::Text("eps belongs to a normalization: leave it out".into()));
        }
        if matches!(entry.kind, Kind::Add | Kind::Activation) {
            let expected = if entry.kind == Kind::Add { 2 } else { 1 };
            if entry.tensors.is_some() || sources.len() != expected {
                let example = if expected == 2 { "from = [\"a\", \"b\"] and no tensors" } else { "one value and no tensors" };
                return Err(Problem::Text(format!("this kind of layer takes {example}")));
            }
            return Ok((Op::Add, None));
        }
        let Some(tensors) = &entry.tensors else {
            // A normalization may have none.
            let kind = match entry.kind {
                Kind::LayerNorm => NormKind::Layer { eps: eps()? },
                Kind::RmsNorm => NormKind::Rms { eps: eps()? },
                _ => return Err(Problem::Text("tensors = \"...\" is missing: what the names of the layer's tensors begin with".into())),
            };
            let width = sources.first().map_or(0, |&source| self.builder.width(source));
            return Ok((Op::Norm(Norm { kind, width, gain: None, shift: None }), None));
        };
        let prefix = prefix(tensors);
        let op = match entry.kind {
            Kind::Dense => Op::Dense(dense(self.tensors, &prefix)?),
            kind => {
                let eps = eps()?;
                Op::Norm(norm(self.tensors, &prefix, |mean, variance| match kind {
                    Kind::BatchNorm => NormKind::Batch { mean, variance, eps },
                    Kind::RmsNorm => NormKind::Rms { eps },
                    _ => NormKind::Layer { eps },
                })?)
            }
        };
        Ok((op, Some(prefix)))
    }
}

/// The dense layer of the tensors `<prefix>weight` and `<prefix>bias`, the latter optional.
pub(super) fn dense(tensors: &Tensors<'_>, prefix: &str) -> Result<Dense> {
    let name = format!("{prefix}weight");
    let weight = tensors.numbers(&name)?;
    let shape = tensors.shape(&name).unwrap_or_default();
    let &[outputs, inputs] = &shape[..] else {
        return Err(tensors.error(format!("tensor {} of shape {shape:?} is no weight [out, in] of a dense layer", quoted(&name))));
    };
    Ok(Dense { inputs, outputs, weight, bias: tensors.numbers_if_any(&format!("{prefix}bias"))? })
}

/// The normalization of the tensors `<prefix>weight` and `<prefix>bias`, both optional; `kind` is given the running statistics, empty where
/// there are none.
pub(super) fn norm(tensors: &Tensors<'_>, prefix: &str, kind: impl Fn(Vec<f64>, Vec<f64>) -> NormKind) -> Result<Norm> {
    let named = |name: &str| format!("{prefix}{name}");
    let statistics = |name: &str| -> Result<Vec<f64>> { Ok(tensors.numbers_if_any(&named(name))?.unwrap_or_default()) };
    let (mean, variance) = (statistics("running_mean")?, statistics("running_var")?);
    let (gain, shift) = (tensors.numbers_if_any(&named("weight"))?, tensors.numbers_if_any(&named("bias"))?);
    let kind = kind(mean, variance);
    if let NormKind::Batch { mean, .. } = &kind {
        tensors.skip(&named("num_batches_tracked"));
        if mean.is_empty() {
            return Err(
                tensors.error(format!("holds no tensor {}: batch-norm in evaluation mode needs it", quoted(&named("running_mean"))))
            );
        }
    }
    let width = match (&gain, &kind) {
        (Some(gain), _) => gain.len(),
        (None, NormKind::Batch { mean, .. }) => mean.len(),
        (None, _) => return Err(tensors.error(format!("holds no tensor {}", quoted(&named("weight"))))),
    };
    for (name, values) in [("weight", gain.as_ref()), ("bias", shift.as_ref())] {
        let shape = values.and_then(|_| tensors.shape(&named(name)));
        if let Some(shape) = shape.filter(|shape| shape.len() != 1) {
            return Err(tensors.error(format!("tensor {} of shape {shape:?} is no [n] of a normalization", quoted(&named(name)))));
        }
    }
    Ok(Norm { kind, width, gain, shift })
}
