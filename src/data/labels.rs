//! What y means, which depends on the loss: classes, or numbers to be compared with the outputs.

use super::array::{Array, Values};
use crate::error::{Error, Result};
use crate::model::{Criterion, Targets, Terms};

/// The array y of a data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    values: Values,
    per_sample: usize,
    /// Where y comes from, for messages.
    source: String,
}

impl Labels {
    /// The labels of the first `samples` samples of `y`, whose first extent is not smaller.
    pub(super) fn new(y: Array, samples: usize, source: String) -> Self {
        let Array { shape, mut values } = y;
        let per_sample = shape.iter().skip(1).product();
        values.truncate(samples * per_sample);
        Self { values, per_sample, source }
    }

    /// Whether y looks like one class for each sample.
    pub(super) fn are_classes(&self) -> bool {
        self.values.is_integer() && self.per_sample == 1
    }

    /// y as the loss takes it from a network of `outputs` outputs.
    ///
    /// Cross-entropy takes whole numbers of any type for classes, since NumPy users store them as floats, and rows of floats for
    /// probabilities; the others take any number.
    pub(super) fn targets(self, criterion: &Criterion, outputs: usize) -> Result<Targets> {
        match *criterion.terms() {
            Terms::CrossEntropy { ignore_index, .. } if self.per_sample == 1 || self.values.is_integer() => {
                self.classes(outputs, ignore_index).map(Targets::Classes)
            }
            _ => self.numbers(criterion, outputs).map(Targets::Values),
        }
    }

    /// Whether y holds probabilities where the loss is cross-entropy.
    pub(super) fn are_probabilities(&self) -> bool {
        self.per_sample != 1 && !self.values.is_integer()
    }

    fn classes(self, outputs: usize, ignore_index: i64) -> Result<Vec<u32>> {
        let Self { values, per_sample, source } = self;
        if per_sample != 1 {
            return Err(Error::Input(format!(
                "{source}: y has {per_sample} integers a sample, but cross-entropy takes one class each: store y as integers [N] \
                 (of one-hot rows, y.argmax(axis=1)), or as floats [N, outputs] for probabilities"
            )));
        }
        let class = |(at, value): (usize, f64)| {
            let problem = |problem: &str| Error::Input(format!("{source}: y[{at}] is {value}, {problem}"));
            if !value.is_finite() {
                return Err(Error::NonFinite(format!("{source}: y[{at}] is {value}: a class is a whole number")));
            }
            if value == ignore_index as f64 {
                return Ok(Targets::IGNORED);
            }
            if value.fract() != 0.0 {
                return Err(problem("but cross-entropy takes whole numbers as classes: for numbers use --loss mse or bce-with-logits"));
            }
            if value < 0.0 || value > (outputs - 1) as f64 {
                return Err(problem(&format!(
                    "but the classes of a network with {outputs} outputs are 0 to {} (--ignore-index is {ignore_index})",
                    outputs - 1
                )));
            }
            Ok(to_class(value))
        };
        values.into_f64().into_iter().enumerate().map(class).collect()
    }

    fn numbers(self, criterion: &Criterion, outputs: usize) -> Result<Vec<f64>> {
        let are_classes = self.are_classes();
        let Self { values, per_sample, source } = self;
        if per_sample != outputs {
            let remedy = if are_classes { "for classes use --loss cross-entropy" } else { "store y as [N, outputs]" };
            let loss = criterion.loss();
            return Err(Error::Input(format!(
                "{source}: y has {per_sample} numbers a sample, but {loss} compares it with {outputs} outputs: {remedy}"
            )));
        }
        let values = values.into_f64();
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NonFinite(format!(
                "{source}: y[{}, {}] is {}: every target must be finite",
                at / outputs,
                at % outputs,
                values[at]
            ))),
            None => Ok(values),
        }
    }
}

