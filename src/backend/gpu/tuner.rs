//! The search for the fastest tiles.
//!
//! What is fastest depends on the device, its driver and the shape, and is known only by running it: the tiles that a device can run are
//! timed on windows of the job's own products, and what is found is kept for the next run. Results differ in their last bits from one tile
//! to another, so every run reports its tiles, and [`Tune::Off`] takes the defaults.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::adapter::driver;
use super::array::Array;
use super::cut::Extents;
use super::device::Device;
use super::kernel::{Curve, Kernel};
use super::linearization::{OpModel, layers};
use super::product;
use super::schedule;
use super::space::word;
use super::tile::Tile;
use super::tile_cache::Cache;
use super::tiles::{ShapeClass, exponent};
use super::uniforms::{NONE, Product, Weights};
use crate::curvature::Curvature;
use crate::error::Result;
use crate::model::Network;

/// How long to look for the fastest kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tune {
    /// Not at all: the defaults, the same in every run.
    #[default]
    Off,
    /// For two seconds at most, or as an earlier run has found.
    Quick,
    /// All products and all tiles, whatever an earlier run has found.
    Full,
}

impl Tune {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Off, Self::Quick, Self::Full];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

impl Display for Tune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tune {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown tuning '{text}': one of {}", Self::ALL.map(Self::name).join(", "));
        Self::ALL.into_iter().find(|tune| tune.name() == text).ok_or_else(unknown)
    }
}

/// What quick tuning may take, with all that it compiles.
const QUICK: Duration = Duration::from_secs(2);

/// Timed runs of a tile; the fastest counts.
const RUNS: usize = 3;

/// Most bytes of one operand.
const OPERAND_BYTES: usize = 64 << 20;

/// Samples / 4 that are enough to tell tiles apart where the weight is large.
const LEAST_SAMPLES4: usize = 16;

/// Rows of a weight that are enough: whole tiles of any product kernel.
const LEAST_ROWS: usize = 128;

/// A product of the job's, or as much of it as takes long enough to be timed.
#[derive(Clone, Copy, Debug)]
struct Case {
    kernel: Kernel,
    /// Of the whole product, which decides the tile.
    class: ShapeClass,
    rows: usize,
    others: usize,
    samples4: usize,
}

impl Case {
    /// The products of the tangent passes. Their weights are cut as the job's own are, so that each fits a binding.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) where a row fits none.
    fn all(network: &Network, device: &Device) -> Result<Vec<Self>> {
        let (layers, shards) = (layers(network, Curvature::Hessian), schedule::shards(network, device)?);
        let mut cases = Vec::new();
        for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.op == OpModel::Dense) {
            let Extents { inputs, outputs } = layer.extents;
            let piece = shards.layer(index).iter().map(|piece| piece.rows.len()).max().unwrap_or(outputs);
            let window = piece.min((operations(device) / (16 * LEAST_SAMPLES4 * inputs)).max(LEAST_ROWS));
            let samples4 = samples4(device, window, inputs);
            let case = |kernel, class, rows, others| Self { kernel, class, rows, others, samples4 };
            let forward = ShapeClass::Forward(exponent(word(outputs)), exponent(word(inputs)));
            cases.push(case(Kernel::ForwardOver(layer.curve), forward, window, inputs));
            let weights = ShapeClass::Weights(exponent(word(outputs)), exponent(word(inputs)));
            cases.push(case(Kernel::Weights, weights, window, inputs));
            if let Some(below) = layer.sources[0].checked_sub(1) {
                let backward = ShapeClass::Backward(exponent(word(inputs)), exponent(word(outputs)));
                cases.push(case(Kernel::BackwardOver(layers[below].curve), backward, inputs, window));
            }
        }
        // The largest first: where the time is short, it goes where it pays.
        cases.sort_by_key(|case| std::cmp::Reverse(case.class.size()));
        Ok(cases)
    }

    fn pass(&self) -> Product {
        let samples4 = word(self.samples4);
        let transposed = matches!(self.kernel, Kernel::BackwardOver(_));
        Product {
            rows: word(self.rows),
            samples4,
            stride4: samples4,
            depth: word(self.others),
            tangent_depth: word(self.others),
            row_stride: if transposed { 1 } else { word(self.others) },
            depth_stride: if transposed { word(self.rows) } else { 1 },
            bias_offset: NONE,
            finish: 1,
            ..Product::default()
        }
    }

    fn weights(&self) -> Weights {
        let samples4 = word(self.samples4);
        Weights {
            rows: word(self.rows),
            columns: word(self.others),
            samples4,
            stride4: samples4,
            row_stride: word(self.others),
            second: 1,
            ..Weights::default()
        }
    }

    /// Operands, all zeros: bindings of every kernel of the kind.
    fn operands(&self, device: &Device) -> Result<Vec<(u32, Array)>> {
        let (of_rows, of_others) = (4 * self.samples4 * self.rows, 4 * self.samples4 * self.others);
        let weight = self.rows * self.others;
        let counts = match self.kernel {
            Kernel::Weights => vec![(1, of_rows), (2, of_others), (3, of_rows), (4, of_others), (5, weight), (6, weight)],
            kernel => {
                let mut counts = vec![(1, weight), (2, of_others), (3, weight), (4, of_others), (5, of_rows)];
                counts.extend(match kernel {
                    Kernel::ForwardOver(Curve::Curved) => vec![(6, of_rows), (7, of_rows), (8, of_rows)],
                    Kernel::ForwardOver(Curve::Linear) => vec![(7, of_rows)],
                    _ => vec![(6, of_rows)],
                });
                counts
            }
        };
        counts.into_iter().map(|(binding, count)| Ok((binding, device.buffer("a product to be timed", count)?))).collect()
    }

    /// The fastest tile, or none where the time is up before all have been tried.
    fn fastest(&self, device: &Device, end: Option<Instant>) -> Result<Option<Tile>> {
        let operands = self.operands(device)?;
        let bindings: Vec<_> = operands.iter().map(|(binding, buffer)| (*binding, &**buffer)).collect();
        let mut candidates = device.tiles().candidates(self.class);
        if !matches!(self.kernel, Kernel::Weights) {
            candidates.retain(|tile| tile.fitting(&self.pass()) == *tile);
        }
        let mut best: Option<(Duration, Tile)> = None;
        for tile in candidates {
            let run = || {
                let start = Instant::now();
                match self.kernel {
                    Kernel::Weights => product::weights_with(device, self.kernel, tile, self.weights(), 1, &bindings)?,
                    _ => product::pass_with(device, self.kernel, tile, self.pass(), 1, &bindings)?,
                }
                device.wait()?;
                Ok(start.elapsed())
            };
            // The first run compiles the kernel.
            for turn in 0..=RUNS {
                let time = run()?;
                if turn > 0 && best.is_none_or(|(least, _)| time < least) {
                    best = Some((time, tile));
                }
                if end.is_some_and(|end| Instant::now() > end) {
                    return Ok(None);
                }
            }
        }
        Ok(best.map(|(_, tile)| tile))
    }
}

