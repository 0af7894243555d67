//! Every shader module, as the list of the files that it is made of.
//!
//! A module's text is its files joined one after another, with no substitution: each file stays readable and checkable WGSL, and
//! variants are entry points or pipeline overrides. [`ALL`] is the one list; tests parse, validate and translate all of it.

/// A file of the folder `shaders/`.
#[derive(Debug)]
pub struct Source {
    /// Its path in the folder.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A shader module: files, joined in this order.
#[derive(Debug)]
pub struct Assembly {
    /// The name of the module.
    pub name: &'static str,
    /// Its files.
    pub sources: &'static [Source],
    /// Its entry points.
    pub entry_points: &'static [&'static str],
}

impl Assembly {
    /// The module's text.
    pub fn wgsl(&self) -> String {
        self.sources.iter().map(|source| source.text).collect::<Vec<_>>().join("\n")
    }
}

macro_rules! source {
    ($path:literal) => {
        Source { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)) }
    };
}

/// Forward pass at θ.
pub const FORWARD: Assembly = Assembly {
    name: "forward",
    sources: &[source!("common/product.wgsl"), source!("common/activation.wgsl"), source!("forward.wgsl")],
    entry_points: &["forward", "forward_linear"],
};

/// Backward pass at θ.
pub const BACKWARD: Assembly = Assembly {
    name: "backward",
    sources: &[source!("common/product.wgsl"), source!("backward.wgsl")],
    entry_points: &["backward", "backward_linear"],
};

/// Tangent forward pass.
pub const FORWARD_OVER: Assembly = Assembly {
    name: "forward_over",
    sources: &[source!("common/product.wgsl"), source!("common/tangent_product.wgsl"), source!("forward_over.wgsl")],
    entry_points: &["forward_over", "forward_over_linear"],
};

/// Tangent backward pass.
pub const BACKWARD_OVER: Assembly = Assembly {
    name: "backward_over",
    sources: &[source!("common/product.wgsl"), source!("common/tangent_product.wgsl"), source!("backward_over.wgsl")],
    entry_points: &["backward_over", "backward_over_linear"],
};

/// Loss, its gradient and the product with its second derivative.
pub const LOSS: Assembly =
    Assembly { name: "loss", sources: &[source!("common/activation.wgsl"), source!("loss.wgsl")], entry_points: &["loss", "loss_over"] };

/// Sums over the samples: gradient and product.
pub const WEIGHTS: Assembly = Assembly {
    name: "weights",
    sources: &[source!("common/reduce.wgsl"), source!("weights.wgsl")],
    entry_points: &["weights", "weights_first", "gradient", "bias_sums", "bias_gradient"],
};

/// Operations of a Krylov solver.
pub const KRYLOV: Assembly = Assembly {
    name: "krylov",
    sources: &[source!("common/reduce.wgsl"), source!("krylov.wgsl")],
    entry_points: &["dot_partials", "dot_total", "divide", "subtract_scaled", "basis_partials", "basis_totals", "basis_subtract"],
};

/// Rademacher probes.
pub const PROBE: Assembly = Assembly { name: "probe", sources: &[source!("probe.wgsl")], entry_points: &["rademacher"] };

/// The device's peak.
pub const PEAK: Assembly = Assembly { name: "peak", sources: &[source!("peak.wgsl")], entry_points: &["peak"] };

/// All of them.
pub const ALL: [&Assembly; 9] = [&FORWARD, &BACKWARD, &FORWARD_OVER, &BACKWARD_OVER, &LOSS, &WEIGHTS, &KRYLOV, &PROBE, &PEAK];
