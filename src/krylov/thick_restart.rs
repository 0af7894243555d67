//! Thick-restart block Lanczos (Wu and Simon 2000): a Krylov space of bounded size that is compressed to its best Ritz vectors.
//!
//! A key design decision: the space is a list of single orthonormal vectors, whatever the width of the block that is multiplied at once,
//! and its last ones, the frontier, are what the next product is made of. So a restart, a locked eigenvector, a start from earlier
//! vectors and a breakdown are all the same thing: a list of vectors, with what is known of A between them ([`Projected`]). Each new
//! vector is made orthogonal to the whole list, twice: copies of an eigenvalue that are not there ("ghosts") cannot arise.
//!
//! The host looks at no number between two calls of [`ThickRestart::extend`]; one readback ends each.

use std::time::Instant;

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::lanczos::{BREAKDOWN, LanczosSeconds};
use super::operator::{Basis, Block, LinearOperator, Scalars};
use super::projected::{Projected, RitzPairs};
use super::space::{Slot, VectorSpace};
use crate::error::{Error, Result};
use crate::rng::Distribution;

/// Where vectors without a meaning of their own come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RandomVectors {
    pub(super) seed: u64,
    /// The generator's number of the next one.
    pub(super) next: u32,
}

impl RandomVectors {
    pub(super) fn draw<S: VectorSpace>(&mut self, space: &S) -> Result<S::Block> {
        let mut x = space.block(1)?;
        space.fill(&mut x, Distribution::Gaussian, self.seed, self.next)?;
        self.next += 1;
        Ok(x)
    }
}

/// A Krylov space of P A P, P the projection onto the complement of the locked vectors.
pub(super) struct ThickRestart<'a, A: LinearOperator> {
    operator: &'a A,
    /// b, the most columns of a product.
    width: usize,
    /// M, the most vectors of Q.
    capacity: usize,
    locked: usize,
    /// The locked vectors, Q, and the frontier F.
    basis: Basis<A>,
    projected: Projected,
    /// F, column by column.
    frontier: Vec<Block<A>>,
    /// A F and what becomes of it.
    images: Vec<Block<A>>,
    random: RandomVectors,
    products: usize,
    seconds: LanczosSeconds,
}

/// All that a run is after a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Compressed {
    /// Q, then F.
    vectors: Vec<Vec<f64>>,
    values: Vec<f64>,
    coupling: Vec<Vec<f64>>,
    largest: f64,
    random: RandomVectors,
}

/// One product of the frontier, `width` columns, that left `new` vectors.
#[derive(Clone, Copy)]
struct Step {
    width: usize,
    new: usize,
}

impl<'a, A: LinearOperator> ThickRestart<'a, A> {
    /// Starts from `starts`, single columns that need not be orthonormal, in the complement of `locked`; where they are fewer than
    /// `width` random ones fill up. `capacity` vectors are kept at most. `scale` is what is known of ‖A‖, by which a breakdown is judged.
    pub(super) fn new(
        operator: &'a A,
        locked: &[&Block<A>],
        starts: Vec<Block<A>>,
        (width, capacity): (usize, usize),
        random: RandomVectors,
        scale: f64,
    ) -> Result<Self> {
        let space = operator.space();
        let room = space.dim() - locked.len();
        let (width, capacity) = (width.min(room), capacity.min(room));
        let mut basis = space.basis(locked.len() + capacity + 2 * width, 1)?;
        locked.iter().try_for_each(|vector| space.push(&mut basis, vector))?;
        let images = (0..width).map(|_| space.block(1)).collect::<Result<_>>()?;
        let mut run = Self {
            operator,
            width,
            capacity,
            locked: locked.len(),
            basis,
            projected: Projected::new(0, scale),
            frontier: Vec::new(),
            images,
            random,
            products: 0,
            seconds: LanczosSeconds::default(),
        };
        starts.into_iter().take(width).try_for_each(|start| run.join_frontier(start))?;
        while run.frontier.len() < width {
            run.join_frontier_randomly()?;
        }
        run.projected = Projected::new(width, scale);
        Ok(run)
    }

    /// m, the vectors of Q.
    pub(super) fn len(&self) -> usize {
        self.projected.len()
    }

    /// M.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether Q cannot be extended without a restart.
    pub(super) fn is_full(&self) -> bool {
        self.len() + self.frontier.len() > self.capacity
    }

    /// Whether Q spans all of the complement.
    pub(super) fn is_exhausted(&self) -> bool {
        self.frontier.is_empty()
    }

    /// Products with single columns so far.
    pub(super) fn products(&self) -> usize {
        self.products
    }

    pub(super) fn seconds(&self) -> LanczosSeconds {
        self.seconds
    }

    /// The generator as the run leaves it.
    pub(super) fn random(&self) -> RandomVectors {
        self.random
    }

