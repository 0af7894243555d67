//! The two kinds of numbers in the vector registers of any processor.

use pulp::Simd;

use crate::numeric::Real;

/// A number that vector registers hold.
pub(super) trait Lanes: Real {
    /// A register of them.
    type Vector<S: Simd>: Copy;

    /// Numbers of a vector.
    fn count<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }

    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b + c, rounded once where the processor does so: elsewhere that would be a call of a library function.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
}

macro_rules! lanes {
    ($number:ty, $vector:ident, $splat:ident, $add:ident, $mul_add:ident) => {
        impl Lanes for $number {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S> {
                simd.$splat(value)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S> {
                simd.$mul_add(a, b, c)
            }
        }
    };
}

lanes!(f32, f32s, splat_f32s, add_f32s, mul_add_e_f32s);
lanes!(f64, f64s, splat_f64s, add_f64s, mul_add_e_f64s);
