//! The passes over one group of samples: forward and backward at θ, and their derivative along a direction (Pearlmutter 1994,
//! "Fast exact multiplication by the Hessian", Neural Computation 6(1), forward over backward).
//!
//! Layer l of L (counted from 0) makes z_{l+1} = φ(a_l), a_l being W z + b of an earlier value z, γ ⊙ ẑ + β of its standardization ẑ, or the
//! sum of two; z_0 = x. The output's activation is a layer's like any other: the loss is one of z_L. What several layers read gets the
//! sum of what comes back from them.

use super::activation::derivatives;
use super::lanes::{LANES, Lanes};
use super::loss::Expected;
use super::norm::{Standard, StandardTangent};
use crate::curvature::{Curvature, Objective, OutputCurvature};
use crate::model::{Activation, LayerRange, Norm, Op};

/// What the passes at θ leave of a group of up to [`LANES`] samples. Lanes past the last sample have inputs and weights 0.
#[derive(Debug)]
pub(super) struct Primal {
    /// First sample of the group, and how many there are.
    first_sample: usize,
    pub(super) samples: usize,
    /// The loss of the group's samples, weighted.
    pub(super) loss: f64,
    /// z_l for l = 0..=L.
    pub(super) z: Vec<Vec<Lanes>>,
    /// φ'(a_l).
    slope: Vec<Vec<Lanes>>,
    /// φ''(a_l).
    bend: Vec<Vec<Lanes>>,
    /// g_l = ∂loss/∂z_l for l = 0..=L.
    upstream: Vec<Vec<Lanes>>,
    /// δ_l = ∂loss/∂a_l = g_{l+1} ⊙ φ'(a_l).
    pub(super) delta: Vec<Vec<Lanes>>,
    /// ẑ of the layers that normalize.
    pub(super) standard: Vec<Option<Standard>>,
}

/// The derivatives of a [`Primal`] along a direction (V_l, v_l), R in Pearlmutter's notation.
#[derive(Debug)]
pub(super) struct Tangent {
    /// R z_l for l = 0..=L; R z_0 = 0.
    pub(super) z: Vec<Vec<Lanes>>,
    /// R δ_l.
    pub(super) delta: Vec<Vec<Lanes>>,
    /// R ẑ of the layers that normalize.
    pub(super) standard: Vec<Option<StandardTangent>>,
}

impl Primal {
    /// Forward and backward over the group that begins with sample `first_sample`.
    pub(super) fn new(objective: &Objective, first_sample: usize) -> Self {
        Self::pulling_back(objective, first_sample, None)
    }

    /// δ², z² and ẑ² in the places of δ, z and ẑ.
    pub(super) fn squared(mut self) -> Self {
        let arrays = self.delta.iter_mut().chain(&mut self.z).chain(self.standard.iter_mut().flatten().map(|standard| &mut standard.units));
        arrays.flatten().for_each(|lanes| *lanes = lanes.map(|x| x * x));
        self
    }

