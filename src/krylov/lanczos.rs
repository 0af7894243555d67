//! Lanczos for b independent starts at once.
//!
//! A key design decision: a run never looks at its own numbers. α and β are made and used where the vectors live, and the host
//! sees them when it asks for the [coefficients](Lanczos::coefficients), all in one read. Two things follow. A device may run
//! hundreds of steps without waiting, and a breakdown is found afterwards: the steps behind it are finite numbers without a
//! meaning, which the host cuts off.

use std::mem;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::operator::{Basis, Block, LinearOperator, Scalars};
use super::space::{Slot, VectorSpace};
use super::tridiagonal::{Termination, Tridiagonal};
use crate::error::{Error, Result};

/// What keeps the Lanczos vectors orthogonal in finite precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reorthogonalization {
    /// Each new vector against all earlier ones, twice; all m vectors are kept.
    #[default]
    Full,
    /// The bare three-term recurrence: three vectors, whatever m. Converged Ritz values reappear as copies ("ghosts"); quadrature
    /// stays valid (Greenbaum 1989).
    None,
}

/// How to run [`Lanczos`].
#[derive(Clone, Debug)]
pub struct LanczosOptions {
    /// The most steps there will be; more than n are never made.
    pub capacity: usize,
    /// What keeps the vectors orthogonal.
    pub reorthogonalization: Reorthogonalization,
    /// The number of the probe in column 0, by which errors name a column.
    pub first_probe: u32,
}

impl Default for LanczosOptions {
    fn default() -> Self {
        Self { capacity: 100, reorthogonalization: Reorthogonalization::Full, first_probe: 0 }
    }
}

/// Time that the host spent on the parts of a run; on an asynchronous device this is the time to give orders, not to fulfil them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanczosSeconds {
    /// In products with the operator.
    pub products: Duration,
    /// In reorthogonalization.
    pub orthogonalization: Duration,
}

/// b simultaneous Lanczos runs A Q = Q T + β q eᵀ, one a column.
pub struct Lanczos<'a, A: LinearOperator> {
    operator: &'a A,
    options: LanczosOptions,
    columns: usize,
    steps: usize,
    /// q_j, of unit length.
    current: Block<A>,
    /// q_{j−1}; zero at first.
    previous: Block<A>,
    /// A q_j and what becomes of it.
    product: Block<A>,
    basis: Option<Basis<A>>,
    /// ‖start‖, then α and β of each step.
    scalars: Scalars<A>,
    /// Steps before which a fresh start was put in place of a vanished residual.
    restarts: Vec<usize>,
    seconds: LanczosSeconds,
}

const START_NORM: Slot = Slot(0);

const fn alpha_slot(step: usize) -> Slot {
    Slot(1 + 2 * step)
}

const fn beta_slot(step: usize) -> Slot {
    Slot(2 + 2 * step)
}

/// A residual of norm β ≤ `BREAKDOWN` · ε · max|T| is none.
///
/// A product carries rounding errors of a few ε·‖A‖, so a smaller residual is noise. Cutting there perturbs A by no more than the
/// products do. A breakdown that noise hides does no harm either: with full reorthogonalization the run goes on with a vector
/// orthogonal to all before it, coupled to them by that tiny β.
const BREAKDOWN: f64 = 10.0;

impl<'a, A: LinearOperator> Lanczos<'a, A> {
    /// Runs from the `columns` columns of `start`, which need not be of unit length.
    ///
    /// # Errors
    /// [`Error::Memory`] where the device cannot hold the vectors.
    pub fn new(operator: &'a A, mut start: Block<A>, columns: usize, options: LanczosOptions) -> Result<Self> {
        let space = operator.space();
        let options = LanczosOptions { capacity: options.capacity.min(space.dim()), ..options };
        let mut scalars = space.scalars(1 + 2 * options.capacity, columns)?;
        let basis = match options.reorthogonalization {
            Reorthogonalization::Full => Some(space.basis(options.capacity, columns)?),
            Reorthogonalization::None => None,
        };
        let (previous, product) = (space.block(columns)?, space.block(columns)?);
        space.normalize(&mut start, &mut scalars, START_NORM)?;
        let (restarts, seconds) = (Vec::new(), LanczosSeconds::default());
        Ok(Self { operator, options, columns, steps: 0, current: start, previous, product, basis, scalars, restarts, seconds })
    }

    /// Steps made so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Time spent so far.
    pub fn seconds(&self) -> LanczosSeconds {
        self.seconds
    }

