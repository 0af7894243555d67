use super::super::test_support::context;
use super::*;
use crate::krylov::test_support::MatrixOperator;

fn assert_ends(report: &EigsReport, spectrum: &[f64], tolerance: f64) {
    let mut exact = spectrum.to_vec();
    exact.sort_by(f64::total_cmp);
    let scale = exact.iter().fold(0.0, |scale: f64, x| scale.max(x.abs()));
    for (rank, found) in report.eigenvalues.largest.iter().enumerate() {
        let exact = exact[exact.len() - 1 - rank];
        assert!((found.value - exact).abs() <= tolerance * scale, "largest {rank}: {found:?}, exactly {exact}");
    }
    for (rank, found) in report.eigenvalues.smallest.iter().enumerate() {
        assert!((found.value - exact[rank]).abs() <= tolerance * scale, "smallest {rank}: {found:?}, exactly {}", exact[rank]);
    }
}

/// Like a trained network's: a few large values, a bulk that falls off exponentially to zero, small negative ones.
fn network_like(n: u32) -> Vec<f64> {
    (0..n).map(|i| (-0.1 * f64::from(i)).exp() * if i % 4 == 3 { -0.05 } else { 3.0 }).collect()
}

#[test]
fn ends_are_found_to_the_default_tolerance() {
    let spectrum = network_like(800);
    let operator = MatrixOperator::diagonal(spectrum.clone());
    let report = eigs(&operator, &context(), &EigsOptions::default(), &[], None).unwrap();
    assert!(report.accuracy_reached && report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(report.steps < 80, "{} steps", report.steps);
    assert_ends(&report, &spectrum, 1e-10);
    assert_eq!(report.stats.hvps, report.steps as u64 + 10);
    assert!(report.orthogonality < 1e-14 && report.miss_probability.unwrap() < 2e-3);
}

/// Without products of their own the intervals hold all the same, and the estimated errors, too, are larger than the errors.
#[test]
fn values_alone_have_intervals_and_estimated_errors() {
    let spectrum = network_like(800);
    let options = EigsOptions { bottom: 0, tol: Some(1e-5), tol_of: TolOf::Value, ..Default::default() };
    let report = eigs(&MatrixOperator::diagonal(spectrum.clone()), &context(), &options, &[], None).unwrap();
    assert!(report.accuracy_reached && report.warnings.is_empty(), "{:?}", report.warnings);
    assert_ends(&report, &spectrum, 1e-5);
    assert!(report.products.certification == 0 && report.stats.hvps == report.steps as u64 && report.orthogonality < 1e-14);
    assert!(report.miss_margin > 4.0 * 3e-5 && report.miss_probability.unwrap() < 2e-3);
    for (eigenvalue, exact) in report.eigenvalues.largest.iter().zip(spectrum.iter().filter(|&&x| x > 0.0)) {
        let ([low, high], error) = (eigenvalue.interval.unwrap(), eigenvalue.value_error.unwrap());
        assert!(low <= *exact && *exact <= high && eigenvalue.measured_residual.is_none(), "{eigenvalue:?}, exactly {exact}");
        assert!((eigenvalue.value - exact).abs() <= error && error <= 1.01e-5 * 3.0, "{eigenvalue:?}, exactly {exact}");
    }
}

#[test]
fn products_in_single_precision_cost_no_more_than_their_error() {
    let spectrum = network_like(800);
    for seed in 0..5 {
        let operator = MatrixOperator::diagonal(spectrum.clone()).noisy();
        let report = eigs(&operator, &context(), &EigsOptions { seed, vectors: true, ..Default::default() }, &[], None).unwrap();
        assert!(report.accuracy_reached && report.options.tol == Some(1e-5));
        assert_ends(&report, &spectrum, 1e-5);
        let measured = report.eigenvalues.largest.iter().map(|eigenvalue| eigenvalue.measured_residual.unwrap());
        assert!(measured.fold(0.0, f64::max) < 3e-5 * 3.0);
    }
}

#[test]
fn a_space_that_is_exhausted_gives_all_there_is() {
    for n in [1, 2, 3, 11, 60] {
        let spectrum: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        let options = EigsOptions { top: 30, bottom: 30, ..Default::default() };
        let report = eigs(&MatrixOperator::diagonal(spectrum.clone()), &context(), &options, &[], None).unwrap();
        assert!(report.accuracy_reached && report.eigenvalues.largest.len() == spectrum.len().min(30), "n = {n}");
        assert_ends(&report, &spectrum, 1e-12);
    }
}

#[test]
fn multiple_eigenvalues_are_found_as_often_as_they_are() {
    let mut spectrum = vec![0.0; 50];
    spectrum.extend([5.0, 5.0, 5.0, 3.0, -1.0, -1.0]);
    let operator = MatrixOperator::diagonal(spectrum.clone());
    let report = eigs(&operator, &context(), &EigsOptions::default(), &[], None).unwrap();
    assert!(report.accuracy_reached, "{report:?}");
    assert_ends(&report, &spectrum, 1e-12);
    let zero = eigs(&MatrixOperator::diagonal(vec![0.0; 40]), &context(), &EigsOptions::default(), &[], None).unwrap();
    assert!(zero.accuracy_reached && zero.eigenvalues.smallest.len() == 5);
}

#[test]
fn vectors_are_unit_eigenvectors_with_measured_residuals() {
    let spectrum = network_like(100);
    let operator = MatrixOperator::diagonal(spectrum.clone());
    let options = EigsOptions { top: 3, bottom: 2, vectors: true, ..Default::default() };
    let report = eigs(&operator, &context(), &options, &[], None).unwrap();
    let vectors = report.vectors.as_ref().unwrap();
    let rows: Vec<&[f64]> = vectors.vectors.chunks_exact(vectors.dim).collect();
    let listed: Vec<_> = report.eigenvalues.largest.iter().chain(&report.eigenvalues.smallest).collect();
    assert_eq!((rows.len(), vectors.values.len()), (5, 5));
    for ((row, eigenvalue), value) in rows.iter().zip(listed).zip(&vectors.values) {
        assert_eq!(eigenvalue.value, *value);
        let defect: f64 = operator.product(row).iter().zip(*row).map(|(ax, x)| (ax - value * x).powi(2)).sum::<f64>().sqrt();
        assert!((defect - eigenvalue.measured_residual.unwrap()).abs() < 1e-14 && defect < 1e-9);
        assert!((row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-13);
        assert!(row.iter().fold(0.0, |a: f64, &x| if x.abs() > a.abs() { x } else { a }) > 0.0);
    }
}

#[test]
fn too_few_steps_are_data_and_too_little_memory_is_an_error() {
    let operator = MatrixOperator::diagonal(network_like(500));
    let report = eigs(&operator, &context(), &EigsOptions { max_steps: Some(22), ..Default::default() }, &[], None).unwrap();
    assert!(!report.accuracy_reached && report.steps == 22 && report.warnings[0].contains("--max-steps"));
    let squeezed = |vectors: u64, basis| {
        let options = EigsOptions { memory_budget: Some(1000 + vectors * 4000), basis, ..Default::default() };
        eigs(&operator, &context(), &options, &[], None)
    };
    // 1.5 times the basis, twice the ten pairs, six blocks and three more vectors.
    let fitted = squeezed(90 + 29, None).unwrap();
    assert!(fitted.accuracy_reached && fitted.options.basis == Some(60) && fitted.restarts > 0);
    for (error, remedy) in [(squeezed(90 + 29, Some(61)), "--basis"), (squeezed(20 + 29, None), "--top")] {
        let error = error.unwrap_err();
        assert!(matches!(&error, Error::Memory(message) if message.contains(remedy)), "{error}");
    }
}

/// A start of the vectors of a run finds them again in fewer products; of a larger network's it is refused.
#[test]
fn a_warm_start_saves_products() {
    let operator = MatrixOperator::diagonal(network_like(500));
    let options = EigsOptions { top: 4, bottom: 0, vectors: true, ..Default::default() };
    let cold = eigs(&operator, &context(), &options, &[], None).unwrap();
    let moved: Vec<f64> = network_like(500).iter().enumerate().map(|(i, x)| x * (1.0 + 1e-3 * (i as f64).sin())).collect();
    let operator = MatrixOperator::diagonal(moved.clone());
    let warm = eigs(&operator, &context(), &options, &cold.vectors.unwrap().vectors, None).unwrap();
    assert_ends(&warm, &moved, 1e-10);
    assert!(warm.products.search < cold.products.search, "{:?} {:?}", warm.products, cold.products);
    for start in [vec![0.0; 500], vec![1.0; 499]] {
        assert!(matches!(eigs(&operator, &context(), &options, &start, None), Err(Error::Input(_))));
    }
}

#[test]
fn power_iteration_finds_the_largest_magnitudes() {
    let mut spectrum = network_like(100);
    spectrum[50] = -4.0;
    let options = EigsOptions { largest_magnitude: Some(2), method: EigsMethod::Power, tol: Some(1e-6), ..Default::default() };
    let report = eigs(&MatrixOperator::diagonal(spectrum), &context(), &options, &[], None).unwrap();
    assert!(report.accuracy_reached && report.miss_probability.is_none());
    let values = [report.eigenvalues.largest[0].value, report.eigenvalues.smallest[0].value];
    assert!((values[0] - 3.0).abs() < 1e-5 && (values[1] + 4.0).abs() < 1e-5, "{values:?}");
}

#[test]
fn nonsense_is_refused() {
    for options in [
        EigsOptions { top: 0, bottom: 0, ..Default::default() },
        EigsOptions { tol: Some(0.0), ..Default::default() },
        EigsOptions { max_steps: Some(0), ..Default::default() },
        EigsOptions { block: 0, ..Default::default() },
        EigsOptions { method: EigsMethod::Power, ..Default::default() },
        EigsOptions { basis: Some(13), ..Default::default() },
    ] {
        assert!(
            matches!(eigs(&MatrixOperator::diagonal(network_like(50)), &context(), &options, &[], None), Err(Error::Input(_))),
            "{options:?}"
        );
    }
}

/// f(θ) = ½ θᵀAθ at θ = (1, ..., 1): the gradient A·1 lies along the few eigenvectors whose values are not small, a random start hardly does.
#[test]
fn the_gradient_saves_products() {
    let spectrum: Vec<f64> = (0..4000).map(|i| if i % 400 == 0 { 4.0 + f64::from(i).sin() } else { 1e-2 * f64::from(i).cos() }).collect();
    let options = EigsOptions { bottom: 0, tol: Some(1e-5), confirm: false, ..Default::default() };
    let products = |start: &[f64]| {
        let report = eigs(&MatrixOperator::diagonal(spectrum.clone()), &context(), &options, start, None).unwrap();
        assert!(report.accuracy_reached);
        assert_ends(&report, &spectrum, 1e-5);
        report.steps
    };
    let along = products(&[]);
    let of_random_starts: Vec<usize> = (0..8)
        .map(|seed| {
            let mut start = vec![0.0; 4000];
            rng::fill(Distribution::Gaussian, seed, 0, &mut start);
            products(&start)
        })
        .collect();
    assert!(of_random_starts.iter().all(|&steps| along < steps), "{along} from the gradient, {of_random_starts:?} from random starts");
}

/// Where the gradient vanishes the start is random alone.
#[test]
fn no_gradient_is_no_start() {
    let operator = MatrixOperator::diagonal(network_like(50));
    let start = start_along(&operator, vec![vec![0.0; 50]], 3).unwrap();
    let along = start_along(&operator, vec![vec![50.0_f64.sqrt().recip(); 50]], 3).unwrap();
    let part = along[0].iter().zip(&start[0]).map(|(along, start)| (along - start) * 50.0_f64.sqrt());
    assert!(part.map(|x| (x + 1.0).abs()).fold(0.0, f64::max) < 1e-14);
    let norm = start[0].iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((norm - 1.0).abs() < 1e-14);
}
