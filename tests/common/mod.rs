//! What the tests of all backends share: random objectives, operators called with plain vectors, comparisons that report.
#![allow(dead_code, clippy::allow_attributes, reason = "every test binary uses its own part")]

pub(crate) mod conformance;
pub(crate) mod forms;

use forms::Form;
use hesper::backend::reference::Reference;
use hesper::curvature::{Curvature, CurvatureOperator, Draws, Inputs, Objective, Storage, View, Viewed};
use hesper::krylov::{Slot, VectorSpace};
use hesper::model::{Activation, Criterion, Decay, Dense, Loss, Network, Reduction, Targets, Terms, WeightDecay};
use hesper::numeric::Precision;
use hesper::rng::{self, Distribution};

/// Standard normal numbers, the same for the same `seed`.
pub(crate) fn normal(count: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    rng::fill(Distribution::Gaussian, seed, 0, &mut values);
    values
}

/// A network and its data, all random.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) widths: Vec<usize>,
    pub(crate) form: Form,
    pub(crate) activation: Activation,
    pub(crate) output_activation: Activation,
    pub(crate) loss: Loss,
    /// Parameters other than PyTorch's defaults.
    pub(crate) terms: Option<Terms>,
    pub(crate) reduction: Reduction,
    pub(crate) labels: Labels,
    /// Whether the samples have weights, some of them 0.
    pub(crate) weighted: bool,
    pub(crate) bias: bool,
    pub(crate) samples: usize,
    pub(crate) weight_decay: f64,
    pub(crate) decay: Decay,
    pub(crate) seed: u64,
}

/// What cross-entropy is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Labels {
    Classes,
    /// Every third sample is ignored.
    SomeIgnored,
    Probabilities,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            widths: vec![5, 7, 3],
            form: Form::Chain,
            activation: Activation::Tanh,
            output_activation: Activation::Identity,
            loss: Loss::CrossEntropy,
            terms: None,
            reduction: Reduction::Mean,
            labels: Labels::Classes,
            weighted: false,
            bias: true,
            samples: 11,
            weight_decay: 0.0,
            decay: Decay::All,
            seed: 0,
        }
    }
}

impl Case {
    /// The objective at the random parameters.
    pub(crate) fn objective(&self) -> Objective {
        if self.form != Form::Chain {
            return self.objective_of(forms::network(self));
        }
        let depth = self.widths.len() - 1;
        let layers = self.widths.windows(2).enumerate().map(|(l, widths)| {
            let (inputs, outputs) = (widths[0], widths[1]);
            let scale = (inputs as f64).sqrt().recip();
            let draw = |count, stream| normal(count, 1000 * self.seed + 10 * l as u64 + stream);
            let dense = Dense {
                inputs,
                outputs,
                weight: draw(inputs * outputs, 1).iter().map(|w| 1.5 * scale * w).collect(),
                bias: self.bias.then(|| draw(outputs, 2).iter().map(|b| 0.3 * b).collect()),
            };
            (dense, if l + 1 == depth { self.output_activation } else { self.activation })
        });
        self.objective_of(Network::chain(self.widths[0], layers).unwrap())
    }

    /// The objective of this case's data at other parameters.
    pub(crate) fn at(&self, parameters: &[f64]) -> Objective {
        self.objective_of(self.objective().network().with_parameters(parameters).unwrap())
    }

