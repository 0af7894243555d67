//! How a vector of all parameters lies on the device: in shards, each of which fits a binding.
//!
//! A key design decision: a shard consists of pieces, and a piece is some rows of one layer, their weights row by row and then their
//! biases. So a product with a weight of any size is made of products with pieces, each with all it needs in one binding, and a network
//! that fits is one shard. The order is ours alone: whatever enters or leaves the device goes through the runs, which say where the
//! numbers of PyTorch's order are.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::Network;

/// Numbers that pieces and shards are padded to a multiple of, with zeros: 256 bytes, where any binding may begin.
pub(super) const ALIGNMENT: usize = 64;

/// A layer is cut after a multiple of this many rows where that is possible: whole tiles of any product kernel.
const TILE_ROWS: usize = 128;

/// Neighbouring numbers of PyTorch's order that are neighbours in a shard as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first one's index among all parameters.
    pub(super) source: usize,
    /// Where it is in the shard.
    pub(super) target: usize,
    pub(super) len: usize,
}

/// Rows of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) shard: usize,
    pub(super) rows: Range<usize>,
    /// Where the weights begin in the shard, or a normalization's gain.
    pub(super) weight: usize,
    /// Where the biases do.
    pub(super) bias: Option<usize>,
}

/// Part of a vector, with its padding `stride` numbers long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) stride: usize,
    pub(super) runs: Vec<Run>,
}

/// Neighbouring numbers that two partitions have: a shard and the first one's place in it, in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) at: (usize, usize),
    pub(super) part: (usize, usize),
    pub(super) len: usize,
}

/// A partition of n parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shards {
    dim: usize,
    shards: Vec<Shard>,
    layers: Vec<Vec<Piece>>,
}

impl Shards {
    /// The parameters of `network` in shards of about `preferred` numbers, and never more than `most`.
    ///
    /// # Errors
    /// [`Error::Memory`] where a single row of a layer is longer than that.
    pub(super) fn new(network: &Network, preferred: usize, most: usize) -> Result<Self> {
        let layout = network.layout();
        let mut shards = vec![Shard::default()];
        let mut layers = Vec::new();
        for (index, (layer, range)) in network.layers().iter().zip(layout.layers()).enumerate() {
            let outputs = network.widths()[index + 1];
            // A normalization's kernels see all of its parameters at once, a row of a gain being one number.
            let (inputs, is_whole) = layer.dense().map_or((1, true), |dense| (dense.inputs, false));
            let row_length = inputs + usize::from(range.bias.is_some());
            let (least, least_rows) = if is_whole { (outputs * row_length, outputs) } else { (row_length, 1) };
            let capacity = preferred.max(least.next_multiple_of(ALIGNMENT)) / ALIGNMENT * ALIGNMENT;
            if capacity > most {
                return Err(Error::Memory(format!(
                    "layer {index}: {} of {least} parameters needs {} bytes in one binding, the device allows {}: use --backend cpu",
                    if is_whole { "a normalization" } else { "a row" },
                    4 * capacity,
                    4 * most
                )));
            }
            let mut pieces = Vec::new();
            let mut row = if range.weight.is_empty() { outputs } else { 0 };
            while row < outputs {
                let at = shards.len() - 1;
                let start = shards[at].stride;
                let left = outputs - row;
                let mut rows = (capacity.saturating_sub(start) / row_length).min(left);
                if rows < left && (rows >= TILE_ROWS || start > 0) {
                    rows -= rows % TILE_ROWS;
                }
                if rows < least_rows {
                    shards.push(Shard::default());
                    continue;
                }
                let bias = range.bias.as_ref().map(|bias| (bias.start + row, start + rows * inputs));
                let weight = Run { source: range.weight.start + row * inputs, target: start, len: rows * inputs };
                shards[at].push(weight);
                if let Some((source, target)) = bias {
                    shards[at].push(Run { source, target, len: rows });
                }
                shards[at].stride = (start + rows * row_length).next_multiple_of(ALIGNMENT);
                pieces.push(Piece { shard: at, rows: row..row + rows, weight: start, bias: bias.map(|(_, target)| target) });
                row += rows;
            }
            layers.push(pieces);
        }
        Ok(Self { dim: layout.dim(), shards, layers })
    }

