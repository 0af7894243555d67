//! When an estimate is sure enough.
//!
//! A key design decision: looking several times and stopping at the first interval that is narrow enough favours intervals that are
//! narrow by chance. So look l spends only α/(l(l+1)) of the error probability α (these sum to α): whichever look ends it, all the
//! intervals seen hold together with probability 1 − α (Bonferroni). Of that Student's t is given the estimator's own
//! [share](TraceEstimator::error_share), since its samples are not normal.

use super::TraceEstimator;
use crate::error::{Error, Result};
use crate::estimate::sample::{CONFIDENCE, Estimate};

/// The fewest probes before the first look: below, Student's t leans on a normal law that so few samples cannot stand for.
pub const MIN_PROBES: usize = 8;

/// How many probes, and how sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// Probes; with `rtol` those before the first look, and at least [`MIN_PROBES`].
    pub probes: usize,
    /// Go on until half the width of the interval is at most `rtol`·|mean|.
    pub rtol: Option<f64>,
    /// The level 1 − α of that interval.
    pub confidence: f64,
    /// The most probes there may be where `rtol` is given.
    pub max_probes: usize,
    /// What rounding may add to the error: a part of every interval.
    pub rounding: f64,
}

/// Where it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// The mean; its `ci95` is corrected for the looks as well.
    pub estimate: Estimate,
    /// Half the width of the interval of the level asked for, corrected for the looks; none with one probe.
    pub half_width: Option<f64>,
    /// Times that the interval was looked at.
    pub looks: usize,
    /// False where `rtol` was asked for and not reached.
    pub reached: bool,
}

impl Stopping {
    /// Doubles the probes of `estimator` until its interval is narrow enough.
    ///
    /// # Errors
    /// [`Error::Input`] for options that make no sense, and what the estimator meets.
    pub fn run(&self, estimator: &mut dyn TraceEstimator) -> Result<Stopped> {
        let bad_rtol = self.rtol.is_some_and(|rtol| rtol.is_nan() || rtol <= 0.0);
        if self.probes == 0 || bad_rtol || !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::Input(format!(
                "trace: {} probes, rtol {:?}, confidence {}: --probes and --rtol must be positive, --confidence between 0 and 1",
                self.probes, self.rtol, self.confidence
            )));
        }
        let Some(rtol) = self.rtol else {
            estimator.extend(self.probes)?;
            return Ok(self.judge(estimator, 1, 0.0));
        };
        let most = self.max_probes.max(self.probes);
        let mut target = self.probes.max(MIN_PROBES).min(most);
        for look in 1.. {
            estimator.extend(target)?;
            let stopped = self.judge(estimator, look, rtol);
            if stopped.reached || target == most {
                return Ok(stopped);
            }
            target = target.saturating_mul(2).min(most);
        }
        unreachable!("the number of probes grows to its limit")
    }

    fn judge(&self, estimator: &dyn TraceEstimator, look: usize, rtol: f64) -> Stopped {
        let looks = if self.rtol.is_some() { spending(look) } else { 1.0 };
        let level = |confidence: f64| 1.0 - (1.0 - confidence) * estimator.error_share() * looks;
        let estimate = Estimate::with_confidence(estimator.samples().to_vec(), level(CONFIDENCE)).widened(self.rounding);
        let half_width = estimate.half_width(level(self.confidence)) + self.rounding;
        let reached = self.rtol.is_none() || half_width <= rtol * estimate.mean.abs();
        Stopped { half_width: estimate.std_error.map(|_| half_width), estimate, looks: look, reached }
    }
}

/// The share of the error probability that look `look` may spend.
#[expect(clippy::cast_precision_loss, reason = "looks are few")]
fn spending(look: usize) -> f64 {
    ((look * (look + 1)) as f64).recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{self, Distribution};

    #[test]
    fn the_looks_spend_no_more_than_the_error_probability() {
        let total: f64 = (1..100_000).map(spending).sum();
        assert!(total < 1.0 && total > 0.999, "{total}");
    }

    /// Normal samples with mean 1, as an estimator.
    struct Normal {
        seed: u64,
        samples: Vec<f64>,
    }

    impl TraceEstimator for Normal {
        fn extend(&mut self, probes: usize) -> Result<()> {
            self.samples = vec![0.0; probes];
            rng::fill(Distribution::Gaussian, self.seed, 0, &mut self.samples);
            self.samples.iter_mut().for_each(|x| *x += 1.0);
            Ok(())
        }

        fn samples(&self) -> &[f64] {
            &self.samples
        }

        fn error_share(&self) -> f64 {
            1.0
        }
    }

    fn stop(seed: u64, stopping: &Stopping) -> Stopped {
        stopping.run(&mut Normal { seed, samples: Vec::new() }).unwrap()
    }

    /// Without the correction 7 to 9 of 100 such intervals miss.
    #[test]
    fn intervals_hold_after_any_number_of_looks() {
        let stopping = Stopping { probes: 2, rtol: Some(0.8), confidence: 0.95, max_probes: 1 << 14, rounding: 0.0 };
        let outcomes: Vec<Stopped> = (0..2000).map(|seed| stop(seed, &stopping)).collect();
        let covered = outcomes.iter().filter(|stopped| (stopped.estimate.mean - 1.0).abs() <= stopped.half_width.unwrap()).count();
        assert!(covered >= 1880, "{covered} of 2000 at 95 %, less three standard deviations");
        let different: std::collections::BTreeSet<usize> = outcomes.iter().map(|stopped| stopped.looks).collect();
        assert!(different.len() > 2 && outcomes.iter().all(|stopped| stopped.estimate.samples.len() >= MIN_PROBES), "{different:?}");
    }

    #[test]
    fn a_limit_ends_it_and_nonsense_is_refused() {
        let stopping = Stopping { probes: 4, rtol: Some(1e-9), confidence: 0.9, max_probes: 30, rounding: 0.0 };
        let stopped = stop(0, &stopping);
        assert_eq!((stopped.reached, stopped.looks, stopped.estimate.samples.len()), (false, 3, 30));
        let rounded = stop(0, &Stopping { rtol: Some(0.5), max_probes: 1 << 10, rounding: 0.6, ..stopping });
        assert!(!rounded.reached && rounded.half_width.unwrap() > 0.6, "no number of probes outdoes the rounding: {rounded:?}");
        let single = stop(0, &Stopping { probes: 1, rtol: None, ..stopping });
        assert_eq!((single.reached, single.half_width), (true, None));
        for wrong in
            [Stopping { probes: 0, ..stopping }, Stopping { rtol: Some(f64::NAN), ..stopping }, Stopping { confidence: 1.0, ..stopping }]
        {
            assert!(matches!(wrong.run(&mut Normal { seed: 0, samples: Vec::new() }), Err(Error::Input(_))), "{wrong:?}");
        }
    }
}