    /// The Ritz pairs of Q.
    pub(super) fn ritz_pairs(&self) -> Result<RitzPairs> {
        self.projected.ritz_pairs()
    }

    /// See [`Projected::most_of_first`].
    pub(super) fn most_of_first(&self, ritz: &RitzPairs, x: f64) -> f64 {
        self.projected.most_of_first(ritz, x)
    }

    /// Extends Q to `target` vectors, or as far as the capacity, the dimension or a breakdown let it. One readback.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a coefficient is not finite; device failure.
    pub(super) fn extend(&mut self, target: usize) -> Result<()> {
        let space = self.operator.space();
        let per_step = 2 * self.width * self.width;
        let most = target.saturating_sub(self.len()).div_ceil(self.frontier.len().max(1)) + 1;
        if target <= self.len() || self.is_exhausted() {
            return Ok(());
        }
        let mut scalars = space.scalars(most * per_step, 1)?;
        let mut wide = if self.width > 1 { Some((space.block(self.width)?, space.block(self.width)?)) } else { None };
        let (mut steps, mut len) = (Vec::new(), self.len());
        while len < target && len + self.frontier.len() <= self.capacity && !self.frontier.is_empty() {
            len += self.frontier.len();
            let room = space.dim() - self.locked - len;
            steps.push(self.step(&mut scalars, steps.len() * per_step, room, &mut wide)?);
        }
        let values = space.read(&scalars)?;
        for (step, values) in steps.into_iter().zip(values.chunks_exact(per_step)) {
            if let Some(broken) = self.absorb(step, values)? {
                return self.mend(step, broken);
            }
        }
        Ok(())
    }

    /// A F, its products with F, and the orthonormal remainder, which becomes the frontier.
    fn step(&mut self, scalars: &mut Scalars<A>, first: usize, room: usize, wide: &mut Option<(Block<A>, Block<A>)>) -> Result<Step> {
        let space = self.operator.space();
        let width = self.frontier.len();
        let new = width.min(room);
        let slots = Slots { first, width: self.width };
        let begin = Instant::now();
        if width == 1 {
            self.operator.apply(&self.frontier[0], &mut self.images[0])?;
        } else {
            // Of blocks that a breakdown or the dimension has narrowed, too: they are as wide as the frontier.
            let fits = width == self.width;
            let narrow = if fits { None } else { Some((space.block(width)?, space.block(width)?)) };
            let (mut own, shared) = (narrow, wide.as_mut());
            if let Some((x, y)) = own.as_mut().or(shared) {
                space.gather(&self.frontier, x)?;
                self.operator.apply(x, y)?;
                space.scatter(y, &mut self.images[..width])?;
            }
        }
        self.seconds.products += begin.elapsed();
        self.products += width;
        for i in 0..width {
            for j in 0..=i {
                space.dot(&self.frontier[j], &self.images[i], scalars, slots.within(j, i))?;
            }
        }
        let begin = Instant::now();
        for i in 0..width {
            let (before, rest) = self.images.split_at_mut(i);
            for (l, earlier) in before.iter().take(new).enumerate() {
                space.dot(earlier, &rest[0], scalars, slots.beyond(l, i))?;
            }
            if i < new {
                space.orthogonalize(&self.basis, &mut rest[0])?;
                space.normalize(&mut rest[0], scalars, slots.beyond(i, i))?;
                space.push(&mut self.basis, &rest[0])?;
            }
        }
        self.seconds.orthogonalization += begin.elapsed();
        std::mem::swap(&mut self.frontier, &mut self.images);
        // The spare blocks go back to where the next products are made.
        self.images.extend(self.frontier.drain(new..));
        Ok(Step { width, new })
    }

    /// Takes up a step's coefficients: the first column that broke down, if one did.
    fn absorb(&mut self, step: Step, values: &[f64]) -> Result<Option<usize>> {
        let slots = Slots { first: 0, width: self.width };
        let at = |slot: Slot| values[slot.0];
        if let Some(value) = (0..step.width)
            .flat_map(|i| (0..=i).map(move |j| (j, i)))
            .flat_map(|(j, i)| [at(slots.within(j, i)), at(slots.beyond(j, i))])
            .find(|value| !value.is_finite())
        {
            return Err(Error::NonFinite(format!(
                "Lanczos: after {} vectors a coefficient is {value}: a product is not finite; check the weights and the data's scale, or use \
                 --precision f64",
                self.len()
            )));
        }
        let within = Mat::from_fn(step.width, step.width, |i, j| at(slots.within(i.min(j), i.max(j))));
        let beyond = Mat::from_fn(step.new, step.width, |l, i| if l <= i { at(slots.beyond(l, i)) } else { 0.0 });
        for entry in within.col_iter().chain(beyond.col_iter()).flat_map(|column| column.iter().copied().collect::<Vec<_>>()) {
            self.projected.grow_scale(entry);
        }
        let threshold = BREAKDOWN * self.operator.space().precision().epsilon() * self.projected.largest();
        self.projected.absorb(&within, &beyond);
        Ok((0..step.new).find(|&i| beyond[(i, i)] <= threshold))
    }

