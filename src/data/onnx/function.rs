//! Activations and normalizations however an exporter has written them, told by what they compute.
//!
//! A key design decision: a run of elementwise nodes is not compared with patterns, of which every exporter and every operator set has its
//! own (GELU alone comes in five). It is one function of the value that it begins with; that function is evaluated, and is the activation
//! whose values it has, or the normalization. What has other values is refused.

use std::collections::BTreeSet;

use crate::model::Activation;

/// Most nodes of one function: no exporter writes a tenth of that, and a hostile file could make evaluation take forever.
const MOST_NODES: usize = 128;

/// An elementwise function, or the mean over a sample's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    Greater,
    Less,
    Where,
    Neg,
    Abs,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Erf,
    Mean,
    /// x for x > 0, α·x elsewhere.
    Leaky(f64),
    /// γ·x for x > 0, γ·α·(eˣ − 1) elsewhere.
    Elu {
        alpha: f64,
        gamma: f64,
    },
    /// max(0, min(1, α·x + β)).
    HardSigmoid {
        alpha: f64,
        beta: f64,
    },
    HardSwish,
    Mish,
    /// log(1 + eˣ), without PyTorch's threshold.
    Softplus,
    /// One that this program has.
    Known(Activation),
}

/// What a step is applied to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Argument {
    /// The value that the function begins with.
    Source,
    /// What another step makes.
    Node(usize),
    Number(f64),
}

/// A step of a function.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) arguments: Vec<Argument>,
    /// Number of the value that the function begins with.
    pub(super) of: usize,
}

/// All steps of a graph; each applies to earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions(pub(super) Vec<Node>);

/// A normalization over a sample's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NormKind {
    Layer,
    Rms,
}

impl Step {
    /// Its value at numbers.
    pub(super) fn value(self, x: &[f64]) -> f64 {
        let choose = |condition: bool| f64::from(u8::from(condition));
        match (self, x) {
            (Self::Add, &[x, y]) => x + y,
            (Self::Sub, &[x, y]) => x - y,
            (Self::Mul, &[x, y]) => x * y,
            (Self::Div, &[x, y]) => x / y,
            (Self::Pow, &[x, y]) => x.powf(y),
            (Self::Max, x) => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            (Self::Min, x) => x.iter().copied().fold(f64::INFINITY, f64::min),
            (Self::Greater, &[x, y]) => choose(x > y),
            (Self::Less, &[x, y]) => choose(x < y),
            (Self::Where, &[condition, x, y]) => {
                if condition == 0.0 {
                    y
                } else {
                    x
                }
            }
            (Self::Neg, &[x]) => -x,
            (Self::Abs, &[x]) => x.abs(),
            (Self::Exp, &[x]) => x.exp(),
            (Self::Log, &[x]) => x.ln(),
            (Self::Sqrt, &[x]) => x.sqrt(),
            (Self::Reciprocal, &[x]) => x.recip(),
            (Self::Erf, &[x]) => libm::erf(x),
            (Self::Leaky(alpha), &[x]) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            (Self::Elu { alpha, gamma }, &[x]) => gamma * if x > 0.0 { x } else { alpha * x.exp_m1() },
            (Self::HardSigmoid { alpha, beta }, &[x]) => (alpha * x + beta).clamp(0.0, 1.0),
            (Self::HardSwish, &[x]) => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            (Self::Mish, &[x]) => x * softplus(x).tanh(),
            (Self::Softplus, &[x]) => softplus(x),
            (Self::Known(activation), &[x]) => activation.jet(x).value,
            // A mean of one number, or a wrong number of arguments, which is refused when the step is made.
            (_, x) => x.first().copied().unwrap_or(f64::NAN),
        }
    }

