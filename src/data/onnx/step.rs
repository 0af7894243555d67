//! Which step of a function an elementwise operator is.

use super::super::file::quoted;
use super::function::Step;
use super::graph::Attributes;
use crate::model::Activation;

/// The step that the operator `op` is, none where it is not elementwise.
pub(super) fn step(op: &str, attributes: &Attributes<'_>) -> Result<Option<Step>, String> {
    let known = |activation| Some(Step::Known(activation));
    Ok(match op {
        "Add" => Some(Step::Add),
        "Sub" => Some(Step::Sub),
        "Mul" => Some(Step::Mul),
        "Div" => Some(Step::Div),
        "Pow" => Some(Step::Pow),
        "Max" => Some(Step::Max),
        "Min" => Some(Step::Min),
        "Greater" => Some(Step::Greater),
        "Less" => Some(Step::Less),
        "Where" => Some(Step::Where),
        "Neg" => Some(Step::Neg),
        "Abs" => Some(Step::Abs),
        "Exp" => Some(Step::Exp),
        "Log" => Some(Step::Log),
        "Sqrt" => Some(Step::Sqrt),
        "Reciprocal" => Some(Step::Reciprocal),
        "Erf" => Some(Step::Erf),
        "Relu" => known(Activation::Relu),
        "Tanh" => known(Activation::Tanh),
        "Sigmoid" => known(Activation::Sigmoid),
        "Softplus" => Some(Step::Softplus),
        "LeakyRelu" => Some(Step::Leaky(attributes.float("alpha", 0.01))),
        "Elu" => Some(Step::Elu { alpha: attributes.float("alpha", 1.0), gamma: 1.0 }),
        "Selu" => Some(Step::Elu { alpha: attributes.float("alpha", 1.673_263_2), gamma: attributes.float("gamma", 1.050_701) }),
        "HardSigmoid" => Some(Step::HardSigmoid { alpha: attributes.float("alpha", 0.2), beta: attributes.float("beta", 0.5) }),
        "HardSwish" => Some(Step::HardSwish),
        "Mish" => Some(Step::Mish),
        "Gelu" => match attributes.text("approximate").unwrap_or(b"none") {
            b"none" => known(Activation::Gelu),
            b"tanh" => known(Activation::GeluTanh),
            other => return Err(format!("approximate = {}: none and tanh are known", quoted(&String::from_utf8_lossy(other)))),
        },
        "Swish" if attributes.float("alpha", 1.0) == 1.0 => known(Activation::Silu),
        _ => None,
    })
}
