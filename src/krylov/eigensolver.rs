//! Extreme eigenpairs by thick-restart Lanczos, none of them invented and none passed over.
//!
//! A Krylov space of one start holds one vector of each eigenspace: a small residual proves that an eigenvalue is near, not that it is
//! there once only. So a search is followed by a confirmation: a short run from a fresh random start in the complement of what is known,
//! which ends when an eigenvalue beyond the wanted ones would have been seen. Of a unit eigenvector with eigenvalue x the start holds at
//! most |G (x − T)⁻¹ e₁| (exact, see [`Projected::most_of_first`](super::projected)), and a random start holds as little as c with
//! probability √(2n/π)·c at most. What a confirmation finds is taken up, and the search goes on in the complement of all that converged.
//!
//! With the wanted pairs the confirmation locks others whose residuals are small beside their distance from the ends, although they are
//! not converged: it then sees the rest of the spectrum from afar, and a few steps suffice. By Haynsworth's inertia formula (1968) that
//! moves what it can see beyond x by Σ r²/(x − θ) at most, which is taken off.

use serde::{Deserialize, Serialize};

use super::lanczos::LanczosSeconds;
use super::operator::{Block, LinearOperator};
use super::projected::RitzPairs;
use super::ritz::RitzValue;
use super::space::VectorSpace as _;
use super::thick_restart::{Compressed, RandomVectors, ThickRestart};
use super::wanted::{Chosen, Wanted};
use crate::error::Result;

/// What of a pair is held against the tolerance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TolOf {
    /// The norm r of its residual: the value and the vector are both good.
    #[default]
    Residual,
    /// What the value can be off by, the lesser of r and r²/gap (Kato and Temple; Parlett 1998, theorem 11.7.1). The gap to the nearest other
    /// eigenvalue is what the other Ritz values and their residuals leave of it: an estimate.
    Value,
}

/// How to run [`eigenpairs`].
#[derive(Clone, Debug)]
pub struct EigenOptions {
    /// Which pairs.
    pub wanted: Wanted,
    /// Columns of a product, b: a search sees b members of a multiple eigenvalue at once.
    pub width: usize,
    /// Vectors of a Krylov space, M: above the wanted ones by at least twice the width.
    pub capacity: usize,
    /// What is held against the tolerance.
    pub tol_of: TolOf,
    /// A pair is converged where that is at most `tol`·max|θ|.
    pub tol: f64,
    /// Whether to look for eigenvalues that were passed over.
    pub confirm: bool,
    /// The most products with single vectors.
    pub max_products: usize,
    /// The seed of all random vectors.
    pub seed: u64,
}

impl Default for EigenOptions {
    fn default() -> Self {
        Self {
            wanted: Wanted::Ends { top: 1, bottom: 1 },
            width: 1,
            capacity: 300,
            tol_of: TolOf::Residual,
            tol: 1e-10,
            confirm: true,
            max_products: 5000,
            seed: 0,
        }
    }
}

/// θ, the norm of its residual, and the unit vector.
pub struct EigenPair<A: LinearOperator> {
    /// θ and ‖A y − θ y‖ as the recurrence has it.
    pub ritz: RitzValue,
    /// What is held against the tolerance.
    pub error: f64,
    /// y, n × 1.
    pub vector: Block<A>,
}

/// What was found.
pub struct EigenSolution<A: LinearOperator> {
    /// All pairs that are wanted.
    pub pairs: Vec<EigenPair<A>>,
    /// Which of them are the largest ones, and which the smallest.
    pub chosen: Chosen,
    /// max|θ|.
    pub scale: f64,
    /// Whether all are there and converged.
    pub converged: bool,
    /// The probability, over the random starts, that an eigenvalue beyond the last ones by more than `margin` was passed over; 0 where the
    /// space was exhausted, none where that was not asked for or the products did not suffice to say.
    pub miss_probability: Option<f64>,
    /// Four tolerances or, if that is more, four of the largest residuals.
    pub margin: f64,
    /// Whether the Krylov space became the whole space.
    pub exhausted: bool,
    /// Products of the searches.
    pub search_products: usize,
    /// Products of the confirmations.
    pub confirmation_products: usize,
    /// How often a full Krylov space was compressed.
    pub restarts: usize,
    /// Searches; more than one where a confirmation found a further member of a multiple eigenvalue.
    pub searches: usize,
    /// Time.
    pub seconds: LanczosSeconds,
}

/// Who is told after each readback: products so far, converged pairs, wanted ones.
pub type Observer<'a> = &'a dyn Fn(usize, usize, usize);

/// An eigenvalue is looked for beyond the last wanted one by so many tolerances, or residuals where they are larger: within that, values
/// are not told apart.
pub(super) const MARGIN: f64 = 4.0;