    /// The same with `cotangents`, a row for each sample of the group, in place of the loss's gradient by the outputs.
    pub(super) fn pulling_back(objective: &Objective, first_sample: usize, cotangents: Option<&[f64]>) -> Self {
        let (layers, widths) = (objective.network().layers(), objective.network().widths());
        let mut primal = Self {
            first_sample,
            samples: LANES.min(objective.samples() - first_sample),
            loss: 0.0,
            z: vec![inputs(objective, first_sample)],
            slope: Vec::with_capacity(layers.len()),
            bend: Vec::with_capacity(layers.len()),
            upstream: widths.iter().map(|&width| vec![Lanes::ZERO; width]).collect(),
            delta: widths[1..].iter().map(|&width| vec![Lanes::ZERO; width]).collect(),
            standard: Vec::with_capacity(layers.len()),
        };
        for layer in layers {
            let z = &primal.z[layer.sources[0]];
            let mut standard = None;
            let a = match &layer.op {
                // a = W z + b
                Op::Dense(dense) => {
                    let mut a = constant(dense.bias.as_deref(), dense.outputs);
                    add_product(&mut a, &dense.weight, z);
                    a
                }
                // a = γ ⊙ ẑ + β
                Op::Norm(norm) => {
                    let made = standard.insert(Standard::new(norm, z));
                    let mut a = constant(norm.shift.as_deref(), norm.width);
                    add_to(&mut a, &with_gain(norm.gain.as_deref(), &made.units));
                    a
                }
                Op::Add => sum_of_sources(&primal.z, &layer.sources),
            };
            primal.standard.push(standard);
            primal.push_activations(layer.activation, &a);
        }
        primal.put_loss(objective);
        if let Some(cotangents) = cotangents {
            let outputs = &mut primal.upstream[layers.len()];
            outputs.fill(Lanes::ZERO);
            for (lane, cotangents) in cotangents.chunks(outputs.len()).enumerate() {
                outputs.iter_mut().zip(cotangents).for_each(|(g, &cotangent)| g.0[lane] = cotangent);
            }
        }
        for (l, layer) in layers.iter().enumerate().rev() {
            // δ = g ⊙ φ'(a)
            for (o, delta) in primal.delta[l].iter_mut().enumerate() {
                *delta = primal.upstream[l + 1][o] * primal.slope[l][o];
            }
            // g of what the layer reads += Wᵀ δ, the standardization's way back of γ ⊙ δ, or δ
            let delta = &primal.delta[l];
            let g = &mut primal.upstream[layer.sources[0]];
            match (&layer.op, &primal.standard[l]) {
                (Op::Dense(dense), _) => add_transposed_product(g, &dense.weight, delta),
                (Op::Norm(norm), Some(standard)) => add_to(g, &standard.pull_back(norm, &with_gain(norm.gain.as_deref(), delta))),
                _ => layer.sources.iter().for_each(|&source| add_to(&mut primal.upstream[source], delta)),
            }
        }
        primal
    }

    fn push_activations(&mut self, activation: Activation, a: &[Lanes]) {
        let mut jets = [(); 3].map(|()| vec![Lanes::ZERO; a.len()]);
        for (o, a) in a.iter().enumerate() {
            for (lane, &a) in a.0.iter().enumerate() {
                for (jet, derivative) in jets.iter_mut().zip(derivatives(activation, a)) {
                    jet[o].0[lane] = derivative;
                }
            }
        }
        let [value, slope, bend] = jets;
        self.z.push(value);
        self.slope.push(slope);
        self.bend.push(bend);
    }

    /// The loss and g_L, sample by sample.
    fn put_loss(&mut self, objective: &Objective) {
        let last = self.upstream.len() - 1;
        for lane in 0..self.samples {
            let outputs = self.outputs(lane);
            let weight = self.weight(objective, lane);
            let (value, gradient) = self.with_expected(objective, lane, |expected| (expected.value(&outputs), expected.gradient(&outputs)));
            self.loss += weight * value;
            for (g, derivative) in self.upstream[last].iter_mut().zip(gradient) {
                g.0[lane] = weight * derivative;
            }
        }
    }

    /// What a sample's terms are multiplied by in f.
    fn weight(&self, objective: &Objective, lane: usize) -> f64 {
        objective.sample_weight(self.first_sample + lane) * objective.output_share()
    }

