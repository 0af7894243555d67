//! Axes: where on them numbers are, and where the ticks.

/// How an axis divides its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps.
    Linear,
    /// Equal ratios; for positive numbers.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures, with its unit if there is one.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// Its start.
    pub low: f64,
    /// Its end, above `low`.
    pub high: f64,
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where it is, from 0 at the axis's start to 1 at its end.
    pub at: f64,
    /// What is written beside it.
    pub text: String,
}

/// Ticks of an axis at most.
const TICKS: f64 = 6.0;

/// Decades of a logarithmic axis at most, for numbers that may come down to nothing.
const DECADES: f64 = 14.0;

impl Axis {
    /// An axis of equal steps over the finite ones of `values`, with a little room at both ends.
    pub fn linear(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        let room = if high > low { 0.03 * (high - low) } else { (0.05 * high.abs()).max(f64::MIN_POSITIVE.sqrt()) };
        Self { label: label.into(), scale: Scale::Linear, low: low - room, high: high + room }
    }

    /// An axis from `low` to `high`.
    pub fn from_to(label: impl Into<String>, low: f64, high: f64) -> Self {
        Self { label: label.into(), scale: Scale::Linear, low, high: if high > low { high } else { low + 1.0 } }
    }

    /// An axis of whole decades over the positive ones of `values`.
    pub fn log(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values.into_iter().filter(|&value| value > 0.0)).unwrap_or((1.0, 10.0));
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        let low = low.max(high - DECADES);
        let high = if high > low { high } else { low + 1.0 };
        Self { label: label.into(), scale: Scale::Log, low: 10.0_f64.powf(low), high: 10.0_f64.powf(high) }
    }

    /// An axis of decades where `values` are positive and spread over one at least, else one of equal steps.
    pub fn fitting(label: impl Into<String>, values: &[f64]) -> Self {
        let (low, high) = range(values.iter().copied()).unwrap_or((0.0, 1.0));
        if low > 0.0 && high >= 10.0 * low { Self::log(label, values.iter().copied()) } else { Self::linear(label, values.iter().copied()) }
    }

    /// From 0 at the start to 1 at the end; numbers that a logarithm does not take are far below.
    pub fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Log => -1.0,
        }
    }

    /// Round numbers on the axis.
    pub fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.linear_ticks(),
            Scale::Log => self.decades(),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of ticks")]
    fn linear_ticks(&self) -> Vec<Tick> {
        let step = round_step((self.high - self.low) / TICKS);
        let first = (self.low / step).ceil();
        let count = ((self.high / step).floor() - first) as usize + 1;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let tick = |index: usize| {
            let value = (first + f64::from(u32::try_from(index).unwrap_or(0))) * step;
            let largest = self.low.abs().max(self.high.abs());
            let is_plain = decimals <= 4 && largest < 1e5;
            let text = if is_plain { format!("{value:.decimals$}") } else { scientific(value, step) };
            Tick { at: self.share(value), text: minus(&text) }
        };
        (0..count.min(20)).map(tick).collect()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "decades of doubles are few")]
    fn decades(&self) -> Vec<Tick> {
        let (low, high) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
        let every = f64::from(high - low).div_euclid(TICKS).max(0.0) as usize + 1;
        let label = |power: i32| match power {
            -3..=4 => format!("{}", 10.0_f64.powi(power)),
            _ => format!("10{}", superscript(power)),
        };
        (low..=high).step_by(every).map(|power| Tick { at: self.share(10.0_f64.powi(power)), text: label(power) }).collect()
    }
}

/// The least and the largest finite number.
fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high): (f64, f64) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// 1, 2 or 5 times a power of ten, no less than `step`.
fn round_step(step: f64) -> f64 {
    let power = 10.0_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|&round| round >= step * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Digits down to those of `step`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "decades of doubles are few")]
fn scientific(value: f64, step: f64) -> String {
    if value.abs() < 0.5 * step {
        return "0".into();
    }
    let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$e}")
}

/// With the sign that the field's texts are set with.
pub(super) fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

fn superscript(power: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        _ => char::from_u32(u32::from('⁰') + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    };
    power.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(texts(&Axis::from_to("", -0.019, 3.113)), ["0", "1", "2", "3"]);
        assert_eq!(texts(&Axis::from_to("", -0.4, 0.4)), ["−0.4", "−0.2", "0.0", "0.2", "0.4"]);
        assert_eq!(texts(&Axis::from_to("", 0.0, 2.5e-7)), ["0", "5e−8", "1.0e−7", "1.5e−7", "2.0e−7", "2.5e−7"]);
        let log = Axis::log("", [3e-5, 20.0, 0.0, f64::NAN]);
        assert_eq!((log.low, log.high), (1e-5, 100.0));
        assert_eq!(texts(&log), ["10⁻⁵", "0.001", "0.1", "10"]);
    }

    #[test]
    fn numbers_land_on_the_axis() {
        let log = Axis::log("", [0.1, 100.0]);
        assert!(log.share(0.1).abs() < 1e-12 && (log.share(100.0) - 1.0).abs() < 1e-12 && (log.share(10.0) - 2.0 / 3.0).abs() < 1e-12);
        assert!(log.share(0.0) < 0.0 && log.share(-1.0).is_finite());
        let linear = Axis::linear("", [2.0, 2.0]);
        assert!(linear.low < 2.0 && linear.high > 2.0);
        assert!(Axis::linear("", []).ticks().len() > 1);
        let scale = |values: &[f64]| Axis::fitting("", values).scale;
        assert_eq!([scale(&[1.0, 10.0]), scale(&[1.0, 9.0]), scale(&[0.0, 9.0])], [Scale::Log, Scale::Linear, Scale::Linear]);
    }
}
