//! The passes over one group of samples: forward and backward at θ, and their derivative along a direction (Pearlmutter 1994,
//! "Fast exact multiplication by the Hessian", Neural Computation 6(1), forward over backward).
//!
//! Layer l of L (counted from 0) takes z_l to z_{l+1}: a_l = W_l z_l + b_l, z_{l+1} = φ(a_l); z_0 = x.
//! The output's activation is a layer's like any other: the loss is one of z_L.

use super::activation::derivatives;
use super::lanes::{LANES, Lanes};
use super::loss::Expected;
use crate::curvature::{Curvature, Objective, OutputCurvature};
use crate::model::{Layer, LayerRange};

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
    /// g_l = ∂loss/∂z_{l+1}.
    upstream: Vec<Vec<Lanes>>,
    /// δ_l = ∂loss/∂a_l = g_l ⊙ φ'(a_l).
    pub(super) delta: Vec<Vec<Lanes>>,
}

/// The derivatives of a [`Primal`] along a direction (V_l, v_l), R in Pearlmutter's notation.
#[derive(Debug)]
pub(super) struct Tangent {
    /// R z_l for l = 0..=L; R z_0 = 0.
    pub(super) z: Vec<Vec<Lanes>>,
    /// R δ_l.
    pub(super) delta: Vec<Vec<Lanes>>,
}

impl Primal {
    /// Forward and backward over the group that begins with sample `first_sample`.
    pub(super) fn new(objective: &Objective, first_sample: usize) -> Self {
        Self::pulling_back(objective, first_sample, None)
    }

    /// The same with `cotangents`, a row for each sample of the group, in place of the loss's gradient by the outputs.
    pub(super) fn pulling_back(objective: &Objective, first_sample: usize, cotangents: Option<&[f64]>) -> Self {
        let layers = objective.network().layers();
        let depth = layers.len();
        let mut primal = Self {
            first_sample,
            samples: LANES.min(objective.samples() - first_sample),
            loss: 0.0,
            z: vec![inputs(objective, first_sample)],
            slope: Vec::with_capacity(depth),
            bend: Vec::with_capacity(depth),
            upstream: layers.iter().map(|layer| vec![Lanes::ZERO; layer.outputs]).collect(),
            delta: layers.iter().map(|layer| vec![Lanes::ZERO; layer.outputs]).collect(),
        };
        for (l, layer) in layers.iter().enumerate() {
            // a = W z + b
            let mut a = constant(layer);
            add_product(&mut a, &layer.weight, &primal.z[l]);
            primal.push_activations(layer, &a);
        }
        primal.put_loss(objective);
        if let Some(cotangents) = cotangents {
            let outputs = &mut primal.upstream[depth - 1];
            outputs.fill(Lanes::ZERO);
            for (lane, cotangents) in cotangents.chunks(outputs.len()).enumerate() {
                outputs.iter_mut().zip(cotangents).for_each(|(g, &cotangent)| g.0[lane] = cotangent);
            }
        }
        for l in (0..depth).rev() {
            // δ = g ⊙ φ'(a)
            for (o, delta) in primal.delta[l].iter_mut().enumerate() {
                *delta = primal.upstream[l][o] * primal.slope[l][o];
            }
            // g of the layer before = Wᵀ δ
            if l > 0 {
                add_transposed_product(&mut primal.upstream[l - 1], &layers[l].weight, &primal.delta[l]);
            }
        }
        primal
    }

    fn push_activations(&mut self, layer: &Layer, a: &[Lanes]) {
        let mut jets = [(); 3].map(|()| vec![Lanes::ZERO; a.len()]);
        for (o, a) in a.iter().enumerate() {
            for (lane, &a) in a.0.iter().enumerate() {
                for (jet, derivative) in jets.iter_mut().zip(derivatives(layer.activation, a)) {
                    jet[o].0[lane] = derivative;
                }
            }
        }
        let [value, slope, bend] = jets;
        self.z.push(value);
        self.slope.push(slope);
        self.bend.push(bend);
    }

    /// The loss and g_{L−1}, sample by sample.
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
        let layers = objective.network().layers();
        let depth = layers.len();
        let mut tangent = Tangent {
            z: vec![vec![Lanes::ZERO; self.z[0].len()]],
            delta: layers.iter().map(|layer| vec![Lanes::ZERO; layer.outputs]).collect(),
        };
        let mut ra_of_layers = Vec::with_capacity(depth);
        for (l, layer) in layers.iter().enumerate() {
            // R a = W R z + V z + v
            let mut ra = vec![Lanes::ZERO; layer.outputs];
            if let Some(bias) = &ranges[l].bias {
                ra.iter_mut().zip(&direction[bias.clone()]).for_each(|(ra, &v)| *ra = Lanes([v; LANES]));
            }
            if l > 0 {
                add_product(&mut ra, &layer.weight, &tangent.z[l]);
            }
            add_product(&mut ra, &direction[ranges[l].weight.clone()], &self.z[l]);
            // R z of the next layer = φ'(a) ⊙ R a
            tangent.z.push(ra.iter().zip(&self.slope[l]).map(|(&ra, &slope)| slope * ra).collect());
            ra_of_layers.push(ra);
        }
        // R g = A R z_L, then R g = Wᵀ Rδ + Vᵀ δ from layer to layer
        let mut rg = self.output_product(objective, curvature, &tangent.z[depth]);
        for l in (0..depth).rev() {
            // R δ = R g ⊙ φ'(a) + g ⊙ φ''(a) ⊙ R a
            for (o, rdelta) in tangent.delta[l].iter_mut().enumerate() {
                *rdelta = rg[o] * self.slope[l][o];
                if curvature.has_network_curvature() {
                    *rdelta += self.upstream[l][o] * self.bend[l][o] * ra_of_layers[l][o];
                }
            }
            if l > 0 {
                rg = vec![Lanes::ZERO; layers[l].inputs];
                add_transposed_product(&mut rg, &layers[l].weight, &tangent.delta[l]);
                if curvature.has_network_curvature() {
                    add_transposed_product(&mut rg, &direction[ranges[l].weight.clone()], &self.delta[l]);
                }
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

/// The bias in every lane.
fn constant(layer: &Layer) -> Vec<Lanes> {
    match &layer.bias {
        Some(bias) => bias.iter().map(|&b| Lanes([b; LANES])).collect(),
        None => vec![Lanes::ZERO; layer.outputs],
    }
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
