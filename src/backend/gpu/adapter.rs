//! The GPUs of this machine, and the choice of one.

use serde::Serialize;
use wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor};

use crate::error::{Error, Result};

/// A GPU as `hesper adapters` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterInfo {
    /// Its number in the list, for `--adapter`.
    pub index: usize,
    /// Its name, for `--adapter` in whole or in part.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub device_type: String,
    /// The driver and its version.
    pub driver: String,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that a kernel can see, bytes.
    pub max_binding_bytes: u64,
    /// Most threads of a workgroup.
    pub max_workgroup_threads: u32,
    /// Bytes that a workgroup can share.
    pub workgroup_storage_bytes: u32,
    /// Optional features that later kernels can make use of; none is needed.
    pub features: Vec<String>,
}

impl AdapterInfo {
    fn of(index: usize, adapter: &Adapter) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let optional =
            [("subgroups", wgpu::Features::SUBGROUP), ("f16", wgpu::Features::SHADER_F16), ("timestamps", wgpu::Features::TIMESTAMP_QUERY)];
        Self {
            index,
            name: info.name.clone(),
            api: info.backend.to_string(),
            device_type: device_type(info.device_type).into(),
            driver: driver(&info),
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_workgroup_threads: limits.max_compute_invocations_per_workgroup,
            workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
            features: optional.iter().filter(|(_, bit)| features.contains(*bit)).map(|(name, _)| (*name).into()).collect(),
        }
    }
}

/// The driver's name and version in one string.
pub(super) fn driver(info: &wgpu::AdapterInfo) -> String {
    [info.driver.as_str(), info.driver_info.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn device_type(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

/// How much we would rather have a device of this type; less is better.
fn rank(device_type: DeviceType) -> u8 {
    match device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// Hardware only, or software drivers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// A software driver will do where there is no hardware.
    Allowed,
    /// Hardware or nothing.
    Refused,
}

fn all() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle_from_env());
    pollster::block_on(instance.enumerate_adapters(Backends::VULKAN | Backends::METAL | Backends::DX12))
}

/// The GPUs that Vulkan, Metal or DX12 reach, best first.
pub fn adapters() -> Vec<AdapterInfo> {
    sorted().iter().enumerate().map(|(index, adapter)| AdapterInfo::of(index, adapter)).collect()
}

fn sorted() -> Vec<Adapter> {
    let mut adapters = all();
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// The adapter with that index or with that text in its name (whatever the case); without a name the best one.
///
/// # Errors
/// [`Error::Device`] where nothing fits, with what there is.
pub(super) fn choose(name_or_index: Option<&str>, software: Software) -> Result<Adapter> {
    let adapters = sorted();
    if adapters.is_empty() {
        return Err(Error::Device(
            "no GPU adapter found: install a Vulkan driver (Debian: mesa-vulkan-drivers has a software one), or use --backend cpu".into(),
        ));
    }
    let listed = || {
        let names = adapters.iter().enumerate().map(|(index, adapter)| format!("{index}: {}", adapter.get_info().name));
        names.collect::<Vec<_>>().join(", ")
    };
    let Some(wanted) = name_or_index else {
        let best = adapters.iter().find(|adapter| software == Software::Allowed || adapter.get_info().device_type != DeviceType::Cpu);
        return best
            .cloned()
            .ok_or_else(|| Error::Device(format!("no hardware GPU among {}: --backend gpu takes a software driver", listed())));
    };
    let found = match wanted.parse::<usize>() {
        Ok(index) => adapters.get(index),
        Err(_) => adapters.iter().find(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted.to_lowercase())),
    };
    found.cloned().ok_or_else(|| Error::Device(format!("no adapter '{wanted}': there is {}", listed())))
}
