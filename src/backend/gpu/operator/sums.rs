//! The sums over the samples: each layer's part of a product or of the gradient.

use super::super::array::Array;
use super::super::cut::Cut;
use super::super::kernel::Kernel;
use super::super::linearization::{OpModel, Point};
use super::super::product;
use super::super::space::GpuBlock;
use super::{Gpu, Passes};
use crate::error::Result;
use crate::model::WeightDecay;
use crate::numeric::Real as _;

impl Gpu {
    /// Layer `index`'s part of the product, Rδ zᵀ + δ Rzᵀ + λV, and of its bias; without the network's own curvature Rδ zᵀ + λV. Of a
    /// normalization Rδ ⊙ x̂ + δ ⊙ Rx̂ + λV in place of the former. Only what is reached.
    pub(super) fn weights(&self, passes: &Passes<'_>, index: usize, vector: &GpuBlock, result: &GpuBlock) -> Result<()> {
        let &Passes { ref cut, input, point, tangents, accumulate, .. } = passes;
        let (layer, reach) = (&self.model.layers[index], passes.reach.layers()[index]);
        let extents = layer.extents;
        let mixed = self.model.curvature.has_network_curvature();
        let rinput = if layer.op == OpModel::Dense { passes.tangent(layer.sources[0]) } else { tangents.standards[index].as_ref() };
        let rinput = rinput.filter(|_| mixed);
        let (of_gain, terms) = if rinput.is_some() { (Kernel::GainSums, 2) } else { (Kernel::GainSumsFirst, 1) };
        let decay = if self.model.curvature.has_weight_decay() { self.weight_decay } else { WeightDecay::default() };
        let [decay, of_others] = [decay.factor, decay.of_biases()].map(f32::from_f64);
        let mut read = vec![(1, &*tangents.deltas[index])];
        read.extend(rinput.into_iter().flat_map(|rinput| [(3, &*point.layers[index].delta), (4, &**rinput)]));
        let with = |shard: usize| [&read[..], &[(5, &*vector.shards[shard]), (6, &*result.shards[shard])]].concat();
        let mut biases_are_made = !reach.bias;
        match &point.layers[index].standard {
            _ if !reach.weight => {}
            None => {
                let incoming = point.value(layer.sources[0], input);
                // Where there is no second term, what is bound in its place is not read.
                let second = if rinput.is_some() { vec![] } else { vec![(3, &*point.layers[index].delta), (4, &**incoming)] };
                for step in cut.weights(index, extents, terms, (decay, reach.bias.then_some(of_others)), accumulate) {
                    biases_are_made |= step.params.bias_offset > 0;
                    let bindings = [&with(step.shard)[..], &second, &[(2, &**incoming)]].concat();
                    product::weights_with(cut.device, Kernel::Weights, step.tile, step.params, step.directions, &bindings)?;
                }
            }
            Some(standard) => {
                for (shard, params) in cut.gains(index, extents, of_others, accumulate) {
                    product::bias(cut.device, of_gain, params, cut.directions, &[&with(shard)[..], &[(2, &**standard)]].concat())?;
                }
            }
        }
        if biases_are_made {
            return Ok(());
        }
        for (shard, params) in cut.biases(index, extents, of_others, accumulate) {
            let bindings = [(1, &*tangents.deltas[index]), (5, &*vector.shards[shard]), (6, &*result.shards[shard])];
            product::bias(cut.device, Kernel::BiasSums, params, cut.directions, &bindings)?;
        }
        Ok(())
    }

    /// Adds a segment's part to the gradient, and that of `decay` with the first.
    pub(super) fn gradient(
        &self,
        cut: &Cut<'_>,
        (input, point): (&Array, &Point),
        decay: WeightDecay,
        accumulate: bool,
        gradient: &GpuBlock,
    ) -> Result<()> {
        let [decay, of_others] = [decay.factor, decay.of_biases()].map(f32::from_f64);
        let cut = &Cut { once: true, ..*cut };
        for (index, (layer, at)) in self.model.layers.iter().zip(&point.layers).enumerate() {
            let arrays = |shard: usize| [(5, &*self.model.parameters.shards[shard]), (6, &*gradient.shards[shard]), (3, &*at.delta)];
            if layer.op == OpModel::Dense {
                let incoming = point.value(layer.sources[0], input);
                for step in cut.weights(index, layer.extents, 1, (decay, None), accumulate) {
                    let bindings = [&arrays(step.shard)[..], &[(2, &**incoming)]].concat();
                    product::weights_with(cut.device, Kernel::Gradient, step.tile, step.params, 1, &bindings)?;
                }
            } else if let Some(standard) = &at.standard {
                for (shard, params) in cut.gains(index, layer.extents, of_others, accumulate) {
                    let bindings = [&arrays(shard)[..], &[(2, &**standard)]].concat();
                    product::bias(cut.device, Kernel::GainGradient, params, 1, &bindings)?;
                }
            }
            for (shard, params) in cut.biases(index, layer.extents, of_others, accumulate) {
                product::bias(cut.device, Kernel::BiasGradient, params, 1, &arrays(shard))?;
            }
        }
        Ok(())
    }
}
