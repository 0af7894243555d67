//! The vector instructions that are found at run time.

use pulp::{Arch, Simd, WithSimd};

/// Does `work`, compiled for the vector instructions that the processor has. What it calls has to be inlined to be so too.
pub(super) fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// The same for work that multiplies and adds: it is told how.
pub(super) fn vectorize_sums<R>(work: impl FnOnce(MulAdd) -> R) -> R {
    Arch::new().dispatch(Sums(work))
}

/// How to multiply and add: at once where that is one instruction. Elsewhere it would be a call of a library function.
#[derive(Clone, Copy)]
pub(super) struct MulAdd {
    is_fused: bool,
}

impl MulAdd {
    /// x·y + z.
    #[inline(always)]
    pub(super) fn of(self, x: f64, y: f64, z: f64) -> f64 {
        if self.is_fused { x.mul_add(y, z) } else { x * y + z }
    }
}

/// What is compiled once for each set of vector instructions, of which all but none at all can fuse.
struct Sums<F>(F);

impl<R, F: FnOnce(MulAdd) -> R> WithSimd for Sums<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)(MulAdd { is_fused: !S::IS_SCALAR })
    }
}

/// Has the processor bring the cache line at `place` into its second-level cache, while it goes on; a line that is not there does no harm.
#[inline(always)]
pub(super) fn fetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: all such processors have the instruction, and it reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _: *const T = place;
}

/// Ends the use of the upper halves of the vector registers. The products of faer 0.24 do not, and until it is done each call of a function
/// such as `exp`, in which old and new vector instructions are mixed, takes 150 nanoseconds in place of 4.
pub(super) fn leave_upper_halves() {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has the instruction.
        unsafe { std::arch::x86_64::_mm256_zeroupper() }
    }
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
