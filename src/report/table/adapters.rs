//! The GPUs of this machine.

use std::io::{self, Write};

use serde::Serialize;

use super::parts::line;
use crate::backend::gpu::AdapterInfo;
use crate::numeric::human_bytes;

/// `hesper.adapters/1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdaptersReport {
    /// The schema's name and version.
    pub schema: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Best first; `--adapter` takes an index of this list or part of a name.
    pub adapters: Vec<AdapterInfo>,
}

impl AdaptersReport {
    /// A report of `adapters`.
    pub fn new(adapters: Vec<AdapterInfo>) -> Self {
        Self { schema: "hesper.adapters/1", version: env!("CARGO_PKG_VERSION"), adapters }
    }
}

/// Writes the table of `hesper adapters`.
///
/// # Errors
/// Whatever the writer meets.
pub fn adapters(out: &mut dyn Write, report: &AdaptersReport) -> io::Result<()> {
    if report.adapters.is_empty() {
        return writeln!(out, "no GPU: neither Vulkan nor Metal nor DX12 finds one; --backend cpu computes without");
    }
    for (at, adapter) in report.adapters.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        line(out, &format!("adapter {}", adapter.index), &adapter.name)?;
        line(out, "kind", &format!("{}, through {}", adapter.device_type, adapter.api))?;
        line(out, "driver", &adapter.driver)?;
        line(
            out,
            "largest buffer",
            &format!("{}, bound {}", human_bytes(adapter.max_buffer_bytes), human_bytes(adapter.max_binding_bytes)),
        )?;
        let storage = human_bytes(u64::from(adapter.workgroup_storage_bytes));
        line(out, "workgroup", &format!("{} threads, {storage} shared", adapter.max_workgroup_threads))?;
        let features = if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") };
        line(out, "extras", &features)?;
    }
    Ok(())
}
