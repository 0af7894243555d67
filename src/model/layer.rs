//! What a layer computes: a dense product, a normalization, or a sum.

use super::activation::Activation;

/// One layer, z = φ(op(values that it reads)).
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it computes of them.
    pub op: Op,
    /// The values that it reads, by their numbers: 0 is the network's input, l + 1 what layer l makes. One, or two for a sum of two.
    pub sources: Vec<usize>,
    /// φ.
    pub activation: Activation,
    /// What the names of its tensors begin with where it was read, such as `net.0.`.
    pub prefix: Option<String>,
}

/// What a layer computes before its activation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// W x + b.
    Dense(Dense),
    /// A normalization.
    Norm(Norm),
    /// x + y, the end of a residual block; of a single value, x: an activation alone.
    Add,
}

/// W x + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// W, [outputs, inputs] row by row, exactly as stored (every format's numbers are doubles).
    pub weight: Vec<f64>,
    /// b, as many numbers as outputs.
    pub bias: Option<Vec<f64>>,
}

/// γ ⊙ x̂ + β, where x̂ is x brought to mean 0 and variance 1 in the sense of `kind`.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// What x̂ is.
    pub kind: NormKind,
    /// Width of x.
    pub width: usize,
    /// γ, PyTorch's `weight`; 1 where there is none.
    pub gain: Option<Vec<f64>>,
    /// β, PyTorch's `bias`, only beside a gain.
    pub shift: Option<Vec<f64>>,
}

/// How a normalization standardizes.
#[derive(Clone, Debug, PartialEq)]
pub enum NormKind {
    /// x̂ = (x − μ)/√(σ² + ε), mean and variance (divisor n) over the units of each sample (Ba, Kiros, Hinton 2016).
    Layer {
        /// ε.
        eps: f64,
    },
    /// x̂ = x/√(mean of x² + ε) over the units of each sample (Zhang, Sennrich 2019).
    Rms {
        /// ε.
        eps: f64,
    },
    /// x̂ = (x − μ)/√(σ² + ε) with constants for each unit: batch normalization in evaluation mode, whose running statistics are no
    /// parameters (Ioffe, Szegedy 2015). Gain and shift stay parameters of their own: folded into the weights before, the same
    /// function would have other parameters, and so another Hessian than PyTorch's.
    Batch {
        /// μ of each unit.
        mean: Vec<f64>,
        /// σ² of each unit.
        variance: Vec<f64>,
        /// ε.
        eps: f64,
    },
}

impl From<Dense> for Op {
    fn from(dense: Dense) -> Self {
        Self::Dense(dense)
    }
}

impl From<Norm> for Op {
    fn from(norm: Norm) -> Self {
        Self::Norm(norm)
    }
}

impl Op {
    /// The name in files and in the JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dense(_) => "dense",
            Self::Norm(norm) => norm.kind.name(),
            Self::Add => "add",
        }
    }

    /// The weight and the bias, or gain and shift.
    pub fn parameters(&self) -> [Option<&Vec<f64>>; 2] {
        match self {
            Self::Dense(dense) => [Some(&dense.weight), dense.bias.as_ref()],
            Self::Norm(norm) => [norm.gain.as_ref(), norm.shift.as_ref()],
            Self::Add => [None, None],
        }
    }

    /// The same with other parameters, as many.
    #[must_use]
    pub fn with_parameters(&self, weight: &[f64], bias: &[f64]) -> Self {
        let replaced = |old: &Option<Vec<f64>>, new: &[f64]| old.as_ref().map(|_| new.to_vec());
        match self {
            Self::Dense(dense) => Self::Dense(Dense { weight: weight.to_vec(), bias: replaced(&dense.bias, bias), ..dense.clone() }),
            Self::Norm(norm) => Self::Norm(Norm { gain: replaced(&norm.gain, weight), shift: replaced(&norm.shift, bias), ..norm.clone() }),
            Self::Add => Self::Add,
        }
    }
}

impl NormKind {
    /// The name in files and in the JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Layer { .. } => "layer-norm",
            Self::Rms { .. } => "rms-norm",
            Self::Batch { .. } => "batch-norm",
        }
    }

    /// ε.
    pub const fn eps(&self) -> f64 {
        let (Self::Layer { eps } | Self::Rms { eps } | Self::Batch { eps, .. }) = self;
        *eps
    }
}

impl Layer {
    /// W, b and their extents where it is dense.
    pub const fn dense(&self) -> Option<&Dense> {
        match &self.op {
            Op::Dense(dense) => Some(dense),
            _ => None,
        }
    }
}
