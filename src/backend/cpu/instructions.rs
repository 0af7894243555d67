//! The vector instructions that are found at run time.

use pulp::Arch;

/// Does `work`, compiled for the vector instructions that the processor has. What it calls has to be inlined to be so too.
pub(super) fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// The architecture and the widest vector instructions of this processor that the matrix products use, such as `x86-64 avx512f`.
pub(super) fn name() -> String {
    match vectors() {
        Some(vectors) => format!("{} {vectors}", architecture()),
        None => architecture(),
    }
}

fn architecture() -> String {
    std::env::consts::ARCH.replace('_', "-")
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> Option<&'static str> {
    if std::arch::is_x86_feature_detected!("avx512f") {
        Some("avx512f")
    } else if std::arch::is_x86_feature_detected!("fma") {
        Some("avx2+fma")
    } else {
        None
    }
}

#[cfg(target_arch = "aarch64")]
fn vectors() -> Option<&'static str> {
    std::arch::is_aarch64_feature_detected!("neon").then_some("neon")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors() -> Option<&'static str> {
    None
}