/// Steps beyond as many as are wanted before a search looks for the first time: each look costs a readback, each step a product.
const FIRST_LOOK: usize = 6;

/// The probability with which a confirmation may be wrong at each end.
const MISS_PROBABILITY: f64 = 1e-3;

/// A pair that is not wanted is locked in a confirmation where that moves what is seen by this share of its distance at most.
const LOCKED_SHIFT: f64 = 0.1;

/// Finds the wanted eigenpairs of `operator`, from `starts` (single columns, at most as many as the width; random ones fill up).
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) where products are; device failure. Not to converge is no error.
pub fn eigenpairs<A: LinearOperator>(
    operator: &A,
    options: &EigenOptions,
    starts: Vec<Block<A>>,
    observe: Observer<'_>,
) -> Result<EigenSolution<A>> {
    let mut solver =
        Solver { operator, options, observe, random: RandomVectors { seed: options.seed, next: 0 }, scale: 0.0, tally: Tally::default() };
    solver.solve(starts)
}

#[derive(Default)]
struct Tally {
    search: usize,
    confirmation: usize,
    restarts: usize,
    searches: usize,
    seconds: LanczosSeconds,
}

struct Solver<'a, A> {
    operator: &'a A,
    options: &'a EigenOptions,
    observe: Observer<'a>,
    random: RandomVectors,
    /// max|θ| so far.
    scale: f64,
    tally: Tally,
}

/// A search at a restart: what it needs of all that it has done.
#[derive(Serialize, Deserialize)]
struct Restarted {
    run: Compressed,
    /// Products and restarts of all searches up to there.
    products: usize,
    restarts: usize,
}

/// The end of a search: what is known, and the choice among it.
struct Searched<A: LinearOperator> {
    /// The locked pairs, the wanted ones, then those that only help to confirm.
    pairs: Vec<EigenPair<A>>,
    /// How many are not mere helpers.
    kept: usize,
    chosen: Chosen,
    scale: f64,
    converged: bool,
    exhausted: bool,
    margin: f64,
}

enum Verdict<A: LinearOperator> {
    Confirmed(f64),
    Found(Block<A>),
    /// Something is too near to the last wanted value to be told apart while helpers are locked.
    Blurred,
    Undecided,
}

