// An activation φ with φ' and φ'' at one point: PyTorch's definitions in single precision.
//
// ACTIVATION is the id in the order of `Activation` in src/backend/gpu/kernel.rs; being an override, only one case is compiled.
// Every formula keeps its accuracy where single precision would lose it to cancellation, and no argument overflows: some drivers
// give NaN for tanh(100.0), so large arguments are clamped where the result no longer changes.

override ACTIVATION: u32 = 0u;

struct Jet {
    value: f32,
    first: f32,
    second: f32,
}

// sigmoid(a), accurate to a few ulp on both sides.
fn sigmoid(a: f32) -> f32 {
    let e = exp(-abs(a));
    return select(e, 1.0, a >= 0.0) / (1.0 + e);
}

// log(1 + x) for 0 <= x <= 1, from the exact sum and its rounding error (Kahan's quotient; HP-15C manual, 1982).
fn log_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    if u == 1.0 {
        return x;
    }
    return log(u) * (x / (u - 1.0));
}

// exp(x) - 1 for x <= 0: the Taylor series near 0, where the difference would cancel.
fn exp_m1(x: f32) -> f32 {
    if x > -0.5 {
        var sum = 1.0;
        for (var k = 10.0; k > 1.0; k -= 1.0) {
            sum = 1.0 + sum * x / k;
        }
        return x * sum;
    }
    return exp(x) - 1.0;
}

fn tanh_jet(a: f32) -> Jet {
    // tanh(|a|) = -expm1(-2|a|) / (2 + expm1(-2|a|)), 1 - tanh² = 4 e / (1 + e)² with e = exp(-2|a|): no cancellation in either.
    let x = min(abs(a), 40.0);
    let m = exp_m1(-2.0 * x);
    let e = 1.0 + m;
    let t = sign(a) * (-m / (2.0 + m));
    let first = 4.0 * e / ((1.0 + e) * (1.0 + e));
    return Jet(t, first, -2.0 * t * first);
}

fn sigmoid_jet(a: f32) -> Jet {
    let s = sigmoid(a);
    let first = s * sigmoid(-a);
    return Jet(s, first, first * (sigmoid(-a) - s));
}

// The normal distribution function Φ(a) = erfc(-a/√2)/2; erfc(x) for x >= 0 by W. J. Cody's rational Chebyshev fits
// ("Rational Chebyshev approximations for the error function", Math. Comp. 23, 1969), below 2⁻²³ relative.
fn normal_cdf(a: f32) -> f32 {
    let x = abs(a) * 0.70710678;
    if x < 0.5 {
        let y = x * x;
        let p = (((1.85777706e-1 * y + 3.16112374) * y + 1.13864154e2) * y + 3.77485238e2) * y + 3.20937759e3;
        let q = (((y + 2.36012910e1) * y + 2.44024638e2) * y + 1.28261653e3) * y + 2.84423684e3;
        return 0.5 + 0.5 * sign(a) * x * p / q;
    }
    var tail: f32;
    if x < 4.0 {
        let p = (((((((2.15311535e-8 * x + 5.64188497e-1) * x + 8.88314979) * x + 6.61191906e1) * x + 2.98635138e2) * x
            + 8.81952221e2) * x + 1.71204761e3) * x + 2.05107838e3) * x + 1.23033935e3;
        let q = (((((((x + 1.57449261e1) * x + 1.17693951e2) * x + 5.37181102e2) * x + 1.62138957e3) * x + 3.29079924e3) * x
            + 4.36261909e3) * x + 3.43936767e3) * x + 1.23033935e3;
        tail = exp(-0.5 * a * a) * p / q;
    } else {
        let y = 1.0 / (x * x);
        let p = ((((1.63153871e-2 * y + 3.05326634e-1) * y + 3.60344900e-1) * y + 1.25781726e-1) * y + 1.60837851e-2) * y
            + 6.58749162e-4;
        let q = ((((y + 2.56852019) * y + 1.87295285) * y + 5.27905103e-1) * y + 6.05183413e-2) * y + 2.33520498e-3;
        tail = exp(-0.5 * a * a) * (0.56418958 - y * p / q) / x;
    }
    return select(1.0 - 0.5 * tail, 0.5 * tail, a < 0.0);
}

