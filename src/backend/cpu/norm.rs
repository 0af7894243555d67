//! Normalizations, row by row of [r, width] matrices: x̂ at the point θ, and the four passes of a layer that normalizes.
//!
//! With C the projection that subtracts a row's mean (LayerNorm) or the identity (RMSNorm), r = (mean (Cx)² + ε)^−½ and x̂ = r Cx:
//!
//! - R x̂ = r (C Rx − x̂ m), m = mean(x̂ ⊙ C Rx), so that R r = −r² m;
//! - ∂/∂x of what has h as ∂/∂x̂ is G = r u, u = C h − x̂ q, q = mean(x̂ ⊙ h);
//! - R G = −r² m u + r (C Rh − R x̂ q − x̂ (mean(R x̂ ⊙ h) + mean(x̂ ⊙ Rh))).
//!
//! Batch normalization has a constant r for each unit: R x̂ = r Rx and R G = r Rh. Sums over a row are in double precision.

use super::linearization::LayerSegment;
use super::panels::{LANES, Panels};
use super::shape::LayerShape;
use crate::error::Result;
use crate::model::{Norm, NormKind};
use crate::numeric::Real;

/// What products need to know of a normalization beside its parameters.
#[derive(Clone, Debug)]
pub(super) struct NormShape {
    statistics: Statistics,
    width: usize,
    gain: bool,
}

/// What x̂ is made with.
#[derive(Clone, Debug)]
enum Statistics {
    /// Mean and variance of each row.
    Centred,
    /// The mean square of each row.
    Square,
    /// r of each unit.
    Constant(Vec<f64>),
}

/// x̂ and r of some samples, as they are computed.
#[derive(Debug)]
pub(super) struct Standard {
    /// x̂, [r, width], row by row.
    units: Vec<f64>,
    /// r of each row; empty where it is constant.
    inverse: Vec<f64>,
}

/// The same, as they are kept.
#[derive(Debug)]
pub(super) struct StandardPanels<T> {
    pub(super) units: Panels<T>,
    inverse: Vec<T>,
}

impl NormShape {
    pub(super) fn new(norm: &Norm) -> Self {
        let statistics = match &norm.kind {
            NormKind::Layer { .. } => Statistics::Centred,
            NormKind::Rms { .. } => Statistics::Square,
            NormKind::Batch { .. } => Statistics::Constant(constants(norm)),
        };
        Self { statistics, width: norm.width, gain: norm.gain.is_some() }
    }

    /// Of [`StandardPanels`].
    pub(super) fn numbers_per_sample(&self) -> usize {
        self.width.next_multiple_of(LANES) + usize::from(!matches!(self.statistics, Statistics::Constant(_)))
    }

    /// The mean of a row that C subtracts.
    fn centre(&self, row: impl Iterator<Item = f64>) -> f64 {
        if matches!(self.statistics, Statistics::Centred) { row.sum::<f64>() / self.units() } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "widths are far below 2⁵³")]
    fn units(&self) -> f64 {
        self.width as f64
    }

    /// The gain's part of a vector of all parameters; none where there is no gain.
    fn gain<'a, T>(&self, shape: &LayerShape, vector: &'a [T]) -> Option<&'a [T]> {
        self.gain.then(|| &vector[shape.weight.clone()])
    }
}

/// r of each unit, of batch normalization.
fn constants(norm: &Norm) -> Vec<f64> {
    match &norm.kind {
        NormKind::Batch { variance, eps, .. } => variance.iter().map(|variance| (variance + eps).sqrt().recip()).collect(),
        NormKind::Layer { .. } | NormKind::Rms { .. } => Vec::new(),
    }
}

fn at<T: Real>(gain: Option<&[T]>, unit: usize) -> f64 {
    gain.map_or(1.0, |gain| gain[unit].to_f64())
}

/// γ ⊙ x̂ + β.
pub(super) fn affine(norm: &Norm, standard: &Standard) -> Vec<f64> {
    let number = |(index, x): (usize, &f64)| {
        let unit = index % norm.width;
        at(norm.gain.as_deref(), unit) * x + norm.shift.as_ref().map_or(0.0, |shift| shift[unit])
    };
    standard.units.iter().enumerate().map(number).collect()
}

