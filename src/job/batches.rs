//! The spectra of mini-batches: how the samples that a batch happens to have move the ends of the spectrum.
//!
//! λmax of a mean of matrices is at most the mean of their λmax: batches are sharper than the whole, the more so the smaller they are.

use rand_distr::{Distribution as _, StandardUniform};
use serde::Serialize;

use super::context::{JobContext, Subject};
use super::record::Eigenvalue;
use super::spectrum::{SpectrumJob, SpectrumOptions, SpectrumReport};
use crate::backend::Backend;
use crate::curvature::Objective;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::rng::Stream;

/// Which mini-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BatchOptions {
    /// Samples of each, drawn without replacement.
    pub size: usize,
    /// How many.
    pub count: usize,
    /// Of the generator.
    pub seed: u64,
}

/// One of `batches`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchRecord {
    /// f(θ) of the batch.
    pub loss: f64,
    /// ‖∇f(θ)‖.
    pub gradient_norm: f64,
    /// λmax.
    pub largest: Option<Eigenvalue>,
    /// λmin.
    pub smallest: Option<Eigenvalue>,
    /// The trace.
    pub trace: Estimate,
}

/// `batch_summary`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BatchSummary {
    /// Which batches.
    #[serde(flatten)]
    pub options: BatchOptions,
    /// Of λmax.
    pub largest: Spread,
    /// Of λmin.
    pub smallest: Spread,
    /// Of the trace; its spread holds the estimates' own.
    pub trace: Spread,
    /// Of the gradient's norm.
    pub gradient_norm: Spread,
}

/// A number over the batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation between batches; null for one batch.
    pub std_dev: Option<f64>,
    /// The mean's standard error.
    pub std_error: Option<f64>,
}

impl Spread {
    #[expect(clippy::cast_precision_loss, reason = "batches are few")]
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let std_dev = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Self { mean, std_dev, std_error: std_dev.map(|deviation| deviation / count.sqrt()) }
    }
}

/// The samples of each batch, ascending.
///
/// # Errors
/// [`Error::Input`] where a batch would be empty or larger than the whole, or there is none.
fn draw(samples: usize, options: BatchOptions) -> Result<Vec<Vec<usize>>> {
    let BatchOptions { size, count, seed } = options;
    if size == 0 || size > samples || count == 0 {
        return Err(Error::Input(format!(
            "{count} batches of {size} samples of {samples}: give --batch-size 1 to {samples}, --batches 1 or more"
        )));
    }
    let batch = |number: usize| {
        let mut stream = Stream::new(seed, u32::try_from(number).unwrap_or(u32::MAX), 0);
        let mut order: Vec<usize> = (0..samples).collect();
        for at in 0..size {
            let uniform: f64 = StandardUniform.sample(&mut stream);
            order.swap(at, at + below(samples - at, uniform));
        }
        order.truncate(size);
        order.sort_unstable();
        order
    };
    Ok((0..count).map(batch).collect())
}

/// The whole number below `count` that `uniform` in [0, 1) falls on.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are far below 2⁵³")]
fn below(count: usize, uniform: f64) -> usize {
    ((uniform * count as f64) as usize).min(count - 1)
}

/// Adds to `whole`, the spectrum of all samples with `options`, that of mini-batches.
///
/// # Errors
/// As [`spectrum`](super::spectrum()), and [`Error::Input`] where the batches make no sense.
pub fn add_batches(
    whole: &mut SpectrumReport,
    objective: &Objective,
    device: &Backend,
    context: &JobContext<'_>,
    options: &SpectrumOptions,
    batches: BatchOptions,
) -> Result<()> {
    let ends = SpectrumOptions { top: 1, bottom: 1, above: Vec::new(), damping: None, ..options.clone() };
    for samples in draw(objective.samples(), batches)? {
        let batch = objective.select(&samples)?;
        let subject = &context.subject;
        let own = Subject::new(&batch, subject.curvature, subject.data.source.as_str()).preconditioned_as(subject);
        let context = JobContext { subject: own, progress: context.progress, started: context.started };
        let report = device.run(&batch, subject.curvature, SpectrumJob { context: &context, options: &ends })?;
        whole.stats.add(&report.stats);
        whole.batches.push(BatchRecord {
            loss: report.header.loss.value,
            gradient_norm: report.header.loss.gradient_norm,
            largest: report.eigenvalues.largest.into_iter().next(),
            smallest: report.eigenvalues.smallest.into_iter().next(),
            trace: report.trace,
        });
    }
    let each = || whole.batches.iter();
    let values =
        |end: fn(&BatchRecord) -> &Option<Eigenvalue>| Spread::of(each().filter_map(move |batch| end(batch).as_ref().map(|end| end.value)));
    whole.batch_summary = Some(BatchSummary {
        options: batches,
        largest: values(|batch| &batch.largest),
        smallest: values(|batch| &batch.smallest),
        trace: Spread::of(each().map(|batch| batch.trace.mean)),
        gradient_norm: Spread::of(each().map(|batch| batch.gradient_norm)),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_drawn_without_replacement_and_evenly() {
        let options = BatchOptions { size: 5, count: 4000, seed: 3 };
        let batches = draw(20, options).unwrap();
        assert!(batches.iter().all(|batch| batch.len() == 5 && batch.windows(2).all(|pair| pair[0] < pair[1]) && batch[4] < 20));
        for sample in 0..20 {
            let count = batches.iter().filter(|batch| batch.contains(&sample)).count();
            // 1000 of 4000, five standard deviations of 27.
            assert!((865..1135).contains(&count), "{sample}: {count}");
        }
        assert_eq!(draw(20, options).unwrap(), batches);
        assert_ne!(draw(20, BatchOptions { seed: 4, ..options }).unwrap(), batches);
        assert_eq!(draw(5, BatchOptions { size: 5, count: 1, seed: 0 }).unwrap(), [[0, 1, 2, 3, 4]]);
        for (size, count) in [(0, 1), (21, 1), (5, 0)] {
            assert!(draw(20, BatchOptions { size, count, seed: 0 }).is_err());
        }
    }

    #[test]
    fn a_spread_is_mean_deviation_and_error() {
        assert_eq!(
            Spread::of([1.0, 3.0, 5.0, 7.0].into_iter()),
            Spread { mean: 4.0, std_dev: Some((20.0_f64 / 3.0).sqrt()), std_error: Some((20.0_f64 / 3.0).sqrt() / 2.0) }
        );
        assert_eq!(Spread::of([2.0].into_iter()).std_dev, None);
    }
}
