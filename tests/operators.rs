//! The operators other than the Hessian: against each other, against single samples' gradients, and against PyTorch's products.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::fs::File;
use std::path::Path;

use common::{
    Case, OPERATORS, assert_close, assert_same_operator, assert_same_views, cases, loss_and_gradient, loss_cases, operators, product,
    relative_error,
};
use hesper::backend::cpu::Cpu;
use hesper::backend::reference::Reference;
use hesper::backend::{self, BackendKind, BackendOptions};
use hesper::curvature::{Curvature, Draws, Mode, Objective, Schedule};
use hesper::data::{self, DataOptions, NetworkOptions};
use hesper::job::{HierarchyJob, HierarchyOptions, HierarchyReport, HierarchyTraces, JobContext, Silent, Subject};
use hesper::model::{Activation, Loss, Targets};
use hesper::numeric::Precision;
use npyz::npz::NpzArchive;

/// Rounding of sums of a few hundred products in double precision.
const ROUNDING: f64 = 1e-12;

fn reference(objective: &Objective, curvature: Curvature) -> Reference {
    Reference::new(objective, curvature).unwrap()
}

/// On the CPU in double precision.
fn cpu(mut options: BackendOptions) -> BackendOptions {
    (options.kind, options.precision) = (BackendKind::Cpu, Some(Precision::F64));
    options
}

fn reference_product(case: &Case, curvature: Curvature) -> Vec<f64> {
    product(&reference(&case.objective(), curvature), &case.directions(1))
}

/// The gradients of the samples' own losses ℓₙ, weight decay left out, and ωₙ; ignored samples and those of weight 0 left out.
fn sample_gradients(case: &Case) -> Vec<(f64, Vec<f64>)> {
    let case = Case { weight_decay: 0.0, ..case.clone() };
    let objective = case.objective();
    let of_sample = |sample: usize| {
        let only = only(&objective, sample);
        let gradient = loss_and_gradient(&reference(&only, Curvature::Hessian)).1;
        (objective.sample_weight(sample), gradient.into_iter().map(|g| g / only.sample_weight(0)).collect())
    };
    (0..case.samples).filter(|&sample| objective.sample_weight(sample) > 0.0).map(of_sample).collect()
}

/// The objective of one of its samples.
fn only(objective: &Objective, sample: usize) -> Objective {
    objective.select(&[sample]).unwrap()
}

#[test]
fn the_residual_is_what_the_gauss_newton_matrix_lacks() {
    for case in cases() {
        let [hessian, ggn, residual] = [Curvature::Hessian, Curvature::Ggn, Curvature::Residual].map(|c| reference_product(&case, c));
        let sum: Vec<f64> = ggn.iter().zip(&residual).map(|(g, r)| g + r).collect();
        assert_close(&format!("{case:?}"), &sum, &hessian, ROUNDING);
    }
}

/// Σ ωₙ ∇ℓₙ (∇ℓₙᵀ v), and the same about the mean, from the gradients of single samples.
#[test]
fn gradient_moments_are_those_of_the_samples_gradients() {
    for case in cases().iter().filter(|case| case.samples < 40) {
        let gradients = sample_gradients(case);
        let v = case.directions(1);
        let dot = |g: &[f64]| g.iter().zip(&v).map(|(g, v)| g * v).sum::<f64>();
        let total: f64 = gradients.iter().map(|(weight, _)| weight).sum();
        let sum: Vec<f64> = (0..v.len()).map(|i| gradients.iter().map(|(weight, g)| weight * g[i]).sum::<f64>()).collect();
        let second: Vec<f64> = (0..v.len()).map(|i| gradients.iter().map(|(weight, g)| weight * g[i] * dot(g)).sum::<f64>()).collect();
        let covariance: Vec<f64> = second.iter().zip(&sum).map(|(second, sum_i)| second - sum_i * dot(&sum) / total).collect();
        let scale = second.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        assert_close(&format!("{case:?}: second moment"), &reference_product(case, Curvature::EmpiricalFisher), &second, ROUNDING);
        let actual = reference_product(case, Curvature::GradientCovariance);
        for (actual, expected) in actual.iter().zip(&covariance) {
            assert!((actual - expected).abs() <= ROUNDING * scale, "{case:?}: {actual:e} and {expected:e}");
        }
    }
}

