//! The parameters of a network as one vector, in PyTorch's order (`parameters_to_vector`): layer by layer, the weight row by row,
//! then the bias; of a normalization the gain (`weight`), then the shift (`bias`).

use std::ops::Range;

/// Where the parameters of one layer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRange {
    /// The weight's elements, [outputs, inputs] row by row, or a normalization's gain; empty where there is none.
    pub weight: Range<usize>,
    /// The bias's elements, as many as outputs, or a normalization's shift.
    pub bias: Option<Range<usize>>,
}

/// Where every layer's parameters are in the vector of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    layers: Vec<LayerRange>,
    dim: usize,
}

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name where the network was read, such as `net.0.weight`; `0.weight` after the layer's number where it has none.
    pub name: String,
    /// The layer's number, from 0.
    pub layer: usize,
    /// [outputs, inputs] of a weight, `[n]` of all others.
    pub shape: Vec<usize>,
    /// Where its elements are.
    pub range: Range<usize>,
}

impl Tensor {
    /// The name without its last part: what the tensors of one layer have in common.
    pub fn module(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(module, _)| module)
    }
}

impl Layout {
    /// The layout of layers given as [numbers of the weight, numbers of the bias], 0 where there is none.
    pub fn new(counts: impl IntoIterator<Item = [usize; 2]>) -> Self {
        let mut dim = 0;
        let mut take = |count: usize| {
            dim += count;
            dim - count..dim
        };
        let layers =
            counts.into_iter().map(|[weight, bias]| LayerRange { weight: take(weight), bias: (bias > 0).then(|| take(bias)) }).collect();
        Self { layers, dim }
    }

    /// The layers' ranges, first to last.
    pub fn layers(&self) -> &[LayerRange] {
        &self.layers
    }

    /// The number of parameters.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_before_their_bias() {
        let layout = Layout::new([[6, 2], [2, 0], [0, 0], [4, 4]]);
        assert_eq!(layout.layers()[0], LayerRange { weight: 0..6, bias: Some(6..8) });
        assert_eq!(layout.layers()[1], LayerRange { weight: 8..10, bias: None });
        assert_eq!(layout.layers()[2], LayerRange { weight: 10..10, bias: None });
        assert_eq!(layout.layers()[3], LayerRange { weight: 10..14, bias: Some(14..18) });
        assert_eq!(layout.dim(), 18);
    }
}