    /// Vectors of `dim` numbers that no kernel of a network reads, in their own order.
    pub(super) fn plain(dim: usize, preferred: usize) -> Self {
        let capacity = preferred.max(ALIGNMENT) / ALIGNMENT * ALIGNMENT;
        let shard = |source: usize| {
            let len = capacity.min(dim - source);
            Shard { stride: len.next_multiple_of(ALIGNMENT), runs: vec![Run { source, target: 0, len }] }
        };
        Self { dim, shards: (0..dim).step_by(capacity).map(shard).collect(), layers: Vec::new() }
    }

    /// Where the elements `ranges` of a vector in these shards lie in one of `part`, which has them one range after another.
    pub(super) fn shared_with(&self, part: &Self, ranges: &[Range<usize>]) -> Vec<Shared> {
        let mut shared = Vec::new();
        let mut before = 0;
        for range in ranges {
            for (shard, run) in self.runs() {
                for (part_shard, part_run) in part.runs() {
                    // In the numbering of `part`, where this run of its own begins where `before` does.
                    let offset = |source: usize| (source + before).checked_sub(range.start);
                    let (Some(first), Some(end)) = (offset(run.source.max(range.start)), offset((run.source + run.len).min(range.end)))
                    else {
                        continue;
                    };
                    let (first, end) = (first.max(part_run.source), end.min(part_run.source + part_run.len));
                    if first < end {
                        let source = first + range.start - before;
                        shared.push(Shared {
                            at: (shard, run.target + source - run.source),
                            part: (part_shard, part_run.target + first - part_run.source),
                            len: end - first,
                        });
                    }
                }
            }
            before += range.len();
        }
        shared
    }

    /// All runs, each with the number of its shard.
    fn runs(&self) -> impl Iterator<Item = (usize, &Run)> {
        self.shards.iter().enumerate().flat_map(|(index, shard)| shard.runs.iter().map(move |run| (index, run)))
    }

    /// n.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The shards.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Numbers from one vector to the next in shard `shard`.
    pub(super) fn stride(&self, shard: usize) -> usize {
        self.shards[shard].stride
    }

    /// The longest stride.
    pub(super) fn longest(&self) -> usize {
        self.shards.iter().map(|shard| shard.stride).max().unwrap_or(0)
    }

    /// Numbers of a whole vector with its padding.
    pub(super) fn padded(&self) -> usize {
        self.shards.iter().map(|shard| shard.stride).sum()
    }

    /// The pieces of layer `layer`, first rows first.
    pub(super) fn layer(&self, layer: usize) -> &[Piece] {
        &self.layers[layer]
    }
}

