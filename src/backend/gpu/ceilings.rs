//! Limits below an adapter's own, to see how work is split where there is less.

use crate::error::{Error, Result};

/// The most bytes of a binding on any device that is opened, as a number of bytes: all tests and commands then run on small limits.
const BINDING_BYTES: &str = "HESPER_GPU_BINDING_BYTES";

/// Limits below those of the adapter, for whoever wants to see how work is split where there is less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Most bytes of a buffer that one kernel can see.
    pub binding_bytes: Option<u64>,
    /// Most bytes of a buffer.
    pub buffer_bytes: Option<u64>,
    /// Most workgroups in a dimension.
    pub workgroups: Option<u32>,
}

impl Ceilings {
    /// These, and a binding no larger than the environment's `HESPER_GPU_BINDING_BYTES`.
    ///
    /// # Errors
    /// [`Error::Input`] where that is no number.
    pub(super) fn within_environment(self) -> Result<Self> {
        match std::env::var_os(BINDING_BYTES) {
            Some(text) => self.within_binding(&text.to_string_lossy()),
            None => Ok(self),
        }
    }

    fn within_binding(self, text: &str) -> Result<Self> {
        let bytes: u64 = text.parse().map_err(|_| Error::Input(format!("{BINDING_BYTES} is '{text}': a number of bytes is expected")))?;
        Ok(Self { binding_bytes: Some(self.binding_bytes.map_or(bytes, |own| own.min(bytes))), ..self })
    }

    pub(super) fn apply(self, mut limits: wgpu::Limits) -> wgpu::Limits {
        let lower = |limit: &mut u64, ceiling: Option<u64>| *limit = ceiling.unwrap_or(*limit).min(*limit);
        lower(&mut limits.max_storage_buffer_binding_size, self.binding_bytes);
        lower(&mut limits.max_buffer_size, self.buffer_bytes);
        let workgroups = &mut limits.max_compute_workgroups_per_dimension;
        *workgroups = self.workgroups.unwrap_or(*workgroups).min(*workgroups);
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_lowers_a_binding_and_never_raises_it() {
        let own = |binding_bytes| Ceilings { binding_bytes, buffer_bytes: Some(7), workgroups: None };
        for (before, after) in [(None, 1 << 20), (Some(1 << 14), 1 << 14), (Some(1 << 24), 1 << 20)] {
            assert_eq!(own(before).within_binding("1048576").unwrap(), own(Some(after)));
        }
        let limits = own(None).within_binding("1048576").unwrap().apply(wgpu::Limits::default());
        assert_eq!(limits.max_storage_buffer_binding_size, 1 << 20);
        let message = own(None).within_binding("1 MiB").unwrap_err().to_string();
        assert!(message.contains("HESPER_GPU_BINDING_BYTES is '1 MiB'"), "{message}");
    }
}