    fn objective_of(&self, network: Network) -> Objective {
        let (inputs, outputs) = (self.widths[0], self.widths[self.widths.len() - 1]);
        let x = Inputs::new(Storage::F64(normal(self.samples * inputs, 1000 * self.seed + 900)), inputs, 1.0).unwrap();
        let y = normal(self.samples * outputs, 1000 * self.seed + 901);
        let terms = self.terms.clone().unwrap_or(self.loss.into());
        let class_of = |(sample, scores): (usize, &[f64])| match self.labels {
            Labels::SomeIgnored if sample % 3 == 1 => Targets::IGNORED,
            _ => class(scores),
        };
        let targets = match terms.loss() {
            Loss::CrossEntropy if self.labels == Labels::Probabilities => Targets::Values(y.chunks(outputs).flat_map(shares).collect()),
            Loss::CrossEntropy => Targets::Classes(y.chunks(outputs).enumerate().map(class_of).collect()),
            Loss::BceWithLogits => Targets::Values(y.iter().map(|y| f64::from(u8::from(*y > 0.0))).collect()),
            Loss::PoissonNll => Targets::Values(y.iter().map(|y| (2.0 * y).abs().floor()).collect()),
            _ => Targets::Values(y),
        };
        let criterion = Criterion::new(terms, self.reduction).unwrap();
        let decay = WeightDecay { factor: self.weight_decay, over: self.decay };
        let objective = Objective::new(network, criterion, decay, x, targets).unwrap();
        if !self.weighted {
            return objective;
        }
        let weights = normal(self.samples, 1000 * self.seed + 903);
        objective.with_sample_weights(weights.iter().enumerate().map(|(n, w)| if n % 5 == 3 { 0.0 } else { w.abs() }).collect()).unwrap()
    }

    /// Random directions, one column after another.
    pub(crate) fn directions(&self, columns: usize) -> Vec<f64> {
        normal(self.objective().dim() * columns, 1000 * self.seed + 902)
    }
}

/// The index of the largest of a sample's random scores.
fn class(scores: &[f64]) -> u32 {
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    u32::try_from(best).unwrap()
}

/// Positive shares of a sample's scores, which sum to something near 1.
fn shares(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.abs()).sum();
    scores.iter().map(|score| 1.1 * score.abs() / sum).collect()
}

/// The losses of [`cases`] that go through all activations and shapes.
const LOSSES: [Loss; 3] = [Loss::CrossEntropy, Loss::Mse, Loss::BceWithLogits];

/// Every loss with every parameter, every reduction, weights of samples, ignored samples, and decay of the weights alone.
pub(crate) fn loss_cases() -> Vec<Case> {
    let cross_entropy = |class_weights: bool, label_smoothing| {
        let class_weights = class_weights.then(|| vec![0.5, 2.0, 1.25, 0.75]);
        Some(Terms::CrossEntropy { class_weights, label_smoothing, ignore_index: -100 })
    };
    let terms = |terms| Case { terms: Some(terms), ..Case::default() };
    let positive = |pos_weight| Terms::BceWithLogits { pos_weight: Some(pos_weight) };
    let rates = Case { output_activation: Activation::Softplus, ..terms(Terms::PoissonNll { log_input: false, eps: 0.5 }) };
    let mse = Case { loss: Loss::Mse, ..Case::default() };
    let classes = Case { terms: cross_entropy(true, 0.0), ..Case::default() };
    let cases = [
        Case { terms: cross_entropy(false, 0.2), ..Case::default() },
        Case { terms: cross_entropy(true, 0.1), labels: Labels::SomeIgnored, ..Case::default() },
        Case { labels: Labels::SomeIgnored, weighted: true, ..classes.clone() },
        Case { labels: Labels::Probabilities, terms: cross_entropy(true, 0.1), weighted: true, ..Case::default() },
        Case { labels: Labels::Probabilities, reduction: Reduction::Sum, ..classes.clone() },
        Case { labels: Labels::SomeIgnored, reduction: Reduction::Sum, weight_decay: 0.1, decay: Decay::Weights, ..classes },
        Case { weighted: true, ..mse.clone() },
        Case { reduction: Reduction::Sum, weight_decay: 0.3, decay: Decay::Weights, ..mse },
        Case { weighted: true, ..terms(Terms::Huber { delta: 0.7 }) },
        Case { reduction: Reduction::Sum, ..terms(Terms::SmoothL1 { beta: 0.4 }) },
        Case { weighted: true, ..terms(positive(vec![3.0, 0.5, 1.0, 2.0])) },
        Case { reduction: Reduction::Sum, weight_decay: 0.05, ..terms(positive(vec![2.5])) },
        terms(Loss::PoissonNll.into()),
        Case { weighted: true, ..rates },
    ];
    let shapes: [(&[usize], usize); 3] = [(&[3, 6, 4], 17), (&[5, 4, 7, 4], 70), (&[2, 9, 4], 9)];
    let activations = [Activation::Tanh, Activation::Gelu, Activation::Silu];
    let with_shape = |(turn, case): (usize, Case)| {
        let (widths, samples) = shapes[turn % 3];
        Case { widths: widths.to_vec(), samples, activation: activations[turn % 3], seed: 700 + turn as u64, ..case }
    };
    cases.into_iter().enumerate().map(with_shape).collect()
}