fn jet(a: f32) -> Jet {
    switch ACTIVATION {
        case 1u: { // relu
            return Jet(max(a, 0.0), select(0.0, 1.0, a > 0.0), 0.0);
        }
        case 2u: { // leaky-relu
            let slope = select(0.01, 1.0, a > 0.0);
            return Jet(slope * a, slope, 0.0);
        }
        case 3u: { // elu
            if a > 0.0 {
                return Jet(a, 1.0, 0.0);
            }
            let e = exp(a);
            return Jet(exp_m1(a), e, e);
        }
        case 4u: { // gelu
            let x = clamp(a, -20.0, 20.0);
            let cdf = normal_cdf(x);
            let pdf = 0.39894228 * exp(-0.5 * x * x);
            return Jet(a * cdf, cdf + x * pdf, (2.0 - x * x) * pdf);
        }
        case 5u: { // gelu-tanh: ½(1 + tanh u) = sigmoid(2u)
            let x = clamp(a, -20.0, 20.0);
            let s = sigmoid_jet(1.5957691 * (x + 0.044715 * x * x * x));
            let first = 1.5957691 * (1.0 + 0.134145 * x * x);
            let second = 1.5957691 * 0.26829 * x;
            return Jet(a * s.value, s.value + x * s.first * first, 2.0 * s.first * first + x * (s.second * first * first + s.first * second));
        }
        case 6u: { // silu
            let s = sigmoid_jet(a);
            return Jet(a * s.value, s.value + a * s.first, 2.0 * s.first + a * s.second);
        }
        case 7u: { // tanh
            return tanh_jet(a);
        }
        case 8u: { // sigmoid
            return sigmoid_jet(a);
        }
        case 9u: { // softplus, with PyTorch's threshold
            if a > 20.0 {
                return Jet(a, 1.0, 0.0);
            }
            let s = sigmoid_jet(a);
            return Jet(max(a, 0.0) + log_1p(exp(-abs(a))), s.value, s.first);
        }
        case 10u: { // mish: a·t, t = tanh(softplus(a)) = n / (n + 2) with n = eᵃ(eᵃ + 2), written in e^-|a| so that nothing overflows
            let w = exp(-abs(a));
            let w2 = w * w;
            // Numerator and denominator times w² where a > 0.
            let n = select(w2 + 2.0 * w, 1.0 + 2.0 * w, a > 0.0);
            let d = n + select(2.0, 2.0 * w2, a > 0.0);
            let t = n / d;
            // t' = 4 eᵃ(eᵃ + 1)/(n + 2)², t'' = t' ((2 eᵃ + 1)/(eᵃ + 1) − 4 eᵃ(eᵃ + 1)/(n + 2))
            let t1 = 4.0 * (1.0 + w) * select(w, w2, a > 0.0) / (d * d);
            let ratio = select(2.0 * w + 1.0, 2.0 + w, a > 0.0) / (1.0 + w);
            let t2 = t1 * (ratio - 4.0 * select(w * (1.0 + w), 1.0 + w, a > 0.0) / d);
            return Jet(a * t, t + a * t1, 2.0 * t1 + a * t2);
        }
        case 11u: { // hardswish: kinks at −3 and 3
            if a >= 3.0 {
                return Jet(a, 1.0, 0.0);
            }
            if a <= -3.0 {
                return Jet(0.0, 0.0, 0.0);
            }
            return Jet(a * (a + 3.0) / 6.0, a / 3.0 + 0.5, 0.33333334);
        }
        case 12u: { // selu: λ, and λα times elu
            if a > 0.0 {
                return Jet(1.050701 * a, 1.050701, 0.0);
            }
            let e = 1.7580993 * exp(a);
            return Jet(1.7580993 * exp_m1(a), e, e);
        }
        default: { // identity
            return Jet(a, 1.0, 0.0);
        }
    }
}