    /// Hands over what a sample's outputs are held against.
    fn with_expected<R>(&self, objective: &Objective, lane: usize, use_expected: impl FnOnce(Expected<'_>) -> R) -> R {
        let outputs = objective.network().outputs();
        let y: Vec<f64> = (0..outputs).map(|k| objective.target(self.first_sample + lane, k)).collect();
        let positive: Vec<f64> = (0..outputs).map(|k| objective.criterion().output_weight(k)).collect();
        use_expected(Expected { terms: objective.criterion().terms(), y: &y, positive: &positive })
    }

    /// z_L of one sample.
    pub(super) fn outputs(&self, lane: usize) -> Vec<f64> {
        self.z[self.z.len() - 1].iter().map(|z| z.0[lane]).collect()
    }

    /// R of everything, along the vector `direction` of all parameters. Of operators without the network's own curvature, R δ has
    /// the first term of each sum only.
    pub(super) fn tangent(&self, objective: &Objective, curvature: Curvature, ranges: &[LayerRange], direction: &[f64]) -> Tangent {
        let (layers, widths) = (objective.network().layers(), objective.network().widths());
        let mut tangent = Tangent {
            z: vec![vec![Lanes::ZERO; widths[0]]],
            delta: widths[1..].iter().map(|&width| vec![Lanes::ZERO; width]).collect(),
            standard: Vec::with_capacity(layers.len()),
        };
        let mut ra_of_layers = Vec::with_capacity(layers.len());
        for (l, layer) in layers.iter().enumerate() {
            let source = layer.sources[0];
            let v = &direction[ranges[l].weight.clone()];
            let mut ra = constant(ranges[l].bias.clone().map(|bias| &direction[bias]), widths[l + 1]);
            let mut standard = None;
            match (&layer.op, &self.standard[l]) {
                // R a = W R z + V z + v
                (Op::Dense(dense), _) => {
                    if source > 0 {
                        add_product(&mut ra, &dense.weight, &tangent.z[source]);
                    }
                    add_product(&mut ra, v, &self.z[source]);
                }
                // R a = γ ⊙ R ẑ + R γ ⊙ ẑ + R β
                (Op::Norm(norm), Some(made)) => {
                    let rmade = standard.insert(made.tangent(norm, &tangent.z[source]));
                    add_to(&mut ra, &with_gain(norm.gain.as_deref(), &rmade.units));
                    if norm.gain.is_some() {
                        add_to(&mut ra, &with_gain(Some(v), &made.units));
                    }
                }
                _ => ra = sum_of_sources(&tangent.z, &layer.sources),
            }
            tangent.standard.push(standard);
            // R z of the next value = φ'(a) ⊙ R a
            tangent.z.push(ra.iter().zip(&self.slope[l]).map(|(&ra, &slope)| slope * ra).collect());
            ra_of_layers.push(ra);
        }
        // R g_L = A R z_L, then back from layer to layer
        let mut rg: Vec<Vec<Lanes>> = widths.iter().map(|&width| vec![Lanes::ZERO; width]).collect();
        rg[layers.len()] = self.output_product(objective, curvature, &tangent.z[layers.len()]);
        for (l, layer) in layers.iter().enumerate().rev() {
            // R δ = R g ⊙ φ'(a) + g ⊙ φ''(a) ⊙ R a
            for (o, rdelta) in tangent.delta[l].iter_mut().enumerate() {
                *rdelta = rg[l + 1][o] * self.slope[l][o];
                if curvature.has_network_curvature() {
                    *rdelta += self.upstream[l + 1][o] * self.bend[l][o] * ra_of_layers[l][o];
                }
            }
            let (delta, rdelta, v) = (&self.delta[l], &tangent.delta[l], &direction[ranges[l].weight.clone()]);
            let back = &mut rg[layer.sources[0]];
            match (&layer.op, &self.standard[l], &tangent.standard[l]) {
                // R g += Wᵀ Rδ + Vᵀ δ
                (Op::Dense(dense), ..) => {
                    add_transposed_product(back, &dense.weight, rdelta);
                    if curvature.has_network_curvature() {
                        add_transposed_product(back, v, delta);
                    }
                }
                (Op::Norm(norm), Some(made), Some(rmade)) => add_to(back, &norm_product(norm, made, rmade, curvature, v, [delta, rdelta])),
                _ => layer.sources.iter().for_each(|&source| add_to(&mut rg[source], rdelta)),
            }
        }
        tangent
    }

    /// A R z_L, sample by sample.
    pub(super) fn output_product(&self, objective: &Objective, curvature: Curvature, rz: &[Lanes]) -> Vec<Lanes> {
        let mut rg = vec![Lanes::ZERO; rz.len()];
        for lane in 0..self.samples {
            let u: Vec<f64> = rz.iter().map(|u| u.0[lane]).collect();
            let product = match curvature.output_curvature() {
                OutputCurvature::None => vec![0.0; u.len()],
                OutputCurvature::LossHessian => {
                    let product = self.with_expected(objective, lane, |expected| expected.hessian_product(&self.outputs(lane), &u));
                    scaled(self.weight(objective, lane), &product)
                }
                // ω ∂ℓ ∂ℓᵀ of the sample's own loss ℓ, whose gradient is its outputs' share of the terms'.
                OutputCurvature::Gradient => {
                    let terms = self.with_expected(objective, lane, |expected| expected.gradient(&self.outputs(lane)));
                    let q = scaled(objective.output_share(), &terms);
                    scaled(objective.sample_weight(self.first_sample + lane) * dot(&q, &u), &q)
                }
                OutputCurvature::Sampled(draws) => {
                    let mut product = vec![0.0; u.len()];
                    for q in draws.output_gradients(objective, &self.outputs(lane), self.first_sample + lane).chunks(u.len()) {
                        let factor = dot(q, &u);
                        product.iter_mut().zip(q).for_each(|(product, q)| *product += factor * q);
                    }
                    product
                }
            };
            for (rg, product) in rg.iter_mut().zip(product) {
                rg.0[lane] = product;
            }
        }
        rg
    }
}

/// R of a normalization's way back of h = γ ⊙ δ, R h = γ ⊙ R δ + R γ ⊙ δ; without the network's own curvature the way back of γ ⊙ R δ.
fn norm_product(
    norm: &Norm,
    made: &Standard,
    rmade: &StandardTangent,
    curvature: Curvature,
    rgain: &[f64],
    [delta, rdelta]: [&[Lanes]; 2],
) -> Vec<Lanes> {
    let gain = norm.gain.as_deref();
    let mut rh = with_gain(gain, rdelta);
    if !curvature.has_network_curvature() {
        return made.pull_back(norm, &rh);
    }
    if gain.is_some() {
        add_to(&mut rh, &with_gain(Some(rgain), delta));
    }
    made.pull_back_tangent(norm, rmade, &with_gain(gain, delta), &rh)
}

/// γ ⊙ x.
fn with_gain(gain: Option<&[f64]>, x: &[Lanes]) -> Vec<Lanes> {
    match gain {
        Some(gain) => x.iter().zip(gain).map(|(&x, &gain)| x * gain).collect(),
        None => x.to_vec(),
    }
}

/// Σ z over the sources.
fn sum_of_sources(z: &[Vec<Lanes>], sources: &[usize]) -> Vec<Lanes> {
    let mut sum = vec![Lanes::ZERO; z[sources[0]].len()];
    sources.iter().for_each(|&source| add_to(&mut sum, &z[source]));
    sum
}

/// out ← out + x.
fn add_to(out: &mut [Lanes], x: &[Lanes]) {
    out.iter_mut().zip(x).for_each(|(out, &x)| *out += x);
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn scaled(factor: f64, x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| factor * x).collect()
}

/// z_0 = x of the group, [inputs]; 0 in the lanes past the last sample.
fn inputs(objective: &Objective, first_sample: usize) -> Vec<Lanes> {
    let width = objective.network().inputs();
    let mut x = vec![Lanes::ZERO; width];
    for sample in first_sample..objective.samples().min(first_sample + LANES) {
        for (i, x) in x.iter_mut().enumerate() {
            x.0[sample - first_sample] = objective.inputs().at(sample * width + i);
        }
    }
    x
}

/// The `width` numbers of a bias in every lane, 0 where there is none.
fn constant(bias: Option<&[f64]>, width: usize) -> Vec<Lanes> {
    bias.map_or_else(|| vec![Lanes::ZERO; width], |bias| bias.iter().map(|&b| Lanes([b; LANES])).collect())
}

/// out_o ← out_o + Σᵢ W_oi x_i.
fn add_product(out: &mut [Lanes], weight: &[f64], x: &[Lanes]) {
    for (out, row) in out.iter_mut().zip(weight.chunks_exact(x.len())) {
        let mut sum = Lanes::ZERO;
        for (&w, &x) in row.iter().zip(x) {
            sum += x * w;
        }
        *out += sum;
    }
}

/// out_i ← out_i + Σ_o W_oi y_o.
fn add_transposed_product(out: &mut [Lanes], weight: &[f64], y: &[Lanes]) {
    for (&y, row) in y.iter().zip(weight.chunks_exact(out.len())) {
        for (out, &w) in out.iter_mut().zip(row) {
            *out += y * w;
        }
    }
}