/// The class that a whole number from 0 to the number of outputs stands for.
#[expect(clippy::cast_possible_truncation, reason = "whole, not negative, and below the number of outputs, a matrix's extent")]
fn to_class(value: f64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Loss, Reduction};

    fn labels(shape: &[usize], values: Values) -> Labels {
        Labels::new(Array { shape: shape.to_vec(), values }, shape[0], "y.npy".into())
    }

    #[test]
    fn whole_numbers_of_any_type_are_classes() {
        let expected = Targets::Classes(vec![2, 0]);
        for values in [Values::U8(vec![2, 0]), Values::I64(vec![2, 0]), Values::F32(vec![2.0, 0.0]), Values::F64(vec![2.0, -0.0])] {
            assert_eq!(labels(&[2, 1], values).targets(&Loss::CrossEntropy.into(), 3).unwrap(), expected);
        }
    }

    #[test]
    fn rows_of_floats_are_probabilities_and_one_label_is_ignored() {
        let rows = labels(&[1, 3], Values::F32(vec![0.5, 0.25, 0.25]));
        assert_eq!(rows.targets(&Loss::CrossEntropy.into(), 3).unwrap(), Targets::Values(vec![0.5, 0.25, 0.25]));
        let targets = |ignore_index| {
            let terms = Terms::CrossEntropy { class_weights: None, label_smoothing: 0.0, ignore_index };
            labels(&[3], Values::I64(vec![1, -1, 0])).targets(&Criterion::new(terms, Reduction::Mean).unwrap(), 2)
        };
        assert_eq!(targets(-1).unwrap(), Targets::Classes(vec![1, Targets::IGNORED, 0]));
        assert!(targets(1).unwrap_err().to_string().contains("y[1] is -1"));
    }

    #[test]
    fn integers_are_numbers_where_the_loss_compares_numbers() {
        let targets = labels(&[2], Values::I64(vec![151, -3])).targets(&Loss::Mse.into(), 1).unwrap();
        assert_eq!(targets, Targets::Values(vec![151.0, -3.0]));
    }

    #[test]
    fn only_the_first_samples_count() {
        let y = Array { shape: vec![3, 2], values: Values::U8(vec![1, 2, 3, 4, 5, 6]) };
        let targets = Labels::new(y, 2, "y.npy".into()).targets(&Loss::Mse.into(), 2).unwrap();
        assert_eq!(targets, Targets::Values(vec![1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn what_the_loss_cannot_take_is_refused_with_index_and_value() {
        let nan = f64::NAN;
        let cases = [
            (labels(&[2], Values::I64(vec![0, -1])), Loss::CrossEntropy, 3, "y[1] is -1, but the classes of a network with 3 outputs"),
            (labels(&[2], Values::U8(vec![3, 0])), Loss::CrossEntropy, 3, "y[0] is 3, but"),
            (labels(&[2], Values::F64(vec![0.0, 0.5])), Loss::CrossEntropy, 3, "y[1] is 0.5, but"),
            (labels(&[1], Values::F64(vec![nan])), Loss::CrossEntropy, 3, "y[0] is NaN"),
            (labels(&[1], Values::F64(vec![1e300])), Loss::CrossEntropy, 3, "0 to 2"),
            (labels(&[1, 3], Values::U8(vec![0, 1, 0])), Loss::CrossEntropy, 3, "argmax"),
            (labels(&[1], Values::I64(vec![4])), Loss::Mse, 3, "use --loss cross-entropy"),
            (labels(&[1, 2], Values::F32(vec![0.0, 1.0])), Loss::BceWithLogits, 3, "2 numbers a sample, but bce-with-logits"),
            (labels(&[2, 2], Values::F64(vec![0.0, 1.0, nan, 0.0])), Loss::Mse, 2, "y[1, 0] is NaN"),
        ];
        for (labels, loss, outputs, expected) in cases {
            let error = labels.targets(&loss.into(), outputs).unwrap_err().to_string();
            assert!(error.starts_with("y.npy: ") && error.contains(expected), "{error}");
        }
    }
}
