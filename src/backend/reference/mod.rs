//! The float64 reference: straight from the formulas, written to be read, sharing no code with the other backends.
//!
//! A key design decision: nothing is cached but the objective. Every product runs the passes at θ again, panel by panel of samples,
//! so that memory is bounded whatever the data's size and no state can go stale; the price is a third more work.
//!
//! Threads share out groups of samples for the passes and rows of the weights for the sums over samples. Every number is made by one
//! thread in one order, so the bits do not depend on how many threads there are.

mod activation;
mod jacobian;
mod lanes;
mod loss;
mod norm;
mod passes;
mod space;

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::curvature::{BackendInfo, Capacity, Curvature, CurvatureOperator, Demand, Footprint, MemoryPlan, Mode, Objective, Schedule};
use crate::error::{Error, Result};
use crate::krylov::{LinearOperator, Slot};
use crate::model::{Layer, LayerRange, Layout, Op};
use crate::numeric::Precision;
use lanes::{LANES, Lanes};
use passes::{Primal, Tangent};
pub use space::{Columns, ReferenceScalars, ReferenceSpace};

/// Groups of samples whose passes are held at once.
const GROUPS_AT_ONCE: usize = 64;

/// Rows of a weight matrix that one thread sums over the samples while it reads their activations once.
const ROWS_AT_ONCE: usize = 8;

/// The curvature of an objective in double precision.
#[derive(Debug)]
pub struct Reference {
    objective: Objective,
    layout: Layout,
    space: ReferenceSpace,
    curvature: Curvature,
    /// ∇f/√Σω without weight decay, where its outer product is taken off.
    mean_gradient: Option<Vec<f64>>,
    products: AtomicU64,
}

impl Reference {
    /// How a job fits into memory: the linearization is made again for each product, and nothing of it is kept.
    ///
    /// # Errors
    /// [`Error::Input`] where another mode is asked for; [`Error::Memory`] where it does not fit.
    pub fn plan(objective: &Objective, demand: &Demand) -> Result<MemoryPlan> {
        if let Some(mode @ (Mode::Cached | Mode::Streamed)) = demand.mode {
            return Err(Error::Input(format!("the reference knows one mode, recomputed, but {mode} was asked for")));
        }
        let demand = Demand { mode: Some(Mode::Recomputed), ..*demand };
        let Schedule { micro_batch, .. } = schedule(objective);
        let capacity = Capacity {
            samples: objective.samples(),
            vector_bytes: (objective.dim() * size_of::<f64>()) as u64,
            micro_batch,
            max_columns: usize::MAX,
        };
        MemoryPlan::choose(&demand, &capacity, |_| Footprint::default().with("linearization", group_bytes(objective) as u64, 0))
    }

    /// The operator `curvature` of `objective` at its network's parameters.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where the loss is not finite; [`Error::Input`] where the objective has no such operator.
    pub fn new(objective: &Objective, curvature: Curvature) -> Result<Self> {
        curvature.check(objective)?;
        let mut operator = Self {
            objective: objective.clone(),
            curvature,
            mean_gradient: None,
            layout: objective.network().layout(),
            space: ReferenceSpace::new(objective.dim()),
            products: AtomicU64::new(0),
        };
        let loss = operator.loss();
        if !loss.is_finite() {
            return Err(Error::NonFinite(format!(
                "the loss is {loss}: the network has diverged, or its inputs are on another scale than it was trained on"
            )));
        }
        if curvature.is_centred() {
            let mut gradient = vec![0.0; objective.dim()];
            operator.for_each_panel(|panel| operator.add_gradient(panel, &mut gradient));
            let scale = objective.total_weight().sqrt();
            gradient.iter_mut().for_each(|g| *g /= scale);
            operator.mean_gradient = Some(gradient);
        }
        Ok(operator)
    }

    /// f(θ).
    fn loss(&self) -> f64 {
        let mut loss = 0.0;
        self.for_each_panel(|panel| loss += panel.iter().map(|primal| primal.loss).sum::<f64>());
        let (decay, network) = (self.objective.weight_decay(), self.objective.network());
        let parameters = network.parameters();
        let squared_norm: f64 = decay.ranges(network).into_iter().flat_map(|range| &parameters[range]).map(|x| x * x).sum();
        loss + decay.factor / 2.0 * squared_norm
    }