    /// One step: q joins the basis; w = A q; α = qᵀw; w −= α q; w −= β q₋; w is orthogonalized against the basis; β = ‖w‖ and the
    /// next q = w/β.
    ///
    /// False, without a step, where the capacity or n is reached.
    ///
    /// # Errors
    /// Device failure.
    pub fn step(&mut self) -> Result<bool> {
        if self.steps == self.options.capacity {
            return Ok(false);
        }
        let space = self.operator.space();
        let (alpha, beta) = (alpha_slot(self.steps), beta_slot(self.steps));
        if let Some(basis) = &mut self.basis {
            space.push(basis, &self.current)?;
        }
        let begin = Instant::now();
        self.operator.apply(&self.current, &mut self.product)?;
        self.seconds.products += begin.elapsed();
        space.dot(&self.current, &self.product, &mut self.scalars, alpha)?;
        space.sub_scaled(&mut self.product, &self.scalars, alpha, &self.current)?;
        if self.steps > 0 && self.restarts.last() != Some(&self.steps) {
            space.sub_scaled(&mut self.product, &self.scalars, beta_slot(self.steps - 1), &self.previous)?;
        }
        if let Some(basis) = &self.basis {
            let begin = Instant::now();
            space.orthogonalize(basis, &mut self.product)?;
            self.seconds.orthogonalization += begin.elapsed();
        }
        space.normalize(&mut self.product, &mut self.scalars, beta)?;
        mem::swap(&mut self.previous, &mut self.current);
        mem::swap(&mut self.current, &mut self.product);
        self.steps += 1;
        Ok(true)
    }

    /// T of each column, cut off where its run broke down: at the first step whose β is at most 10·ε·max|T|, with ε of the vectors'
    /// precision and the maximum over the steps up to there. One readback.
    ///
    /// After a [restart](Self::restart) T consists of uncoupled blocks (β = 0 between them).
    ///
    /// # Errors
    /// [`Error::NonFinite`] where an α or β before any breakdown is not finite; [`Error::Input`] where a start is zero.
    pub fn coefficients(&self) -> Result<Vec<Tridiagonal>> {
        let values = self.operator.space().read(&self.scalars)?;
        (0..self.columns).map(|column| self.column_coefficients(&values, column)).collect()
    }

    fn column_coefficients(&self, values: &[f64], column: usize) -> Result<Tridiagonal> {
        let at = |slot: Slot| values[slot.0 * self.columns + column];
        let probe = self.options.first_probe as usize + column;
        if at(START_NORM) == 0.0 {
            return Err(Error::Input(format!("Lanczos: the start vector of probe {probe} is zero")));
        }
        let threshold = BREAKDOWN * self.operator.space().precision().epsilon();
        let (mut alphas, mut betas, mut largest) = (Vec::new(), Vec::new(), 0.0_f64);
        for step in 0..self.steps {
            let (alpha, mut beta) = (at(alpha_slot(step)), at(beta_slot(step)));
            if !alpha.is_finite() || !beta.is_finite() {
                return Err(Error::NonFinite(format!(
                    "Lanczos: step {step} of probe {probe} gave alpha {alpha}, beta {beta}: a product is not finite; \
                     check the weights and the data's scale, or use --precision f64"
                )));
            }
            largest = largest.max(alpha.abs()).max(beta);
            let vanished = beta <= threshold * largest;
            let restarted = self.restarts.contains(&(step + 1));
            if restarted {
                beta = 0.0;
            }
            alphas.push(alpha);
            betas.push(beta);
            if vanished && !restarted {
                return Ok(Tridiagonal { alphas, betas, termination: Termination::InvariantSubspace { step: step + 1 } });
            }
        }
        Ok(Tridiagonal { alphas, betas, termination: Termination::Completed })
    }

    /// Goes back to the first `keep` steps, whose vectors span an invariant subspace, and continues from `start` made orthogonal to
    /// them: the way to further members of a multiple eigenvalue. One column only.
    ///
    /// # Errors
    /// [`Error::Input`] without a basis or with several columns; [`Error::Memory`], since the kept vectors are copied.
    pub fn restart(&mut self, keep: usize, mut start: Block<A>) -> Result<()> {
        let space = self.operator.space();
        let Some(basis) = self.basis.as_ref().filter(|_| self.columns == 1) else {
            return Err(Error::Input("Lanczos: only a single run with full reorthogonalization can be restarted".into()));
        };
        if keep < self.steps {
            // What followed the breakdown may be parallel to what came before: it must leave the basis.
            let mut kept = space.basis(self.options.capacity, 1)?;
            for index in 0..keep {
                let mut unit = vec![0.0; index + 1];
                unit[index] = 1.0;
                space.combine(basis, &unit, &mut self.product)?;
                space.push(&mut kept, &self.product)?;
            }
            self.basis = Some(kept);
        }
        if let Some(basis) = &self.basis {
            space.orthogonalize(basis, &mut start)?;
        }
        // The norm of an orthogonalized start tells nothing; its slot is the one that only a zero start makes use of.
        space.normalize(&mut start, &mut self.scalars, START_NORM)?;
        self.current = start;
        self.steps = keep;
        self.restarts.retain(|&step| step < keep);
        self.restarts.push(keep);
        Ok(())
    }

    /// x ← Q s, column by column: `coefficients` [m, b] row by row holds one eigenvector of T for each column.
    ///
    /// # Errors
    /// [`Error::Input`] where no basis was kept.
    pub fn ritz_vectors(&self, coefficients: &[f64], x: &mut Block<A>) -> Result<()> {
        match &self.basis {
            Some(basis) => self.operator.space().combine(basis, coefficients, x),
            None => Err(Error::Input("eigenvectors need the Lanczos vectors: use --reorthogonalize full".into())),
        }
    }
}
