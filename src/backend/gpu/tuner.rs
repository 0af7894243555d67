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
use super::linearization::layers;
use super::product;
use super::space::word;
use super::tile::Tile;
use super::tile_cache::Cache;
use super::tiles::ShapeClass;
use super::uniforms::{NONE, Product, Weights};
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

/// One of the job's products.
#[derive(Clone, Copy, Debug)]
struct Case {
    kernel: Kernel,
    rows: usize,
    others: usize,
}

impl Case {
    /// The products of the tangent passes.
    fn all(network: &Network) -> Vec<Self> {
        let layers = layers(network);
        let mut cases = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let Extents { inputs, outputs } = layer.extents;
            cases.push(Self { kernel: Kernel::ForwardOver(layer.curve), rows: outputs, others: inputs });
            cases.push(Self { kernel: Kernel::Weights, rows: outputs, others: inputs });
            if index > 0 {
                cases.push(Self { kernel: Kernel::BackwardOver(layers[index - 1].curve), rows: inputs, others: outputs });
            }
        }
        // The largest first: where the time is short, it goes where it pays.
        cases.sort_by_key(|case| std::cmp::Reverse(case.rows * case.others));
        cases
    }

    /// Samples that take long enough to be timed, and not long.
    fn samples4(&self, device: &Device) -> usize {
        let operations = if device.is_software() { 1 << 27 } else { 1 << 34 };
        let longest = OPERAND_BYTES / (16 * self.rows.max(self.others));
        (operations / (16 * self.rows * self.others)).clamp(64, longest.max(64))
    }

    fn pass(&self, samples4: usize) -> Product {
        let transposed = matches!(self.kernel, Kernel::BackwardOver(_));
        Product {
            rows: word(self.rows),
            samples4: word(samples4),
            stride4: word(samples4),
            depth: word(self.others),
            tangent_depth: word(self.others),
            row_stride: if transposed { 1 } else { word(self.others) },
            depth_stride: if transposed { word(self.rows) } else { 1 },
            bias_offset: NONE,
            finish: 1,
            ..Product::default()
        }
    }

    fn weights(&self, samples4: usize) -> Weights {
        Weights {
            rows: word(self.rows),
            columns: word(self.others),
            samples4: word(samples4),
            stride4: word(samples4),
            row_stride: word(self.others),
            ..Weights::default()
        }
    }

    fn class(&self) -> ShapeClass {
        match self.kernel {
            Kernel::Weights => ShapeClass::of_weights(&self.weights(1)),
            _ => ShapeClass::of_pass(&self.pass(1)),
        }
    }

    /// Operands, all zeros: bindings of every kernel of the kind.
    fn operands(&self, device: &Device, samples4: usize) -> Result<Vec<(u32, Array)>> {
        let (of_rows, of_others, weight) = (4 * samples4 * self.rows, 4 * samples4 * self.others, self.rows * self.others);
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
        let samples4 = self.samples4(device);
        let operands = self.operands(device, samples4)?;
        let bindings: Vec<_> = operands.iter().map(|(binding, buffer)| (*binding, &**buffer)).collect();
        let candidates = device.tiles().candidates(self.class(), device.has_subgroups());
        let mut best: Option<(Duration, Tile)> = None;
        for tile in candidates {
            let run = || {
                let start = Instant::now();
                match self.kernel {
                    Kernel::Weights => product::weights_with(device, self.kernel, tile, self.weights(samples4), 1, &bindings)?,
                    _ => product::pass_with(device, self.kernel, tile, self.pass(samples4), 1, &bindings)?,
                }
                device.wait()?;
                Ok(start.elapsed())
            };
            // The first run compiles the kernel.
            run()?;
            for _ in 0..RUNS {
                let time = run()?;
                if best.is_none_or(|(least, _)| time < least) {
                    best = Some((time, tile));
                }
            }
            if end.is_some_and(|end| Instant::now() > end) {
                return Ok(None);
            }
        }
        Ok(best.map(|(_, tile)| tile))
    }
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
    for case in Case::all(network) {
        let known = if tune == Tune::Quick { device.tiles().has_chosen(case.class()) } else { done.contains(&case.class()) };
        if known {
            continue;
        }
        let Some(tile) = case.fastest(device, end)? else { break };
        device.tiles().choose(case.class(), tile);
        done.push(case.class());
        found = true;
    }
    if let Some(cache) = cache.filter(|_| found) {
        warning = warning.or(cache.store(device.tiles().chosen()).err());
    }
    Ok(warning)
}
