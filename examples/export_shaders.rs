//! Writes every kernel in every variant as WGSL and as SPIR-V, its overrides resolved, for compilers that judge kernels without the
//! hardware: `cargo run --release --example export_shaders -- DIR`. Files are named by kernel and tile.
//!
//! The SPIR-V has the bounds checks that wgpu writes on devices with robust buffer access: indices into arrays, not into buffers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use hesper::backend::gpu::{Kernel, RowNorm, Variant};
use naga::ShaderStage;
use naga::back::{pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: export_shaders DIR")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    for variant in Variant::all() {
        let name = name(variant);
        let text = variant.assembly().wgsl();
        fs::write(folder.join(&name).with_extension("wgsl"), &text)?;
        let words = translate(variant, &text).map_err(|error| anyhow!("{name}: {error}"))?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(folder.join(&name).with_extension("spv"), bytes)?;
    }
    Ok(())
}

/// Such as `forward_over-shared4x4_16x16`, or with what else decides: `forward-gelu-direct8x4_64x1`.
fn name(variant: Variant) -> String {
    let mut parts = vec![variant.kernel.entry_point().to_owned()];
    match variant.kernel {
        Kernel::Forward(activation, _) | Kernel::Activate(activation) => parts.push(activation.name().to_owned()),
        Kernel::NormForward(norm) | Kernel::NormBackward(norm) | Kernel::NormForwardOver(norm) | Kernel::NormBackwardOver(norm) => {
            parts.push(if norm == RowNorm::Layer { "layer" } else { "rms" }.to_owned());
        }
        Kernel::Loss(formula) | Kernel::LossOver(formula) | Kernel::OutputGradient(formula) => parts.push(formula.name().to_owned()),
        _ => {}
    }
    parts.extend(variant.tile.map(|tile| tile.to_string().replace('@', "_")));
    parts.join("-")
}

fn translate(variant: Variant, text: &str) -> Result<Vec<u32>> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| anyhow!("{}", error.emit_to_string(text)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module)?;
    let constants = variant.constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (module, info) = process_overrides(&module, &info, Some((ShaderStage::Compute, variant.kernel.entry_point())), &constants)?;
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: BoundsCheckPolicies { index: BoundsCheckPolicy::Restrict, ..BoundsCheckPolicies::default() },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..spv::Options::default()
    };
    Ok(spv::write_vec(&module, &info, &options, None)?)
}
