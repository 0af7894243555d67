//! Which eigenvalues are looked for, and what would have to be among them.

/// Which eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those at the ends of the spectrum.
    Ends {
        /// How many of the largest.
        top: usize,
        /// How many of the smallest.
        bottom: usize,
    },
    /// So many of largest magnitude.
    Magnitude(usize),
}

/// Those of a list of values that are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// Indices into the list, the largest value first.
    pub upper: Vec<usize>,
    /// Indices into the list, the smallest value first.
    pub lower: Vec<usize>,
    /// A value above this would have been chosen; none where no number of largest values is too many.
    pub above: Option<f64>,
    /// A value below this would have been chosen.
    pub below: Option<f64>,
}

impl Wanted {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Self::Ends { top, bottom } => top + bottom,
            Self::Magnitude(count) => count,
        }
    }

    /// Chooses from `values`, in whatever order they are. Where they are few, one may be among the largest and the smallest.
    pub fn choose(self, values: &[f64]) -> Chosen {
        let mut ascending: Vec<usize> = (0..values.len()).collect();
        ascending.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        match self {
            Self::Ends { top, bottom } => {
                let upper: Vec<usize> = ascending.iter().rev().take(top).copied().collect();
                let lower: Vec<usize> = ascending.iter().take(bottom).copied().collect();
                let (above, below) = (upper.last().map(|&i| values[i]), lower.last().map(|&i| values[i]));
                Chosen { upper, lower, above, below }
            }
            Self::Magnitude(count) => {
                let mut largest = ascending;
                largest.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()));
                largest.truncate(count);
                let least = largest.last().map(|&i| values[i].abs());
                let (upper, lower) = largest.into_iter().partition(|&i| values[i] >= 0.0);
                Chosen { upper, lower, above: least, below: least.map(|least| -least) }
            }
        }
    }
}

impl Chosen {
    /// All of them, each once.
    pub fn all(&self) -> Vec<usize> {
        let both = self.upper.iter().chain(self.lower.iter().filter(|index| !self.upper.contains(index)));
        both.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_magnitudes_are_chosen() {
        let values = [1.0, -3.0, 2.0, 0.5, -0.1];
        let ends = Wanted::Ends { top: 2, bottom: 1 }.choose(&values);
        assert_eq!(ends, Chosen { upper: vec![2, 0], lower: vec![1], above: Some(1.0), below: Some(-3.0) });
        let largest = Wanted::Magnitude(2).choose(&values);
        assert_eq!(largest, Chosen { upper: vec![2], lower: vec![1], above: Some(2.0), below: Some(-2.0) });
        let everything = Wanted::Ends { top: 9, bottom: 9 }.choose(&values);
        assert_eq!((everything.upper.len(), everything.lower.len(), everything.all().len()), (5, 5, 5));
        assert_eq!(Wanted::Ends { top: 0, bottom: 1 }.choose(&values).above, None);
    }
}
