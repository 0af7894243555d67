//! The loss, at θ and at other points.
//!
//! A key design decision: a point that is only looked at takes the places of the parameters and of the passes at θ, which the next product
//! makes again. So a look takes no memory, and many of them one after another cost a pass forward each.

use super::super::linearization::Point;
use super::super::segment::Segment;
use super::super::space::{GpuScalars, groups, word};
use super::super::uniforms::Krylov;
use super::{Gpu, penalty};
use crate::error::{Error, Result};
use crate::krylov::{Slot, VectorSpace as _};
use crate::numeric::Real as _;

impl Gpu {
    /// f at other parameters than θ.
    pub(super) fn loss_elsewhere(&self, parameters: &[f64]) -> Result<f64> {
        let dim = self.space.dim();
        if parameters.len() != dim {
            return Err(Error::Input(format!("{} parameters for a network of {dim}", parameters.len())));
        }
        self.is_away.set(true);
        self.space.write(parameters, &self.model.parameters)?;
        let mut loss = self.space.scalars(1, 1)?;
        self.total_loss(&mut loss, Slot(0), penalty(&self.held.objective, parameters), |index, segment| {
            let (data, point) = self.held.room(&self.space, index)?;
            self.model.evaluate(&self.space, segment, data, point)?;
            Ok(point)
        })?;
        Ok(self.space.read(&loss)?[0])
    }

    /// Back to θ after losses elsewhere.
    pub(super) fn come_back(&self) -> Result<()> {
        if !self.is_away.replace(false) {
            return Ok(());
        }
        self.space.write(&self.held.objective.network().parameters(), &self.model.parameters)?;
        self.held.fill(&self.space, &self.model, false)
    }

    /// Row `slot` of `s` ← the sum of the losses that the segments' points hold, each as `pass` makes it, and of `penalty`.
    pub(super) fn total_loss<'a>(
        &'a self,
        s: &mut GpuScalars,
        slot: Slot,
        penalty: f64,
        pass: impl Fn(usize, &Segment) -> Result<&'a Point>,
    ) -> Result<()> {
        let groups_of = |segment: &Segment| groups(segment.padded / 4);
        let all_groups = self.held.segments.iter().map(groups_of).sum();
        let partials = self.space.partials(all_groups)?;
        let mut params = Krylov { columns: 1, all_groups: word(all_groups), ..Krylov::default() };
        for (index, segment) in self.held.segments.iter().enumerate() {
            let point = pass(index, segment)?;
            params.stride4 = word(segment.padded / 4);
            params.groups = word(groups_of(segment));
            self.space.partial_sum(params, &point.losses, &self.ones, &partials)?;
            params.first_group += params.groups;
        }
        let total = Krylov { slot: word(slot.0), constant: f32::from_f64(penalty), ..params };
        self.space.total(total, &partials, s)
    }
}
