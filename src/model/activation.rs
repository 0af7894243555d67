//! Elementwise activations φ with φ' and φ'': PyTorch's definitions and names.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An elementwise activation with PyTorch's default parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// φ(a) = a.
    Identity,
    /// φ(a) = max(a, 0); φ'(0) = 0.
    Relu,
    /// φ(a) = a for a > 0, 0.01·a elsewhere.
    LeakyRelu,
    /// φ(a) = a for a > 0, eᵃ − 1 elsewhere.
    Elu,
    /// φ(a) = a·Φ(a), Φ the normal distribution function (`approximate='none'`).
    Gelu,
    /// φ(a) = a/2·(1 + tanh(√(2/π)·(a + 0.044715·a³))) (`approximate='tanh'`).
    GeluTanh,
    /// φ(a) = a·sigmoid(a).
    Silu,
    /// φ(a) = tanh(a).
    Tanh,
    /// φ(a) = 1/(1 + e⁻ᵃ).
    Sigmoid,
    /// φ(a) = log(1 + eᵃ); a itself for a > 20, as PyTorch's `threshold`.
    Softplus,
    /// φ(a) = a·tanh(log(1 + eᵃ)).
    Mish,
    /// φ(a) = a·min(max(a + 3, 0), 6)/6: 0 up to −3, a from 3 on, and a·(a + 3)/6 between, where φ'' = 1/3; at the kinks themselves,
    /// which belong to neither side, φ' is 0 at −3 and 1 at 3, and φ'' = 0.
    Hardswish,
    /// φ(a) = λa for a > 0, λα(eᵃ − 1) elsewhere, λ = 1.0507..., α = 1.6732....
    Selu,
}

/// λ of SELU (Klambauer et al. 2017), to the digits that PyTorch has.
pub(crate) const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// λα of SELU.
pub(crate) const SELU_SLOPE: f64 = SELU_SCALE * 1.673_263_242_354_377_2;

/// φ(a), φ'(a) and φ''(a) at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jet {
    /// φ(a).
    pub value: f64,
    /// φ'(a).
    pub first: f64,
    /// φ''(a).
    pub second: f64,
}

