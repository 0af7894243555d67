//! Which tile makes a product of which shape on a device.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::tile::Tile;
use super::uniforms::{Product, Weights};
use crate::error::{Error, Result};

/// Products that one tile is best for: sizes as exponents of two, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ShapeClass {
    /// A pass with a weight as it is: rows, and terms of the sum.
    Forward(u32, u32),
    /// A pass with a weight transposed.
    Backward(u32, u32),
    /// A weight product: rows and columns.
    Weights(u32, u32),
}

/// The exponent of the least power of two that is no less.
pub(super) fn exponent(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

impl ShapeClass {
    pub(super) fn of_pass(params: &Product) -> Self {
        let of = if params.depth_stride == 1 { Self::Forward } else { Self::Backward };
        of(exponent(params.rows), exponent(params.depth.max(params.tangent_depth)))
    }

    pub(super) fn of_weights(params: &Weights) -> Self {
        Self::Weights(exponent(params.rows), exponent(params.columns))
    }

    /// The class that [`Display`] writes so.
    fn named(name: &str) -> Option<Self> {
        let (kind, extents) = name.split_once(' ')?;
        let (rows, others) = extents.split_once('x')?;
        let exponent_of = |extent: &str| extent.parse::<u64>().ok()?.checked_ilog2();
        let of = match kind {
            "forward" => Self::Forward,
            "backward" => Self::Backward,
            "weights" => Self::Weights,
            _ => return None,
        };
        Some(of(exponent_of(rows)?, exponent_of(others)?))
    }

    /// Of the weight, as an exponent of two.
    pub(super) fn size(self) -> u32 {
        let (Self::Forward(rows, others) | Self::Backward(rows, others) | Self::Weights(rows, others)) = self;
        rows + others
    }
}

impl Display for ShapeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rows, others) = match *self {
            Self::Forward(rows, terms) => ("forward", rows, terms),
            Self::Backward(rows, terms) => ("backward", rows, terms),
            Self::Weights(rows, columns) => ("weights", rows, columns),
        };
        write!(f, "{name} {}x{}", 1_u64 << rows, 1_u64 << others)
    }
}

/// The tiles of a device's products.
#[derive(Debug)]
pub(super) struct Tiles {
    software: bool,
    subgroups: bool,
    chosen: BTreeMap<ShapeClass, Tile>,
    used: BTreeMap<ShapeClass, Tile>,
    warning: Option<String>,
}

impl Tiles {
    /// The defaults for a device of that type, with or without subgroups of at least eight lanes.
    pub(super) fn suited_to(device_type: wgpu::DeviceType, subgroups: bool) -> Self {
        Self { software: device_type == wgpu::DeviceType::Cpu, subgroups, chosen: BTreeMap::new(), used: BTreeMap::new(), warning: None }
    }

    /// The tile for a product of that class, which is noted as used.
    pub(super) fn of(&mut self, class: ShapeClass) -> Tile {
        let tile = self.chosen.get(&class).copied().unwrap_or_else(|| self.default_of(class));
        self.used.insert(class, tile);
        tile
    }

    /// The tile for a product of that class that is made once: none of 64 rows, which takes a driver seconds to compile.
    pub(super) fn once(&mut self, class: ShapeClass) -> Tile {
        match (self.of(class), class) {
            (Tile::SOFTWARE_SUBGROUP_TALL, ShapeClass::Weights(..)) => Tile::SOFTWARE_SUBGROUP_THIN,
            (Tile::SOFTWARE_SUBGROUP_TALL, _) => Tile::SOFTWARE_SUBGROUP,
            (tile, _) => tile,
        }
    }

    /// Takes `tile` for products of that class from now on.
    pub(super) fn choose(&mut self, class: ShapeClass, tile: Tile) {
        self.chosen.insert(class, tile);
    }

    /// Takes the tiles that [`Display`] has written.
    pub(super) fn choose_named(&mut self, text: &str) -> Result<()> {
        for pair in text.split(", ").filter(|pair| !pair.is_empty()) {
            let named = pair.split_once(": ").and_then(|(class, tile)| Some((ShapeClass::named(class)?, Tile::named(tile)?)));
            let (class, tile) = named.ok_or_else(|| Error::Input(format!("there is no kernel variant '{pair}'")))?;
            self.choose(class, tile);
        }
        Ok(())
    }

    /// Whether a tile has been chosen for that class.
    pub(super) fn has_chosen(&self, class: ShapeClass) -> bool {
        self.chosen.contains_key(&class)
    }

