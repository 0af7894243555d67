//! Some of the parameters, each in a unit of its own, and operators as they are seen there.
//!
//! A key design decision: restriction to a principal sub-block and preconditioning by a diagonal are one change of coordinates, a
//! property of the objective. A backend multiplies with all parameters, and [`Viewed`] puts the coordinates in and takes them out where the
//! vectors are; the backend is told which are chosen, so that it can leave out what these do not need. A view of everything costs nothing.

use std::cell::RefCell;
use std::ops::Range;

use globset::Glob;

use super::{BackendInfo, CurvatureOperator, KernelTime, Peaks};
use crate::error::{Error, Result};
use crate::krylov::{Block, LanczosSeconds, LinearOperator, Scalars, Slot, VectorSpace as _};
use crate::model::Tensor;

/// The coordinates u of an objective: θ_i = θ⁰_i + s_i·u_i for chosen parameters i, the others held. An operator A of θ becomes
/// S P A Pᵀ S.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    ranges: Vec<Range<usize>>,
    scale: Option<Vec<f64>>,
}

impl View {
    /// All `dim` parameters as they are.
    pub fn whole(dim: usize) -> Self {
        let all = 0..dim;
        Self { ranges: vec![all], scale: None }
    }

    /// The parameters in `ranges`, in their order among all parameters.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none or two ranges overlap.
    pub fn of(mut ranges: Vec<Range<usize>>) -> Result<Self> {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        if ranges.is_empty() || ranges.windows(2).any(|pair| pair[1].start < pair[0].end) {
            return Err(Error::Input(format!("parameters {ranges:?}: at least one is needed, and none twice")));
        }
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            match merged.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => merged.push(range),
            }
        }
        Ok(Self { ranges: merged, scale: None })
    }

    /// The tensors whose names match one of `patterns`: globs such as `0.*` or `*.weight`.
    ///
    /// # Errors
    /// [`Error::Input`] where a pattern is none or matches no tensor, with the names that there are.
    pub fn matching(tensors: &[Tensor], patterns: &[String]) -> Result<Self> {
        let mut chosen = vec![false; tensors.len()];
        for pattern in patterns {
            let glob = Glob::new(pattern).map_err(|error| Error::Input(format!("parameters '{pattern}': {}", error.kind())))?;
            let matcher = glob.compile_matcher();
            let before = chosen.iter().zip(tensors).any(|(_, tensor)| matcher.is_match(&tensor.name));
            if !before {
                let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
                return Err(Error::Input(format!("no tensor is named '{pattern}': there are {}", names.join(", "))));
            }
            chosen.iter_mut().zip(tensors).for_each(|(chosen, tensor)| *chosen |= matcher.is_match(&tensor.name));
        }
        Self::of(chosen.iter().zip(tensors).filter(|(chosen, _)| **chosen).map(|(_, tensor)| tensor.range.clone()).collect())
    }

    /// The same parameters in the units `scale`, one number for each of them.
    ///
    /// # Errors
    /// [`Error::Input`] where they are not as many; [`Error::NonFinite`] where one is not finite or not above 0.
    pub fn scaled(self, scale: Vec<f64>) -> Result<Self> {
        if scale.len() != self.dim() {
            return Err(Error::Input(format!("{} units for {} parameters", scale.len(), self.dim())));
        }
        if let Some(at) = scale.iter().position(|unit| !(unit.is_finite() && *unit > 0.0)) {
            return Err(Error::NonFinite(format!("the unit of parameter {at} is {}: it must be finite and above 0", scale[at])));
        }
        Ok(Self { scale: Some(scale), ..self })
    }

    /// The part of this view that lies in `range` of all parameters.
    ///
    /// # Errors
    /// [`Error::Input`] where none does.
    pub fn within(&self, range: &Range<usize>) -> Result<Self> {
        let cut = |own: &Range<usize>| own.start.max(range.start)..own.end.min(range.end);
        let part = Self::of(self.ranges.iter().map(cut).filter(|cut| cut.start < cut.end).collect())?;
        let Some(scale) = &self.scale else { return Ok(part) };
        let mut units = scale.iter();
        let mut own = Vec::with_capacity(part.dim());
        for index in self.ranges.iter().cloned().flatten() {
            own.extend(units.next().filter(|_| range.contains(&index)));
        }
        part.scaled(own)
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// The chosen parameters: ascending ranges of the vector of all of them, no two of which touch.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// s, a unit for each coordinate; none where all are 1.
    pub fn scale(&self) -> Option<&[f64]> {
        self.scale.as_deref()
    }

    /// Whether it is [`whole`](Self::whole) of `dim` parameters.
    pub fn is_whole(&self, dim: usize) -> bool {
        self.scale.is_none() && self.dim() == dim
    }

    /// The tensors of which coordinates are chosen, with their ranges among the coordinates.
    pub fn tensors(&self, tensors: &[Tensor]) -> Vec<Tensor> {
        let mut next = 0;
        let mut seen = Vec::new();
        for tensor in tensors {
            let inside = |range: &Range<usize>| range.end.min(tensor.range.end).saturating_sub(range.start.max(tensor.range.start));
            let count: usize = self.ranges.iter().map(inside).sum();
            if count > 0 {
                seen.push(Tensor { range: next..next + count, ..tensor.clone() });
                next += count;
            }
        }
        seen
    }

    /// S P g: a gradient by all parameters as one by the coordinates.
    pub fn gradient(&self, all: &[f64]) -> Vec<f64> {
        let mut chosen: Vec<f64> = self.ranges.iter().flat_map(|range| &all[range.clone()]).copied().collect();
        if let Some(scale) = &self.scale {
            chosen.iter_mut().zip(scale).for_each(|(g, unit)| *g *= unit);
        }
        chosen
    }

    /// The sum of the elements of S² P `squares`, for squares of gradients by all parameters: the trace of their second moment.
    pub fn sum_of_squares(&self, squares: &[f64]) -> f64 {
        let scaled = self.gradient(squares);
        scaled.iter().enumerate().map(|(at, square)| square * self.scale.as_ref().map_or(1.0, |scale| scale[at])).sum()
    }

    /// `theta` ← `theta` + P^T S (t·`u`): a step of t along the coordinates' vector `u`.
    pub fn step(&self, theta: &mut [f64], t: f64, u: &[f64]) {
        for (at, (index, u)) in self.ranges.iter().cloned().flatten().zip(u).enumerate() {
            theta[index] += t * u * self.scale.as_ref().map_or(1.0, |scale| scale[at]);
        }
    }

    /// u of the parameters `theta` for θ⁰ = 0.
    pub fn coordinates(&self, theta: &[f64]) -> Vec<f64> {
        let mut chosen: Vec<f64> = self.ranges.iter().flat_map(|range| &theta[range.clone()]).copied().collect();
        if let Some(scale) = &self.scale {
            chosen.iter_mut().zip(scale).for_each(|(theta, unit)| *theta /= unit);
        }
        chosen
    }
}

