//! Every shader module parses, validates and translates to what each API runs, without the hardware: SPIR-V (Vulkan), MSL (Metal)
//! and HLSL (DX12); and the Rust mirrors of the parameter structs have the shaders' layout.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::collections::BTreeSet;
use std::mem::{offset_of, size_of};
use std::process::Command;

use hesper::backend::gpu::shaders::{self, Assembly};
use hesper::backend::gpu::{Curve, Form, Formula, Kernel, Variant, uniforms};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage, TypeInner};

/// Nothing beyond what WebGPU promises on every device, unless the module says so.
fn capabilities(assembly: &Assembly) -> Capabilities {
    if assembly.subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() }
}

/// Every module once.
fn assemblies() -> Vec<Assembly> {
    let mut all: Vec<Assembly> = Vec::new();
    for assembly in Variant::all().into_iter().map(Variant::assembly) {
        if all.iter().all(|other| other.wgsl() != assembly.wgsl()) {
            all.push(assembly);
        }
    }
    all
}

fn parse(assembly: &Assembly) -> (Module, ModuleInfo) {
    let text = assembly.wgsl();
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{}: {}", assembly.name(), error.emit_to_string(&text)));
    let info = Validator::new(ValidationFlags::all(), capabilities(assembly))
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", assembly.name(), error.emit_to_string(&text)));
    (module, info)
}

#[test]
fn every_module_is_valid_without_any_optional_capability() {
    for assembly in assemblies() {
        let (module, _) = parse(&assembly);
        let entry_points: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(entry_points, assembly.entry_points, "{}", assembly.name());
    }
}