#[test]
fn cpu_agrees_with_the_reference_on_every_operator() {
    for case in cases() {
        let objective = case.objective();
        for curvature in operators(&objective) {
            assert_same_operator(&case, curvature, &Cpu::<f64>::new(&objective, curvature).unwrap());
            assert_same_operator(&case, curvature, &Cpu::<f32>::new(&objective, curvature).unwrap());
        }
    }
}

#[test]
fn every_operator_can_be_seen_in_part_and_in_other_units() {
    for case in cases().iter().step_by(2) {
        let objective = case.objective();
        for curvature in operators(&objective) {
            assert_same_views(case, curvature, &reference(&objective, curvature));
            assert_same_views(case, curvature, &Cpu::<f64>::new(&objective, curvature).unwrap());
            assert_same_views(case, curvature, &Cpu::<f32>::new(&objective, curvature).unwrap());
        }
    }
}

/// The twin of the comparison: another operator is seen in a view as well.
#[test]
#[should_panic(expected = "residual in a view: column 0 of 1")]
fn a_wrong_operator_is_noticed_in_a_view() {
    let case = Case::default();
    assert_same_views(&case, Curvature::Residual, &Cpu::<f64>::new(&case.objective(), Curvature::Hessian).unwrap());
}

/// The twin of the comparison: another operator is seen.
#[test]
#[should_panic(expected = "residual: [")]
fn a_wrong_operator_is_noticed() {
    let case = Case::default();
    assert_same_operator(&case, Curvature::Residual, &Cpu::<f64>::new(&case.objective(), Curvature::Hessian).unwrap());
}

/// Micro-batches change nothing, and loss and gradient are the objective's whatever the operator.
#[test]
fn operators_agree_with_the_reference_where_nothing_is_kept() {
    let case =
        Case { widths: vec![9, 40, 30, 4], activation: Activation::Gelu, samples: 700, seed: 600, weight_decay: 0.1, ..Case::default() };
    let schedule = Schedule { mode: Mode::Recomputed, micro_batch: 256 };
    for curvature in OPERATORS {
        let operator = Cpu::<f64>::with_schedule(&case.objective(), curvature, schedule).unwrap();
        assert_same_operator(&case, curvature, &operator);
        let (loss, gradient) = loss_and_gradient(&operator);
        let (expected_loss, expected) = loss_and_gradient(&reference(&case.objective(), Curvature::Hessian));
        assert_close("loss", &[loss], &[expected_loss], ROUNDING);
        assert_close("gradient", &gradient, &expected, ROUNDING);
    }
}

/// Sampled targets give the Gauss-Newton matrix in the mean: its quadratic form within five standard errors.
#[test]
fn sampled_targets_estimate_the_gauss_newton_matrix() {
    let defaults = [Loss::CrossEntropy, Loss::Mse, Loss::BceWithLogits].map(|loss| Case { loss, samples: 30, ..Case::default() });
    let drawn = Curvature::FisherMc(Draws { count: 1, seed: 0 });
    for case in loss_cases().into_iter().chain(defaults).filter(|case| drawn.check(&case.objective()).is_ok()) {
        let case = Case { weight_decay: 0.0, ..case };
        let v = case.directions(1);
        let form = |curvature| reference_product(&case, curvature).iter().zip(&v).map(|(x, v)| x * v).sum::<f64>();
        let exact = form(Curvature::Ggn);
        let draws: Vec<f64> = (0..200).map(|seed| form(Curvature::FisherMc(Draws { count: 4, seed }))).collect();
        let mean = draws.iter().sum::<f64>() / 200.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 199.0;
        assert!((mean - exact).abs() < 5.0 * (variance / 200.0).sqrt(), "{case:?}: {mean} and {exact}, variance {variance}");
    }
}

/// Where there is no distribution to draw targets from, every backend says so.
#[test]
fn a_loss_without_likelihood_has_no_drawn_targets() {
    let drawn = Curvature::FisherMc(Draws { count: 1, seed: 0 });
    let refused: Vec<Case> = loss_cases().into_iter().filter(|case| drawn.check(&case.objective()).is_err()).collect();
    assert_eq!(refused.len(), 3);
    for case in refused {
        let errors = [Reference::new(&case.objective(), drawn).err(), Cpu::<f32>::new(&case.objective(), drawn).err()];
        for error in errors {
            assert!(error.unwrap().to_string().contains("use --operator ggn"));
        }
    }
}

