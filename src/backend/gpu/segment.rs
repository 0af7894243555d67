//! Samples in segments whose arrays fit a binding each, and the data of a segment on the device.

use std::ops::Range;

use super::array::Array;
use super::device::Device;
use crate::curvature::Objective;
use crate::error::{Error, Result};
use crate::model::{Layer, Network, Op, Targets};
use crate::numeric::Real;

/// Columns for which a segment's tangents should fit a binding.
const COLUMNS: usize = 8;

/// Samples that a workgroup of any kernel over samples handles at least.
const SAMPLES_OF_A_WORKGROUP: usize = 32;

/// Neighbouring samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) samples: Range<usize>,
    /// Their number, rounded up to whole vec4, and to no multiple of [`UNFAVOURABLE`].
    pub(super) padded: usize,
}

/// Rows of activations that begin so many numbers apart, a multiple of 4 KiB, have to share few places of a cache: products read a column
/// of them (measured on 1,024 rows of 2,048 samples: 10 % slower than with 2,064).
const UNFAVOURABLE: usize = 1024;

/// Samples that are added then: rows begin at multiples of 128 bytes.
const EXTRA: usize = 32;

/// Where rows of `samples` samples begin, from one to the next.
fn padded(samples: usize) -> usize {
    let whole = samples.next_multiple_of(4);
    if whole.is_multiple_of(UNFAVOURABLE) { whole + EXTRA } else { whole }
}

impl Segment {
    /// `samples` samples in segments of nearly equal length, at most `most` (a multiple of 4) each, padding left out of account.
    pub(super) fn cut(samples: usize, most: usize) -> Vec<Self> {
        let length = samples.div_ceil(samples.div_ceil(most)).next_multiple_of(4);
        let segment = |first: usize| {
            let samples = first..samples.min(first + length);
            Self { padded: padded(samples.len()).min(padded(length)), samples }
        };
        (0..samples).step_by(length).map(segment).collect()
    }

    /// The most samples of a segment for `network` on `device`.
    ///
    /// # Errors
    /// [`Error::Memory`] where not even four fit.
    pub(super) fn most(network: &Network, device: &Device) -> Result<usize> {
        let width = tallest(network).max(network.inputs()).max(expected_per_sample(network));
        let fitting = device.array_bytes() / (4 * width);
        if fitting < 4 {
            return Err(Error::Memory(format!(
                "four samples of {width} numbers need {} bytes in one binding, the device allows {}: use --backend cpu",
                16 * width,
                device.array_bytes()
            )));
        }
        let preferred = (fitting / COLUMNS).max(4).min(SAMPLES_OF_A_WORKGROUP * device.max_workgroups());
        Ok(preferred / 4 * 4)
    }
}

/// Most rows of an array of activations that a layer makes: its width, and one more of what a normalization standardizes.
pub(super) fn tallest(network: &Network) -> usize {
    let rows = |(layer, width): (&Layer, &usize)| width + usize::from(matches!(layer.op, Op::Norm(_)));
    network.layers().iter().zip(&network.widths()[1..]).map(rows).max().unwrap_or(1)
}

/// A segment's data on the device.
#[derive(Debug)]
pub(super) struct Data {
    /// z₀ = x, [inputs, padded samples].
    pub(super) input: Array,
    /// y and the samples' weights, [outputs + 1, padded samples].
    pub(super) expected: Array,
}

impl Data {
    /// Room for segments of up to `padded` samples.
    pub(super) fn new(device: &Device, network: &Network, padded: usize) -> Result<Self> {
        Ok(Self {
            input: device.buffer("the inputs", network.inputs() * padded)?,
            expected: device.buffer("the targets", expected_per_sample(network) * padded)?,
        })
    }
}

/// Numbers of each sample that its outputs are held against: the targets, and the sample's weight.
pub(super) fn expected_per_sample(network: &Network) -> usize {
    network.outputs() + 1
}

/// Brings the data of `segment` to the device, after all work recorded so far.
pub(super) fn upload(objective: &Objective, device: &Device, segment: &Segment, Data { input, expected }: &Data) -> Result<()> {
    // The device works on what is recorded while the host prepares this.
    device.submit()?;
    let width = objective.network().inputs();
    let inputs = transposed(segment, width, |sample, unit| f32::from_f64(objective.inputs().at(sample * width + unit)));
    device.write(input, 0, &inputs)?;
    let mut targets = match objective.targets() {
        Targets::Inputs => inputs,
        Targets::Classes(_) | Targets::Values(_) => {
            transposed(segment, objective.network().outputs(), |sample, output| f32::from_f64(objective.target(sample, output)))
        }
    };
    targets.extend(transposed(segment, 1, |sample, _| f32::from_f64(objective.sample_weight(sample))));
    device.write(expected, 0, &targets)
}

/// Samples that are transposed together, so that the rows they are read from stay in cache.
const BLOCK: usize = 16;

/// The numbers `at(sample, unit)` of `units` units, [units, padded samples], with zeros as padding.
fn transposed(segment: &Segment, units: usize, at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut values = vec![0.0; units * segment.padded];
    for first in segment.samples.clone().step_by(BLOCK) {
        for unit in 0..units {
            for sample in first..segment.samples.end.min(first + BLOCK) {
                values[unit * segment.padded + sample - segment.samples.start] = at(sample, unit);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_all_samples_evenly() {
        for (samples, most) in [(1, 4), (11, 4), (12, 4), (300, 64), (2049, 2048), (7, 2048), (2048, 2048), (4000, 1024)] {
            let segments = Segment::cut(samples, most);
            let mut next = 0;
            for segment in &segments {
                assert_eq!(segment.samples.start, next);
                assert!(segment.samples.len() <= segment.padded && segment.padded.is_multiple_of(4));
                assert!(segment.samples.len() <= most.max(4) && !segment.padded.is_multiple_of(1024), "{segment:?}");
                assert!(segment.padded <= segments[0].padded);
                next = segment.samples.end;
            }
            assert_eq!((next, segments.len()), (samples, samples.div_ceil(most)));
        }
    }

    #[test]
    fn padding_is_zero() {
        let segment = Segment { samples: 20..39, padded: 20 };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let values = transposed(&segment, 3, |sample, unit| (100 * unit + sample) as f32);
        assert_eq!((values[0], values[18], values[19], values[20], values[58]), (20.0, 38.0, 0.0, 120.0, 238.0));
    }
}