    /// How many arguments it takes.
    pub(super) fn takes(self, count: usize) -> bool {
        match self {
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Pow | Self::Greater | Self::Less => count == 2,
            Self::Max | Self::Min => count >= 1,
            Self::Where => count == 3,
            _ => count == 1,
        }
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl Functions {
    /// The steps that `root` is made of, itself the last, where they begin with its source or with the node `cut` alone; none where that
    /// is not so, or they are too many.
    fn steps(&self, root: usize, cut: Option<usize>) -> Option<Vec<usize>> {
        let (mut found, mut open) = (BTreeSet::new(), vec![root]);
        while let Some(node) = open.pop() {
            if Some(node) == cut || !found.insert(node) {
                continue;
            }
            for argument in &self.0[node].arguments {
                match *argument {
                    Argument::Node(node) => open.push(node),
                    Argument::Source if cut.is_some() => return None,
                    _ => {}
                }
            }
            if found.len() > MOST_NODES {
                return None;
            }
        }
        Some(found.into_iter().collect())
    }

    /// `root` at the numbers `x` of one sample, as a function of its source or of the node `cut`.
    fn evaluate(&self, root: usize, cut: Option<usize>, x: &[f64]) -> Option<Vec<f64>> {
        let steps = self.steps(root, cut)?;
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(steps.len());
        for &step in &steps {
            let node = &self.0[step];
            let at = |argument: &Argument, i: usize| match *argument {
                Argument::Source => x[i],
                Argument::Node(node) if Some(node) == cut => x[i],
                Argument::Node(node) => steps.binary_search(&node).map_or(f64::NAN, |found| values[found][i]),
                Argument::Number(number) => number,
            };
            let mut made: Vec<f64> =
                (0..x.len()).map(|i| node.step.value(&node.arguments.iter().map(|argument| at(argument, i)).collect::<Vec<_>>())).collect();
            if node.step == Step::Mean {
                #[expect(clippy::cast_precision_loss, reason = "a handful")]
                let mean = made.iter().sum::<f64>() / made.len() as f64;
                made.fill(mean);
            }
            values.push(made);
        }
        values.pop()
    }

    /// The activation that `root` is, of its source or of the node `cut`.
    ///
    /// Compared at points on both sides of every kink and far out, to what constants in single precision leave.
    pub(super) fn activation(&self, root: usize, cut: Option<usize>) -> Option<Activation> {
        let points: Vec<f64> = (-120..=120).map(|i| 0.1 * f64::from(i) + 0.013).chain([-60.0, -25.0, 25.0, 60.0]).collect();
        let found = self.evaluate(root, cut, &points)?;
        let same = |activation: &Activation| {
            points.iter().zip(&found).all(|(&x, y)| {
                let expected = activation.jet(x).value;
                (y - expected).abs() <= 2e-6 * (0.1 + expected.abs())
            })
        };
        // A mean makes a function of all of the points at once.
        let elementwise = self.steps(root, cut)?.iter().all(|&step| self.0[step].step != Step::Mean);
        Activation::ALL.into_iter().find(same).filter(|_| elementwise)
    }

    /// The normalization that `root` is of its source, and its ε, one of the numbers in it.
    ///
    /// Compared on samples of two scales: on the small one ε matters.
    pub(super) fn normalization(&self, root: usize) -> Option<(NormKind, f64)> {
        let steps = self.steps(root, None)?;
        let numbers = steps.iter().flat_map(|&step| &self.0[step].arguments).filter_map(|argument| match *argument {
            Argument::Number(number) if number > 0.0 && number < 0.1 => Some(number),
            _ => None,
        });
        let sample = [0.3, -1.2, 2.5, 0.9, -0.4, 1.7, -2.2];
        let samples = [1.0, 0.01].map(|scale| sample.map(|x| scale * x));
        let found = [self.evaluate(root, None, &samples[0])?, self.evaluate(root, None, &samples[1])?];
        let same = |kind: NormKind, eps: f64| {
            samples.iter().zip(&found).all(|(sample, found)| {
                normalized(kind, eps, sample).iter().zip(found).all(|(expected, found)| (expected - found).abs() <= 1e-6)
            })
        };
        let mut candidates = numbers.flat_map(|eps| [(NormKind::Layer, eps), (NormKind::Rms, eps)]);
        candidates.find(|&(kind, eps)| same(kind, eps))
    }

    /// The node of which `root` is an activation, the last one made, and that activation.
    pub(super) fn outer_activation(&self, root: usize) -> Option<(usize, Activation)> {
        let inner = self.steps(root, None)?;
        inner.into_iter().rev().skip(1).find_map(|node| Some((node, self.activation(root, Some(node))?)))
    }
}

/// (x − mean)/√(variance + ε), or x/√(mean square + ε).
fn normalized(kind: NormKind, eps: f64, x: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let mean_of = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let mean = if kind == NormKind::Layer { mean_of(x) } else { 0.0 };
    let square = mean_of(&x.iter().map(|x| (x - mean).powi(2)).collect::<Vec<_>>());
    x.iter().map(|x| (x - mean) / (square + eps).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::Argument::{Node as At, Number, Source};
    use super::*;

    /// A function of steps, each with its arguments; the last one is the root.
    fn functions(steps: &[(Step, &[Argument])]) -> (Functions, usize) {
        let node = |&(step, arguments): &(Step, &[Argument])| Node { step, arguments: arguments.to_vec(), of: 0 };
        (Functions(steps.iter().map(node).collect()), steps.len() - 1)
    }

    fn activation(steps: &[(Step, &[Argument])]) -> Option<Activation> {
        let (functions, root) = functions(steps);
        functions.activation(root, None)
    }

    #[test]
    fn every_activation_is_told_from_every_other() {
        for expected in Activation::ALL {
            assert_eq!(activation(&[(Step::Known(expected), &[Source])]), Some(expected));
        }
    }

    /// As the exporters write them, constants in single precision.
    #[test]
    fn written_out_activations_are_known() {
        let single = |x: f32| Number(f64::from(x));
        let gelu: &[(Step, &[Argument])] = &[
            (Step::Div, &[Source, single(std::f32::consts::SQRT_2)]),
            (Step::Erf, &[At(0)]),
            (Step::Add, &[At(1), Number(1.0)]),
            (Step::Mul, &[Source, At(2)]),
            (Step::Mul, &[At(3), Number(0.5)]),
        ];
        assert_eq!(activation(gelu), Some(Activation::Gelu));
        let tanh: &[(Step, &[Argument])] = &[
            (Step::Pow, &[Source, Number(3.0)]),
            (Step::Mul, &[At(0), single(0.044_715)]),
            (Step::Add, &[Source, At(1)]),
            (Step::Mul, &[At(2), single(0.797_884_6)]),
            (Step::Known(Activation::Tanh), &[At(3)]),
            (Step::Add, &[At(4), Number(1.0)]),
            (Step::Mul, &[Number(0.5), Source]),
            (Step::Mul, &[At(6), At(5)]),
        ];
        assert_eq!(activation(tanh), Some(Activation::GeluTanh));
        let silu: &[(Step, &[Argument])] = &[(Step::Known(Activation::Sigmoid), &[Source]), (Step::Mul, &[Source, At(0)])];
        assert_eq!(activation(silu), Some(Activation::Silu));
        let softplus: &[(Step, &[Argument])] =
            &[(Step::Softplus, &[Source]), (Step::Greater, &[Source, Number(20.0)]), (Step::Where, &[At(1), Source, At(0)])];
        assert_eq!(activation(softplus), Some(Activation::Softplus));
        assert_eq!(activation(&[(Step::Leaky(0.01), &[Source])]), Some(Activation::LeakyRelu));
        assert_eq!(activation(&[(Step::Leaky(0.02), &[Source])]), None);
        assert_eq!(activation(&[(Step::Elu { alpha: 1.0, gamma: 1.0 }, &[Source])]), Some(Activation::Elu));
        assert_eq!(activation(&[(Step::Max, &[Source, Number(0.0)])]), Some(Activation::Relu));
        assert_eq!(activation(&[(Step::Mul, &[Source, Number(2.0)])]), None);
    }

    fn layer_norm(eps: f64) -> Vec<(Step, Vec<Argument>)> {
        vec![
            (Step::Mean, vec![Source]),
            (Step::Sub, vec![Source, At(0)]),
            (Step::Pow, vec![At(1), Number(2.0)]),
            (Step::Mean, vec![At(2)]),
            (Step::Add, vec![At(3), Number(eps)]),
            (Step::Sqrt, vec![At(4)]),
            (Step::Div, vec![At(1), At(5)]),
        ]
    }

    #[test]
    fn written_out_normalizations_are_known_with_their_eps() {
        for eps in [1e-5, 1e-3] {
            let steps = layer_norm(eps);
            let (functions, root) = functions(&steps.iter().map(|(step, arguments)| (*step, &arguments[..])).collect::<Vec<_>>());
            assert_eq!(functions.normalization(root), Some((NormKind::Layer, eps)));
            assert_eq!(functions.activation(root, None), None);
        }
        let rms: &[(Step, &[Argument])] = &[
            (Step::Pow, &[Source, Number(2.0)]),
            (Step::Mean, &[At(0)]),
            (Step::Add, &[At(1), Number(1e-6)]),
            (Step::Sqrt, &[At(2)]),
            (Step::Reciprocal, &[At(3)]),
            (Step::Mul, &[Source, At(4)]),
        ];
        let (functions, root) = functions(rms);
        assert_eq!(functions.normalization(root), Some((NormKind::Rms, 1e-6)));
    }

    /// tanh of a normalization: the activation is found, and what it is of.
    #[test]
    fn an_activation_of_something_else_is_split_off() {
        let mut steps = layer_norm(1e-5);
        steps.push((Step::Known(Activation::Sigmoid), vec![At(6)]));
        steps.push((Step::Mul, vec![At(6), At(7)]));
        let (functions, root) = functions(&steps.iter().map(|(step, arguments)| (*step, &arguments[..])).collect::<Vec<_>>());
        assert_eq!((functions.activation(root, None), functions.normalization(root)), (None, None));
        assert_eq!(functions.outer_activation(root), Some((6, Activation::Silu)));
    }
}