impl Standard {
    /// x̂ of the rows of `x`.
    pub(super) fn new(norm: &Norm, x: &[f64]) -> Self {
        let (shape, mut units, mut inverse) = (NormShape::new(norm), x.to_vec(), Vec::new());
        for row in units.chunks_exact_mut(norm.width) {
            if let (NormKind::Batch { mean, .. }, Statistics::Constant(constant)) = (&norm.kind, &shape.statistics) {
                row.iter_mut().zip(mean).zip(constant).for_each(|((x, mean), r)| *x = r * (*x - mean));
                continue;
            }
            let mean = shape.centre(row.iter().copied());
            row.iter_mut().for_each(|x| *x -= mean);
            let square = row.iter().map(|x| x * x).sum::<f64>() / shape.units();
            let r = (square + norm.kind.eps()).sqrt().recip();
            row.iter_mut().for_each(|x| *x *= r);
            inverse.push(r);
        }
        Self { units, inverse }
    }

    /// g ← g + ∂/∂x of what has `delta` as ∂/∂(γ ⊙ x̂ + β).
    pub(super) fn add_pulled_back(&self, norm: &Norm, delta: &[f64], g: &mut [f64]) {
        let shape = NormShape::new(norm);
        let gain = norm.gain.as_deref();
        for (row, (g, delta)) in g.chunks_exact_mut(norm.width).zip(delta.chunks_exact(norm.width)).enumerate() {
            let x = &self.units[row * norm.width..][..norm.width];
            let h = |unit: usize| at(gain, unit) * delta[unit];
            if let Statistics::Constant(constant) = &shape.statistics {
                g.iter_mut().enumerate().for_each(|(unit, g)| *g += constant[unit] * h(unit));
                continue;
            }
            let mean = shape.centre((0..norm.width).map(h));
            let along = (0..norm.width).map(|unit| x[unit] * h(unit)).sum::<f64>() / shape.units();
            g.iter_mut().enumerate().for_each(|(unit, g)| *g += self.inverse[row] * (h(unit) - mean - x[unit] * along));
        }
    }

    /// The same of `samples` rows, each array through `round`.
    pub(super) fn round<T: Real>(self, samples: usize, round: impl Fn(&[f64]) -> Result<Vec<T>>) -> Result<StandardPanels<T>> {
        let inverse = if self.inverse.is_empty() { Vec::new() } else { round(&self.inverse)? };
        Ok(StandardPanels { units: Panels::new(&round(&self.units)?, self.units.len() / samples), inverse })
    }
}

impl<T: Real> StandardPanels<T> {
    /// Bytes of the arrays.
    pub(super) fn bytes(&self) -> usize {
        self.units.bytes() + self.inverse.capacity() * size_of::<T>()
    }
}

/// What the passes of a layer that normalizes have in common.
pub(super) struct NormPass<'a, T> {
    pub(super) norm: &'a NormShape,
    pub(super) shape: &'a LayerShape,
    pub(super) layer: &'a LayerSegment<T>,
    pub(super) standard: &'a StandardPanels<T>,
    /// θ, and the direction.
    pub(super) parameters: &'a [T],
    pub(super) x: &'a [T],
    /// R of what the layer reads; none where that is the network's input.
    pub(super) source: Option<&'a Panels<T>>,
}

/// One row of each matrix that the way back reads.
struct Row<T> {
    x: Vec<T>,
    rx: Vec<T>,
    delta: Vec<T>,
    rdelta: Vec<T>,
}