impl Shard {
    fn push(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.source + last.len == run.source && last.target + last.len == run.target => last.len += run.len,
            _ => self.runs.push(run),
        }
    }

    /// The shard's part of `values`, a vector of all parameters, with zeros as padding.
    pub(super) fn take<T: Copy>(&self, values: &[T], to_f32: impl Fn(T) -> f32) -> Vec<f32> {
        let mut padded = vec![0.0; self.stride];
        for run in &self.runs {
            let source = &values[run.source..run.source + run.len];
            padded[run.target..run.target + run.len].iter_mut().zip(source).for_each(|(target, &value)| *target = to_f32(value));
        }
        padded
    }

    /// The reverse: puts the shard's numbers where they belong in `values`.
    pub(super) fn put(&self, padded: &[f32], values: &mut [f64]) {
        for run in &self.runs {
            let target = &mut values[run.source..run.source + run.len];
            target.iter_mut().zip(&padded[run.target..]).for_each(|(target, &value)| *target = f64::from(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activation, Dense, Norm, NormKind, Op};

    fn dense(pair: &[usize], bias: bool) -> Op {
        let (inputs, outputs) = (pair[0], pair[1]);
        Op::Dense(Dense { inputs, outputs, weight: vec![0.5; inputs * outputs], bias: bias.then(|| vec![0.5; outputs]) })
    }

    fn network(widths: &[usize], bias: bool) -> Network {
        Network::chain(widths[0], widths.windows(2).map(|pair| (dense(pair, bias), Activation::Tanh))).unwrap()
    }

    /// Every parameter is in one place, no two share one, the pieces know where, and what goes in comes out.
    fn assert_partition(network: &Network, shards: &Shards, most: usize) {
        let values: Vec<f64> = (1..=u16::try_from(shards.dim()).unwrap()).map(f64::from).collect();
        #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
        let parts: Vec<_> = shards.iter().map(|shard| shard.take(&values, |x| x as f32)).collect();
        let mut back = vec![0.0; shards.dim()];
        for (shard, part) in shards.iter().zip(&parts) {
            assert!(shard.stride <= most && shard.stride.is_multiple_of(ALIGNMENT));
            assert_eq!(part.iter().filter(|x| **x != 0.0).count(), shard.runs.iter().map(|run| run.len).sum::<usize>());
            shard.put(part, &mut back);
        }
        assert_eq!(back, values);
        for (index, (layer, range)) in network.layers().iter().zip(network.layout().layers()).enumerate() {
            let inputs = layer.dense().map_or(1, |dense| dense.inputs);
            let mut row = 0;
            for piece in shards.layer(index) {
                assert_eq!(piece.rows.start, row);
                let part = &parts[piece.shard];
                for (inside, row) in piece.rows.clone().enumerate() {
                    let weights = &part[piece.weight + inside * inputs..][..inputs];
                    let source = range.weight.start + row * inputs;
                    assert!(weights.iter().zip(&values[source..]).all(|(&x, &y)| f64::from(x) == y), "row {row} of layer {index}");
                    if let (Some(at), Some(bias)) = (piece.bias, &range.bias) {
                        assert_eq!(f64::from(part[at + inside]), values[bias.start + row]);
                    }
                }
                row = piece.rows.end;
            }
            assert_eq!(row, if range.weight.is_empty() { 0 } else { network.widths()[index + 1] });
        }
    }

    /// A normalization's parameters stay together, and layers without any take no room.
    #[test]
    fn normalizations_are_not_cut() {
        let norm = |width, gain| Norm { kind: NormKind::Rms { eps: 1e-6 }, width, gain, shift: None };
        let whole = Norm { shift: Some(vec![0.5; 300]), ..norm(300, Some(vec![0.5; 300])) };
        let layers = [dense(&[9, 300], true), whole.into(), dense(&[300, 17], false), norm(17, None).into(), Op::Add];
        let network = Network::chain(9, layers.into_iter().map(|op| (op, Activation::Tanh))).unwrap();
        for preferred in [64, 640, 2048] {
            let shards = Shards::new(&network, preferred, 4096).unwrap();
            assert_partition(&network, &shards, preferred.max(640));
            assert_eq!((shards.layer(1).len(), shards.layer(3).len(), shards.layer(4).len()), (1, 0, 0));
        }
        let message = Shards::new(&network, 64, 512).unwrap_err().to_string();
        assert!(message.contains("layer 1: a normalization of 600 parameters"), "{message}");
    }

    #[test]
    fn what_fits_is_one_shard() {
        let network = network(&[5, 7, 3], true);
        let shards = Shards::new(&network, 4096, 8192).unwrap();
        assert_eq!((shards.len(), shards.padded()), (1, 128));
        assert_partition(&network, &shards, 4096);
    }

    #[test]
    fn ranges_are_found_in_both_partitions() {
        let network = network(&[9, 300, 17, 40], true);
        let ranges = [5..2000, 2700..2701, 3000..8000];
        let expected: Vec<usize> = ranges.iter().cloned().flatten().collect();
        for preferred in [64, 640, 1 << 20] {
            let (whole, part) = (Shards::new(&network, preferred, 1 << 20).unwrap(), Shards::plain(expected.len(), 192));
            let names: Vec<usize> = (0..whole.dim()).collect();
            #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
            let [mut found, parts] = [(&part, &vec![0; expected.len()]), (&whole, &names)]
                .map(|(shards, values)| shards.iter().map(|shard| shard.take(values, |x| x as f32)).collect::<Vec<_>>());
            for Shared { at, part, len } in whole.shared_with(&part, &ranges) {
                found[part.0][part.1..part.1 + len].copy_from_slice(&parts[at.0][at.1..at.1 + len]);
            }
            let mut values = vec![0.0; expected.len()];
            part.iter().zip(&found).for_each(|(shard, found)| shard.put(found, &mut values));
            #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
            let expected: Vec<f64> = expected.iter().map(|&x| x as f64).collect();
            assert_eq!(values, expected);
        }
    }

    #[test]
    fn what_does_not_is_cut_between_rows() {
        for bias in [true, false] {
            let network = network(&[9, 300, 17, 40], bias);
            for preferred in [64, 128, 640, 2048] {
                let shards = Shards::new(&network, preferred, 4096).unwrap();
                assert!(shards.len() > 1);
                assert_partition(&network, &shards, preferred.max(320));
            }
        }
        let message = Shards::new(&network(&[900, 2], true), 64, 128).unwrap_err().to_string();
        assert!(message.contains("layer 0") && message.contains("901 parameters"), "{message}");
    }
}