impl Activation {
    /// All activations, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Relu,
        Self::LeakyRelu,
        Self::Elu,
        Self::Gelu,
        Self::GeluTanh,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
        Self::Mish,
        Self::Hardswish,
        Self::Selu,
        Self::Identity,
    ];

    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky-relu",
            Self::Elu => "elu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu-tanh",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Mish => "mish",
            Self::Hardswish => "hardswish",
            Self::Selu => "selu",
        }
    }

    /// Whether φ'' vanishes everywhere (almost everywhere for kinks), so that its terms can be left out.
    pub const fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::LeakyRelu)
    }

    /// φ, φ' and φ'' at `a`, each to a few units in the last place of its own scale.
    pub fn jet(self, a: f64) -> Jet {
        match self {
            Self::Identity => Jet { value: a, first: 1.0, second: 0.0 },
            Self::Relu => kink(a, 0.0),
            Self::LeakyRelu => kink(a, 0.01),
            Self::Elu if a > 0.0 => Jet { value: a, first: 1.0, second: 0.0 },
            Self::Elu => Jet { value: a.exp_m1(), first: a.exp(), second: a.exp() },
            Self::Gelu => {
                let cdf = 0.5 * libm::erfc(-a * FRAC_1_SQRT_2);
                let pdf = (-0.5 * a * a).exp() / (2.0 * PI).sqrt();
                Jet { value: a * cdf, first: cdf + a * pdf, second: (2.0 - a * a) * pdf }
            }
            Self::GeluTanh => {
                let scale = (2.0 / PI).sqrt();
                let inner = [scale * (a + 0.044_715 * a * a * a), scale * (1.0 + 0.134_145 * a * a), scale * 0.268_29 * a];
                let t = Self::Tanh.jet(inner[0]);
                Jet {
                    value: 0.5 * a * (1.0 + t.value),
                    first: 0.5 * (1.0 + t.value) + 0.5 * a * t.first * inner[1],
                    second: t.first * inner[1] + 0.5 * a * (t.second * inner[1] * inner[1] + t.first * inner[2]),
                }
            }
            Self::Silu => {
                let s = Self::Sigmoid.jet(a);
                Jet { value: a * s.value, first: s.value + a * s.first, second: 2.0 * s.first + a * s.second }
            }
            Self::Tanh => {
                let t = a.tanh();
                let first = (1.0 - t) * (1.0 + t);
                Jet { value: t, first, second: -2.0 * t * first }
            }
            Self::Sigmoid => {
                let s = sigmoid(a);
                let first = s * sigmoid(-a);
                Jet { value: s, first, second: -first * (0.5 * a).tanh() }
            }
            Self::Softplus if a > 20.0 => Jet { value: a, first: 1.0, second: 0.0 },
            Self::Softplus => {
                let s = Self::Sigmoid.jet(a);
                Jet { value: a.max(0.0) + (-a.abs()).exp().ln_1p(), first: s.value, second: s.first }
            }
            Self::Mish => {
                let s = Self::Sigmoid.jet(a);
                let t = Self::Tanh.jet(a.max(0.0) + (-a.abs()).exp().ln_1p());
                let first = t.first * s.value;
                let second = t.second * s.value * s.value + t.first * s.first;
                Jet { value: a * t.value, first: t.value + a * first, second: 2.0 * first + a * second }
            }
            Self::Hardswish if a >= 3.0 => Jet { value: a, first: 1.0, second: 0.0 },
            Self::Hardswish if a <= -3.0 => Jet { value: 0.0, first: 0.0, second: 0.0 },
            Self::Hardswish => Jet { value: a * (a + 3.0) / 6.0, first: a / 3.0 + 0.5, second: 1.0 / 3.0 },
            Self::Selu if a > 0.0 => Jet { value: SELU_SCALE * a, first: SELU_SCALE, second: 0.0 },
            Self::Selu => Jet { value: SELU_SLOPE * a.exp_m1(), first: SELU_SLOPE * a.exp(), second: SELU_SLOPE * a.exp() },
        }
    }
}

fn kink(a: f64, slope: f64) -> Jet {
    let first = if a > 0.0 { 1.0 } else { slope };
    Jet { value: first * a, first, second: 0.0 }
}

fn sigmoid(a: f64) -> f64 {
    if a >= 0.0 { 1.0 / (1.0 + (-a).exp()) } else { a.exp() / (1.0 + a.exp()) }
}

impl Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|activation| activation.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|activation| activation.name()).collect();
            format!("unknown activation '{text}': one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of φ and φ' with step 1e-5: truncation 1e-10, rounding 1e-11.
    #[test]
    fn derivatives_agree_with_central_differences() {
        let h = 1e-5;
        for activation in Activation::ALL {
            for step in -60..=60 {
                let a = 0.1 * f64::from(step) + 0.037;
                let (below, at, above) = (activation.jet(a - h), activation.jet(a), activation.jet(a + h));
                let first = (above.value - below.value) / (2.0 * h);
                let second = (above.first - below.first) / (2.0 * h);
                assert!((at.first - first).abs() < 1e-9, "{activation}'({a}) = {}, differences {first}", at.first);
                assert!((at.second - second).abs() < 1e-9, "{activation}''({a}) = {}, differences {second}", at.second);
            }
        }
    }

    #[test]
    fn far_arguments_stay_finite() {
        for activation in Activation::ALL {
            for a in [-1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4] {
                let Jet { value, first, second } = activation.jet(a);
                assert!(value.is_finite() && first.is_finite() && second.is_finite(), "{activation} at {a}");
            }
        }
    }

    #[test]
    fn names_read_back() {
        for activation in Activation::ALL {
            assert_eq!(activation.name().parse(), Ok(activation));
        }
        assert!("rleu".parse::<Activation>().unwrap_err().contains("leaky-relu"));
    }
}
