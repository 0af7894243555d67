//! Every shader module, as the list of the files that it is made of.
//!
//! A module's text is its files joined one after another, with no substitution: each file stays readable WGSL, and variants are entry
//! points, pipeline overrides, or the tile that a product is made of. Tests parse, validate and translate all modules.

use super::kernel::Kernel;
use super::tile::Form;

/// A file of the folder `shaders/`.
#[derive(Debug)]
pub struct Source {
    /// Its path in the folder.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A shader module: files, joined in this order.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// Its files; the last one has the entry points.
    pub sources: Vec<&'static Source>,
    /// Its entry points.
    pub entry_points: &'static [&'static str],
    /// Whether it needs subgroups.
    pub subgroups: bool,
}

impl Assembly {
    /// The module's text.
    pub fn wgsl(&self) -> String {
        self.sources.iter().map(|source| source.text).collect::<Vec<_>>().join("\n")
    }

    /// Whether `GROUP` sets the threads of its workgroups.
    pub fn has_groups(&self) -> bool {
        self.sources.iter().any(|source| source.path == REDUCE.path)
    }

    /// The file of its entry points, for people.
    pub fn name(&self) -> &'static str {
        self.sources.last().map_or("", |source| source.path)
    }
}

macro_rules! sources {
    ($($name:ident = $path:literal;)*) => {
        $(static $name: Source =
            Source { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)) };)*
    };
}

sources! {
    TILE = "common/tile.wgsl";
    PRODUCT = "common/product.wgsl";
    NUMBERS = "common/numbers.wgsl";
    FOURS = "common/fours.wgsl";
    WEIGHT_PRODUCT = "common/weights.wgsl";
    POSITIONS = "common/positions.wgsl";
    SHARED = "common/shared.wgsl";
    REDUCE = "common/reduce.wgsl";
    ACTIVATION = "common/activation.wgsl";
    NORM_OPERANDS = "common/norm.wgsl";
    DIRECT_8X4 = "tiles/direct_8x4.wgsl";
    DIRECT_16X8 = "tiles/direct_16x8.wgsl";
    SUBGROUP = "tiles/subgroup.wgsl";
    SUBGROUP_16X8 = "tiles/subgroup_16x8.wgsl";
    SUBGROUP_16X8_PASS = "tiles/subgroup_16x8_pass.wgsl";
    SUBGROUP_16X8_WEIGHTS = "tiles/subgroup_16x8_weights.wgsl";
    SUBGROUP_32X4 = "tiles/subgroup_32x4.wgsl";
    SUBGROUP_32X4_PASS = "tiles/subgroup_32x4_pass.wgsl";
    SUBGROUP_64X4 = "tiles/subgroup_64x4.wgsl";
    SUBGROUP_64X4_PASS = "tiles/subgroup_64x4_pass.wgsl";
    SUBGROUP_64X4_WEIGHTS = "tiles/subgroup_64x4_weights.wgsl";
    SUBGROUP_64X4_FORWARD = "tiles/subgroup_64x4_forward.wgsl";
    SUBGROUP_64X4_BACKWARD = "tiles/subgroup_64x4_backward.wgsl";
    SUBGROUP_PASS = "tiles/subgroup_pass.wgsl";
    SUBGROUP_WEIGHTS = "tiles/subgroup_weights.wgsl";
    SHARED_4X4 = "tiles/shared_4x4.wgsl";
    SHARED_8X8 = "tiles/shared_8x8.wgsl";
    FILL_PASS = "tiles/fill_pass.wgsl";
    FILL_WEIGHTS = "tiles/fill_weights.wgsl";
    WEIGHTS_DOTS_8X8 = "tiles/weights_dots_8x8.wgsl";
    WEIGHTS_SPLIT_8X4 = "tiles/weights_split_8x4.wgsl";
    FORWARD = "forward.wgsl";
    BACKWARD = "backward.wgsl";
    FORWARD_OVER = "forward_over.wgsl";
    BACKWARD_OVER = "backward_over.wgsl";
    WEIGHTS = "weights.wgsl";
    BIAS = "bias.wgsl";
    NORM = "norm.wgsl";
    BATCH = "batch.wgsl";
    GAIN = "gain.wgsl";
    ELEMENTWISE = "elementwise.wgsl";
    LOSS = "loss.wgsl";
    KRYLOV = "krylov.wgsl";
    PROBE = "probe.wgsl";
    PEAK = "peak.wgsl";
}

