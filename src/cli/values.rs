//! Parsers for the values of flags, where the type's own `FromStr` is not enough.

use crate::estimate::{DiagonalMethod, Probe, TraceMethod};
use crate::job::{EigsMethod, Grouping};
use crate::krylov::{Reorthogonalization, TolOf};
use crate::model::Activation;

/// One activation for all hidden layers, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ActivationList(pub(super) Vec<Activation>);

/// `tanh`, or `relu,relu,tanh`.
pub(super) fn activations(text: &str) -> Result<ActivationList, String> {
    text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(ActivationList)
}

/// A finite number above zero.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    finite(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".into()) })
}

/// A finite number.
pub(super) fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("must be finite".into()) }
}

/// A finite number not below zero.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    finite(text).and_then(|value| if value >= 0.0 { Ok(value) } else { Err("must not be below 0".into()) })
}

/// The decay of a running average: from 0 to below 1.
pub(super) fn decay(text: &str) -> Result<f64, String> {
    finite(text).and_then(|value| if (0.0..1.0).contains(&value) { Ok(value) } else { Err("must be from 0 to below 1".into()) })
}

/// `tensor` or `layer`.
pub(super) fn grouping(text: &str) -> Result<Grouping, String> {
    match text {
        "tensor" => Ok(Grouping::Tensor),
        "layer" => Ok(Grouping::Layer),
        _ => Err("tensor or layer".into()),
    }
}

/// A count of at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("is not a count such as 16".into()),
    }
}

/// The widths of a network, input first: `784-512-512-10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) Vec<usize>);

/// `784-512-512-10`.
pub(super) fn shape(text: &str) -> Result<Shape, String> {
    let widths = text.split('-').map(count).collect::<Result<Vec<_>, _>>();
    match widths {
        Ok(widths) if widths.len() >= 2 => Ok(Shape(widths)),
        _ => Err("widths of at least an input and an output, such as 784-512-512-10".into()),
    }
}

/// Two directions, counted from 1: `1,3`.
pub(super) fn plane(text: &str) -> Result<[usize; 2], String> {
    let numbers = text.split(',').map(|number| count(number.trim())).collect::<Result<Vec<_>, _>>();
    numbers.ok().and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| "two directions counted from 1, such as 1,2".to_owned())
}

/// `full` or `none`.
pub(super) fn reorthogonalization(text: &str) -> Result<Reorthogonalization, String> {
    match text {
        "full" => Ok(Reorthogonalization::Full),
        "none" => Ok(Reorthogonalization::None),
        _ => Err("full or none".into()),
    }
}

/// A number between 0 and 1, neither of them.
pub(super) fn confidence(text: &str) -> Result<f64, String> {
    finite(text).and_then(|value| if value > 0.0 && value < 1.0 { Ok(value) } else { Err("must lie between 0 and 1".into()) })
}

/// An estimator of the trace.
pub(super) fn trace_method(text: &str) -> Result<TraceMethod, String> {
    match text {
        "hutchinson" => Ok(TraceMethod::Hutchinson),
        "hutch-plus-plus" | "hutch++" => Ok(TraceMethod::HutchPlusPlus),
        "xtrace" => Ok(TraceMethod::XTrace),
        "xnystrace" => Ok(TraceMethod::XNysTrace),
        _ => Err("hutchinson, hutch++, xtrace or xnystrace".into()),
    }
}

/// A way to eigenpairs.
pub(super) fn eigs_method(text: &str) -> Result<EigsMethod, String> {
    match text {
        "thick-restart" | "lanczos" => Ok(EigsMethod::ThickRestart),
        "power" => Ok(EigsMethod::Power),
        "lobpcg" => Err("thick-restart or power; without a preconditioner LOBPCG takes several times the products".into()),
        _ => Err("thick-restart or power".into()),
    }
}

/// What of an eigenpair is held against a tolerance.
pub(super) fn tol_of(text: &str) -> Result<TolOf, String> {
    match text {
        "residual" => Ok(TolOf::Residual),
        "value" => Ok(TolOf::Value),
        _ => Err("residual or value".into()),
    }
}

/// An estimator of the diagonal.
pub(super) fn diagonal_method(text: &str) -> Result<DiagonalMethod, String> {
    match text {
        "hutchinson" => Ok(DiagonalMethod::Hutchinson),
        "xdiag" => Ok(DiagonalMethod::XDiag),
        _ => Err("hutchinson or xdiag".into()),
    }
}

/// What probes are drawn from.
pub(super) fn probe(text: &str) -> Result<Probe, String> {
    match text {
        "rademacher" => Ok(Probe::Rademacher),
        "gaussian" => Ok(Probe::Gaussian),
        "sphere" => Ok(Probe::Sphere),
        _ => Err("rademacher, gaussian or sphere".into()),
    }
}

/// A number of bytes with an optional unit: `2GiB`, `500MB`, `1.5G` (decimal) or plain bytes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie between 1 and 2⁶³")]
pub(super) fn size(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("unknown unit '{unit}': one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if (1.0..9.2e18).contains(&(number * factor)) => Ok((number * factor) as u64),
        _ => Err("is not a size such as 2GiB or 500MB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("1.5 k"), Ok(1500));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "GiB", "-1MB", "0", "nan", "1e400", "3 parsecs"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn activation_lists_name_the_choices() {
        assert_eq!(activations("relu, tanh"), Ok(ActivationList(vec![Activation::Relu, Activation::Tanh])));
        assert!(activations("swish").unwrap_err().contains("silu"));
    }

    #[test]
    fn methods_have_their_names() {
        assert_eq!(trace_method("hutch++"), Ok(TraceMethod::HutchPlusPlus));
        assert_eq!((diagonal_method("xdiag"), probe("sphere")), (Ok(DiagonalMethod::XDiag), Ok(Probe::Sphere)));
        assert!(trace_method("slq").is_err() && diagonal_method("x").is_err() && probe("normal").is_err());
        assert!(confidence("1").is_err() && confidence("0.9") == Ok(0.9));
    }

    #[test]
    fn shapes_and_numbers_are_checked() {
        assert_eq!(shape("784-512-10"), Ok(Shape(vec![784, 512, 10])));
        for wrong in ["784", "784-0-10", "784x10", "-3"] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
        assert!(positive("0").is_err() && positive("inf").is_err() && positive("1e-4").is_ok());
        assert!(count("0").is_err() && count("3").is_ok());
    }
}