impl<A: LinearOperator> Solver<'_, A> {
    fn solve(&mut self, mut starts: Vec<Block<A>>) -> Result<EigenSolution<A>> {
        let mut locked = Vec::new();
        loop {
            let mut searched = self.search(locked, starts)?;
            // Where not a single coefficient differs from zero, the operator is zero: a random start would have shown anything else.
            let certain = searched.exhausted || searched.scale == 0.0;
            if certain || !searched.converged || !self.options.confirm {
                let probability = certain.then_some(0.0);
                return Ok(self.solution(searched, probability));
            }
            let verdict = match self.confirm(&searched)? {
                Verdict::Blurred => {
                    searched.pairs.truncate(searched.kept);
                    self.confirm(&searched)?
                }
                verdict => verdict,
            };
            match verdict {
                Verdict::Confirmed(probability) => return Ok(self.solution(searched, Some(probability))),
                Verdict::Found(start) => {
                    searched.pairs.truncate(searched.kept);
                    (locked, starts) = (searched.pairs, vec![start]);
                }
                Verdict::Blurred | Verdict::Undecided => return Ok(self.solution(searched, None)),
            }
        }
    }

    fn products_left(&self) -> usize {
        self.options.max_products.saturating_sub(self.tally.search + self.tally.confirmation)
    }

    /// Extends and compresses a Krylov space in the complement of the `locked` pairs until the wanted among all are converged.
    fn search(&mut self, locked: Vec<EigenPair<A>>, starts: Vec<Block<A>>) -> Result<Searched<A>> {
        let EigenOptions { wanted, width, capacity, tol_of, tol, .. } = *self.options;
        let vectors: Vec<&Block<A>> = locked.iter().map(|pair| &pair.vector).collect();
        let mut run = ThickRestart::new(self.operator, &vectors, starts, (width, capacity), self.random, self.scale)?;
        let mut target = wanted.count() + FIRST_LOOK;
        self.tally.searches += 1;
        let (since, earlier) = self.operator.begin::<Restarted>("search")?;
        if let Some(Restarted { run: compressed, products, restarts }) = earlier {
            run.resume(&compressed)?;
            (self.tally.search, self.tally.restarts) = (products, restarts);
            target = further(run.len());
        }
        loop {
            let before = run.products();
            run.extend(target.min(run.len() + self.products_left()))?;
            self.tally.search += run.products() - before;
            let ritz = run.ritz_pairs()?;
            let values: Vec<f64> = locked.iter().map(|pair| pair.ritz.value).chain(ritz.values.iter().copied()).collect();
            let residual = |index: usize| match index.checked_sub(locked.len()) {
                None => locked[index].ritz.residual,
                Some(own) => ritz.residuals[own],
            };
            self.scale = values.iter().fold(0.0, |scale: f64, value| scale.max(value.abs()));
            let scale = self.scale;
            let chosen = wanted.choose(&values);
            let all = chosen.all();
            let error = |index: usize| match tol_of {
                TolOf::Residual => residual(index),
                TolOf::Value => value_error(&values, residual, index),
            };
            let is_converged = |index: &usize| error(*index) <= tol * scale;
            let converged = all.iter().filter(|index| is_converged(index)).count();
            (self.observe)(self.tally.search + self.tally.confirmation, converged, wanted.count());
            let exhausted = run.is_exhausted();
            // A first search must have as many values as are wanted.
            let complete = converged == all.len() && (exhausted || values.len() > wanted.count());
            if complete || exhausted || self.products_left() < width {
                self.random = run.random();
                self.tally.seconds += run.seconds();
                let errors = (0..values.len()).map(error).collect();
                let margin = MARGIN * all.iter().map(|&index| residual(index)).fold(tol * scale, f64::max);
                return self.known(locked, &run, &ritz, chosen, errors, (scale, complete, margin));
            }
            if run.is_full() {
                let own = |side: &[usize]| side.iter().filter_map(|index| index.checked_sub(locked.len())).collect::<Vec<_>>();
                let open = |side: &[usize]| side.iter().filter(|index| !is_converged(index)).count();
                let (upper, lower) = (own(&chosen.upper).len(), own(&chosen.lower).len());
                let kept = kept(ritz.len(), capacity - width, (upper, lower), (open(&chosen.upper), open(&chosen.lower)));
                let vectors = run.restart(&ritz, &kept)?;
                self.tally.restarts += 1;
                let (products, restarts) = (self.tally.search, self.tally.restarts);
                self.operator.supersede("search", since, || Ok(Restarted { run: run.compressed(&vectors)?, products, restarts }))?;
                tracing::debug!(restarts = self.tally.restarts, kept = kept.len(), of = ritz.len(), "Krylov space compressed");
            }
            target = further(run.len());
        }
    }

    /// The pairs that a search leaves behind.
    fn known(
        &self,
        mut locked: Vec<EigenPair<A>>,
        run: &ThickRestart<'_, A>,
        ritz: &RitzPairs,
        mut chosen: Chosen,
        errors: Vec<f64>,
        (scale, converged, margin): (f64, bool, f64),
    ) -> Result<Searched<A>> {
        let first = locked.len();
        let own: Vec<usize> = chosen.all().into_iter().filter_map(|index| index.checked_sub(first)).collect();
        // From a value's place in the list to its pair's.
        let place = |index: usize| match index.checked_sub(first) {
            None => index,
            Some(index) => first + own.iter().position(|&own| own == index).unwrap_or(0),
        };
        chosen.upper.iter_mut().chain(&mut chosen.lower).for_each(|index| *index = place(*index));
        let mut helpers = Vec::new();
        if self.options.confirm && converged && !run.is_exhausted() {
            let most = run.capacity() / 8;
            let free: Vec<usize> = (0..ritz.len()).filter(|index| !own.contains(index)).collect();
            if let Some(above) = chosen.above {
                helpers.extend(helpers_of(free.iter().rev().take(most), |k| above + margin - ritz.values[k], &ritz.residuals));
            }
            if let Some(below) = chosen.below {
                let rest: Vec<usize> = free.into_iter().filter(|index| !helpers.contains(index)).collect();
                helpers.extend(helpers_of(rest.iter().take(most), |k| ritz.values[k] - below + margin, &ritz.residuals));
            }
        }
        let kept = first + own.len();
        for index in own.into_iter().chain(helpers) {
            let value = RitzValue { value: ritz.values[index], residual: ritz.residuals[index] };
            locked.push(EigenPair { ritz: value, error: errors[first + index], vector: run.ritz_vector(ritz, index)? });
        }
        Ok(Searched { pairs: locked, kept, chosen, scale, converged, exhausted: run.is_exhausted(), margin })
    }

    /// Looks for an eigenvalue beyond the wanted ones in the complement of all known pairs.
    fn confirm(&mut self, searched: &Searched<A>) -> Result<Verdict<A>> {
        let Searched { pairs, chosen, margin, .. } = searched;
        let vectors: Vec<&Block<A>> = pairs.iter().map(|pair| &pair.vector).collect();
        let mut run = ThickRestart::new(self.operator, &vectors, Vec::new(), (1, self.options.capacity), self.random, self.scale)?;
        self.random = run.random();
        // Thresholds as distances from zero in the direction of each end.
        let ends = [(1.0, chosen.above), (-1.0, chosen.below)].map(|(sign, last)| last.map(|last| (sign, sign * last + *margin)));
        let mut target = 3;
        let verdict = loop {
            let before = run.products();
            run.extend(target.min(run.len() + self.products_left()))?;
            self.tally.confirmation += run.products() - before;
            if run.is_exhausted() && run.len() == 0 {
                break Verdict::Confirmed(0.0);
            }
            let ritz = run.ritz_pairs()?;
            let mut probability = 0.0;
            let mut verdict = None;
            for (sign, x) in ends.into_iter().flatten() {
                let extreme = if sign > 0.0 { ritz.len() - 1 } else { 0 };
                let seen = sign * ritz.values[extreme];
                let shift: f64 = pairs.iter().map(|pair| (x - sign * pair.ritz.value, pair.ritz.residual)).map(shift).sum();
                if seen > x || (seen >= x - shift && pairs.len() == searched.kept) {
                    verdict = Some(Verdict::Found(run.ritz_vector(&ritz, extreme)?));
                } else if seen >= x - shift {
                    verdict = Some(Verdict::Blurred);
                } else {
                    probability += miss_probability(self.operator.space().dim(), run.most_of_first(&ritz, sign * (x - shift)));
                }
            }
            (self.observe)(self.tally.search + self.tally.confirmation, self.options.wanted.count(), self.options.wanted.count());
            match verdict {
                Some(verdict) => break verdict,
                None if run.is_exhausted() => break Verdict::Confirmed(0.0),
                None if probability <= MISS_PROBABILITY => break Verdict::Confirmed(probability),
                None if run.is_full() || self.products_left() == 0 => break Verdict::Undecided,
                None => target = run.len() + (run.len() / 8).max(1),
            }
        };
        self.tally.seconds += run.seconds();
        Ok(verdict)
    }

    fn solution(&mut self, searched: Searched<A>, miss_probability: Option<f64>) -> EigenSolution<A> {
        let Searched { mut pairs, kept, chosen, scale, converged, exhausted, margin } = searched;
        pairs.truncate(kept);
        let Tally { search, confirmation, restarts, searches, seconds } = std::mem::take(&mut self.tally);
        EigenSolution {
            pairs,
            chosen,
            scale,
            converged,
            miss_probability,
            margin,
            exhausted,
            search_products: search,
            confirmation_products: confirmation,
            restarts,
            searches,
            seconds,
        }
    }
}