/// A weight of 2 is a sample that is there twice, one of 0 one that is not there, and one of 1 nothing.
#[test]
fn weights_of_samples_are_their_multiplicity() {
    for case in [Case::default(), Case { loss: Loss::Mse, weight_decay: 0.1, ..Case::default() }] {
        let (ones, first) = (case.objective(), case.objective().select(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap());
        let weights = [vec![1.0; 8], vec![0.0; 3]].concat();
        for curvature in operators(&ones) {
            let of = |objective: &Objective| product(&reference(objective, curvature), &case.directions(1));
            let weighted = |weights: &[f64]| case.objective().with_sample_weights(weights.to_vec()).unwrap();
            assert_close("weights of 3", &of(&weighted(&[3.0; 11])), &of(&ones), ROUNDING);
            assert_close("weights of 0", &of(&weighted(&weights)), &of(&first), ROUNDING);
        }
    }
}

/// PyTorch's products with the Gauss-Newton matrix, in float64.
#[test]
fn gauss_newton_products_are_pytorchs() {
    for name in ["digits_tanh_32", "diabetes_silu_16x16", "digits_relu_64x64", "digits_ae_sigmoid"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let model = data::load_network(&folder.join("model.safetensors"), &NetworkOptions::default()).unwrap();
        let mut options = DataOptions { data: Some(folder.join("data.npz")), ..DataOptions::default() };
        options.target_is_x = name.contains("_ae_");
        let dataset = data::load_dataset(&options, &model.network).unwrap();
        let loss = dataset.choose_loss(None, &model.hints, &model.network).unwrap();
        let objective = dataset.into_objective(model.network, loss, 0.0).unwrap();
        let mut archive = NpzArchive::new(File::open(folder.join("hv.npz")).unwrap()).unwrap();
        let second: Vec<f32> = archive.by_name("v1").unwrap().unwrap().into_vec().unwrap();
        let expected: Vec<f64> = archive.by_name("gv1").unwrap().unwrap().into_vec().unwrap();
        let second: Vec<f64> = second.into_iter().map(f64::from).collect();
        let error = relative_error(&product(&reference(&objective, Curvature::Ggn), &second), &expected);
        assert!(error < 1e-13, "{name}, second vector: {error:e}");
        let signs: Vec<u8> = archive.by_name("v0_signbits").unwrap().unwrap().into_vec().unwrap();
        let expected: Vec<f64> = archive.by_name("gv0").unwrap().unwrap().into_vec().unwrap();
        let v: Vec<f64> = (0..objective.dim()).map(|i| if signs[i / 8] >> (i % 8) & 1 == 1 { 1.0 } else { -1.0 }).collect();
        let actual = product(&reference(&objective, Curvature::Ggn), &v);
        let error = relative_error(&actual, &expected);
        assert!(error < 1e-13, "{name}: {error:e}");
    }
}

/// Σ k kᵀ v over the vectors that the samples add to it.
#[test]
fn the_gauss_newton_matrix_is_made_of_the_samples_factors() {
    for case in cases().iter().filter(|case| case.samples < 40) {
        let case = Case { weight_decay: 0.0, ..case.clone() };
        let reference = reference(&case.objective(), Curvature::Ggn);
        let v = case.directions(1);
        let mut sum = vec![0.0; v.len()];
        for sample in 0..case.samples {
            for k in reference.gauss_newton_factor(sample).unwrap().chunks(v.len()) {
                let along: f64 = k.iter().zip(&v).map(|(k, v)| k * v).sum();
                sum.iter_mut().zip(k).for_each(|(sum, k)| *sum += along * k);
            }
        }
        assert_close(&format!("{case:?}"), &sum, &product(&reference, &v), ROUNDING);
    }
}

/// qᵀ(J v) is the derivative of qᵀz_L along v.
#[test]
fn pulled_back_cotangents_are_gradients_of_the_outputs() {
    let case = Case { samples: 21, widths: vec![5, 7, 6, 3], activation: Activation::Silu, ..Case::default() };
    let (cotangents, v, h) = (common::normal(63, 5), case.directions(1), 1e-5);
    let gradient = reference(&case.objective(), Curvature::Ggn).pull_back(&cotangents);
    let at = |t: f64| -> f64 {
        let theta: Vec<f64> = case.objective().network().parameters().iter().zip(&v).map(|(theta, v)| theta + t * v).collect();
        reference(&case.at(&theta), Curvature::Ggn).outputs().iter().zip(&cotangents).map(|(z, q)| z * q).sum()
    };
    let (slope, difference) = (gradient.iter().zip(&v).map(|(g, v)| g * v).sum::<f64>(), (at(h) - at(-h)) / (2.0 * h));
    assert!((slope - difference).abs() < 1e-7 * slope.abs().max(1.0), "{slope} and {difference}");
}

fn hierarchy(objective: &Objective) -> HierarchyReport {
    let context = JobContext::new(Subject::new(objective, Curvature::Ggn, "test"), &Silent);
    let (options, device) = (HierarchyOptions::default(), cpu(BackendOptions::default()));
    let job = HierarchyJob { context: &context, objective, options: &options };
    backend::run(objective, Curvature::Ggn, &device, job).unwrap()
}

/// The trace of the Gauss-Newton matrix, by its products with all unit vectors.
fn trace_of(objective: &Objective) -> f64 {
    let dim = objective.dim();
    let identity: Vec<f64> = (0..dim * dim).map(|at| f64::from(u8::from(at % (dim + 1) == 0))).collect();
    product(&reference(objective, Curvature::Ggn), &identity).iter().step_by(dim + 1).sum()
}

/// With one sample of each class the mean gradients are those of the samples, had they the other classes.
#[test]
fn the_hierarchys_means_are_gradients_towards_other_classes() {
    let case = Case { samples: 60, ..Case::default() };
    let all = case.objective();
    let one_each: Vec<usize> = (0..3).map(|class| all.samples_of_class(class).unwrap()[0]).collect();
    let objective = all.select(&one_each).unwrap();
    let report = hierarchy(&objective);
    // The columns √(p/N)·∇ℓ(x_c, c') for c' ≠ c, and of each class √w·(their weighted mean).
    let (mut pairs, mut means) = (Vec::new(), Vec::new());
    for (class, &sample) in one_each.iter().enumerate() {
        let single = all.select(&[sample]).unwrap();
        let outputs = reference(&single, Curvature::Ggn).outputs();
        let sum: f64 = outputs.iter().map(|o| o.exp()).sum();
        let (mut weight, mut mean) = (0.0, vec![0.0; objective.dim()]);
        for other in (0..3_u32).filter(|&other| other as usize != class) {
            let targets = Targets::Classes(vec![other]);
            let towards = Objective::new(all.network().clone(), Loss::CrossEntropy, 0.0, single.inputs().clone(), targets).unwrap();
            let gradient = loss_and_gradient(&reference(&towards, Curvature::Hessian)).1;
            let share = outputs[other as usize].exp() / sum / 3.0;
            weight += share;
            mean.iter_mut().zip(&gradient).for_each(|(mean, g)| *mean += share * g);
            pairs.push(gradient.iter().map(|g| share.sqrt() * g).collect::<Vec<_>>());
        }
        means.push(mean.iter().map(|mean| mean / weight.sqrt()).collect::<Vec<_>>());
        assert!((report.classes[class].weight - weight).abs() < 1e-14);
    }
    for (vectors, found) in
        [(&pairs, [0, 1, 2].map(|k| report.outliers[k].cross_class_means)), (&means, [0, 1, 2].map(|k| report.outliers[k].class_means))]
    {
        let dot = |i: usize, j: usize| vectors[i].iter().zip(&vectors[j]).map(|(x, y)| x * y).sum::<f64>();
        let mut exact = faer::Mat::from_fn(vectors.len(), vectors.len(), dot).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        exact.reverse();
        assert_close("means", &found, &exact[..3], 1e-10);
    }
    for outlier in &report.outliers {
        assert!(outlier.found.value >= outlier.cross_class_means && outlier.cross_class_means >= outlier.class_means, "{outlier:?}");
    }
    // One sample a class is its class's mean.
    let trace = trace_of(&objective);
    assert!(
        (report.traces.total - trace).abs() < 1e-12 * trace && report.traces.within_class.abs() < 1e-12 * trace,
        "{trace}: {:?}",
        report.traces
    );
    let HierarchyTraces { total, class, cross_class, within_class, own_class } = hierarchy(&all).traces;
    let trace = trace_of(&all);
    assert!((total - trace).abs() < 1e-12 * trace, "{total} and {trace}");
    assert!((class + cross_class + within_class + own_class - total).abs() < 1e-12 * trace);
    assert!(
        [class, cross_class, within_class, own_class].iter().all(|part| *part > 1e-3 * total),
        "{class} {cross_class} {within_class} {own_class}"
    );
}
