//! Networks that tensors tell by themselves: an `nn.Sequential` of dense layers and normalizations.
//!
//! Dense layers are told by their weights [out, in], batch normalization by its running statistics, LayerNorm by a weight and a bias [n].
//! Of the activations only the place is known where there are normalizations: the number that is missing between two modules' names.

use super::described::{EPS, dense, norm};
use super::file::quoted;
use super::tensors::Tensors;
use crate::model::{NormKind, Op};

/// A module of the file: its tensors' prefix and what it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Module {
    pub(super) prefix: String,
    pub(super) kind: ModuleKind,
}

/// What a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModuleKind {
    /// With outputs and inputs.
    Dense(usize, usize),
    LayerNorm,
    BatchNorm,
}

/// The names that end a tensor's name.
const SUFFIXES: [&str; 5] = ["num_batches_tracked", "running_mean", "running_var", "weight", "bias"];

/// The modules that the tensors make up, in the natural order of their names.
pub(super) fn modules(tensors: &Tensors<'_>) -> Result<Vec<Module>, String> {
    let names = tensors.names();
    let mut prefixes: Vec<&str> = Vec::new();
    for name in &names {
        let Some(suffix) = SUFFIXES.iter().find(|suffix| name.ends_with(*suffix)) else { return Err(foreign(tensors, name)) };
        let prefix = &name[..name.len() - suffix.len()];
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    let modules = prefixes.into_iter().map(|prefix| Ok(Module { prefix: prefix.to_owned(), kind: kind(tensors, prefix)? }));
    let modules: Vec<Module> = modules.collect::<Result<_, String>>()?;
    if modules.iter().any(|module| matches!(module.kind, ModuleKind::Dense(..))) {
        return Ok(modules);
    }
    Err("holds no tensor '...weight' [out, in]: save the network's state_dict as safetensors".into())
}

fn foreign(tensors: &Tensors<'_>, name: &str) -> String {
    format!(
        "tensor {} of shape {:?} is no weight [out, in] and no bias [out] of a dense layer, and none of a normalization: only networks of \
         nn.Linear, LayerNorm, RMSNorm, BatchNorm1d and elementwise activations are supported",
        quoted(name),
        tensors.shape(name).unwrap_or_default()
    )
}

fn kind(tensors: &Tensors<'_>, prefix: &str) -> Result<ModuleKind, String> {
    let named = |name: &str| format!("{prefix}{name}");
    let shape = |name: &str| tensors.shape(&named(name));
    let vector = |name: &str| match shape(name).as_deref() {
        None => Ok(None),
        Some(&[length]) => Ok(Some(length)),
        Some(_) => Err(foreign(tensors, &named(name))),
    };
    let (bias, mean, variance) = (vector("bias")?, vector("running_mean")?, vector("running_var")?);
    if mean.is_some() || variance.is_some() || shape("num_batches_tracked").is_some() {
        if let (Some(mean), Some(variance)) = (mean, variance)
            && let Ok(weight) = vector("weight")
            && [weight, bias, Some(variance)].into_iter().flatten().all(|length| length == mean)
        {
            return Ok(ModuleKind::BatchNorm);
        }
        let found = SUFFIXES.iter().find(|name| shape(name).is_some()).copied().unwrap_or_default();
        return Err(format!(
            "tensor {} of shape {:?} is one of a batch normalization, which needs running_mean and running_var [n], and weight and bias of the \
             same length or none",
            quoted(&named(found)),
            shape(found).unwrap_or_default()
        ));
    }
    match (shape("weight").as_deref(), bias) {
        (Some(&[outputs, inputs]), _) if outputs == 0 || inputs == 0 => Err(format!(
            "tensor {} has shape [{outputs}, {inputs}]: a layer has at least one input and one output",
            quoted(&named("weight"))
        )),
        (Some(&[outputs, inputs]), Some(length)) if length != outputs => {
            let [bias, weight] = ["bias", "weight"].map(|name| quoted(&named(name)));
            Err(format!("tensor {bias} has {length} elements, but {weight} of shape [{outputs}, {inputs}] has {outputs} rows"))
        }
        (Some(&[outputs, inputs]), _) => Ok(ModuleKind::Dense(outputs, inputs)),
        (Some(&[width]), Some(length)) if width == length => Ok(ModuleKind::LayerNorm),
        (Some(&[width]), None) => Err(format!(
            "tensor {} of shape [{width}] is the gain of an RMSNorm, or of a LayerNorm without bias: say which, and its eps, in a \
             network.toml (--network FILE)",
            quoted(&named("weight"))
        )),
        (Some(_), _) => Err(foreign(tensors, &named("weight"))),
        (None, _) => {
            let [bias, weight] = ["bias", "weight"].map(|name| quoted(&named(name)));
            Err(format!("tensor {bias} has no {weight} [out, in] beside it: save the whole state_dict"))
        }
    }
}

impl Module {
    /// The module with its numbers.
    pub(super) fn read(&self, tensors: &Tensors<'_>) -> crate::Result<Op> {
        Ok(match self.kind {
            ModuleKind::Dense(..) => Op::Dense(dense(tensors, &self.prefix)?),
            ModuleKind::LayerNorm => Op::Norm(norm(tensors, &self.prefix, |_, _| NormKind::Layer { eps: EPS })?),
            ModuleKind::BatchNorm => Op::Norm(norm(tensors, &self.prefix, |mean, variance| NormKind::Batch { mean, variance, eps: EPS })?),
        })
    }

    fn is_dense(&self) -> bool {
        matches!(self.kind, ModuleKind::Dense(..))
    }
}

/// After which modules, the last one left out, an activation stands. In a chain of dense layers after each; else where a number is missing
/// between two names of an `nn.Sequential`, once between two dense layers.
pub(super) fn activation_places(modules: &[Module]) -> Result<Vec<usize>, String> {
    let last = modules.len() - 1;
    if modules.iter().all(Module::is_dense) {
        return Ok((0..last).collect());
    }
    let remedy = "say what follows what in a network.toml (--network FILE)";
    let numbers: Option<Vec<usize>> = modules.iter().map(|module| number(modules, module)).collect();
    let Some(numbers) = numbers else {
        return Err(format!(
            "has normalizations among modules that are no numbered sequence ({}), so that the places of the activations are not known: {remedy}",
            quoted(&modules[0].prefix)
        ));
    };
    let places: Vec<usize> = (0..last).filter(|&at| numbers[at + 1] > numbers[at] + 1).collect();
    let block = |at: usize| modules[..=at].iter().filter(|module| module.is_dense()).count();
    if let Some(pair) = places.windows(2).find(|pair| block(pair[0]) == block(pair[1])) {
        return Err(format!(
            "has modules without tensors both after {} and after {}, and only one of them can be the activation: {remedy}",
            quoted(&modules[pair[0]].prefix),
            quoted(&modules[pair[1]].prefix)
        ));
    }
    Ok(places)
}

/// The number in `net.3.`, where all names begin alike.
fn number(modules: &[Module], module: &Module) -> Option<usize> {
    let stem = |prefix: &'_ str| prefix.trim_end_matches(['.', '_']).trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let common = &modules[0].prefix[..stem(&modules[0].prefix)];
    module.prefix.strip_prefix(common)?.trim_end_matches(['.', '_']).parse().ok()
}

/// What was taken for granted.
pub(super) fn notice(modules: &[Module]) -> Option<String> {
    let norms: Vec<_> = modules.iter().filter(|module| !module.is_dense()).map(|module| quoted(&module.prefix)).collect();
    let taken = format!("{} taken for PyTorch's LayerNorm or BatchNorm1d with eps 1e-5", norms.join(", "));
    (!norms.is_empty()).then(|| format!("{taken}: a network.toml (--network FILE) may say otherwise"))
}
