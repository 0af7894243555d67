//! Power iteration with deflation: the plainest way to the eigenvalues of largest magnitude, for those who want to see it.
//!
//! It needs about ln(1/tol)/ln|λᵢ/λᵢ₊₁| products for the i-th pair, many times those of a Krylov space, and two eigenvalues of equal
//! magnitude and opposite sign stop it.

use std::time::Instant;

use super::eigensolver::{EigenOptions, EigenPair, EigenSolution, MARGIN, Observer};
use super::lanczos::LanczosSeconds;
use super::operator::{Block, LinearOperator};
use super::ritz::RitzValue;
use super::space::{Slot, VectorSpace as _};
use super::thick_restart::RandomVectors;
use crate::error::{Error, Result};

/// Products from one readback to the next.
const PRODUCTS_PER_LOOK: usize = 10;

/// Finds the `options.wanted.count()` eigenpairs of largest magnitude, one after another, each in the complement of those before. Width
/// and capacity do not matter.
///
/// # Errors
/// [`Error::NonFinite`] where a product is not finite; device failure. Not to converge is no error.
pub fn power_iteration<A: LinearOperator>(
    operator: &A,
    options: &EigenOptions,
    starts: Vec<Block<A>>,
    observe: Observer<'_>,
) -> Result<EigenSolution<A>> {
    let space = operator.space();
    let count = options.wanted.count();
    let mut random = RandomVectors { seed: options.seed, next: 0 };
    let mut starts = starts.into_iter();
    let mut basis = space.basis(count, 1)?;
    let mut scalars = space.scalars(2 * PRODUCTS_PER_LOOK + 1, 1)?;
    let norm = Slot(2 * PRODUCTS_PER_LOOK);
    let (mut y, mut defect) = (space.block(1)?, space.block(1)?);
    let (mut pairs, mut products, mut scale) = (Vec::new(), 0, 0.0_f64);
    let mut seconds = LanczosSeconds::default();
    while pairs.len() < count {
        let mut x = starts.next().map_or_else(|| random.draw(space), Ok)?;
        let (mut found, mut at) = (None, 0);
        while found.is_none() {
            if at == 0 || at % PRODUCTS_PER_LOOK != 0 {
                space.orthogonalize(&basis, &mut x)?;
                space.normalize(&mut x, &mut scalars, norm)?;
            }
            let begin = Instant::now();
            operator.apply(&x, &mut y)?;
            seconds.products += begin.elapsed();
            products += 1;
            at += 1;
            let [quotient, residual] = [0, 1].map(|offset| Slot(2 * (at % PRODUCTS_PER_LOOK) + offset));
            space.dot(&x, &y, &mut scalars, quotient)?;
            space.copy(&y, &mut defect)?;
            space.sub_scaled(&mut defect, &scalars, quotient, &x)?;
            space.normalize(&mut defect, &mut scalars, residual)?;
            if at % PRODUCTS_PER_LOOK == 0 || products >= options.max_products {
                let values = space.read(&scalars)?;
                let ritz = RitzValue { value: values[quotient.0], residual: values[residual.0] };
                if !ritz.value.is_finite() || !ritz.residual.is_finite() {
                    return Err(Error::NonFinite(format!(
                        "power iteration: product {products} is not finite; check the weights and the data's scale, or use --precision f64"
                    )));
                }
                scale = scale.max(ritz.value.abs());
                observe(products, pairs.len(), count);
                if ritz.residual <= options.tol * scale || products >= options.max_products {
                    found = Some(ritz);
                    break;
                }
            }
            std::mem::swap(&mut x, &mut y);
            space.orthogonalize(&basis, &mut x)?;
            space.normalize(&mut x, &mut scalars, norm)?;
        }
        if let Some(ritz) = found {
            space.push(&mut basis, &x)?;
            pairs.push(EigenPair { ritz, error: ritz.residual, vector: x });
        }
        if products >= options.max_products {
            break;
        }
    }
    let values: Vec<f64> = pairs.iter().map(|pair| pair.ritz.value).collect();
    let converged = pairs.len() == count && pairs.iter().all(|pair| pair.ritz.residual <= options.tol * scale);
    Ok(EigenSolution {
        chosen: options.wanted.choose(&values),
        pairs,
        scale,
        converged,
        miss_probability: None,
        margin: MARGIN * options.tol * scale,
        exhausted: count >= space.dim(),
        search_products: products,
        confirmation_products: 0,
        restarts: 0,
        searches: 1,
        seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_support::MatrixOperator;
    use super::super::wanted::Wanted;
    use super::*;

    #[test]
    fn the_largest_magnitudes_are_found_one_after_another() {
        let spectrum: Vec<f64> = [9.0, -5.0, 3.0, 3.0, 1.0].into_iter().chain((0..50).map(|i| 0.01 * f64::from(i))).collect();
        let operator = MatrixOperator::diagonal(spectrum);
        let options = EigenOptions {
            wanted: Wanted::Magnitude(4),
            width: 1,
            capacity: 0,
            tol: 1e-8,
            max_products: 2000,
            seed: 3,
            ..EigenOptions::default()
        };
        let found = power_iteration(&operator, &options, Vec::new(), &|_, _, _| {}).unwrap();
        assert!(found.converged && operator.products() == found.search_products as u64);
        for (pair, exact) in found.pairs.iter().zip([9.0, -5.0, 3.0, 3.0]) {
            assert!((pair.ritz.value - exact).abs() < 1e-8 * 9.0, "{:?}", pair.ritz);
            let product = operator.product(&pair.vector[0]);
            let defect = product.iter().zip(&pair.vector[0]).map(|(ax, x)| (ax - pair.ritz.value * x).powi(2)).sum::<f64>().sqrt();
            assert!((defect - pair.ritz.residual).abs() < 1e-13);
        }
        let short = EigenOptions { max_products: 5, ..options };
        let found = power_iteration(&operator, &short, Vec::new(), &|_, _, _| {}).unwrap();
        assert!(!found.converged && found.search_products == 5 && found.pairs.len() == 1);
    }
}
