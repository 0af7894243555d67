//! The parameters of a network as one vector, in PyTorch's order (`parameters_to_vector`): layer by layer, the weight row by row,
//! then the bias.

use std::ops::Range;

/// Where the parameters of one layer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRange {
    /// The weight's elements, [outputs, inputs] row by row.
    pub weight: Range<usize>,
    /// The bias's elements, as many as outputs.
    pub bias: Option<Range<usize>>,
}

/// Where every layer's parameters are in the vector of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    layers: Vec<LayerRange>,
    dim: usize,
}

impl Layout {
    /// The layout of layers given as (outputs, inputs, has a bias).
    pub fn new(shapes: impl IntoIterator<Item = (usize, usize, bool)>) -> Self {
        let mut dim = 0;
        let mut take = |count: usize| {
            dim += count;
            dim - count..dim
        };
        let layers = shapes
            .into_iter()
            .map(|(outputs, inputs, has_bias)| LayerRange { weight: take(outputs * inputs), bias: has_bias.then(|| take(outputs)) })
            .collect();
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
        let layout = Layout::new([(2, 3, true), (1, 2, false), (4, 1, true)]);
        assert_eq!(layout.layers()[0], LayerRange { weight: 0..6, bias: Some(6..8) });
        assert_eq!(layout.layers()[1], LayerRange { weight: 8..10, bias: None });
        assert_eq!(layout.layers()[2], LayerRange { weight: 10..14, bias: Some(14..18) });
        assert_eq!(layout.dim(), 18);
    }
}