    /// Notes what a user should know of how they were chosen.
    pub(super) fn warn(&mut self, warning: String) {
        self.warning = Some(warning);
    }

    /// That.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// All that were chosen.
    pub(super) fn chosen(&self) -> &BTreeMap<ShapeClass, Tile> {
        &self.chosen
    }

    /// The tiles that may be best on this device for that class, the default first.
    pub(super) fn candidates(&self, class: ShapeClass) -> Vec<Tile> {
        let all: &[Tile] = if matches!(class, ShapeClass::Weights(..)) { &Tile::WEIGHTS } else { &Tile::PASSES };
        let default = self.default_of(class);
        std::iter::once(default).chain(self.suited(all).into_iter().filter(|tile| *tile != default)).collect()
    }

    /// Those of `all` that the device can run and is meant to.
    pub(super) fn suited(&self, all: &[Tile]) -> Vec<Tile> {
        let fits = |tile: &Tile| tile.is_for_hardware() != self.software && (self.subgroups || !tile.needs_subgroups());
        all.iter().copied().filter(fits).collect()
    }

    fn default_of(&self, class: ShapeClass) -> Tile {
        match (class, self.software) {
            (ShapeClass::Weights(rows, _), true) if self.subgroups => match rows {
                0..=5 => Tile::SOFTWARE_SUBGROUP_THIN,
                _ => Tile::SOFTWARE_SUBGROUP_TALL,
            },
            (ShapeClass::Forward(rows, _) | ShapeClass::Backward(rows, _), true) if self.subgroups => match rows {
                0..=4 => Tile::SOFTWARE_SUBGROUP_THIN,
                5 => Tile::SOFTWARE_SUBGROUP,
                _ => Tile::SOFTWARE_SUBGROUP_TALL,
            },
            (ShapeClass::Weights(..), true) => Tile::SOFTWARE_WEIGHTS,
            (_, true) => Tile::SOFTWARE_PASS,
            // Where one extent is at most 32 and the other at most 512, tiles of 64 x 64 would leave most of a device idle.
            (ShapeClass::Weights(rows, columns), false) if rows.min(columns) <= 5 && rows.max(columns) <= 9 => Tile::SPLIT,
            (ShapeClass::Forward(rows, _) | ShapeClass::Backward(rows, _), false) if rows <= 5 => Tile::THIN,
            (_, false) => Tile::SHARED_64X64,
        }
    }
}

/// The tiles of the products made so far, and the warning if there is one.
impl Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.used.iter().map(|(class, tile)| format!("{class}: {tile}"));
        f.write_str(&used.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_a_power_of_two_that_holds_the_shape() {
        let found = [1, 2, 3, 10, 16, 17, 512].map(exponent);
        assert_eq!(found, [0, 1, 2, 4, 4, 5, 9]);
        let params = Product { rows: 10, depth: 512, depth_stride: 1, ..Product::default() };
        assert_eq!(ShapeClass::of_pass(&params).to_string(), "forward 16x512");
        assert_eq!(ShapeClass::of_pass(&Product { depth_stride: 512, ..params }).to_string(), "backward 16x512");
    }

    #[test]
    fn candidates_are_those_of_the_device_and_the_default_is_the_first() {
        let devices = [(wgpu::DeviceType::Cpu, false), (wgpu::DeviceType::Cpu, true), (wgpu::DeviceType::DiscreteGpu, true)];
        for (device_type, subgroups) in devices {
            let hardware = device_type != wgpu::DeviceType::Cpu;
            let mut tiles = Tiles::suited_to(device_type, subgroups);
            for class in [ShapeClass::Forward(9, 9), ShapeClass::Backward(4, 9), ShapeClass::Weights(4, 9), ShapeClass::Weights(9, 9)] {
                let candidates = tiles.candidates(class);
                assert!(candidates.len() > 1 && candidates[0] == tiles.of(class), "{class}: {candidates:?}");
                assert!(
                    candidates.iter().all(|tile| tile.is_for_hardware() == hardware && (subgroups || !tile.needs_subgroups())),
                    "{candidates:?}"
                );
                tiles.choose(class, candidates[1]);
                assert_eq!(tiles.of(class), candidates[1]);
            }
            assert!(tiles.to_string().starts_with("forward 512x512: "), "{tiles}");
            let mut named = Tiles::suited_to(device_type, subgroups);
            named.choose_named(&tiles.to_string()).unwrap();
            assert_eq!(named.chosen(), tiles.chosen());
            assert!(named.choose_named("forward 512x512: none such").is_err());
        }
    }
}
