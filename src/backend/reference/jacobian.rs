//! Products with the transposed Jacobian of the outputs: what decompositions of the Gauss-Newton matrix are made of.

use faer::{Mat, Side};

use super::Reference;
use super::lanes::{LANES, Lanes};
use super::passes::Primal;
use crate::curvature::Curvature;
use crate::error::{Error, Result};

impl Reference {
    /// z_L of all samples, [N, C] row by row.
    pub fn outputs(&self) -> Vec<f64> {
        let mut outputs = Vec::new();
        self.for_each_panel(|panel| {
            outputs.extend(panel.iter().flat_map(|primal| (0..primal.samples).flat_map(move |lane| primal.outputs(lane))));
        });
        outputs
    }

    /// Σₙ Jₙᵀ qₙ for `cotangents` q, [N, C] row by row: the gradient of Σ qₙᵀ z_L(xₙ) by all parameters.
    ///
    /// # Panics
    /// Where there are not as many cotangents as outputs.
    pub fn pull_back(&self, cotangents: &[f64]) -> Vec<f64> {
        self.pull_back_by(cotangents, |primal| primal)
    }

    /// Σₙ (Jₙᵀ qₙ)², element by element: since a sample's gradient by a weight is a product δ zᵀ, its square is δ² (z²)ᵀ (Dangel, Kunstner,
    /// Hennig 2020, "BackPACK").
    ///
    /// # Panics
    /// As [`pull_back`](Self::pull_back).
    pub fn squared_pull_back(&self, cotangents: &[f64]) -> Vec<f64> {
        self.pull_back_by(cotangents, Primal::squared)
    }

    /// The sum over the samples of what `change` makes of their passes.
    fn pull_back_by(&self, cotangents: &[f64], change: impl Fn(Primal) -> Primal) -> Vec<f64> {
        let outputs = self.objective.network().outputs();
        assert_eq!(cotangents.len(), self.objective.samples() * outputs, "a cotangent for each output");
        let mut gradient = vec![0.0; self.objective.dim()];
        for (group, cotangents) in cotangents.chunks(LANES * outputs).enumerate() {
            let primal = change(Primal::pulling_back(&self.objective, group * LANES, Some(cotangents)));
            self.add_gradient(&[primal], &mut gradient);
        }
        gradient
    }

    /// C vectors k of all parameters, one after another, whose Σ k kᵀ is what sample number `sample` adds to the Gauss-Newton matrix:
    /// k = Jᵀ A^(1/2) e_c with A = ∂²f/∂z_L².
    ///
    /// # Errors
    /// [`Error::NonFinite`] where A is not finite.
    pub fn gauss_newton_factor(&self, sample: usize) -> Result<Vec<f64>> {
        let primal = Primal::new(&self.objective, sample);
        let outputs = self.objective.network().outputs();
        let column = |c: usize| {
            let mut unit = vec![Lanes::ZERO; outputs];
            unit[c].0[0] = 1.0;
            primal.output_product(&self.objective, Curvature::Ggn, &unit)
        };
        let columns: Vec<_> = (0..outputs).map(column).collect();
        let matrix = Mat::from_fn(outputs, outputs, |i, j| 0.5 * (columns[j][i].0[0] + columns[i][j].0[0]));
        let eigen = matrix
            .self_adjoint_eigen(Side::Lower)
            .map_err(|error| Error::NonFinite(format!("sample {sample}: the loss's second derivative has no eigenvalues: {error:?}")))?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let mut factor = Vec::with_capacity(outputs * self.objective.dim());
        for c in 0..outputs {
            // Any root will do: A = Σ λ u uᵀ.
            let root = values[c].max(0.0).sqrt();
            let cotangent: Vec<f64> = (0..outputs).map(|k| root * vectors[(k, c)]).collect();
            let mut gradient = vec![0.0; self.objective.dim()];
            let primal = Primal::pulling_back(&self.objective, sample, Some(&cotangent));
            self.add_gradient(&[primal], &mut gradient);
            factor.extend(gradient);
        }
        Ok(factor)
    }
}
