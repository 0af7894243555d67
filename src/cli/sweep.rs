//! The cases of `hesper bench --sweep`: one extent of a synthetic problem varied at a time, in powers of two.

use anyhow::Result;

use super::problem::Problem;
use super::synthetic::Synthetic;
use crate::job::Swept;

/// A problem and the numbers of columns that it is timed with.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) problem: Problem,
    pub(super) columns: Vec<usize>,
    pub(super) swept: Option<Swept>,
}

/// Most hidden layers of a sweep.
const DEPTH: usize = 4;

/// `base` with a quarter to eight times its samples, a quarter to twice its hidden width, and up to [`DEPTH`] hidden layers, all with `columns`
/// columns; and `base` itself with one column to twice as many. Without a hidden layer there is neither width nor depth.
///
/// # Errors
/// Where the base's activations do not fit its layers.
pub(super) fn cases(base: &Synthetic, columns: usize) -> Result<Vec<Case>> {
    let case = |swept, synthetic: &Synthetic| -> Result<Case> {
        Ok(Case { problem: synthetic.problem()?, columns: vec![columns], swept: Some(swept) })
    };
    let mut cases = Vec::new();
    for quarters in [1, 2, 4, 8, 16, 32] {
        let samples = base.samples * quarters / 4;
        cases.push(case(Swept::Samples, &Synthetic { samples: samples.max(1), ..base.clone() })?);
    }
    let last = base.widths.len() - 1;
    if last > 1 {
        for quarters in [1, 2, 4, 8] {
            let mut wider = base.clone();
            wider.widths[1..last].iter_mut().for_each(|width| *width = (*width * quarters / 4).max(1));
            cases.push(case(Swept::Width, &wider)?);
        }
        for hidden in 1..=DEPTH {
            let widths = [&base.widths[..1], &vec![base.widths[1]; hidden], &base.widths[last..]].concat();
            let activations = vec![base.activations[0]];
            cases.push(case(Swept::Depth, &Synthetic { widths, activations, ..base.clone() })?);
        }
    }
    let powers = std::iter::successors(Some(1), |columns| Some(2 * columns)).take_while(|&power| power <= 2 * columns);
    cases.push(Case { columns: powers.collect(), ..case(Swept::Columns, base)? });
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::Curvature;
    use crate::model::{Activation, Loss};

    #[test]
    fn one_extent_is_varied_at_a_time() {
        let base = Synthetic {
            widths: vec![6, 8, 8, 3],
            activations: vec![Activation::Tanh],
            output_activation: Activation::Identity,
            criterion: Loss::CrossEntropy.into(),
            curvature: Curvature::Hessian,
            weight_decay: 0.0.into(),
            samples: 8,
        };
        let cases_of = |base: Synthetic| -> Vec<_> {
            let cases = cases(&base, 4).unwrap();
            cases
                .into_iter()
                .map(|case| {
                    (case.swept.unwrap(), case.problem.objective.network().summary(), case.problem.objective.samples(), case.columns)
                })
                .collect()
        };
        let found = cases_of(base.clone());
        let samples: Vec<_> = found.iter().filter(|case| case.0 == Swept::Samples).map(|case| case.2).collect();
        let width: Vec<_> = found.iter().filter(|case| case.0 == Swept::Width).map(|case| case.1.as_str()).collect();
        let depth: Vec<_> = found.iter().filter(|case| case.0 == Swept::Depth).map(|case| case.1.as_str()).collect();
        assert_eq!(samples, [2, 4, 8, 16, 32, 64]);
        assert_eq!(width, ["6-2-2-3 tanh", "6-4-4-3 tanh", "6-8-8-3 tanh", "6-16-16-3 tanh"]);
        assert_eq!(depth, ["6-8-3 tanh", "6-8-8-3 tanh", "6-8-8-8-3 tanh", "6-8-8-8-8-3 tanh"]);
        assert_eq!(found.last().unwrap().3, [1, 2, 4, 8]);
        assert!(found.iter().rev().skip(1).all(|case| case.3 == [4]));
        assert_eq!(cases_of(Synthetic { widths: vec![6, 3], ..base }).len(), 7);
    }
}