    /// Runs the passes at θ and hands over the groups, [`GROUPS_AT_ONCE`] at a time, first to last.
    fn for_each_panel(&self, mut use_panel: impl FnMut(&[Primal])) {
        let starts: Vec<usize> = (0..self.objective.samples()).step_by(LANES).collect();
        for starts in starts.chunks(GROUPS_AT_ONCE) {
            let panel: Vec<Primal> = starts.par_iter().map(|&start| Primal::new(&self.objective, start)).collect();
            use_panel(&panel);
        }
    }

    /// y ← y + λ·x, the weight decay's part of a gradient (x = θ) or of a product.
    fn add_weight_decay(&self, x: &[f64], y: &mut [f64]) {
        let decay = self.objective.weight_decay();
        for range in decay.ranges(self.objective.network()) {
            space::add_scaled(&mut y[range.clone()], decay.factor, &x[range]);
        }
    }

    /// ∂f/∂W_l = Σ δ_l zᵀ and ∂f/∂b_l = Σ δ_l over the panel's samples, z being what the layer reads, added to `gradient`; of a normalization
    /// ∂f/∂γ = Σ δ_l ⊙ ẑ.
    fn add_gradient(&self, panel: &[Primal], gradient: &mut [f64]) {
        for (l, (layer, range)) in self.parts() {
            let deltas = || panel.iter().map(|primal| &primal.delta[l]);
            let weight = &mut gradient[range.weight.clone()];
            match layer.op {
                Op::Dense(_) => add_outer_products(weight, deltas().zip(panel.iter().map(|primal| &primal.z[layer.sources[0]]))),
                _ => add_unit_products(weight, deltas().zip(panel.iter().filter_map(|primal| Some(&primal.standard[l].as_ref()?.units)))),
            }
            if let Some(bias) = &range.bias {
                add_sums(&mut gradient[bias.clone()], deltas());
            }
        }
    }

    /// (H v)_l = Σ Rδ_l zᵀ + δ_l R zᵀ (the second with the network's own curvature only), and Σ Rδ_l for the bias, over the panel's samples,
    /// added to `product`; of a normalization Σ Rδ_l ⊙ ẑ + δ_l ⊙ R ẑ.
    fn add_products(&self, panel: &[Primal], tangents: &[Tangent], product: &mut [f64]) {
        for (l, (layer, range)) in self.parts() {
            let source = layer.sources[0];
            let weight = &mut product[range.weight.clone()];
            let (deltas, rdeltas) = (|| panel.iter().map(|primal| &primal.delta[l]), || tangents.iter().map(|tangent| &tangent.delta[l]));
            let mixed = self.curvature.has_network_curvature();
            match layer.op {
                Op::Dense(_) => {
                    add_outer_products(weight, rdeltas().zip(panel.iter().map(|primal| &primal.z[source])));
                    if source > 0 && mixed {
                        add_outer_products(weight, deltas().zip(tangents.iter().map(|tangent| &tangent.z[source])));
                    }
                }
                _ => {
                    add_unit_products(weight, rdeltas().zip(panel.iter().filter_map(|primal| Some(&primal.standard[l].as_ref()?.units))));
                    if mixed {
                        let units = tangents.iter().filter_map(|tangent| Some(&tangent.standard[l].as_ref()?.units));
                        add_unit_products(weight, deltas().zip(units));
                    }
                }
            }
            if let Some(bias) = &range.bias {
                add_sums(&mut product[bias.clone()], rdeltas());
            }
        }
    }

    /// The layers, numbered, with the places of their parameters.
    fn parts(&self) -> impl Iterator<Item = (usize, (&Layer, &LayerRange))> {
        self.objective.network().layers().iter().zip(self.layout.layers()).enumerate()
    }
}

/// What is at work at once.
fn schedule(objective: &Objective) -> Schedule {
    Schedule { mode: Mode::Recomputed, micro_batch: (GROUPS_AT_ONCE * LANES).min(objective.samples()) }
}

/// Columns that `groups` groups are multiplied with at once: one group keeps one thread busy.
fn columns_at_once(groups: usize) -> usize {
    if groups == 1 { 2 } else { 1 }
}

