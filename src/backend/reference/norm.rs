//! Normalizations of one group of samples: x̂, its derivative along a direction, the way back, and the way back's derivative.
//!
//! With C the projection that subtracts the mean over the units (LayerNorm) or the identity (RMSNorm), c = C x, r = (mean c² + ε)^−½
//! and x̂ = r c; batch normalization has constants in place of mean and r, one for each unit.

use super::lanes::Lanes;
use crate::model::{Norm, NormKind};

/// What standardizing leaves.
#[derive(Debug)]
pub(super) struct Standard {
    /// x̂, one for each unit.
    pub(super) units: Vec<Lanes>,
    /// c.
    centred: Vec<Lanes>,
    /// r, one for each unit.
    inverse: Vec<Lanes>,
}

/// R of a [`Standard`] along a direction.
#[derive(Debug)]
pub(super) struct StandardTangent {
    /// R x̂.
    pub(super) units: Vec<Lanes>,
    /// R r.
    inverse: Vec<Lanes>,
}

/// Σ x_i / n.
fn mean(x: &[Lanes]) -> Lanes {
    x.iter().fold(Lanes::ZERO, |sum, &x| sum + x) * (1.0 / x.len() as f64)
}

fn product(x: &[Lanes], y: &[Lanes]) -> Vec<Lanes> {
    x.iter().zip(y).map(|(&x, &y)| x * y).collect()
}

/// Whether statistics are taken of each sample.
fn is_of_samples(norm: &Norm) -> bool {
    !matches!(norm.kind, NormKind::Batch { .. })
}

/// C x.
fn centre(norm: &Norm, x: &[Lanes]) -> Vec<Lanes> {
    match norm.kind {
        NormKind::Layer { .. } => {
            let mean = mean(x);
            x.iter().map(|&x| x - mean).collect()
        }
        NormKind::Rms { .. } | NormKind::Batch { .. } => x.to_vec(),
    }
}

impl Standard {
    pub(super) fn new(norm: &Norm, x: &[Lanes]) -> Self {
        let eps = norm.kind.eps();
        let (centred, inverse) = match &norm.kind {
            NormKind::Layer { .. } | NormKind::Rms { .. } => {
                let c = centre(norm, x);
                let r = mean(&product(&c, &c)).map(|square| (square + eps).sqrt().recip());
                (c, vec![r; x.len()])
            }
            NormKind::Batch { mean, variance, .. } => (
                x.iter().zip(mean).map(|(x, mean)| x.map(|x| x - mean)).collect(),
                variance.iter().map(|variance| Lanes::ZERO.map(|_| (variance + eps).sqrt().recip())).collect(),
            ),
        };
        Self { units: product(&inverse, &centred), centred, inverse }
    }

    /// R c = C R x, R r = −r³ mean(c ⊙ R c), R x̂ = R r c + r R c.
    pub(super) fn tangent(&self, norm: &Norm, rx: &[Lanes]) -> StandardTangent {
        let rc = centre(norm, rx);
        let inverse = if is_of_samples(norm) {
            let along = mean(&product(&self.centred, &rc));
            self.inverse.iter().map(|&r| r * r * r * along * -1.0).collect()
        } else {
            vec![Lanes::ZERO; rx.len()]
        };
        let units = (0..rx.len()).map(|i| inverse[i] * self.centred[i] + self.inverse[i] * rc[i]).collect();
        StandardTangent { units, inverse }
    }

    /// ∂f/∂x from h = ∂f/∂x̂: r C(h − x̂ mean(x̂ ⊙ h)); r h where r is constant.
    pub(super) fn pull_back(&self, norm: &Norm, h: &[Lanes]) -> Vec<Lanes> {
        product(&self.inverse, &self.inner(norm, h))
    }

    /// C(h − x̂ mean(x̂ ⊙ h)), C x̂ being x̂.
    fn inner(&self, norm: &Norm, h: &[Lanes]) -> Vec<Lanes> {
        if !is_of_samples(norm) {
            return h.to_vec();
        }
        let along = mean(&product(&self.units, h));
        centre(norm, h).into_iter().zip(&self.units).map(|(h, &x)| h - x * along).collect()
    }

    /// R of [`pull_back`](Self::pull_back), h having the derivative `rh`.
    pub(super) fn pull_back_tangent(&self, norm: &Norm, tangent: &StandardTangent, h: &[Lanes], rh: &[Lanes]) -> Vec<Lanes> {
        let mut rinner = self.inner(norm, rh);
        if is_of_samples(norm) {
            // − R x̂ mean(x̂ ⊙ h) − x̂ mean(R x̂ ⊙ h), beside what R h makes.
            let (along, ralong) = (mean(&product(&self.units, h)), mean(&product(&tangent.units, h)));
            for (i, rinner) in rinner.iter_mut().enumerate() {
                *rinner = *rinner - tangent.units[i] * along - self.units[i] * ralong;
            }
        }
        let inner = self.inner(norm, h);
        (0..h.len()).map(|i| tangent.inverse[i] * inner[i] + self.inverse[i] * rinner[i]).collect()
    }
}