/// Operations that take long enough to be timed, and not long.
fn operations(device: &Device) -> usize {
    if device.is_software() { 1 << 27 } else { 1 << 34 }
}

/// Samples / 4 for so many operations with a weight of `rows` x `columns`; activations that fit a binding.
fn samples4(device: &Device, rows: usize, columns: usize) -> usize {
    let longest = (OPERAND_BYTES.min(device.array_bytes()) / (16 * rows.max(columns))).max(1);
    (operations(device) / (16 * rows * columns)).clamp(LEAST_SAMPLES4.min(longest), longest)
}

/// Chooses the tiles for products with the Hessian of `network`. Returns what a user should know of the cache, if anything.
///
/// # Errors
/// Device failures; whatever is wrong with the cache is none.
pub(super) fn tune(device: &Device, network: &Network, tune: Tune) -> Result<Option<String>> {
    if tune == Tune::Off {
        return Ok(None);
    }
    let cache = Cache::of(format!("{}, {}", device.info().name, driver(device.info())));
    let mut warning = None;
    if let Some(cache) = &cache {
        match cache.load() {
            Ok(tiles) => tiles.into_iter().for_each(|(class, tile)| device.tiles().choose(class, tile)),
            Err(message) => warning = Some(message),
        }
    }
    let end = (tune == Tune::Quick).then(|| Instant::now() + QUICK);
    let (mut done, mut found) = (Vec::new(), false);
    for case in Case::all(network, device)? {
        let known = if tune == Tune::Quick { device.tiles().has_chosen(case.class) } else { done.contains(&case.class) };
        if known {
            continue;
        }
        let Some(tile) = case.fastest(device, end)? else { break };
        tracing::info!(product = ?case.class, ?tile, "tile chosen");
        device.tiles().choose(case.class, tile);
        done.push(case.class);
        found = true;
    }
    if let Some(cache) = cache.filter(|_| found) {
        warning = warning.or(cache.store(device.tiles().chosen()).err());
    }
    Ok(warning)
}

#[cfg(test)]
mod tests {
    use super::super::adapter::Software;
    use super::super::ceilings::Ceilings;
    use super::*;
    use crate::model::{Activation, Dense};

    /// A weight of several bindings is timed in windows, as the job cuts it, and its class is that of the whole.
    #[test]
    fn a_weight_larger_than_a_binding_is_timed_in_windows() {
        let ceilings = Ceilings { binding_bytes: Some(1 << 16), buffer_bytes: Some(1 << 17), workgroups: None };
        let device = match Device::open_within(None, Software::Allowed, ceilings) {
            Ok(device) => device,
            Err(error) if std::env::var_os("HESPER_REQUIRE_GPU").is_some_and(|value| value == "1") => panic!("{error}"),
            Err(_) => return,
        };
        let dense = |inputs, outputs| (Dense { inputs, outputs, weight: vec![0.5; inputs * outputs], bias: None }, Activation::Tanh);
        let network = Network::chain(200, [dense(200, 300), dense(300, 10)]).unwrap();
        let cases = Case::all(&network, &device).unwrap();
        assert!(cases.iter().any(|case| case.class == ShapeClass::Weights(9, 8) && 4 * case.rows * case.others <= 1 << 16));
        for case in cases {
            assert!(case.fastest(&device, None).unwrap().is_some(), "{case:?}");
        }
    }
}
