//! φ, φ' and φ'' from their definitions, independent of [`Activation::jet`](crate::model::Activation::jet): a mistake in one shows
//! against the other.

use std::f64::consts::{PI, SQRT_2};

use crate::model::Activation;

/// [φ(a), φ'(a), φ''(a)].
pub(super) fn derivatives(activation: Activation, a: f64) -> [f64; 3] {
    match activation {
        Activation::Identity => [a, 1.0, 0.0],
        Activation::Relu => {
            if a > 0.0 {
                [a, 1.0, 0.0]
            } else {
                [0.0, 0.0, 0.0]
            }
        }
        Activation::LeakyRelu => {
            if a > 0.0 {
                [a, 1.0, 0.0]
            } else {
                [0.01 * a, 0.01, 0.0]
            }
        }
        Activation::Elu => {
            if a > 0.0 {
                [a, 1.0, 0.0]
            } else {
                [a.exp_m1(), a.exp(), a.exp()]
            }
        }
        // Φ(a) = erfc(−a/√2)/2 and its density ϕ(a), with ϕ' = −a·ϕ: (aΦ)' = Φ + aϕ, (aΦ)'' = 2ϕ − a²ϕ.
        Activation::Gelu => {
            let distribution = libm::erfc(-a / SQRT_2) / 2.0;
            let density = (-a * a / 2.0).exp() / (2.0 * PI).sqrt();
            [a * distribution, distribution + a * density, 2.0 * density - a * a * density]
        }
        // a·s(q) with s the logistic function, since (1 + tanh(r))/2 = s(2r): q = 2√(2/π)·(a + 0.044715·a³).
        Activation::GeluTanh => {
            let c = 2.0 * (2.0 / PI).sqrt();
            let q = [c * (a + 0.044_715 * a.powi(3)), c * (1.0 + 3.0 * 0.044_715 * a * a), c * 6.0 * 0.044_715 * a];
            let s = logistic(q[0]);
            let first = s[1] * q[1];
            let second = s[2] * q[1] * q[1] + s[1] * q[2];
            [a * s[0], s[0] + a * first, 2.0 * first + a * second]
        }
        Activation::Silu => {
            let s = logistic(a);
            [a * s[0], s[0] + a * s[1], 2.0 * s[1] + a * s[2]]
        }
        // tanh' = sech², tanh'' = −2·tanh·sech².
        Activation::Tanh => {
            let sech = 1.0 / a.cosh();
            [a.tanh(), sech * sech, -2.0 * a.tanh() * sech * sech]
        }
        Activation::Sigmoid => logistic(a),
        // log(1 + eᵃ), its derivative is the logistic function; PyTorch switches to the identity above 20.
        Activation::Softplus => {
            if a > 20.0 {
                [a, 1.0, 0.0]
            } else {
                let s = logistic(a);
                [a.exp().ln_1p(), s[0], s[1]]
            }
        }
        // tanh(log(1 + eᵃ)) = n/(n + 2) with n = (1 + eᵃ)² − 1 = eᵃ(eᵃ + 2): 1 to the last digit long before a = 40.
        Activation::Mish => {
            let e = a.min(40.0).exp();
            let [n, n1, n2] = [e * (e + 2.0), 2.0 * e * (e + 1.0), 2.0 * e * (2.0 * e + 1.0)];
            let d = n + 2.0;
            let [t, t1, t2] = [n / d, 2.0 * n1 / (d * d), 2.0 * n2 / (d * d) - 4.0 * n1 * n1 / (d * d * d)];
            [a * t, t + a * t1, 2.0 * t1 + a * t2]
        }
        Activation::Hardswish => {
            if a >= 3.0 {
                [a, 1.0, 0.0]
            } else if a <= -3.0 {
                [0.0, 0.0, 0.0]
            } else {
                [a * a / 6.0 + a / 2.0, (2.0 * a + 3.0) / 6.0, 2.0 / 6.0]
            }
        }
        // λ times ELU with α.
        Activation::Selu => {
            let (lambda, alpha) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);
            if a > 0.0 {
                [lambda * a, lambda, 0.0]
            } else {
                [lambda * alpha * a.exp_m1(), lambda * alpha * a.exp(), lambda * alpha * a.exp()]
            }
        }
    }
}

/// s(a) = 1/(1 + e⁻ᵃ), s' = s(a)·s(−a), s'' = s'·(s(−a) − s(a)).
pub(super) fn logistic(a: f64) -> [f64; 3] {
    let (s, complement) = (1.0 / (1.0 + (-a).exp()), 1.0 / (1.0 + a.exp()));
    let first = s * complement;
    [s, first, first * (complement - s)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Jet;

    /// Two derivations of the same functions: what is left is rounding, a few tens of units in the last place of numbers of the size
    /// of a (a/2·(1 + tanh) cancels in the tail, a·s does not).
    #[test]
    fn agrees_with_the_other_derivation() {
        for activation in Activation::ALL {
            for step in -400..=400 {
                let a = 0.1 * f64::from(step);
                let Jet { value, first, second } = activation.jet(a);
                for (ours, other) in derivatives(activation, a).into_iter().zip([value, first, second]) {
                    let tolerance = 64.0 * f64::EPSILON * (1.0 + a.abs());
                    assert!((ours - other).abs() <= tolerance, "{activation} at {a}: {ours} and {other}");
                }
            }
        }
    }

    #[test]
    fn far_arguments_stay_finite() {
        for activation in Activation::ALL {
            for a in [-1e4, -800.0, 800.0, 1e4] {
                assert!(derivatives(activation, a).iter().all(|x| x.is_finite()), "{activation} at {a}");
            }
        }
    }
}
