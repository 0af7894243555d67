//! Which parts of its passes a product needs where only some parameters are examined.
//!
//! Along a direction that is 0 outside of the chosen parameters, a value has a tangent only where a chosen parameter lies in the layer that
//! makes it or in one before; and of the way back only R δ of the same layers is asked for, since δ leads to a chosen parameter from no
//! other. So one rule says what both passes do: layers that do not move are left out of them. A block of the last layer costs two
//! products, one of the first nearly all.

use std::ops::Range;

use crate::model::{Layout, Network};

/// What a product needs of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerReach {
    /// Whether parameters of its weight (or gain) are chosen.
    pub weight: bool,
    /// Whether parameters of its bias (or shift) are.
    pub bias: bool,
    /// Whether what it makes has a tangent: a parameter is chosen in it, or in a layer that it depends on.
    pub moves: bool,
}

/// What a product needs of each layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach(Vec<LayerReach>);

impl Reach {
    /// All layers, all parameters.
    pub fn whole(layout: &Layout) -> Self {
        Self(
            layout
                .layers()
                .iter()
                .map(|layer| LayerReach { weight: !layer.weight.is_empty(), bias: layer.bias.is_some(), moves: true })
                .collect(),
        )
    }

    /// Where the parameters in `chosen` are examined; `sources` are the values that each layer reads, as
    /// [`Layer::sources`](crate::model::Layer::sources).
    pub fn new<'a>(layout: &Layout, sources: impl IntoIterator<Item = &'a [usize]>, chosen: &[Range<usize>]) -> Self {
        let holds = |range: &Range<usize>| chosen.iter().any(|chosen| chosen.start.max(range.start) < chosen.end.min(range.end));
        let mut reach = Self(Vec::with_capacity(layout.layers().len()));
        for (layer, sources) in layout.layers().iter().zip(sources) {
            let (weight, bias) = (holds(&layer.weight), layer.bias.as_ref().is_some_and(holds));
            let moves = weight || bias || sources.iter().any(|&source| reach.moves(source));
            reach.0.push(LayerReach { weight, bias, moves });
        }
        reach
    }

    /// That of `network`.
    pub fn of(network: &Network, chosen: &[Range<usize>]) -> Self {
        Self::new(&network.layout(), network.layers().iter().map(|layer| layer.sources.as_slice()), chosen)
    }

    /// Layer by layer.
    pub fn layers(&self) -> &[LayerReach] {
        &self.0
    }

    /// Whether value `value` has a tangent: 0 is the network's input, which has none, l + 1 what layer l makes.
    pub fn moves(&self, value: usize) -> bool {
        value.checked_sub(1).is_some_and(|layer| self.0[layer].moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers of 2 x 2 and a bias; the third adds what the first two make, the fourth reads the sum.
    fn reach(chosen: Range<usize>) -> Vec<(bool, bool, bool)> {
        let layout = Layout::new([[4, 2], [4, 2], [0, 0], [4, 0]]);
        let sources: [&[usize]; 4] = [&[0], &[1], &[1, 2], &[3]];
        Reach::new(&layout, sources, &[chosen]).layers().iter().map(|layer| (layer.weight, layer.bias, layer.moves)).collect()
    }

    #[test]
    fn what_depends_on_a_chosen_parameter_moves() {
        let (still, passing) = ((false, false, false), (false, false, true));
        assert_eq!(reach(4..5), [(false, true, true), passing, passing, passing]);
        assert_eq!(reach(9..11), [still, (true, true, true), passing, passing]);
        assert_eq!(reach(12..16), [still, still, still, (true, false, true)]);
        assert_eq!(reach(3..13), [(true, true, true), (true, true, true), passing, (true, false, true)]);
    }
}
