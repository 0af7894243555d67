use super::super::test_support::MatrixOperator;
use super::*;

fn options(top: usize, bottom: usize) -> EigenOptions {
    EigenOptions { wanted: Wanted::Ends { top, bottom }, ..EigenOptions::default() }
}

fn solve(operator: &MatrixOperator, options: &EigenOptions) -> EigenSolution<MatrixOperator> {
    eigenpairs(operator, options, Vec::new(), &|_, _, _| {}).unwrap()
}

/// Like a trained network's: a few large values, a bulk that falls off exponentially to zero, small negative ones.
fn network_like(n: u32) -> Vec<f64> {
    (0..n).map(|i| (-0.1 * f64::from(i)).exp() * if i % 4 == 3 { -0.05 } else { 3.0 }).collect()
}

/// Both ends are those of the spectrum, the vectors orthonormal eigenvectors, the counts those of the operator.
fn assert_found(operator: &MatrixOperator, spectrum: &[f64], found: &EigenSolution<MatrixOperator>, tolerance: f64) {
    let mut exact = spectrum.to_vec();
    exact.sort_by(f64::total_cmp);
    let scale = exact.iter().fold(0.0, |scale: f64, x| scale.max(x.abs()));
    assert!(found.converged && found.miss_probability.is_some_and(|probability| probability <= 2e-3), "{:?}", found.miss_probability);
    let value = |index: &usize| found.pairs[*index].ritz.value;
    for (rank, found) in found.chosen.upper.iter().map(value).enumerate() {
        let exact = exact[exact.len() - 1 - rank];
        assert!((found - exact).abs() <= tolerance * scale, "largest {rank}: {found}, exactly {exact}");
    }
    for (rank, found) in found.chosen.lower.iter().map(value).enumerate() {
        assert!((found - exact[rank]).abs() <= tolerance * scale, "smallest {rank}: {found}, exactly {}", exact[rank]);
    }
    for (i, x) in found.pairs.iter().enumerate() {
        for (j, y) in found.pairs.iter().enumerate() {
            let dot: f64 = x.vector[0].iter().zip(&y.vector[0]).map(|(x, y)| x * y).sum();
            assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12, "vectors {i} and {j}: {dot}");
        }
    }
    assert_eq!(operator.products(), (found.search_products + found.confirmation_products) as u64);
}

fn check(spectrum: &[f64], options: &EigenOptions, noisy: bool) -> EigenSolution<MatrixOperator> {
    let exact = MatrixOperator::diagonal(spectrum.to_vec());
    let operator = if noisy { exact.noisy() } else { exact };
    let found = solve(&operator, options);
    assert_found(&operator, spectrum, &found, options.tol);
    found
}

#[test]
fn ends_and_magnitudes_are_found_in_few_products() {
    let spectrum = network_like(800);
    for (top, bottom) in [(5, 5), (10, 0), (0, 10), (1, 0)] {
        let found = check(&spectrum, &options(top, bottom), false);
        assert!(found.searches == 1 && found.restarts == 0 && found.confirmation_products < found.search_products);
    }
    let largest = EigenOptions { wanted: Wanted::Magnitude(4), ..options(0, 0) };
    let operator = MatrixOperator::diagonal([vec![-7.0, 6.0, -5.0, 4.0, 3.0], spectrum].concat());
    let found = solve(&operator, &largest);
    let values: Vec<f64> = [&found.chosen.upper[..], &found.chosen.lower].concat().iter().map(|&i| found.pairs[i].ritz.value).collect();
    assert!(values.iter().zip([6.0, 4.0, -7.0, -5.0]).all(|(value, exact)| (value - exact).abs() < 1e-9), "{values:?}");
}