#[test]
fn every_file_belongs_to_a_module_and_every_entry_point_to_a_kernel() {
    let used: BTreeSet<_> = assemblies().iter().flat_map(|assembly| &assembly.sources).map(|source| source.path.to_owned()).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut found = BTreeSet::new();
    for folder in ["", "common/", "tiles/"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                found.insert(format!("{folder}{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    assert_eq!(found, used);

    let of_modules: BTreeSet<_> = assemblies().iter().flat_map(|assembly| assembly.entry_points.iter().copied()).collect();
    let of_kernels: BTreeSet<_> = Kernel::all().into_iter().map(Kernel::entry_point).collect();
    assert_eq!(of_modules, of_kernels);
}

#[test]
fn every_kernel_translates_for_vulkan_metal_and_dx12() {
    {
        for kernel in Variant::all() {
            let (module, info) = parse(&kernel.assembly());
            let constants = kernel.constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let entry_point = (ShaderStage::Compute, kernel.kernel.entry_point());
            let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, Some(entry_point), &constants)
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
            within_portable_limits(kernel, &module);

            let options = spv::Options { lang_version: (1, 3), ..Default::default() };
            let words = spv::write_vec(&module, &info, &options, None).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
            assert_eq!(words[0], 0x0723_0203, "{kernel:?}: SPIR-V's magic number");

            let options = msl::Options { lang_version: (2, 4), ..Default::default() };
            let (text, _) = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
            assert!(text.contains("kernel void"), "{kernel:?}: no MSL kernel");

            let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, fake_missing_bindings: true, ..Default::default() };
            let mut text = String::new();
            hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
                .write(&module, &info, None)
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
            assert!(text.contains("numthreads"), "{kernel:?}: no HLSL kernel");
        }
    }
}

/// WebGPU's floor: 256 threads a workgroup, 8 storage buffers an entry point, 16 KiB of workgroup memory.
fn within_portable_limits(kernel: Variant, module: &Module) {
    let entry = module.entry_points.iter().find(|entry| entry.name == kernel.kernel.entry_point()).unwrap();
    let threads: u32 = entry.workgroup_size.iter().product();
    assert!(threads <= 256, "{kernel:?}: {threads} threads");
    let info = Validator::new(ValidationFlags::all(), capabilities(&kernel.assembly())).validate(module).unwrap();
    let index = module.entry_points.iter().position(|other| other.name == entry.name).unwrap();
    let (mut storage, mut shared) = (0, 0);
    for (_, global) in module.global_variables.iter().filter(|(handle, _)| !info.get_entry_point(index)[*handle].is_empty()) {
        match global.space {
            naga::AddressSpace::Storage { .. } => storage += 1,
            naga::AddressSpace::WorkGroup => shared += module.types[global.ty].inner.size(module.to_ctx()),
            _ => {}
        }
    }
    assert!(storage <= 8, "{kernel:?}: {storage} storage buffers");
    assert!(shared <= 16 << 10, "{kernel:?}: {shared} bytes of workgroup memory");
}

/// Name, offset and size of every member of struct `name`, and its span.
fn reflect(assembly: &Assembly, name: &str) -> (Vec<(String, usize)>, usize) {
    let (module, _) = parse(assembly);
    let (_, found) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap();
    let TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is no struct") };
    let members = members.iter().map(|member| (member.name.clone().unwrap(), member.offset as usize)).collect();
    (members, *span as usize)
}

macro_rules! assert_mirrors {
    ($assembly:expr, $mirror:ident { $($member:ident),+ $(,)? }) => {
        let (members, span) = reflect($assembly, stringify!($mirror));
        let mirrored = vec![$((stringify!($member).to_owned(), offset_of!(uniforms::$mirror, $member))),+];
        assert_eq!(members, mirrored, stringify!($mirror));
        assert_eq!(span, size_of::<uniforms::$mirror>(), stringify!($mirror));
    };
}

#[test]
fn parameters_have_the_shaders_layout() {
    let of = |kernel| shaders::assembly(kernel, Some(Form::Shared4x4));
    {
        assert_mirrors!(
            &of(Kernel::Backward(Curve::Curved)),
            Product {
                rows,
                samples4,
                stride4,
                depth,
                tangent_depth,
                row_stride,
                depth_stride,
                weight_offset,
                vector_offset,
                vector_stride,
                bias_offset,
                incoming_offset4,
                tangent_offset4,
                tangent_stride4,
                point_offset4,
                result_offset4,
                result_stride4,
                accumulate,
                finish
            }
        );
    }
    assert_mirrors!(
        &of(Kernel::Weights),
        Weights {
            rows,
            columns,
            samples4,
            stride4,
            row_stride,
            vector_offset,
            result_offset,
            block_stride,
            delta_offset4,
            tangent_delta_offset4,
            tangent_delta_stride4,
            input_offset4,
            tangent_input_offset4,
            tangent_input_stride4,
            decay,
            accumulate,
            bias_offset,
            bias_decay,
            second
        }
    );
    assert_mirrors!(&of(Kernel::Loss(Formula::Mse)), Loss { outputs, padded, share, parameter, vectors, kept });
    assert_mirrors!(
        &of(Kernel::BatchForward),
        Norm { width, samples4, gain_offset, shift_offset, vector_stride, eps, tangent, mixed, accumulate, groups }
    );
    assert_mirrors!(&of(Kernel::Accumulate), Elementwise { count4, groups, accumulate, kept });
    assert_mirrors!(
        &of(Kernel::Divide),
        Krylov { stride4, columns, slot, groups, first_group, all_groups, blocks, row, root, guard, constant }
    );
    assert_mirrors!(&of(Kernel::Rademacher), Probe { key, first_probe, source, target_first, length, stride4, groups });
    assert_mirrors!(&of(Kernel::Peak), Peak { factor, term, rounds });
}

/// A second, independent WGSL front end: where it is installed, it accepts every module as well.
#[test]
fn tint_accepts_every_module() {
    if Command::new("tint").arg("--help").output().is_err() {
        println!("SKIPPED: tint is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for assembly in assemblies() {
        // naga knows no `enable`, tint wants it.
        let enable = if assembly.subgroups { "enable subgroups;\n" } else { "" };
        let path = folder.path().join(assembly.name()).with_extension("wgsl");
        std::fs::write(&path, [enable, &assembly.wgsl()].concat()).unwrap();
        let output = Command::new("tint").args(["--format", "wgsl"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}: {}", assembly.name(), String::from_utf8_lossy(&output.stderr));
    }
}
