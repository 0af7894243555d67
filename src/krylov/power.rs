//! Power iteration with deflation: the plainest way to the eigenvalues of largest magnitude, for those who want to see it.
//!
//! It needs about ln(1/tol)/ln|λᵢ/λᵢ₊₁| products for the i-th pair, many times those of a Krylov space, and two eigenvalues of equal
//! magnitude and opposite sign stop it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::eigensolver::{EigenOptions, EigenPair, EigenSolution, MARGIN, Observer};
use super::lanczos::LanczosSeconds;
use super::operator::{Block, LinearOperator};
use super::ritz::RitzValue;
use super::space::{Slot, VectorSpace as _};
use super::thick_restart::RandomVectors;
use crate::error::{Error, Result};

/// Products from one readback to the next.
const PRODUCTS_PER_LOOK: usize = 10;

/// Products after which the state of the iteration takes their place in a journal.
const PRODUCTS_PER_STATE: usize = 50;

/// The iteration between two products: what it needs of all that it has done.
#[derive(Serialize, Deserialize)]
struct Reached {
    pairs: Vec<RitzValue>,
    /// Those of the pairs, then x.
    vectors: Vec<Vec<f64>>,
    /// Products with this x, and with all.
    own: usize,
    products: usize,
    scale: f64,
    random: RandomVectors,
}

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
    let mut basis = space.basis(count, 1)?;
    let mut scalars = space.scalars(2 * PRODUCTS_PER_LOOK + 1, 1)?;
    let norm = Slot(2 * PRODUCTS_PER_LOOK);
    let (mut y, mut defect) = (space.block(1)?, space.block(1)?);
    let (mut pairs, mut products, mut scale) = (Vec::new(), 0, 0.0_f64);
    let mut seconds = LanczosSeconds::default();
    let (since, earlier) = operator.begin::<Reached>("power iteration")?;
    let mut going_on = None;
    if let Some(reached) = earlier {
        let mut vectors = reached.vectors.iter().map(|vector| {
            let mut block = space.block(1)?;
            space.upload(vector, &mut block)?;
            Ok::<_, Error>(block)
        });
        for (ritz, vector) in reached.pairs.into_iter().zip(&mut vectors) {
            let vector = vector?;
            space.push(&mut basis, &vector)?;
            pairs.push(EigenPair { ritz, error: ritz.residual, vector });
        }
        going_on = vectors.next().transpose()?.map(|x| (x, reached.own));
        (products, scale, random) = (reached.products, reached.scale, reached.random);
    }
    let mut kept = products;
    let mut starts = starts.into_iter().skip(pairs.len() + usize::from(going_on.is_some()));
    while pairs.len() < count {
        let (mut x, mut at) = match going_on.take() {
            Some(there) => there,
            None => {
                let mut x = starts.next().map_or_else(|| random.draw(space), Ok)?;
                space.orthogonalize(&basis, &mut x)?;
                space.normalize(&mut x, &mut scalars, norm)?;
                (x, 0)
            }
        };
        let ritz = loop {
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
                    break ritz;
                }
            }
            std::mem::swap(&mut x, &mut y);
            space.orthogonalize(&basis, &mut x)?;
            space.normalize(&mut x, &mut scalars, norm)?;
            if products >= kept + PRODUCTS_PER_STATE {
                kept = products;
                operator.supersede("power iteration", since, || {
                    let vectors = pairs.iter().map(|pair: &EigenPair<A>| &pair.vector).chain([&x]);
                    Ok(Reached {
                        pairs: pairs.iter().map(|pair| pair.ritz).collect(),
                        vectors: vectors.map(|vector| space.download(vector)).collect::<Result<_>>()?,
                        own: at,
                        products,
                        scale,
                        random,
                    })
                })?;
            }
        };
        space.push(&mut basis, &x)?;
        pairs.push(EigenPair { ritz, error: ritz.residual, vector: x });
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
