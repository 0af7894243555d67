//! Lanczos for b independent starts at once.
//!
//! A key design decision: a run never looks at its own numbers. α and β are made and used where the vectors live, and the host
//! sees them when it asks for the [coefficients](Lanczos::coefficients), all in one read. Two things follow. A device may run
//! hundreds of steps without waiting, and a breakdown is found afterwards: the steps behind it are finite numbers without a
//! meaning, which the host cuts off.

use std::mem;
use std::ops::AddAssign;
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
    /// What is known of ‖A‖, 0 where nothing is: in the complement of the largest eigenvectors T alone does not tell what of a product is
    /// rounding.
    pub scale: f64,
}

impl Default for LanczosOptions {
    fn default() -> Self {
        Self { capacity: 100, reorthogonalization: Reorthogonalization::Full, first_probe: 0, scale: 0.0 }
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

impl AddAssign for LanczosSeconds {
    fn add_assign(&mut self, other: Self) {
        self.products += other.products;
        self.orthogonalization += other.orthogonalization;
    }
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
    /// The locked vectors, then, with full reorthogonalization, those of the run.
    basis: Option<Basis<A>>,
    /// Blocks of `basis` that are not the run's own.
    locked: usize,
    /// ‖start‖, then α and β of each step.
    scalars: Scalars<A>,
    seconds: LanczosSeconds,
}

const START_NORM: Slot = Slot(0);

const fn alpha_slot(step: usize) -> Slot {
    Slot(1 + 2 * step)
}

const fn beta_slot(step: usize) -> Slot {
    Slot(2 + 2 * step)
}

/// A residual of norm β ≤ `BREAKDOWN` · ε · max(|T|, [scale](LanczosOptions::scale)) is none.
///
/// A product carries rounding errors of a few ε·‖A‖, so a smaller residual is noise. Cutting there perturbs A by no more than the
/// products do. A breakdown that noise hides does no harm either: with full reorthogonalization the run goes on with a vector
/// orthogonal to all before it, coupled to them by that tiny β.
pub(super) const BREAKDOWN: f64 = 10.0;

impl<'a, A: LinearOperator> Lanczos<'a, A> {
    /// Runs from the `columns` columns of `start`, which need not be of unit length.
    ///
    /// # Errors
    /// [`Error::Memory`] where the device cannot hold the vectors.
    pub fn new(operator: &'a A, start: Block<A>, columns: usize, options: LanczosOptions) -> Result<Self> {
        Self::in_complement(operator, start, columns, options, &[])
    }

    /// Runs of P A P, where P projects each column onto the orthogonal complement of the `locked` orthonormal vectors.
    ///
    /// P is applied by the orthogonalization of each step, which takes the locked vectors along; the start is projected first. There
    /// are at most n − k steps with k locked vectors. Each is uploaded once for every column.
    ///
    /// # Errors
    /// [`Error::Memory`] where the device cannot hold the vectors.
    pub fn in_complement(operator: &'a A, mut start: Block<A>, columns: usize, options: LanczosOptions, locked: &[&[f64]]) -> Result<Self> {
        let space = operator.space();
        let options = LanczosOptions { capacity: options.capacity.min(space.dim() - locked.len()), ..options };
        let mut scalars = space.scalars(1 + 2 * options.capacity, columns)?;
        let (previous, mut product) = (space.block(columns)?, space.block(columns)?);
        let own = match options.reorthogonalization {
            Reorthogonalization::Full => options.capacity,
            Reorthogonalization::None => 0,
        };
        let mut basis = if locked.len() + own > 0 { Some(space.basis(locked.len() + own, columns)?) } else { None };
        if let Some(basis) = basis.as_mut().filter(|_| !locked.is_empty()) {
            for vector in locked {
                space.upload(&vector.repeat(columns), &mut product)?;
                space.push(basis, &product)?;
            }
            space.orthogonalize(basis, &mut start)?;
        }
        space.normalize(&mut start, &mut scalars, START_NORM)?;
        let (locked, seconds) = (locked.len(), LanczosSeconds::default());
        Ok(Self { operator, options, columns, steps: 0, current: start, previous, product, basis, locked, scalars, seconds })
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
        if let (Some(basis), Reorthogonalization::Full) = (&mut self.basis, self.options.reorthogonalization) {
            space.push(basis, &self.current)?;
        }
        let begin = Instant::now();
        self.operator.apply(&self.current, &mut self.product)?;
        self.seconds.products += begin.elapsed();
        space.dot(&self.current, &self.product, &mut self.scalars, alpha)?;
        // With the basis as well, although it holds both vectors: what is left to take off is then so small that it need not be done twice.
        space.sub_scaled(&mut self.product, &self.scalars, alpha, &self.current)?;
        if self.steps > 0 {
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

    /// T of each column, cut off where its run broke down: at the first step whose β is at most 10·ε·max(|T|, [scale](LanczosOptions::scale)),
    /// with ε of the vectors' precision and the maximum over the steps up to there. One readback.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where an α or β before any breakdown is not finite; [`Error::Input`] where a start is zero.
    pub fn coefficients(&self) -> Result<Vec<Tridiagonal>> {
        let values = self.operator.space().read(&self.scalars)?;
        (0..self.columns).map(|column| self.column_coefficients(&values, column)).collect()
    }

    /// The last column of QᵀQ − I, its norm for each run: how far the newest vector is from being orthogonal to all before it, the locked
    /// ones included, and of unit length. None for runs that keep no vectors. One readback.
    ///
    /// After a breakdown the newest vector is noise: the number then says nothing.
    ///
    /// # Errors
    /// Device failure.
    pub fn orthogonality(&mut self) -> Result<Option<Vec<f64>>> {
        let space = self.operator.space();
        let Some(basis) = self.basis.as_ref().filter(|_| self.keeps_vectors()) else { return Ok(None) };
        let mut scalars = space.scalars(2, self.columns)?;
        let (square, defect) = (Slot(0), Slot(1));
        space.copy(&self.current, &mut self.product)?;
        space.orthogonalize(basis, &mut self.product)?;
        space.dot(&self.current, &self.current, &mut scalars, square)?;
        space.sub_scaled(&mut self.product, &scalars, square, &self.current)?;
        space.normalize(&mut self.product, &mut scalars, defect)?;
        Ok(Some(space.read(&scalars)?.split_off(self.columns)))
    }

    fn column_coefficients(&self, values: &[f64], column: usize) -> Result<Tridiagonal> {
        let at = |slot: Slot| values[slot.0 * self.columns + column];
        let probe = self.options.first_probe as usize + column;
        if at(START_NORM) == 0.0 {
            return Err(Error::Input(format!("Lanczos: the start vector of probe {probe} is zero")));
        }
        let threshold = BREAKDOWN * self.operator.space().precision().epsilon();
        let (mut alphas, mut betas, mut largest) = (Vec::new(), Vec::new(), self.options.scale);
        for step in 0..self.steps {
            let (alpha, beta) = (at(alpha_slot(step)), at(beta_slot(step)));
            if !alpha.is_finite() || !beta.is_finite() {
                return Err(Error::NonFinite(format!(
                    "Lanczos: step {step} of probe {probe} gave alpha {alpha}, beta {beta}: a product is not finite; \
                     check the weights and the data's scale, or use --precision f64"
                )));
            }
            largest = largest.max(alpha.abs()).max(beta);
            let vanished = beta <= threshold * largest;
            alphas.push(alpha);
            betas.push(beta);
            if vanished {
                return Ok(Tridiagonal { alphas, betas, termination: Termination::InvariantSubspace { step: step + 1 } });
            }
        }
        Ok(Tridiagonal { alphas, betas, termination: Termination::Completed })
    }

    fn keeps_vectors(&self) -> bool {
        self.options.reorthogonalization == Reorthogonalization::Full
    }

    /// x ← Q s, column by column: `coefficients` [m, b] row by row holds one eigenvector of T for each column.
    ///
    /// # Errors
    /// [`Error::Input`] where no basis was kept.
    pub fn ritz_vectors(&self, coefficients: &[f64], x: &mut Block<A>) -> Result<()> {
        match &self.basis {
            Some(basis) if self.keeps_vectors() => {
                let shifted = [&vec![0.0; self.locked * self.columns], coefficients].concat();
                self.operator.space().combine(basis, &shifted, x)
            }
            _ => Err(Error::Input("eigenvectors need the Lanczos vectors: use --reorthogonalize full".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ritz::ritz_values;
    use super::super::test_support::{Columns, MatrixOperator};
    use super::*;
    use crate::rng::Distribution;

    fn random(operator: &MatrixOperator, columns: usize, first_probe: u32) -> Columns {
        let mut start = operator.space().block(columns).unwrap();
        operator.space().fill(&mut start, Distribution::Gaussian, 1, first_probe).unwrap();
        start
    }

    fn run(
        operator: &MatrixOperator,
        start: Columns,
        capacity: usize,
        reorthogonalization: Reorthogonalization,
    ) -> Result<Vec<Tridiagonal>> {
        let columns = start.len();
        let options = LanczosOptions { capacity, reorthogonalization, first_probe: 7, scale: 0.0 };
        let mut lanczos = Lanczos::new(operator, start, columns, options)?;
        while lanczos.step()? {}
        assert_eq!(lanczos.steps(), capacity.min(operator.space().dim()));
        lanczos.coefficients()
    }

    fn spread(n: u32) -> Vec<f64> {
        (0..n).map(|i| (0.9 * f64::from(i)).sin() + 0.01 * f64::from(i)).collect()
    }

    #[test]
    fn n_steps_find_the_whole_spectrum_and_read_once() {
        let mut spectrum = spread(60);
        let operator = MatrixOperator::diagonal(spectrum.clone());
        let runs = run(&operator, random(&operator, 3, 0), 100, Reorthogonalization::Full).unwrap();
        assert_eq!((operator.space().readbacks(), operator.products()), (1, 180));
        spectrum.sort_by(f64::total_cmp);
        for run in &runs {
            for (ritz, exact) in ritz_values(run).unwrap().iter().zip(&spectrum) {
                assert!((ritz.value - exact).abs() < 1e-13 && ritz.residual < 1e-13, "{ritz:?}, exactly {exact}");
            }
        }
    }

    #[test]
    fn alpha_0_is_the_rayleigh_quotient_and_columns_are_independent() {
        let operator = MatrixOperator::dense(3, vec![2.0, -1.0, 0.5, -1.0, 3.0, 0.25, 0.5, 0.25, -1.0]);
        let start = random(&operator, 4, 0);
        let together = run(&operator, start.clone(), 2, Reorthogonalization::Full).unwrap();
        for (v, run_together) in start.iter().zip(&together) {
            let av = operator.product(v);
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            assert!((run_together.alphas[0] - dot(v, &av) / dot(v, v)).abs() < 1e-15);
            assert_eq!(run(&operator, vec![v.clone()], 2, Reorthogonalization::Full).unwrap()[0], *run_together);
        }
    }

    /// What a product leaves in the complement of a large eigenvector is its rounding: no run of its own.
    #[test]
    fn rounding_in_a_complement_ends_the_run() {
        let values: Vec<f64> = [1e3].into_iter().chain((0..40).map(|i| 1e-14 * f64::from(i))).collect();
        let operator = MatrixOperator::diagonal(values);
        let locked: Vec<f64> = (0..41).map(|i| f64::from(u8::from(i == 0))).collect();
        let ends = |scale: f64| {
            let options = LanczosOptions { capacity: 20, scale, ..LanczosOptions::default() };
            let mut lanczos = Lanczos::in_complement(&operator, random(&operator, 1, 0), 1, options, &[&locked]).unwrap();
            while lanczos.step().unwrap() {}
            lanczos.coefficients().unwrap().swap_remove(0).termination
        };
        assert_eq!((ends(0.0), ends(1e3)), (Termination::Completed, Termination::InvariantSubspace { step: 1 }));
    }

    #[test]
    fn an_invariant_subspace_ends_the_run_and_is_reported() {
        // Three distinct eigenvalues: a generic start spans three dimensions.
        let operator = MatrixOperator::diagonal((0..40).map(|i| f64::from(i % 3 - 1)).collect::<Vec<_>>());
        for reorthogonalization in [Reorthogonalization::Full, Reorthogonalization::None] {
            let runs = run(&operator, random(&operator, 2, 0), 20, reorthogonalization).unwrap();
            for run in runs {
                assert_eq!(run.termination, Termination::InvariantSubspace { step: 3 }, "{reorthogonalization:?}");
                let values: Vec<f64> = ritz_values(&run).unwrap().iter().map(|ritz| ritz.value).collect();
                assert!(values.iter().zip([-1.0, 0.0, 1.0]).all(|(value, exact)| (value - exact).abs() < 1e-14), "{values:?}");
            }
        }
    }

    #[test]
    fn zero_and_one_dimensional_operators_end_after_one_step() {
        for (spectrum, value) in [(vec![0.0; 9], 0.0), (vec![-2.5], -2.5), (vec![3.0; 8], 3.0)] {
            let operator = MatrixOperator::diagonal(spectrum);
            let run = run(&operator, random(&operator, 1, 0), 5, Reorthogonalization::Full).unwrap().swap_remove(0);
            assert_eq!(run.termination, Termination::InvariantSubspace { step: 1 });
            assert!((run.alphas[0] - value).abs() < 1e-15);
        }
    }

    #[test]
    fn scale_does_not_change_where_a_run_ends() {
        for scale in [1e-140, 1.0, 1e140] {
            let operator = MatrixOperator::diagonal((0..30).map(|i| scale * f64::from(1 + i % 4)).collect::<Vec<_>>());
            let run = run(&operator, random(&operator, 1, 0), 10, Reorthogonalization::Full).unwrap().swap_remove(0);
            assert_eq!(run.termination, Termination::InvariantSubspace { step: 4 }, "scale {scale}");
        }
    }

    #[test]
    fn not_a_number_names_step_and_probe() {
        let operator = MatrixOperator::diagonal([1.0, f64::NAN, 2.0]);
        let message = run(&operator, random(&operator, 1, 0), 3, Reorthogonalization::Full).unwrap_err().to_string();
        assert!(message.contains("step 0 of probe 7"), "{message}");
        let zero = run(&MatrixOperator::diagonal([1.0, 2.0]), vec![vec![0.0; 2]], 2, Reorthogonalization::Full).unwrap_err().to_string();
        assert!(zero.contains("probe 7 is zero"), "{zero}");
    }

    /// Locked eigenvectors leave the run, whatever the start holds of them, with and without reorthogonalization.
    #[test]
    fn a_run_in_the_complement_sees_the_rest_of_the_spectrum() {
        let operator = MatrixOperator::diagonal(spread(30));
        let unit = |at: usize| (0..30).map(|i| f64::from(u8::from(i == at))).collect::<Vec<f64>>();
        let locked = [unit(3), unit(17)];
        let locked: Vec<&[f64]> = locked.iter().map(Vec::as_slice).collect();
        let mut rest: Vec<f64> = spread(30).into_iter().enumerate().filter(|(at, _)| ![3, 17].contains(at)).map(|(_, x)| x).collect();
        rest.sort_by(f64::total_cmp);
        for (reorthogonalization, count) in [(Reorthogonalization::Full, 28), (Reorthogonalization::None, 1)] {
            let options = LanczosOptions { capacity: 30, reorthogonalization, ..LanczosOptions::default() };
            let mut lanczos = Lanczos::in_complement(&operator, random(&operator, 2, 0), 2, options, &locked).unwrap();
            while lanczos.step().unwrap() {}
            for run in lanczos.coefficients().unwrap() {
                let values = ritz_values(&run).unwrap();
                for (ritz, exact) in values.iter().zip(&rest).take(count) {
                    assert!((ritz.value - exact).abs() < 1e-13, "{reorthogonalization:?}: {ritz:?}, exactly {exact}");
                }
                let mut x = operator.space().block(2).unwrap();
                let eigen = run.eigen(&(0..run.steps()).collect::<Vec<_>>()).unwrap();
                let both: Vec<f64> = eigen.vector(0).iter().flat_map(|&s| [s, s]).collect();
                if lanczos.ritz_vectors(&both, &mut x).is_ok() {
                    assert!(x[0][3].abs() < 1e-14 && x[0][17].abs() < 1e-14 && x[0].iter().any(|x| x.abs() > 0.1));
                }
            }
        }
    }

    #[test]
    fn ritz_vectors_are_eigenvectors_and_need_a_basis() {
        let operator = MatrixOperator::diagonal(spread(30));
        for reorthogonalization in [Reorthogonalization::Full, Reorthogonalization::None] {
            let options = LanczosOptions { capacity: 30, reorthogonalization, ..LanczosOptions::default() };
            let mut lanczos = Lanczos::new(&operator, random(&operator, 1, 0), 1, options).unwrap();
            while lanczos.step().unwrap() {}
            let tridiagonal = lanczos.coefficients().unwrap().swap_remove(0);
            let eigen = tridiagonal.eigen(&(0..tridiagonal.steps()).collect::<Vec<_>>()).unwrap();
            let mut x = operator.space().block(1).unwrap();
            match lanczos.ritz_vectors(eigen.vector(0), &mut x) {
                Ok(()) => {
                    let product = operator.product(&x[0]);
                    let defect = product.iter().zip(&x[0]).map(|(ax, x)| (ax - eigen.values[0] * x).abs());
                    assert!(defect.fold(0.0, f64::max) < 1e-13);
                }
                Err(error) => assert!(reorthogonalization == Reorthogonalization::None && error.to_string().contains("full")),
            }
        }
    }
}
