//! The ways to make a product with a layer's weight: tiles, of which each device and shape has its best.

use std::fmt::{self, Display};

use super::kernel::Kernel;
use super::uniforms::Product;

/// How a workgroup divides the result, and where its operands come from: the files of `shaders/tiles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// A pass: 8 rows x 4 samples a thread, straight from memory.
    Direct8x4,
    /// A pass: 16 rows x 8 samples a thread, straight from memory.
    Direct16x8,
    /// Any product: 16 rows x 8 columns a thread, straight from memory, the rows' operand by way of the other lanes of a subgroup.
    Subgroup16x8,
    /// A pass, the same with 32 rows x 4 columns.
    Subgroup32x4,
    /// Any product, the same with 64 rows x 4 columns; the weights of a pass loaded four by four.
    Subgroup64x4,
    /// Any product: 4 rows x 4 columns a thread, from shared memory.
    Shared4x4,
    /// Any product: 8 rows x 8 columns a thread, from shared memory.
    Shared8x8,
    /// A weight product: 8 rows x 8 columns a thread, straight from memory.
    Dots8x8,
    /// A weight product: 8 rows x 4 columns a workgroup, whose threads share the samples.
    Split8x4,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Direct8x4,
        Self::Direct16x8,
        Self::Subgroup16x8,
        Self::Subgroup32x4,
        Self::Subgroup64x4,
        Self::Shared4x4,
        Self::Shared8x8,
        Self::Dots8x8,
        Self::Split8x4,
    ];

    /// The name in reports and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct8x4 => "direct8x4",
            Self::Direct16x8 => "direct16x8",
            Self::Subgroup16x8 => "subgroup16x8",
            Self::Subgroup32x4 => "subgroup32x4",
            Self::Subgroup64x4 => "subgroup64x4",
            Self::Shared4x4 => "shared4x4",
            Self::Shared8x8 => "shared8x8",
            Self::Dots8x8 => "dots8x8",
            Self::Split8x4 => "split8x4",
        }
    }

    /// Whether its threads share what they load through their subgroup.
    pub fn needs_subgroups(self) -> bool {
        matches!(self, Self::Subgroup16x8 | Self::Subgroup32x4 | Self::Subgroup64x4)
    }

    /// Whether it reads a pass's weights four by four.
    pub(super) fn reads_by_fours(self) -> bool {
        self == Self::Subgroup64x4
    }
}

/// A form on a workgroup of so many threads along the columns and along the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The form.
    pub form: Form,
    /// Threads along the columns of the result.
    pub lanes_x: u32,
    /// Threads along its rows.
    pub lanes_y: u32,
}

impl Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}x{}", self.form.name(), self.lanes_x, self.lanes_y)
    }
}

impl Tile {
    const fn new(form: Form, lanes_x: u32, lanes_y: u32) -> Self {
        Self { form, lanes_x, lanes_y }
    }

    /// 64 x 64 results of 256 threads.
    pub const SHARED_64X64: Self = Self::new(Form::Shared4x4, 16, 16);
    /// 64 x 64 results of 64 threads.
    pub const SHARED_64X64_WIDE: Self = Self::new(Form::Shared8x8, 8, 8);
    /// 128 x 64 results of 128 threads.
    pub const SHARED_128X64: Self = Self::new(Form::Shared8x8, 8, 16);
    /// Few rows, on whole waves.
    pub const THIN: Self = Self::new(Form::Direct8x4, 64, 1);
    /// Few weights, on whole waves.
    pub const SPLIT: Self = Self::new(Form::Split8x4, 64, 1);
    /// Few rows, on the eight lanes of a software driver's vectors.
    pub const SOFTWARE_THIN: Self = Self::new(Form::Direct8x4, 8, 1);
    /// A pass on the eight lanes of a software driver's vectors.
    pub const SOFTWARE_PASS: Self = Self::new(Form::Direct16x8, 8, 1);
    /// The same with every number of the rows' operand loaded once a subgroup.
    pub const SOFTWARE_SUBGROUP: Self = Self::new(Form::Subgroup32x4, 8, 1);
    /// Any product of many rows on those lanes.
    pub const SOFTWARE_SUBGROUP_TALL: Self = Self::new(Form::Subgroup64x4, 8, 1);
    /// Any product of few rows on them.
    pub const SOFTWARE_SUBGROUP_THIN: Self = Self::new(Form::Subgroup16x8, 8, 1);
    /// A weight product on the eight lanes of a software driver's vectors.
    pub const SOFTWARE_WEIGHTS: Self = Self::new(Form::Dots8x8, 8, 1);
    /// The same for few weights.
    pub const SOFTWARE_SPLIT: Self = Self::new(Form::Split8x4, 8, 1);