/// An operator of all parameters as it is in the coordinates of a view.
pub struct Viewed<'a, A: CurvatureOperator> {
    operator: &'a A,
    part: Option<Part<A>>,
}

/// What a view that is not the whole needs.
struct Part<A: CurvatureOperator> {
    ranges: Vec<Range<usize>>,
    space: A::Space,
    /// s at the chosen parameters, one column of all.
    scale: Option<Block<A>>,
    /// Pᵀ S x and A Pᵀ S x of the last products' width; what is not chosen is 0 in the first.
    scratch: RefCell<Option<Scratch<A>>>,
}

struct Scratch<A: CurvatureOperator> {
    columns: usize,
    x: Block<A>,
    y: Block<A>,
}

impl<'a, A: CurvatureOperator> Viewed<'a, A> {
    /// `operator` in the coordinates of `view`.
    ///
    /// # Errors
    /// [`Error::Input`] where the view is of more parameters than the operator; device failures.
    pub fn new(operator: &'a A, view: &View) -> Result<Self> {
        let whole = operator.space();
        let (dim, end) = (whole.dim(), view.ranges.last().map_or(0, |last| last.end));
        if end > dim {
            return Err(Error::Input(format!("a view of parameters up to {end}, but there are {dim}")));
        }
        if view.is_whole(dim) {
            return Ok(Self { operator, part: None });
        }
        let space = whole.of_length(view.dim())?;
        let scale = view.scale().map(|scale| {
            let (mut units, mut all) = (space.block(1)?, whole.block(1)?);
            space.upload(scale, &mut units)?;
            whole.put(&units, &space, &view.ranges, &mut all)?;
            Ok(all)
        });
        let part = Part { ranges: view.ranges.clone(), space, scale: scale.transpose()?, scratch: RefCell::default() };
        Ok(Self { operator, part: Some(part) })
    }

    fn vector_bytes(&self) -> usize {
        let space = self.operator.space();
        space.dim() * space.precision().bytes()
    }
}

impl<A: CurvatureOperator> Part<A> {
    /// Calls `multiply` with x put among all parameters, and takes what it makes of that.
    fn around(
        &self,
        whole: &A::Space,
        (x, y): (&Block<A>, &mut Block<A>),
        multiply: impl FnOnce(&Block<A>, &mut Block<A>) -> Result<()>,
    ) -> Result<()> {
        let columns = self.space.columns(x);
        let mut held = self.scratch.borrow_mut();
        if held.as_ref().is_none_or(|scratch| scratch.columns != columns) {
            *held = None;
            *held = Some(Scratch { columns, x: whole.block(columns)?, y: whole.block(columns)? });
        }
        let Some(scratch) = held.as_mut() else { return Ok(()) };
        whole.put(x, &self.space, &self.ranges, &mut scratch.x)?;
        self.rescale(whole, &mut scratch.x)?;
        multiply(&scratch.x, &mut scratch.y)?;
        self.rescale(whole, &mut scratch.y)?;
        whole.take(&scratch.y, &self.ranges, &self.space, y)
    }