impl<T: Real> NormPass<'_, T> {
    /// The mean that C subtracts from a row of R x, and m, from that row and the one of x̂.
    fn means(&self, rx: &[T], x: &[T]) -> (f64, f64) {
        let mean = self.norm.centre(rx.iter().map(|rx| rx.to_f64()));
        let along = rx.iter().zip(x).map(|(rx, x)| x.to_f64() * (rx.to_f64() - mean)).sum::<f64>() / self.norm.units();
        (mean, along)
    }

    /// Row `row` of R x.
    fn read_source(&self, row: usize, rx: &mut [T]) {
        if let Some(source) = self.source {
            source.read_row(row, rx);
        }
    }

    /// `units` ← R x̂; `a` ← γ ⊙ R x̂ + R γ ⊙ x̂ + R β.
    pub(super) fn forward(&self, units: &mut Panels<T>, a: &mut Panels<T>) {
        let (gain, rgain) = (self.norm.gain(self.shape, self.parameters), self.norm.gain(self.shape, self.x));
        let rshift = self.shape.bias.then(|| &self.x[self.shape.weight.end..][..self.norm.width]);
        let [mut x, mut rx, mut made, mut sum] = [(); 4].map(|()| vec![T::ZERO; self.norm.width]);
        for row in 0..units.rows() {
            self.standard.units.read_row(row, &mut x);
            self.read_source(row, &mut rx);
            let (mean, along) = if self.standard.inverse.is_empty() { (0.0, 0.0) } else { self.means(&rx, &x) };
            for unit in 0..self.norm.width {
                let (x, rx) = (x[unit].to_f64(), rx[unit].to_f64());
                let number = match &self.norm.statistics {
                    Statistics::Constant(constant) => constant[unit] * rx,
                    _ => self.standard.inverse[row].to_f64() * (rx - mean - x * along),
                };
                made[unit] = T::from_f64(number);
                let along = |vector: Option<&[T]>, factor: f64| vector.map_or(0.0, |vector| vector[unit].to_f64() * factor);
                sum[unit] = T::from_f64(at(gain, unit) * number + along(rgain, x) + along(rshift, 1.0));
            }
            units.write_row(row, &made);
            a.write_row(row, &sum);
        }
    }

    /// `back` ← R G, or that added to it; `rdelta` is R δ, `units` R x̂.
    pub(super) fn backward(&self, rdelta: &Panels<T>, units: &Panels<T>, back: &mut Panels<T>, is_first: bool) {
        let [x, rx, delta, numbers] = [(); 4].map(|()| vec![T::ZERO; self.norm.width]);
        let (mut at, mut made, mut source) = (Row { x, rx, delta, rdelta: numbers.clone() }, numbers.clone(), numbers);
        for row in 0..back.rows() {
            let rows =
                [(&self.standard.units, &mut at.x), (units, &mut at.rx), (&self.layer.delta, &mut at.delta), (rdelta, &mut at.rdelta)];
            rows.into_iter().for_each(|(matrix, numbers)| matrix.read_row(row, numbers));
            self.read_source(row, &mut source);
            match is_first {
                true => made.fill(T::ZERO),
                false => back.read_row(row, &mut made),
            }
            self.row_back(row, &at, &source, |unit, number| made[unit] = T::from_f64(made[unit].to_f64() + number));
            back.write_row(row, &made);
        }
    }

    /// R G of row `row`, unit by unit; `source` is that of R x.
    fn row_back(&self, row: usize, at_row: &Row<T>, source: &[T], mut put: impl FnMut(usize, f64)) {
        let (width, mixed) = (self.norm.width, self.shape.mixed);
        let gain = self.norm.gain(self.shape, self.parameters);
        let rgain = self.norm.gain(self.shape, self.x).filter(|_| mixed);
        let Row { x: x_row, rx, delta, rdelta } = at_row;
        let h = |unit: usize| at(gain, unit) * delta[unit].to_f64();
        let rh =
            |unit: usize| at(gain, unit) * rdelta[unit].to_f64() + rgain.map_or(0.0, |rgain| rgain[unit].to_f64() * delta[unit].to_f64());
        let [x, rx] = [x_row, rx].map(|numbers| move |unit: usize| numbers[unit].to_f64());
        let mean = |f: &dyn Fn(usize) -> f64| (0..width).map(f).sum::<f64>() / self.norm.units();
        if let Statistics::Constant(constant) = &self.norm.statistics {
            (0..width).for_each(|unit| put(unit, constant[unit] * rh(unit)));
            return;
        }
        let r = self.standard.inverse[row].to_f64();
        let (rcentre, ralong) = (self.norm.centre((0..width).map(rh)), mean(&|unit| x(unit) * rh(unit)));
        if !mixed {
            (0..width).for_each(|unit| put(unit, r * (rh(unit) - rcentre - x(unit) * ralong)));
            return;
        }
        let (_, m) = self.means(source, x_row);
        let (centre, along) = (self.norm.centre((0..width).map(h)), mean(&|unit| x(unit) * h(unit)));
        let ralong = ralong + mean(&|unit| rx(unit) * h(unit));
        for unit in 0..width {
            let inner = h(unit) - centre - x(unit) * along;
            let rinner = rh(unit) - rcentre - rx(unit) * along - x(unit) * ralong;
            put(unit, r * (rinner - r * m * inner));
        }
    }
}