    /// Tiles of the passes, for all devices.
    pub const PASSES: [Self; 9] = [
        Self::SHARED_64X64,
        Self::SHARED_64X64_WIDE,
        Self::SHARED_128X64,
        Self::THIN,
        Self::SOFTWARE_THIN,
        Self::SOFTWARE_PASS,
        Self::SOFTWARE_SUBGROUP,
        Self::SOFTWARE_SUBGROUP_THIN,
        Self::SOFTWARE_SUBGROUP_TALL,
    ];
    /// Tiles of the weight products, for all devices.
    pub const WEIGHTS: [Self; 8] = [
        Self::SHARED_64X64,
        Self::SHARED_64X64_WIDE,
        Self::SHARED_128X64,
        Self::SPLIT,
        Self::SOFTWARE_WEIGHTS,
        Self::SOFTWARE_SPLIT,
        Self::SOFTWARE_SUBGROUP_TALL,
        Self::SOFTWARE_SUBGROUP_THIN,
    ];

    /// Those that `kernel` can be made of; none where it is no product.
    pub fn of(kernel: Kernel) -> &'static [Self] {
        match kernel {
            Kernel::Forward(..) | Kernel::Backward(_) | Kernel::ForwardOver(_) | Kernel::BackwardOver(_) => &Self::PASSES,
            Kernel::Weights | Kernel::Gradient => &Self::WEIGHTS,
            _ => &[],
        }
    }

    /// The tile that [`Display`] writes so.
    pub fn named(name: &str) -> Option<Self> {
        Self::PASSES.into_iter().chain(Self::WEIGHTS).find(|tile| tile.to_string() == name)
    }

    /// Whether it is meant for a device with waves of 32 or 64 threads, or else for a software driver.
    pub fn is_for_hardware(self) -> bool {
        self.lanes_x * self.lanes_y > 8
    }

    /// Whether it needs a device with subgroups.
    pub fn needs_subgroups(self) -> bool {
        self.form.needs_subgroups()
    }

    /// Itself, or a tile like it where weights that it reads four by four do not begin at multiples of four.
    pub(super) fn fitting(self, params: &Product) -> Self {
        let begins = [params.weight_offset, params.vector_offset, params.vector_stride];
        let lengths = if params.depth_stride == 1 {
            [params.row_stride, params.depth, params.tangent_depth]
        } else {
            [params.depth_stride, params.rows, 0]
        };
        let fits = !self.form.reads_by_fours() || begins.into_iter().chain(lengths).all(|number| number % 4 == 0);
        if fits { self } else { Self::SOFTWARE_SUBGROUP }
    }

    /// Threads of a workgroup.
    pub fn lanes(self) -> u32 {
        self.lanes_x * self.lanes_y
    }

    /// Rows and columns of the result that a workgroup makes.
    pub fn extents(self) -> [u32; 2] {
        let (x, y) = (self.lanes_x, self.lanes_y);
        match self.form {
            Form::Direct8x4 => [8, 4 * x],
            Form::Direct16x8 | Form::Subgroup16x8 => [16, 8 * x],
            Form::Subgroup32x4 => [32, 4 * x],
            Form::Subgroup64x4 => [64, 4 * x],
            Form::Shared4x4 => [4 * y, 4 * x],
            Form::Shared8x8 | Form::Dots8x8 => [8 * y, 8 * x],
            Form::Split8x4 => [8, 4],
        }
    }

    /// Its overrides.
    pub(super) fn constants(self) -> Vec<(&'static str, f64)> {
        let mut constants = vec![("LANES", f64::from(self.lanes()))];
        if matches!(self.form, Form::Shared4x4 | Form::Shared8x8 | Form::Dots8x8) {
            constants.extend([("LANES_X", f64::from(self.lanes_x)), ("LANES_Y", f64::from(self.lanes_y))]);
        }
        constants
    }

    /// Whether a weight product made with it makes the sums of the biases in passing. Elsewhere that would cost a thread an addition for
    /// each number of the rows' operand, which many threads have.
    pub(super) fn sums_biases(self) -> bool {
        self.form.needs_subgroups()
    }

    /// Most samples / 4 that a thread of a weight product may add up in one chain: a longer chain rounds more than the products' promise
    /// allows (measured: 1.9e-6 over 2,048 samples, where half of that is promised). The rest is added to the result of the first, where
    /// a thread has no registers for two sums of each number.
    pub(super) fn longest_sum4(self) -> u32 {
        match self.form {
            Form::Shared4x4 | Form::Shared8x8 => 64,
            _ => u32::MAX,
        }
    }
}