    fn rescale(&self, whole: &A::Space, x: &mut Block<A>) -> Result<()> {
        self.scale.as_ref().map_or(Ok(()), |scale| whole.multiply(scale, x))
    }
}

impl<A: CurvatureOperator> LinearOperator for Viewed<'_, A> {
    type Space = A::Space;

    fn space(&self) -> &A::Space {
        self.part.as_ref().map_or_else(|| self.operator.space(), |part| &part.space)
    }

    fn apply(&self, x: &Block<Self>, y: &mut Block<Self>) -> Result<()> {
        match &self.part {
            None => self.operator.apply(x, y),
            Some(part) => part.around(self.operator.space(), (x, y), |x, y| self.operator.apply_within(&part.ranges, x, y)),
        }
    }

    fn under_way(&self) -> u64 {
        self.operator.under_way()
    }
}

impl<A: CurvatureOperator> CurvatureOperator for Viewed<'_, A> {
    /// The gradient is that by the coordinates, S P ∇f.
    fn loss_and_gradient(&self, gradient: &mut Block<Self>, s: &mut Scalars<Self>, loss: Slot) -> Result<()> {
        let Some(part) = &self.part else { return self.operator.loss_and_gradient(gradient, s, loss) };
        let whole = self.operator.space();
        let mut all = whole.block(1)?;
        self.operator.loss_and_gradient(&mut all, s, loss)?;
        part.rescale(whole, &mut all)?;
        whole.take(&all, &part.ranges, &part.space, gradient)
    }

    fn loss_at(&self, parameters: &[f64]) -> Result<Option<f64>> {
        self.operator.loss_at(parameters)
    }

    fn products(&self) -> u64 {
        self.operator.products()
    }

    fn bytes(&self) -> usize {
        let scale = self.part.as_ref().filter(|part| part.scale.is_some()).map_or(0, |_| self.vector_bytes());
        self.operator.bytes() + scale
    }

    fn column_bytes(&self) -> usize {
        self.operator.column_bytes() + self.part.as_ref().map_or(0, |_| 2 * self.vector_bytes())
    }

    fn max_columns(&self) -> usize {
        self.operator.max_columns()
    }

    fn peaks(&self) -> Result<Peaks> {
        self.operator.peaks()
    }

    fn device_seconds(&self) -> Option<LanczosSeconds> {
        self.operator.device_seconds()
    }

    fn kernel_times(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Vec<KernelTime>>> {
        self.operator.kernel_times(work)
    }

    fn warnings(&self) -> Vec<String> {
        self.operator.warnings()
    }

    fn info(&self) -> BackendInfo {
        self.operator.info()
    }

    fn is_synchronous(&self) -> bool {
        self.operator.is_synchronous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<Tensor> {
        let tensor =
            |(name, range, layer): (&str, Range<usize>, usize)| Tensor { name: name.into(), shape: vec![range.len()], range, layer };
        [("0.weight", 0..6, 0), ("0.bias", 6..8, 0), ("2.weight", 8..10, 1), ("10.bias", 10..11, 2)].map(tensor).into()
    }

    fn chosen(patterns: &[&str]) -> Result<View> {
        View::matching(&tensors(), &patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_chosen_by_globs_and_neighbours_are_one_range() {
        assert_eq!(chosen(&["0.*"]).unwrap().ranges().first(), Some(&(0..8)));
        assert_eq!(chosen(&["10.bias", "*.weight"]).unwrap().ranges(), [0..6, 8..11]);
        assert!(chosen(&["*"]).unwrap().is_whole(11));
        let message = chosen(&["0.*", "1*.weight"]).unwrap_err().to_string();
        assert!(message.contains("'1*.weight'") && message.ends_with("0.weight, 0.bias, 2.weight, 10.bias"), "{message}");
        assert!(chosen(&["0.[a"]).unwrap_err().to_string().contains("'0.[a'"));
    }

    #[test]
    fn a_part_of_a_view_keeps_its_units() {
        let view = chosen(&["0.bias", "10.*"]).unwrap().scaled(vec![1.0, 2.0, 3.0]).unwrap();
        let part = view.within(&(7..11)).unwrap();
        assert_eq!((part.ranges(), part.scale()), (&[7..8, 10..11][..], Some(&[2.0, 3.0][..])));
        assert!(view.within(&(8..10)).is_err());
        let theta: Vec<f64> = (0..11).map(f64::from).collect();
        assert_eq!(view.coordinates(&theta), [6.0, 3.5, 10.0 / 3.0]);
        let seen = view.tensors(&tensors());
        assert_eq!(seen.iter().map(|tensor| tensor.range.clone()).collect::<Vec<_>>(), [0..2, 2..3]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(View::of(Vec::new()).is_err() && View::of(vec![3..6, 0..4]).is_err());
        for units in [vec![1.0; 10], vec![0.0; 11], vec![-1.0; 11], vec![f64::NAN; 11]] {
            assert!(View::whole(11).scaled(units).is_err());
        }
    }
}
