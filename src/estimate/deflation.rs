//! Eigenpairs that are worth knowing by themselves before the rest is sampled.

use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use super::products::{Products, dot};
use crate::error::{Error, Result};
use crate::krylov::{Lanczos, LanczosOptions, LinearOperator, RitzValue, Tridiagonal, VectorSpace as _, ritz_values};
use crate::rng::Distribution;

/// Orthonormal Ritz vectors V with Θ = VᵀAV diagonal, and the residuals rᵢ = ‖Avᵢ − θᵢvᵢ‖.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deflation {
    pairs: Vec<RitzValue>,
    /// Column by column.
    vectors: Vec<Vec<f64>>,
    search: Option<Tridiagonal>,
}

/// A Ritz pair is taken where its residual is at most this share of its magnitude: what the coupling then does to the rest is of
/// second order, 10⁻⁶ of the pair's own magnitude.
const ACCEPTED: f64 = 1e-3;

/// The generator's number of the start; probes count up from 0.
const START: u32 = u32::MAX;

impl Deflation {
    /// No pair.
    pub fn none() -> Self {
        Self { pairs: Vec::new(), vectors: Vec::new(), search: None }
    }

    /// Up to `most` pairs of largest magnitude that one run of `steps` Lanczos steps finds, with one more product each to measure them.
    ///
    /// The start is independent of all probes, so that probes in the complement of V are what they are said to be. What is measured is
    /// the Rayleigh-Ritz procedure on the vectors as they are, in double precision.
    ///
    /// # Errors
    /// Device failure, and [`Error::NonFinite`] where a product is.
    pub fn find<A: LinearOperator>(operator: &A, products: Products<'_, A>, steps: usize, most: usize, seed: u64) -> Result<Self> {
        let dim = operator.space().dim();
        let most = most.min(dim / 2);
        if most == 0 {
            return Ok(Self::none());
        }
        operator.milestone("known pairs", || Self::search(operator, products, steps, most, seed))
    }

    fn search<A: LinearOperator>(operator: &A, products: Products<'_, A>, steps: usize, most: usize, seed: u64) -> Result<Self> {
        let space = operator.space();
        let dim = space.dim();
        let mut start = space.block(1)?;
        space.fill(&mut start, Distribution::Gaussian, seed, START)?;
        let options = LanczosOptions { capacity: steps, ..LanczosOptions::default() };
        let mut lanczos = Lanczos::new(operator, start, 1, options)?;
        while lanczos.step()? {}
        let run = lanczos.coefficients()?.swap_remove(0);
        let values = ritz_values(&run)?;
        let scale = values.iter().fold(0.0, |scale: f64, ritz| scale.max(ritz.value.abs()));
        let floor = super::quadrature::ROUNDING * products.epsilon() * scale;
        let mut chosen: Vec<usize> = (0..values.len())
            .filter(|&k| values[k].residual <= ACCEPTED * values[k].value.abs() && values[k].value.abs() > floor)
            .collect();
        chosen.sort_by(|&i, &j| values[j].value.abs().total_cmp(&values[i].value.abs()));
        chosen.truncate(most);
        if chosen.is_empty() {
            return Ok(Self { search: Some(run), ..Self::none() });
        }
        let eigen = run.eigen(&(0..run.steps()).collect::<Vec<_>>())?;
        let mut vectors = Mat::zeros(dim, chosen.len());
        let mut vector = space.block(1)?;
        for (column, &k) in chosen.iter().enumerate() {
            lanczos.ritz_vectors(eigen.vector(k), &mut vector)?;
            let values = space.download(&vector)?;
            vectors.col_mut(column).iter_mut().zip(&values).for_each(|(to, from)| *to = *from);
        }
        drop(lanczos);
        Ok(Self { search: Some(run), ..Self::measured(products, vectors)? })
    }

    /// The Rayleigh-Ritz procedure on the span of `vectors`: one product each.
    fn measured<A: LinearOperator>(products: Products<'_, A>, vectors: Mat<f64>) -> Result<Self> {
        let basis = vectors.qr().compute_thin_Q();
        let image = products.apply(basis.as_ref())?;
        let core = basis.transpose() * &image;
        let symmetric = Mat::from_fn(core.nrows(), core.ncols(), |i, j| 0.5 * (core[(i, j)] + core[(j, i)]));
        let eigen = symmetric
            .self_adjoint_eigen(Side::Lower)
            .map_err(|error| Error::NonFinite(format!("the eigenvalues of {} Ritz vectors do not converge: {error:?}", core.nrows())))?;
        let (vectors, image) = (&basis * eigen.U(), &image * eigen.U());
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let pair = |k: usize| {
            let defect = image.col(k) - faer::Scale(values[k]) * vectors.col(k);
            RitzValue { value: values[k], residual: dot(defect.as_ref(), defect.as_ref()).sqrt() }
        };
        // Descending.
        let order = || (0..values.len()).rev();
        let vectors = order().map(|k| vectors.col(k).iter().copied().collect()).collect();
        Ok(Self { pairs: order().map(pair).collect(), vectors, search: None })
    }

    /// θ with its residual, descending.
    pub fn pairs(&self) -> &[RitzValue] {
        &self.pairs
    }

    /// The run that found the pairs; none where none was looked for.
    pub fn search_run(&self) -> Option<&Tridiagonal> {
        self.search.as_ref()
    }

    /// V's columns, in the order of the pairs.
    pub fn vectors(&self) -> Vec<&[f64]> {
        self.vectors.iter().map(Vec::as_slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::test_support::MatrixOperator;

    fn find(operator: &MatrixOperator, steps: usize, most: usize) -> Deflation {
        Deflation::find(operator, Products::new(operator, 8, &|_| {}), steps, most, 3).unwrap()
    }

    #[test]
    fn outliers_are_found_and_measured() {
        let bulk = (0..300).map(|i| 0.1 * (f64::from(i) * 0.7).sin());
        let operator = MatrixOperator::diagonal(bulk.chain([9.0, -5.0, 4.0, 3.0]).collect::<Vec<_>>());
        let found = find(&operator, 30, 32);
        let near = |value: f64| found.pairs().iter().any(|pair| (pair.value - value).abs() < 1e-9 && pair.residual < 1e-7);
        assert!(near(9.0) && near(-5.0) && near(4.0) && near(3.0), "{:?}", found.pairs());
        assert!(found.pairs().windows(2).all(|pair| pair[0].value >= pair[1].value));
        for (pair, vector) in found.pairs().iter().zip(found.vectors()) {
            let defect: f64 = operator.product(vector).iter().zip(vector).map(|(ax, x)| (ax - pair.value * x).powi(2)).sum();
            assert!((defect.sqrt() - pair.residual).abs() < 1e-12);
        }
        assert_eq!(find(&operator, 30, 2).pairs().len(), 2);
    }

    #[test]
    fn where_there_is_nothing_to_find_nothing_is_found() {
        for eigenvalues in [vec![0.0; 20], vec![1.0], (0..200).map(f64::from).collect()] {
            let none = find(&MatrixOperator::diagonal(eigenvalues), 4, 8);
            assert!(none.pairs().is_empty() && none.vectors().is_empty(), "{none:?}");
        }
    }
}