/// What value `index` can be off by: its residual r, or r²/gap where the others leave a gap. With the values' own residuals taken off it is
/// never wider than what is known of it, but for eigenvalues that the space has not seen.
fn value_error(values: &[f64], residual: impl Fn(usize) -> f64, index: usize) -> f64 {
    let others = (0..values.len()).filter(|&other| other != index);
    let gap = others.map(|other| (values[other] - values[index]).abs() - residual(other)).fold(f64::INFINITY, f64::min);
    let r = residual(index);
    if gap > r { r * r / gap } else { r }
}

/// Vectors at which a search of `len` looks next: each of the first, where outliers converge.
fn further(len: usize) -> usize {
    len + if len < 20 { 1 } else { len / 10 }
}

/// What a pair at `distance` inside with `residual` can add to what lies beyond.
fn shift((distance, residual): (f64, f64)) -> f64 {
    if distance > 0.0 { residual * residual / distance } else { 0.0 }
}

/// The probability that a random unit vector of `dim` components has a given one of at most c.
#[expect(clippy::cast_precision_loss, reason = "n is far below 2⁵³")]
fn miss_probability(dim: usize, c: f64) -> f64 {
    (2.0 * dim as f64 / std::f64::consts::PI).sqrt() * c
}

/// The pairs from the end inwards for as long as their coupling to the rest moves what is seen by little.
fn helpers_of<'a>(inwards: impl Iterator<Item = &'a usize>, distance: impl Fn(usize) -> f64, residuals: &[f64]) -> Vec<usize> {
    let mut total = 0.0;
    inwards
        .copied()
        .take_while(|&index| {
            total += shift((distance(index), residuals[index]));
            total <= LOCKED_SHIFT * distance(index)
        })
        .collect()
}

/// The Ritz vectors that a compression to half of what is free keeps: the wanted ones (`upper`, `lower`), and at each end more of them
/// the more of its wanted ones are still `open`.
fn kept(count: usize, capacity: usize, (upper, lower): (usize, usize), open: (usize, usize)) -> Vec<usize> {
    let spare = capacity.saturating_sub(upper + lower) / 2;
    let above = spare * open.0 / (open.0 + open.1).max(1);
    let (top, bottom) = (upper + above, lower + spare - above);
    (0..count).filter(|&index| index < bottom || index + top >= count).collect()
}

#[cfg(test)]
mod tests;
