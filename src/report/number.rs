//! Numbers for people: as many digits as the error bar justifies, and no more.

/// Significant digits of a number whose error is not known, or is nothing: what single precision holds.
const DIGITS: i32 = 7;

/// Significant digits that are shown at most: double precision has hardly more.
const MOST_DIGITS: i32 = 15;

/// A number without a known error, to seven significant digits.
pub fn plain(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    to_place(value, exponent(value) + 1 - DIGITS)
}

/// `value` to the second significant digit of `bar`: `1.2346` for 1.23456 and a bar of 0.0012.
pub fn rounded(value: f64, bar: f64) -> String {
    let bar = bar.abs();
    if !value.is_finite() || !bar.is_finite() {
        return format!("{value}");
    }
    // Below this the bar says more than double precision can show.
    if bar <= f64::EPSILON * value.abs() {
        return plain(value);
    }
    let last = exponent(bar) - 1;
    to_place(value, if value == 0.0 { last } else { last.max(exponent(value) + 1 - MOST_DIGITS) })
}

/// `value ± bar`, the bar to two significant digits.
pub fn with_bar(value: f64, bar: f64) -> String {
    format!("{} ± {}", rounded(value, bar), magnitude(bar))
}

/// A positive size of which the order matters more than the digits: `3.1e-7`, `0.042`, `17`.
pub fn magnitude(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    match exponent(value) {
        -3..=4 => to_place(value, exponent(value) - 1),
        _ => format!("{value:.1e}"),
    }
}

/// Seconds with a unit: `1.2 ms`, `3.46 s`, `2 min 5 s`.
pub fn seconds(value: f64) -> String {
    match value {
        _ if value < 1e-3 => format!("{:.1} µs", value * 1e6),
        _ if value < 1.0 => format!("{:.1} ms", value * 1e3),
        _ if value < 120.0 => format!("{value:.2} s"),
        _ => format!("{:.0} min {:.0} s", (value / 60.0).floor(), value % 60.0),
    }
}

/// A count with separated thousands: `669,706`.
pub fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The decimal exponent of the first digit.
#[expect(clippy::cast_possible_truncation, reason = "an f64's decimal exponent is between -324 and 308")]
fn exponent(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// `value` rounded at the decimal place 10^`place`, in scientific notation where the plain one would be long.
fn to_place(value: f64, place: i32) -> String {
    let leading = if value == 0.0 { place } else { exponent(value) };
    if (-4..7).contains(&leading) || (value == 0.0 && (-6..7).contains(&place)) {
        let decimals = usize::try_from(-place).unwrap_or(0);
        return format!("{value:.decimals$}");
    }
    let decimals = usize::try_from(leading - place).unwrap_or(0).min(15);
    format!("{value:.decimals$e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_bar() {
        assert_eq!(with_bar(10.692_921, 0.324), "10.69 ± 0.32");
        assert_eq!(with_bar(1.203_456_789, 1.2e-7), "1.20345679 ± 1.2e-7");
        assert_eq!(with_bar(-0.000_012_346, 0.000_000_34), "-1.235e-5 ± 3.4e-7");
        assert_eq!(with_bar(12_345.678, 1234.5), "12346 ± 1234");
        assert_eq!(with_bar(0.0, 0.25), "0.00 ± 0.25");
        assert_eq!(with_bar(0.002, 5.0), "0.0 ± 5.0");
        assert_eq!(with_bar(3.0, 0.0), "3.000000 ± 0");
    }

    #[test]
    fn numbers_without_a_bar_have_seven_digits() {
        assert_eq!(plain(0.092_469_177), "0.09246918");
        assert_eq!(plain(1.5e-9), "1.500000e-9");
        assert_eq!(plain(123_456_789.0), "1.234568e8");
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(f64::NAN), "NaN");
    }

    #[test]
    fn counts_and_seconds_have_units_and_separators() {
        assert_eq!(count(669_706), "669,706");
        assert_eq!(count(1_797), "1,797");
        assert_eq!(count(12), "12");
        assert_eq!(seconds(0.000_25), "250.0 µs");
        assert_eq!(seconds(0.25), "250.0 ms");
        assert_eq!(seconds(3.456), "3.46 s");
        assert_eq!(seconds(125.0), "2 min 5 s");
    }
}