/// Every activation, loss, form, depth, with and without bias and weight decay, at ragged widths and sample counts.
pub(crate) fn cases() -> Vec<Case> {
    let shapes: [(&[usize], usize); 6] =
        [(&[17, 1], 13), (&[3, 17, 4], 1), (&[8, 5, 9, 2], 37), (&[1, 3, 17, 5, 3], 29), (&[33, 65, 10], 263), (&[4, 3, 3, 3, 6], 520)];
    let mut cases = Vec::new();
    for (index, activation) in Activation::ALL.into_iter().enumerate() {
        for (turn, loss) in LOSSES.into_iter().enumerate() {
            let number = index * LOSSES.len() + turn;
            let (widths, samples) = shapes[number % shapes.len()];
            cases.push(Case {
                widths: widths.to_vec(),
                activation,
                loss,
                bias: number % 4 != 1,
                samples,
                weight_decay: if number.is_multiple_of(3) { 0.05 } else { 0.0 },
                seed: number as u64 + 1,
                ..Case::default()
            });
        }
    }
    // Every activation on the outputs, and every shape with every loss.
    cases.extend(Activation::ALL.into_iter().enumerate().map(|(turn, output_activation)| Case {
        output_activation,
        loss: LOSSES[turn % 3],
        seed: 100 + turn as u64,
        ..Case::default()
    }));
    for (turn, loss) in LOSSES.into_iter().enumerate() {
        for (number, (widths, samples)) in shapes.into_iter().enumerate() {
            let activation = Activation::ALL[(5 * turn + number) % Activation::ALL.len()];
            let (bias, seed) = ((turn + number) % 2 == 0, (200 + 10 * turn + number) as u64);
            cases.push(Case { widths: widths.to_vec(), activation, loss, bias, samples, seed, ..Case::default() });
        }
    }
    cases.extend(loss_cases());
    cases.extend(forms::cases());
    cases
}

/// A x for the columns of `x`.
pub(crate) fn product<A: CurvatureOperator>(operator: &A, x: &[f64]) -> Vec<f64> {
    let space = operator.space();
    let columns = x.len() / space.dim();
    let (mut block, mut result) = (space.block(columns).unwrap(), space.block(columns).unwrap());
    space.upload(x, &mut block).unwrap();
    operator.apply(&block, &mut result).unwrap();
    space.download(&result).unwrap()
}

/// f and ∇f.
pub(crate) fn loss_and_gradient<A: CurvatureOperator>(operator: &A) -> (f64, Vec<f64>) {
    let space = operator.space();
    let (mut gradient, mut s) = (space.block(1).unwrap(), space.scalars(2, 1).unwrap());
    operator.loss_and_gradient(&mut gradient, &mut s, Slot(1)).unwrap();
    (space.read(&s).unwrap()[1], space.download(&gradient).unwrap())
}

/// By how much a result in `precision` may differ from float64's, relative to the largest element.
///
/// Each of a product's 3L passes sums products of at most K terms: rounding errors of ε/2 that add up like a random walk, √K·ε/2 each
/// pass, and those of the passes add. A factor 8 covers the largest of many elements (four standard deviations) and terms larger than
/// their sum (two).
pub(crate) fn tolerance(objective: &Objective, precision: Precision) -> f64 {
    let network = objective.network();
    let longest = network.widths().iter().copied().max().unwrap().max(objective.samples());
    let passes = 3 * network.layers().len();
    8.0 * passes as f64 * (longest as f64).sqrt() * precision.epsilon() / 2.0
}

/// Holds `actual` against `expected`: the largest difference relative to the largest element expected.
pub(crate) fn assert_close(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |scale, x| scale.max(x.abs()));
    let error = |at: usize| (actual[at] - expected[at]).abs() / scale;
    let worst = (0..actual.len()).max_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap();
    assert!(
        error(worst) <= tolerance,
        "{what}: [{worst}] is {:e}, expected {:e}: relative to the largest, {scale:e}, off by {:e}, allowed {tolerance:e}",
        actual[worst],
        expected[worst],
        error(worst)
    );
}

