//! The weights and biases of dense layers along a vector of all parameters, as the passes take them.

use rayon::prelude::*;

use super::panels::Panels;
use super::shape::{LayerShape, OpShape};
use crate::numeric::Real;

/// What a vector of all parameters is to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// θ.
    Point,
    Direction,
}

/// The weights of all dense layers, for those passes that read them.
#[derive(Debug, Default)]
pub(super) struct Operands<T>(Vec<LayerOperands<T>>);

#[derive(Debug, Default)]
struct LayerOperands<T> {
    /// Wᵀ, [inputs, outputs].
    forward: Panels<T>,
    /// W, [outputs, inputs].
    backward: Panels<T>,
    /// The biases, [1, outputs].
    bias: Panels<T>,
}

/// A vector of all parameters, with its weights as the passes take them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a, T> {
    pub(super) values: &'a [T],
    pub(super) operands: &'a Operands<T>,
}

impl Role {
    /// Whether a layer's forward and its backward pass read its weights, and whether the forward one reads its biases.
    fn reads(self, shape: &LayerShape) -> [bool; 3] {
        let moves = shape.sources[0].layer.is_some();
        match self {
            _ if !matches!(shape.op, OpShape::Dense) => [false; 3],
            Self::Point => [moves, moves, false],
            Self::Direction => [shape.reach.weight, shape.reach.weight && shape.mixed && moves, shape.bias],
        }
    }
}

impl<T: Real> Operands<T> {
    /// Makes these those of `values`.
    pub(super) fn pack(&mut self, shapes: &[LayerShape], role: Role, values: &[T]) {
        self.0.resize_with(shapes.len(), LayerOperands::default);
        self.0.par_iter_mut().zip(shapes).for_each(|(layer, shape)| {
            let weight = &values[shape.weight.clone()];
            let [forward, backward, bias] = role.reads(shape);
            if forward {
                layer.forward.pack_transposed(weight, shape.inputs);
            }
            if backward {
                layer.backward.pack(weight, shape.inputs);
            }
            if bias {
                layer.bias.pack(&values[shape.weight.end..][..shape.outputs], shape.outputs);
            }
        });
    }

    /// Numbers that the operands have.
    pub(super) fn numbers(shapes: &[LayerShape], role: Role) -> usize {
        let layer = |shape: &LayerShape| {
            let [forward, backward, bias] = role.reads(shape).map(usize::from);
            Panels::<T>::count(forward * shape.inputs + bias, shape.outputs) + Panels::<T>::count(backward * shape.outputs, shape.inputs)
        };
        shapes.iter().map(layer).sum()
    }

    /// Bytes of the operands.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().flat_map(|layer| [&layer.forward, &layer.backward, &layer.bias]).map(Panels::bytes).sum()
    }
}

impl<'a, T> Parameters<'a, T> {
    /// Wᵀ of layer `l`, [inputs, outputs].
    pub(super) fn forward(self, l: usize) -> &'a Panels<T> {
        &self.operands.0[l].forward
    }

    /// W of layer `l`, [outputs, inputs].
    pub(super) fn backward(self, l: usize) -> &'a Panels<T> {
        &self.operands.0[l].backward
    }

    /// The biases of layer `l`, [1, outputs].
    pub(super) fn bias(self, l: usize) -> &'a Panels<T> {
        &self.operands.0[l].bias
    }
}