/// Bytes of the groups that are at work at once.
fn group_bytes(objective: &Objective) -> usize {
    let network = objective.network();
    let widths: usize = network.widths()[1..].iter().sum();
    let norms: usize =
        network.layers().iter().filter_map(|layer| if let Op::Norm(norm) = &layer.op { Some(norm.width) } else { None }).sum();
    // A group holds z_0, g_0 and five arrays of every layer's width, its tangent R z_0, R g_0 and four; a normalization three and two.
    let (group, tangent) = (2 * network.inputs() + 5 * widths + 3 * norms, 2 * network.inputs() + 4 * widths + 2 * norms);
    let groups = GROUPS_AT_ONCE.min(objective.samples().div_ceil(LANES));
    groups * (group + columns_at_once(groups) * tangent) * size_of::<Lanes>()
}

impl LinearOperator for Reference {
    type Space = ReferenceSpace;

    fn space(&self) -> &ReferenceSpace {
        &self.space
    }

    fn apply(&self, x: &Columns, y: &mut Columns) -> Result<()> {
        assert_eq!(x.len(), y.len(), "columns");
        y.iter_mut().for_each(|y| y.fill(0.0));
        self.for_each_panel(|panel| {
            let at_once = columns_at_once(panel.len());
            for (x, y) in x.chunks(at_once).zip(y.chunks_mut(at_once)) {
                x.par_iter().zip(y).for_each(|(x, y)| {
                    let ranges = self.layout.layers();
                    let tangents: Vec<Tangent> =
                        panel.par_iter().map(|primal| primal.tangent(&self.objective, self.curvature, ranges, x)).collect();
                    self.add_products(panel, &tangents, y);
                });
            }
        });
        for (x, y) in x.iter().zip(y) {
            if self.curvature.has_weight_decay() {
                self.add_weight_decay(x, y);
            }
            if let Some(gradient) = &self.mean_gradient {
                let along: f64 = gradient.iter().zip(x).map(|(g, x)| g * x).sum();
                space::add_scaled(y, -along, gradient);
            }
        }
        self.products.fetch_add(x.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl CurvatureOperator for Reference {
    fn loss_and_gradient(&self, gradient: &mut Columns, s: &mut ReferenceScalars, loss: Slot) -> Result<()> {
        assert_eq!(gradient.len(), 1, "the gradient is one column");
        let gradient = &mut gradient[0];
        gradient.fill(0.0);
        self.for_each_panel(|panel| self.add_gradient(panel, gradient));
        self.add_weight_decay(&self.objective.network().parameters(), gradient);
        *s.at(loss, 0) = self.loss();
        Ok(())
    }

    fn products(&self) -> u64 {
        self.products.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        group_bytes(&self.objective)
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    fn info(&self) -> BackendInfo {
        BackendInfo {
            kind: "reference".into(),
            adapter: None,
            driver: None,
            precision: Precision::F64,
            threads: rayon::current_num_threads(),
            linearization: schedule(&self.objective),
            variants: None,
        }
    }
}

/// out_oi ← out_oi + Σ y_o z_i over the samples of all groups (y, z).
fn add_outer_products<'a>(out: &mut [f64], groups: impl Iterator<Item = (&'a Vec<Lanes>, &'a Vec<Lanes>)>) {
    let groups: Vec<_> = groups.collect();
    let width = groups[0].1.len();
    out.par_chunks_mut(ROWS_AT_ONCE * width).enumerate().for_each(|(block, rows)| {
        for (y, z) in &groups {
            for (row, &y) in rows.chunks_exact_mut(width).zip(&y[block * ROWS_AT_ONCE..]) {
                for (out, &z) in row.iter_mut().zip(*z) {
                    *out += (y * z).sum();
                }
            }
        }
    });
}

/// out_o ← out_o + Σ y_o x_o over the samples of all groups (y, x).
fn add_unit_products<'a>(out: &mut [f64], groups: impl Iterator<Item = (&'a Vec<Lanes>, &'a Vec<Lanes>)>) {
    for (y, x) in groups {
        for ((out, &y), &x) in out.iter_mut().zip(y).zip(x) {
            *out += (y * x).sum();
        }
    }
}

/// out_o ← out_o + Σ y_o over the samples of all groups y.
fn add_sums<'a>(out: &mut [f64], groups: impl Iterator<Item = &'a Vec<Lanes>>) {
    for y in groups {
        for (out, y) in out.iter_mut().zip(y) {
            *out += y.sum();
        }
    }
}
