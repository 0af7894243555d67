//! Sixteen samples side by side, each in a lane of its own.
//!
//! A [`Lanes`] behaves as a number: the formulas read as they do for one sample. The compiler turns each operation into a few
//! vector instructions, and a weight is fetched once for all of them.

use std::ops::{Add, AddAssign, Mul, Sub};

/// Samples side by side.
pub(super) const LANES: usize = 16;

/// A number of each of [`LANES`] samples.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lanes(pub(super) [f64; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    /// The sum over the samples, in halves: 16 → 8 → 4 → 2 → 1.
    pub(super) fn sum(self) -> f64 {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

impl Lanes {
    /// `f` of each sample's number.
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.map(f))
    }
}

impl Sub for Lanes {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        for (lane, term) in self.0.iter_mut().zip(other.0) {
            *lane -= term;
        }
        self
    }
}

impl Add for Lanes {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Lanes {
    fn add_assign(&mut self, other: Self) {
        for (lane, term) in self.0.iter_mut().zip(other.0) {
            *lane += term;
        }
    }
}

impl Mul for Lanes {
    type Output = Self;

    fn mul(mut self, other: Self) -> Self {
        for (lane, factor) in self.0.iter_mut().zip(other.0) {
            *lane *= factor;
        }
        self
    }
}

impl Mul<f64> for Lanes {
    type Output = Self;

    fn mul(mut self, factor: f64) -> Self {
        for lane in &mut self.0 {
            *lane *= factor;
        }
        self
    }
}
