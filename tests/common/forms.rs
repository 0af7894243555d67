//! Networks that are no chains of dense layers, built from the widths of one.

use hesper::model::{Activation, Dense, Network, NetworkBuilder, Norm, NormKind, Op, Value};

use super::{Case, LOSSES, normal};

/// How a case's layers are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// Dense layers one after another.
    Chain,
    /// Each hidden layer normalized before its activation.
    Normalized(Standardizing),
    /// x + dense(φ(dense(norm x))), the skip projected where widths differ; a last normalization before the output layer.
    PreNorm(Standardizing),
    /// φ(x + dense x), the skip projected where widths differ.
    Residual,
    /// The input normalized without parameters, activated alone, added to itself, and an output that is a sum.
    Odd,
}

/// A normalization by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standardizing {
    Layer,
    Rms,
    Batch,
}

impl Standardizing {
    pub(crate) const ALL: [Self; 3] = [Self::Layer, Self::Rms, Self::Batch];
}

/// Draws the parameters of one layer after another.
struct Draw<'a> {
    case: &'a Case,
    stream: u64,
}

impl Draw<'_> {
    fn numbers(&mut self, count: usize, mean: f64, scale: f64) -> Vec<f64> {
        self.stream += 1;
        normal(count, 1000 * self.case.seed + 500 + self.stream).iter().map(|x| mean + scale * x).collect()
    }

    fn dense(&mut self, inputs: usize, outputs: usize, bias: bool) -> Dense {
        let weight = self.numbers(inputs * outputs, 0.0, 1.2 / (inputs as f64).sqrt());
        Dense { inputs, outputs, weight, bias: bias.then(|| self.numbers(outputs, 0.0, 0.3)) }
    }

    fn norm(&mut self, width: usize, standardizing: Standardizing) -> Norm {
        let kind = match standardizing {
            Standardizing::Layer => NormKind::Layer { eps: 1e-5 },
            Standardizing::Rms => NormKind::Rms { eps: 1e-3 },
            Standardizing::Batch => NormKind::Batch {
                mean: self.numbers(width, 0.0, 0.3),
                variance: self.numbers(width, 0.0, 0.5).iter().map(|x| 0.5 + x.abs()).collect(),
                eps: 1e-5,
            },
        };
        let gain = Some(self.numbers(width, 1.0, 0.3));
        let shift = (standardizing != Standardizing::Rms).then(|| self.numbers(width, 0.0, 0.3));
        Norm { kind, width, gain, shift }
    }
}

/// The network of `case`, which is no chain.
pub(crate) fn network(case: &Case) -> Network {
    let mut draw = Draw { case, stream: 0 };
    let mut builder = NetworkBuilder::new(case.widths[0]);
    let mut add = |op: Op, sources: &[Value], activation| builder.layer(op, sources.iter().copied(), activation, None).unwrap();
    let (phi, plain) = (case.activation, Activation::Identity);
    let mut x = NetworkBuilder::new(case.widths[0]).input();
    let last = case.widths.len() - 2;
    if case.form == Form::Odd {
        let norm = Norm { kind: NormKind::Layer { eps: 1e-5 }, width: case.widths[0], gain: None, shift: None };
        let standard = add(norm.into(), &[x], plain);
        let alone = add(Op::Add, &[x], phi);
        let both = add(Op::Add, &[standard, alone], plain);
        x = add(Op::Add, &[both, both], plain);
    }
    for (l, widths) in case.widths.windows(2).enumerate() {
        let (inputs, outputs) = (widths[0], widths[1]);
        let mut dense = |inputs, bias| draw.dense(inputs, outputs, bias && case.bias).into();
        if l == last {
            let op = dense(inputs, true);
            x = match case.form {
                Form::PreNorm(standardizing) => {
                    let standard = draw.norm(inputs, standardizing).into();
                    let standard = add(standard, &[x], plain);
                    add(op, &[standard], case.output_activation)
                }
                Form::Odd => {
                    let made = add(op, &[x], phi);
                    let other = draw.dense(inputs, outputs, false).into();
                    let other = add(other, &[x], plain);
                    add(Op::Add, &[made, other], case.output_activation)
                }
                _ => add(op, &[x], case.output_activation),
            };
            continue;
        }
        let skip = |add: &mut dyn FnMut(Op, &[Value], Activation) -> Value, x, projection: Op| {
            if inputs == outputs { x } else { add(projection, &[x], plain) }
        };
        x = match case.form {
            Form::Normalized(standardizing) => {
                let a = add(dense(inputs, true), &[x], plain);
                add(draw.norm(outputs, standardizing).into(), &[a], phi)
            }
            Form::PreNorm(standardizing) => {
                let projection = dense(inputs, false);
                let standard = draw.norm(inputs, standardizing).into();
                let standard = add(standard, &[x], plain);
                let h = add(draw.dense(inputs, outputs, case.bias).into(), &[standard], phi);
                let f = add(draw.dense(outputs, outputs, case.bias).into(), &[h], plain);
                let skip = skip(&mut add, x, projection);
                add(Op::Add, &[skip, f], plain)
            }
            Form::Residual | Form::Chain | Form::Odd => {
                let (projection, op) = (dense(inputs, false), dense(inputs, true));
                let skip = skip(&mut add, x, projection);
                let f = add(op, &[x], plain);
                add(Op::Add, &[f, skip], phi)
            }
        };
    }
    builder.finish().unwrap()
}

/// Every form with every normalization, loss, and curved and piecewise linear activations, at ragged widths and sample counts.
pub(crate) fn cases() -> Vec<Case> {
    let norms = Standardizing::ALL.into_iter().flat_map(|norm| [Form::Normalized(norm), Form::PreNorm(norm)]);
    let activations = [Activation::Gelu, Activation::Relu, Activation::Mish, Activation::Tanh, Activation::Hardswish];
    let shapes: [(&[usize], usize); 4] = [(&[5, 9, 9, 3], 13), (&[8, 17, 4], 37), (&[33, 65, 65, 10], 70), (&[6, 6, 11, 2], 263)];
    let forms = norms.chain([Form::Residual, Form::Odd]);
    let with = |(number, form): (usize, Form)| {
        let (widths, samples) = shapes[number % shapes.len()];
        Case {
            widths: widths.to_vec(),
            form,
            activation: activations[number % activations.len()],
            output_activation: if number % 5 == 2 { Activation::Tanh } else { Activation::Identity },
            loss: LOSSES[number % 3],
            bias: number % 4 != 1,
            samples,
            weight_decay: if number.is_multiple_of(2) { 0.05 } else { 0.0 },
            seed: 800 + number as u64,
            ..Case::default()
        }
    };
    forms.cycle().take(16).enumerate().map(with).collect()
}