/// Values are there before vectors are: to the tolerance as well, and one that was passed over is found as before.
#[test]
fn values_converge_in_fewer_products_than_vectors() {
    let spectrum = network_like(800);
    let of_values = |seed, tol| EigenOptions { tol_of: TolOf::Value, tol, seed, ..options(5, 0) };
    for (seed, tol) in [(0, 1e-5), (1, 1e-5), (2, 1e-3), (3, 1e-7), (4, 1e-5)] {
        let found = check(&spectrum, &of_values(seed, tol), false);
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let vectors = solve(&operator, &EigenOptions { tol_of: TolOf::Residual, ..of_values(seed, tol) });
        assert!(found.search_products < vectors.search_products, "{} {}", found.search_products, vectors.search_products);
        assert!(found.pairs.iter().all(|pair| pair.error <= tol * 3.0 && pair.ritz.residual <= found.margin));
        assert!(found.pairs.iter().any(|pair| pair.ritz.residual > tol * 3.0), "the residuals are larger than the values' errors");
    }
    check(&[spectrum, vec![2.9; 3]].concat(), &of_values(0, 1e-5), false);
}

#[test]
fn the_gap_is_what_others_leave_of_it() {
    let (values, residuals) = ([1.0, 2.0, 5.0], [0.1, 0.5, 0.2]);
    let error = |index| value_error(&values, |i| residuals[i], index);
    assert!((error(0) - 0.01 / 0.5).abs() < 1e-15 && (error(1) - 0.25 / 0.9).abs() < 1e-15 && (error(2) - 0.04 / 2.5).abs() < 1e-15);
    assert_eq!(value_error(&values, |_| 0.6, 0), 0.6, "where nothing is left the residual bounds it");
    assert_eq!(value_error(&[3.0], |_| 0.6, 0), 0.0);
}

/// Three of one value, of which a single start sees one.
#[test]
fn without_a_confirmation_none_is_claimed() {
    let operator = MatrixOperator::diagonal([vec![2.9; 3], network_like(100)].concat());
    let found = solve(&operator, &EigenOptions { confirm: false, ..options(3, 0) });
    assert!(found.converged && found.miss_probability.is_none() && found.confirmation_products == 0);
}

#[test]
fn a_small_basis_is_compressed_and_finds_the_same() {
    let spectrum = network_like(800);
    for (width, capacity) in [(1, 50), (2, 60), (3, 60)] {
        let found = check(&spectrum, &EigenOptions { width, capacity, ..options(5, 5) }, false);
        assert!(found.restarts > 0, "width {width}, capacity {capacity}");
    }
}

/// Multiplicity 3 and 9, and clusters 1e-4 of the largest magnitude apart, at both ends.
fn clustered() -> Vec<f64> {
    let mut spectrum: Vec<f64> = (0..600).map(|i| 0.5 * (-0.02 * f64::from(i)).exp() * (f64::from(i) * 0.7).sin()).collect();
    spectrum.extend([10.0, 10.0, 10.0]);
    spectrum.extend((0..4).map(|i| 7.0 + 1e-3 * f64::from(i)));
    spectrum.extend([-3.0; 9]);
    spectrum.extend((0..3).map(|i| -2.0 + 1e-3 * f64::from(i)));
    spectrum
}

#[test]
fn every_member_of_a_cluster_is_found() {
    for width in [1, 3] {
        check(&clustered(), &EigenOptions { width, ..options(8, 13) }, false);
    }
}

#[test]
fn every_member_of_a_cluster_is_found_by_products_in_single_precision() {
    for (seed, width) in [(0, 1), (1, 1), (2, 3)] {
        check(&clustered(), &EigenOptions { width, seed, tol: 1e-5, ..options(8, 13) }, true);
    }
}

#[test]
fn a_space_that_is_exhausted_gives_all_there_is() {
    for n in [1, 2, 3, 11, 60] {
        let spectrum: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        for width in [1, 2, 5] {
            let found = check(&spectrum, &EigenOptions { width, ..options(30.min(spectrum.len()), 30.min(spectrum.len())) }, false);
            assert_eq!(found.chosen.upper.len(), 30.min(spectrum.len()));
        }
    }
}

#[test]
fn breakdowns_are_mended() {
    let mut spectrum = vec![0.0; 50];
    spectrum.extend([5.0, 5.0, 5.0, 3.0, -1.0, -1.0]);
    for width in [1, 2, 4] {
        check(&spectrum, &EigenOptions { width, ..options(5, 5) }, false);
        check(&[0.0; 40], &EigenOptions { width, ..options(5, 5) }, false);
    }
}