/// ‖actual − expected‖/‖expected‖.
pub(crate) fn relative_error(actual: &[f64], expected: &[f64]) -> f64 {
    let squared: f64 = actual.iter().zip(expected).map(|(a, e)| (a - e) * (a - e)).sum();
    (squared / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

/// All operators of an objective.
pub(crate) const OPERATORS: [Curvature; 6] = [
    Curvature::Hessian,
    Curvature::Ggn,
    Curvature::Residual,
    Curvature::FisherMc(Draws { count: 2, seed: 5 }),
    Curvature::EmpiricalFisher,
    Curvature::GradientCovariance,
];

/// Those of [`OPERATORS`] that `objective` has.
pub(crate) fn operators(objective: &Objective) -> impl Iterator<Item = Curvature> {
    OPERATORS.into_iter().filter(|curvature| curvature.check(objective).is_ok())
}

/// Holds products of `operator`, several columns at once, against those of `truth`, all of them with `curvature`.
///
/// Differences count relative to the largest element, or to that of the sums that cancel in it: of the Hessian for the residual, of the
/// second moment for the covariance.
pub(crate) fn assert_same_operator<A: CurvatureOperator>(case: &Case, curvature: Curvature, operator: &A) {
    let objective = case.objective();
    let truth = |curvature| Reference::new(&objective, curvature).unwrap();
    let largest = |values: &[f64]| values.iter().fold(f64::MIN_POSITIVE, |scale, x| scale.max(x.abs()));
    let tolerance = tolerance(&objective, operator.space().precision());
    for columns in [1, 3] {
        let directions = case.directions(columns);
        let (actual, expected) = (product(operator, &directions), product(&truth(curvature), &directions));
        let scale = match curvature {
            Curvature::Residual => largest(&product(&truth(Curvature::Hessian), &directions)),
            Curvature::GradientCovariance => largest(&product(&truth(Curvature::EmpiricalFisher), &directions)),
            _ => largest(&expected),
        };
        for (at, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let error = (actual - expected).abs() / scale;
            assert!(
                error <= tolerance,
                "{case:?}: {curvature}: [{at}] is {actual:e}, expected {expected:e}, of {scale:e}: off by {error:e}"
            );
        }
    }
}

/// Holds product, loss and gradient of `operator` against those of `truth`, several columns at once.
pub(crate) fn assert_same_curvature<A: CurvatureOperator, R: CurvatureOperator>(case: &Case, operator: &A, truth: &R) {
    let objective = case.objective();
    let tolerance = tolerance(&objective, operator.space().precision());
    for columns in [1, 3] {
        let directions = case.directions(columns);
        let (actual, expected) = (product(operator, &directions), product(truth, &directions));
        for (column, (actual, expected)) in actual.chunks(objective.dim()).zip(expected.chunks(objective.dim())).enumerate() {
            assert_close(&format!("{case:?}: column {column} of {columns} of the product"), actual, expected, tolerance);
        }
    }
    let ((loss, gradient), (expected_loss, expected_gradient)) = (loss_and_gradient(operator), loss_and_gradient(truth));
    assert_close(&format!("{case:?}: loss"), &[loss], &[expected_loss], tolerance);
    assert_close(&format!("{case:?}: gradient"), &gradient, &expected_gradient, tolerance);
    assert_eq!(operator.products(), 4, "products with single vectors");
}

/// Moves an operator to other parameters, and then to other numbers altogether: there it has the bits of a new one.
pub(crate) fn assert_moves<A: CurvatureOperator>(case: &Case, make: impl Fn(&Objective) -> A, relinearize: impl Fn(A, &Objective) -> A) {
    let everything = |operator: &A| {
        (loss_and_gradient(operator), [3, 1].map(|columns| product(operator, &case.directions(columns))), operator.products())
    };
    let start = case.objective();
    let theta: Vec<f64> = start.network().parameters().iter().zip(case.directions(1)).map(|(x, d)| x + 0.1 * d).collect();
    let parameters = start.with_network(start.network().with_parameters(&theta).unwrap()).unwrap();
    let all = Case { seed: case.seed + 1, ..case.clone() }.objective();
    let mut operator = make(&start);
    let mut before = everything(&operator);
    for (what, objective) in [("parameters", parameters), ("data", all)] {
        operator = relinearize(operator, &objective);
        let now = everything(&operator);
        assert!(now != before, "{case:?}: other {what} change nothing");
        assert!(now == everything(&make(&objective)), "{case:?}: at other {what} the bits are not those of a new operator");
        before = now;
    }
}

/// Some of the parameters of `case` in units of their own: from within the first weight to within the last one, bar one in the middle.
fn part(objective: &Objective, seed: u64) -> View {
    let dim = objective.dim();
    let view = View::of(vec![1..dim / 2, dim / 2 + 1..dim - 1]).unwrap();
    let units = normal(view.dim(), 1000 * seed + 903).iter().map(|x| (0.5 * x).exp()).collect();
    view.scaled(units).unwrap()
}

/// One of its tensors, another for each seed.
fn tensor(objective: &Objective, seed: u64) -> View {
    let tensors = objective.network().tensors();
    View::of(vec![tensors[usize::try_from(seed).unwrap() % tensors.len()].range.clone()]).unwrap()
}

/// Holds product and gradient of `operator` in two views against S P A Pᵀ S and S P ∇f of the reference, several columns at once.
pub(crate) fn assert_same_views<A: CurvatureOperator>(case: &Case, curvature: Curvature, operator: &A) {
    let objective = case.objective();
    for view in [part(&objective, case.seed), tensor(&objective, case.seed)] {
        assert_same_view(case, &view, curvature, operator);
    }
}

fn assert_same_view<A: CurvatureOperator>(case: &Case, view: &View, curvature: Curvature, operator: &A) {
    let objective = case.objective();
    let truth = Reference::new(&objective, curvature).unwrap();
    let viewed = Viewed::new(operator, view).unwrap();
    let tolerance = tolerance(&objective, operator.space().precision());
    let units = view.scale().map_or_else(|| vec![1.0; view.dim()], <[f64]>::to_vec);
    let chosen: Vec<(usize, f64)> = view.ranges().iter().cloned().flatten().zip(units).collect();
    let seen = |all: &[f64]| -> Vec<f64> { chosen.iter().map(|&(at, unit)| unit * all[at]).collect() };
    for columns in [1, 3] {
        let directions = normal(columns * view.dim(), 1000 * case.seed + 904);
        let actual = product(&viewed, &directions);
        for (column, (direction, actual)) in directions.chunks(view.dim()).zip(actual.chunks(view.dim())).enumerate() {
            let mut all = vec![0.0; objective.dim()];
            chosen.iter().zip(direction).for_each(|(&(at, unit), x)| all[at] = unit * x);
            let expected = product(&truth, &all);
            // Rounding is relative to the largest element, seen or not, or to that of the sums that cancel in it.
            let sums = match curvature {
                Curvature::Residual => product(&Reference::new(&objective, Curvature::Hessian).unwrap(), &all),
                Curvature::GradientCovariance => product(&Reference::new(&objective, Curvature::EmpiricalFisher).unwrap(), &all),
                _ => expected.clone(),
            };
            let scale = sums.iter().chain(&seen(&sums)).fold(f64::MIN_POSITIVE, |scale: f64, x| scale.max(x.abs()));
            for (at, (actual, expected)) in actual.iter().zip(seen(&expected)).enumerate() {
                let error = (actual - expected).abs() / scale / chosen[at].1.max(1.0);
                assert!(
                    error <= 3.0 * tolerance,
                    "{case:?}: {curvature} in a view: column {column} of {columns}, [{at}]: off by {error:e}"
                );
            }
        }
    }
    let ((loss, gradient), (expected_loss, expected_gradient)) = (loss_and_gradient(&viewed), loss_and_gradient(&truth));
    assert_close(&format!("{case:?}: loss"), &[loss], &[expected_loss], tolerance);
    assert_close(&format!("{case:?}: {curvature}: gradient in a view"), &gradient, &seen(&expected_gradient), 3.0 * tolerance);
}