    /// Column `broken` of the last absorbed step left nothing new: what came after it is cut off, a random vector takes its place, and
    /// the step's later columns, whose images were made orthogonal to noise, return to the frontier.
    fn mend(&mut self, step: Step, broken: usize) -> Result<()> {
        let space = self.operator.space();
        let len = self.len() - (step.width - 1 - broken);
        let end = self.locked + self.len();
        let mut returning = Vec::new();
        for place in (end..end + broken).chain(self.locked + len..end) {
            let mut unit = vec![0.0; place + 1];
            unit[place] = 1.0;
            let mut vector = space.block(1)?;
            space.combine(&self.basis, &unit, &mut vector)?;
            returning.push(vector);
        }
        let fresh = usize::from(len + returning.len() < space.dim() - self.locked);
        self.projected.cut(len, broken, fresh);
        space.truncate(&mut self.basis, self.locked + len);
        self.images.append(&mut self.frontier);
        self.images.truncate(self.width);
        for vector in returning {
            space.push(&mut self.basis, &vector)?;
            self.frontier.push(vector);
        }
        if fresh > 0 { self.join_frontier_randomly() } else { Ok(()) }
    }

    fn join_frontier_randomly(&mut self) -> Result<()> {
        let start = self.random.draw(self.operator.space())?;
        self.join_frontier(start)
    }

    fn join_frontier(&mut self, mut start: Block<A>) -> Result<()> {
        let space = self.operator.space();
        let mut norm = space.scalars(1, 1)?;
        space.normalize(&mut start, &mut norm, Slot(0))?;
        space.orthogonalize(&self.basis, &mut start)?;
        space.normalize(&mut start, &mut norm, Slot(0))?;
        space.push(&mut self.basis, &start)?;
        self.frontier.push(start);
        Ok(())
    }

    /// y = Q s for Ritz pair `index`.
    pub(super) fn ritz_vector(&self, ritz: &RitzPairs, index: usize) -> Result<Block<A>> {
        let space = self.operator.space();
        let mut coefficients = vec![0.0; self.locked];
        coefficients.extend(ritz.vectors.col(index).iter());
        let mut vector = space.block(1)?;
        space.combine(&self.basis, &coefficients, &mut vector)?;
        Ok(vector)
    }

    /// Q ← the Ritz vectors `kept`, which are returned; the frontier stays.
    pub(super) fn restart(&mut self, ritz: &RitzPairs, kept: &[usize]) -> Result<Vec<Block<A>>> {
        let space = self.operator.space();
        let vectors = kept.iter().map(|&index| self.ritz_vector(ritz, index)).collect::<Result<Vec<_>>>()?;
        space.truncate(&mut self.basis, self.locked);
        vectors.iter().chain(&self.frontier).try_for_each(|vector| space.push(&mut self.basis, vector))?;
        self.projected.restrict(ritz, kept);
        Ok(vectors)
    }

    /// The run as a restart has left it, with the `vectors` that it returned.
    pub(super) fn compressed(&self, vectors: &[Block<A>]) -> Result<Compressed> {
        let space = self.operator.space();
        let vectors = vectors.iter().chain(&self.frontier).map(|vector| space.download(vector)).collect::<Result<_>>()?;
        let (values, coupling) = self.projected.parts();
        Ok(Compressed { vectors, values, coupling, largest: self.projected.largest(), random: self.random })
    }

    /// Goes on from where another run was, with the same locked vectors.
    pub(super) fn resume(&mut self, from: &Compressed) -> Result<()> {
        let space = self.operator.space();
        space.truncate(&mut self.basis, self.locked);
        self.frontier.clear();
        for (index, values) in from.vectors.iter().enumerate() {
            let mut vector = space.block(1)?;
            space.upload(values, &mut vector)?;
            space.push(&mut self.basis, &vector)?;
            if index >= from.values.len() {
                self.frontier.push(vector);
            }
        }
        self.projected = Projected::diagonal(&from.values, &from.coupling, from.largest);
        self.random = from.random;
        Ok(())
    }
}

/// Where a step's coefficients are: two b × b matrices.
#[derive(Clone, Copy)]
struct Slots {
    first: usize,
    width: usize,
}

impl Slots {
    /// fⱼᵀ A fᵢ.
    fn within(self, j: usize, i: usize) -> Slot {
        Slot(self.first + i * self.width + j)
    }

    /// What A fᵢ has of the l-th new vector.
    fn beyond(self, l: usize, i: usize) -> Slot {
        Slot(self.first + (self.width + l) * self.width + i)
    }
}