/// The module of `kernel`, a product by way of `form`.
///
/// # Panics
/// Where `kernel` is a product and no form is given.
pub fn assembly(kernel: Kernel, form: Option<Form>) -> Assembly {
    let fixed = |sources: &[&'static Source], entry_points| Assembly { sources: sources.to_vec(), entry_points, subgroups: false };
    match kernel {
        Kernel::Forward(..) => pass(form, &SUBGROUP_64X4_FORWARD, &[&ACTIVATION, &FORWARD], &["forward", "forward_linear"]),
        Kernel::Backward(_) => pass(form, &SUBGROUP_64X4_BACKWARD, &[&BACKWARD], &["backward", "backward_linear"]),
        Kernel::ForwardOver(_) => pass(form, &SUBGROUP_64X4_FORWARD, &[&FORWARD_OVER], &["forward_over", "forward_over_linear"]),
        Kernel::BackwardOver(_) => pass(form, &SUBGROUP_64X4_BACKWARD, &[&BACKWARD_OVER], &["backward_over", "backward_over_linear"]),
        Kernel::Weights | Kernel::Gradient => {
            let form = form.expect("a product has a tile");
            let tile: &[&Source] = match form {
                Form::Subgroup16x8 => &[&SUBGROUP, &SUBGROUP_16X8, &POSITIONS, &SUBGROUP_16X8_WEIGHTS, &SUBGROUP_WEIGHTS],
                Form::Subgroup64x4 => &[&SUBGROUP, &SUBGROUP_64X4, &POSITIONS, &SUBGROUP_64X4_WEIGHTS, &SUBGROUP_WEIGHTS],
                Form::Shared4x4 => &[&SHARED_4X4, &SHARED, &FILL_WEIGHTS],
                Form::Shared8x8 => &[&SHARED_8X8, &SHARED, &FILL_WEIGHTS],
                Form::Split8x4 => &[&WEIGHTS_SPLIT_8X4],
                _ => &[&WEIGHTS_DOTS_8X8],
            };
            let sources = [&[&TILE, &WEIGHT_PRODUCT], tile, &[&WEIGHTS]].concat();
            Assembly { sources, entry_points: &["weights", "gradient"], subgroups: form.needs_subgroups() }
        }
        Kernel::BiasSums | Kernel::BiasGradient => fixed(&[&REDUCE, &WEIGHT_PRODUCT, &BIAS], &["bias_sums", "bias_gradient"]),
        Kernel::NormForward(_) | Kernel::NormBackward(_) | Kernel::NormForwardOver(_) | Kernel::NormBackwardOver(_) => {
            fixed(&[&NORM_OPERANDS, &NORM], &["norm_forward", "norm_backward", "norm_forward_over", "norm_backward_over"])
        }
        Kernel::BatchForward | Kernel::BatchBackward | Kernel::BatchForwardOver | Kernel::BatchBackwardOver => {
            fixed(&[&NORM_OPERANDS, &BATCH], &["batch_forward", "batch_backward", "batch_forward_over", "batch_backward_over"])
        }
        Kernel::GainSums | Kernel::GainSumsFirst | Kernel::GainGradient => {
            fixed(&[&REDUCE, &WEIGHT_PRODUCT, &GAIN], &["gain_sums", "gain_sums_first", "gain_gradient"])
        }
        Kernel::Accumulate | Kernel::AccumulateOver | Kernel::Activate(_) | Kernel::ActivateOver | Kernel::Settle(_) => {
            fixed(&[&ACTIVATION, &ELEMENTWISE], &["accumulate", "accumulate_over", "activate", "activate_over", "settle", "settle_linear"])
        }
        Kernel::Loss(_) | Kernel::LossOver(_) | Kernel::OutputGradient(_) | Kernel::OuterOver => {
            fixed(&[&ACTIVATION, &LOSS], &["loss", "loss_over", "output_gradient", "outer_over"])
        }
        Kernel::DotPartials
        | Kernel::DotTotal
        | Kernel::Divide
        | Kernel::SubtractScaled
        | Kernel::Multiply
        | Kernel::BasisPartials
        | Kernel::BasisTotals
        | Kernel::BasisJudge
        | Kernel::BasisSubtract => fixed(
            &[&REDUCE, &KRYLOV],
            &[
                "dot_partials",
                "dot_total",
                "divide",
                "subtract_scaled",
                "multiply",
                "basis_partials",
                "basis_totals",
                "basis_judge",
                "basis_subtract",
            ],
        ),
        Kernel::Rademacher => fixed(&[&PROBE], &["rademacher"]),
        Kernel::Peak | Kernel::Copy => fixed(&[&PEAK], &["peak", "copy"]),
    }
}

/// A pass, `by_fours` being its sums where weights are read four by four.
fn pass(form: Option<Form>, by_fours: &'static Source, finish: &[&'static Source], entry_points: &'static [&'static str]) -> Assembly {
    let form = form.expect("a product has a tile");
    let tile: &[&Source] = match form {
        Form::Direct8x4 => &[&DIRECT_8X4, &POSITIONS],
        Form::Subgroup16x8 => &[&SUBGROUP, &SUBGROUP_16X8, &POSITIONS, &SUBGROUP_16X8_PASS, &SUBGROUP_PASS],
        Form::Subgroup32x4 => &[&SUBGROUP, &SUBGROUP_32X4, &POSITIONS, &SUBGROUP_32X4_PASS, &SUBGROUP_PASS],
        Form::Subgroup64x4 => &[&SUBGROUP, &SUBGROUP_64X4, &POSITIONS, &SUBGROUP_64X4_PASS, by_fours],
        Form::Shared4x4 => &[&SHARED_4X4, &SHARED, &FILL_PASS],
        Form::Shared8x8 => &[&SHARED_8X8, &SHARED, &FILL_PASS],
        _ => &[&DIRECT_16X8, &POSITIONS],
    };
    let numbers = if form.reads_by_fours() { &FOURS } else { &NUMBERS };
    let sources = [&[&TILE, &PRODUCT, numbers], tile, finish].concat();
    Assembly { sources, entry_points, subgroups: form.needs_subgroups() }
}
